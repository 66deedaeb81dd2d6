"""Faces without MediaPipe: two small networks of our own. (find_meshes, Meshes, upright)"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from kisslab import anatomy as at
from kisslab import zoo
from kisslab.records import Result, record

FRAME = 256  # pixels: side of the picture that the detector sees
CROP = 128  # pixels: side of the crop that the mesh network sees
SHARE = 0.62  # of the crop's side: the longer extent of the points
STRIDES = (8, 16, 32)
# What detectors of faces report: the eyes' middles, the nose, the mouth's corners, the picture's
# left first.
KEY_POINTS = (
    np.array([at.RIGHT_EYE_OUTER, at.RIGHT_EYE_INNER]),
    np.array([at.LEFT_EYE_INNER, at.LEFT_EYE_OUTER]),
    np.array([at.NOSE_TIP]),
    np.array([at.MOUTH_RIGHT]),
    np.array([at.MOUTH_LEFT]),
)
Y_DOWN = np.array([1.0, -1.0, -1.0])  # between the canonical face (y up, z near) and pixels


@record
class Meshes(Result):
    """Faces of a picture, left to right. P faces."""

    points: Float[np.ndarray, "P 478 3"]  # pixels: x right, y down, z away, as MediaPipe's
    angles: Float[np.ndarray, "P 3"]  # yaw, pitch, roll in degrees, see pose.head_rotation
    scores: Float[np.ndarray, " P"]  # 0..1, how sure the mesh network is of a face


@record
class Spots(Result):
    """What the detector found. P faces, pixels."""

    boxes: Float[np.ndarray, "P 4"]  # left, top, right, bottom
    keys: Float[np.ndarray, "P 5 2"]  # KEY_POINTS
    scores: Float[np.ndarray, " P"]


def find_meshes(rgb: Float[np.ndarray, "H W 3"], min_score: float = 0.5, passes: int = 2) -> Meshes:
    """Every face of a picture in [0, 1], and its 478 points.

    The detector's key points give the first crop; each pass crops again around the points that it
    found. Faces that either network gives less than `min_score` are left out.
    """
    spots = find_spots(rgb, min_score)
    points, scores = [], []
    for box, keys in zip(spots.boxes, spots.keys, strict=True):
        matrix = _to_crop(_lean(keys), (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max()))
        for _ in range(passes):
            found, score = _mesh(rgb, matrix)
            matrix = _to_crop(*upright(found[:, :2]))
        if score >= min_score:
            points.append(found)
            scores.append(score)
    order = np.argsort([p[:, 0].min() + p[:, 0].max() for p in points]).astype(int)
    stack = np.array(points).reshape(-1, at.POINTS, 3)[order]
    angles = np.array([_angles(p) for p in stack]).reshape(-1, 3)
    return Meshes(points=stack, angles=angles, scores=np.array(scores, float)[order])


def find_spots(
    rgb: Float[np.ndarray, "H W 3"], min_score: float = 0.5, overlap: float = 0.4
) -> Spots:
    """Boxes and key points of the faces, best first; of boxes that overlap the best stays.

    The network has the format of insightface's SCRFD: distances from each place, in strides.
    """
    height, width = rgb.shape[:2]
    scale = FRAME / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(rgb.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    frame = np.zeros((FRAME, FRAME, 3), np.float32)
    frame[: size[1], : size[0]] = small * 255
    answers = _session("det").run(None, {"input": ((frame - 127.5) / 128).transpose(2, 0, 1)[None]})
    scores, boxes, keys = (np.concatenate(answers[k : k + 3]) for k in (0, 3, 6))
    places = np.concatenate([_places(stride) for stride in STRIDES])
    strides = np.concatenate([np.full((len(_places(s)), 1), s) for s in STRIDES])
    boxes = np.concatenate([places, places], 1) + boxes * strides * [-1, -1, 1, 1]
    keys = places[:, None] + (keys * strides).reshape(-1, 5, 2)
    kept = _best(boxes, scores[:, 0], min_score, overlap)
    return Spots(boxes=boxes[kept] / scale, keys=keys[kept] / scale, scores=scores[kept, 0])


def upright(points: Float[np.ndarray, "478 2"]) -> tuple[float, Float[np.ndarray, "2"], float]:
    """(degrees that a head leans clockwise, its middle, its extent when it stands upright)."""
    lean = _lean(np.stack([points[index].mean(0) for index in KEY_POINTS]))
    turn = _turn(lean)
    level = points @ turn  # the inverse of turn, applied from the right
    low, high = level.min(0), level.max(0)
    return lean, turn @ (low + high) / 2, float((high - low).max())


def _lean(keys: Float[np.ndarray, "5 2"]) -> float:
    """Degrees clockwise, from the line between eyes and mouth: it holds in profile as well."""
    x, y = keys[3:].mean(0) - keys[:2].mean(0)
    return float(np.degrees(np.arctan2(-x, y)))


def _turn(degrees: float) -> Float[np.ndarray, "2 2"]:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]])


def _to_crop(lean: float, middle: Float[np.ndarray, "2"], span: float) -> np.ndarray:
    """The 2 x 3 matrix from the picture to the crop."""
    turn = _turn(-lean) * SHARE * CROP / span
    return np.column_stack([turn, CROP / 2 - turn @ middle])


def _mesh(
    rgb: Float[np.ndarray, "H W 3"], matrix: Float[np.ndarray, "2 3"]
) -> tuple[Float[np.ndarray, "478 3"], float]:
    """Points in the picture, and how sure the network is."""
    scale = float(np.sqrt(np.linalg.det(matrix[:, :2])))
    fine = rgb if scale > 0.6 else cv2.GaussianBlur(rgb, (0, 0), 0.4 / scale)  # no aliasing
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV counts from a pixel's middle
    crop = cv2.warpAffine(
        fine.astype(np.float32), shifted, (CROP, CROP), borderMode=cv2.BORDER_REPLICATE
    )
    points, score = _session("mesh").run(None, {"input": crop.transpose(2, 0, 1)[None]})
    points = (points[0] + np.array([0.5, 0.5, 0.0])) * CROP
    back = np.linalg.inv(matrix[:, :2])
    plane = (points[:, :2] - matrix[:, 2]) @ back.T
    return np.column_stack([plane, points[:, 2] / scale]), float(score[0])


def _angles(points: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, "3"]:
    """The turn that best brings the canonical face onto the points (Kabsch 1976)."""
    seen = points[: len(_canonical())] * Y_DOWN
    turn, _ = Rotation.align_vectors(seen - seen.mean(0), _canonical())
    return turn.as_euler("YXZ", degrees=True)


def _best(
    boxes: Float[np.ndarray, "N 4"], scores: Float[np.ndarray, " N"], least: float, overlap: float
) -> list[int]:
    """Indices, best first, of boxes that share no more than `overlap` with a better one."""
    kept: list[int] = []
    for k in np.argsort(-scores, kind="stable"):
        if scores[k] < least:
            break
        if all(_shared(boxes[k], boxes[other]) <= overlap for other in kept):
            kept.append(int(k))
    return kept


def _shared(a: Float[np.ndarray, "4"], b: Float[np.ndarray, "4"]) -> float:
    """Intersection over union."""
    both = np.prod(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None))
    return float(both / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - both + 1e-9))


@lru_cache
def _places(stride: int) -> Float[np.ndarray, "N 2"]:
    """Where the detector looks, row by row; every place twice."""
    grid = np.stack(np.mgrid[: FRAME // stride, : FRAME // stride][::-1], -1).reshape(-1, 2)
    return np.repeat(grid * float(stride), 2, axis=0)


@lru_cache
def _canonical() -> Float[np.ndarray, "468 3"]:
    from kisslab.studio.template import face_template  # the studio needs torch: seconds

    points = face_template().points
    return points - points.mean(0)


@lru_cache
def _session(name: str) -> object:
    """An onnxruntime session of one of our networks; read once per process."""
    from onnxruntime import InferenceSession

    path = zoo.data_path(f"models/kisslab-mesh/{name}.onnx")
    return InferenceSession(path, providers=["CPUExecutionProvider"])
