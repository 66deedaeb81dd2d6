"""Faces in clips as others see them: a landmarker, and a recogniser that trained nothing of ours.

(found, kiss_likeness, attempt_likeness, face_print, in_middle)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from insightface.app import FaceAnalysis
from jaxtyping import Bool, Float

from kisslab.bench.made import Attempt, Kiss
from kisslab.contact import planned_points
from kisslab.faces import Faces
from kisslab.likeness import SIZE, cut_face
from kisslab.show import to_uint8

Pixels = Float[np.ndarray, "H W 3"]
Points = Float[np.ndarray, "478 _d"]
Print = Float[np.ndarray, " D"]


def found(kiss: Kiss, detect: Callable[[Pixels], Faces], most_yaw: float) -> list[bool]:
    """Whether each planned face turned by at most `most_yaw` degrees is found at its place."""
    places = planned_points(kiss.motion, kiss.couple.faces)
    out = []
    for t, person in np.argwhere(np.abs(kiss.motion.angles[..., 0]) <= most_yaw):
        boxes = detect(cut_face(kiss.frames[t], places[t, person])).boxes
        out.append(bool(in_middle(boxes).any()))
    return out


def kiss_likeness(judge: FaceAnalysis, kiss: Kiss) -> Float[np.ndarray, "T 2 2"]:
    """Cosine of each face to its own source photo's (0) and to the other person's (1).

    NaN where the judge finds no face. ValueError: it finds none in a source photo.
    """
    couple = kiss.couple
    sources = [
        face_print(judge, photo.rgb, faces.points[0])
        for photo, faces in zip(couple.sources, couple.source_faces, strict=True)
    ]
    if any(source is None for source in sources):
        raise ValueError(f"no face for the judge in {[photo.path for photo in couple.sources]}")
    places = planned_points(kiss.motion, couple.faces)
    out = np.full((*places.shape[:2], 2), np.nan)
    for t, person in np.ndindex(places.shape[:2]):
        face = face_print(judge, kiss.frames[t], places[t, person])
        if face is not None:
            out[t, person] = face @ sources[person], face @ sources[1 - person]
    return out


def attempt_likeness(judge: FaceAnalysis, attempt: Attempt) -> Float[np.ndarray, "N 2"]:
    """Cosine to the source of our face and of the exact one, where the judge finds all three."""
    case, truth = attempt.case, attempt.truth
    places, out = planned_points(case.motion, case.faces), []
    for person in (0, 1):
        source = face_print(judge, case.portrait.rgb, case.faces.points[person])
        if source is None:
            continue
        for t, points in enumerate(places[:, person]):
            both = [face_print(judge, frames[t], points) for frames in (attempt.frames, truth)]
            if both[0] is not None and both[1] is not None:
                out.append([face @ source for face in both])
    return np.array(out).reshape(-1, 2)


def face_print(judge: FaceAnalysis, rgb: Pixels, points: Points) -> Print | None:
    """The judge's unit vector of the face that its own detector finds at `points`, if it does."""
    crop = to_uint8(cut_face(rgb, points))
    faces = judge.get(np.ascontiguousarray(crop[..., ::-1]))
    boxes = np.array([face.bbox for face in faces]).reshape(-1, 4)
    near = np.flatnonzero(in_middle(boxes))
    return faces[near[0]].normed_embedding if len(near) else None


def in_middle(boxes: Float[np.ndarray, "N 4"]) -> Bool[np.ndarray, " N"]:
    """Which boxes in a cut-out face's square are the face it was cut around, not its partner's."""
    away = (boxes[:, :2] + boxes[:, 2:]) / 2 - SIZE / 2
    return np.abs(away).max(axis=1, initial=0) < SIZE / 4
