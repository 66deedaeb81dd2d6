"""Oracles: pictures moved, scaled, turned and mirrored by a known amount; the errors' own words."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import people
import pytest
from matplotlib import pyplot

from kisslab import anatomy as at
from kisslab import faces as stage
from kisslab import zoo
from kisslab.faces import FaceError, Faces, find_faces, track_faces
from kisslab.photo import Photo, load_photo, photo_from_array

NAMES = [f"portraits/sfhq_{name}.jpg" for name in ("a_01", "a_05", "b_21")]
TURNED = {  # who looks where, told by eye: yaw's and pitch's sign
    "diverse/facial_hair_36.jpg": (-1, 0),
    "diverse/facial_hair_07.jpg": (-1, 0),
    "diverse/expression_x_sex_59.jpg": (-1, 0),
    "diverse/face_pose_31.jpg": (0, 1),
    "diverse/expression_x_sex_35.jpg": (0, 1),
}


def apart(a: np.ndarray, b: np.ndarray, iod: float) -> float:
    """Median distance of points in the picture, inter-ocular distances."""
    return float(np.median(np.linalg.norm((a - b)[..., :2], axis=-1)) / iod)


def beside(*pictures: np.ndarray, height: int = 512) -> Photo:
    """Pictures in a row on grey, at the top."""
    rows = [np.full((height, p.shape[1], 3), 0.5, np.float32) for p in pictures]
    for row, picture in zip(rows, pictures, strict=True):
        row[: len(picture)] = picture
    return photo_from_array(np.clip(np.hstack(rows), 0, 1))


def resized(rgb: np.ndarray, scale: float) -> np.ndarray:
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.clip(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=way), 0, 1)


def test_iod_and_openness_are_those_of_the_drawing() -> None:
    flat = people.face_points((120.0, 80.0), 100.0, parting=0.2) * [1, 1, 0]
    drawn = people.as_faces(flat)
    eyes = drawn.points[0, [at.RIGHT_EYE_OUTER, at.LEFT_EYE_OUTER]]
    assert drawn.iod[0] == pytest.approx(np.linalg.norm(eyes[0] - eyes[1]))
    assert drawn.iod[0] == pytest.approx(62.0)  # outer corners at -0.31 and 0.31 face widths
    assert drawn.mouth_openness[0] == pytest.approx(0.2)
    t = np.linspace(-1, 1, 9)[2:-2]
    expected = 0.08 * np.sqrt(1 - t**2).mean() / 0.2
    np.testing.assert_allclose(drawn.eye_openness[0], expected, rtol=0.05)


def test_closed_eyes_have_no_opening() -> None:
    points = people.face_points()
    for upper, lower, _, _ in at.EYES:
        points[upper] = points[lower]
    np.testing.assert_allclose(people.as_faces(points).eye_openness, 0, atol=1e-12)


def test_pick_and_moved() -> None:
    both = people.as_faces(people.face_points((0.0, 0.0)), people.face_points((300.0, 0.0)))
    swapped = both.pick([1, 0])
    np.testing.assert_array_equal(swapped.points, both.points[::-1])
    np.testing.assert_array_equal(swapped.boxes, both.boxes[::-1])
    assert both.pick(np.array([1])).points.shape == (1, 478, 3)
    moved = both.moved(2.0, np.array([10.0, -5.0]))
    np.testing.assert_allclose(moved.points[..., :2], both.points[..., :2] * 2 + [10, -5])
    np.testing.assert_allclose(moved.points[..., 2], both.points[..., 2] * 2)
    np.testing.assert_allclose(moved.boxes, both.boxes * 2 + [10, -5, 10, -5])
    np.testing.assert_allclose(moved.iod, both.iod * 2)


def test_joined_keeps_the_people_the_models_and_the_notes_of_both() -> None:
    one, two = (people.as_faces(people.face_points((x, 0.0))) for x in (0.0, 300.0))
    one = replace(one, detector="MediaPipe", models=("face_landmarker",), notes=("a", "b"))
    both = one.joined(replace(two, models=("another",), notes=("b", "c")))
    np.testing.assert_array_equal(both.points, np.concatenate([one.points, two.points]))
    np.testing.assert_array_equal(both.boxes, np.concatenate([one.boxes, two.boxes]))
    assert both.detector == "MediaPipe and drawn" and both.expressions == one.expressions
    assert both.models == ("face_landmarker", "another") and both.notes == ("a", "b", "c")
    nobody = replace(one.pick([]), expressions=())
    assert nobody.joined(one).expressions == one.expressions
    assert nobody.joined(one).points.shape == (1, 478, 3)


def test_faces_show_and_save_themselves(tmp_path: Path) -> None:
    drawn = people.draw_person()
    drawn.faces.plot(drawn.photo.rgb)
    shown = {text.get_text() for text in pyplot.gca().get_legend().get_texts()}
    assert shown == set(at.GROUPS)
    pyplot.close("all")
    again = Faces.load(drawn.faces.save(tmp_path / "faces.npz"))
    np.testing.assert_array_equal(again.points, drawn.faces.points)


@pytest.fixture
def detect(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Faces]]:
    """A detector that sees in every picture what the test puts into this list."""
    seen: list[Faces] = []

    @contextmanager
    def detector(model: Path | None = None, most: int = 5) -> Iterator:
        yield lambda rgb: seen[0]

    monkeypatch.setattr(stage, "face_detector", detector)
    yield seen


def row_of(*widths: float) -> Faces:
    """Drawn faces of these widths, left to right."""
    middles = np.cumsum([0.0, *widths]) * 2
    faces = [people.face_points((m, 400.0), w) for m, w in zip(middles, widths, strict=False)]
    return people.as_faces(*faces)


def test_of_three_faces_the_two_largest_are_used_and_it_is_said(detect: list[Faces]) -> None:
    detect.append(row_of(200.0, 100.0, 150.0))
    photo = photo_from_array(np.full((600, 900, 3), 0.5, np.float32))
    found = find_faces(photo, need=2)
    np.testing.assert_array_equal(found.points, detect[0].points[[0, 2]])
    assert found.notes == ("3 faces found; the 2 largest are used",)


def test_a_small_bystander_costs_no_portrait(detect: list[Faces]) -> None:
    detect.append(row_of(60.0, 200.0, 50.0))
    photo = photo_from_array(np.full((600, 900, 3), 0.5, np.float32))
    found = find_faces(photo, need=1)
    np.testing.assert_array_equal(found.points, detect[0].points[[1]])
    assert found.notes == ("3 faces found; 2 below min_size=96 left out",)
    with pytest.raises(FaceError, match=r"a face is 70 px high, below min_size=96"):
        find_faces(photo, need=2)


def test_the_two_largest_faces_are_tracked(detect: list[Faces]) -> None:
    detect.append(row_of(60.0, 150.0, 200.0))
    (tracked,) = track_faces([np.full((600, 900, 3), 0.5, np.float32)])
    np.testing.assert_array_equal(tracked.points, detect[0].points[[1, 2]])


def test_a_small_face_is_refused_with_both_numbers(detect: list[Faces]) -> None:
    detect.append(row_of(200.0, 60.0))
    photo = replace(photo_from_array(np.full((600, 900, 3), 0.5, np.float32)), path="/x/us.jpg")
    with pytest.raises(FaceError, match=r"us.jpg: a face is 70 px high, below min_size=96; take a"):
        find_faces(photo, need=2)
    assert len(find_faces(photo, need=2, min_size=60.0).points) == 2


@pytest.mark.parametrize("name", NAMES)
def test_scaling_the_picture_scales_the_points(name: str) -> None:
    photo, faces = people.portrait(name)
    for scale in (0.6, 1.7):
        found = find_faces(photo_from_array(resized(photo.rgb, scale)))
        assert apart(found.points[0] / scale, faces.points[0], faces.iod[0]) < 0.03
        assert found.iod[0] == pytest.approx(scale * faces.iod[0], rel=0.04)
        np.testing.assert_allclose(found.angles, faces.angles, atol=5)


@pytest.mark.parametrize("name", [*NAMES, *list(TURNED)[:2]])
def test_mirroring_mirrors_yaw_and_roll_and_swaps_left_and_right(name: str) -> None:
    photo, faces = people.portrait(name)
    found = find_faces(photo_from_array(photo.rgb[:, ::-1].copy()))
    np.testing.assert_allclose(found.angles[0] * [-1, 1, -1], faces.angles[0], atol=7)
    pairs = [(at.RIGHT_EYE_OUTER, at.LEFT_EYE_OUTER), (at.MOUTH_RIGHT, at.MOUTH_LEFT)]
    for right, left in pairs:
        mirrored = [photo.rgb.shape[1], 0] + found.points[0, right, :2] * [-1, 1]
        assert apart(mirrored, faces.points[0, left, :2], faces.iod[0]) < 0.07


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("degrees", [-14, 9])
def test_turning_the_picture_turns_the_points_and_roll(name: str, degrees: int) -> None:
    """OpenCV's positive angle is counterclockwise, which leans the head to the picture's left."""
    photo, faces = people.portrait(name)
    height, width = photo.rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    turned = cv2.warpAffine(photo.rgb, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    found = find_faces(photo_from_array(np.clip(turned, 0, 1)))
    expected = faces.points[0, :, :2] @ matrix[:, :2].T + matrix[:, 2]
    assert apart(found.points[0, :, :2], expected, faces.iod[0]) < 0.04
    assert found.angles[0, 2] - faces.angles[0, 2] == pytest.approx(degrees, abs=3)


@pytest.mark.parametrize("name", list(TURNED))
def test_signs_of_the_head_pose_are_as_seen(name: str) -> None:
    _, faces = people.portrait(name)
    yaw, pitch, _ = faces.angles[0]
    for angle, sign in zip((yaw, pitch), TURNED[name], strict=True):
        assert angle * sign > 5 or sign == 0
    middle = faces.points[0, [at.RIGHT_TRAGUS, at.LEFT_TRAGUS], 0].mean()
    ahead = faces.points[0, at.NOSE_TIP, 0] - middle
    assert np.sign(ahead) == np.sign(yaw) or abs(yaw) < 5


def test_two_portraits_side_by_side_are_two_faces_left_to_right() -> None:
    (one, left), (two, right) = people.portrait(NAMES[0]), people.portrait(NAMES[1])
    found = find_faces(beside(one.rgb, two.rgb), need=2)
    assert len(found.points) == 2 and found.notes == ()
    assert apart(found.points[0], left.points[0], left.iod[0]) < 0.04
    right_points = right.points[0] + [one.rgb.shape[1], 0, 0]
    assert apart(found.points[1], right_points, right.iod[0]) < 0.04
    np.testing.assert_allclose(found.boxes[:, 0], found.points[..., 0].min(1))
    for person, alone in enumerate((left, right)):
        # MediaPipe's camera is a perspective one: beside the middle, heads seem turned toward it.
        np.testing.assert_allclose(found.angles[person], alone.angles[0], atol=8)
        assert (found.angles - alone.angles)[person, 0] * (1, -1)[person] > -2
        assert np.corrcoef(found.blendshapes[person], alone.blendshapes[0])[0, 1] > 0.9


def test_a_small_head_in_a_large_picture_is_found() -> None:
    photo, faces = people.portrait(NAMES[0])
    small = resized(photo.rgb, 0.4)
    wide = np.full((1000, 1500, 3), 0.5, np.float32)
    wide[700 : 700 + len(small), 1150 : 1150 + small.shape[1]] = small
    found = find_faces(photo_from_array(wide))
    expected = faces.points[0] * 0.4 + [1150, 700, 0]
    assert apart(found.points[0], expected, 0.4 * faces.iod[0]) < 0.05


def test_three_real_faces_of_which_the_smallest_is_left_out() -> None:
    (one, left), (two, _), (three, right) = (people.portrait(name) for name in NAMES)
    found = find_faces(beside(one.rgb, resized(two.rgb, 0.45), three.rgb), need=2)
    assert found.notes == ("3 faces found; the 2 largest are used",)
    assert found.iod[0] == pytest.approx(left.iod[0], rel=0.05)
    assert found.iod[1] == pytest.approx(right.iod[0], rel=0.05)


def test_no_face_one_face_and_a_small_face_say_what_to_do(models: Path) -> None:
    grey = replace(photo_from_array(np.full((300, 400, 3), 0.5, np.float32)), path="wall.png")
    with pytest.raises(FaceError, match=r"wall.png: no face found; take a photo where"):
        find_faces(grey)
    photo, faces = people.portrait(NAMES[0])
    with pytest.raises(FaceError, match=r"1 face found where 2 are needed; .* or give two photos"):
        find_faces(photo, need=2)
    scale = 80 / (faces.boxes[0, 3] - faces.boxes[0, 1])
    with pytest.raises(FaceError, match=r"a face is (7|8)\d px high, below min_size=96; take a la"):
        find_faces(photo_from_array(resized(photo.rgb, scale)))


def test_frames_without_two_faces_are_none() -> None:
    (one, _), (two, _) = people.portrait(NAMES[0]), people.portrait(NAMES[1])
    both, empty = beside(one.rgb, two.rgb).rgb, np.full((512, 1024, 3), 0.5, np.float32)
    first, second, third = track_faces([both, empty, both])
    assert second is None
    assert first.points.shape == third.points.shape == (2, 478, 3)
    np.testing.assert_allclose(first.points, third.points, atol=1e-6)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No landmark model on this machine, and no way to fetch one."""
    for variable in ("KISSLAB_MODELS", "KISSLAB_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("KISSLAB_OFFLINE", "1")


def test_without_a_model_packaged_portraits_use_the_points_beside_them(nowhere: None) -> None:
    path = zoo.demo_portraits()[0]
    found = find_faces(load_photo(path))
    packaged = Faces.load(path.with_suffix(".faces.npz"))
    np.testing.assert_array_equal(found.points, packaged.points)
    assert found.detector == "packaged beside the portrait" and found.models == ()
    assert "points packaged beside" in found.notes[0]


def test_a_packaged_portrait_is_known_by_any_way_to_it(
    nowhere: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zoo.demo_portraits()[0]
    monkeypatch.chdir(path.parent)
    (tmp_path / "link.jpg").symlink_to(path)
    for way in (path.name, f"../{path.parent.name}/{path.name}", str(tmp_path / "link.jpg")):
        assert find_faces(load_photo(way)).detector == "packaged beside the portrait"


def test_a_packaged_portrait_needs_no_mediapipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is looked for first: MediaPipe is imported only when there is one."""
    monkeypatch.setattr(zoo, "find_model", lambda name, path=None: Path("here.task"))
    monkeypatch.setitem(sys.modules, "mediapipe", None)  # importing it is an ImportError
    found = find_faces(load_photo(zoo.demo_portraits()[0]))
    assert "MediaPipe can't be loaded (import of mediapipe halted" in found.notes[0]


def shifted_copy(name: str) -> Photo:
    """A packaged portrait's picture, from no file: nothing lies beside it."""
    return photo_from_array(load_photo(zoo.data_path(f"portraits/{name}.jpg")).rgb.copy())


def test_without_a_model_our_own_networks_find_the_faces_and_it_is_said(nowhere: None) -> None:
    found = find_faces(shifted_copy("couple_01"), need=2)
    packaged = Faces.load(zoo.data_path("portraits/couple_01.faces.npz"))
    assert found.detector == "kisslab-mesh" and found.models == ("kisslab-mesh",)
    assert found.notes[0].startswith("no landmark model here: kisslab's own networks found")
    assert set(found.expressions) == {"not measured"} and not found.blendshapes.any()
    for person in (0, 1):
        assert apart(found.points[person], packaged.points[person], packaged.iod[person]) < 0.08
        np.testing.assert_allclose(found.angles[person], packaged.angles[person], atol=12)


def test_without_mediapipe_our_own_networks_find_the_faces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(zoo, "find_model", lambda name, path=None: Path("here.task"))
    monkeypatch.setitem(sys.modules, "mediapipe", None)  # importing it is an ImportError
    found = find_faces(shifted_copy("single_01"))
    assert found.detector == "kisslab-mesh"
    assert found.notes[0].startswith("MediaPipe can't be loaded (import of mediapipe halted")


def test_without_a_model_faces_are_tracked_by_our_own_networks(nowhere: None) -> None:
    both, empty = shifted_copy("couple_06").rgb, np.full((512, 820, 3), 0.5, np.float32)
    first, second = track_faces([both, empty])
    assert first.detector == "kisslab-mesh" and len(first.points) == 2
    assert first.boxes[0, 0] < first.boxes[1, 0] and second is None


def test_who_names_a_model_gets_no_other(nowhere: None) -> None:
    with pytest.raises(zoo.ModelMissing, match=r"mine\.task: no such file"):
        find_faces(shifted_copy("single_01"), model=Path("mine.task"))
    with pytest.raises(zoo.ModelMissing, match=r"mine\.task: no such file"):
        next(track_faces([shifted_copy("single_01").rgb], model=Path("mine.task")))


def test_without_a_model_a_wall_is_no_face_and_the_reason_is_added(nowhere: None) -> None:
    wall = photo_from_array(np.full((300, 400, 3), 0.5, np.float32))
    with pytest.raises(FaceError, match=r"no face found; .* \(no landmark model here: kisslab's"):
        find_faces(wall)


def test_packaged_points_are_what_the_model_finds(models: Path) -> None:
    for path in zoo.demo_portraits():
        packaged, found = Faces.load(path.with_suffix(".faces.npz")), find_faces(load_photo(path))
        assert found.detector == "MediaPipe FaceLandmarker"
        assert apart(packaged.points[0], found.points[0], found.iod[0]) < 0.01
        np.testing.assert_allclose(packaged.angles, found.angles, atol=1)
