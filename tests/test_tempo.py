"""An even pace: the same way, from start to end, with less hurry and as much rest."""

import numpy as np
import people
import pytest

from kisslab.contact import planned_points
from kisslab.faces import Faces
from kisslab.motion import Motion, motion_from_keyframes
from kisslab.plan import plan_kiss
from kisslab.tempo import even_times, pace, perceived_speed


@pytest.fixture(scope="module")
def faces() -> Faces:
    return people.draw_couple(size=(320, 200)).faces


def roughness(speed: np.ndarray) -> float:
    """Mean change of speed from frame to frame, over the mean speed."""
    return float(np.abs(np.diff(speed)).mean() / speed.mean())


def hurried(faces: Faces) -> Motion:
    """A plan in which half of the way is jumped in a moment."""
    keys = plan_kiss(faces, seconds=3.0).keyframes
    gap = keys.track(-1, "gap")
    middle = (gap.values[0] + gap.values[-1]) / 2
    start = (gap.times[0] + gap.times[-1]) / 2
    keys = keys.with_key(-1, "gap", start, gap.values[0]).with_key(-1, "gap", start + 0.15, middle)
    return motion_from_keyframes(keys, faces)


def test_a_hurried_plan_gets_smooth(faces: Faces) -> None:
    paced = pace(hurried(faces), faces)
    assert roughness(paced.after) < 0.75 * roughness(paced.before)
    assert paced.after.max() < 0.75 * paced.before.max()
    paced.plot()


def test_it_stays_the_same_way_from_the_same_start_to_the_same_end(faces: Faces) -> None:
    motion = hurried(faces)
    paced = pace(motion, faces)
    assert paced.times[0] == 0 and paced.times[-1] == pytest.approx(len(motion.gap) - 1)
    assert np.all(np.diff(paced.times) > 0)
    for name in ("position", "angles", "eyelids", "gap"):
        old, new = getattr(motion, name), getattr(paced.motion, name)
        np.testing.assert_allclose(new[[0, -1]], old[[0, -1]], atol=1e-9)
        assert new.min() >= old.min() - 1e-9 and new.max() <= old.max() + 1e-9
    apart = np.diff(paced.motion.position, axis=1)[:, 0]
    np.testing.assert_allclose(np.linalg.norm(apart, axis=1), paced.motion.gap, atol=1e-3)
    at = int(np.argmin(np.abs(paced.times - len(motion.gap) // 2)))
    near = motion.pick([int(np.rint(paced.times[at]))])
    away = planned_points(paced.motion.pick([at]), faces) - planned_points(near, faces)
    assert np.abs(away).max() < np.abs(np.diff(planned_points(motion, faces), axis=0)).max()


def test_the_kiss_keeps_its_time(faces: Faces) -> None:
    motion = plan_kiss(faces, "peck", seconds=2.5)
    paced = pace(motion, faces).motion
    touching = [plan.phases.count("contact") for plan in (motion, paced)]
    assert abs(touching[1] - touching[0]) <= 0.25 * touching[0]
    assert len(paced.gap) == len(motion.gap)


def test_even_speed_and_no_speed_stay_as_they_are() -> None:
    for speed in (np.full(20, 3.0), np.zeros(20)):
        np.testing.assert_allclose(even_times(speed, 24.0), np.arange(20), atol=1e-9)


def test_one_frame_stays_as_it_is(faces: Faces) -> None:
    one = plan_kiss(faces).pick([3])
    paced = pace(one, faces)
    assert paced.motion is one
    np.testing.assert_array_equal(paced.times, [0])
    np.testing.assert_array_equal(even_times(np.array([3.0]), 24.0), [0])
    flow, people_ = np.ones((1, 8, 10, 2), np.float32), np.ones((1, 8, 10), bool)
    np.testing.assert_array_equal(perceived_speed(flow, people_), [0])


def test_a_fast_moment_lasts_longer_and_no_longer_than_allowed() -> None:
    speed = np.ones(49)
    speed[24] = 30
    times = even_times(speed, 24.0, most=2.0)
    slowest = np.diff(times).argmin()
    assert abs(times[slowest] - 24) < 1.5
    assert np.diff(times).min() > 0.9 * 0.5 and np.diff(times).max() < 2.2


@pytest.mark.parametrize(
    "options",
    [{"most": 0}, {"most": 0.9}, {"most": np.nan}, {"over": 0}, {"over": -1}, {"over": np.inf}],
)
def test_a_pace_that_cannot_be_is_refused(options: dict[str, float], faces: Faces) -> None:
    (said,) = (f"{name}={value}" for name, value in options.items())
    with pytest.raises(ValueError, match=f"{said}.*: give some seconds, and a factor from 1 on"):
        even_times(np.arange(9.0), 24.0, **options)
    with pytest.raises(ValueError, match=said):
        pace(plan_kiss(faces), faces, **options)


def test_perceived_speed_is_that_of_people() -> None:
    flow = np.zeros((3, 8, 10, 2), np.float32)
    flow[:2, :, :5] = [3, 4]
    people_ = np.zeros((3, 8, 10), bool)
    people_[:, 2:4, 2:5] = True
    np.testing.assert_allclose(perceived_speed(flow, people_), [5, 5, 5])
    np.testing.assert_allclose(perceived_speed(flow, ~people_ & False), 0)
