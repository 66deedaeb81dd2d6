"""From a scene to a picture with all its truth. (Render, render)"""

from __future__ import annotations

import math
from contextlib import nullcontext

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from kisslab.records import Result, record
from kisslab.studio import landmarks
from kisslab.studio.built import build
from kisslab.studio.figure import Figure
from kisslab.studio.lighting import lit
from kisslab.studio.materials import surface
from kisslab.studio.photograph import background, display, photograph, undisplay
from kisslab.studio.scene import Scene
from kisslab.studio.trace import Hits, gradient, nearest_part, rays, safe_starts, trace

PART_NAMES = ("background", "skin", "lips", "eye", "hair", "brow", "clothes", "glasses")


@record
class Render(Result):
    """A picture and what is really in it."""

    rgb: Float[np.ndarray, "H W 3"]  # sRGB in [0, 1]
    depth: Float[np.ndarray, "H W"]  # along the optical axis, inter-ocular distances; inf: nothing
    normals: Float[np.ndarray, "H W 3"]  # world frame, facing out; 0 where there is nothing
    parts: UInt8[np.ndarray, "H W"]  # index into PART_NAMES
    who: Int[np.ndarray, "H W"]  # 0 or 1: index into scene.people; -1 background
    matter: Float[np.ndarray, "H W 4"]  # what is seen, see Figure.material
    shading: Float[np.ndarray, "H W"]  # light that leaves over albedo: what moves when light does
    points: Float[np.ndarray, "P 478 2"]  # MediaPipe's points per person, pixels
    points_3d: Float[np.ndarray, "P 478 3"]  # the same in the world
    visible: Bool[np.ndarray, "P 478"]  # not hidden by anything nearer
    anatomy: Float[np.ndarray, "P A 2"]  # the named points of landmarks.NAMES, pixels
    anatomy_3d: Float[np.ndarray, "P A 3"]
    anatomy_visible: Bool[np.ndarray, "P A"]


@torch.no_grad()
def render(scene: Scene, *, antialias: int = 4, device: torch.device | str = "cpu") -> Render:
    """Draw a scene. `antialias` rays are averaged in each pixel that an edge crosses (1: none)."""
    # torch.device() as a context costs a Python call per operation: a third of the time on a CPU
    with nullcontext() if str(device) == "cpu" else torch.device(device):
        return _render(scene, antialias)


def _render(scene: Scene, antialias: int) -> Render:
    device = torch.get_default_device()
    built = [build(person).to(device) for person in scene.people]
    pixel = 1.0 / scene.camera.unit
    figures = [
        Figure(b.head, b.body, pose, device, pixel)
        for b, pose in zip(built, scene.poses, strict=True)
    ]
    skins = [b.skin.filtered(pixel) for b in built]
    camera = scene.camera
    wall = background(scene)
    jj, ii = torch.meshgrid(
        torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij"
    )
    pixels = torch.stack([ii.reshape(-1), jj.reshape(-1)])
    starts = [safe_starts(figure, camera) for figure in figures]
    hits = trace(figures, camera, pixels, starts)
    colour = _shade(scene, figures, skins, camera, pixels, hits, wall)
    if antialias > 1:
        colour = _smooth_edges(scene, figures, skins, pixels, hits, wall, colour, antialias)
    picture = colour.reshape(3, camera.height, camera.width)
    shape = (camera.height, camera.width)
    depth = hits.depth.reshape(shape).cpu().numpy()
    points = np.stack([f.landmarks() for f in figures])
    named = np.stack([landmarks.named_points(f) for f in figures])
    return Render(
        rgb=photograph(picture, hits.depth.reshape(shape), camera),
        depth=depth,
        normals=hits.normals.T.reshape(*shape, 3).contiguous().cpu().numpy(),
        parts=hits.parts.reshape(shape).cpu().numpy(),
        who=hits.who.reshape(shape).cpu().numpy(),
        matter=hits.matter.T.reshape(*shape, 4).contiguous().cpu().numpy(),
        shading=hits.shading.reshape(shape).cpu().numpy(),
        points=camera.project(points),
        points_3d=points,
        visible=landmarks.visible(points, depth, camera),
        anatomy=camera.project(named),
        anatomy_3d=named,
        anatomy_visible=landmarks.visible(named, depth, camera),
    )


def _shade(scene, figures, skins, camera, pixels, hits, wall) -> Float[Tensor, "3 N"]:
    """Linear colour of every ray; fills hits.normals and hits.parts."""
    colour = wall(pixels)
    _, directions = rays(camera, pixels)
    for k, figure in enumerate(figures):
        index = (hits.who == k).nonzero()[:, 0]
        if not len(index):
            continue
        others = [f for f in figures if f is not figure]
        p, view = hits.points[:, index], -directions[:, index]
        nearest = nearest_part(figure, p)
        normal = gradient(figure, others, p, nearest)
        look = surface(figure, skins[k], p, normal, nearest)
        hits.normals[:, index] = normal
        hits.parts[index] = look.part
        light = lit(scene.light, figures, p, view, look)
        colour[:, index] = light
        hits.matter[:, index] = figure.material(p, nearest)
        hits.shading[index] = light.mean(dim=0) / look.albedo.mean(dim=0).clamp(min=0.01)
    return colour * camera.exposure


def _smooth_edges(scene, figures, skins, pixels, hits, wall, colour, rays: int) -> Tensor:
    """Average several rays where depth, part or brightness jumps between neighbours."""
    camera = scene.camera
    shape = (camera.height, camera.width)
    depth = torch.nan_to_num(hits.depth.reshape(shape), posinf=99.0)
    grey = colour.clamp(0, 1).sqrt().mean(dim=0).reshape(shape)
    label = hits.parts.reshape(shape).float() + 20 * hits.who.reshape(shape).float()
    edges = _jumps(depth, 0.10) | _jumps(grey, 0.10) | _jumps(label, 0.5)
    index = edges.reshape(-1).nonzero()[:, 0]
    if not len(index):
        return colour
    more = rays - 1  # the first ray is the pixel's own
    turns = 2 * math.pi * (torch.arange(more) + 0.3) / more
    offsets = 0.42 * torch.stack([torch.cos(turns), torch.sin(turns)])
    moved = (pixels[:, index, None] + offsets[:, None]).reshape(2, -1)
    starts = [_restart(hits, k, shape)[index].repeat_interleave(more) for k in range(len(figures))]
    sub = trace(figures, camera, moved, starts)
    total = display(_shade(scene, figures, skins, camera, moved, sub, wall))
    total = total.reshape(3, -1, more).sum(dim=2) + display(colour[:, index])
    out = colour.clone()
    out[:, index] = undisplay(total / rays)
    return out


def _restart(hits: Hits, who: int, shape: tuple[int, int]) -> Float[Tensor, " N"]:
    """Just before the nearest hit of one figure among a pixel and its neighbours; inf: none."""
    t = torch.where(hits.who == who, hits.depth, torch.full_like(hits.depth, math.inf))
    near = -F.max_pool2d(-t.reshape(1, 1, *shape), 3, 1, 1)
    return near.reshape(-1) - 0.06


def _jumps(values: Tensor, limit: float) -> Tensor:
    out = torch.zeros_like(values, dtype=torch.bool)
    for axis in (0, 1):
        step = values.diff(dim=axis).abs() > limit
        first, last = (step, step)
        pad = (0, 0, 0, 1) if axis == 0 else (0, 1, 0, 0)
        out |= F.pad(first.float(), pad).bool()
        pad = (0, 0, 1, 0) if axis == 0 else (1, 0, 0, 0)
        out |= F.pad(last.float(), pad).bool()
    return out
