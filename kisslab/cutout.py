"""Stage 4a: a photo and its faces in, people cut out and the background out. (cut_out, Cutout)"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from pymatting import estimate_alpha_cf, estimate_foreground_ml

from kisslab import anatomy as at
from kisslab import show
from kisslab.faces import FaceError, Faces
from kisslab.parts import find_parts
from kisslab.photo import Photo
from kisslab.records import Result, record

FACE_PIXELS = 130.0  # face height at which mattes are solved; finer only costs time
REACH = 4.4  # face heights: side of the square around a face in which its person is looked for
Mask = Bool[np.ndarray, "h w"]


@record
class Cutout(Result):
    """P people, cut out, continued beyond the photo's edges by `margin` pixels on every side."""

    colour: Float[np.ndarray, "P H W 3"]  # the people's own colour, without the background's share
    alpha: Float[np.ndarray, "P H W"]  # 1 person, 0 background
    known: Bool[np.ndarray, "P H W"]  # inside the photo; beyond it everything is a continuation
    trimap: Float[np.ndarray, "P h w"]  # the network's sure ground: 1 person, 0 not, 0.5 open
    background: Float[np.ndarray, "h w 3"]  # the photo with the people filled in
    seen: Bool[np.ndarray, "h w"]  # where the background is the photo's own
    margin: int  # pixels: H = h + 2 margin, W = w + 2 margin

    def plot(self, ax: object | None = None) -> None:
        """Everyone on a plain ground, and the background without them."""
        green = np.array([0.0, 0.62, 0.45])
        inner = slice(self.margin, -self.margin or None)
        people = [
            c[inner, inner] * a[inner, inner, None] + green * (1 - a[inner, inner, None])
            for c, a in zip(self.colour, self.alpha, strict=True)
        ]
        titles = [f"person {i}" for i in range(len(people))] + ["background, people filled in"]
        show.sheet([*people, self.background], titles, ax=ax)


def cut_out(
    photo: Photo,
    faces: Faces,
    margin: float = 0.25,
    mattes: Float[np.ndarray, "P h w"] | None = None,
) -> Cutout:
    """Cut every person of `faces` out of the photo and fill the background behind them.

    margin: how far people are continued beyond the edges, as a share of the longer side; mattes:
    how much of each pixel belongs to each person, when that is known (estimated if not given).
    Our parts network (`find_parts`) for the outline, closed-form matting (Levin et al. 2008) for
    hair, multi-level foreground estimation (Germer et al. 2020) for colour.
    FaceError: the face fills the picture or lies outside it.
    """
    height, width = photo.rgb.shape[:2]
    pad = int(margin * max(height, width))
    frames = [_HeadFrame(points) for points in faces.points]
    if mattes is None:
        people = [_matte(photo.rgb, i, frames) for i in range(len(frames))]
    else:
        people = [(_own_colour(photo.rgb, alpha), alpha, alpha) for alpha in mattes]
    extended = [
        _extend(colour, alpha, frame, pad)
        for (colour, alpha, _), frame in zip(people, frames, strict=True)
    ]
    covered = np.max([alpha for _, alpha, _ in people], axis=0)
    hidden = np.max([covered, *(frame.around((height, width)) for frame in frames)], axis=0)
    background, made_up = fill_background(photo.rgb, hidden)
    return Cutout(
        colour=np.stack([colour for colour, _ in extended]),
        alpha=np.stack([alpha for _, alpha in extended]),
        known=np.stack([np.pad(np.ones((height, width), bool), pad)] * len(people)),
        trimap=np.stack([trimap for _, _, trimap in people]),
        background=background,
        seen=made_up < 0.05,
        margin=pad,
    )


