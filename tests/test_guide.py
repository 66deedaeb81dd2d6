"""Oracles: the photo itself, the plan's own geometry, and people drawn with known colours."""

import functools
import itertools
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from people import Drawing, draw_couple, portrait_couple, psnr, true_cutout

from kisslab import anatomy as at
from kisslab.contact import placed_points
from kisslab.guide import LEAN, Guide, GuideFrame, draw_guide, guide_frames
from kisslab.motion import TOUCH, Motion
from kisslab.plan import plan_kiss

COUPLE = draw_couple(size=(320, 200), width=72)
CUTOUT = true_cutout(COUPLE)


@functools.cache
def plan(style: str = "tender") -> Motion:
    return plan_kiss(COUPLE.faces, style, seconds=1.0, fps=12.0)


@functools.cache
def guide() -> Guide:
    return draw_guide(COUPLE.photo, COUPLE.faces, plan(), CUTOUT)


def stern(motion: Motion) -> Motion:
    """The same plan with faces as they were photographed."""
    none = np.zeros_like(motion.eyelids)
    parting = np.broadcast_to(COUPLE.faces.mouth_openness, none.shape)
    return replace(
        motion,
        eyelids=none,
        pucker=none,
        parting=parting,
        gaze=np.zeros_like(motion.gaze),
        breath=none,
    )


def posed(position: np.ndarray, angles: np.ndarray, frames: int = 1) -> Motion:
    """Two people who stay where they are; position: 2 3, inter-ocular distances; angles: 2 3."""
    motion = stern(plan())
    picked = {
        name: getattr(motion, name)[:frames]
        for name in ("eyelids", "pucker", "parting", "gaze", "breath", "gap")
    }
    return replace(
        motion,
        position=np.tile(position, (frames, 1, 1)),
        angles=np.tile(angles, (frames, 1, 1)),
        phases=motion.phases[:frames],
        **picked,
    )


@functools.cache
def stern_guide() -> Guide:
    return draw_guide(COUPLE.photo, COUPLE.faces, stern(plan()), CUTOUT)


def faces_mask(drawing: Drawing = COUPLE) -> np.ndarray:
    mask = np.zeros(drawing.photo.rgb.shape[:2], np.uint8)
    for points in drawing.faces.points:
        cv2.fillConvexPoly(mask, points[at.OVAL, :2].astype(np.int32), 1)
    return mask > 0


def test_the_first_frame_is_the_photo() -> None:
    first = guide().frames[0]
    assert psnr(first, COUPLE.photo.rgb) > 27
    face = faces_mask()
    assert psnr(first[face], COUPLE.photo.rgb[face]) > 33
    still = guide().layers[0] == 0
    assert psnr(first[still], COUPLE.photo.rgb[still]) > 24


def test_the_first_frame_of_portraits_is_their_composite() -> None:
    couple = portrait_couple()
    motion = plan_kiss(couple.faces, seconds=0.5, fps=8.0)
    first = next(guide_frames(couple.photo, couple.faces, motion, couple.cutout))
    assert psnr(first.rgb, couple.photo.rgb) > 28
    person = first.confidence > 0.9
    assert person.mean() > 0.3
    assert psnr(first.rgb[person], couple.photo.rgb[person]) > 30


def test_where_nothing_moves_nothing_changes() -> None:
    motion = posed(plan().position[0], COUPLE.faces.angles, frames=3)
    still = draw_guide(COUPLE.photo, COUPLE.faces, motion, CUTOUT)
    for name in ("frames", "confidence", "layers", "depth"):
        value = getattr(still, name)
        np.testing.assert_array_equal(value[1:], np.broadcast_to(value[0], value[1:].shape))
    np.testing.assert_allclose(still.flow, 0, atol=1e-6)


def test_the_flow_leads_every_point_to_itself() -> None:
    frames, flow, layers = stern_guide().frames, stern_guide().flow, stern_guide().layers
    y, x = np.mgrid[: frames.shape[1], : frames.shape[2]].astype(np.float32)
    for t in (2, 3, 4, 5):
        there = x + flow[t, ..., 0], y + flow[t, ..., 1]
        back = cv2.remap(frames[t + 1], *there, cv2.INTER_LINEAR)
        layer = cv2.remap(layers[t + 1].astype(np.float32), *there, cv2.INTER_NEAREST)
        person = cv2.erode((layers[t] > 0).astype(np.uint8), np.ones((5, 5))) > 0
        same = person & (layer == layers[t]) & (stern_guide().confidence[t] > 0.3)
        assert same.sum() > 5000
        moved = np.abs(back - frames[t])[same].mean()
        unmoved = np.abs(frames[t + 1] - frames[t])[same].mean()
        assert moved < 0.02
        assert moved < 0.5 * unmoved


