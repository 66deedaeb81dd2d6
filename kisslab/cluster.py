"""Processes that share work, on this machine or on others. (connect, local_cluster)"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import torch

if TYPE_CHECKING:
    from distributed import Client, SpecCluster

NEEDS = 7 * 2**30  # bytes; what a run at full size (1536 x 1024 pixels, 60 frames) takes


@contextmanager
def connect(scheduler: str | None = None, workers: int | None = None) -> Iterator[Client]:
    """A client of the dask scheduler at that address, or of a `local_cluster` that ends with it."""
    from distributed import Client

    if scheduler is not None:
        with Client(scheduler) as client:
            yield client
        return
    with local_cluster(workers) as cluster, Client(cluster) as client:
        yield client


def local_cluster(workers: int | None = None) -> SpecCluster:
    """Processes of one thread on this machine, each seeing one GPU where there are any.

    workers: how many; by default one per GPU, or without any as many as cores and memory allow.
    More workers than GPUs share them in turn. A process that dies is started again.
    """
    from distributed import Nanny, Scheduler, SpecCluster

    cards = _cards()
    count = workers or len(cards) or _room()
    # A worker's memory has no limit of its own: a part of the machine's may be less than one run.
    common = {"host": "127.0.0.1", "dashboard": False}
    options = {**common, "nthreads": 1, "memory_limit": 0, "silence_logs": logging.CRITICAL}
    return SpecCluster(
        scheduler={
            "cls": Scheduler,
            "options": {**common, "dashboard_address": "127.0.0.1:0", "port": 0},
        },
        workers={
            k: {"cls": Nanny, "options": {**options, "env": _environment(cards, k)}}
            for k in range(count)
        },
        silence_logs=logging.CRITICAL,
    )


def _environment(cards: list[str], worker: int) -> dict[str, str]:
    """What a worker's process finds in its environment: the one GPU that it may see."""
    return {"CUDA_VISIBLE_DEVICES": cards[worker % len(cards)]} if cards else {}


def _cards() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them."""
    count = torch.cuda.device_count()
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count))))
    return [name.strip() for name in allowed.split(",")][:count]


def _room() -> int:
    """As many workers as there are cores for, and memory free."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, psutil.virtual_memory().available // NEEDS))
