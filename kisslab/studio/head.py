"""A person's head as baked distance fields. (morph, Eye, Head, build_head)

Head frame: origin and axes of the template, lengths in inter-ocular distances (outer eye
corners 1 apart), x to the picture's right, y up, z to the camera when looking straight ahead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import cKDTree
from torch import Tensor

from kisslab import anatomy
from kisslab.studio import hair, shapes
from kisslab.studio.person import SHAPES, Person
from kisslab.studio.shapes import Points, Volume, bake, smooth_max, smooth_min
from kisslab.studio.template import face_template, normals, subdivision

# name: centre, reach (Gaussian), shift at one standard deviation. x > 0 side; mirrored.
MORPHS: dict[str, tuple[tuple[float, float, float], float, tuple[float, float, float]]] = {
    "jaw_width": ((0.62, -0.72, 0.0), 0.40, (0.035, 0.0, 0.0)),
    "jaw_corner": ((0.70, -0.62, -0.12), 0.24, (0.030, -0.030, 0.0)),
    "chin_length": ((0.0, -1.10, 0.45), 0.42, (0.0, -0.040, 0.0)),
    "chin_width": ((0.24, -1.00, 0.42), 0.20, (0.030, 0.0, 0.0)),
    "chin_forward": ((0.0, -1.00, 0.50), 0.26, (0.0, 0.0, 0.030)),
    "cheekbones": ((0.58, -0.02, 0.25), 0.26, (0.016, 0.0, 0.026)),
    "cheeks": ((0.48, -0.42, 0.28), 0.28, (0.022, 0.0, 0.024)),
    "brow_ridge": ((0.25, 0.50, 0.55), 0.22, (0.0, -0.006, 0.026)),
    "forehead": ((0.0, 0.85, 0.50), 0.42, (0.0, 0.010, 0.022)),
    "nose_length": ((0.0, -0.16, 0.80), 0.26, (0.0, -0.030, 0.0)),
    "nose_width": ((0.19, -0.13, 0.60), 0.14, (0.024, 0.0, 0.0)),
    "nose_projection": ((0.0, -0.10, 0.84), 0.20, (0.0, 0.0, 0.030)),
    "nose_bridge": ((0.0, 0.22, 0.68), 0.20, (0.0, 0.0, 0.026)),
    "nose_hump": ((0.0, 0.09, 0.76), 0.10, (0.0, 0.0, 0.017)),
    "nose_upturn": ((0.0, -0.12, 0.84), 0.12, (0.0, 0.024, 0.0)),
    "mouth_width": ((0.28, -0.49, 0.48), 0.15, (0.022, 0.0, 0.0)),
    "mouth_height": ((0.0, -0.50, 0.60), 0.30, (0.0, 0.016, 0.0)),
    "smile": ((0.29, -0.49, 0.47), 0.13, (0.006, 0.020, -0.006)),
    "eye_tilt": ((0.50, 0.30, 0.35), 0.13, (0.0, 0.014, 0.0)),
    "eye_depth": ((0.34, 0.31, 0.42), 0.20, (0.0, 0.0, 0.014)),
    "eye_spacing": ((0.21, 0.29, 0.42), 0.09, (0.010, 0.0, 0.0)),
}
PIVOT = np.array([0.0, -0.75, -0.75])  # where the skull sits on the neck


@dataclass(frozen=True, eq=False)
class Eye:
    """The left eye (x > 0); the right one is its mirror image."""

    centre: Float[np.ndarray, "3"]
    radius: float
    middle: Float[np.ndarray, "2"]  # x, y of the middle between the corners
    half_width: float
    tilt: float  # radians, outer corner up
    upper: float  # height of the open upper lid above the axis
    lower: float  # depth of the lower lid below the axis
    crease: float  # height of the fold above the open lid's edge
    hood: float  # 0 deep crease, 1 single lid


@dataclass(frozen=True, eq=False)
class Head:
    """All that is baked once per person, in the head frame."""

    person: Person
    points: Float[np.ndarray, "468 3"]  # at rest: eyes open, lips closed
    eye: Eye
    coarse: Volume  # channels: skin, hair
    face: Volume  # skin, finer
    ear: Volume  # skin around the left ear, finer; mirrored for the right
    rough: Volume  # skin and hair together, for shadows
    style: hair.Style


def morph(shape: Float[np.ndarray, "25"]) -> Float[np.ndarray, "468 3"]:
    """The template moved by the scores in `shape`; its smooth surface has eye corners 1 apart."""
    scores = dict(zip(SHAPES, (float(s) for s in shape), strict=True))
    points = face_template().points.copy()
    for name, (centre, reach, shift) in MORPHS.items():
        points += scores[name] * _mirrored_shift(points, centre, reach, shift)
    points = _lips(_closed(points), scores["upper_lip"], scores["lower_lip"])
    points = _sides(points)
    points = _eyes(points, 1.40 + 0.07 * scores["eye_size"])
    points[:, 0] *= 1 + 0.022 * scores["face_width"]
    smooth = np.asarray(subdivision()[0][:468] @ points)
    return points / (smooth[anatomy.LEFT_EYE_OUTER, 0] - smooth[anatomy.RIGHT_EYE_OUTER, 0])


def build_head(person: Person) -> Head:
    """Bake the fields of one person: about a second on two cores."""
    control = morph(person.shape)
    points = np.asarray(subdivision()[0][:468] @ control)  # where the smooth surface has them
    eye = _eye(points, person)
    skin = _SkinField(person, control)
    style = hair.style(person, points)

    def skin_and_hair(p: Points) -> Tensor:
        d = skin(p)
        return torch.stack([d, hair.distance(style, p, d)])

    coarse = bake(skin_and_hair, style.low, style.high, 0.036)
    low, high = points.min(0), points.max(0)
    face = bake(
        lambda p: skin(p)[None],
        (float(low[0]) - 0.03, float(low[1]) - 0.06, -0.1),
        (float(high[0]) + 0.03, 0.72, float(high[2]) + 0.03),
        0.0135,
    )
    ear = bake(lambda p: skin(p)[None], (0.72, -0.42, -0.95), (1.16, 0.60, -0.18), 0.014)
    rough = _rough(coarse)
    return Head(person, points, eye, coarse, face, ear, rough, style)


def _rough(coarse: Volume) -> Volume:
    both = coarse.values.amin(dim=0, keepdim=True)
    half = torch.nn.functional.interpolate(
        both[None],
        tuple((n + 1) // 2 for n in both.shape[1:]),
        mode="trilinear",
        align_corners=True,
    )[0]
    return Volume(half.contiguous(), coarse.low, coarse.high)


def _mirrored_shift(points: np.ndarray, centre: tuple, reach: float, shift: tuple) -> np.ndarray:
    """Gaussian-weighted shift on both sides; on the midline x stays."""
    out = np.zeros_like(points)
    for side in (1.0, -1.0) if centre[0] else (1.0,):
        flip = np.array([side, 1.0, 1.0])
        weight = np.exp(-((points - flip * centre) ** 2).sum(1) / reach**2)
        out += weight[:, None] * (flip * shift)
    return out


def _sides(points: np.ndarray) -> np.ndarray:
    """Let the template's outer ring dip into the skull, so that no edge shows before the ear."""
    out = points.copy()
    ring = anatomy.OVAL[[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]]
    for row in np.concatenate([ring, face_template().mirror[ring]]):
        out[row] -= [0.045 * np.sign(points[row, 0]), 0.0, 0.055]
    return out


