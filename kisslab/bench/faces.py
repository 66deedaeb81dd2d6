"""Area faces: whether faces are found, and bad photos of people told apart. (measure)"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from kisslab.bench.inputs import portraits
from kisslab.bench.rows import Row, row
from kisslab.faces import FaceError, Faces, find_faces
from kisslab.photo import Photo, load_photo, photo_from_array


def measure() -> Iterator[Row]:
    """faces_found_*, pose_mirror_error_deg, points_scale_error, bad_faces_clear."""
    photos = [load_photo(path) for path in portraits()]
    found = [_found(photo) for photo in photos]
    both = [(p, f) for p, f in zip(photos, found, strict=True) if f is not None]
    yield row("faces_found_portraits", len(both) / len(photos), "share", ">= 0.98", len(photos))
    diverse = [_found(load_photo(path)) for path in portraits("diverse")[::4]]
    share = sum(f is not None for f in diverse) / len(diverse)
    yield row("faces_found_diverse", share, "share", "", len(diverse))
    some = both[::4]
    yield row("pose_mirror_error_deg", _mirror_error(some), "degrees", "<= 3", len(some))
    yield row("points_scale_error", _scale_error(some), "iod", "<= 0.03", len(some))
    cases = list(_bad_faces(photos[0], photos[1]))
    clear = sum(_is_clear(photo, need, words) for photo, need, words in cases)
    yield row("bad_faces_clear", clear, "photos", f"= {len(cases)}", len(cases))


def _found(photo: Photo) -> Faces | None:
    try:
        return find_faces(photo, min_size=0)
    except FaceError:
        return None


def _mirror_error(some: list[tuple[Photo, Faces]]) -> float:
    """Median of |yaw + yaw of the mirrored picture|: what pose is worth."""
    pairs = [(f, find_faces(photo_from_array(p.rgb[:, ::-1].copy()), min_size=0)) for p, f in some]
    return float(np.median([abs(a.angles[0, 0] + b.angles[0, 0]) for a, b in pairs]))


def _scale_error(some: list[tuple[Photo, Faces]], scale: float = 0.6) -> float:
    """Median distance of the points found in a reduced picture to the scaled points."""
    errors = []
    for photo, faces in some:
        small = cv2.resize(photo.rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        again = find_faces(photo_from_array(small), min_size=0)
        apart = np.linalg.norm(again.points[0, :, :2] / scale - faces.points[0, :, :2], axis=-1)
        errors.append(np.median(apart) / faces.iod[0])
    return float(np.median(errors))


def _bad_faces(one: Photo, other: Photo) -> Iterator[tuple[Photo, int, str]]:
    """(photo, faces needed, words of the message)."""
    grey = np.full((400, 600, 3), 0.5, np.float32)
    small = grey.copy()
    small[20:120, 20:120] = cv2.resize(one.rgb, (100, 100), interpolation=cv2.INTER_AREA)
    yield photo_from_array(grey), 1, "no face found"
    yield one, 2, "1 face found where 2 are needed"
    yield photo_from_array(small), 1, "below min_size"


def _is_clear(photo: Photo, need: int, words: str) -> bool:
    try:
        find_faces(photo, need=need)
    except FaceError as error:
        return words in str(error)
    return False
