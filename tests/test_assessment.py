"""Oracles: drawn faces made worse by a known amount, and what a person says of real portraits."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import people
import pytest
from matplotlib import pyplot

from kisslab import anatomy as at
from kisslab.assessment import BOTH, Assessment, Check, Limit, assess, assess_pair
from kisslab.faces import Faces, find_faces
from kisslab.photo import Photo, load_photo, photo_from_array

AMOUNTS = np.linspace(0, 1, 6)


@pytest.fixture(scope="module")
def single() -> people.Drawing:
    return people.draw_person((480, 480), width=200.0)


@pytest.fixture(scope="module")
def couple() -> people.Drawing:
    return people.draw_couple((800, 500), width=180.0)


def check(assessment: Assessment, name: str, person: int = 0) -> Check:
    (found,) = [c for c in assessment.checks if (c.name, c.person) == (name, person)]
    return found


def changed(drawing: people.Drawing, rgb: np.ndarray) -> Assessment:
    return assess(photo_from_array(np.clip(rgb, 0, 1).astype(np.float32)), drawing.faces)


def blurred(rgb: np.ndarray, faces: Faces, amount: float) -> np.ndarray:
    return cv2.GaussianBlur(rgb, (0, 0), 0.1 + 4 * amount)


def darkened(rgb: np.ndarray, faces: Faces, amount: float) -> np.ndarray:
    return rgb * (1 - 0.8 * amount)


def overexposed(rgb: np.ndarray, faces: Faces, amount: float) -> np.ndarray:
    return rgb * (1 + 2 * amount)


def lit_from_the_left(rgb: np.ndarray, faces: Faces, amount: float) -> np.ndarray:
    x = np.arange(rgb.shape[1]) - faces.points[0, at.NOSE_TIP, 0]
    return rgb * np.where(x > 0, 1 - 0.9 * amount, 1)[:, None].astype(np.float32)


def covered(rgb: np.ndarray, faces: Faces, amount: float, group: str = "lips") -> np.ndarray:
    """A grey box over a part, more and more opaque."""
    part = faces.points[0, at.GROUPS[group], :2]
    left, top, right, bottom = np.r_[part.min(0) - 12, part.max(0) + 12].astype(int)
    rgb = rgb.copy()
    rgb[top:bottom, left:right] += amount * (0.5 - rgb[top:bottom, left:right])
    return rgb


def blindfolded(rgb: np.ndarray, faces: Faces, amount: float) -> np.ndarray:
    return covered(rgb, faces, amount, "right eye")


SPOILT = [
    (blurred, "sharp"),
    (darkened, "light"),
    (overexposed, "burnt"),
    (lit_from_the_left, "even"),
    (covered, "mouth"),
    (blindfolded, "eyes"),
]


@pytest.mark.parametrize(("spoil", "name"), SPOILT)
def test_what_is_spoilt_is_flagged_and_the_more_the_worse(spoil, name, single) -> None:
    worse = [
        check(changed(single, spoil(single.photo.rgb, single.faces, a)), name) for a in AMOUNTS
    ]
    assert worse[0].good and not worse[-1].good
    assert np.all(np.diff([c.margin for c in worse]) <= 1e-6)
    assert worse[0].sentence != worse[-1].sentence
    everything = changed(single, spoil(single.photo.rgb, single.faces, 1.0))
    assert everything.readiness < assess(single.photo, single.faces).readiness


def test_a_plain_drawing_has_no_problems(single) -> None:
    plain = assess(single.photo, single.faces)
    assert plain.problems == () and plain.readiness > 0.8


def test_known_values(single) -> None:
    found = assess(single.photo, single.faces)
    left, top, right, bottom = single.faces.boxes[0]
    assert check(found, "size").value == pytest.approx(bottom - top)
    assert check(found, "room").value == pytest.approx(
        min(left, top, 480 - right, 480 - bottom) / (bottom - top)
    )
    half = lit_from_the_left(np.full((480, 480, 3), 0.8, np.float32), single.faces, 0.5)
    assert check(changed(single, half), "even").value == pytest.approx(0.55**2.2, rel=0.02)
    assert check(changed(single, half * 0), "light").value == 0
    shade = darkened(single.photo.rgb, single.faces, 0.5)
    for name in ("mouth", "eyes", "sharp"):  # how bright the picture is must not count
        assert check(changed(single, shade), name).value == pytest.approx(
            check(found, name).value, rel=1e-3
        )


@pytest.mark.parametrize("scale", [0.6, 1.5])
def test_measures_are_relative_to_the_face(scale: float, single) -> None:
    rgb = cv2.resize(single.photo.rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    rgb = np.clip(rgb, 0, 1)
    before = assess(single.photo, single.faces)
    after = assess(photo_from_array(rgb), single.faces.moved(scale, np.zeros(2)))
    assert check(after, "size").value == pytest.approx(scale * check(before, "size").value)
    for name in ("light", "even", "mouth", "eyes", "room"):
        assert check(after, name).value == pytest.approx(check(before, name).value, rel=0.12), name


def test_an_upright_and_a_turned_picture_measure_alike(single) -> None:
    matrix = cv2.getRotationMatrix2D((240, 240), 20, 1)
    rgb = cv2.warpAffine(single.photo.rgb, matrix, (480, 480), borderMode=cv2.BORDER_REPLICATE)
    points = single.faces.points.copy()
    points[0, :, :2] = points[0, :, :2] @ matrix[:, :2].T + matrix[:, 2]
    turned = assess(photo_from_array(np.clip(rgb, 0, 1)), people.as_faces(points[0]))
    before = assess(single.photo, single.faces)
    for name in ("light", "even", "mouth", "eyes"):
        assert check(turned, name).value == pytest.approx(check(before, name).value, rel=0.1), name


@pytest.mark.parametrize(("index", "name"), [(0, "yaw"), (1, "pitch"), (2, "roll")])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_head_turned_far_is_flagged(index: int, name: str, sign: int, single) -> None:
    for degrees, good in ((5.0, True), (50.0, False)):
        angles = np.zeros((1, 3))
        angles[0, index] = sign * degrees
        found = check(assess(single.photo, replace(single.faces, angles=angles)), name)
        assert (found.value, found.good) == (pytest.approx(degrees), good)


def test_of_a_profile_only_the_near_eye_counts(single) -> None:
    """Yaw > 0 looks to the picture's right: the person's right eye is then the near one."""
    photo = photo_from_array(np.clip(blindfolded(single.photo.rgb, single.faces, 1.0), 0, 1))
    for yaw, good in ((0.0, False), (50.0, False), (-50.0, True)):
        faces = replace(single.faces, angles=np.array([[yaw, 0.0, 0.0]]))
        assert check(assess(photo, faces), "eyes").good is good


def test_open_mouth_and_closed_eyes() -> None:
    wide = people.draw_person((480, 480), width=200.0, parting=0.4)
    assert not check(assess(wide.photo, wide.faces), "lips").good
    closed = wide.faces.points.copy()
    for upper, lower, _, _ in at.EYES:
        closed[0, upper] = closed[0, lower]
    assert not check(assess(wide.photo, people.as_faces(closed[0])), "lids").good


def test_a_couple_that_stands_well_has_no_problems(couple) -> None:
    assert assess(couple.photo, couple.faces).problems == ()


@pytest.mark.parametrize("apart", [2.5, 3.2, 5.0, 8.0])
def test_far_apart_is_flagged_and_the_farther_the_worse(apart: float) -> None:
    far = people.draw_couple((1600, 500), width=180.0, apart=apart)
    found = check(assess(far.photo, far.faces), "apart", BOTH)
    expected = apart * 180 / far.faces.iod.mean()
    assert found.value == pytest.approx(expected, rel=1e-6)
    assert found.good is bool(expected <= 5)


def test_overlapping_faces_are_flagged() -> None:
    shares = []
    for apart in (1.2, 0.9, 0.6):
        near = people.draw_couple((800, 500), width=180.0, apart=apart)
        found = check(assess(near.photo, near.faces), "hidden", BOTH)
        shares.append(found.value)
        assert found.good is (found.value <= 0.05)
    np.testing.assert_allclose(shares, [0, 0.1, 0.4], atol=0.03)


def test_a_couple_is_judged_by_who_turns_away(couple) -> None:
    toward = replace(couple.faces, angles=np.array([[50.0, 0, 0], [-50.0, 0, 0]]))
    away = replace(couple.faces, angles=np.array([[-50.0, 0, 0], [50.0, 0, 0]]))
    for person in (0, 1):
        assert check(assess(couple.photo, toward), "away", person).good
        assert not check(assess(couple.photo, away), "away", person).good


def test_a_couple_of_different_sizes_is_flagged(couple) -> None:
    small = people.face_points((600.0, 225.0), 80.0)
    faces = people.as_faces(couple.faces.points[0], small)
    assert check(assess(couple.photo, faces), "scale", BOTH).value == pytest.approx(180 / 80 - 1)
    assert not check(assess(couple.photo, faces), "scale", BOTH).good


def pair(single: people.Drawing, photo: Photo, faces: Faces) -> Assessment:
    found = assess_pair(single.photo, single.faces, photo, faces)
    swapped = assess_pair(photo, faces, single.photo, single.faces)
    values = [[c.value for c in a.checks] for a in (found, swapped)]
    np.testing.assert_allclose(*values, rtol=1e-6)  # the order does not matter
    return found


def test_two_equal_photos_go_together(single) -> None:
    found = pair(single, single.photo, single.faces)
    assert found.problems == () and found.readiness == pytest.approx(1.0)
    np.testing.assert_allclose([c.value for c in found.checks], 0, atol=1e-6)


def test_a_pair_of_different_sizes_is_flagged(single) -> None:
    values = []
    for width in (190.0, 120.0, 70.0):
        small = people.draw_person((480, 480), width=width)
        found = check(pair(single, small.photo, small.faces), "scale", BOTH)
        assert found.value == pytest.approx(200 / width - 1)
        values.append(found.good)
    assert values == [True, True, False]


MISMATCHED = [
    (blurred, "detail"),
    (darkened, "level"),
    (lit_from_the_left, "side"),
    (lambda rgb, faces, amount: rgb * np.float32([1, 1, 1 - 0.4 * amount]), "colour"),
]


@pytest.mark.parametrize(("spoil", "name"), MISMATCHED)
def test_a_pair_that_differs_is_flagged_and_the_more_the_worse(spoil, name, single) -> None:
    worse = []
    for amount in AMOUNTS:
        rgb = np.clip(spoil(single.photo.rgb, single.faces, amount), 0, 1)
        worse.append(check(pair(single, photo_from_array(rgb), single.faces), name, BOTH))
    assert worse[0].good and not worse[-1].good
    assert np.all(np.diff([c.value for c in worse]) >= -1e-6)


def test_a_pair_seen_from_different_angles_is_flagged(single) -> None:
    above = replace(single.faces, angles=np.array([[0.0, 30.0, 0.0]]))
    found = pair(single, single.photo, above)
    assert check(found, "camera", BOTH).value == pytest.approx(30)
    assert [c.name for c in found.problems] == ["camera"]


def test_two_who_look_the_same_way_cannot_both_face_each_other(single) -> None:
    def turned(yaw: float) -> Faces:
        return replace(single.faces, angles=np.array([[yaw, 0.0, 0.0]]))

    for a, b, good in ((45.0, 45.0, False), (45.0, -45.0, True), (-45.0, 45.0, True)):
        found = assess_pair(single.photo, turned(a), single.photo, turned(b))
        assert check(found, "away", BOTH).good is good


def test_readiness_is_the_formula_of_the_docstring(single) -> None:
    rgb = darkened(single.photo.rgb, single.faces, 0.55)
    found = changed(single, rgb)
    margins = [c.margin for c in found.checks]
    expected = np.prod([2 ** -min(max(1 - 2 * m, 0), 3) for m in margins])
    assert found.readiness == pytest.approx(expected)
    assert 0 < found.readiness < 0.9


def test_a_limit_tells_both_sides_of_its_threshold() -> None:
    least = Limit("x", "px", 2.0, False, "fine", "poor")
    most = replace(least, at_most=True)
    for limit, value, good, margin in (
        (least, 3.0, True, 0.5), (least, 1.0, False, -0.5), (most, 1.0, True, 0.5),
        (most, 4.0, False, -1.0), (most, 2.0, True, 0.0), (least, 2.0, True, 0.0),
    ):  # fmt: skip
        found = limit.check(value, 1)
        assert (found.good, found.margin) == (good, margin)
        assert found.sentence == ("fine" if good else "poor") and found.person == 1


def test_an_assessment_shows_and_saves_itself(couple, tmp_path: Path) -> None:
    found = assess(couple.photo, couple.faces)
    found.plot()
    labels = [text.get_text() for text in pyplot.gca().texts]
    assert {c.name for c in found.checks} <= set(labels)
    pyplot.close("all")
    again = Assessment.load(found.save(tmp_path / "a.npz"))
    assert [dict(c.items()) for c in again.checks] == [dict(c.items()) for c in found.checks]
    assert "readiness" in found._repr_html_()


def test_what_a_person_would_say_of_real_portraits(photos: Path, models: Path) -> None:
    """Named by looking at them: each picture's plainest problem comes first or is at least said."""
    seen = {
        "diverse/glasses_style_56.jpg": "eyes",  # mirrored goggles
        "diverse/face_pose_38.jpg": "lids",  # looks down
        "diverse/expression_x_sex_01.jpg": "eyes",  # pressed shut
        "portraits/sfhq_b_17.jpg": "lips",  # laughs
    }
    for name, problem in seen.items():
        photo = load_photo(photos / name)
        assert problem in [c.name for c in assess(photo, find_faces(photo)).problems], name


