"""Stage 1: a photo in, one or two faces out.

(find_faces, track_faces, best_detector, face_detector, mesh_detector, search, FaceError, Faces)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from kisslab import anatomy as at
from kisslab import show, zoo
from kisslab.mesh import find_meshes
from kisslab.photo import Photo
from kisslab.records import Result, record

Pixels = Float[np.ndarray, "H W 3"]


class FaceError(ValueError):
    """The photo does not show the faces that the pipeline needs; the message says what to do."""


@record
class Faces(Result):
    """One or two faces, left to right as the picture shows them. P faces."""

    points: Float[
        np.ndarray, "P 478 3"
    ]  # pixels: x right, y down, z away (0 near the head's middle)
    boxes: Float[np.ndarray, "P 4"]  # pixels: left, top, right, bottom of the points
    angles: Float[np.ndarray, "P 3"]  # yaw, pitch, roll in degrees, see pose.head_rotation
    blendshapes: Float[np.ndarray, "P 52"]  # 0..1, ARKit's expression coefficients
    expressions: tuple[str, ...]  # the names of the 52 blendshapes
    detector: str  # what found the faces
    models: tuple[str, ...]  # the zoo's names of the models that were used
    notes: tuple[str, ...]  # plain sentences: what was left out, scaled or fallen back to

    @property
    def iod(self) -> Float[np.ndarray, " P"]:
        """Inter-ocular distance: outer eye corner to outer eye corner in 3-D, pixels."""
        right, left = self.points[:, at.RIGHT_EYE_OUTER], self.points[:, at.LEFT_EYE_OUTER]
        return np.linalg.norm(left - right, axis=-1)

    @property
    def eye_openness(self) -> Float[np.ndarray, "P 2"]:
        """Eye aspect ratio, lid gap over eye width: right, left (Soukupova, Cech 2016, eq. 1)."""
        return np.stack([_gap_over_width(self.points, up, low) for up, low, _, _ in at.EYES], -1)

    @property
    def mouth_openness(self) -> Float[np.ndarray, " P"]:
        """Gap between the inner lips over the inter-ocular distance."""
        upper, lower = self.points[:, at.STOMION[0]], self.points[:, at.STOMION[1]]
        return np.linalg.norm(lower - upper, axis=-1) / self.iod

    def pick(self, people: Iterable[int] | Int[np.ndarray, " _n"]) -> Faces:
        """Only these people, in this order."""
        index = np.array(list(people), dtype=int)
        arrays = {
            name: value[index] for name, value in self.items() if isinstance(value, np.ndarray)
        }
        return replace(self, **arrays)

    def joined(self, other: Faces) -> Faces:
        """These people, then those of `other`, and what found either and was noted on either."""
        arrays = {
            name: np.concatenate([value, getattr(other, name)])
            for name, value in self.items()
            if isinstance(value, np.ndarray)
        }
        return replace(
            self,
            expressions=self.expressions or other.expressions,
            detector=" and ".join(dict.fromkeys((self.detector, other.detector))),
            models=tuple(dict.fromkeys(self.models + other.models)),
            notes=tuple(dict.fromkeys(self.notes + other.notes)),
            **arrays,
        )

    def moved(self, scale: float, shift: Float[np.ndarray, "2"]) -> Faces:
        """The same faces in a picture that was scaled and then shifted (pixels)."""
        offset = np.array([*shift, 0.0])
        points = self.points * scale + offset
        return replace(self, points=points, boxes=_boxes(points))

    def plot(self, rgb: Pixels, ax: object | None = None) -> None:
        """The named groups of points over their picture."""
        groups = {name: self.points[:, index, :2] for name, index in at.GROUPS.items()}
        show.overlay(rgb, groups, ax=ax)


def find_faces(
    photo: Photo, need: int = 1, model: Path | None = None, min_size: float = 96.0
) -> Faces:
    """Faces of a photo by MediaPipe's FaceLandmarker, left to right, at most two.

    photo: any picture; need: 1 or 2 faces; model: a face_landmarker.task (default: the zoo's);
    min_size: the least height of a face in pixels. Heads too small or too near the edge for the
    detector are looked for again in enlarged parts of the picture and with a border around it.
    When there is no model, or when MediaPipe can't be loaded, a packaged portrait falls back to the
    points that lie beside it and any other picture to our own networks (`mesh.find_meshes`); a note
    says so. They are not used in place of a `model` that was named.
    FaceError: no face, fewer than `need`, or one of the `need` largest is below `min_size`; a
    smaller bystander is left out, and a note says so.
    Source: Kartynnik et al. 2019, "Real-time facial surface geometry from monocular video".
    """
    try:
        with face_detector(model) as detect:
            found = search(photo.rgb, need, detect)
    except (ImportError, OSError) as error:  # ModelMissing is one; so is MediaPipe without libGL
        found = _packaged_faces(photo, error)
        if found is None:
            found = search(photo.rgb, need, _fallback(error, model))
    return _check(found, photo, need, min_size)


def track_faces(
    frames: Iterable[Float[np.ndarray, "_h _w 3"]], model: Path | None = None
) -> Iterator[Faces | None]:
    """The two largest faces of every frame, left to right; None where fewer were found.

    Falls back to our own networks as `find_faces` does.
    """
    with best_detector(model) as detect:
        for frame in frames:
            found = search(frame, 2, detect)
            yield _largest(found) if len(found.points) >= 2 else None


@contextmanager
def best_detector(model: Path | None = None) -> Iterator[Callable[[Pixels], Faces]]:
    """MediaPipe's detector, or our own networks where it is missing and no `model` was named."""
    with ExitStack() as stack:
        try:
            detect = stack.enter_context(face_detector(model))
        except (ImportError, OSError) as error:
            detect = _fallback(error, model)
        yield detect


@contextmanager
def face_detector(model: Path | None = None, most: int = 5) -> Iterator[Callable[[Pixels], Faces]]:
    """A function from pixels to Faces, all of them. Made once, used many times, closed at the end.

    (MediaPipe's detector can hang the interpreter's exit when it is left open.)
    """
    path = zoo.find_model("face_landmarker", model)
    from mediapipe import Image, ImageFormat  # takes seconds: only once there is a model for it
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(path)),  # mapped, not copied
        num_faces=most,
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
    )

    def detect(rgb: Pixels) -> Faces:
        data = np.ascontiguousarray((rgb * 255 + 0.5).astype(np.uint8))
        answer = landmarker.detect(Image(image_format=ImageFormat.SRGB, data=data))
        return _as_faces(answer, data.shape[1], data.shape[0])

    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        yield detect


