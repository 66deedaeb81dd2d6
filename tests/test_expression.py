"""Oracles: a drawn face, whose irises, lips and gap can be counted in pixels."""

import cv2
import numpy as np
import pytest
from people import Drawing, draw_person

from kisslab import anatomy as at
from kisslab.expression import EYEBALL, KISS_WIDTH, express, paint

PERSON = draw_person(size=(360, 360), width=200)
TALKING = draw_person(size=(360, 360), width=200, parting=0.12)
RNG = np.random.default_rng(0)


def acted(drawing: Drawing = PERSON, **how: object) -> np.ndarray:
    return express(drawing.photo.rgb, drawing.faces.points[0], **how)


def points(drawing: Drawing = PERSON) -> np.ndarray:
    return drawing.faces.points[0]


def near(drawing: Drawing, index: np.ndarray, grow: int = 0) -> np.ndarray:
    """A mask of the hull of some landmarks."""
    hull = cv2.convexHull(np.round(points(drawing)[index, :2]).astype(np.int32))
    mask = cv2.fillConvexPoly(np.zeros(drawing.photo.rgb.shape[:2], np.uint8), hull, 1)
    return cv2.dilate(mask, np.ones((2 * grow + 1, 2 * grow + 1))) > 0


def dark(rgb: np.ndarray) -> np.ndarray:
    return rgb.max(-1) < 0.25


def red(rgb: np.ndarray) -> np.ndarray:
    """Lips: skin's green is 0.78 of its red, the lips' 0.39, whatever the shade."""
    return rgb[..., 1] < 0.55 * rgb[..., 0]


def middle_of(mask: np.ndarray) -> np.ndarray:
    """(x, y) of a mask's centre."""
    return np.argwhere(mask).mean(0)[::-1]


def test_no_expression_leaves_every_pixel() -> None:
    np.testing.assert_array_equal(acted(), PERSON.photo.rgb)
    still = acted(eyelids=0.0, pucker=0.0, parting=None, gaze=(0.0, 0.0))
    np.testing.assert_array_equal(still, PERSON.photo.rgb)


def test_the_texture_given_is_not_written_to() -> None:
    before = PERSON.photo.rgb.copy()
    acted(eyelids=1.0, pucker=1.0, parting=0.1, gaze=(10.0, 5.0))
    np.testing.assert_array_equal(PERSON.photo.rgb, before)


@pytest.mark.parametrize("eye", [0, 1])
def test_closed_lids_leave_neither_iris_nor_white(eye: int) -> None:
    upper, lower, _, _ = at.EYES[eye]
    inside = near(PERSON, np.r_[upper, lower])
    white = PERSON.photo.rgb[..., 2] > 0.8
    assert (dark(PERSON.photo.rgb) & inside).sum() > 80  # they were there
    assert (white & inside).sum() > 80
    closed = acted(eyelids=1.0)
    assert (dark(closed) & inside).sum() == 0
    assert ((closed[..., 2] > 0.8) & inside).sum() <= 0.03 * inside.sum()


def test_lids_close_as_far_as_they_are_told() -> None:
    upper, lower, _, iris = at.EYES[0]
    inside = near(PERSON, np.r_[upper, lower], grow=2)
    column = round(points()[iris[0], 0])

    def opening(rgb: np.ndarray) -> int:
        return int((dark(rgb) & inside)[:, column].sum())

    heights = [opening(acted(eyelids=e)) for e in (0.0, 0.25, 0.5, 0.75)]
    top, bottom = points()[upper[4], 1], points()[lower[4], 1]
    iris_bottom = points()[iris[0], 1] + 0.04 * 200
    for height, e in zip(heights, (0.0, 0.25, 0.5, 0.75), strict=True):
        lid = top + 1.04 * e * (bottom - top)
        iris_top = max(lid, points()[iris[0], 1] - 0.04 * 200)
        assert height == pytest.approx(max(0, min(bottom, iris_bottom) - iris_top), abs=1.6)
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize("brow", [at.RIGHT_BROW, at.LEFT_BROW])
def test_closing_the_lids_does_not_move_the_brow(brow: np.ndarray) -> None:
    around = near(PERSON, brow, grow=6)
    hair = PERSON.photo.rgb[..., 0] < 0.5
    closed = acted(eyelids=1.0)[..., 0] < 0.5
    shift = middle_of(closed & around) - middle_of(hair & around)
    assert np.abs(shift).max() < 0.005 * 200
    above = np.zeros_like(around)
    above[: int(points()[brow, 1].min()) - 2] = True
    np.testing.assert_array_equal(acted(eyelids=1.0)[above], PERSON.photo.rgb[above])