def _closed(points: np.ndarray) -> np.ndarray:
    """The template's lips are slightly parted: bring their inner borders together."""
    out = points.copy()
    upper, lower = anatomy.UPPER_LIP_INNER, anatomy.LOWER_LIP_INNER
    line = 0.5 * (points[upper] + points[lower])
    line[:, 2] = np.maximum(points[upper, 2], points[lower, 2])
    out[upper], out[lower] = line, line - [0.0, 0.004, 0.0]
    for rows, share in ((anatomy.UPPER_LIP_OUTER, 0.35), (anatomy.LOWER_LIP_OUTER, 0.35)):
        shift = line[:, 1] - points[upper if rows[1] == 185 else lower, 1]
        out[rows, 1] += share * shift
    return out


def _lips(points: np.ndarray, upper: float, lower: float) -> np.ndarray:
    """Fuller lips: the outer borders move away from the mouth line, and everything forward."""
    out = points.copy()
    for outer, inner, score, sign in (
        (anatomy.UPPER_LIP_OUTER, anatomy.UPPER_LIP_INNER, upper, 1.0),
        (anatomy.LOWER_LIP_OUTER, anatomy.LOWER_LIP_INNER, lower, -1.0),
    ):
        arch = np.sqrt(np.clip(1 - np.linspace(-1, 1, 11) ** 2, 0, 1))
        amount = (0.020 * score + 0.012) * arch
        out[outer[1:-1], 1] += sign * amount[1:-1]
        out[outer[1:-1], 2] += 0.5 * amount[1:-1]
        out[inner[1:-1], 2] += 0.4 * amount[1:-1]
    return out


