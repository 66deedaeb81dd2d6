"""What is left when processes die in the midst of their work.
(lost, kill_busy_worker, kill_run, wait_for, lead)
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Client


def lost(*ways: Callable[[str], int]) -> int:
    """What each way to die loses, counted in an empty folder of its own, and added up."""
    total = 0
    for way in ways:
        with tempfile.TemporaryDirectory() as folder:
            total += way(folder)
    return total


def kill_busy_worker(client: Client) -> None:
    """Kill a process that has a task in hand. RuntimeError if there is none: all was done."""
    busy = [worker for worker, tasks in client.processing().items() if tasks]
    if not busy:
        raise RuntimeError("all was done before the kill; ask for more clips")
    os.kill(client.run(os.getpid, workers=busy[:1])[busy[0]], signal.SIGKILL)


def kill_run(work: Callable[[], object], folder: str, pattern: str) -> None:
    """Do `work` in a process that leads a group, and kill the group at the first file it writes."""
    run = multiprocessing.get_context("spawn").Process(target=lead, args=(work,))
    run.start()
    try:
        wait_for(folder, pattern)
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.join()


def wait_for(folder: str, pattern: str, patience: float = 240.0) -> None:
    """Until a file like `pattern` is there. RuntimeError after `patience` seconds."""
    end = time.monotonic() + patience
    while not any(Path(folder).glob(pattern)):
        if time.monotonic() > end:
            raise RuntimeError(f"no {pattern} within {patience} s; is the machine overloaded?")
        time.sleep(0.02)


def lead(work: Callable[[], object]) -> None:
    """Work as the leader of a process group, which can be killed as one."""
    os.setpgrp()
    work()
