"""Who is seen in a clip: faces looked for where the plan has them, held against the photo.

(follow_faces, likeness, Likeness, cut_face, varied)
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float, Num

from kisslab import show
from kisslab.faces import Faces
from kisslab.identity import align, embed_crops
from kisslab.metrics import RIGID, Frames, consistency
from kisslab.records import Result, record

SIZE = 256  # pixels of the square that is cut around a place to look for a face there
BORDER = 0.25  # of the face on each side of it: detectors want some margin
Pixels = Float[np.ndarray, "H W 3"]
Points = Float[np.ndarray, "T 2 478 3"]
Crops = Num[np.ndarray, "_n 112 112 3"]
Detect = Callable[[Pixels], Faces]
Recognise = Callable[[Crops], Float[np.ndarray, "_n _d"]]


@record
class Likeness(Result):
    """Cosines of each face to photos, by one recognition model. Person 0 is on the left.

    They are read between `floor` and `ceiling`: models differ in both, and a turned head is farther
    from its frontal photo than a second frontal photo is.
    """

    own: Float[np.ndarray, "T 2"]  # to the person's own photo; NaN where no face was found
    other: Float[np.ndarray, "T 2"]  # to the other person's photo
    ceiling: Float[np.ndarray, "2"]  # the own photo to the same person's other picture
    floor: Float[np.ndarray, "2"]  # the own photo to strangers, mean
    consistency: Float[np.ndarray, "2"]  # see metrics.consistency

    @property
    def margin(self) -> Float[np.ndarray, "T 2"]:
        """How much more a face is like its own photo than like the other person's."""
        return self.own - self.other

    def plot(self, ax: object | None = None) -> None:
        """Likeness over the frames, between what it could be and what a stranger has."""
        frames = np.arange(len(self.own))
        series = {}
        for person, name in enumerate(("left", "right")):
            series[f"{name}, own photo"] = self.own[:, person]
            series[f"{name}, the other's"] = self.other[:, person]
        series["ceiling"] = np.full(len(frames), self.ceiling.mean())
        series["a stranger"] = np.full(len(frames), self.floor.mean())
        show.curve(frames, series, ax=ax, x_label="frame", y_label="cosine")


def follow_faces(frames: Frames, places: Points, *detectors: Detect) -> Points:
    """Both people's points in every frame, pixels; NaN where no face is found at its place.

    places: of the plan; each is cut out with some margin and enlarged, so that small faces are
    found. A face counts for whom it is nearer to, and not beyond three quarters of an inter-ocular
    distance or so from where it should be: a quarter of the cut-out. detectors: pixels to Faces;
    where one finds nothing the next is asked.
    """
    out = np.full(places.shape, np.nan)
    for t, person in np.ndindex(places.shape[:2]):
        for detect in detectors:
            if np.isnan(out[t, person]).all():
                out[t, person] = _face_at(frames[t], places[t], person, detect)
    return out


def likeness(
    frames: Frames,
    points: Points,
    photo: Num[np.ndarray, "2 112 112 3"],
    again: Num[np.ndarray, "2 112 112 3"],
    strangers: Crops,
    recognise: Recognise = embed_crops,
) -> Likeness:
    """Hold each face that was found against its photo, the other's, and the two bounds.

    points: as from `follow_faces`; photo, again: both people's aligned crops, from the photo and
    from another picture of them; strangers: crops of others. Source: cosine similarity of ArcFace
    embeddings (Deng et al. 2019), as in ID-Animator and ConsisID for clips.
    """
    seen = np.isfinite(points).all(axis=(2, 3))
    prints = np.full((*seen.shape, recognise(photo).shape[1]), np.nan)
    if seen.any():
        crops = [align(frames[t], points[t, p]) for t, p in np.argwhere(seen)]
        prints[seen] = recognise(np.stack(crops))
    known = recognise(photo)
    cosines = np.einsum("tpd,qd->tpq", prints, known)
    return Likeness(
        own=cosines[:, [0, 1], [0, 1]],
        other=cosines[:, [0, 1], [1, 0]],
        ceiling=np.sum(known * recognise(again), axis=1),
        floor=(known @ recognise(strangers).T).mean(axis=1),
        consistency=np.array([consistency(prints[:, p]) for p in (0, 1)]),
    )


def cut_face(rgb: Pixels, points: Float[np.ndarray, "478 _d"]) -> Float[np.ndarray, "256 256 3"]:
    """A square around a face with a border, enlarged; beyond the picture its edge goes on."""
    side, corner = _square(points)
    x, y = (corner + (side - 1) / 2).tolist()  # OpenCV counts from a pixel's middle
    square = cv2.getRectSubPix(rgb.astype(np.float32, copy=False), (side, side), (x, y))
    how = cv2.INTER_AREA if side > SIZE else cv2.INTER_CUBIC
    return np.clip(cv2.resize(square, (SIZE, SIZE), interpolation=how), 0, 1)


def varied(crops: Num[np.ndarray, "N 112 112 3"]) -> Float[np.ndarray, "N 112 112 3"]:
    """Mirrored, at half the pixels, a sixth darker: a stand-in for another picture of someone."""
    half = (crops.shape[2] // 2, crops.shape[1] // 2)
    out = []
    for crop in show.to_uint8(crops)[:, :, ::-1] / np.float32(255):
        small = cv2.resize(crop, half, interpolation=cv2.INTER_AREA)
        out.append(cv2.resize(small, crop.shape[1::-1]) * np.float32(5 / 6))
    return np.stack(out)


def _face_at(
    rgb: Pixels, places: Float[np.ndarray, "2 478 3"], person: int, detect: Detect
) -> Float[np.ndarray, "478 3"]:
    """The points of the face nearest to the person's place, or NaN."""
    side, corner = _square(places[person])
    scale = SIZE / side
    found = detect(cut_face(rgb, places[person])).moved(1 / scale, corner).points
    goals = places[:, RIGID, :2].mean(axis=1)
    away = np.linalg.norm(found[:, None, RIGID, :2].mean(axis=2) - goals, axis=-1)  # face, person
    near = (away[:, person] < SIZE / 4 / scale) & (away[:, person] < away[:, 1 - person])
    if not near.any():
        return np.full(places[person].shape, np.nan)
    return found[np.where(near, away[:, person], np.inf).argmin()]


def _square(points: Float[np.ndarray, "478 _d"]) -> tuple[int, Float[np.ndarray, "2"]]:
    """(side, upper left corner) of the square around a face with its border, pixels."""
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    side = max(8, round((1 + 2 * BORDER) * float((high - low).max())))
    return side, np.round((low + high - side) / 2)
