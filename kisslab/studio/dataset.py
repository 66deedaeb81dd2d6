"""Clips with all their truth, as shards on disk. (Shard, write_dataset, write_shard)"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from kisslab.plan import STYLES, plan_kiss
from kisslab.records import Result, record
from kisslab.studio.clips import Take, render_clip, true_faces
from kisslab.studio.person import sample_couple
from kisslab.studio.scene import Scene, couple_portrait, photographed


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
    from dask.distributed import Client, LocalCluster, wait

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"clip_{seed:08d}.npz" for seed in seeds]
    todo = [(p, s) for p, s in zip(paths, seeds, strict=True) if not p.exists()]
    if not todo:
        return paths
    cluster = scheduler or LocalCluster(workers, threads_per_worker=1, dashboard_address=None)
    with Client(cluster) as client:
        tasks = [
            client.submit(write_shard, str(p), s, frames=frames, size=size, pure=False, retries=3)
            for p, s in todo
        ]
        wait(tasks)
        client.gather(tasks)
    if scheduler is None:
        cluster.close()
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