EASY = "ethnicity_02 ethnicity_42 face_pose_07 facial_hair_13 facial_hair_23 facial_hair_25"
EASY += " glasses_style_30 makeup_03 makeup_10 sfhq_b_56"
HARD = "ethnicity_53 expression_x_sex_19 expression_x_sex_35 expression_x_sex_59 face_pose_31"
HARD += " facial_hair_36 glasses_style_48 jewelry_17 sfhq_b_07"


def test_portraits_rank_as_a_person_sorted_them(photos: Path, models: Path) -> None:
    """EASY and HARD were sorted by eye, out of 32 random pictures, before any was measured.

    What still differs: the eye does not see a soft or a cropped chin; assess sees neither a tongue
    nor sunglasses through which eyes shine.
    """
    easy, hard = (_readiness(photos, names.split()) for names in (EASY, HARD))
    area = np.mean(easy[:, None] > hard)  # under the receiver's curve; 0.5 is chance
    assert area > 0.7
    assert np.all(_readiness(photos, EASY.split(), darken=0.35) < 0.8 * easy)


def _readiness(photos: Path, names: list[str], darken: float = 1.0) -> np.ndarray:
    found = []
    for name in names:
        (path,) = photos.glob(f"*/{name}.jpg")
        photo = load_photo(path)
        darker = photo_from_array(photo.rgb * np.float32(darken))
        found.append(assess(darker, find_faces(photo)).readiness)
    return np.array(found)
