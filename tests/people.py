"""Drawn people of whom everything is known, and portraits of real ones.

(face_points, surface, draw_person, draw_couple, true_cutout, as_faces, portrait,
portrait_couple, psnr; Drawing)
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from kisslab import anatomy as at
from kisslab.composite import Composite, compose
from kisslab.cutout import Cutout
from kisslab.faces import Faces, find_faces
from kisslab.photo import Photo, load_photo, photo_from_array

ASPECT = 0.86  # face width over face height
SKIN, LIP, IRIS = (0.85, 0.66, 0.55), (0.72, 0.28, 0.30), (0.08, 0.06, 0.05)
HAIR, CLOTH = (0.30, 0.18, 0.10), (0.62, 0.12, 0.16)
FINER = 4  # drawn so many times larger, then averaged: edges get their true coverage
RIDGE = [168, 6, 197, 195, 5, 4, 1, 19, 94, 2]  # the nose from its root to its base


@dataclass(frozen=True)
class Drawing:
    """A picture and the truth behind it."""

    photo: Photo
    faces: Faces
    alphas: np.ndarray  # P h w, coverage of each person
    background: np.ndarray  # h w 3, what lies behind them


def face_points(
    centre: tuple[float, float] = (0.0, 0.0),
    width: float = 100.0,
    parting: float = 0.0,
    roll: float = 0.0,
    mouth: float = 0.36,
) -> np.ndarray:
    """478 landmarks of a plain face looking at the camera: pixels, x right, y down, z away.

    width: between the sides of the face; parting: of the lips, inter-ocular distances; roll:
    degrees, clockwise in the picture; mouth: its width over the face's.
    """
    plane = _landmarks(parting, mouth)
    points = np.concatenate([plane, surface(plane)[:, None]], axis=1) * width
    c, s = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    points[:, :2] = points[:, :2] @ np.array([[c, s], [-s, c]]) + centre
    return points


def surface(plane: np.ndarray) -> np.ndarray:
    """Depth of the face over (x, y), all in face widths: an ellipsoid with a nose and a mouth."""
    x, y = plane[..., 0], plane[..., 1] * ASPECT
    head = 0.3 - 0.55 * np.sqrt(np.clip(1 - (x / 0.58) ** 2 - (y / 0.85) ** 2, 0, 1))
    slope = np.clip((y + 0.12) / 0.24, 0, 1) * np.exp(-((np.maximum(y - 0.12, 0) / 0.06) ** 2))
    nose = 0.15 * slope * np.exp(-((x / 0.09) ** 2))
    return head - nose - 0.05 * np.exp(-((x / 0.15) ** 2) - ((y - 0.28) / 0.1) ** 2)


def _landmarks(parting: float, mouth: float) -> np.ndarray:
    """(x, y) of every landmark, face widths from the face's middle."""
    high = 1 / ASPECT
    angle = np.arange(at.POINTS) * np.pi * (3 - np.sqrt(5))  # a sunflower: even and never twice
    radius = 0.46 * np.sqrt((np.arange(at.POINTS) + 0.5) / at.POINTS)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle) * high], -1)
    turn = np.linspace(0, 2 * np.pi, len(at.OVAL), endpoint=False)
    points[at.OVAL] = np.stack([0.5 * np.sin(turn), -0.5 * high * np.cos(turn)], -1)
    for (upper, lower, brow, iris), x in zip(at.EYES, (-0.21, 0.21), strict=True):
        points[brow] = _arc(x, -0.24 * high, 0.24, 0.03, 10)
        points[upper] = _arc(x, -0.1 * high, 0.2, 0.045, 9)
        points[lower] = _arc(x, -0.1 * high, 0.2, -0.035, 9)
        points[iris] = [x, -0.105 * high] + 0.035 * np.array(
            [[0, 0], [1, 0], [0, -1], [-1, 0], [0, 1]]
        )
    points[RIDGE] = np.stack([np.zeros(10), np.linspace(-0.1, 0.17, 10) * high], -1)
    sides = [i for i in at.NOSE if i not in RIDGE]
    points[sides] = _pairs(np.linspace(0.05, 0.09, 6), np.linspace(0.10, 0.16, 6) * high)
    points[[at.RIGHT_CHEEK, at.LEFT_CHEEK]] = [[-0.27, 0.1 * high], [0.27, 0.1 * high]]
    points[151] = [0, -0.4 * high]
    gap, low, wide = 0.62 * parting, 0.28 * high, 0.9 * mouth
    points[at.UPPER_LIP_OUTER] = _arc(0, low, mouth, 0.05, 11)
    points[at.LOWER_LIP_OUTER] = _arc(0, low, mouth, -0.06 - gap, 11)
    points[at.UPPER_LIP_INNER] = _arc(0, low, wide, 0.0, 11)
    points[at.LOWER_LIP_INNER] = _arc(0, low, wide, -gap, 11)
    return points