def test_the_flow_is_the_plan_s_own_motion_of_the_landmarks() -> None:
    motion, drawn = stern(plan()), stern_guide()
    errors, steps = [], []
    for t in (2, 4):
        here, there = (placed_points(motion, COUPLE.faces, f) * motion.unit for f in (t, t + 1))
        for person in (0, 1):
            place = here[person] + [*motion.origin, 0]
            x, y = np.round(place[:, :2]).astype(int).T
            seen = drawn.layers[t, y, x] == person + 1
            seen &= (
                np.abs(drawn.depth[t, y, x] - place[:, 2]) < 2
            )  # pixels: not hidden by another part
            wanted = (there - here)[person, :, :2][seen]
            errors.append(np.linalg.norm(drawn.flow[t, y, x][seen] - wanted, axis=-1))
            steps.append(np.linalg.norm(wanted, axis=-1))
    errors, steps = np.concatenate(errors), np.concatenate(steps)
    assert len(errors) > 300
    assert np.median(steps) > 2  # pixels a frame: there is something to follow
    assert np.median(errors) < 0.15
    assert np.percentile(errors, 95) < 0.1 * np.percentile(steps, 95) + 0.5


def test_shoulders_follow_a_head_by_their_share() -> None:
    motion = posed(plan().position[0], COUPLE.faces.angles, frames=2)
    step = 0.3  # inter-ocular distances
    position = motion.position + np.array([[[0.0] * 3] * 2, [[step, 0.0, 0.0]] * 2])
    flow = next(
        guide_frames(COUPLE.photo, COUPLE.faces, replace(motion, position=position), CUTOUT)
    ).flow
    x, y = COUPLE.faces.points[:, at.NOSE_TIP, :2].astype(int).T
    np.testing.assert_allclose(flow[y, x], [[step * motion.unit, 0]] * 2, atol=0.01)
    chest = flow[COUPLE.photo.rgb.shape[0] - 3, x]
    np.testing.assert_allclose(chest, [[LEAN * step * motion.unit, 0]] * 2, atol=0.01)


@pytest.mark.parametrize("nearer", [0, 1])
def test_the_nearer_person_is_in_front(nearer: int) -> None:
    depth = np.array([0.5, 0.5])
    depth[nearer] = -0.5
    position = np.array([[-0.25, 0.0, depth[0]], [0.25, 0.0, depth[1]]])
    motion = posed(position, COUPLE.faces.angles)
    frame = next(guide_frames(COUPLE.photo, COUPLE.faces, motion, CUTOUT))
    x, y = np.round(motion.origin).astype(int)
    middle = frame.layer[y - 15 : y + 5, x - 4 : x + 5]
    assert (middle == nearer + 1).all()
    assert {1, 2} <= set(np.unique(frame.layer))
    away = next(
        guide_frames(
            COUPLE.photo,
            COUPLE.faces,
            posed(position + np.array([0, 0, 2.0]), COUPLE.faces.angles),
            CUTOUT,
        )
    )
    np.testing.assert_allclose(
        away.depth[y, x] - frame.depth[y, x], 2 * motion.unit, rtol=1e-3
    )  # depth is in pixels


def test_depth_is_there_exactly_where_a_person_is() -> None:
    np.testing.assert_array_equal(np.isfinite(guide().depth), guide().layers > 0)
    assert set(np.unique(guide().layers)) == {0, 1, 2}
    heads = guide().layers[0, :120]  # above the shoulders each is on their own side
    assert not (heads[:, :160] == 2).any()
    assert not (heads[:, 160:] == 1).any()


def test_completed_sides_have_no_confidence_and_faces_have() -> None:
    t = plan().contact
    row = round(plan().origin[1] - 0.6 * plan().unit)
    for person, order in ((1, 1), (2, -1)):
        columns = np.flatnonzero(guide().layers[t, row] == person)[::order]
        back = columns[2:10]  # the back of the head: this person looks the other way
        assert guide().confidence[t, row, back].max() < 0.05
        assert guide().disocclusion[t, row, back].all()
    x, y = np.round(COUPLE.faces.points[:, 50, :2]).astype(int).T
    assert guide().confidence[0, y, x].min() > 0.6
    assert guide().confidence[t].mean() < guide().confidence[0].mean()


def test_a_head_that_has_not_turned_is_known_as_the_photo_shows_it() -> None:
    first = guide()
    people = (CUTOUT.alpha > 0.99).any(axis=0) & (first.layers[0] > 0)
    assert np.mean(first.confidence[0][people] > 0.9) > 0.9
    contact = plan().contact
    turned = people & (first.layers[contact] > 0)
    assert np.mean(first.confidence[contact][turned] > 0.9) < 0.8


