"""The sample portraits that kisslab ships. (write_portraits)"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from kisslab.faces import find_faces
from kisslab.photo import load_photo
from kisslab.records import Result, atomic, record
from kisslab.studio.person import sample_couple, sample_person
from kisslab.studio.render import render
from kisslab.studio.scene import Light, Scene, couple_portrait, portrait, sample_background

COUPLES = (1, 4, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33)
SINGLES = tuple(range(201, 225))


@record
class Truth(Result):
    """What is exactly known about a sample portrait."""

    scene: Scene
    depth: Float[np.ndarray, "H W"]  # inter-ocular distances, rounded to 0.01; inf: background
    parts: UInt8[np.ndarray, "H W"]  # index into studio.PART_NAMES
    who: np.ndarray  # int8: 0 left, 1 right, -1 background
    points: Float[np.ndarray, "P 478 2"]  # exact, pixels
    points_3d: Float[np.ndarray, "P 478 3"]
    visible: np.ndarray  # bool, P x 478


def write_portraits(folder: Path, *, size: int = 512, quality: int = 90) -> list[Path]:
    """Render couples and singles into `folder`: NAME.jpg, NAME.truth.npz (Truth) and
    NAME.faces.npz (what find_faces found), and enter them in its MANIFEST.csv.

    FaceError when not everybody is found.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [_write(folder / f"{name}.jpg", scene, quality) for name, scene in _scenes(size)]
    _enter(folder / "MANIFEST.csv", written)
    return written


def _enter(manifest: Path, pictures: list[Path]) -> None:
    """Replace the pictures' rows and keep all others."""
    sources = {".jpg": "kisslab.studio", ".truth.npz": "kisslab.studio"}
    sources[".faces.npz"] = "MediaPipe FaceLandmarker on the picture"
    rows = {}
    if manifest.exists():
        with open(manifest, newline="") as file:
            rows = {row[0]: row for row in list(csv.reader(file))[1:]}
    for picture in pictures:
        for suffix, source in sources.items():
            path = picture.with_suffix(suffix)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            rows[path.name] = [path.name, source, "Apache-2.0", digest]
    with atomic(manifest) as part, open(part, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["file", "source", "licence", "sha256"])
        table.writerows(rows.values())


def _scenes(size: int) -> Iterator[tuple[str, Scene]]:
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


def _write(path: Path, scene: Scene, quality: int) -> Path:
    picture = render(scene)
    with atomic(path) as part:
        pixels = (picture.rgb * 255 + 0.5).astype(np.uint8)
        Image.fromarray(pixels).save(part, "JPEG", quality=quality)
    find_faces(load_photo(path), need=len(scene.people)).save(path.with_suffix(".faces.npz"))
    Truth(
        scene=replace(scene, background=scene.background.astype(np.float16)),
        depth=np.round(picture.depth, 2).astype(np.float16),
        parts=picture.parts,
        who=picture.who.astype(np.int8),
        points=picture.points.astype(np.float32),
        points_3d=picture.points_3d.astype(np.float32),
        visible=picture.visible,
    ).save(path.with_suffix(".truth.npz"))
    return path
