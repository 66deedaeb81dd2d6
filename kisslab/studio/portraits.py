"""The sample portraits that kisslab ships. (write_portraits)"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from kisslab.records import Result, atomic, record
from kisslab.studio.person import sample_couple, sample_person
from kisslab.studio.render import Render, render
from kisslab.studio.scene import Light, Scene, couple_portrait, portrait, sample_background

COUPLES = (1, 4, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33)
SINGLES = tuple(range(201, 225))
Finder = Callable[[UInt8[np.ndarray, "H W 3"]], Float[np.ndarray, "F 478 3"]]


@record
class Truth(Result):
    """What is exactly known about a sample portrait, and what a detector found in it."""

    scene: Scene
    depth: Float[np.ndarray, "H W"]  # inter-ocular distances, rounded to 0.01; inf: background
    parts: UInt8[np.ndarray, "H W"]  # index into studio.PART_NAMES
    who: np.ndarray  # int8: 0 left, 1 right, -1 background
    points: Float[np.ndarray, "P 478 2"]  # exact, pixels
    points_3d: Float[np.ndarray, "P 478 3"]
    visible: np.ndarray  # bool, P x 478
    found: Float[np.ndarray, "F 478 3"]  # by the detector: pixels, z in pixels


def write_portraits(
    folder: Path, find: Finder, *, size: int = 512, quality: int = 90
) -> list[Path]:
    """Render the couples and singles into `folder` with their truth and MANIFEST.csv.

    `find` returns a detector's points for a picture, left to right. ValueError when it does not
    find everybody.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, scene in _scenes(size):
        picture = render(scene)
        written.append(_write(folder / f"{name}.jpg", scene, picture, find, quality))
    files = sorted(p for path in written for p in (path, path.with_suffix(".npz")))
    with atomic(folder / "MANIFEST.csv") as part, open(part, "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["file", "source", "licence", "sha256"])
        for path in files:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            rows.writerow([path.name, "kisslab.studio", "Apache-2.0", digest])
    return written


def _scenes(size: int):
    """Pairs of name and scene: light, background and a slight turn vary with the seed."""
    for number, seed in enumerate(COUPLES):
        rng = np.random.default_rng([seed, 26])
        scene = couple_portrait(
            sample_couple(seed),
            yaw=float(rng.uniform(8, 24)),
            size=size,
            light=_light(rng),
            background=sample_background(seed),
        )
        yield f"couple_{number + 1:02d}", _as_photo(scene, rng)
    for number, seed in enumerate(SINGLES):
        rng = np.random.default_rng([seed, 26])
        scene = portrait(
            sample_person(seed),
            yaw=float(rng.uniform(-22, 22)),
            pitch=float(rng.uniform(-5, 5)),
            roll=float(rng.uniform(-4, 4)),
            size=size,
            light=_light(rng),
            background=sample_background(seed),
        )
        yield f"single_{number + 1:02d}", _as_photo(scene, rng)


def _light(rng: np.random.Generator) -> Light:
    return Light(
        azimuth=float(rng.choice([-1, 1]) * rng.uniform(20, 60)),
        elevation=float(rng.uniform(20, 50)),
        softness=float(rng.uniform(0.3, 1.0)),
        fill=float(rng.uniform(0.3, 0.6)),
    )


def _as_photo(scene: Scene, rng: np.random.Generator) -> Scene:
    camera = replace(scene.camera, noise=0.006, seed=int(rng.integers(1e6)), blur=2.0)
    return replace(scene, camera=camera)


def _write(path: Path, scene: Scene, picture: Render, find: Finder, quality: int) -> Path:
    pixels = (picture.rgb * 255 + 0.5).astype(np.uint8)
    with atomic(path) as part:
        Image.fromarray(pixels).save(part, "JPEG", quality=quality)
    found = find(np.asarray(Image.open(path)))
    if len(found) != len(scene.people):
        raise ValueError(
            f"{path.name}: found {len(found)} of {len(scene.people)}; use another seed"
        )
    Truth(
        scene=scene,
        depth=np.round(picture.depth, 2).astype(np.float16),
        parts=picture.parts,
        who=picture.who.astype(np.int8),
        points=picture.points.astype(np.float32),
        points_3d=picture.points_3d.astype(np.float32),
        visible=picture.visible,
        found=found.astype(np.float32),
    ).save(path.with_suffix(".npz"))
    return path
