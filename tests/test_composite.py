"""Oracles: the sources' own pixels and points, moved by the stated scales and shifts."""

import functools
from dataclasses import replace

import cv2
import numpy as np
import pytest
from people import Drawing, as_faces, draw_person, portrait_couple

from kisslab import anatomy as at
from kisslab.composite import (
    ASPECT,
    EYE_LINE,
    FACE_SHARE,
    LOOKING_AWAY,
    MOST_GAIN,
    Composite,
    compose,
)
from kisslab.faces import Faces
from kisslab.photo import Photo, photo_from_array

SMALL = draw_person(size=(200, 180), width=70, cloth=(0.12, 0.22, 0.55), seed=5)
LARGE = draw_person(size=(300, 320), width=120, centre=(140, 150))
WARM = np.array([1.0, 0.86, 0.7])  # a lamp's light over the larger portrait


def lit(drawing: Drawing, light: np.ndarray) -> Photo:
    return photo_from_array((drawing.photo.rgb * light).astype(np.float32), "lit")


def composed(
    a: Photo, b: Photo, faces_a: Faces, faces_b: Faces, height: int | None = 200
) -> Composite:
    known = {a.sha256: faces_a, b.sha256: faces_b}
    return compose(a, b, height=height, find=lambda photo: known[photo.sha256])


@functools.cache
def drawn() -> Composite:
    """A small portrait in daylight on the left, a large one by lamplight on the right."""
    return composed(SMALL.photo, lit(LARGE, WARM), SMALL.faces, LARGE.faces)


@functools.cache
def real() -> Composite:
    return portrait_couple()


@pytest.fixture(params=["drawn", "real"])
def couple(request: pytest.FixtureRequest) -> Composite:
    return drawn() if request.param == "drawn" else real()


def face_sizes(faces: Faces) -> np.ndarray:
    """Geometric mean of height and width, each person: what the scales are to make equal."""
    height = np.linalg.norm(faces.points[:, at.CHIN] - faces.points[:, at.FOREHEAD], axis=-1)
    width = np.linalg.norm(
        faces.points[:, at.LEFT_TRAGUS] - faces.points[:, at.RIGHT_TRAGUS], axis=-1
    )
    return np.sqrt(height * width)


