"""What a process held is its own, and the demo is bounded wherever it is measured."""

import multiprocessing

import numpy as np
import pytest

from kisslab.bench import costs, guide, speed
from kisslab.bench.costs import demo_rows, peak_gb, weighed


@pytest.fixture
def ballast() -> np.ndarray:
    """So much that no small process holds it, touched so that this one does."""
    return np.ones(100_000_000)


def test_a_childs_peak_is_not_its_parents(ballast: np.ndarray) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        child = pool.apply(peak_gb)
    assert peak_gb() > ballast.nbytes / 1e9 > child > 0.05


def test_a_commands_peak_is_not_its_parents(ballast: np.ndarray) -> None:
    memory, spent = weighed("--help")
    assert ballast.nbytes / 1e9 > memory > 0.02 and spent > 0


def test_the_demo_has_the_same_bounds_in_both_areas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "weighed", lambda *words: (1.6, 19.0))
    found = {row.name: (row.bound, row.holds) for row in demo_rows()}
    assert found == {"demo_seconds": ("<= 20", True), "demo_peak_memory_gb": ("<= 1.5", False)}
    assert guide.demo_rows is speed.demo_rows is demo_rows
