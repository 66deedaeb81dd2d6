"""Stage 0b: two portraits in, one picture of a couple out. (compose, Composite)"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Bool, Float

from kisslab import anatomy as at
from kisslab import show
from kisslab.cutout import Cutout, cut_out
from kisslab.faces import Faces, find_faces
from kisslab.photo import Photo, photo_from_array
from kisslab.records import Result, record

ASPECT = 1.6  # width over height of the new picture
FACE_SHARE = 0.54  # height of a face, forehead to chin, over the picture's height
EYE_LINE = 0.46  # of the picture's height
SPACING = 1.62  # between the faces' middles, face widths: room to approach, near enough to reach
MOST_GAIN = 1.18  # light is matched, skin is not: what a gain beyond this mends, it would falsify
# Degrees, the right one's yaw less the left one's: heads turned away show too little of the cheeks
# that will be near.
LOOKING_AWAY = 8.0
SHORTEST = 64  # pixels; less is no picture of two people
MARGIN = 0.25  # of the longer side: how far people are kept beyond the picture's edges


@record
class Composite(Result):
    """Two people from two photos in one picture; every step of the way is a field."""

    photo: Photo  # the couple's picture
    faces: Faces  # in it, left and right
    cutout: Cutout  # in it, with what lies beyond its edges
    sources: tuple[Photo, Photo]  # left, right, as given
    source_faces: tuple[Faces, Faces]
    source_cutouts: tuple[Cutout, Cutout]
    scales: Float[np.ndarray, "2"]  # pixels here per pixel there
    shifts: Float[np.ndarray, "2 2"]  # pixels: here = there * scale + shift
    gains: Float[np.ndarray, "2 3"]  # red, green, blue factors that match the light
    background_from: int  # whose photo gave the background: 0 left, 1 right
    notes: tuple[str, ...]

    def plot(self, ax: object | None = None) -> None:
        """The two photos and what became of them."""
        pictures = [*(p.rgb for p in self.sources), self.photo.rgb]
        show.sheet(pictures, ["left photo", "right photo", "together"], ax=ax)


def compose(
    photo_a: Photo,
    photo_b: Photo,
    height: int | None = None,
    find: Callable[[Photo], Faces] = find_faces,
) -> Composite:
    """Put two people from two photos side by side: same face size, one eye line, one light.

    height: of the new picture in pixels, even and at least SHORTEST; by default what the smaller
    portrait can fill, between 384 and 720. `photo_a` stands on the left, unless the two then look
    away from each other by more than LOOKING_AWAY: then they change places, and a note says so.
    FaceError as `find` and `cut_out`, ValueError for another height.
    """
    if height is not None and (height < SHORTEST or height % 2):
        raise ValueError(f"height={height}: give an even number of pixels, at least {SHORTEST}")
    photos, faces = (photo_a, photo_b), tuple(_one_face(find(p)) for p in (photo_a, photo_b))
    notes = ["faces are taken to be of one size: true heights are not known from two photos"]
    if faces[1].angles[0, 0] - faces[0].angles[0, 0] > LOOKING_AWAY:
        photos, faces = photos[::-1], faces[::-1]
        notes.append("the two changed places, so that they look toward each other")
    height = _fitting_height(faces) if height is None else height
    size = (2 * round(height * ASPECT / 2), height)
    cutouts = tuple(cut_out(p, f) for p, f in zip(photos, faces, strict=True))
    gains = _light_gains(photos)
    scales, shifts = _placement(faces, size)
    chosen = int(np.argmax([c.seen.mean() for c in cutouts]))
    ground, seen = _ground(cutouts[chosen], gains[chosen], size)
    placed = [
        _place(c, g, s, d, ground, seen)
        for c, g, s, d in zip(cutouts, gains, scales, shifts, strict=True)
    ]
    cutout = _joined(placed)
    return Composite(
        photo=photo_from_array(_flatten(cutout)),
        faces=_together(faces, scales, shifts),
        cutout=cutout,
        sources=photos,
        source_faces=faces,
        source_cutouts=cutouts,
        scales=scales,
        shifts=shifts,
        gains=gains,
        background_from=chosen,
        notes=tuple(notes),
    )


def _one_face(faces: Faces) -> Faces:
    """The larger face of a portrait."""
    return faces.pick([int(np.argmax(faces.iod))])


def _face_height(faces: Faces) -> float:
    return float(np.linalg.norm(faces.points[0, at.CHIN] - faces.points[0, at.FOREHEAD]))


def _face_width(faces: Faces) -> float:
    return float(np.linalg.norm(faces.points[0, at.LEFT_TRAGUS] - faces.points[0, at.RIGHT_TRAGUS]))


def _fitting_height(faces: tuple[Faces, ...]) -> int:
    wanted = min(_face_height(f) for f in faces) / FACE_SHARE
    return 2 * round(np.clip(wanted, 384, 720) / 2)


def _placement(
    faces: tuple[Faces, ...], size: tuple[int, int]
) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2 2"]]:
    """Scales that make the faces equal (mean of height and width), shifts that align the eyes."""
    width, height = size
    sizes = [
        np.sqrt(_face_height(f) * _face_width(f) / 0.86) for f in faces
    ]  # 0.86: width / height
    scales = FACE_SHARE * height / np.array(sizes)
    half = SPACING * 0.86 * FACE_SHARE * height / 2
    shifts = []
    for face, scale, x in zip(faces, scales, (width / 2 - half, width / 2 + half), strict=True):
        points = face.points[0] * scale
        middle = points[[at.RIGHT_TRAGUS, at.LEFT_TRAGUS], 0].mean()
        eyes = points[[at.RIGHT_EYE_OUTER, at.LEFT_EYE_OUTER], 1].mean()
        shifts.append([x - middle, EYE_LINE * height - eyes])
    return scales, np.array(shifts)


def _light_gains(photos: tuple[Photo, ...], strength: float = 0.6) -> Float[np.ndarray, "2 3"]:
    """Factors that bring both photos' light part of the way together.

    The light's colour is the p-norm of a photo (shades of grey, Finlayson and Trezzi 2004, p = 6):
    it follows the brightest surfaces and hardly the skin, so people keep their own complexion.
    """
    lights = np.stack(
        [np.mean(p.rgb.astype(np.float64) ** 6, axis=(0, 1)) ** (1 / 6) for p in photos]
    )
    common = np.sqrt(lights[0] * lights[1])
    gains = (common / np.maximum(lights, 1e-3)) ** strength
    return np.clip(gains, 1 / MOST_GAIN, MOST_GAIN)


def _ground(
    cutout: Cutout, gains: Float[np.ndarray, "3"], size: tuple[int, int]
) -> tuple[Float[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]:
    """One background, cropped to shape and out of focus, and where nothing made up is in it."""
    layers = np.dstack([cutout.background * gains, cutout.seen]).astype(np.float32)
    layers = _out_of_focus(layers, size)
    return layers[..., :3], layers[..., 3] > 0.95


def _out_of_focus(
    layers: Float[np.ndarray, "h w 4"], size: tuple[int, int]
) -> Float[np.ndarray, "H W 4"]:
    """Cropped to shape and blurred, as what lies behind two people close to a camera."""
    width, height = size
    h, w = layers.shape[:2]
    scale = max(width / w, height / h)
    wide = cv2.resize(layers, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    top, left = (wide.shape[0] - height) // 3, (wide.shape[1] - width) // 2
    crop = wide[top : top + height, left : left + width]
    crop = cv2.resize(crop, size) if crop.shape[:2] != (height, width) else crop
    return np.clip(cv2.GaussianBlur(crop, (0, 0), 0.03 * height), 0, 1)


def _place(
    cutout: Cutout,
    gains: Float[np.ndarray, "3"],
    scale: float,
    shift: Float[np.ndarray, "2"],
    ground: Float[np.ndarray, "h w 3"],
    seen: Bool[np.ndarray, "h w"],
) -> Cutout:
    """One person moved into the new picture, over its background, its margin included."""
    size = ground.shape[1::-1]
    margin = int(MARGIN * max(size))
    wide = (size[0] + 2 * margin, size[1] + 2 * margin)
    offset = shift + margin - scale * cutout.margin
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
    inner = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])  # from photo to photo

    def moved(image: np.ndarray, border: int) -> np.ndarray:
        if scale < 0.7:  # no aliasing when a large portrait becomes small
            image = cv2.GaussianBlur(image, (0, 0), 0.35 / scale)
        return cv2.warpAffine(image, matrix, wide, flags=cv2.INTER_LINEAR, borderMode=border)

    alpha = moved(cutout.alpha[0], cv2.BORDER_CONSTANT)
    _continue_down(alpha)
    colour = moved((cutout.colour[0] * gains).astype(np.float32), cv2.BORDER_REPLICATE)
    known = moved(cutout.known[0].astype(np.float32), cv2.BORDER_CONSTANT) > 0.5
    trimap = cv2.warpAffine(cutout.trimap[0], inner, size, flags=cv2.INTER_NEAREST)
    return Cutout(
        colour=np.clip(colour, 0, 1)[None],
        alpha=alpha[None],
        known=known[None],
        trimap=trimap[None],
        background=ground,
        seen=seen,
        margin=margin,
    )


def _continue_down(alpha: Float[np.ndarray, "H W"]) -> None:
    """Where a portrait ends above the picture's lower edge, its last row goes on (in place)."""
    last = np.flatnonzero(alpha.max(1) > 0.5)[-1] - 2
    alpha[last:] = alpha[last]


def _joined(placed: list[Cutout]) -> Cutout:
    people = ("colour", "alpha", "known", "trimap")
    both = {n: np.concatenate([getattr(c, n) for c in placed]) for n in people}
    return replace(placed[0], **both)


def _flatten(cutout: Cutout) -> Float[np.ndarray, "h w 3"]:
    inner = slice(cutout.margin, -cutout.margin)
    rgb = cutout.background
    for colour, alpha in zip(cutout.colour, cutout.alpha, strict=True):
        rgb = rgb + (colour[inner, inner] - rgb) * alpha[inner, inner, None]
    return np.clip(rgb, 0, 1)


def _together(
    faces: tuple[Faces, ...], scales: Float[np.ndarray, "2"], shifts: Float[np.ndarray, "2 2"]
) -> Faces:
    """Both faces in the new picture's pixels."""
    left, right = (f.moved(float(s), d) for f, s, d in zip(faces, scales, shifts, strict=True))
    return left.joined(right)
