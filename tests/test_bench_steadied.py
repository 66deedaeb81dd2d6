"""Figures of what keeps clips together, on clips whose figures are known, and on one case."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from test_temporal import HIGH, INNER, WIDE, moving, still
from tiny import tiny_model

from kisslab import zoo
from kisslab.bench import steadied
from kisslab.bench.made import attempt
from kisslab.bench.steadied import (
    flicker,
    landmark_errors,
    morans_i,
    noise_error_rows,
    noise_rows,
    steady_rows,
    warping_error,
)
from kisslab.faces import Faces, face_detector
from kisslab.guide import draw_guide
from kisslab.kiss import load_kiss
from kisslab.noise import independent_noise
from kisslab.photo import load_photo, photo_from_array
from kisslab.plan import plan_kiss
from kisslab.show import to_uint8
from kisslab.temporal import clip_flows, steady
from kisslab.train.lessons import Case

EVERYWHERE = np.ones((4, HIGH, WIDE), bool)


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    """The type checker's wrapper hides from torch.no_grad that samplers are generators."""
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def case() -> Case:
    """Four frames of a packaged couple's kiss, whose truth is taken to be the guide."""
    path = zoo.data_path("portraits/couple_01.jpg")
    faces = Faces.load(path.with_suffix(".faces.npz")).moved(0.5, np.full(2, -0.25))
    rgb = cv2.resize(load_photo(path).rgb, (256, 192), interpolation=cv2.INTER_AREA)
    photo = photo_from_array(np.clip(rgb, 0, 1))
    motion = plan_kiss(faces).pick([8, 10, 12, 14])
    guide = draw_guide(photo, faces, motion)
    truth, known = to_uint8(guide.frames), np.ones(4, bool)
    return Case(photo, photo, faces, motion, guide, truth, guide.layers > 0, known)


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
    monkeypatch.setattr(steadied, "MANY", 16)
    figures = {row.name: row for row in noise_rows()}
    assert figures["noise_morans_i"].value < 0.025  # chance alone: 0.0064 a frame
    assert figures["noise_ks_p_min"].holds


def test_figures_of_a_case(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way of painting gives a clip that flickers in its own degree."""
    truth, people = case.truth / np.float32(255), case.people
    blink = np.float32([0, 1, 0, 1])[:, None, None, None]
    far = {"temperature": 1.0, "lowest": 0.03}
    moved, apart, moved_default, apart_default = (
        0.9 * truth + by * blink for by in (0.03, 0.06, 0.05, 0.07)
    )

    def painted(guide, conditions, model, noise, **options: float) -> np.ndarray:
        if options == far:
            return apart if noise is independent_noise else moved
        assert not options
        return apart_default if noise is independent_noise else moved_default

    def ratio(one: np.ndarray, other: np.ndarray) -> float:
        errors = [warping_error(clip, clip_flows(truth), people) for clip in (one, other)]
        return pytest.approx(errors[0] / errors[1])

    monkeypatch.setattr(steadied, "repaint", painted)
    figures = {row.name: row.value for row in noise_error_rows(tiny_model(identity=256), [case])}
    assert figures["warped_noise_error_ratio"] == ratio(moved, apart)
    assert figures["warped_noise_error_ratio_default"] == ratio(moved_default, apart_default)
    assert figures["warped_noise_sharpness_off"] == pytest.approx(0, abs=0.01)


def test_steadying_is_measured_as_the_pipeline_does_it(
    case: Case, monkeypatch: pytest.MonkeyPatch, models: Path
) -> None:
    """One that gives the truth, and with another flow what it was given."""
    truth = case.truth / np.float32(255)
    monkeypatch.setattr(
        steadied,
        "steady",
        lambda frames, flows=None: SimpleNamespace(frames=frames if flows else truth),
    )
    figures = {row.name: row.value for row in steady_rows(load_kiss(), [case])}
    assert figures["steady_landmark_error_ratio"] == 0
    assert figures["steady_flicker_ratio_guide_flow"] == 1 != figures["steady_flicker_ratio"]


def test_steadying_a_case_takes_flicker_away(case: Case, models: Path) -> None:
    figures = {row.name: row.value for row in steady_rows(load_kiss(), [case])}
    assert figures["steady_flicker_ratio"] < 1
    assert 0.8 < figures["steady_sharpness_ratio"] <= 1.05


def test_steadying_a_case_leaves_landmarks_where_they_are(case: Case, models: Path) -> None:
    """Here the painting is so near its truth that a ratio would be one of the detector's noise."""
    made = attempt(case, load_kiss())
    with face_detector() as detect:
        found = landmark_errors(made, (steady(made.frames).frames, made.frames), detect)
    after, before = np.transpose(found)
    assert len(found) == 8 and np.max(after - before) < 0.005  # inter-ocular distances
