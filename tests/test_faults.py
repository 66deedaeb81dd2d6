"""Kills, Ctrl-C, full disks and processes that meet: nothing half-written has its final name."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from kisslab.bench import kills
from kisslab.bench.kills import Work
from kisslab.identity import _unpacked
from kisslab.video import make_clip, save

SLOW_SAVE = """
import sys, time
import numpy as np
from kisslab import video
whole = video.add_mark
def slowly(frames):
    for frame in whole(frames):
        time.sleep(0.1)
        yield frame
video.add_mark = slowly
frames = np.random.default_rng(0).integers(0, 256, (60, 64, 64, 3), np.uint8)
video.save(video.Clip(frames, 24.0), sys.argv[1])
"""


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SLOW_SAVE, str(tmp_path / "kiss.mp4")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.iterdir()) and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.3)  # into the frames, which take six seconds
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert "KeyboardInterrupt" in error and process.returncode != 0
    assert list(tmp_path.iterdir()) == []


def test_processes_unpack_a_model_once(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as file:
        for k in range(200):
            file.writestr(f"{k}.onnx", bytes(1000))
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        folders = list(pool.map(_unpacked, [tmp_path / "pack.zip"] * 8))
    assert set(folders) == {tmp_path / "pack"} and len(list(folders[0].iterdir())) == 200
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pack", "pack.zip"]


def test_a_training_is_killed_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kills, "WORKS", {"training": kills.WORKS["training"]._replace(kills=3)})
    (killed,) = kills.kill_all()
    assert (killed.kills, killed.half_written, killed.lost, killed.finished) == (3, 0, 0, True)


@pytest.mark.parametrize("suffix", ["mp4", "gif", "webp", "png"])
def test_a_cut_file_counts_as_half_written(suffix: str, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 120, 160, 3), np.uint8)
    path = save(make_clip(frames, 24.0), tmp_path / f"kiss.{suffix}", run_record={"k": 0})
    assert kills._half_clips(tmp_path) == []
    whole = path.read_bytes()
    for share in (0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999):
        path.write_bytes(whole[: int(share * len(whole))])
        assert kills._half_clips(tmp_path) == [path], share
    path.write_bytes(whole[:-1])
    assert kills._half_clips(tmp_path) == [path]


def test_work_that_is_over_too_soon_counts_no_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the number of kills would be a constant."""
    quick = Work(_quick, lambda folder: [], lambda folder: 0, kills=3)
    monkeypatch.setattr(kills, "WORKS", {"quick": quick})
    monkeypatch.setattr(kills, "_run", lambda do, folder, context: 5.0)  # seconds, as it pretends
    (killed,) = kills.kill_all()
    assert killed.kills == 0


def _quick(folder: str) -> None:
    """Over before any kill."""


def _careless(folder: str) -> None:
    """Writes under the final name, slowly."""
    with open(Path(folder) / "clip.txt", "w") as file:
        for _ in range(20):
            file.write("line\n")
            file.flush()
            time.sleep(0.05)


def _half(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.read_text().count("line") < 20]


def test_careless_work_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else no kill would ever be blamed."""
    monkeypatch.setattr(kills, "WORKS", {"careless": Work(_careless, _half, lambda folder: 0, 3)})
    (killed,) = kills.kill_all()
    assert killed.half_written > 0 and killed.finished
