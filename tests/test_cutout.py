"""Oracles: drawn people whose coverage of every pixel is known, and the wall behind them."""

import functools

import cv2
import numpy as np
import pytest
from people import Drawing, draw_couple, draw_person, portrait

from kisslab import anatomy as at
from kisslab import zoo
from kisslab.cutout import Cutout, _slope_shoulder, cut_out, fill_background
from kisslab.faces import FaceError, Faces
from kisslab.outline import Outline
from kisslab.photo import load_photo, photo_from_array
from kisslab.studio.portraits import Truth

PERSON = draw_person(size=(224, 200), width=80)
COUPLE = draw_couple(size=(320, 200), width=70, apart=2.1)


@functools.cache
def cut(margin: float = 0.4) -> Cutout:
    return cut_out(PERSON.photo, PERSON.faces, margin)


@functools.cache
def couple_cut() -> Cutout:
    return cut_out(COUPLE.photo, COUPLE.faces)


def inner(cutout: Cutout, person: int = 0) -> np.ndarray:
    """The matte without its margin."""
    m = cutout.margin
    return cutout.alpha[person, m : -m or None, m : -m or None]


def overlap(alpha: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of two mattes."""
    return float(np.sum(np.minimum(alpha, truth)) / np.sum(np.maximum(alpha, truth)))


def head(drawing: Drawing, person: int = 0, grow: float = 1.5) -> np.ndarray:
    """Everything around a face, down to its chin."""
    points = drawing.faces.points[person]
    y, x = np.mgrid[: drawing.photo.rgb.shape[0], : drawing.photo.rgb.shape[1]]
    reach = grow * np.ptp(points[at.OVAL, 0]) / 2
    return (np.abs(x - points[at.NOSE_TIP, 0]) < reach) & (y < points[at.CHIN, 1])


def grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Dilated, or eroded when pixels < 0."""
    change = cv2.dilate if pixels > 0 else cv2.erode
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(pixels) + 1,) * 2)
    return change(mask.astype(np.uint8), disc, borderValue=int(pixels < 0)) > 0


def test_the_matte_is_the_true_coverage() -> None:
    alpha, truth = inner(cut()), PERSON.alphas[0]
    assert overlap(alpha > 0.5, truth > 0.5) > 0.98
    assert overlap(alpha, truth) > 0.9  # its edge is softer than a drawing's
    here = head(PERSON)
    assert overlap(alpha[here] > 0.5, truth[here] > 0.5) > 0.96


def test_the_matte_is_sure_where_the_person_is_and_where_they_are_not() -> None:
    alpha, person = inner(cut()), PERSON.alphas[0] > 0.5
    assert np.percentile(alpha[grown(person, -5)], 1) > 0.9
    assert np.percentile(alpha[~grown(person, 5)], 99) < 0.1


def test_the_person_keeps_their_colour() -> None:
    cutout, m = cut(), cut().margin
    colour = cutout.colour[0, m:-m, m:-m]
    inside = grown(PERSON.alphas[0] > 0.5, -5)
    assert np.abs(colour - PERSON.photo.rgb)[inside].mean() < 0.005
    rim = (PERSON.alphas[0] > 0.2) & (PERSON.alphas[0] < 0.8) & head(PERSON)
    x, y = PERSON.faces.points[0, at.FOREHEAD, :2].astype(int)
    hair = PERSON.photo.rgb[y - 8, x]
    wall = np.median(PERSON.background[rim], axis=0)
    own = np.linalg.norm(colour[rim] - hair, axis=-1)
    assert np.median(own) < 0.3 * np.linalg.norm(wall - hair)  # no wall left in the rim's colour


def test_the_background_is_filled_with_what_is_behind() -> None:
    background, truth = cut().background, PERSON.background
    behind = PERSON.alphas[0] > 0.5
    error = np.abs(background - truth)[behind]
    unfilled = np.abs(PERSON.photo.rgb - truth)[behind]
    assert error.mean() < 0.05  # the wall's own noise is 0.016
    assert error.mean() < 0.2 * unfilled.mean()
    np.testing.assert_allclose(background[:20, :20], PERSON.photo.rgb[:20, :20], atol=1e-6)


