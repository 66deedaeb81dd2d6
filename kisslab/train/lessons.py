"""Clips that the kiss model learns from: a photo, its guide, and what should have come out.

(Case, studio_case, studio_stills, photograph_case, photograph_stills, Lesson, Stills, write_studio,
write_takes, write_photographs, write_stills, seed_of, main)
`python -m kisslab.train.lessons --help` writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import torch
import typer
from jaxtyping import Bool, Float, UInt8

from kisslab.composite import Composite, compose
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
STILL = 5  # frames at the end of a way back
LEAST_GAP = 0.35  # inter-ocular distances: closer faces hide each other and can't be warped back


@record
class Case(Result):
    """What the pipeline has before the diffusion stage, and what should come out of it."""

    photo: Photo  # that the guide was drawn from
    portrait: Photo  # that shows who they are
    faces: Faces  # in the portrait
    motion: Motion
    guide: Guide
    truth: UInt8[np.ndarray, "T H W 3"]
    people: Bool[np.ndarray, "T H W"]  # where the people are, in truth or guide
    graded: Bool[np.ndarray, " T"]  # the truth is known


@record
class Lesson(Result):
    """A case as training data. T frames of H x W pixels."""

    source: UInt8[np.ndarray, "H W 3"]
    guide: UInt8[np.ndarray, "T H W 3"]
    confidence: UInt8[np.ndarray, "T H W"]  # 255: the source's own pixel
    truth: UInt8[np.ndarray, "T H W 3"]
    people: Bool[np.ndarray, "T H W"]
    points: Float[np.ndarray, "T 2 478 2"]  # of the plan, pixels
    crops: UInt8[np.ndarray, "2 112 112 3"]  # both faces, aligned for an ArcFace
    graded: Bool[np.ndarray, " T"]


@record
class Stills(Result):
    """Single frames of one pair of photographs, each warped away and back differently."""

    lessons: tuple[Lesson, ...]  # of one frame each


def studio_case(seed: int, *, frames: int = 12) -> Case:
    """A studio couple's kiss: the guide from the first frame against the exact frames."""
    rng = np.random.default_rng([seed, 31])
    return _studio(seed, rng, lambda motion: _window(motion, frames, rng))