def crop(rgb: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A face between its outer points, 64 pixels square."""
    left, top = points[at.OVAL, :2].min(0)
    right, bottom = points[at.OVAL, :2].max(0)
    corners = np.array([[left, top], [right, top], [left, bottom]], np.float32)
    square = np.array([[0, 0], [63, 0], [0, 63]], np.float32)
    return cv2.warpAffine(
        rgb, cv2.getAffineTransform(corners, square), (64, 64), flags=cv2.INTER_AREA
    )


def test_faces_are_of_one_size(couple: Composite) -> None:
    sizes = face_sizes(couple.faces)
    assert sizes[0] == pytest.approx(sizes[1], rel=0.01)
    share = np.linalg.norm(
        couple.faces.points[:, at.CHIN] - couple.faces.points[:, at.FOREHEAD], axis=-1
    )
    np.testing.assert_allclose(share / couple.photo.rgb.shape[0], FACE_SHARE, rtol=0.12)


def test_drawn_faces_that_differ_only_in_scale_get_equal_heights() -> None:
    points = drawn().faces.points
    heights = np.linalg.norm(points[:, at.CHIN] - points[:, at.FOREHEAD], axis=-1)
    assert heights[0] == pytest.approx(heights[1], rel=0.01)
    assert drawn().scales[0] / drawn().scales[1] == pytest.approx(120 / 70, rel=0.01)


def test_eyes_lie_on_one_line(couple: Composite) -> None:
    eyes = couple.faces.points[:, [at.RIGHT_EYE_OUTER, at.LEFT_EYE_OUTER], 1].mean(1)
    np.testing.assert_allclose(eyes, EYE_LINE * couple.photo.rgb.shape[0], atol=0.01)


def test_the_two_stand_about_the_picture_s_middle(couple: Composite) -> None:
    sides = couple.faces.points[:, [at.RIGHT_TRAGUS, at.LEFT_TRAGUS], 0]
    assert sides.mean() == pytest.approx(couple.photo.rgb.shape[1] / 2, abs=0.01)


def test_points_and_pixels_obey_the_stated_transforms(couple: Composite) -> None:
    for i in (0, 1):
        there = couple.source_faces[i].points[0]
        here = there * couple.scales[i] + [*couple.shifts[i], 0]
        np.testing.assert_allclose(couple.faces.points[i], here, atol=1e-9)
        matrix = np.column_stack([np.eye(2) * couple.scales[i], couple.shifts[i]])
        size = couple.photo.rgb.shape[1::-1]
        moved = cv2.warpAffine(couple.sources[i].rgb, matrix, size) * couple.gains[i]
        face = np.zeros(size[::-1], np.uint8)
        cv2.fillConvexPoly(face, cv2.convexHull(here[at.OVAL, :2].astype(np.int32)), 1)
        face = cv2.erode(face, np.ones((9, 9))) > 0
        assert np.abs(moved - couple.photo.rgb)[face].mean() < 0.03


def test_both_people_are_in_the_picture(couple: Composite) -> None:
    crops = [crop(couple.photo.rgb, points) for points in couple.faces.points]
    sources = [crop(couple.sources[i].rgb, couple.source_faces[i].points[0]) for i in (0, 1)]
    for i in (0, 1):
        assert np.corrcoef(crops[i].ravel(), sources[i].ravel())[0, 1] > 0.95
    assert couple.faces.points[0, at.NOSE_TIP, 0] < couple.faces.points[1, at.NOSE_TIP, 0]


def test_real_people_are_not_confused() -> None:
    crops = [crop(real().photo.rgb, points) for points in real().faces.points]
    sources = [crop(real().sources[i].rgb, real().source_faces[i].points[0]) for i in (0, 1)]
    match = np.array([[np.corrcoef(c.ravel(), s.ravel())[0, 1] for s in sources] for c in crops])
    assert (match.diagonal() > match[::-1].diagonal() + 0.1).all()


def test_nobody_leaves_the_picture_by_the_head(couple: Composite) -> None:
    height, width = couple.photo.rgb.shape[:2]
    oval = couple.faces.points[:, at.OVAL, :2]
    assert oval.min() > 0
    assert (oval.max((0, 1)) < [width, height]).all()
    assert width == pytest.approx(ASPECT * height, abs=2)
    assert width % 2 == height % 2 == 0


def test_lights_come_closer_and_gains_stay_small() -> None:
    gains, before = drawn().gains, [p.rgb.mean((0, 1)) for p in drawn().sources]
    assert gains.min() >= 1 / MOST_GAIN - 1e-9 and gains.max() <= MOST_GAIN + 1e-9
    apart = np.log(before[0] / before[1])
    after = np.log(before[0] * gains[0] / (before[1] * gains[1]))
    blue_over_red = np.abs([apart[2] - apart[0], after[2] - after[0]])
    assert blue_over_red[1] < 0.7 * blue_over_red[0]  # the lamp's yellow is mostly gone


def test_one_light_needs_no_gains() -> None:
    same = composed(SMALL.photo, SMALL.photo, SMALL.faces, SMALL.faces)
    np.testing.assert_allclose(same.gains, 1, atol=1e-9)


def test_people_keep_their_complexion(couple: Composite) -> None:
    for i in (0, 1):
        here, there = (
            median_hue(crop(rgb, points))
            for rgb, points in (
                (couple.photo.rgb, couple.faces.points[i]),
                (couple.sources[i].rgb, couple.source_faces[i].points[0]),
            )
        )
        assert abs((here - there + 180) % 360 - 180) < 10  # degrees


def median_hue(face: np.ndarray) -> float:
    """Of the cheeks and the nose, degrees."""
    skin = np.median(face[26:44, 12:52].reshape(-1, 3), axis=0).astype(np.float32)
    return float(cv2.cvtColor(skin[None, None], cv2.COLOR_RGB2HSV)[0, 0, 0])


def test_those_who_look_away_from_each_other_change_places() -> None:
    left, right = (
        replace(d.faces, angles=np.array([[y, 0.0, 0.0]]))
        for d, y in ((SMALL, -15.0), (LARGE, 15.0))
    )
    swapped = composed(SMALL.photo, LARGE.photo, left, right)
    assert swapped.sources[0] is LARGE.photo and swapped.sources[1] is SMALL.photo
    assert any("changed places" in note for note in swapped.notes)
    np.testing.assert_array_equal(swapped.faces.angles[:, 0], [15, -15])
    assert drawn().sources[0] is SMALL.photo
    assert not any("changed places" in note for note in drawn().notes)


@pytest.mark.parametrize("yaw", [0.4 * LOOKING_AWAY, -0.4 * LOOKING_AWAY])
def test_a_small_turn_changes_no_places(yaw: float) -> None:
    left, right = (
        replace(d.faces, angles=np.array([[y, 0.0, 0.0]])) for d, y in ((SMALL, yaw), (LARGE, -yaw))
    )
    kept = composed(SMALL.photo, LARGE.photo, left, right)
    assert kept.sources[0] is SMALL.photo


def test_the_height_is_what_the_smaller_portrait_can_fill() -> None:
    automatic = composed(SMALL.photo, LARGE.photo, SMALL.faces, LARGE.faces, height=None)
    assert automatic.photo.rgb.shape == (384, 2 * round(384 * ASPECT / 2), 3)


def test_of_several_faces_the_larger_is_taken() -> None:
    width = SMALL.photo.rgb.shape[1]
    bystander = SMALL.faces.points[0] * 0.3 + [0.8 * width, 0, 0]
    crowd = as_faces(SMALL.faces.points[0], bystander)
    taken = composed(SMALL.photo, LARGE.photo, crowd, LARGE.faces)
    np.testing.assert_array_equal(taken.source_faces[0].points, SMALL.faces.points)


def test_the_cutout_is_the_picture_s_own(couple: Composite) -> None:
    cutout, (height, width) = couple.cutout, couple.photo.rgb.shape[:2]
    m = cutout.margin
    assert cutout.alpha.shape == (2, height + 2 * m, width + 2 * m)
    rgb = cutout.background.astype(float)
    for colour, alpha in zip(cutout.colour, cutout.alpha, strict=True):
        alpha = alpha[m:-m, m:-m, None]
        rgb = colour[m:-m, m:-m] * alpha + rgb * (1 - alpha)
    np.testing.assert_allclose(rgb, couple.photo.rgb, atol=1e-5)
    for i in (0, 1):
        x, y = couple.faces.points[i, [at.NOSE_TIP, at.FOREHEAD, at.CHIN], :2].astype(int).T
        assert cutout.alpha[i, y + m, x + m].min() > 0.9
        np.testing.assert_array_equal(cutout.trimap[i, y, x], 1)  # it moved as the person did
        x, y = couple.faces.points[1 - i, [at.NOSE_TIP, at.FOREHEAD], :2].astype(int).T
        assert cutout.alpha[i, y + m, x + m].max() < 0.1


def test_what_the_chosen_photo_does_not_show_of_its_background_is_not_seen_here() -> None:
    couple = drawn()
    height, width = couple.photo.rgb.shape[:2]
    there = couple.source_cutouts[couple.background_from].seen
    assert 0.02 < couple.cutout.seen.mean() < there.mean() + 0.05
    scale = max(width / there.shape[1], height / there.shape[0])  # covers, a third from the top
    top, left = (scale * there.shape[0] - height) / 3, (scale * there.shape[1] - width) / 2
    y, x = np.nonzero(couple.cutout.seen)
    back = np.round(np.stack([(y + top + 0.5) / scale, (x + left + 0.5) / scale]) - 0.5).astype(int)
    assert there[tuple(back)].mean() > 0.99


@pytest.mark.parametrize("height", [201, 62, 0, -200])
def test_an_odd_or_tiny_height_is_refused(height: int) -> None:
    with pytest.raises(ValueError, match=f"height={height}: give an even number of pixels, at le"):
        composed(SMALL.photo, LARGE.photo, SMALL.faces, LARGE.faces, height=height)


def test_both_detectors_are_named() -> None:
    other = replace(LARGE.faces, detector="packaged", models=("a",))
    assert composed(SMALL.photo, LARGE.photo, SMALL.faces, other).faces.models == ("a",)


def test_the_background_is_one_photo_s_without_its_people(couple: Composite) -> None:
    chosen = couple.background_from
    seen = [c.seen.mean() for c in couple.source_cutouts]
    assert seen[chosen] == max(seen)
    plate = couple.source_cutouts[chosen].background * couple.gains[chosen]
    np.testing.assert_allclose(couple.cutout.background.mean((0, 1)), plate.mean((0, 1)), atol=0.08)
