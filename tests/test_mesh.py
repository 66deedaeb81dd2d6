"""Oracles: the studio's truth, MediaPipe's points, insightface's own decoder, known turns."""

from pathlib import Path

import cv2
import numpy as np
import people
import pytest

from kisslab import anatomy as at
from kisslab import mesh, zoo
from kisslab.faces import Faces
from kisslab.mesh import find_meshes, find_spots, upright
from kisslab.photo import load_photo
from kisslab.studio.portraits import Truth

SINGLES = [f"single_{k:02d}" for k in (1, 7, 15, 22)]
COUPLES = [f"couple_{k:02d}" for k in (1, 6)]


def portrait(name: str) -> tuple[np.ndarray, Faces]:
    """A packaged portrait and MediaPipe's points in it."""
    path = zoo.data_path(f"portraits/{name}.jpg")
    return load_photo(path).rgb, Faces.load(path.with_suffix(".faces.npz"))


def away(found: np.ndarray, wanted: np.ndarray, iod: float) -> float:
    """Mean distance in the picture, inter-ocular distances."""
    return float(np.linalg.norm((found - wanted)[:, :2], axis=1).mean() / iod)


@pytest.mark.parametrize("name", SINGLES)
def test_points_are_near_mediapipes_and_the_truth(name: str) -> None:
    rgb, faces = portrait(name)
    found = find_meshes(rgb)
    truth = Truth.load(zoo.data_path(f"portraits/{name}.truth.npz")).points[0]
    assert found.points.shape == (1, 478, 3) and found.scores[0] > 0.9
    assert away(found.points[0], faces.points[0], faces.iod[0]) < 0.06
    eyes = [at.RIGHT_EYE_OUTER, at.LEFT_EYE_OUTER, at.MOUTH_LEFT, at.MOUTH_RIGHT, at.NOSE_TIP]
    truth = np.column_stack([truth, np.zeros(len(truth))])
    assert away(found.points[0, eyes], truth[eyes], faces.iod[0]) < 0.12
    np.testing.assert_allclose(found.angles[0], faces.angles[0], atol=10)


@pytest.mark.parametrize("name", COUPLES)
def test_two_people_are_two_faces_left_to_right(name: str) -> None:
    rgb, faces = portrait(name)
    found = find_meshes(rgb)
    assert len(found.points) == 2
    for mine, theirs, iod in zip(found.points, faces.points, faces.iod, strict=True):
        assert away(mine, theirs, iod) < 0.08


@pytest.mark.parametrize("degrees", [-25, 30])
def test_turning_the_picture_turns_the_points_and_roll(degrees: int) -> None:
    """OpenCV's positive angle is counterclockwise, which leans the head to the picture's left."""
    rgb, faces = portrait(SINGLES[0])
    height, width = rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 0.8)
    turned = cv2.warpAffine(rgb, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    before, after = find_meshes(rgb), find_meshes(np.clip(turned, 0, 1))
    expected = before.points[0, :, :2] @ matrix[:, :2].T + matrix[:, 2]
    assert away(after.points[0, :, :2], expected, 0.8 * faces.iod[0]) < 0.05
    assert after.angles[0, 2] - before.angles[0, 2] == pytest.approx(degrees, abs=5)


def test_nothing_is_found_where_nobody_is() -> None:
    found = find_meshes(np.full((300, 400, 3), 0.5, np.float32))
    assert found.points.shape == (0, 478, 3) and found.angles.shape == (0, 3)


def test_the_detector_is_one_of_insightfaces_and_says_the_same_there() -> None:
    """Their decoder and suppression against ours, on one picture of two people."""
    model_zoo = pytest.importorskip("insightface.model_zoo")
    path = zoo.data_path("models/kisslab-mesh/det.onnx")
    theirs = model_zoo.get_model(str(path), providers=["CPUExecutionProvider"])
    assert theirs.taskname == "detection"
    theirs.prepare(ctx_id=-1, input_size=(256, 256), det_thresh=0.5)
    rgb, _ = portrait(COUPLES[0])
    bgr = np.ascontiguousarray((rgb[..., ::-1] * 255 + 0.5).astype(np.uint8))
    boxes, keys = theirs.detect(bgr)
    ours = find_spots(rgb)
    assert len(boxes) == len(ours.boxes) == 2
    order, own = np.argsort(boxes[:, 0]), np.argsort(ours.boxes[:, 0])
    # They reduce the picture in another way; half a pixel of 256 is 1.6 of 820.
    np.testing.assert_allclose(boxes[order, :4], ours.boxes[own], atol=4)
    np.testing.assert_allclose(keys[order], ours.keys[own], atol=4)


def test_upright_undoes_a_known_lean() -> None:
    level = people.face_points((50.0, 40.0), 100.0)[:, :2]
    degrees, middle, span = upright(level)
    assert degrees == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(middle, (level.min(0) + level.max(0)) / 2)
    assert span == pytest.approx(np.ptp(level, axis=0).max())
    c, s = np.cos(np.radians(40)), np.sin(np.radians(40))
    leaning = level @ np.array([[c, s], [-s, c]])  # clockwise, since y points down
    turned, there, same = upright(leaning)
    assert turned == pytest.approx(40) and same == pytest.approx(span)
    np.testing.assert_allclose(there, np.array([[c, -s], [s, c]]) @ middle)


def test_of_boxes_that_overlap_the_best_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [50, 0, 60, 10.0]])
    scores = np.array([0.8, 0.9, 0.7, 0.2])
    assert mesh._shared(boxes[0], boxes[1]) == pytest.approx(9 / 11)
    assert mesh._best(boxes, scores, 0.5, 0.4) == [1, 2]
    assert mesh._best(boxes, scores, 0.5, 0.9) == [1, 0, 2]


def test_the_networks_are_small() -> None:
    files = [*Path(zoo.data_path("models/kisslab-mesh")).glob("*.onnx")]
    files += [zoo.data_path("models/kisslab-parts/parts.onnx")]
    assert len(files) == 3 and sum(file.stat().st_size for file in files) < 9e6