def mesh_detector(notes: tuple[str, ...] = ()) -> Callable[[Pixels], Faces]:
    """A function from pixels to Faces by our own networks; they measure no blendshapes."""

    def detect(rgb: Pixels) -> Faces:
        found = find_meshes(rgb)
        return Faces(
            points=found.points,
            boxes=_boxes(found.points),
            angles=found.angles,
            blendshapes=np.zeros((len(found.points), 52)),
            expressions=("not measured",) * 52,
            detector="kisslab-mesh",
            models=("kisslab-mesh",),
            notes=notes,
        )

    return detect


def search(rgb: Pixels, need: int, detect: Callable[[Pixels], Faces]) -> Faces:
    """The whole picture first; then with a border; then its halves and quarters, enlarged."""
    found = detect(rgb)
    if len(found.points) >= need:
        return found
    for view, scale, shift in _views(rgb):
        more = detect(view).moved(1 / scale, -shift / scale)
        found = _merge(found, more)
    return found.pick(np.argsort(found.boxes[:, 0] + found.boxes[:, 2]))


def _as_faces(answer: object, width: int, height: int) -> Faces:
    """MediaPipe's answer in our units: z is scaled as x is."""
    size = np.array([width, height, width], dtype=float)
    points = np.array([[(p.x, p.y, p.z) for p in face] for face in answer.face_landmarks])
    points = points.reshape(-1, at.POINTS, 3) * size
    turns = np.array([m[:3, :3] for m in answer.facial_transformation_matrixes]).reshape(-1, 3, 3)
    shapes = np.array([[c.score for c in face] for face in answer.face_blendshapes])
    names = tuple(c.category_name for c in answer.face_blendshapes[0]) if len(points) else ()
    angles = (
        Rotation.from_matrix(turns).as_euler("YXZ", degrees=True) if len(turns) else turns[:, 0]
    )
    found = Faces(
        points=points,
        boxes=_boxes(points),
        angles=angles.reshape(-1, 3),
        blendshapes=shapes.reshape(-1, 52),
        expressions=names,
        detector="MediaPipe FaceLandmarker",
        models=("face_landmarker",),
        notes=(),
    )
    return found.pick(np.argsort(found.boxes[:, 0] + found.boxes[:, 2]))


def _fallback(error: Exception, model: Path | None) -> Callable[[Pixels], Faces]:
    """Our own networks in MediaPipe's place; whoever named a model gets the error instead."""
    if model is not None:
        raise error
    note = f"{_why(error)}: kisslab's own networks found the points, which are less exact"
    return mesh_detector((note,))


def _why(error: Exception) -> str:
    missing = isinstance(error, zoo.ModelMissing)
    return "no landmark model here" if missing else f"MediaPipe can't be loaded ({error})"