@pytest.mark.parametrize("drawing", [PERSON, TALKING], ids=["closed mouth", "open mouth"])
@pytest.mark.parametrize("parting", [0.0, 0.05, 0.1, 0.2])
def test_lips_part_as_far_as_they_are_told(drawing: Drawing, parting: float) -> None:
    inside = near(drawing, at.LIPS, grow=12)
    moved = acted(drawing, parting=parting)
    column = round(points(drawing)[13, 0])
    gap = (dark(moved) & inside)[:, column].sum() / drawing.faces.iod[0]
    assert gap == pytest.approx(parting, abs=0.018)  # 2 pixels


@pytest.mark.parametrize("parting", [0.0, 0.2])
def test_parting_lips_keep_their_red_and_leave_nose_and_chin(parting: float) -> None:
    inside = near(TALKING, at.LIPS, grow=15)
    before, moved = TALKING.photo.rgb, acted(TALKING, parting=parting)
    column = round(points(TALKING)[13, 0])
    red_before = (red(before) & ~dark(before) & inside)[:, column].sum()
    assert (red(moved) & ~dark(moved) & inside)[:, column].sum() == pytest.approx(
        red_before, rel=0.35
    )
    beyond = np.ones_like(inside)
    beyond[int(points(TALKING)[at.NOSE_BASE, 1]) : int(points(TALKING)[at.CHIN, 1]) + 1] = False
    np.testing.assert_array_equal(moved[beyond], before[beyond])


@pytest.mark.parametrize("pucker", [0.5, 1.0])
def test_puckered_lips_have_the_width_of_a_kiss(pucker: float) -> None:
    wide = draw_person(size=(360, 360), width=200, mouth=0.40)
    inside = near(wide, at.LIPS, grow=10)
    was = np.ptp(np.flatnonzero((red(wide.photo.rgb) & inside).any(0)))
    lips = red(acted(wide, pucker=pucker)) & inside
    width = np.ptp(np.flatnonzero(lips.any(0)))
    wanted = was + pucker * (KISS_WIDTH * wide.faces.iod[0] - was)
    assert width == pytest.approx(wanted, rel=0.08)
    assert middle_of(lips)[0] == pytest.approx(points(wide)[13, 0], abs=1.5)


@pytest.mark.parametrize("gaze", [(18.0, 0.0), (-18.0, 0.0), (0.0, 8.0), (0.0, -8.0)])
def test_eyes_look_where_they_are_told(gaze: tuple[float, float]) -> None:
    for upper, lower, _, _ in at.EYES:
        inside = near(PERSON, np.r_[upper, lower])
        looked = acted(gaze=gaze)
        shift = middle_of(dark(looked) & inside) - middle_of(dark(PERSON.photo.rgb) & inside)
        half = np.linalg.norm(points()[upper[0], :2] - points()[upper[-1], :2]) / 2
        ball = EYEBALL * half * np.sin(np.radians(gaze)) * [1, -1]  # y goes down
        axis = int(np.argmax(np.abs(gaze)))
        # Lids hide most of an iris that looks up or down: its visible part moves less than it does.
        least = (0.55, 0.15)[axis]
        assert least < shift[axis] / ball[axis] < 1.2
        assert abs(shift[1 - axis]) < 0.15 * abs(ball[axis]) + 0.3


def test_each_part_changes_only_its_own_part_of_the_face() -> None:
    below_eyes = slice(int(points()[at.NOSE_BASE, 1]), None)
    above_mouth = slice(0, int(points()[at.NOSE_TIP, 1]))
    eyes, mouth = acted(eyelids=1.0, gaze=(10.0, 0.0)), acted(parting=0.1)
    np.testing.assert_array_equal(eyes[below_eyes], PERSON.photo.rgb[below_eyes])
    np.testing.assert_array_equal(mouth[above_mouth], PERSON.photo.rgb[above_mouth])
    both = acted(eyelids=1.0, gaze=(10.0, 0.0), parting=0.1)
    np.testing.assert_allclose(both, eyes + mouth - PERSON.photo.rgb, atol=1e-5)


