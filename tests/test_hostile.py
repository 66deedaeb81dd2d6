"""Files that want to do harm: nothing crashes, runs, hangs or is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kisslab import zoo
from kisslab.batch import read_pairs
from kisslab.bench import hostile, nasty
from kisslab.bench.bad_inputs import encoded
from kisslab.faces import Faces
from kisslab.keyframes import Keyframes
from kisslab.photo import load_photo
from kisslab.provenance import read_credential
from kisslab.verify import verify
from kisslab.video import load_clip, read_notes

FUZZ = settings(
    max_examples=40, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip


def test_nothing_of_the_corpus_gets_through(tmp_path: Path, monkeypatch) -> None:
    """All but the photos, which test_photo opens one by one."""
    monkeypatch.delitem(nasty.MAKERS, "photo")
    work, trap = tmp_path / "in", tmp_path / "trap"
    work.mkdir()
    files = nasty.nasty_files(work, trap)
    before = sorted(tmp_path.rglob("*"))
    opened = list(hostile.open_all(files))
    assert len(opened) == len(files) >= 40
    assert not [o for o in opened if not o.caught]
    assert not trap.exists()  # no pickle was run
    assert sorted(tmp_path.rglob("*")) == before
    assert max(o.growth for o in opened) < 2**30
    harmless = {"nul.csv", "twice.csv"}  # read as names of photos that are not there
    harmless |= {"many.gif", "most.gif", "most.png", "most.webp"}  # as large as may be
    harmless |= {"cut.gif", "cut.png", "cut.mp4"}  # judged by what is left of them
    harmless |= {"run_7.mp4", *(f"odd_{k}.mp4" for k in range(len(nasty.ODD_RUNS)))}  # no record
    assert {o.nasty.path.name for o in opened if not o.error} <= harmless


def test_the_watch_sees_who_dies_and_who_hangs(tmp_path: Path, monkeypatch) -> None:
    """Else a corpus that kills its reader would pass."""
    monkeypatch.setattr(hostile, "_openers", _deadly)  # the watched process imports this module
    files = [nasty.Nasty(tmp_path, kind) for kind in ("fine", "dies", "fine", "hangs", "raises")]
    opened = list(_served_here(files))
    assert [o.caught for o in opened] == [True, False, True, False, False]
    assert "died" in opened[1].error and "no end" in opened[3].error


def test_a_process_s_peak_is_its_own() -> None:
    """What its parent had before would hide what a file takes."""
    ours = np.ones(10**8)  # 800 MB
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(hostile._peak).result() < ours.nbytes < hostile._peak()


def test_pipes_are_refused_and_not_waited_for(tmp_path: Path) -> None:
    files = []
    for suffix in ("mp4", "gif"):
        os.mkfifo(tmp_path / f"pipe.{suffix}")
        files += [nasty.Nasty(tmp_path / f"pipe.{suffix}", kind) for kind in ("notes", "marked")]
    opened = list(hostile.open_all(files, patience=10.0))
    assert all(one.caught and one.error for one in opened), opened


def _served_here(files: list[nasty.Nasty]):
    """`open_all` by fork, so that what was patched here counts there."""
    import multiprocessing
    from unittest.mock import patch

    fork = multiprocessing.get_context("fork")
    with patch.object(multiprocessing, "get_context", lambda kind: fork):
        yield from hostile.open_all(files, patience=2.0)


def _deadly() -> dict[str, Callable[[Path], object]]:
    import os
    import time

    def dies(path: Path) -> None:
        os._exit(1)

    def raises(path: Path) -> None:
        raise KeyError("nobody caught this")

    return {"fine": str, "dies": dies, "hangs": lambda path: time.sleep(60), "raises": raises}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("seeds")
    made = {
        suffix: encoded(name) for suffix, name in (("jpg", "JPEG"), ("png", "PNG"), ("tif", "TIFF"))
    }
    made["json"] = nasty.good_plan()
    made["csv"] = b"left,right,out,style,seconds,seed\nana.jpg,bo.jpg,,peck,1.5,3\n"
    made["npz"] = zoo.demo_portraits()[0].with_suffix(".faces.npz").read_bytes()
    return made | {suffix: nasty.good_clip(folder, suffix) for suffix in ("mp4", "gif", "webp")}


OPENERS: dict[str, tuple[Callable[[Path], object], ...]] = {
    "jpg": (load_photo,),
    "png": (load_photo,),
    "tif": (load_photo,),
    "json": (Keyframes.from_json,),
    "csv": (read_pairs,),
    "npz": (Faces.load,),
    "mp4": (load_clip, read_notes, read_credential),
    "gif": (verify, read_notes),
    "webp": (verify, read_notes),
}
values = st.sampled_from([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x80", b"", b'"'])
changes = st.lists(st.tuples(st.floats(0, 0.999), values), max_size=8)


@pytest.mark.parametrize("suffix", OPENERS)
@FUZZ
@given(changes=changes, cut=st.floats(0, 1))
def test_garbled_files_are_taken_or_refused(
    suffix: str, seeds: dict[str, bytes], tmp_path: Path, changes: list, cut: float
) -> None:
    data = bytearray(seeds[suffix])
    for place, value in changes:
        start = int(place * len(data))
        data[start : start + max(1, len(value))] = value
    path = tmp_path / f"garbled.{suffix}"
    path.write_bytes(data[: len(data) if cut > 0.5 else int(2 * cut * len(data))])
    for opener in OPENERS[suffix]:
        try:
            opener(path)
        except (ValueError, OSError) as error:
            assert str(error)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_record_that_unpacks_to_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, __header__=np.array("{}"), bomb=np.zeros(2**26))
    with pytest.raises(ValueError, match="not a kisslab record"):
        Faces.load(path)
