"""A batch of small pairs: two workers against one, a kill, and the cost of a clip as it grows.
(batch_rows, speedup, lost_after_kill, cost_growth, small_pairs, SMALL)
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from kisslab import zoo
from kisslab.batch import Pair, run_batch
from kisslab.bench.killed import kill_busy_worker, kill_run, lost
from kisslab.bench.rows import Row, row
from kisslab.cluster import local_cluster
from kisslab.faces import Faces
from kisslab.photo import Photo, load_photo
from kisslab.pipeline import Pipeline
from kisslab.plan import plan_kiss
from kisslab.video import load_clip

COUPLES = 4  # packaged ones; a larger batch has them again, with other seeds


def batch_rows(few: int = 4, many: int = 64) -> Iterator[Row]:
    """The three figures that kisslab claims of `kisslab batch`."""
    yield row("batch_speedup_2_workers", speedup(), "times", ">= 1.7", 16)
    yield row("batch_lost_after_kill", lost_after_kill(), "clips", "= 0", 12)
    yield row("batch_cost_growth", cost_growth(few, many), "share", "<= 0.05", many)


def speedup(clips: int = 16, repeats: int = 3) -> float:
    """How much sooner two started workers end a batch than one: the best of each, since other
    processes share the machine."""
    one, two = (min(_batch_seconds(workers, [clips] * repeats)) for workers in (1, 2))
    return one / two


def cost_growth(few: int = 4, many: int = 64) -> float:
    """By what share a clip takes two started workers longer in a batch of `many` than of `few`.

    The few are taken as often as they make up the many, half before and half after, so that both
    see the same couples and as much of whatever else the machine does.
    """
    half = [few] * (many // few // 2)
    seconds = _batch_seconds(2, [*half, many, *half])
    large = seconds[len(half)]
    return large / (sum(seconds) - large) * (2 * len(half) * few / many) - 1


def lost_after_kill(clips: int = 6) -> int:
    """Clips missing, unreadable or told of as failed after a worker, and then a run, was killed.

    Each is killed once the first clip is there. RuntimeError if nothing was left to do then.
    """
    return lost(partial(_lost_with_worker, clips=clips), partial(_lost_with_run, clips=clips))


def known_faces(photo: Photo, need: int) -> Faces:
    """The points packaged beside a portrait, moved to the size at which it was loaded."""
    scale = max(photo.rgb.shape) / max(photo.width, photo.height)
    shift = np.full(2, 0.5 * scale - 0.5)  # pixel centres
    return Faces.load(Path(photo.path).with_suffix(".faces.npz")).moved(scale, shift)


SMALL = Pipeline(
    load=partial(load_photo, max_side=128),
    find=known_faces,  # MediaPipe is not what is measured here
    plan=partial(plan_kiss, style="peck", seconds=0.5, fps=8.0),
)


def small_pairs(count: int) -> list[Pair]:
    """Packaged couples by turns, each time with another seed."""
    couples = [zoo.data_path(f"portraits/couple_{k + 1:02d}.jpg") for k in range(COUPLES)]
    return [
        Pair((str(couples[k % COUPLES]),), out=f"{k:03d}.mp4", seed=k // COUPLES)
        for k in range(count)
    ]


def _batch_seconds(workers: int, sizes: list[int]) -> list[float]:
    """Wall time of batches of these sizes on one cluster, after one that started and warmed it."""
    with local_cluster(workers) as cluster:
        address = cluster.scheduler_address
        _seconds(4 * workers, address)
        return [_seconds(size, address) for size in sizes]


def _seconds(clips: int, scheduler: str) -> float:
    """Wall time of one batch. RuntimeError if a clip failed."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        ends = run_batch(small_pairs(clips), folder, pipeline=SMALL, scheduler=scheduler)
        failed = [done.error for done in ends if done.error]
        seconds = time.perf_counter() - start
    if failed:
        raise RuntimeError(f"{len(failed)} of {clips} clips failed, the first: {failed[0]}")
    return seconds


def _lost_with_worker(folder: str, clips: int) -> int:
    from distributed import Client

    with local_cluster(2) as cluster, Client(cluster) as client:
        ends = run_batch(
            small_pairs(clips), folder, pipeline=SMALL, scheduler=cluster.scheduler_address
        )
        first = next(ends)
        kill_busy_worker(client)
        errors = sum(bool(done.error) for done in [first, *ends])
    return errors + _missing(folder, clips)


def _lost_with_run(folder: str, clips: int) -> int:
    """Kill the whole process group of a run, and resume it: what was whole must be kept."""
    kill_run(partial(_run_small, folder, clips), folder, "[0-9]*.mp4")
    whole = len(list(Path(folder).glob("[0-9]*.mp4")))
    if whole == clips:
        raise RuntimeError(f"all {clips} clips were there before the kill; ask for more")
    kept = _run_small(folder, clips)
    return max(0, whole - kept) + _missing(folder, clips)


def _run_small(folder: str, clips: int) -> int:
    """How many clips were kept."""
    ends = run_batch(small_pairs(clips), folder, pipeline=SMALL, workers=1)
    return sum(done.kept for done in ends)


def _missing(folder: str, clips: int) -> int:
    return sum(not _is_whole(Path(folder) / pair.out) for pair in small_pairs(clips))


def _is_whole(path: Path) -> bool:
    return path.exists() and len(load_clip(path).frames) == 4