def test_what_was_seen_of_the_background_is_marked_as_seen() -> None:
    cutout, truth = cut(), PERSON.alphas[0]
    assert not cutout.seen[truth > 0.5].any()
    assert cutout.seen[~grown(truth > 0.02, 32)].mean() > 0.98  # hair's reach, then a soft rim
    np.testing.assert_allclose(
        cutout.background[cutout.seen], PERSON.photo.rgb[cutout.seen], atol=0.05
    )


@pytest.mark.parametrize("margin", [0.0, 0.25, 0.4])
def test_the_margin_continues_every_side(margin: float) -> None:
    cutout, (height, width) = cut(margin), PERSON.photo.rgb.shape[:2]
    pad = int(margin * max(height, width))
    assert cutout.margin == pad
    assert cutout.alpha.shape == (1, height + 2 * pad, width + 2 * pad)
    assert cutout.background.shape == PERSON.photo.rgb.shape
    expected = np.zeros(cutout.alpha.shape[1:], bool)
    expected[pad : pad + height, pad : pad + width] = True
    np.testing.assert_array_equal(cutout.known[0], expected)


def test_beyond_the_photo_the_chest_goes_on_and_the_air_stays_empty() -> None:
    cutout, m = cut(), cut().margin
    alpha, middle = cutout.alpha[0], m + round(PERSON.faces.points[0, at.CHIN, 0])
    assert alpha[m + PERSON.photo.rgb.shape[0] :, middle].min() > 0.95
    assert alpha[: m - 4].max() < 0.05
    below = cutout.colour[0, -m:, middle]
    cloth = PERSON.photo.rgb[-1, middle - m]
    assert np.abs(below - cloth).mean() < 0.06


def test_the_same_photo_gives_the_same_cut() -> None:
    again = cut_out(PERSON.photo, PERSON.faces, margin=0.4)
    for name, value in cut().items():
        np.testing.assert_array_equal(value, getattr(again, name), err_msg=name)


@pytest.mark.parametrize("person", [0, 1])
def test_two_people_are_kept_apart(person: int) -> None:
    alpha = inner(couple_cut(), person)
    own, other = COUPLE.alphas[person], COUPLE.alphas[1 - person]
    assert overlap(alpha, own) > 0.85  # shoulders that cross are divided down the middle
    assert alpha[head(COUPLE, 1 - person, grow=1.2) & (other == 1)].max() < 0.05
    assert alpha[head(COUPLE, person, grow=1.2) & (own == 1)].min() > 0.5


def test_no_pixel_belongs_to_both_people() -> None:
    both = inner(couple_cut(), 0) + inner(couple_cut(), 1)
    assert np.percentile(both, 99.5) < 1.1


def test_a_plain_wall_is_filled_exactly_and_a_full_picture_with_its_mean() -> None:
    rgb = np.full((60, 80, 3), [0.2, 0.4, 0.6], np.float32)
    person = np.zeros((60, 80), np.float32)
    person[20:, 30:50] = 1
    covered = np.where(person[..., None] > 0, 0.9, rgb).astype(np.float32)
    filled, made_up = fill_background(covered, person)
    np.testing.assert_allclose(filled, rgb, atol=0.02)  # five levels of 255
    assert made_up[person > 0].min() == 1 and made_up[:, :5].max() < 0.01
    filled, made_up = fill_background(rgb, np.ones((60, 80), np.float32))
    np.testing.assert_allclose(filled, rgb, atol=1e-4)
    assert made_up.min() == 1


def test_a_filled_background_says_how_much_of_each_pixel_is_made_up() -> None:
    noise = np.random.default_rng(0).uniform(0, 1, (60, 80, 3)).astype(np.float32)
    person = np.zeros((60, 80), np.float32)
    person[20:, 30:50] = 1
    filled, made_up = fill_background(noise, person)
    change = np.abs(filled - noise).max(-1)
    assert (change <= made_up + 1e-6).all()
    assert change[made_up < 0.05].max() < 0.05 < 0.3 < change[person == 0].max()


