"""Clips and portraits with all their truth, as shards on disk.

(Shard, Views, write_dataset, write_views, write_all, write_shard, write_person)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from kisslab.cluster import connect
from kisslab.plan import STYLES, plan_kiss
from kisslab.records import Result, record
from kisslab.studio.clips import Take, render_clip, true_faces
from kisslab.studio.person import Person, sample_couple, sample_person
from kisslab.studio.pose import Pose
from kisslab.studio.render import render
from kisslab.studio.scene import Camera, Scene, couple_portrait, photographed, portrait


@record
class Shard(Result):
    """One clip of a couple. Frames T, steps S = T - 1, two people."""

    seed: int
    style: str
    rgb: UInt8[np.ndarray, "T H W 3"]
    depth: Float[np.ndarray, "T H W"]  # float16, inter-ocular distances; inf: background
    normals: Float[np.ndarray, "T H W 3"]  # float16, world frame
    parts: UInt8[np.ndarray, "T H W"]  # index into PART_NAMES
    who: Int[np.ndarray, "T H W"]  # 0, 1; -1 background
    flow: Float[np.ndarray, "S H W 2"]  # float16, pixels
    occluded: Bool[np.ndarray, "S H W"]
    points: Float[np.ndarray, "T 2 478 2"]  # pixels
    points_3d: Float[np.ndarray, "T 2 478 3"]
    visible: Bool[np.ndarray, "T 2 478"]
    position: Float[np.ndarray, "T 2 3"]  # as in Motion, and so are the next five
    angles: Float[np.ndarray, "T 2 3"]
    eyelids: Float[np.ndarray, "T 2"]
    pucker: Float[np.ndarray, "T 2"]
    parting: Float[np.ndarray, "T 2"]
    gaze: Float[np.ndarray, "T 2 2"]


@record
class Views(Result):
    """Portraits of one person in other poses, lights and places. Pictures K."""

    seed: int
    rgb: UInt8[np.ndarray, "K H W 3"]
    parts: UInt8[np.ndarray, "K H W"]  # index into PART_NAMES
    points: Float[np.ndarray, "K 478 2"]  # pixels
    visible: Bool[np.ndarray, "K 478"]
    angles: Float[np.ndarray, "K 3"]  # yaw, pitch, roll, degrees


def write_dataset(
    folder: str | Path,
    seeds: Sequence[int],
    *,
    frames: int = 12,
    size: int = 128,
    scheduler: str | None = None,
    workers: int = 2,
) -> list[Path]:
    """Write one shard per seed, `clip_SEED.npz`, of size x 3/4 size pixels; return their paths.

    Shards that exist are kept, so an interrupted call resumes where it was; a file has its name
    only when it is complete. The work runs on the dask scheduler at the address `scheduler`, or
    on `workers` local processes; what a killed worker had in hand is done again by another.
    """
    paths = [Path(folder) / f"clip_{seed:08d}.npz" for seed in seeds]
    task = partial(write_shard, frames=frames, size=size)
    return write_all(task, paths, seeds, scheduler, workers)


def write_views(
    folder: str | Path,
    seeds: Sequence[int],
    *,
    views: int = 10,
    size: int = 256,
    scheduler: str | None = None,
    workers: int = 2,
) -> list[Path]:
    """Write one file of Views per person, `person_SEED.npz`; resumes as `write_dataset` does."""
    paths = [Path(folder) / f"person_{seed:08d}.npz" for seed in seeds]
    return write_all(
        partial(write_person, views=views, size=size), paths, seeds, scheduler, workers
    )


def write_all(
    task: Callable[[str, int], str],
    paths: list[Path],
    seeds: Sequence[int],
    scheduler: str | None = None,
    workers: int = 2,
) -> list[Path]:
    """Do task(path, seed) for every path that is not there yet, as `write_dataset` describes."""
    from distributed import wait

    todo = [(str(p), s) for p, s in zip(paths, seeds, strict=True) if not p.exists()]
    if not todo:
        return paths
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    with connect(scheduler, workers) as client:
        tasks = [client.submit(task, path, seed, pure=False, retries=3) for path, seed in todo]
        wait(tasks)
        client.gather(tasks)
    return paths


def write_shard(path: str, seed: int, *, frames: int = 12, size: int = 128) -> str:
    """Render one couple's kiss, drawn from `seed`, and save it as a Shard."""
    torch.set_num_threads(1)
    rng = np.random.default_rng([seed, 27])
    scene = photographed(couple_portrait(sample_couple(seed), size=size), seed)
    style = STYLES[int(rng.integers(len(STYLES)))].name
    motion = plan_kiss(true_faces(scene), style, seconds=frames / 8, fps=8.0, seed=seed)
    shard = _shard(seed, scene, render_clip(scene, motion))
    shard.save(path)
    return path


