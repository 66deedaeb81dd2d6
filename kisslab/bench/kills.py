"""Kills without warning, at random moments: is what has its final name whole? (kill_all, Killed)

Five kinds of work are killed again and again in the same folder, so that each start meets what the
last one left: a clip that is made, a batch, clips that are only written, studio shards, a training.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import torch

from kisslab.batch import REPORT, run_batch
from kisslab.bench.batched import SMALL, small_pairs
from kisslab.bench.killed import lead
from kisslab.provenance import read_credential
from kisslab.studio.dataset import Shard, write_shard
from kisslab.train.loop import Recipe, fit
from kisslab.video import make_clip, read_record, save

TRIES = 4  # for each kill: some runs end before it


class Work(NamedTuple):
    """Something that writes files, and how to tell whether they are whole."""

    do: Callable[[str], None]  # in this folder; goes on where it was, where that is promised
    half: Callable[[Path], list[Path]]  # what has its final name there and is not whole
    done: Callable[[Path], int]  # how far it got; never less after a kill
    kills: int = 16


class Killed(NamedTuple):
    """What became of one kind of work."""

    name: str
    kills: int  # that a process died of
    half_written: int
    lost: int  # kills after which less was done than before
    finished: bool  # whether it ran to its end at last


def kill_all(seed: int = 0) -> Iterator[Killed]:
    """Kill each of WORKS as often as it says, each time after a random part of what it takes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # each child starts with all imported
    rng = np.random.default_rng(seed)
    # numba's OpenMP ends a process that was forked from one with threads; its own queue does not.
    with patch.dict(os.environ, NUMBA_THREADING_LAYER="workqueue", OMP_NUM_THREADS="1"):
        _run(os.listdir, ".", context)  # the first child waits for the imports
        yield from (_killed(name, work, rng, context) for name, work in WORKS.items())


def _killed(name: str, work: Work, rng: np.random.Generator, context: object) -> Killed:
    """A run that ends before its kill counts for none: it is begun anew, in an empty folder."""
    kills = half = lost = 0
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as top:
        seconds, folder = _run(work.do, whole, context), _emptied(Path(top) / "work")
        for _ in range(TRIES * work.kills):
            if kills == work.kills:
                break
            before = work.done(folder)
            if not _kill_after(seconds * rng.uniform(0.1, 0.9), work, folder, context):
                _emptied(folder)
                continue
            kills += 1
            half += len(work.half(folder))
            lost += work.done(folder) < before
        _run(work.do, str(folder), context)
        finished = work.done(folder) == work.done(Path(whole))
    return Killed(name, kills, half, lost, finished)


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _run(do: Callable[[str], object], folder: str, context: object) -> float:
    """Seconds of a run to its end. RuntimeError if it failed."""
    start = time.perf_counter()
    process = _started(do, folder, context)
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{do}: ended with {process.exitcode} where nobody killed it")
    return time.perf_counter() - start


def _kill_after(seconds: float, work: Work, folder: Path, context: object) -> bool:
    """Kill it, and all that it started; whether that is what it died of."""
    process = _started(work.do, str(folder), context)
    process.join(seconds)
    if process.is_alive():
        with suppress(ProcessLookupError):  # it does not lead its group yet
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def _started(do: Callable[[str], object], folder: str, context: object) -> BaseProcess:
    process = context.Process(target=lead, args=(partial(_on_one_thread, do, folder),))
    process.start()
    return process


def _on_one_thread(do: Callable[[str], object], folder: str) -> None:
    torch.set_num_threads(1)
    do(folder)


def _make(folder: str) -> None:
    """A clip, by the whole pipeline; one that is there is made anew."""
    (pair,) = small_pairs(1)
    SMALL(*pair.photos).save(Path(folder) / pair.out)


def _make_many(folder: str, count: int = 4) -> None:
    """A batch of clips, by a process that it starts; those that are there are kept."""
    for done in run_batch(small_pairs(count), folder, pipeline=SMALL, workers=1):
        if done.error:
            raise RuntimeError(done.error)


def _write(folder: str, count: int = 6) -> None:
    """Clips of noise, which take long to write, in all formats, over those that are there."""
    frames = np.random.default_rng(0).integers(0, 256, (4, 120, 160, 3), np.uint8)
    for k in range(count):
        for suffix in ("mp4", "gif", "webp", "png"):
            save(make_clip(frames, 24.0), Path(folder) / f"{k}.{suffix}", run_record={"k": k})


def _shards(folder: str, count: int = 4) -> None:
    """Shards of the smallest size; those that are there are kept, as `write_dataset` does."""
    for seed in range(count):
        path = Path(folder) / f"clip_{seed:08d}.npz"
        if not path.exists():
            write_shard(str(path), seed, frames=4, size=32)


def _train(folder: str, steps: int = 300) -> None:
    """A tiny network, with a checkpoint at every other step."""
    recipe = Recipe(steps=steps, warmup=2, save_every=2, precision="no", channels_last=False)
    fit(torch.nn.Linear(64, 64), _batch, _loss, folder, recipe)


def _batch(rng: np.random.Generator) -> dict[str, torch.Tensor]:
    return {"x": torch.from_numpy(rng.standard_normal((8, 64)).astype(np.float32))}


def _loss(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {"loss": (model(batch["x"]) - batch["x"]).square().mean()}


def _half_clips(folder: Path) -> list[Path]:
    return [path for path in _named(folder) if not _opens(partial(_whole_clip, path))]


def _whole_clip(path: Path) -> None:
    """ValueError if not: the credential signs every byte, so it notices any that is missing."""
    read_record(path)
    if not read_credential(path).whole:
        raise ValueError(f"{path}: is not as it was signed")


def _half_shards(folder: Path) -> list[Path]:
    return [path for path in _named(folder) if not _opens(partial(Shard.load, path))]


def _half_states(folder: Path) -> list[Path]:
    """Checkpoints without all their files, and a curve that can't be read."""
    wanted = {"model.safetensors", "optimizer.bin", "random_states_0.pkl"}
    wanted |= {f"custom_checkpoint_{k}.pkl" for k in (0, 1)}  # average and schedule
    newest = sorted(folder.glob("state_*[0-9]"))[-1:]  # an older one may be on its way out
    half = [p for p in newest if not wanted <= {file.name for file in p.iterdir()}]
    curve = folder / "curve.csv"
    rows = curve.read_text().splitlines() if curve.exists() else ["step,seconds,loss"]
    whole = rows and all(line.count(",") == 2 for line in rows)
    return half if whole else [*half, curve]


def _newest_state(folder: Path) -> int:
    return max((int(p.name[6:]) for p in folder.glob("state_*[0-9]")), default=0)


def _named(folder: Path) -> list[Path]:
    """Files under their final names: what is being written has a name that begins with a dot."""
    return [path for path in folder.iterdir() if path.name[0] != "." and path.name != REPORT]


def _count(folder: Path) -> int:
    return len(_named(folder))


def _opens(reader: Callable[[], object]) -> bool:
    try:
        reader()
    except (ValueError, OSError):
        return False
    return True


WORKS = {
    "make": Work(_make, _half_clips, _count, kills=8),  # the slowest
    "batch": Work(_make_many, _half_clips, _count, kills=4),
    "write": Work(_write, _half_clips, _count),
    "dataset": Work(_shards, _half_shards, _count),
    "training": Work(_train, _half_states, _newest_state),
}
