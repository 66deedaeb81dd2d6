"""Stage 4c: a face's picture in, the same face with other lids, lips and gaze out. (express)

Everything is an inverse warp: for each pixel of the new face, where in the photo its colour lies.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float

from kisslab import anatomy as at

Gaze = Float[np.ndarray, "2"] | tuple[float, float]  # degrees: to the picture's right, up
Box = tuple[int, int, int, int]  # left, top, right, bottom
Offsets = Float[np.ndarray, "_ _ 3"]  # x, y in pixels; a factor on the colour; any size
EYEBALL = 1.2  # radius of an eyeball, as a share of half the eye's width
KISS_WIDTH = 0.42  # width of puckered lips, inter-ocular distances


def express(
    texture: Float[np.ndarray, "H W 3"],
    points: Float[np.ndarray, "478 3"],
    eyelids: float = 0.0,
    pucker: float = 0.0,
    parting: float | None = None,
    gaze: Gaze = (0.0, 0.0),
) -> Float[np.ndarray, "H W 3"]:
    """The texture with new eyes and mouth; everything else is untouched.

    points: the face's landmarks (pixels of the texture); eyelids: 0 as photographed .. 1 closed;
    pucker: 0 .. 1; parting: gap between the inner lips in inter-ocular distances, None as
    photographed; gaze: degrees to the picture's right and up.
    """
    out = texture.copy()
    paint(out, texture, expression_offsets(points, texture.shape, eyelids, pucker, parting, gaze))
    return np.clip(out, 0, 1, out=out)


def paint(
    target: Float[np.ndarray, "H W C"],
    texture: Float[np.ndarray, "H W C"],
    regions: list[tuple[Box, Offsets]],
) -> None:
    """Write the warped regions of `texture` into `target` (in place); regions may overlap."""
    for (left, top, right, bottom), _ in regions:
        target[top:bottom, left:right] = texture[top:bottom, left:right]
    for (left, top, right, bottom), offsets in regions:
        y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
        x, y = x + offsets[..., 0], y + offsets[..., 1]
        warped = cv2.remap(texture, x, y, cv2.INTER_CUBIC, None, cv2.BORDER_REPLICATE)
        warped[..., :3] *= offsets[..., 2:]
        moved = np.abs(offsets - [0, 0, 1]).max(-1) > 1e-3
        target[top:bottom, left:right][moved] = warped[moved]


def expression_offsets(
    points: Float[np.ndarray, "478 3"],
    shape: tuple[int, ...],
    eyelids: float,
    pucker: float,
    parting: float | None,
    gaze: Gaze,
) -> list[tuple[Box, Offsets]]:
    """For each eye and the mouth that the picture shows: its box, and whence its colours come."""
    iod = float(np.linalg.norm(points[at.LEFT_EYE_OUTER] - points[at.RIGHT_EYE_OUTER]))
    found = []
    if eyelids > 1e-3 or np.abs(gaze).max() > 1e-3:
        eyes = [(_Region(points, u, low, shape, 0.8, 1.0), brow) for u, low, brow, _ in at.EYES]
        found += [(e, _eye_offsets(e, points[b], eyelids, gaze)) for e, b in eyes if e.x.size]
    if pucker > 1e-3 or parting is not None:
        mouth = _Region(points, at.UPPER_LIP_INNER, at.LOWER_LIP_INNER, shape, 0.9, 1.3)
        if mouth.x.size:  # a part that lies off the picture has no pixels
            found.append((mouth, _mouth_offsets(mouth, points, iod, pucker, parting)))
    return [(region.box, region.to_pixels(offsets)) for region, offsets in found]


class _Region:
    """A slit (eye or mouth) with axes of its own: x along the corners, y across, 0 midway."""

    def __init__(
        self,
        points: Float[np.ndarray, "478 3"],
        upper: np.ndarray,
        lower: np.ndarray,
        shape: tuple[int, ...],
        beside: float,
        around: float,
    ):
        start, end = points[upper[0], :2], points[upper[-1], :2]
        self.half = float(np.linalg.norm(end - start)) / 2
        self.along = (end - start) / (2 * self.half)
        self.across = np.array([-self.along[1], self.along[0]])
        self.centre = (start + end) / 2
        reach = self.half * np.array([1 + beside, 1 + around])
        size = np.array([shape[1], shape[0]])
        low = np.clip(self.centre - reach, 0, size).astype(int)
        high = np.clip(self.centre + reach + 1, 0, size).astype(int)
        self.box = (*low.tolist(), *high.tolist())
        y, x = np.mgrid[low[1] : high[1], low[0] : high[0]]
        offset = np.stack([x, y], -1) - self.centre
        self.x, self.y = offset @ self.along, offset @ self.across
        self.upper = self._edge(points, upper)
        self.lower = np.maximum(self._edge(points, lower), self.upper)

    def _edge(self, points: Float[np.ndarray, "478 3"], index: np.ndarray) -> np.ndarray:
        """Height of the slit's edge over each pixel's x."""
        offset = points[index, :2] - self.centre
        x, y = offset @ self.along, offset @ self.across
        order = np.argsort(x)
        return np.interp(self.x, x[order], y[order])

    def height_of(self, point: Float[np.ndarray, "3"]) -> float:
        return float((point[:2] - self.centre) @ self.across)

    def to_pixels(self, offsets: Offsets) -> Offsets:
        rows = offsets[..., :1] * self.along + offsets[..., 1:2] * self.across
        return np.concatenate([rows, offsets[..., 2:]], -1).astype(np.float32)


def _eye_offsets(
    eye: _Region, brow: Float[np.ndarray, "B 3"], closed: float, gaze: Gaze
) -> Offsets:
    """The upper lid slides down over the ball and draws the skin below the brow with it."""
    fixed = np.median([eye.height_of(point) for point in brow])
    lid = eye.upper + 1.04 * closed * (eye.lower - eye.upper)
    skin = _slide(eye.y, fixed, eye.upper, lid, rigid=0.35)
    inside = np.clip(np.minimum(eye.y - eye.upper, eye.lower - eye.y) / (0.3 * eye.half), 0, 1)
    ball = EYEBALL * eye.half * np.sin(np.radians(gaze))  # a turned ball moves its iris by r sin(a)
    open_ball = np.where(eye.y > lid, inside, 0.0)
    shade = np.ones_like(skin)
    return np.stack([-ball[0] * open_ball, skin + ball[1] * open_ball, shade], -1)


def _mouth_offsets(
    mouth: _Region,
    points: Float[np.ndarray, "478 3"],
    iod: float,
    pucker: float,
    parting: float | None,
) -> Offsets:
    """Lips part or close about the line between them, then draw together round the middle."""
    width = np.linalg.norm(points[at.MOUTH_LEFT] - points[at.MOUTH_RIGHT])
    shrink = 1 - pucker * max(0.0, 1 - KISS_WIDTH * iod / width)
    near = np.exp(-((mouth.x / (1.25 * mouth.half)) ** 4) - (mouth.y / (1.1 * mouth.half)) ** 4)
    x = mouth.x * (1 + (1 / shrink - 1) * near)
    y = mouth.y * (1 - 0.14 * pucker * near)  # gathered lips are fuller
    shift, shade = _lip_shift(mouth, points, y, iod, parting)
    return np.stack([x - mouth.x, y - mouth.y + shift, shade], -1)


def _lip_shift(
    mouth: _Region,
    points: Float[np.ndarray, "478 3"],
    y: Float[np.ndarray, "h w"],
    iod: float,
    parting: float | None,
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Vertical offsets that bring the inner lips `parting` apart, and the dark between them."""
    if parting is None:
        return np.zeros_like(y), np.ones_like(y)
    gap = mouth.lower - mouth.upper
    middle = mouth.upper + 0.25 * gap  # an open mouth closes by its jaw more than by its upper lip
    bow = np.sqrt(np.clip(1 - (mouth.x / mouth.half) ** 2, 0, 1))
    wide = gap / max(gap.max(), 1e-6) if gap.max() > 0.02 * iod else bow
    new = parting * iod * wide
    up, low = middle - 0.25 * new, middle + 0.75 * new
    nose, chin = mouth.height_of(points[at.NOSE_BASE]), mouth.height_of(points[at.CHIN])
    shift = _slide(y, nose, mouth.upper, up, rigid=0.5) + _slide(
        y, chin, mouth.lower, low, rigid=0.3
    )
    between = (y > up) & (y < low)
    within = (mouth.upper + (y - up) * gap / np.maximum(new, 1e-3)) - y
    opened = np.clip((new - gap) / np.maximum(new, 1e-3), 0, 1)  # the photo shows nothing in there
    return np.where(between, within, shift), np.where(between, 1 - 0.75 * opened, 1.0)


def _slide(
    y: Float[np.ndarray, "h w"],
    fixed: float,
    old: Float[np.ndarray, "h w"],
    new: Float[np.ndarray, "h w"],
    rigid: float,
) -> Float[np.ndarray, "h w"]:
    """Offsets that carry an edge from `old` to `new` while the height `fixed` stays.

    The share `rigid` of what lies between travels with the edge unstretched (lashes, the red of the
    lip); the rest is stretched evenly, so colours never run.
    """
    length = np.where(np.abs(new - fixed) < 1, 1.0, new - fixed)
    along = (y - fixed) / length
    soft = np.clip(1 - rigid * np.abs(old - fixed) / np.abs(length), 0.2, 1)
    return np.where((along > 0) & (along <= 1), -(new - old) * np.clip(along / soft, 0, 1), 0.0)
