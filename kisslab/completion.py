"""Stage 4b: the colours of what the photo never saw of a head. (complete_back)"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import gaussian_filter1d

from kisslab import anatomy as at
from kisslab.outline import Outline, smoothstep

BACK_TEXELS = 256  # width of the completed texture, from the right rim round to the left


def complete_back(
    rows: Outline,
    colour: Float[np.ndarray, "H W 3"],
    alpha: Float[np.ndarray, "H W"],
    points: Float[np.ndarray, "478 3"],
    seed: int,
) -> Float[np.ndarray, "H B 3"]:
    """Colour of what the photo never saw: the hair (or skin) of each rim carried round the back."""
    y = np.arange(len(alpha))
    hair, skin, contrast = _hair_and_skin(rows, colour, alpha, points)
    rims = [_rim_colour(rows, colour, side) for side in (1, -1)]
    bases = [_base_colour(rows, rim, hair, skin, y) for rim in rims]
    alike = [np.exp(-np.sum((b - r) ** 2, -1) / 0.01) for b, r in zip(bases, rims, strict=True)]
    u = np.linspace(0, 1, BACK_TEXELS)[None, :, None]
    base = bases[0][:, None] * (1 - smoothstep(u)) + bases[1][:, None] * smoothstep(u)
    for rim, like, distance in zip(rims, alike, (u, 1 - u), strict=True):
        # The rim fades into it: slowly where both are hair, at once behind an ear or a cheek.
        reach = (0.02 + 0.15 * like)[:, None, None]
        weight = np.exp(-((distance / reach) ** 2))
        base = base * (1 - weight) + rim[:, None] * weight
    strands = _strands((len(alpha), BACK_TEXELS), rows.width, seed)
    covered = 1 - smoothstep((y - rows.forehead - 0.62 * rows.height) / (0.08 * rows.height))
    is_hair = np.exp(-np.sum((base - hair) ** 2, -1) / 0.005)
    amount = 0.6 * contrast * np.maximum(covered[:, None], is_hair)
    return np.clip(base * (1 + (amount * strands)[..., None]), 0, 1).astype(np.float32)


def _hair_and_skin(
    rows: Outline, colour: np.ndarray, alpha: np.ndarray, points: np.ndarray
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"], float]:
    """(hair colour, skin colour, contrast of strands), from above the face and inside it."""
    hull = cv2.convexHull(points[at.OVAL, :2].astype(np.int32))
    face = cv2.fillConvexPoly(np.zeros(alpha.shape, np.uint8), hull, 1)
    border = max(1, int(min(15, rows.width / 3)))  # something must be left of a small face
    skin = np.median(colour[cv2.erode(face, np.ones((border, border))) > 0], axis=0)
    y, x = np.ogrid[: alpha.shape[0], : alpha.shape[1]]
    above = (y < rows.forehead - 0.06 * rows.height) & (np.abs(x - rows.middle) < 0.4 * rows.width)
    above = above & (alpha > 0.9) & (face == 0) & (y > rows.y[0] + 0.02 * rows.height)
    if above.sum() < 50:
        return skin, skin, 0.0
    grey = colour[above].mean(-1)
    local = cv2.GaussianBlur(colour, (0, 0), 0.03 * rows.width)[above].mean(-1)
    contrast = float(np.clip(np.std(grey - local) / max(grey.mean(), 0.05), 0, 0.35))
    return np.median(colour[above], axis=0), skin, contrast


def _rim_colour(rows: Outline, colour: np.ndarray, side: int) -> Float[np.ndarray, "H 3"]:
    """Colour just inside the outline, for every line of the picture."""
    y = np.arange(len(colour))
    half = np.interp(y, rows.y, rows.half)
    inset = np.minimum(0.06 * rows.width, 0.3 * half)
    lines = []
    for depth in np.linspace(0.25, 1.0, 5):
        x = np.interp(y, rows.y, rows.centre) + side * (half - depth * inset)
        lines.append(colour[y, np.clip(x, 0, colour.shape[1] - 1).astype(int)])
    return gaussian_filter1d(np.median(lines, axis=0), 0.01 * rows.height + 0.5, axis=0)


def _base_colour(
    rows: Outline,
    rim: Float[np.ndarray, "H 3"],
    hair: Float[np.ndarray, "3"],
    skin: Float[np.ndarray, "3"],
    y: Int[np.ndarray, " H"],
) -> Float[np.ndarray, "H 3"]:
    """The rim's colour where it is hair; beside ears and cheeks the hair's, down to the nape."""
    down = (y - rows.forehead) / rows.height  # 0 hairline .. 1 chin
    off = np.linalg.norm(rim - hair, axis=1) / (np.linalg.norm(rim - skin, axis=1) + 1e-6)
    long_hair = np.mean(off[(down > 0.3) & (down < 0.6)] < 0.5) > 0.5  # it covers the ears
    use_rim = (off < 0.6) & (long_hair | (down < 0.2)) | (down > 1.05)
    behind = np.where((down < 0.62)[:, None], hair * 0.9, skin * 0.75)  # the nape, then the neck
    base = np.where(use_rim[:, None], rim, behind)
    return gaussian_filter1d(base, 0.02 * rows.height, axis=0)


def _strands(shape: tuple[int, int], width: float, seed: int) -> Float[np.ndarray, "H B"]:
    """Noise drawn out downward, as hair is: zero mean, unit deviation."""
    noise = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    fine = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.8, sigmaY=0.10 * width)
    coarse = cv2.GaussianBlur(noise[::-1], (0, 0), sigmaX=3.5, sigmaY=0.25 * width)
    return (fine / fine.std() + 0.7 * coarse / coarse.std()) / np.hypot(1, 0.7)