def studio_stills(seed: int, *, count: int = 3) -> Case:
    """Frames anywhere in a studio couple's kiss, the last of them in contact.

    Drawn in a third of a clip's time: what a network needs is many people.
    """
    rng = np.random.default_rng([seed, 35])

    def frames(motion: Motion) -> list[int]:
        way = rng.integers(motion.contact // 6, motion.contact, count - 1)
        return [*sorted(way.tolist()), int(rng.integers(motion.contact, len(motion.gap)))]

    return _studio(seed, rng, frames)


def photograph_case(seed: int, photos: str, *, held: bool = False, frames: int = 12) -> Case:
    """Two photographs, warped away by a plan and back again: the truth is what they show.

    The source is the couple's picture warped to some frame of a plan; the guide is drawn from that
    and leads back to the first frame, where it stays. Only there the truth is known.
    """
    rng = np.random.default_rng([seed, 32])

    def back(couple: Composite) -> Case:
        motion, far = _away(couple, rng)
        case = _there_and_back(couple, motion, far, _way_back(motion, far, frames))
        return replace(case, graded=np.arange(frames) >= frames - STILL)

    return _of_photographs(back, rng, photos, held)


def photograph_stills(seed: int, photos: str, *, held: bool = False, count: int = 12) -> list[Case]:
    """One pair of photographs warped away and back in `count` ways: cases of one frame each."""
    rng = np.random.default_rng([seed, 34])

    def still(couple: Composite) -> Case:
        motion, far = _away(couple, rng)
        return _there_and_back(couple, motion, far, motion.pick([0]))

    return _of_photographs(lambda couple: [still(couple) for _ in range(count)], rng, photos, held)


def write_studio(folder: str | Path, seeds: Sequence[int], **options: Any) -> list[Path]:
    """One studio lesson a seed, resumable and in parallel as `kisslab.studio.write_dataset` is."""
    paths = [Path(folder) / f"studio_{seed:08d}.npz" for seed in seeds]
    return write_all(partial(_write, studio_case), paths, seeds, **options)


def write_takes(folder: str | Path, seeds: Sequence[int], **options: Any) -> list[Path]:
    """A few frames of one studio couple a seed; options as `write_all`."""
    paths = [Path(folder) / f"takes_{seed:08d}.npz" for seed in seeds]
    return write_all(partial(_write, studio_stills), paths, seeds, **options)


def write_photographs(
    folder: str | Path, photos: str | Path, seeds: Sequence[int], **options: Any
) -> list[Path]:
    """One lesson of two photographs a seed, none of them held out; options as `write_all`."""
    paths = [Path(folder) / f"photos_{seed:08d}.npz" for seed in seeds]
    case = partial(photograph_case, photos=str(photos))
    return write_all(partial(_write, case), paths, seeds, **options)


def write_stills(
    folder: str | Path, photos: str | Path, seeds: Sequence[int], **options: Any
) -> list[Path]:
    """One file of Stills a seed, of photographs that are not held out; options as `write_all`."""
    paths = [Path(folder) / f"stills_{seed:08d}.npz" for seed in seeds]
    return write_all(partial(_write_stills, photos=str(photos)), paths, seeds, **options)


def seed_of(path: Path) -> int:
    """The seed that a lesson's file is named by."""
    return int(path.stem.rpartition("_")[2])


def main(
    folder: Annotated[Path, typer.Option(help="gets studio_*, takes_*, photos_*, stills_*.npz")],
    photos: Annotated[Path, typer.Option(help="folder of folders of photographs")],
    studio: Annotated[int, typer.Option(help="how many kisses of studio couples")] = 200,
    takes: Annotated[int, typer.Option(help="how many studio couples in a few frames")] = 1000,
    pairs: Annotated[int, typer.Option(help="how many pairs of photographs")] = 200,
    stills: Annotated[int, typer.Option(help="how many pairs of photographs as stills")] = 120,
    scheduler: Annotated[str | None, typer.Option(help="address of a dask scheduler")] = None,
    workers: int = 2,
) -> None:
    """Write the lessons; what is there already is kept."""
    options = {"scheduler": scheduler, "workers": workers}
    write_studio(folder, range(2_000_000, 2_000_000 + studio), **options)
    write_takes(folder, range(5_000_000, 5_000_000 + takes), **options)
    write_photographs(folder, photos, range(3_000_000, 3_000_000 + pairs), **options)
    write_stills(folder, photos, range(4_000_000, 4_000_000 + stills), **options)


def _studio(seed: int, rng: np.random.Generator, pick: Callable[[Motion], list[int]]) -> Case:
    """The frames of a studio couple's kiss that `pick` takes."""
    scene = couple_portrait(sample_couple(seed), yaw=float(rng.uniform(5, 28)), size=WIDTH)
    scene = photographed(scene, seed)
    camera = scene.camera  # grain that does not move with the people teaches nothing
    scene = replace(scene, camera=replace(camera, noise=0.3 * camera.noise, jpeg=0))
    first = render(scene)
    faces = _shaken(true_faces(scene), rng)
    style = STYLES[int(rng.integers(len(STYLES)))].name
    motion = plan_kiss(faces, style, seed=seed)
    motion = motion.pick(pick(motion))
    frames = len(motion.gap)
    photo = photo_from_array(_bytes(first.rgb))
    guide = draw_guide(photo, faces, motion, cut_out(photo, faces, mattes=_mattes(first, rng)))
    takes = [render(scene.posed(motion, t)) for t in range(frames)]
    return Case(
        photo=photo,
        portrait=photo,
        faces=faces,
        motion=motion,
        guide=guide,
        truth=np.stack([_bytes(take.rgb) for take in takes]),
        people=np.stack([take.parts > 0 for take in takes]) | (guide.layers > 0),
        graded=np.ones(frames, bool),
    )


def _write(make: Callable[[int], Case], path: str, seed: int) -> str:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _lesson(make(seed)).save(path)
    return path


def _write_stills(path: str, seed: int, photos: str) -> str:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    Stills(tuple(_lesson(case) for case in photograph_stills(seed, photos))).save(path)
    return path


def _lesson(case: Case) -> Lesson:
    pixels = _bytes(case.portrait.rgb)
    points = planned_points(case.motion, case.faces)[..., :2]
    top = (HEIGHT - case.photo.rgb.shape[0]) // 2
    sure = (case.guide.confidence.astype(np.float32) * 255 + 0.5).astype(np.uint8)
    return Lesson(
        source=_tall(_bytes(case.photo.rgb)[None])[0],
        guide=_tall(_bytes(case.guide.frames)),
        confidence=_tall(sure),
        truth=_tall(case.truth),
        people=_tall(case.people),
        points=(points + np.array([0, top])).astype(np.float16),
        crops=np.stack([align(pixels, face) for face in case.faces.points]),
        graded=case.graded,
    )


def _tall(stack: np.ndarray) -> np.ndarray:
    """Continued above and below to HEIGHT pixels; axis 1 goes down."""
    more = HEIGHT - stack.shape[1]
    widths = [(0, 0), (more // 2, more - more // 2), *[(0, 0)] * (stack.ndim - 2)]
    return np.pad(stack, widths, mode="edge")


def _of_photographs(
    make: Callable[[Composite], Any], rng: np.random.Generator, photos: str, held: bool
) -> Any:
    """What `make` makes of the first pair of photographs that it can be made of."""
    paths = photographs(photos, held=held)
    for _ in range(20):  # some show no face that can be cut out, before or after the first warp
        with suppress(FaceError):
            one, two = (_shrunk(load_photo(path)) for path in rng.choice(paths, 2, replace=False))
            return make(compose(one, two, height=160, find=partial(find_faces, min_size=0)))
    raise FaceError(f"no two of {len(paths)} photographs show faces that can be put together")


def _away(couple: Composite, rng: np.random.Generator) -> tuple[Motion, int]:
    """Some plan, and the frame of it to which the couple is warped."""
    style = STYLES[int(rng.integers(len(STYLES)))].name
    motion = plan_kiss(couple.faces, style, seed=int(rng.integers(2**31)))
    return motion, _farthest(motion, rng)


def _there_and_back(couple: Composite, motion: Motion, far: int, back: Motion) -> Case:
    """Warped to frame `far` of a plan, and from there along `back`; every frame's truth is the
    photographs themselves, where `back` is at the plan's first frame."""
    away = draw_guide(couple.photo, couple.faces, motion.pick([far]), couple.cutout)
    source, faces = (
        photo_from_array(np.clip(away.frames[0], 0, 1)),
        _posed(couple.faces, motion, far),
    )
    cutout = cut_out(source, faces, mattes=_layers(away))
    pad = cutout.margin
    sure = np.pad(away.confidence[0] > 0.3, pad)  # what the first warp made up is no truth
    cutout = replace(cutout, known=cutout.known & sure, seen=cutout.seen & (away.layers[0] == 0))
    guide = draw_guide(source, faces, back, cutout)
    frames = len(guide.frames)
    inside = couple.cutout.alpha.max(axis=0)[pad:-pad, pad:-pad] > 0.5
    return Case(
        photo=source,
        portrait=couple.photo,
        faces=couple.faces,
        motion=back,
        guide=guide,
        truth=np.repeat(_bytes(couple.photo.rgb)[None], frames, axis=0),
        people=(guide.layers > 0) | inside,
        graded=np.ones(frames, bool),
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
    way = np.linspace(far, 0, frames - STILL + 1)[1:]
    return motion.pick([*way.round().astype(int).tolist(), *[0] * STILL])


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


def _shrunk(photo: Photo, size: int = 256) -> Photo:
    scale = size / max(photo.rgb.shape[:2])
    small = cv2.resize(photo.rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return replace(photo, rgb=np.clip(small, 0, 1), width=small.shape[1], height=small.shape[0])


def _bytes(rgb: Float[np.ndarray, "*N 3"]) -> UInt8[np.ndarray, "*N 3"]:
    return (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)


if __name__ == "__main__":
    typer.run(main)
