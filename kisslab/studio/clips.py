"""A scene that moves, with exact optical flow.

(Take, render_clip, render_pool, true_faces, motion_camera)
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch.nn import functional as F

from kisslab import anatomy
from kisslab.faces import Faces
from kisslab.motion import Motion
from kisslab.records import Result, record
from kisslab.studio.built import build
from kisslab.studio.figure import Figure
from kisslab.studio.render import Render, render
from kisslab.studio.scene import Camera, Scene


@record
class Take(Result):
    """Renders of all frames; flow[t] and occluded[t] lead from frame t to frame t + 1."""

    frames: tuple[Render, ...]
    flow: Float[np.ndarray, "S H W 2"]  # pixels: x right, y down
    occluded: Bool[np.ndarray, "S H W"]  # what is seen in frame t is hidden in t + 1
    motion: Motion


def motion_camera(motion: Motion, width: int, height: int) -> Camera:
    """The camera that sees a motion as the photo it was planned for."""
    return Camera(width, height, motion.unit, (float(motion.origin[0]), float(motion.origin[1])))


def render_clip(
    scene: Scene, motion: Motion, *, antialias: int = 4, pool: Executor | None = None
) -> Take:
    """Draw every frame of `motion`; `scene.poses` are replaced by the motion's.

    With a `pool`, for example of `render_pool`, its processes share the frames.
    ValueError if the scene does not have the motion's two people.
    """
    if len(scene.people) != motion.position.shape[1]:
        raise ValueError(
            f"the scene has {len(scene.people)} people, the motion {motion.position.shape[1]}; "
            "use sample_couple"
        )
    scenes = [scene.posed(motion, t) for t in range(len(motion.position))]
    draw = partial(render, antialias=antialias)
    frames = tuple(map(draw, scenes) if pool is None else pool.map(draw, scenes))
    pairs = [flow(a, s, b) for a, b, s in zip(frames, frames[1:], scenes[1:], strict=False)]
    return Take(
        frames=frames,
        flow=np.stack([p[0] for p in pairs]),
        occluded=np.stack([p[1] for p in pairs]),
        motion=motion,
    )


def render_pool(workers: int = 2) -> ProcessPoolExecutor:
    """Processes that draw, one thread each, and keep what they baked: a context manager.

    They start in seconds, so they pay from some ten frames on; two threads would gain nothing.
    """
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, spawn, initializer=torch.set_num_threads, initargs=(1,))


def true_faces(scene: Scene) -> Faces:
    """The people of a scene as `find_faces` would report them in its picture, without error."""
    built = [build(person) for person in scene.people]
    figures = [Figure(b.head, b.body, pose) for b, pose in zip(built, scene.poses, strict=True)]
    world = np.stack([figure.landmarks() for figure in figures])
    middle = world[:, anatomy.OVAL, 2].mean(axis=1)
    away = (middle[:, None] - world[..., 2]) * scene.camera.unit
    points = np.concatenate([scene.camera.project(world), away[..., None]], axis=-1)
    return Faces(
        points=points,
        boxes=np.concatenate([points[..., :2].min(1), points[..., :2].max(1)], axis=-1),
        angles=np.stack([pose.angles for pose in scene.poses]).astype(float),
        blendshapes=np.zeros((len(points), 52)),
        expressions=("not measured",) * 52,
        detector="studio",
        models=(),
        notes=("exact: these people were rendered",),
    )


def flow(
    now: Render, later_scene: Scene, later: Render
) -> tuple[Float[np.ndarray, "H W 2"], Bool[np.ndarray, "H W"]]:
    """Where each pixel's matter goes in the later frame, and whether it is hidden there."""
    camera = later_scene.camera
    high, wide = now.depth.shape
    jj, ii = np.mgrid[0:high, 0:wide]
    here = np.stack([ii + 0.5, jj + 0.5], axis=-1)
    there, depth = here.copy(), np.full((high, wide), np.inf)
    for k, (person, pose) in enumerate(zip(later_scene.people, later_scene.poses, strict=True)):
        mask = now.who == k
        built = build(person)
        figure = Figure(built.head, built.body, pose)
        world = figure.place(torch.tensor(now.matter[mask].T)).T.cpu().numpy().astype(float)
        there[mask] = camera.project(world)
        depth[mask] = camera.distance - world[:, 2]
    return (there - here).astype(np.float32), _hidden(there, depth, now, later)


def _hidden(there: np.ndarray, depth: np.ndarray, now: Render, later: Render) -> np.ndarray:
    """Outside the picture, behind something, or no longer on the same person's front."""
    high, wide = depth.shape
    x, y = np.floor(there[..., 0]).astype(int), np.floor(there[..., 1]).astype(int)
    outside = (x < 0) | (y < 0) | (x >= wide) | (y >= high)
    x, y = np.clip(x, 0, wide - 1), np.clip(y, 0, high - 1)
    farthest = torch.tensor(np.where(np.isfinite(later.depth), later.depth, 99.0))[None, None]
    farthest = F.max_pool2d(farthest.float(), 3, 1, 1)[0, 0].numpy()
    behind = np.where(np.isfinite(depth), depth, 98.0) > farthest[y, x] + 0.05
    return outside | behind | (later.who[y, x] != now.who)