def test_overlapping_regions_do_not_undo_each_other() -> None:
    texture = RNG.uniform(0, 1, (20, 30, 3)).astype(np.float32)
    still = np.zeros((20, 20, 3), np.float32)
    still[..., 2] = 1
    one, two = still.copy(), still.copy()
    one[:, 12:16, 0] = 2  # both boxes hold columns 10 to 20, each moves its own part of them
    two[:, 7:9, 1] = -1
    two[:, 7:9, 2] = 0.5
    target = texture.copy()
    paint(target, texture, [((0, 0, 20, 20), one), ((10, 0, 30, 20), two)])
    expected = texture.copy()
    expected[:, 12:16] = texture[:, 14:18]
    expected[1:, 17:19] = 0.5 * texture[:-1, 17:19]
    np.testing.assert_allclose(target[1:], expected[1:], atol=1e-5)


def test_regions_at_rest_are_written_back() -> None:
    texture = RNG.uniform(0, 1, (20, 20, 3)).astype(np.float32)
    target = np.zeros_like(texture)
    still = np.zeros((10, 10, 3), np.float32)
    still[..., 2] = 1
    paint(target, texture, [((5, 5, 15, 15), still)])
    np.testing.assert_array_equal(target[5:15, 5:15], texture[5:15, 5:15])
    assert target.sum() == pytest.approx(texture[5:15, 5:15].sum(), rel=1e-5)


def test_a_leaning_head_acts_as_an_upright_one() -> None:
    how = dict(eyelids=0.7, parting=0.08, pucker=0.5)
    upright = acted(**how)
    height, width = upright.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 20, 1)
    turned_points = points().copy()
    turned_points[:, :2] = points()[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    turned = cv2.warpAffine(PERSON.photo.rgb, matrix, (width, height), flags=cv2.INTER_CUBIC)
    result = express(np.clip(turned, 0, 1), turned_points, **how)
    expected = cv2.warpAffine(upright, matrix, (width, height), flags=cv2.INTER_CUBIC)
    face = cv2.erode(
        cv2.warpAffine(near(PERSON, at.OVAL).astype(np.uint8), matrix, (width, height)),
        np.ones((9, 9)),
    )
    difference = np.abs(result - expected)[face > 0]
    untouched = np.abs(turned - expected)[face > 0]
    assert difference.mean() < 0.004
    assert difference.mean() < 0.2 * untouched.mean()


def test_a_face_at_the_edge_of_the_picture_is_no_error() -> None:
    corner = draw_person(size=(120, 120), width=90, centre=(10, 8))
    out = acted(corner, eyelids=1.0, parting=0.1, pucker=1.0, gaze=(5.0, 5.0))
    assert out.shape == corner.photo.rgb.shape
    assert out.min() >= 0 and out.max() <= 1


@pytest.mark.parametrize("centre", [(-70, 60), (190, 60), (60, -110), (60, 220), (-200, -200)])
def test_parts_off_the_picture_are_left_out(centre: tuple[int, int]) -> None:
    beyond = draw_person(size=(120, 120), width=90, centre=centre)
    out = acted(beyond, eyelids=1.0, parting=0.1, pucker=1.0, gaze=(5.0, 5.0))
    assert out.shape == beyond.photo.rgb.shape and np.isfinite(out).all()
    moved = np.any(out != beyond.photo.rgb, axis=-1)
    shown = near(beyond, np.r_[at.LIPS, at.GROUPS["right eye"], at.GROUPS["left eye"]], grow=25)
    assert not moved[~shown].any()


def test_each_eye_keeps_its_own_brow_however_far_the_head_is_turned() -> None:
    """In profile both eyes lie on one side of the nose's root."""
    frontal = points().copy()
    frontal[at.RIGHT_BROW, 1] -= 12  # brows that differ, lest it does not matter whose is taken
    profile = frontal.copy()
    profile[168, 0] = profile[:, 0].max()
    one, two = (express(PERSON.photo.rgb, face, eyelids=1.0) for face in (frontal, profile))
    np.testing.assert_array_equal(one, two)
