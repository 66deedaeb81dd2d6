"""Aligned faces to learn people from. (Gallery, studio_gallery, lesson_gallery, photo_gallery,
turned, draw)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kisslab.cutout import cut_out
from kisslab.faces import Faces, face_detector
from kisslab.head import build_head
from kisslab.identity import SIDE, TEMPLATE, five_points, similarity
from kisslab.photo import Photo, load_photo
from kisslab.raster import rasterize
from kisslab.records import Result, record
from kisslab.studio.dataset import Views
from kisslab.train.lessons import Lesson
from kisslab.train.loop import Batch
from kisslab.train.pictures import photographs, varied

MARGIN = 16  # pixels around a stored crop, for alignment that misses
CANVAS = SIDE + 2 * MARGIN
EYES_APART = 35.2  # pixels between the eye centres of TEMPLATE
YAWS = (-36.0, -18.0, 18.0, 36.0)  # degrees by which a photographed head is turned


@record
class Gallery(Result):
    """Aligned faces with their outlines, and whose they are. N pictures."""

    rgba: UInt8[np.ndarray, "N 144 144 4"]  # alpha: 255 person, 0 background
    person: Int[np.ndarray, " N"]
    yaw: Float[np.ndarray, " N"]  # degrees; NaN: unknown

    def joined(self, other: Gallery) -> Gallery:
        """Both; the other's people come after these."""
        start = self.person.max() + 1
        return Gallery(
            rgba=np.concatenate([self.rgba, other.rgba]),
            person=np.concatenate([self.person, other.person + start]),
            yaw=np.concatenate([self.yaw, other.yaw]),
        )

    @property
    def crops(self) -> UInt8[np.ndarray, "N 112 112 3"]:
        """The middle of every picture, as `identity.align` cuts it."""
        return self.rgba[:, MARGIN:-MARGIN, MARGIN:-MARGIN, :3]


def studio_gallery(people: list[Views]) -> Gallery:
    """Every view of every studio person."""
    rows = [
        (_cut(np.dstack([rgb, np.where(parts > 0, 255, 0).astype(np.uint8)]), points), k, turn[0])
        for k, views in enumerate(people)
        for rgb, parts, points, turn in zip(
            views.rgb, views.parts, views.points, views.angles, strict=True
        )
    ]
    return _gallery(rows)


def lesson_gallery(paths: list[Path], every: int = 2) -> Gallery:
    """Both people of kissing studio couples (lessons of the kiss model), every few frames."""
    rows = []
    for k, lesson in enumerate(Lesson.load(path) for path in paths):
        outlines = np.where(lesson.people, 255, 0).astype(np.uint8)[..., None]
        frames = np.concatenate([lesson.truth, outlines], axis=-1)
        for person in (0, 1):
            points = lesson.points[:, person].astype(float)
            rows += [
                (_cut(frames[t], points[t]), 2 * k + person, np.nan)
                for t in range(0, len(frames), every)
            ]
    return _gallery(rows)


def photo_gallery(folder: str | Path, cache: str | Path, *, held: bool) -> Gallery:
    """Every photograph is a person of its own, seen as it is and turned by YAWS.

    cache: a folder that keeps what is done, photograph by photograph. Photographs without a face,
    or with one that can't be cut out, are left out.
    """
    Path(cache).mkdir(parents=True, exist_ok=True)
    kept = []
    with face_detector() as detect:
        for path in photographs(folder, held=held):
            done = Path(cache) / f"{path.stem}.npz"
            if not done.exists():
                _photo_views(load_photo(path, max_side=224), detect).save(done)
            kept.append(Gallery.load(done))
    rows = [
        (rgba, k, float(yaw))
        for k, views in enumerate(views for views in kept if len(views.rgba))
        for rgba, yaw in zip(views.rgba, views.yaw, strict=True)
    ]
    return _gallery(rows)


def turned(
    photo: Photo, faces: Faces, yaws: tuple[float, ...] = YAWS
) -> Iterator[tuple[UInt8[np.ndarray, "H W 4"], Float[np.ndarray, "478 3"]]]:
    """The first person's head turned by each yaw (degrees): picture with alpha, and its points.

    As the guide turns heads (Head.turned), before the photo's own background. FaceError: the person
    can't be cut out.
    """
    cutout = cut_out(photo, faces)
    head = build_head(cutout, faces, 0)
    inner = slice(cutout.margin, -cutout.margin)
    for yaw in yaws:
        goal = np.clip(head.angles[0] + yaw, -50, 50)  # beyond, the photo has no texture
        turn = head.turned(np.array([goal, *head.angles[1:]]))
        placed = np.einsum("nij,nj->ni", turn[head.row], head.vertices - head.pivot) + head.pivot
        seen, _, cover = rasterize(
            placed, head.texels, head.solid, head.fringe, head.alpha, head.alpha.shape[::-1]
        )
        colour = cv2.remap(head.texture[..., :3], seen[..., 0], seen[..., 1], cv2.INTER_LINEAR)
        colour, cover = (x[inner, : head.photo_width][:, inner] for x in (colour, cover[..., None]))
        rgb = cutout.background + (colour - cutout.background) * cover
        points = (head.points - head.pivot) @ turn[0].T + head.pivot
        rgba = np.clip(np.dstack([rgb, cover]), 0, 1) * 255 + 0.5
        yield rgba.astype(np.uint8), points - [cutout.margin, cutout.margin, 0.0]