def _views(rgb: Pixels) -> Iterator[tuple[Pixels, float, Float[np.ndarray, "2"]]]:
    """(view, scale, shift) with x_view = x * scale + shift."""
    import cv2

    height, width = rgb.shape[:2]
    border = max(height, width) // 4  # the detector wants some margin around a head
    padded = cv2.copyMakeBorder(rgb, *[border] * 4, cv2.BORDER_REPLICATE)
    yield padded, 1.0, np.array([border, border], dtype=float)
    for part in (0.6, 0.4):
        w, h = int(width * part), int(height * part)
        scale = min(2.0, 1024 / max(w, h))
        for top in np.linspace(0, height - h, 2 if part > 0.5 else 3).astype(int):
            for left in np.linspace(0, width - w, 2 if part > 0.5 else 3).astype(int):
                crop = rgb[top : top + h, left : left + w]
                view = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
                yield np.clip(view, 0, 1), scale, np.array([-left, -top], dtype=float) * scale


def _merge(found: Faces, more: Faces) -> Faces:
    """Both, without the faces of `more` that `found` already has."""
    new = [i for i, box in enumerate(more.boxes) if not any(_same(box, b) for b in found.boxes)]
    return found.joined(more.pick(new))


def _same(a: Float[np.ndarray, "4"], b: Float[np.ndarray, "4"]) -> bool:
    """Two boxes of one face: the centre of either lies inside the other."""
    centre = (a[:2] + a[2:]) / 2
    return bool(np.all(centre > b[:2]) and np.all(centre < b[2:]))


def _check(found: Faces, photo: Photo, need: int, min_size: float) -> Faces:
    name = Path(photo.path).name or "the picture"
    if not len(found.points):
        with_what = "".join(f" ({note})" for note in found.notes)
        raise FaceError(
            f"{name}: no face found; take a photo where the face is turned to the camera, evenly "
            f"lit and not covered{with_what}"
        )
    if len(found.points) < need:
        raise FaceError(
            f"{name}: {len(found.points)} face found where {need} are needed; take a photo that "
            "shows both faces whole, or give two photos, one of each person"
        )
    found = _largest(_without_bystanders(found, need, min_size))
    heights = _heights(found)
    if heights.min() < min_size:
        raise FaceError(
            f"{name}: a face is {heights.min():.0f} px high, below min_size={min_size:.0f}; take a "
            "larger picture or crop it nearer to the people"
        )
    return found


def _without_bystanders(found: Faces, need: int, min_size: float) -> Faces:
    """Beyond the `need` largest, only faces that are large enough to be used."""
    kept = _heights(found) >= min_size
    kept[_by_size(found)[:need]] = True
    if kept.all():
        return found
    note = (
        f"{len(found.points)} faces found; {np.sum(~kept)} below min_size={min_size:.0f} left out"
    )
    return replace(found.pick(np.flatnonzero(kept)), notes=(*found.notes, note))


def _largest(found: Faces, most: int = 2) -> Faces:
    """At most so many, left to right."""
    if len(found.points) <= most:
        return found
    kept = found.pick(np.sort(_by_size(found)[:most]))
    note = f"{len(found.points)} faces found; the {most} largest are used"
    return replace(kept, notes=(*kept.notes, note))


def _by_size(found: Faces) -> Int[np.ndarray, " P"]:
    """Indices of the faces, the one of the largest box first."""
    return np.argsort(-np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1))


def _heights(found: Faces) -> Float[np.ndarray, " P"]:
    return found.boxes[:, 3] - found.boxes[:, 1]


def _packaged_faces(photo: Photo, error: Exception) -> Faces | None:
    """The points that lie beside a packaged portrait, when the photo is that very file."""
    beside = Path(photo.path).resolve().with_suffix(".faces.npz")
    portraits = zoo.data_path("portraits").resolve()
    if not beside.is_relative_to(portraits) or not beside.is_file():
        return None
    note = f"{_why(error)}: the points packaged beside this portrait are used"
    return replace(
        Faces.load(beside), detector="packaged beside the portrait", models=(), notes=(note,)
    )


def _gap_over_width(
    points: Float[np.ndarray, "P 478 3"], upper: np.ndarray, lower: np.ndarray
) -> Float[np.ndarray, " P"]:
    inner = slice(2, -2)  # the corners have no gap
    gap = np.linalg.norm(points[:, upper[inner]] - points[:, lower[inner]], axis=-1).mean(-1)
    return gap / np.linalg.norm(points[:, upper[0]] - points[:, upper[-1]], axis=-1)


def _boxes(points: Float[np.ndarray, "P 478 3"]) -> Float[np.ndarray, "P 4"]:
    return np.concatenate([points[..., :2].min(1), points[..., :2].max(1)], axis=-1)