def _eyes(points: np.ndarray, opening: float) -> np.ndarray:
    """Scale the height of both eye openings about their axes."""
    out = points.copy()
    for upper, lower, _, _ in anatomy.EYES:
        for k in range(1, 8):
            middle = 0.5 * (points[upper[k], 1] + points[lower[k], 1])
            for row in (upper[k], lower[k]):
                out[row, 1] = middle + opening * (points[row, 1] - middle)
    return out


def _eye(points: np.ndarray, person: Person) -> Eye:
    """The eyeball that lies closest behind the lids (least squares, fixed radius)."""
    upper, lower = points[anatomy.LEFT_UPPER_LID], points[anatomy.LEFT_LOWER_LID]
    radius = 0.200
    rim = np.concatenate([upper[1:-1], lower[1:-1]])
    centre = rim.mean(0) - [0.02, 0.0, radius]
    for _ in range(20):  # Gauss-Newton
        away = rim - centre
        length = np.linalg.norm(away, axis=1)
        jacobian = -away / length[:, None]
        step = np.linalg.lstsq(jacobian, radius - length, rcond=None)[0]
        centre = centre + step
    centre = centre - [0.0, 0.0, 0.012]
    inner, outer = upper[0], upper[-1]
    middle = 0.5 * (inner + outer)[:2]
    tilt = math.atan2(outer[1] - inner[1], outer[0] - inner[0])
    half = float(np.hypot(*(outer - inner)[:2]) / 2)
    return Eye(
        centre=centre,
        radius=radius,
        middle=middle,
        half_width=half,
        tilt=tilt,
        upper=float(upper[3:6, 1].mean() - middle[1]),
        lower=float(middle[1] - lower[3:6, 1].mean()),
        crease=0.055 - 0.02 * person.lids,
        hood=person.lids,
    )