def test_the_background_is_sure_exactly_where_the_photo_showed_it() -> None:
    seen = np.broadcast_to(CUTOUT.seen, guide().layers.shape)
    ground = guide().layers == 0
    np.testing.assert_array_equal(guide().confidence[ground], seen[ground].astype(np.float32))
    assert (ground & ~seen).sum() > 500  # somebody has moved and left a hole
    np.testing.assert_array_equal(guide().flow[ground], 0)


def test_moved_lids_and_lips_are_less_sure() -> None:
    eyes = np.round(COUPLE.faces.points[:, at.RIGHT_IRIS[0], :2]).astype(int)
    motion = posed(plan().position[0], COUPLE.faces.angles)
    closed = replace(motion, eyelids=np.ones_like(motion.eyelids))
    open_eyes, shut = (
        next(guide_frames(COUPLE.photo, COUPLE.faces, m, CUTOUT)) for m in (motion, closed)
    )
    x, y = eyes.T
    assert (shut.confidence[y, x] < open_eyes.confidence[y, x] - 0.2).all()
    assert (open_eyes.rgb[y, x].max(-1) < 0.3).all() and (shut.rgb[y, x].max(-1) > 0.5).all()
    x, y = COUPLE.faces.points[:, at.FOREHEAD, :2].astype(int).T
    np.testing.assert_allclose(shut.confidence[y + 3, x], open_eyes.confidence[y + 3, x])


@pytest.mark.parametrize("style", ["peck", "tender", "french"])
def test_drawn_lips_meet_at_contact(style: str) -> None:
    motion = plan(style)
    frame = frame_of(motion, motion.contact)
    assert motion.gap[motion.contact] <= TOUCH
    lips = [np.argwhere(red_near(frame, person, motion)) for person in (1, 2)]
    assert min(map(len, lips)) > 5
    distance = np.linalg.norm(lips[0][:, None] - lips[1], axis=-1).min() - 1  # neighbours touch
    assert distance <= 0.05 * motion.unit


def frame_of(motion: Motion, t: int) -> GuideFrame:
    frames = guide_frames(COUPLE.photo, COUPLE.faces, motion, CUTOUT)
    return next(itertools.islice(frames, t, None))


def red_near(frame: GuideFrame, person: int, motion: Motion) -> np.ndarray:
    """A person's drawn lips, which are the only red thing near the place where they should meet."""
    y, x = np.mgrid[: frame.layer.shape[0], : frame.layer.shape[1]]
    near = np.hypot(x - motion.origin[0], y - motion.origin[1]) < 0.4 * motion.unit
    red = frame.rgb[..., 1] < 0.58 * frame.rgb[..., 0]
    return red & near & (frame.layer == person)


def test_frames_are_pictures_and_the_last_flow_is_zero() -> None:
    assert guide().frames.shape == (12, *COUPLE.photo.rgb.shape)
    assert guide().frames.min() >= 0 and guide().frames.max() <= 1
    assert guide().confidence.min() >= 0 and guide().confidence.max() <= 1
    np.testing.assert_array_equal(guide().flow[-1], 0)
    assert guide().fps == plan().fps


def test_frames_one_by_one_are_the_guide() -> None:
    names = ("rgb", "confidence", "disocclusion", "layer", "depth", "flow")
    fields = ("frames", "confidence", "disocclusion", "layers", "depth", "flow")
    frames = list(guide_frames(COUPLE.photo, COUPLE.faces, plan(), CUTOUT))
    for one, all_of_them in zip(names, fields, strict=True):
        together = np.stack([getattr(frame, one) for frame in frames])
        kept = getattr(guide(), all_of_them)  # some maps are kept in half precision
        np.testing.assert_array_equal(together.astype(kept.dtype), kept, err_msg=one)


def test_without_a_cutout_one_is_made() -> None:
    motion = posed(plan().position[0], COUPLE.faces.angles)
    frame = draw_guide(COUPLE.photo, COUPLE.faces, motion).frames[0]
    face = faces_mask()
    assert psnr(frame[face], COUPLE.photo.rgb[face]) > 30


def seconds_for(drawing: Drawing, frames: int) -> float:
    """Processor time of so many frames after the first, the least of two."""
    motion, cutout = plan_kiss(drawing.faces, seconds=2.0, fps=12.0), true_cutout(drawing)
    times = []
    for _ in range(2):
        drawn = guide_frames(drawing.photo, drawing.faces, motion, cutout)
        next(drawn)
        start = time.process_time()
        for _ in itertools.islice(drawn, frames):
            pass
        times.append(time.process_time() - start)
        drawn.close()
    return min(times)


def test_cost_grows_with_frames_and_pixels_and_not_faster() -> None:
    small, large = draw_couple((160, 100), 36), draw_couple((320, 200), 72)
    few, many = seconds_for(large, 4), seconds_for(large, 12)
    assert 1.8 < many / few < 5  # 3 if linear, 9 if quadratic
    assert few / seconds_for(small, 4) < 7  # four times the pixels; 16 if quadratic
