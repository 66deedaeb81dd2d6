"""Figures of what keeps clips together, on clips whose figures are known, and on one real case."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from test_temporal import HIGH, INNER, WIDE, moving, still
from tiny import tiny_model

from kisslab.bench import steadied
from kisslab.bench.steadied import (
    flicker,
    morans_i,
    noise_error_rows,
    noise_rows,
    steady_rows,
    warping_error,
)
from kisslab.temporal import clip_flows
from kisslab.train.lessons import Case, studio_case

EVERYWHERE = np.ones((4, HIGH, WIDE), bool)


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    """The type checker's wrapper hides from torch.no_grad that samplers are generators."""
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def case() -> Case:
    return studio_case(950_001, frames=4)


def test_morans_i_of_known_pictures() -> None:
    chess = np.indices((12, 16)).sum(axis=0) % 2 - 0.5
    assert morans_i(chess[None]) == pytest.approx(-1)
    ramp = np.broadcast_to(np.arange(200.0), (3, 200, 200))
    assert morans_i(ramp) == pytest.approx(1, abs=0.02)
    white = np.random.default_rng(0).standard_normal((50, 40, 40))
    assert morans_i(white) == pytest.approx(0, abs=0.01)  # three deviations of chance


def test_what_only_moves_has_no_warping_error() -> None:
    inner = np.zeros_like(EVERYWHERE)
    inner[INNER] = True
    clip = moving(np.arange(4))
    flows = clip_flows(clip)
    assert warping_error(clip, flows, inner) < 1e-5
    brighter = clip + np.float32([0, 0.1, 0, 0.1])[:, None, None, None]
    assert warping_error(brighter, flows, inner) == pytest.approx(3 * 0.01, rel=0.02)


def test_flicker_is_the_distance_from_both_neighbours() -> None:
    blinking = np.full((4, HIGH, WIDE, 3), 0.5, np.float32)
    blinking[1::2] += 0.1
    assert flicker(blinking, still(4), EVERYWHERE) == pytest.approx(0.1, abs=1e-5)
    fading = np.full_like(blinking, 0.3) + 0.1 * np.float32([0, 1, 2, 3])[:, None, None, None]
    assert flicker(fading, still(4), EVERYWHERE) == pytest.approx(0, abs=1e-5)


def test_noise_along_a_packaged_kiss_is_white(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steadied, "CLIPS", (("couple_01", "peck"),))
    monkeypatch.setattr(steadied, "MANY", 32)
    figures = {row.name: row for row in noise_rows()}
    assert figures["noise_morans_i"].value < 0.02  # chance alone: 0.0046 a frame
    assert figures["noise_ks_p_min"].holds


def test_figures_of_a_case(case: Case) -> None:
    figures = {row.name: row for row in noise_error_rows(tiny_model(identity=512), [case])}
    assert list(figures) == ["warped_noise_error_ratio", "warped_noise_sharpness_off"]
    assert 0.2 < figures["warped_noise_error_ratio"].value < 5


def test_steadying_a_case_takes_flicker_away(case: Case, models: Path) -> None:
    figures = {row.name: row.value for row in steady_rows(tiny_model(identity=512), [case])}
    assert figures["steady_flicker_ratio"] < 1
    assert 0.5 < figures["steady_landmark_error_ratio"] < 1.5
    assert 0.8 < figures["steady_sharpness_ratio"] <= 1.05