def _arc(x: float, y: float, width: float, rise: float, count: int) -> np.ndarray:
    """A half ellipse from left to right over a chord; rise > 0 goes up."""
    t = np.linspace(-1, 1, count)
    return np.stack([x + width / 2 * t, y - rise * np.sqrt(1 - t**2)], -1)


def _pairs(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Points mirrored: left, right, left, right, ..."""
    return np.stack([np.stack([-x, y], -1), np.stack([x, y], -1)], 1).reshape(-1, 2)


def draw_person(
    size: tuple[int, int] = (256, 256),
    centre: tuple[float, float] | None = None,
    width: float = 90.0,
    parting: float = 0.0,
    mouth: float = 0.36,
    cloth: tuple[float, float, float] = CLOTH,
    seed: int = 0,
) -> Drawing:
    """One person with hair and shoulders on a textured wall; size: (width, height)."""
    centre = (size[0] / 2, 0.45 * size[1]) if centre is None else centre
    return _draw(size, [face_points(centre, width, parting, mouth=mouth)], [cloth], seed)


def draw_couple(
    size: tuple[int, int] = (320, 200), width: float = 70.0, apart: float = 1.7, seed: int = 0
) -> Drawing:
    """Two people side by side; apart: face widths between their middles; size: (width, height)."""
    middles = [(size[0] / 2 + side * apart * width / 2, 0.45 * size[1]) for side in (-1, 1)]
    cloths = [CLOTH, (0.12, 0.22, 0.55)]
    return _draw(size, [face_points(m, width) for m in middles], cloths, seed)


def _draw(
    size: tuple[int, int], people: list[np.ndarray], cloths: list[tuple], seed: int
) -> Drawing:
    wall = _wall(size, seed)
    rgb, alphas = wall.copy(), []
    for i, (points, cloth) in enumerate(zip(people, cloths, strict=True)):
        colour, alpha = _paint(points, size, cloth, seed + i + 1)
        rgb += (colour - rgb) * alpha[..., None]
        alphas = [a * (1 - alpha) for a in alphas] + [alpha]
    photo = photo_from_array(np.clip(rgb, 0, 1).astype(np.float32), "drawing")
    return Drawing(photo, as_faces(*people), np.stack(alphas), wall)


def _wall(size: tuple[int, int], seed: int) -> np.ndarray:
    """Greenish grey, lighter to the right, with soft noise."""
    y, x = np.mgrid[: size[1], : size[0]] / max(size)
    base = np.stack([0.45 + 0.15 * x, 0.58 + 0.1 * x, 0.55 + 0.15 * y], -1)
    return np.clip(base + _noise(size, seed, 0.02), 0, 1)


def _noise(size: tuple[int, int], seed: int, amount: float) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((size[1], size[0], 1))
    noise = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return amount * noise[..., None] / noise.std()


def _paint(
    points: np.ndarray, size: tuple[int, int], cloth: tuple[float, float, float], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(colour, coverage): shoulders and neck, hair, face, then lids, irises and lips."""
    face_width = float(points[at.OVAL, 0].max() - points[at.OVAL, 0].min())
    middle = (points[at.CHIN, :2] + points[at.FOREHEAD, :2]) / 2
    shapes = [(_shoulders(face_width, middle, size), cloth)]
    shapes += [
        (_box(middle + np.array([0, 0.5 * face_width]), 0.34 * face_width, 0.3 * face_width), SKIN)
    ]
    shapes += [
        (_ellipse(middle - [0, 0.1 * face_width], 0.6 * face_width, 0.75 * face_width), HAIR)
    ]
    shapes += [(points[at.OVAL, :2], SKIN)]
    for upper, lower, brow, iris in at.EYES:
        slit = np.concatenate([points[upper, :2], points[lower[::-1], :2]])
        shapes += [(_thick(points[brow, :2], 0.02 * face_width), HAIR), (slit, (0.95, 0.95, 0.95))]
        shapes += [((slit, points[iris[0], :2], 0.04 * face_width), IRIS)]
    shapes += [(_loop(points, at.UPPER_LIP_OUTER, at.LOWER_LIP_OUTER), LIP)]
    shapes += [(_loop(points, at.UPPER_LIP_INNER, at.LOWER_LIP_INNER), IRIS)]
    colour, alpha = _layers(shapes, size)
    return np.clip(colour * (1 + _noise(size, seed, 0.03)), 0, 1), alpha


def _layers(shapes: list, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Opaque shapes, one over the other, with their true coverage of every pixel."""
    colour = np.broadcast_to(np.array(CLOTH), (size[1], size[0], 3)).copy()
    total = np.zeros(size[::-1])
    for shape, paint in shapes:
        cover = _cover(shape, size)
        colour += (np.array(paint) - colour) * cover[..., None]
        total = np.maximum(total, cover)
    return colour, total


def _cover(shape: object, size: tuple[int, int]) -> np.ndarray:
    """Coverage of a polygon, or of a disc seen through a polygon: (polygon, centre, radius)."""
    if isinstance(shape, tuple):
        polygon, centre, radius = shape
        return np.minimum(_cover(polygon, size), _cover(_ellipse(centre, radius, radius), size))
    large = np.zeros((size[1] * FINER, size[0] * FINER), np.uint8)
    fixed = np.round(((np.asarray(shape) + 0.5) * FINER - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(large, [fixed], 255, shift=4)
    return cv2.resize(large, size, interpolation=cv2.INTER_AREA) / 255.0


def _shoulders(width: float, middle: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Neck, shoulders and chest to the lower edge; raised, as of one who leans to the camera."""
    half = np.array([0.36, 0.42, 0.75, 1.10, 1.35, 1.45, 1.45]) * width
    down = np.array([0.40, 0.54, 0.64, 0.74, 0.86, 1.00, 1.00]) * width / ASPECT
    y = middle[1] + down
    y[-1] = max(y[-2], size[1]) + 2
    right, left = middle[0] + half, middle[0] - half
    return np.concatenate([np.stack([right, y], -1), np.stack([left, y], -1)[::-1]])


def _box(centre: np.ndarray, half_width: float, half_height: float) -> np.ndarray:
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return centre + corners * [half_width, half_height]


def _ellipse(centre: np.ndarray, half_width: float, half_height: float) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    return np.stack([centre[0] + half_width * np.cos(t), centre[1] + half_height * np.sin(t)], -1)


def _thick(line: np.ndarray, half: float) -> np.ndarray:
    rise = np.array([0, half])
    return np.concatenate([line - rise, line[::-1] + rise])


def _loop(points: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    return np.concatenate([points[upper, :2], points[lower[::-1], :2]])


def true_cutout(drawing: Drawing) -> Cutout:
    """The drawing taken apart without any guess, and without a margin."""
    rgb, alphas = drawing.photo.rgb, drawing.alphas.astype(np.float32)
    return Cutout(
        colour=np.stack([rgb] * len(alphas)),
        alpha=alphas,
        known=np.ones(alphas.shape, bool),
        trimap=alphas,
        background=drawing.background.astype(np.float32),
        seen=alphas.max(0) < 0.01,
        margin=0,
    )


def as_faces(*people: np.ndarray) -> Faces:
    """Drawn faces, left to right, as the detector would hand them on."""
    points = np.stack(people)
    flat = points[..., :2]
    return Faces(
        points=points,
        boxes=np.concatenate([flat.min(1), flat.max(1)], axis=-1),
        angles=np.zeros((len(people), 3)),
        blendshapes=np.zeros((len(people), 52)),
        expressions=tuple(f"shape {i}" for i in range(52)),
        detector="drawn",
        notes=(),
        models=(),
    )


@functools.cache
def portrait(name: str) -> tuple[Photo, Faces]:
    """A real portrait and its face, or a reason to skip."""
    root, models = (os.environ.get(v, "") for v in ("KISSLAB_PHOTOS", "KISSLAB_MODELS"))
    if not (root and models and Path(root, name).is_file()):
        pytest.skip(
            f"because KISSLAB_PHOTOS and KISSLAB_MODELS do not lead to {name} and its detector"
        )
    photo = load_photo(Path(root, name))
    return photo, find_faces(photo)


@functools.cache
def portrait_couple(left: str = "sfhq_a_14.jpg", right: str = "sfhq_a_12.jpg") -> Composite:
    """Two real portraits in one small picture, or a reason to skip."""
    known = [portrait(f"portraits/{name}") for name in (left, right)]
    faces = {photo.sha256: found for photo, found in known}
    return compose(known[0][0], known[1][0], height=240, find=lambda photo: faces[photo.sha256])


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio of pictures in [0, 1], dB."""
    return float(-10 * np.log10(np.mean((np.asarray(a, float) - b) ** 2) + 1e-12))
