"""What things cost: seconds, and the memory that a process itself held.

(seconds, best_seconds, peak_gb, demo_rows, weighed)
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from kisslab.bench.rows import Row, row

STATUS = "/proc/self/status"  # of Linux
# The command line as it is, and at its end what the system has written down about the process.
CHILD = f"""
import atexit, runpy
atexit.register(lambda: print(open({STATUS!r}).read()))
runpy.run_module("kisslab.cli", run_name="__main__", alter_sys=True)
"""


def seconds(act: Callable[[], object]) -> float:
    """Time of one run; what it gave a GPU to do is waited for."""
    start = time.perf_counter()
    act()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def best_seconds(act: Callable[[], object], times: int = 5) -> float:
    """The least of `times` runs after one that warms up."""
    act()
    return min(seconds(act) for _ in range(times))


def peak_gb() -> float:
    """Gigabytes that this very process held at most: ru_maxrss begins with those of its parent."""
    return _high_water(Path(STATUS).read_text())


def demo_rows() -> Iterator[Row]:
    """demo_seconds, demo_peak_memory_gb: `kisslab demo` in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        memory, spent = weighed("demo", "-o", str(Path(folder) / "kiss.mp4"))
    yield row("demo_seconds", spent, "s", "<= 20", 1)
    yield row("demo_peak_memory_gb", memory, "GB", "<= 1.5", 1)


def weighed(*words: str) -> tuple[float, float]:
    """(peak resident memory in GB, seconds) of `kisslab WORDS` in a fresh process.

    CalledProcessError: it ends badly.
    """
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *words], capture_output=True, text=True, check=True
    )
    return _high_water(done.stdout), time.perf_counter() - start


def _high_water(status: str) -> float:
    """The system's VmHWM, in units of 1024 bytes, as GB."""
    return int(status.rpartition("VmHWM:")[2].split()[0]) * 1024 / 1e9
