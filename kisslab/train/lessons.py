"""Clips that the kiss model learns from: a photo, its guide, and what should have come out.

(Lesson, write_studio, write_photographs, studio_lesson, photograph_lesson)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from kisslab.composite import compose
from kisslab.contact import planned_points
from kisslab.cutout import cut_out
from kisslab.faces import FaceError, Faces, find_faces
from kisslab.guide import Guide, draw_guide
from kisslab.identity import align
from kisslab.motion import Motion
from kisslab.photo import Photo, load_photo, photo_from_array
from kisslab.plan import STYLES, plan_kiss
from kisslab.records import Result, record
from kisslab.studio.clips import true_faces
from kisslab.studio.dataset import write_all
from kisslab.studio.person import sample_couple
from kisslab.studio.render import Render, render
from kisslab.studio.scene import couple_portrait, photographed
from kisslab.train.pictures import photographs

WIDTH, HEIGHT = 256, 192  # pixels of every lesson
LEAST_GAP = 0.35  # inter-ocular distances: closer faces hide each other and can't be warped back


@record
class Lesson(Result):
    """One clip. T frames of H x W pixels; the source is the photo that the guide was drawn from."""

    source: UInt8[np.ndarray, "H W 3"]
    guide: UInt8[np.ndarray, "T H W 3"]
    confidence: UInt8[np.ndarray, "T H W"]  # 255: the source's own pixel
    truth: UInt8[np.ndarray, "T H W 3"]
    people: Bool[np.ndarray, "T H W"]  # where the people are, in truth or guide
    points: Float[np.ndarray, "T 2 478 2"]  # of the plan, pixels
    crops: UInt8[np.ndarray, "2 112 112 3"]  # both faces, aligned for an ArcFace
    contact: Bool[np.ndarray, " T"]
    graded: Bool[np.ndarray, " T"]  # the truth is known


def write_studio(folder: str | Path, seeds: Sequence[int], **options) -> list[Path]:
    """One studio lesson a seed, resumable and in parallel as `kisslab.studio.write_dataset` is."""
    paths = [Path(folder) / f"studio_{seed:08d}.npz" for seed in seeds]
    return write_all(studio_lesson, paths, seeds, **options)


def write_photographs(
    folder: str | Path, photos: str | Path, seeds: Sequence[int], *, held: bool = False, **options
) -> list[Path]:
    """One lesson of two photographs a seed (see `photograph_lesson`); options as `write_all`."""
    paths = [Path(folder) / f"photos_{seed:08d}.npz" for seed in seeds]
    task = partial(photograph_lesson, photos=str(photos), held=held)
    return write_all(task, paths, seeds, **options)


def studio_lesson(path: str, seed: int, *, frames: int = 12) -> str:
    """A studio couple's kiss: the guide from the first frame against the exact frames."""
    torch.set_num_threads(1)
    rng = np.random.default_rng([seed, 31])
    scene = couple_portrait(sample_couple(seed), yaw=float(rng.uniform(5, 28)), size=WIDTH)
    scene = photographed(scene, seed)
    camera = scene.camera  # grain that does not move with the people teaches nothing
    scene = replace(scene, camera=replace(camera, noise=0.3 * camera.noise, jpeg=0))
    first = render(scene)
    faces = _shaken(true_faces(scene), rng)
    style = STYLES[int(rng.integers(len(STYLES)))].name
    motion = plan_kiss(faces, style, seed=seed)
    motion = motion.pick(_window(motion, frames, rng))
    photo = photo_from_array(_bytes(first.rgb))
    cutout = cut_out(photo, faces, mattes=_mattes(first, rng))
    guide = draw_guide(photo, faces, motion, cutout)
    takes = [render(scene.posed(motion, t)) for t in range(frames)]
    lesson = _lesson(
        photo, photo, faces, motion, guide, np.stack([_bytes(take.rgb) for take in takes])
    )
    people = np.stack([take.parts > 0 for take in takes]) | (guide.layers > 0)
    replace(lesson, people=people).save(path)
    return path


def photograph_lesson(
    path: str, seed: int, *, photos: str, held: bool = False, frames: int = 12
) -> str:
    """Two photographs, warped away by a plan and back again: the truth is what they show.

    The source is the couple's picture warped to some frame of a plan; the guide is drawn from that
    and leads back to the first frame, where it stays. Only there the truth is known.
    """
    cv2.setNumThreads(1)
    rng = np.random.default_rng([seed, 32])
    find = partial(find_faces, min_size=0)
    for _ in range(20):  # some photographs are profiles, or show no face that can be cut out
        pair = [_shrunk(load_photo(p)) for p in rng.choice(photographs(photos, held=held), 2)]
        try:
            couple = compose(pair[0], pair[1], height=160, find=find)
            break
        except FaceError:
            continue
    style = STYLES[int(rng.integers(len(STYLES)))].name
    motion = plan_kiss(couple.faces, style, seed=seed)
    far = _farthest(motion, rng)
    away = draw_guide(couple.photo, couple.faces, motion.pick([far]), couple.cutout)
    back = _way_back(motion, far, frames)
    source, faces = (
        photo_from_array(np.clip(away.frames[0], 0, 1)),
        _posed(couple.faces, motion, far),
    )
    cutout = cut_out(source, faces, mattes=_layers(away))
    pad = cutout.margin
    known = np.pad(away.confidence[0] > 0.3, pad)
    cutout = replace(cutout, known=cutout.known & known, seen=cutout.seen & (away.layers[0] == 0))
    guide = draw_guide(source, faces, back, cutout)
    truth = np.repeat(_bytes(couple.photo.rgb)[None], frames, axis=0)
    lesson = _lesson(source, couple.photo, couple.faces, back, guide, truth)
    people = (guide.layers > 0) | (couple.cutout.alpha.max(0) > 0.5)[pad:-pad, pad:-pad]
    graded = np.arange(frames) >= frames - _STILL
    _tall(replace(lesson, people=people, graded=graded)).save(path)
    return path