def fill_background(
    rgb: Float[np.ndarray, "h w 3"], covered: Float[np.ndarray, "h w"], size: int = 96
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
    """Fill what people cover from around them (Telea 2004), at `size` pixels: a soft guess.

    Also gives each pixel's share of the guess, 0..1: it reaches a little beyond what is covered.
    """
    scale = size / max(rgb.shape[:2])
    hole = cv2.dilate(covered, np.ones((9, 9))) > 0.02
    if hole.all():
        plain = np.broadcast_to(rgb.mean((0, 1)), rgb.shape).astype(np.float32)
        return plain, hole.astype(np.float32)
    clean = np.where(hole[..., None], 0, rgb)
    # Average only the visible background: what is under the people must not bleed into it.
    shape = (max(2, int(rgb.shape[1] * scale)), max(2, int(rgb.shape[0] * scale)))
    share = cv2.resize(1 - hole.astype(np.float32), shape, interpolation=cv2.INTER_AREA)
    small = (
        cv2.resize(clean, shape, interpolation=cv2.INTER_AREA) / np.maximum(share, 1e-3)[..., None]
    )
    missing = (share < 0.2).astype(np.uint8)
    small = cv2.inpaint(
        (np.clip(small, 0, 1) * 255).astype(np.uint8), missing, 3, cv2.INPAINT_TELEA
    )
    smooth = cv2.GaussianBlur(small, (0, 0), 3)
    small = np.where(missing[..., None] > 0, smooth, small).astype(np.float32) / 255
    fill = cv2.resize(small, rgb.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    soft = np.maximum(cv2.GaussianBlur(hole.astype(np.float32), (0, 0), 4), hole)
    filled = rgb + (fill - rgb) * soft[..., None]
    return np.clip(filled, 0, 1).astype(np.float32), soft


class _HeadFrame:
    """A face's own axes: across (face edges at -0.5 and 0.5) and down (forehead -0.5, chin 0.5)."""

    def __init__(self, points: Float[np.ndarray, "478 3"]):
        self.points = points
        down = points[at.CHIN, :2] - points[at.FOREHEAD, :2]
        self.height = float(np.linalg.norm(down))
        self.down = down / self.height
        self.across = np.array([self.down[1], -self.down[0]])
        oval = points[at.OVAL, :2]
        reach = oval @ self.across
        self.width = float(np.ptp(reach))
        depth = oval @ self.down
        self.centre = self.across * (reach.min() + reach.max()) / 2
        self.centre = self.centre + self.down * (depth.min() + depth.max()) / 2

    def coordinates(self, shape: tuple[int, int], scale: float) -> tuple[np.ndarray, np.ndarray]:
        y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        offset = np.stack([x, y], -1) / scale - self.centre
        return offset @ self.across / self.width, offset @ self.down / self.height

    def around(self, shape: tuple[int, int]) -> Float[np.ndarray, "h w"]:
        """1 where hair may be, whatever the matte says: strands must not stay behind in the air."""
        a, b = self.coordinates(shape, 1.0)
        return ((a / 0.74) ** 2 + ((b + 0.14) / 0.84) ** 2 < 1).astype(np.float32)


def _matte(
    rgb: Float[np.ndarray, "h w 3"], person: int, frames: list[_HeadFrame]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(colour, alpha, trimap) of one person, at the photo's size."""
    height, width = rgb.shape[:2]
    scale = min(1.0, FACE_PIXELS / frames[person].height)
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small = np.clip(small, 0, 1)
    trimap = _trimap(_share(small, person, frames, scale), frames[person], scale)
    alpha = estimate_alpha_cf(small.astype(np.float64), trimap.astype(np.float64))
    alpha = cv2.resize(alpha.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    alpha = cv2.ximgproc.guidedFilter(rgb, alpha, 4, 1e-4)
    alpha = np.clip((alpha - 0.1) / 0.8, 0, 1)  # solving small leaves a veil round the outline
    trimap = cv2.resize(trimap, (width, height), interpolation=cv2.INTER_NEAREST)
    return _own_colour(rgb, alpha), alpha, trimap.astype(np.float32)


def _own_colour(
    rgb: Float[np.ndarray, "h w 3"], alpha: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"]:
    """The person's colour where the background shines through (Germer et al. 2020)."""
    return estimate_foreground_ml(rgb.astype(float), alpha.astype(float)).astype(np.float32)


def _share(
    small: Float[np.ndarray, "h w 3"], person: int, frames: list[_HeadFrame], scale: float
) -> Float[np.ndarray, "h w"]:
    """How much of each pixel is this person, by the parts network: of the ground nearest to them.

    The network sees REACH face heights around the face; the face itself is known from its points.
    """
    frame = frames[person]
    face = _face(frame, small.shape[:2], scale)
    reach, (x, y) = REACH * frame.height * scale, frame.centre * scale
    rows, columns = (_around(m, reach, n) for m, n in zip((y, x), small.shape[:2], strict=True))
    share = np.zeros(small.shape[:2], np.float32)
    share[rows, columns] = find_parts(small[rows, columns]).matte
    a, b = frame.coordinates(small.shape[:2], scale)
    for other in (f for i, f in enumerate(frames) if i != person):
        c, d = other.coordinates(small.shape[:2], scale)
        share[c**2 + (d * 0.7) ** 2 < a**2 + (b * 0.7) ** 2] = 0
    share[face] = 1
    return share


def _face(frame: _HeadFrame, shape: tuple[int, int], scale: float) -> Mask:
    """Inside the outermost points of the face, where the picture shows it."""
    hull = cv2.convexHull((frame.points[:, :2] * scale).astype(np.int32))
    face = cv2.fillConvexPoly(np.zeros(shape, np.uint8), hull, 1)
    face = cv2.erode(face, np.ones((5, 5)), borderValue=1) > 0
    if not face.any():
        raise FaceError(
            f"0 of {shape[1]} x {shape[0]} px can be of the face; take a picture that shows it"
        )
    return face


def _around(middle: float, reach: float, length: int) -> slice:
    return slice(max(0, int(middle - reach / 2)), min(length, int(middle + reach / 2) + 1))


def _trimap(
    share: Float[np.ndarray, "h w"], frame: _HeadFrame, scale: float, band: int = 5
) -> Float[np.ndarray, "h w"]:
    """1 person, 0 not, 0.5 within `band` pixels of the outline or where the network wavers.

    The person is one piece, the one that holds the face, without small holes.
    """
    face = _face(frame, share.shape, scale)
    _, pieces = cv2.connectedComponents((share > 0.5).astype(np.uint8))
    mask = _fill_holes(pieces == np.bincount(pieces[face]).argmax()).astype(np.uint8)
    wavers = (share > 0.1) & (share < 0.9) & (cv2.dilate(mask, _disc(6 * band + 1)) > 0)
    sure = (cv2.erode(mask, _disc(2 * band + 1), borderValue=1) > 0) & ~wavers | face
    near = (cv2.dilate(mask, _disc(2 * band + 1)) > 0) | wavers
    if near.all():
        raise FaceError(
            f"the face fills the picture: 0 of {share.shape[1]} x {share.shape[0]} px can be "
            "background; take one with room around the head"
        )
    return np.where(sure, 1.0, np.where(near, 0.5, 0.0)).astype(np.float32)


def _fill_holes(mask: Mask, largest: float = 0.01) -> Mask:
    """Holes up to a share `largest` of the picture belong to the person."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8))
    small = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] < largest * mask.size]
    return mask | np.isin(labels, small)


def _disc(size: int) -> UInt8[np.ndarray, "s s"]:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def _extend(
    colour: Float[np.ndarray, "h w 3"],
    alpha: Float[np.ndarray, "h w"],
    frame: _HeadFrame,
    pad: int,
) -> tuple[Float[np.ndarray, "H W 3"], Float[np.ndarray, "H W"]]:
    """Continue what the photo's edges cut off: chest below, shoulders sideways, hair above."""
    height, width = alpha.shape
    colour = cv2.copyMakeBorder(colour, pad, 0, 0, 0, cv2.BORDER_REFLECT)
    colour = cv2.copyMakeBorder(colour, 0, pad, pad, pad, cv2.BORDER_REPLICATE)
    _soften_below(colour, pad)
    alpha = cv2.copyMakeBorder(alpha, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
    alpha[pad + height :] = alpha[pad + height - 1]
    chin = frame.points[at.CHIN, 1] + pad
    for edge, step in ((pad, -1), (pad + width - 1, 1)):
        _slope_shoulder(alpha, edge, step, pad, chin, frame.width)
    _round_crown(colour, alpha, pad, frame.width)
    return colour, cv2.GaussianBlur(alpha, (0, 0), 0.7)


def _soften_below(colour: Float[np.ndarray, "H W 3"], pad: int) -> None:
    """The stripes that replication draws below the photo become soft (in place)."""
    if pad == 0:
        return
    below = colour[-pad:]
    soft = cv2.GaussianBlur(below, (0, 0), 0.06 * pad)
    weight = np.clip(np.arange(pad) / (0.25 * pad), 0, 1)[:, None, None].astype(np.float32)
    colour[-pad:] = below * (1 - weight) + soft * weight


def _slope_shoulder(
    alpha: Float[np.ndarray, "H W"], edge: int, step: int, reach: int, chin: float, width: float
) -> None:
    """From where the shoulder meets the edge, outward and ever more steeply down (in place)."""
    rows = np.flatnonzero(alpha[:, edge] > 0.5)
    if not len(rows) or rows[0] <= chin:  # a cheek or hair that the edge cuts is no shoulder
        return
    out = np.arange(1, reach)
    fall = rows[0] + 0.35 * out + 0.3 * width * (out / (0.45 * width)) ** 2
    y = np.arange(len(alpha))[:, None]
    columns = edge + step * out
    alpha[:, columns] = np.maximum(alpha[:, columns], np.clip(y - fall + 0.5, 0, 1))


def _round_crown(
    colour: Float[np.ndarray, "H W 3"], alpha: Float[np.ndarray, "H W"], pad: int, width: float
) -> None:
    """Hair that the upper edge cuts off over a quarter of the face gets a round top (in place)."""
    columns = np.flatnonzero(alpha[pad + 2] > 0.5)
    if len(columns) < 0.25 * width:
        return
    columns = np.arange(columns[0], columns[-1] + 1)
    centre, half = columns.mean(), np.ptp(columns) / 2 + 1
    cap = 0.22 * half * np.sqrt(np.clip(1 - ((columns - centre) / half) ** 2, 0, 1))
    box = (
        slice(max(pad - int(cap.max()) - 2, 0), pad + int(0.15 * width)),
        slice(columns[0], columns[-1] + 1),
    )
    lost = (alpha[box] < 0.9).astype(np.uint8)  # background, or above the photo
    lost[: pad + 2 - box[0].start] = 1
    picture = (np.clip(colour[box], 0, 1) * 255).astype(np.uint8)
    filled = cv2.inpaint(picture, lost, 3, cv2.INPAINT_TELEA).astype(np.float32) / 255
    colour[box] = np.where(lost[..., None] > 0, filled, colour[box])
    y = np.arange(pad + 2)[:, None]
    alpha[: pad + 2, columns] = np.clip(y - (pad - cap) + 0.5, 0, 1)
