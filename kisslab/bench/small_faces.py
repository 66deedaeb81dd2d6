"""How our own face and parts networks compare with MediaPipe and the truth. (faces_rows)"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kisslab import zoo
from kisslab.bench.rows import Row, row
from kisslab.cutout import cut_out
from kisslab.faces import Faces, face_detector, mesh_detector, search
from kisslab.parts import find_parts
from kisslab.photo import load_photo
from kisslab.studio.dataset import Views, write_person
from kisslab.studio.portraits import Truth
from kisslab.train.pictures import photographs

UNSEEN = range(8_000_000, 8_000_006)  # seeds of people that nothing was trained on


def faces_rows() -> Iterator[Row]:
    """mesh_error_*, mesh_found_*, matte_iou_*: on people and photographs not trained on."""
    views = [_rendered(seed) for seed in UNSEEN]
    studio = [picture / np.float32(255) for v in views for picture in v.rgb]
    yield from _mesh_rows("studio", studio, "<= 0.04", ">= 0.97")
    photos = [load_photo(path).rgb for path in photographs(_photos(), held=True)]
    yield from _mesh_rows("photos", photos, "<= 0.07", ">= 0.9")
    truths = [parts > 0 for v in views for parts in v.parts]
    overlaps = [_overlap(find_parts(p).matte > 0.5, t) for p, t in zip(studio, truths, strict=True)]
    yield row("matte_iou_studio", np.mean(overlaps), "share", ">= 0.95", len(overlaps))
    overlaps = [_cut_overlap(path) for path in _singles()]
    yield row("cutout_iou_portraits", np.mean(overlaps), "share", "", len(overlaps))


def _rendered(seed: int) -> Views:
    with tempfile.TemporaryDirectory() as folder:
        return Views.load(write_person(f"{folder}/person.npz", seed))


def _photos() -> Path:
    place = os.environ.get("KISSLAB_PHOTOS")
    if not place:
        raise FileNotFoundError(
            "these figures are measured on photographs: set KISSLAB_PHOTOS to a folder that holds "
            "folders of .jpg files"
        )
    return Path(place)


def _mesh_rows(
    name: str, pictures: list[np.ndarray], error_bound: str, found_bound: str
) -> Iterator[Row]:
    """Mean distance from MediaPipe's points in the picture, and how often both find the face."""
    own, errors, seen = mesh_detector(), [], 0
    with face_detector() as detect:
        for rgb in pictures:
            teacher = search(rgb, 1, detect)
            if not len(teacher.points):
                continue
            seen += 1
            errors += _errors(teacher, search(rgb, 1, own))
    yield row(f"mesh_error_{name}", np.mean(errors), "iod", error_bound, len(errors))
    yield row(f"mesh_found_{name}", len(errors) / seen, "share", found_bound, seen)


def _errors(teacher: Faces, own: Faces) -> list[float]:
    """Of the teacher's largest face: one number, or none where ours is not at its place."""
    largest = int(np.argmax(teacher.iod))
    left, top, right, bottom = teacher.boxes[largest]
    for points in own.points[..., :2]:
        x, y = (points.min(0) + points.max(0)) / 2
        if left < x < right and top < y < bottom:
            away = np.linalg.norm(points - teacher.points[largest, :, :2], axis=-1)
            return [float(away.mean() / teacher.iod[largest])]
    return []


def _singles() -> list[Path]:
    return sorted(zoo.data_path("portraits").glob("single_*.jpg"))


def _cut_overlap(path: Path) -> float:
    """Of what `cut_out` cuts from a packaged portrait with what is truly the person."""
    cutout = cut_out(load_photo(path), Faces.load(path.with_suffix(".faces.npz")), margin=0.0)
    return _overlap(cutout.alpha[0] > 0.5, Truth.load(path.with_suffix(".truth.npz")).parts > 0)


def _overlap(mine: np.ndarray, true: np.ndarray) -> float:
    """Intersection over union."""
    return float((mine & true).sum() / (mine | true).sum())