_STILL = 5  # frames at the end of a way back


def _lesson(
    source: Photo, portrait: Photo, faces: Faces, motion: Motion, guide: Guide, truth: np.ndarray
) -> Lesson:
    return Lesson(
        source=_bytes(source.rgb),
        guide=_bytes(guide.frames),
        confidence=(guide.confidence.astype(np.float32) * 255 + 0.5).astype(np.uint8),
        truth=truth,
        people=guide.layers > 0,
        points=planned_points(motion, faces)[..., :2].astype(np.float16),
        crops=np.stack([align(_bytes(portrait.rgb), points) for points in faces.points]),
        contact=np.array([phase == "contact" for phase in motion.phases]),
        graded=np.ones(len(truth), bool),
    )


def _shaken(faces: Faces, rng: np.random.Generator) -> Faces:
    """As a detector finds them: every face a little off, and its points too."""
    iod = faces.iod[:, None, None]
    shift = rng.normal(0, 0.015, (len(iod), 1, 3)) * iod
    points = faces.points + shift + rng.normal(0, 0.006, faces.points.shape) * iod
    angles = faces.angles + rng.normal(0, 2.0, faces.angles.shape)
    return replace(faces, points=points, angles=angles)


def _mattes(first: Render, rng: np.random.Generator) -> Float[np.ndarray, "2 H W"]:
    """The true mattes, a little too wide, too narrow or too soft, as estimated ones are."""
    out = []
    for person in (0, 1):
        matte = (first.who == person).astype(np.float32)
        change = int(rng.integers(-2, 3))
        kernel = np.ones((2 * abs(change) + 1,) * 2, np.uint8)
        matte = cv2.dilate(matte, kernel) if change > 0 else cv2.erode(matte, kernel)
        out.append(cv2.GaussianBlur(matte, (0, 0), float(rng.uniform(0.5, 1.5))))
    return np.stack(out)


def _window(motion: Motion, frames: int, rng: np.random.Generator) -> list[int]:
    """Consecutive frames, or every second to fifth; each third window ends in the contact."""
    last = len(motion.gap) - 1
    stride = int(rng.integers(1, last // (frames - 1) + 1))
    span = stride * (frames - 1)
    start = int(rng.integers(0, last - span + 1))
    if rng.random() < 0.34:
        start = int(np.clip(motion.contact - span, 0, last - span))
    return [start + stride * t for t in range(frames)]


def _farthest(motion: Motion, rng: np.random.Generator) -> int:
    """A frame of the approach in which the faces are still free of each other."""
    free = (motion.gap > LEAST_GAP) & (motion.eyelids.max(axis=1) < 0.4)
    stop = int(np.argmin(free)) if not free.all() else len(free)
    return int(rng.integers(stop // 2, max(stop, 2)))


def _way_back(motion: Motion, far: int, frames: int) -> Motion:
    """From frame `far` to the first one, in which it stays."""
    way = np.linspace(far, 0, frames - _STILL + 1)[1:]
    return motion.pick([*way.round().astype(int), *[0] * (_STILL - 1)])


def _posed(faces: Faces, motion: Motion, frame: int) -> Faces:
    """The faces as the plan has them in one frame."""
    placed = planned_points(motion.pick([frame]), faces)[0]
    boxes = np.concatenate([placed[..., :2].min(1), placed[..., :2].max(1)], axis=-1)
    return replace(faces, points=placed, boxes=boxes, angles=motion.angles[frame].copy())


def _layers(guide: Guide) -> Float[np.ndarray, "2 H W"]:
    """Soft mattes of a guide's first frame."""
    return np.stack(
        [cv2.GaussianBlur((guide.layers[0] == k).astype(np.float32), (0, 0), 0.7) for k in (1, 2)]
    )


def _tall(lesson: Lesson) -> Lesson:
    """Continued above and below to HEIGHT pixels."""
    more = HEIGHT - lesson.source.shape[0]
    top, bottom = more // 2, more - more // 2

    def padded(x: np.ndarray) -> np.ndarray:
        rows = 0 if x is lesson.source else 1
        widths = [(0, 0)] * rows + [(top, bottom)] + [(0, 0)] * (x.ndim - rows - 1)
        return np.pad(x, widths, mode="edge")

    names = ("source", "guide", "confidence", "truth", "people")
    arrays = {name: padded(getattr(lesson, name)) for name in names}
    return replace(lesson, points=lesson.points + np.float16([0, top]), **arrays)


def _shrunk(photo: Photo, size: int = 256) -> Photo:
    scale = size / max(photo.rgb.shape[:2])
    small = cv2.resize(photo.rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return replace(photo, rgb=np.clip(small, 0, 1), width=small.shape[1], height=small.shape[0])


def _bytes(rgb: Float[np.ndarray, "*N 3"]) -> UInt8[np.ndarray, "*N 3"]:
    return (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