def write_person(path: str, seed: int, *, views: int = 10, size: int = 256) -> str:
    """Render one person, drawn from `seed`, in `views` ways, and save them as Views."""
    torch.set_num_threads(1)
    rng = np.random.default_rng([seed, 28])
    person = sample_person(seed)
    scenes = [_view(person, rng, size) for _ in range(views)]
    pictures = [render(scene) for scene in scenes]
    Views(
        seed=seed,
        rgb=np.stack([(p.rgb * 255 + 0.5).astype(np.uint8) for p in pictures]),
        parts=np.stack([p.parts for p in pictures]),
        points=np.stack([p.points[0] for p in pictures]).astype(np.float32),
        visible=np.stack([p.visible[0] for p in pictures]),
        angles=np.stack([scene.poses[0].angles for scene in scenes]).astype(np.float32),
    ).save(path)
    return path


def _view(person: Person, rng: np.random.Generator, size: int) -> Scene:
    """Any pose up to 70 degrees of yaw, any expression, anywhere in the picture, any light."""
    yaw = float(np.clip(rng.normal(0, 32), -70, 70))
    angles = np.array(
        [yaw, np.clip(rng.normal(0, 9), -25, 25), np.clip(rng.normal(0, 11), -35, 35)]
    )
    pose = Pose(
        position=np.zeros(3),
        angles=angles,
        eyelids=float(rng.uniform(0, 1) if rng.random() < 0.3 else 0.0),
        pucker=float(rng.uniform(0, 1) if rng.random() < 0.3 else 0.0),
        parting=float(rng.uniform(0, 0.12) if rng.random() < 0.2 else 0.0),
        gaze=(float(rng.uniform(-20, 20)), float(rng.uniform(-10, 10))),
    )
    share = float(rng.uniform(0.14, 0.32))  # of the picture's width, between the eye corners
    centre = 0.5 + (0.5 - 1.3 * share) * rng.uniform(-1, 1, 2)
    low = max(float(centre[1]) + 0.45 * share, 1 - 3.4 * share)  # never the end of the chest
    origin = (size * float(centre[0]), size * low)
    camera = Camera(size, size, unit=size * share, origin=origin)
    scene = replace(portrait(person, size=size), poses=(pose,), camera=camera)
    return photographed(scene, int(rng.integers(2**31)))


def _shard(seed: int, scene: Scene, take: Take) -> Shard:
    def stack(name: str) -> np.ndarray:
        return np.stack([getattr(frame, name) for frame in take.frames])

    motion = take.motion
    return Shard(
        seed=seed,
        style=motion.style,
        rgb=(stack("rgb") * 255 + 0.5).astype(np.uint8),
        depth=stack("depth").astype(np.float16),
        normals=stack("normals").astype(np.float16),
        parts=stack("parts"),
        who=stack("who").astype(np.int8),
        flow=take.flow.astype(np.float16),
        occluded=take.occluded,
        points=stack("points").astype(np.float32),
        points_3d=stack("points_3d").astype(np.float32),
        visible=stack("visible"),
        position=motion.position,
        angles=motion.angles,
        eyelids=motion.eyelids,
        pucker=motion.pucker,
        parting=motion.parting,
        gaze=motion.gaze,
    )
