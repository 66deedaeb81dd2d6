"""Tables of pairs to clips: what they may say, what resumes, what fails alone, what dies."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import dask
import pytest
from distributed import Client, SpecCluster

from kisslab import cluster, zoo
from kisslab.batch import REPORT, Pair, make_pair, read_pairs, run_batch
from kisslab.bench.batched import SMALL, small_pairs
from kisslab.bench.killed import kill_busy_worker
from kisslab.consent import ConsentError
from kisslab.video import load_clip, read_record

LEFT, RIGHT = zoo.demo_portraits()
COUPLE = zoo.data_path("portraits/couple_01.jpg")


@pytest.fixture(scope="module")
def one_worker() -> Iterator[SpecCluster]:
    """A worker that is blamed the first time it dies, not the fourth: a test has less patience."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        cluster.local_cluster(1) as started,
    ):
        yield started


def test_a_table_says_what_it_wants_and_leaves_out_the_rest(tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text(
        f"left,right,out,style,seconds,seed\nana.jpg,bo.jpg,,peck,1.5,3\n\n{COUPLE},,us.webp,,,\n"
    )
    first, second = read_pairs(table)
    assert first.photos == (str(tmp_path / "ana.jpg"), str(tmp_path / "bo.jpg"))
    assert (first.out, first.style, first.seconds, first.seed) == ("ana-bo.mp4", "peck", 1.5, 3)
    assert first.where == "pairs.csv, line 2" and second.where == "pairs.csv, line 4"
    assert second.photos == (str(COUPLE),) and second.out == "us.webp"
    assert second.style is second.seconds is second.seed is None


@pytest.mark.parametrize("sign", [";", "\t"])
def test_spreadsheets_have_their_own_signs(sign: str, tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text(f"left{sign} seed\nus.jpg{sign}4\n", encoding="utf-8-sig")
    (pair,) = read_pairs(table)
    assert (pair.out, pair.seed) == ("us.mp4", 4)


def test_a_folder_is_a_couple_a_photo(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", ".hidden.jpg", "notes.txt", "kiss.mp4"):
        (tmp_path / name).touch()
    assert [(p.photos, p.out) for p in read_pairs(tmp_path)] == [
        ((str(tmp_path / "a.jpg"),), "a.mp4"),
        ((str(tmp_path / "b.PNG"),), "b.mp4"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("right\nbo.jpg\n", "line 1: no column 'left'.*out of left, right"),
        ("left,mood\nus.jpg,gay\n", "line 1: unknown column 'mood'"),
        ("left,left\nus.jpg,we.jpg\n", "line 1: column 'left' stands there twice"),
        ("left,right\n,bo.jpg\n", "line 2: no photo in the column 'left'"),
        ("left,style\nus.jpg,waltz\n", "line 2: style='waltz'.*choose one of peck"),
        ("left,seed\nus.jpg,1\nwe.jpg,1.5\n", "line 3: seed='1.5' is not a whole number"),
        ("left,seconds\nus.jpg,nan\n", "line 2: seconds='nan' is not a number of seconds"),
        ("left,out\nus.jpg,../us.mp4\n", "line 2: out='../us.mp4' is not a file's name alone"),
        ("left\nus.jpg\nold/US.png\n", "line 2 and pairs.csv, line 3 both make US.mp4.*another"),
        ("left\nana, bo.jpg\n", "line 2: more cells than columns"),
        ("left\n", "no pairs in it"),
    ],
)
def test_mistakes_name_the_line_and_the_remedy(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_pairs(tmp_path / "pairs.csv")


def test_no_table_no_pairs(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such table or folder"):
        read_pairs(tmp_path / "pairs.csv")
    (tmp_path / "pairs.xlsx").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(ValueError, match="save the table as CSV"):
        read_pairs(tmp_path / "pairs.xlsx")
    with pytest.raises(ValueError, match=r"kiss\.txt: ends in none of \.mp4"):
        next(run_batch([Pair((str(COUPLE),), "kiss.txt")], tmp_path))


def test_what_the_same_photos_and_settings_made_is_kept(tmp_path: Path) -> None:
    make = partial(make_pair, folder=str(tmp_path), pipeline=SMALL, consent="")
    pair = small_pairs(1)[0]
    first, again = make(pair), make(pair)
    assert not first.kept and again.kept and first.path == again.path
    assert not make(replace(pair, seed=7)).kept
    assert "seed=7" in read_record(first.path)["settings"]
    other = small_pairs(2)[1].photos
    assert not make(replace(pair, photos=other, seed=7)).kept
    assert make(replace(pair, photos=other, seed=7)).kept
    assert not list(tmp_path.glob(".*"))


def test_a_clip_that_was_cut_off_is_made_again(tmp_path: Path) -> None:
    pair = small_pairs(1)[0]
    clip = Path(make_pair(pair, str(tmp_path), SMALL, consent="").path)
    whole = clip.read_bytes()
    clip.write_bytes(whole[: int(0.9 * len(whole))])  # its record stands in front
    assert not make_pair(pair, str(tmp_path), SMALL, consent="").kept
    assert len(load_clip(clip).frames) == 4


def test_a_file_that_kisslab_did_not_make_is_left_alone(tmp_path: Path) -> None:
    pair = small_pairs(1)[0]
    (tmp_path / pair.out).write_bytes(b"a holiday film")
    with pytest.raises(ValueError, match="carries no record"):
        make_pair(pair, str(tmp_path), SMALL, consent="")
    assert (tmp_path / pair.out).read_bytes() == b"a holiday film"


def test_photos_of_others_need_their_consent_here_too(tmp_path: Path) -> None:
    own = tmp_path / "us.jpg"
    own.write_bytes(COUPLE.read_bytes() + b"\0")  # no longer the packaged file
    with pytest.raises(ConsentError, match="--consent"):
        make_pair(Pair((str(own),), "us.mp4"), str(tmp_path), SMALL, consent="")


def test_one_fails_one_is_killed_and_the_rest_goes_on(
    one_worker: SpecCluster, tmp_path: Path
) -> None:
    gone = Pair((str(tmp_path / "gone.jpg"),), "gone.mp4", where="pairs.csv, line 2")
    pairs = [gone, *small_pairs(3)]
    batch = partial(
        run_batch, pairs, tmp_path, pipeline=SMALL, scheduler=one_worker.scheduler_address
    )
    ends = batch()
    seen = [next(ends), next(ends)]
    with Client(one_worker) as client:
        kill_busy_worker(client)
    told = {Path(done.path).name: done for done in [*seen, *ends]}
    assert "gone.jpg" in told["gone.mp4"].error and told["gone.mp4"].where == "pairs.csv, line 2"
    assert [name for name, done in told.items() if done.error] == ["gone.mp4"]
    assert all(len(load_clip(tmp_path / p.out).frames) == 4 for p in small_pairs(3))
    with (tmp_path / REPORT).open(newline="") as file:
        rows = {Path(row["path"]).name: row for row in csv.DictReader(file)}
    assert {name: row["error"] for name, row in rows.items()} == {
        name: done.error for name, done in told.items()
    }
    assert sorted(done.kept for done in batch()) == [False, True, True, True]


def test_who_kills_its_process_is_told_of_and_its_neighbour_is_not(
    one_worker: SpecCluster, tmp_path: Path
) -> None:
    deadly = replace(SMALL, cut=_die_of_the_first)
    killer, neighbour = small_pairs(2)
    ends = run_batch(
        [killer, neighbour], tmp_path, pipeline=deadly, scheduler=one_worker.scheduler_address
    )
    told = {Path(done.path).name: done.error for done in ends}
    assert "its process died" in told[killer.out]
    assert told[neighbour.out] == ""


def test_each_process_sees_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_cards", lambda: ["3", "5"])
    with cluster.local_cluster() as two, Client(two) as client:
        seen = client.run(os.getenv, "CUDA_VISIBLE_DEVICES")
    assert sorted(seen.values()) == ["3", "5"]


def test_the_command_counts_names_what_failed_and_exits_1(tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text(f"left,right,out,style,seconds\n{LEFT},{RIGHT},,peck,0.5\ngone.jpg,,,,\n")
    command = [sys.executable, "-m", "kisslab.cli", "batch", str(table), "--workers", "1"]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "made")], capture_output=True, text=True,
        env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "1 of 2 clips" in done.stdout
    assert "pairs.csv, line 3" in done.stderr and "gone.jpg" in done.stderr
    assert "Traceback" not in done.stderr
    clip = tmp_path / "made" / f"{LEFT.stem}-{RIGHT.stem}.mp4"
    assert read_record(clip)["style"] == "peck" and len(load_clip(clip).frames) == 12


def test_the_command_says_a_table_s_mistake_in_one_line(tmp_path: Path) -> None:
    table, clips = tmp_path / "pairs.csv", tmp_path / "clips"
    table.write_text("photo\nus.jpg\n")
    command = [sys.executable, "-m", "kisslab.cli", "batch", str(table), "-o", str(clips)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "unknown column 'photo'" in done.stderr
    assert "Traceback" not in done.stderr and not clips.exists()


def _die_of_the_first(photo, faces):
    """A stage that takes its whole process along for one couple."""
    if "couple_01" in photo.path:
        os.kill(os.getpid(), signal.SIGKILL)
    return SMALL.cut(photo, faces)