def test_a_face_that_fills_the_picture_is_refused() -> None:
    large = draw_person(size=(448, 400), width=160)
    left, top, right, bottom = large.faces.boxes[0]
    inset = 0.25 * (right - left)  # nothing but skin
    left, top, right, bottom = np.round([left + inset, top + inset, right - inset, bottom - inset])
    photo = photo_from_array(large.photo.rgb[int(top) : int(bottom), int(left) : int(right)].copy())
    faces = large.faces.moved(1.0, np.array([-left, -top]))
    said = r"fills the picture: 0 of \d+ x \d+ px can be background; take one with room"
    with pytest.raises(FaceError, match=said):
        cut_out(photo, faces)


def test_a_face_that_is_not_in_the_picture_is_refused() -> None:
    with pytest.raises(FaceError, match=r"0 of 224 x 200 px can be of the face"):
        cut_out(PERSON.photo, PERSON.faces.moved(1.0, np.array([-900.0, -900.0])))


def test_a_matte_of_somebody_else_is_refused() -> None:
    matte = np.zeros((80, 80), np.float32)
    matte[20:60, 20:60] = 1
    with pytest.raises(FaceError, match="the nose at 79, 0 of 80 x 80 px is not in the matte"):
        Outline._piece(matte > 0.8, np.array([95.0, -3.0, 0.0]))


@pytest.mark.parametrize("name", ["single_03", "single_12"])
def test_a_studio_portrait_is_cut_along_its_truth(name: str) -> None:
    path = zoo.data_path(f"portraits/{name}.jpg")
    cutout = cut_out(load_photo(path), Faces.load(path.with_suffix(".faces.npz")))
    truth = Truth.load(path.with_suffix(".truth.npz")).parts > 0
    assert overlap(inner(cutout) > 0.5, truth) > 0.95


def test_a_packaged_couple_is_two_people_apart() -> None:
    path = zoo.data_path("portraits/couple_01.jpg")
    cutout = cut_out(load_photo(path), Faces.load(path.with_suffix(".faces.npz")))
    who = Truth.load(path.with_suffix(".truth.npz")).who
    for person in (0, 1):
        assert overlap(inner(cutout, person) > 0.5, who == person) > 0.9


@pytest.mark.parametrize(("top", "slopes"), [(40, False), (70, True)])
def test_only_what_begins_below_the_chin_is_a_shoulder(top: int, slopes: bool) -> None:
    alpha = np.zeros((100, 60), np.float32)
    alpha[top:, :31] = 1
    _slope_shoulder(alpha, 30, 1, 25, chin=60.0, width=40.0)
    assert alpha[:, 31:].any() == slopes
    assert not alpha[:top, 31:].any()


def test_hair_at_the_edge_makes_no_shoulder_of_what_is_below_it() -> None:
    alpha = np.zeros((100, 60), np.float32)
    alpha[30:50, :31] = alpha[70:, :31] = 1
    _slope_shoulder(alpha, 30, 1, 25, chin=60.0, width=40.0)
    assert not alpha[:, 31:].any()


@pytest.mark.parametrize("name", ["portraits/sfhq_a_14.jpg", "portraits/sfhq_a_05.jpg"])
def test_a_real_portrait_holds_its_face_and_not_its_corners(name: str) -> None:
    photo, faces = portrait(name)
    cutout = cut_out(photo, faces)
    alpha = inner(cutout)
    points = faces.points[0, :, :2].astype(int)
    visible = np.all((points >= 0) & (points < alpha.shape[::-1]), axis=1)
    x, y = points[visible].T
    assert np.mean(alpha[y, x] > 0.9) > 0.93
    assert np.mean([alpha[:20, :20], alpha[:20, -20:]]) < 0.1
    assert 0.2 < alpha.mean() < 0.8
    sharp = np.mean((alpha > 0.05) & (alpha < 0.95))
    assert sharp < 0.2  # a matte decides, save for hair