class _SkinField:
    """Skin of one head: face (moving least squares on the mesh), skull, jaw, ears, top of neck."""

    def __init__(self, person: Person, points: np.ndarray):
        matrix, triangles = subdivision()
        self.person = person
        self.free = person.hair not in ("bob", "long", "long waves", "fringe")  # or under hair
        self.fine = np.asarray(matrix @ points)
        self.normals = normals(self.fine, triangles)
        self.tree = cKDTree(self.fine)
        oval = points[anatomy.OVAL]
        centre = oval.mean(0)
        _, _, axes = np.linalg.svd(oval - centre)
        back = axes[2] * np.sign(axes[2, 2])
        self.plane = torch.tensor(np.append(back, -back @ centre), dtype=torch.float32)
        self.width = float(np.abs(points[:, 0]).max())
        self.points = points

    def __call__(self, p: Points) -> Tensor:
        mirrored = torch.stack([p[0].abs(), p[1], p[2]])
        d = smooth_min(self._skull(mirrored), self._face(p), 0.24)
        return smooth_min(d, self._ear(mirrored), 0.035)

    def _face(self, p: Points) -> Tensor:
        """Distance to the face where it is near, 0.5 elsewhere."""
        near = (p[2] > -0.75) & (p[1] > -1.45) & (p[1] < 1.30) & (p[0].abs() < 1.2)
        index = near.nonzero()[:, 0]
        return torch.full_like(p[0], 0.5).index_copy(0, index, self._sheet(p[:, index]))

    def _sheet(self, p: Points) -> Tensor:
        """Weighted plane distances to the nearest mesh points, closed at the back by a plane."""
        if not p.shape[1]:
            return p[0]
        far, index = self.tree.query(p.T.numpy(), k=9, workers=-1)
        away = p.T.numpy()[:, None] - self.fine[index]
        plane = (away * self.normals[index]).sum(2)
        beside = np.sqrt(np.maximum(far[:, 0] ** 2 - plane[:, 0] ** 2, 0.0))
        reach = np.maximum(0.036, 0.6 * far[:, :1])
        weight = np.exp(-((far / reach) ** 2)) + 1e-12
        d = (weight * plane).sum(1) / weight.sum(1)
        a, b, c, e = self.plane
        back = -(a * p[0] + b * p[1] + c * p[2] + e) - 0.42
        beside = torch.tensor(beside - 0.13, dtype=torch.float32)  # ends where the mesh ends
        d = smooth_max(torch.tensor(d, dtype=torch.float32), beside, 0.12)
        return smooth_max(d, back, 0.08)

    def _skull(self, p: Points) -> Tensor:
        w = self.width
        d = shapes.ellipsoid(p, (0.0, 0.50, -0.53), (0.975 * w, 0.99, 1.09))
        d = smooth_min(d, shapes.ellipsoid(p, (0.0, 0.10, -0.66), (0.93 * w, 0.74, 0.82)), 0.25)
        d = smooth_min(d, shapes.ellipsoid(p, (0.0, 0.70, -0.55), (0.90 * w, 0.80, 0.98)), 0.2)
        d = smooth_min(d, shapes.ellipsoid(p, (0.0, 0.02, -0.46), (0.985 * w, 0.78, 0.62)), 0.2)
        jaw = self.points[anatomy.OVAL[12]]  # in front of the jaw's corner
        corner = (abs(float(jaw[0])) - 0.10, float(jaw[1]) + 0.16, -0.36)
        ear = (w - 0.19, 0.12, -0.42)
        chin = (0.09, float(self.points[anatomy.CHIN, 1]) + 0.19, 0.24)
        d = smooth_min(d, shapes.capsule(p, ear, corner, 0.18, 0.17), 0.18)
        d = smooth_min(d, shapes.capsule(p, corner, chin, 0.15, 0.15), 0.14)
        floor = shapes.ellipsoid(p, (0.0, -0.66, -0.10), (0.50, 0.28, 0.44))
        return smooth_min(d, floor, 0.20)

    def _ear(self, p: Points) -> Tensor:
        """A tilted bowl with a rim, an inner fold and a lobe."""
        s = 0.93 * self.person.ears
        x, y, z = p[0] - self.width + 0.015, p[1] - 0.09, p[2] + 0.60
        out = 0.42 if self.free else 0.12  # how far the rim stands off, as a slope
        cos, sin = math.cos(0.22), math.sin(0.22)  # the ear leans back
        u, v = (z * cos - y * sin) / s, (y * cos + z * sin) / s
        lift = x - 0.035 + out * z  # surface of the auricle's plate
        around = torch.sqrt((u / 0.62) ** 2 + v**2 + 1e-9)
        size = 0.335 - 0.05 * smooth_max(-v - 0.1, torch.zeros_like(v), 0.1)
        ring = torch.sqrt((around - 0.90 * size) ** 2 + (lift - 0.025) ** 2) - 0.032
        inner = torch.sqrt(((u - 0.03) / 0.55) ** 2 + (v + 0.06) ** 2 + 1e-9)
        fold = torch.sqrt((inner - 0.17) ** 2 * 0.8 + (lift - 0.005) ** 2) - 0.028
        fold = smooth_max(fold, u - 0.05, 0.05)
        plate = torch.maximum((around - 0.95 * size) * 0.7, (lift + 0.015).abs() - 0.030)
        d = smooth_min(smooth_min(plate, ring * 0.9, 0.05), fold, 0.05)
        lobe = torch.sqrt((u - 0.03) ** 2 + (v + 0.29) ** 2 + (lift * 1.5) ** 2) - 0.075
        tragus = torch.sqrt((u - 0.19) ** 2 + (v + 0.02) ** 2 * 0.5 + (x - 0.0) ** 2) - 0.06
        d = smooth_min(smooth_min(d, lobe, 0.06), tragus, 0.04)
        return d * s * 0.85