def draw(gallery: Gallery, rng: np.random.Generator, count: int) -> Batch:
    """A batch: pictures drawn evenly, misaligned, covered, blurred, mirrored, relit."""
    picked = rng.integers(0, len(gallery.rgba), count)
    others = rng.integers(0, len(gallery.rgba), count)
    crops = [
        _spoilt(gallery.rgba[k], gallery.rgba[other, ..., :3], rng)
        for k, other in zip(picked, others, strict=True)
    ]
    pictures = torch.from_numpy(rearrange(np.stack(crops), "b h w c -> b c h w").copy()) / 255
    # Every other one: colours are a part of identity, and the studio varies light already.
    pictures[::2] = varied(_relit(pictures[::2], rng), rng)
    return {"pictures": pictures, "person": torch.from_numpy(gallery.person[picked])}


def _gallery(rows: list[tuple[np.ndarray, int, float]]) -> Gallery:
    rgba, person, yaw = zip(*rows, strict=True)
    return Gallery(np.stack(rgba), np.array(person), np.array(yaw, dtype=float))


def _cut(
    rgba: UInt8[np.ndarray, "H W 4"], points: Float[np.ndarray, "478 _d"]
) -> UInt8[np.ndarray, "144 144 4"]:
    """The aligned crop with a margin."""
    matrix = similarity(five_points(points), TEMPLATE + MARGIN)
    return cv2.warpAffine(rgba, matrix, (CANVAS, CANVAS), borderMode=cv2.BORDER_REPLICATE)


def _photo_views(photo: Photo, detect: Callable[[np.ndarray], Faces]) -> Gallery:
    """The photograph as it is, then turned; nothing if it has no face that can be cut out."""
    faces = detect(photo.rgb)
    try:
        views = list(turned(photo, faces.pick([0]), (0.0, *YAWS))) if len(faces.points) else []
    except ValueError:  # FaceError, or a matte without any background: the face fills the picture
        views = []
    if not views:
        return Gallery(np.zeros((0, CANVAS, CANVAS, 4), np.uint8), np.zeros(0, int), np.zeros(0))
    own = views[0][0].copy()  # outline of the head as it is, pixels of the photograph
    own[..., :3] = photo.rgb * 255 + 0.5
    cuts = [_cut(own, faces.points[0]), *(_cut(rgba, points) for rgba, points in views[1:])]
    yaw = faces.angles[0, 0] + np.array([0.0, *YAWS])
    return Gallery(np.stack(cuts), np.zeros(len(cuts), int), np.clip(yaw, -50, 50))


def _spoilt(
    rgba: UInt8[np.ndarray, "144 144 4"],
    other: UInt8[np.ndarray, "144 144 3"],
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "112 112 3"]:
    """What detectors, cameras and other people do to a crop."""
    rgb = rgba[..., :3]
    if rng.random() < 0.5:  # another background, so that it tells nothing about the person
        alpha = rgba[..., 3:] / np.float32(255)
        rgb = rgb * alpha + cv2.blur(other, (25, 25)) * (1 - alpha)
    elif rng.random() < 0.3:  # someone else's face in front, as in a kiss
        edge = int(rng.integers(MARGIN, CANVAS // 3))
        rgb = rgb.copy()
        rgb[:, :edge] = other[:, CANVAS // 2 : CANVAS // 2 + edge]
    missed = TEMPLATE + MARGIN + rng.normal(0, EYES_APART * rng.uniform(0.02, 0.04), (5, 2))
    crop = cv2.warpAffine(rgb.astype(np.uint8), similarity(missed, TEMPLATE), (SIDE, SIDE))
    if rng.random() < 0.4:  # a small face, enlarged
        side = int(rng.integers(32, SIDE))
        small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
        crop = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def _relit(x: Float[Tensor, "B 3 H W"], rng: np.random.Generator) -> Float[Tensor, "B 3 H W"]:
    """A ramp of light across each picture, in any direction."""
    slope = torch.from_numpy(rng.normal(0, 0.3, (2, len(x), 1, 1, 1)).astype(np.float32))
    down = torch.linspace(-1, 1, x.shape[2])[:, None]
    across = torch.linspace(-1, 1, x.shape[3])
    return (x * (1 + slope[0] * down + slope[1] * across).clamp(0.3, 1.7)).clamp(0, 1)
