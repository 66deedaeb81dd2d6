"""Steadying and frames in between: on clips whose motion is known exactly."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from kisslab.guide import Guide
from kisslab.temporal import (
    LONGEST,
    Flows,
    between,
    clip_flows,
    follow,
    guide_flows,
    interpolate,
    observed_flow,
    steady,
)

HIGH, WIDE, SIDE, STEP = (
    64,
    96,
    16,
    6,
)  # of pictures, of a bright square in them, of its way a frame
INNER = (slice(None), slice(10, -10), slice(10, -10))  # where nothing comes in from outside


def texture(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(rng.random((HIGH + 40, WIDE + 60, 3)).astype(np.float32), (0, 0), 1.5)
    return (smooth - smooth.min()) / np.ptp(smooth)


def moving(times: np.ndarray) -> np.ndarray:
    """A texture that moves by (3, -2) pixels per frame."""
    shifts = [np.float32([[1, 0, 3 * t - 30], [0, 1, -2 * t - 20]]) for t in times]
    how = cv2.INTER_CUBIC
    frames = [cv2.warpAffine(texture(), shift, (WIDE, HIGH), flags=how) for shift in shifts]
    return np.clip(np.stack(frames), 0, 1)


def square(times: np.ndarray) -> np.ndarray:
    """A bright square that moves to the right over a still, darker texture."""
    ground = 0.2 + 0.3 * texture()[:HIGH, :WIDE]
    frames = np.repeat(ground[None], len(times), axis=0)
    for frame, t in zip(frames, times, strict=True):
        left = round(10 + STEP * t)
        frame[24 : 24 + SIDE, left : left + SIDE] = [0.95, 0.9, 0.2]
    return frames


def square_guide(count: int = 6) -> Guide:
    """The square as a person of a guide, with the exact flow."""
    times = np.arange(count)
    there = square(times)[..., 0] > 0.9
    flow = there[..., None] * np.float32([STEP, 0])
    flow[-1] = 0
    return Guide(
        frames=square(times),
        confidence=np.ones(there.shape, np.float32),
        disocclusion=np.zeros(there.shape, bool),
        layers=there.astype(np.uint8),
        depth=np.zeros(there.shape, np.float32),
        flow=flow.astype(np.float16),
        fps=24.0,
    )


def still(count: int) -> Flows:
    zero, none = np.zeros((count, HIGH, WIDE, 2), np.float32), np.zeros((count, HIGH, WIDE), bool)
    return Flows(zero, zero, none, none)


def test_following_a_flow_is_where_it_leads() -> None:
    ramp = np.tile(np.arange(WIDE, dtype=np.float32), (HIGH, 1))
    flow = np.full((HIGH, WIDE, 2), [2.5, 1.0], np.float32)
    np.testing.assert_allclose(follow(ramp, flow)[:, :-4], ramp[:, :-4] + 2.5, atol=1e-3)
    half = follow(ramp.astype(np.float16), flow.astype(np.float16))  # as Flows has them
    np.testing.assert_array_equal(half, follow(ramp, flow))


def test_estimated_flow_is_that_of_the_texture() -> None:
    flows = clip_flows(moving(np.arange(3)))
    for field, way in ((flows.ahead[:-1], (3, -2)), (flows.behind[1:], (-3, 2))):
        assert np.abs(field[INNER] - way).max() < 0.3 and np.abs(field[INNER] - way).mean() < 0.05
    assert not flows.ahead[-1].any() and not flows.behind[0].any()
    assert flows.hidden_ahead[0, :, -2:].all()  # it leaves the picture on the right
    assert not flows.hidden_ahead[INNER].any() and not flows.hidden_behind[INNER].any()
    flows.plot()


def test_a_guides_flow_is_inverted_and_knows_who_hides_whom() -> None:
    guide = square_guide()
    flows = guide_flows(guide)
    there = guide.layers == 1
    np.testing.assert_allclose(flows.behind[1:, ..., 0][there[1:]], -STEP, atol=0.05)
    assert not flows.behind[..., 1].any()
    covered = ~there[:-1] & there[1:]
    assert flows.hidden_ahead[:-1][covered].all()
    assert flows.hidden_behind[1:][there[:-1] & ~there[1:]].all()
    assert not flows.hidden_ahead[there].any()


@pytest.mark.parametrize("known", [True, False])
def test_a_square_that_moves_leaves_no_trail(known: bool) -> None:
    guide = square_guide()
    flows = guide_flows(guide) if known else clip_flows(guide.frames)
    steadied = steady(guide.frames, flows, detail=0.0)
    trail = np.abs(steadied.frames - guide.frames).max()
    assert trail < (0.03 if known else 0.08)
    blind = steady(guide.frames, still(6), tolerance=10.0, detail=0.0)
    assert (
        np.abs(blind.frames - guide.frames).max() > 0.3
    )  # without flow, hidden and colour: a trail
    steadied.plot()


def test_where_nothing_moves_steadying_is_a_weighted_mean() -> None:
    frames = np.random.default_rng(1).uniform(0.4, 0.6, (7, HIGH, WIDE, 3)).astype(np.float32)
    steadied = steady(frames, still(7), radius=2, tolerance=100.0, detail=0.0)
    weights = np.array([1, 2, 3, 2, 1]) / 9
    np.testing.assert_allclose(steadied.frames[3], np.tensordot(weights, frames[1:6], 1), atol=1e-4)
    np.testing.assert_allclose(steadied.taken[3], 6 / 9, atol=1e-4)
    np.testing.assert_allclose(steadied.taken[0], 3 / 6, atol=1e-4)  # nothing lies before it


def test_flicker_goes_and_detail_stays() -> None:
    times, rng = np.arange(6), np.random.default_rng(2)
    clean = moving(times)
    coarse = [cv2.GaussianBlur(rng.normal(size=clean[0].shape), (0, 0), 5) for _ in times]
    frames = np.clip(clean + 0.25 * np.stack(coarse), 0, 1).astype(np.float32)
    steadied = steady(frames)
    error = [
        np.abs(clip - clean)[1:-1, 10:-10, 10:-10].mean() for clip in (steadied.frames, frames)
    ]
    assert error[0] < 0.75 * error[1]
    energy = [np.square(np.diff(clip, axis=2)).mean() for clip in (steadied.frames, frames)]
    assert energy[0] > 0.96 * energy[1]


def test_large_frames_are_steadied_by_flows_of_small_ones() -> None:
    frames = np.stack(
        [cv2.resize(frame, (3 * LONGEST, 2 * LONGEST)) for frame in moving(np.arange(5))]
    )
    rng = np.random.default_rng(3)
    lamp = rng.uniform(-0.1, 0.1, (5, 1, 1, 1)).astype(np.float32)
    seen = np.clip(0.1 + 0.8 * frames + lamp, 0, 1)
    steadied = steady(seen, tolerance=0.5)
    assert max(steadied.flows.ahead.shape[1:3]) == LONGEST
    assert steadied.frames.shape == seen.shape and steadied.taken.shape == seen.shape[:3]
    off = [np.abs(np.diff((clip - 0.8 * frames).mean(axis=(1, 2, 3)))).mean()
           for clip in (steadied.frames, seen)]  # fmt: skip
    assert off[0] < 0.6 * off[1]  # the lamp flickers less
    fine = [np.square(np.diff(clip, axis=2)).mean() for clip in (steadied.frames, seen)]
    assert fine[0] > 0.97 * fine[1]
    assert steady(seen, steadied.flows, tolerance=0.5).frames == pytest.approx(steadied.frames)
    with pytest.raises(ValueError, match="flows of"):
        interpolate(seen, steadied.flows)


def test_without_neighbours_a_clip_stays_as_it_is() -> None:
    frames = square(np.arange(3))
    np.testing.assert_allclose(steady(frames, radius=0).frames, frames, atol=1e-6)
    np.testing.assert_allclose(steady(frames[:1]).frames, frames[:1], atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 10, 1000), (2, 2, 2000), (4, 15, 40)])
def test_frames_too_small_for_flows_stand_still(shape: tuple[int, int, int]) -> None:
    frames = np.random.default_rng(0).random((*shape, 3)).astype(np.float32)
    steadied = steady(frames)
    assert np.isfinite(steadied.frames).all() and not steadied.flows.ahead.any()


def test_steps_back_and_no_tolerance_are_refused() -> None:
    with pytest.raises(ValueError, match="step=-1"):
        observed_flow(square(np.arange(4)), -1)
    with pytest.raises(ValueError, match="tolerance=0"):
        steady(square(np.arange(4)), tolerance=0.0)


def test_flows_of_another_clip_are_refused() -> None:
    with pytest.raises(ValueError, match=r"flows of \(3, .* for frames of \(4, "):
        steady(square(np.arange(4)), still(3))


def test_a_textures_frames_in_between_are_shifted_by_parts() -> None:
    found = interpolate(moving(np.arange(3)), factor=4)
    truth = moving(np.arange(9) / 4)
    assert found.shape == truth.shape
    assert np.abs(found - truth)[INNER].max() < 0.02
    halves = moving(np.arange(2)).mean(axis=0)
    assert np.abs(halves - truth[2])[10:-10, 10:-10].max() > 0.1  # the plain mean is not


@pytest.mark.parametrize("known", [True, False])
def test_in_between_a_square_is_one_square_halfway(known: bool) -> None:
    guide = square_guide(4)
    flows = guide_flows(guide) if known else clip_flows(guide.frames)
    found, truth = interpolate(guide.frames, flows, factor=2)[1:4], square(np.arange(7) / 2)[1:4]
    assert np.abs(found - truth).mean() < (0.002 if known else 0.004)
    doubled = (guide.frames[:-2] + guide.frames[1:-1]) / 2
    assert np.abs(doubled - truth[::2]).mean() > 0.006


def test_frames_at_whole_times_are_the_clips_own() -> None:
    frames = square(np.arange(4))
    np.testing.assert_array_equal(between(frames, np.array([3.0, 1.0, 1.0])), frames[[3, 1, 1]])
    np.testing.assert_array_equal(interpolate(frames, factor=1), frames)


def test_times_and_factors_that_make_no_sense_are_refused() -> None:
    frames = square(np.arange(3))
    with pytest.raises(ValueError, match=r"times 0 to 2.5: give them from 0 to 2"):
        between(frames, np.array([0.0, 2.5]))
    with pytest.raises(ValueError, match="factor=0"):
        interpolate(frames, factor=0)


def test_what_is_hidden_gives_nothing() -> None:
    frames = np.stack([np.full((HIGH, WIDE, 3), v, np.float32) for v in (0.5, 0.55, 0.5)])
    hidden = np.ones((3, HIGH, WIDE), bool)
    flows = replace(still(3), hidden_ahead=hidden, hidden_behind=hidden)
    steadied = steady(frames, flows)
    np.testing.assert_array_equal(steadied.frames, frames)
    assert not steadied.taken.any()
