"""Stage 3, the other way: a clip of two faces in, its plan out. (motion_from_clip)"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.signal import savgol_filter

from kisslab.faces import FaceError, Faces, track_faces
from kisslab.keyframes import QUANTITIES, Keyframes, Track
from kisslab.motion import REST, Motion, motion_from_keyframes
from kisslab.pose import anchor_points

HIDING = 2.0  # gap, inter-ocular distances, below which one face may hide the other


def motion_from_clip(
    frames: Iterable[Float[np.ndarray, "H W 3"]],
    fps: float = 24.0,
    style: str = "driven",
    model: Path | None = None,
) -> Motion:
    """Recover a plan from a clip of two faces ("motion sequences" as a driving signal).

    Frames in which fewer than two faces are found are interpolated; two who were coming together
    when they were lost are taken to go on at their pace, for near contact one face hides the other.
    The two are told apart by their side in the picture and must not change places. To let others
    act the plan, pass its keyframes and their faces to motion_from_keyframes. FaceError when fewer
    than a third of the frames show both.
    """
    tracked = list(track_faces(frames, model))
    seen = [t for t, faces in enumerate(tracked) if faces is not None]
    if len(seen) < max(2, len(tracked) / 3):
        raise FaceError(
            f"two faces were found in {len(seen)} of {len(tracked)} frames; a driving clip must "
            "show both faces in at least a third of them"
        )
    rows = np.stack([_measured(tracked[t], tracked[seen[0]]) for t in seen])
    every = np.arange(len(tracked))
    columns = [np.interp(every, seen, column) for column in rows.T]
    columns[0] = _closed(columns[0], seen)
    smooth = [_smooth(column) for column in columns]
    smooth[0] = np.maximum(smooth[0], REST)
    for i, (_, quantity) in enumerate(_columns()):
        if quantity in ("eyelids", "pucker", "parting"):
            smooth[i] = np.clip(smooth[i], 0, 1)  # smoothing overshoots at fast lids
    return motion_from_keyframes(_as_keyframes(smooth, fps, style), tracked[seen[0]])


def _columns() -> list[tuple[int, str]]:
    """(person, quantity) of every column that is measured, the gap first."""
    return [(-1, "gap"), *((p, q) for p in (0, 1) for q in QUANTITIES)]


def _measured(faces: Faces, first: Faces) -> Float[np.ndarray, " Q"]:
    """One frame of a driving clip as the values of all tracks, the gap first."""
    lips = anchor_points(faces, ("lips", "lips"))
    gap = np.linalg.norm(lips[1, :2] - lips[0, :2]) / first.iod.mean()
    closed = 1 - np.clip(
        faces.eye_openness.mean(1) / np.maximum(first.eye_openness.mean(1), 1e-3), 0, 1
    )
    pucker = faces.blendshapes[:, faces.expressions.index("mouthPucker")]
    still = np.zeros((2, 3))  # gaze and breath aren't recovered
    rows = np.column_stack([faces.angles, closed, pucker, faces.mouth_openness, still])
    return np.concatenate([[gap], rows.ravel()])


def _closed(gap: Float[np.ndarray, " T"], seen: list[int]) -> Float[np.ndarray, " T"]:
    """The gap with its unseen stretches closed at the speed at which they began, and end."""
    gap = gap.copy()
    pace = np.gradient(gap[seen], seen)
    for i, start in enumerate(seen):
        stop = seen[i + 1] if i + 1 < len(seen) else len(gap)
        lost = np.arange(start + 1, stop)
        if len(lost) and pace[i] < 0 and gap[start] < HIDING:
            going = gap[start] + pace[i] * (lost - start)
            coming = gap[stop] - abs(pace[i + 1]) * (stop - lost) if stop < len(gap) else REST
            gap[lost] = np.maximum(np.maximum(going, coming), REST)
    return gap


def _smooth(column: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
    window = min(9, len(column) - (1 - len(column) % 2))
    return savgol_filter(column, window, min(3, window - 1)) if window >= 3 else column


def _as_keyframes(columns: list[np.ndarray], fps: float, style: str) -> Keyframes:
    """A key on every frame, so that nothing of the driving motion is lost."""
    times = tuple((np.arange(len(columns[0])) / fps).tolist())
    tracks = [
        Track(person, name, times, tuple(column.tolist()))
        for (person, name), column in zip(_columns(), columns, strict=True)
    ]
    return Keyframes(style, len(times) / fps, float(fps), ("lips", "lips"), tuple(tracks))
