"""The pictures that figures are measured on.

(portraits, sample_faces, couple_faces, small_couple, resized_pair)
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from kisslab import anatomy as at
from kisslab import zoo
from kisslab.faces import Faces
from kisslab.photo import Photo, load_photo, photo_from_array


def portraits(folder: str = "portraits") -> list[Path]:
    """Photographs of people who do not exist, from KISSLAB_PHOTOS. OSError when it is not set."""
    place = os.environ.get("KISSLAB_PHOTOS")
    if not place or not (Path(place) / folder).is_dir():
        raise FileNotFoundError(
            "these figures are measured on photographs: set KISSLAB_PHOTOS to a folder that holds "
            f"{folder}/*.jpg, frontal portraits of one person each"
        )
    return sorted((Path(place) / folder).glob("*.jpg"))


def sample_faces() -> Faces:
    """The two packaged portraits' faces, side by side as `compose` would put them."""
    left, right = (Faces.load(p.with_suffix(".faces.npz")) for p in zoo.demo_portraits())
    apart = 1.62 * 0.86 * float(np.ptp(left.points[0, :, 1]))
    shift = left.points[0, at.NOSE_TIP, :2] + [apart, 0] - right.points[0, at.NOSE_TIP, :2]
    return left.joined(right.moved(1.0, shift))


def couple_faces() -> list[Faces]:
    """The faces of the packaged couples."""
    return [
        Faces.load(path) for path in sorted(zoo.data_path("portraits").glob("couple_*.faces.npz"))
    ]


def small_couple(name: str = "couple_01", scale: float = 0.5) -> tuple[Photo, Faces]:
    """A packaged couple at a share of its 512 x 384 pixels, and their packaged faces."""
    path = zoo.data_path(f"portraits/{name}.jpg")
    rgb = cv2.resize(load_photo(path).rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    shift = np.full(2, 0.5 * scale - 0.5)  # pixel centres
    faces = Faces.load(path.with_suffix(".faces.npz")).moved(scale, shift)
    return photo_from_array(np.clip(rgb, 0, 1)), faces


def resized_pair(faces: Faces, ratio: float) -> Faces:
    """The same two, the left face `ratio` times as large about its nose."""
    nose = faces.points[0, at.NOSE_TIP, :2]
    left = faces.pick([0]).moved(ratio, nose * (1 - ratio))
    points = np.concatenate([left.points, faces.points[1:]])
    return replace(faces, points=points, boxes=np.concatenate([left.boxes, faces.boxes[1:]]))
