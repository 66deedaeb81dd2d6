"""From a scene to a picture with all its truth. (Render, render)"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from kisslab.records import Result, record
from kisslab.studio import landmarks
from kisslab.studio.built import build
from kisslab.studio.figure import Figure
from kisslab.studio.lighting import arriving, lit
from kisslab.studio.materials import Surface, joined, surface
from kisslab.studio.photograph import background, display, photograph, undisplay
from kisslab.studio.scene import Camera, Scene
from kisslab.studio.skinmap import SkinMap
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


@dataclass(frozen=True, eq=False)
class _Stage:
    """What every ray of a picture is drawn with."""

    scene: Scene
    figures: list[Figure]
    skins: list[SkinMap]
    wall: Callable[[Tensor], Tensor]

    @staticmethod
    def of(scene: Scene) -> _Stage:
        """A scene on the default device."""
        device = torch.get_default_device()
        built = [build(person).to(device) for person in scene.people]
        pixel = 1.0 / scene.camera.unit
        figures = [
            Figure(b.head, b.body, pose, device, pixel)
            for b, pose in zip(built, scene.poses, strict=True)
        ]
        return _Stage(scene, figures, [b.skin.filtered(pixel) for b in built], background(scene))


def _render(scene: Scene, antialias: int) -> Render:
    stage, camera = _Stage.of(scene), scene.camera
    jj, ii = torch.meshgrid(
        torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij"
    )
    pixels = torch.stack([ii.reshape(-1), jj.reshape(-1)])
    starts = [safe_starts(figure, camera) for figure in stage.figures]
    hits = trace(stage.figures, camera, pixels, starts)
    colour = _shade(stage, pixels, hits)
    if antialias > 1:
        colour = _smooth_edges(stage, pixels, hits, colour, antialias)
    return _developed(stage, hits, colour)


def _developed(stage: _Stage, hits: Hits, colour: Float[Tensor, "3 N"]) -> Render:
    """Rays to pictures, and the points to find in them."""
    camera = stage.scene.camera
    shape = (camera.height, camera.width)
    depth = hits.depth.reshape(shape)
    points = np.stack([figure.landmarks() for figure in stage.figures])
    named = np.stack([landmarks.named_points(figure) for figure in stage.figures])
    seen = depth.cpu().numpy()
    return Render(
        rgb=photograph(colour.reshape(3, *shape), depth, camera),
        depth=seen,
        normals=hits.normals.T.reshape(*shape, 3).contiguous().cpu().numpy(),
        parts=hits.parts.reshape(shape).cpu().numpy(),
        who=hits.who.reshape(shape).cpu().numpy(),
        matter=hits.matter.T.reshape(*shape, 4).contiguous().cpu().numpy(),
        shading=hits.shading.reshape(shape).cpu().numpy(),
        points=camera.project(points),
        points_3d=points,
        visible=landmarks.visible(points, seen, camera),
        anatomy=camera.project(named),
        anatomy_3d=named,
        anatomy_visible=landmarks.visible(named, seen, camera),
    )


def _shade(stage: _Stage, pixels: Tensor, hits: Hits) -> Float[Tensor, "3 N"]:
    """Linear colour of every ray; fills in all that `hits` tell of what was met."""
    index, look = _surfaces(stage, hits)
    p = hits.points.index_select(1, index)
    arrived = arriving(stage.scene.light, stage.figures, p, look.smooth)
    hits.arrived.index_copy_(1, index, arrived)
    hits.normals.index_copy_(1, index, look.smooth)
    hits.parts.index_copy_(0, index, look.part)
    for k, figure in enumerate(stage.figures):
        own = (hits.who.index_select(0, index) == k).nonzero()[:, 0]
        matter = figure.material(p.index_select(1, own), look.nearest.index_select(0, own))
        hits.matter.index_copy_(1, index.index_select(0, own), matter)
    light = lit(stage.scene.light, _views(stage, pixels, index), look, arrived)
    shading = light.mean(dim=0) / look.albedo.mean(dim=0).clamp(min=0.01)
    hits.shading.index_copy_(0, index, shading)
    return _before_wall(stage, pixels, index, light)


def _surfaces(stage: _Stage, hits: Hits) -> tuple[Int[Tensor, " M"], Surface]:
    """Which rays hit, person by person, and what is there."""
    indices, looks = [], []
    for k, figure in enumerate(stage.figures):
        index = (hits.who == k).nonzero()[:, 0]
        others = [f for f in stage.figures if f is not figure]
        p = hits.points.index_select(1, index)
        nearest = nearest_part(figure, p)
        normal = gradient(figure, others, p, nearest)
        indices.append(index)
        looks.append(surface(figure, stage.skins[k], p, normal, nearest))
    return torch.cat(indices), joined(looks)


def _views(stage: _Stage, pixels: Tensor, index: Int[Tensor, " M"]) -> Float[Tensor, "3 M"]:
    """Directions to the camera."""
    return -rays(stage.scene.camera, pixels.index_select(1, index))[1]


def _before_wall(stage: _Stage, pixels: Tensor, index: Tensor, light: Tensor) -> Tensor:
    """The exposed picture: some rays' light before the background."""
    return stage.wall(pixels).index_copy(1, index, light) * stage.scene.camera.exposure


def _smooth_edges(
    stage: _Stage, pixels: Tensor, hits: Hits, colour: Float[Tensor, "3 N"], antialias: int
) -> Float[Tensor, "3 N"]:
    """Average several rays where depth, part or brightness jumps between neighbours."""
    index = _edges(stage.scene.camera, hits, colour).nonzero()[:, 0]
    if not len(index):
        return colour
    more = antialias - 1  # the first ray is the pixel's own
    turns = 2 * math.pi * (torch.arange(more) + 0.3) / more
    offsets = 0.42 * torch.stack([torch.cos(turns), torch.sin(turns)])
    moved = (pixels[:, index, None] + offsets[:, None]).reshape(2, -1)
    parents = index.repeat_interleave(more)
    sub = _traced_again(stage, moved, hits, parents)
    seen, look = _surfaces(stage, sub)
    p = sub.points.index_select(1, seen)
    arrived = _borrowed(stage, hits, parents.index_select(0, seen), sub.who[seen], p, look)
    light = lit(stage.scene.light, _views(stage, moved, seen), look, arrived)
    total = display(_before_wall(stage, moved, seen, light)).reshape(3, -1, more).sum(dim=2)
    mean = (total + display(colour.index_select(1, index))) / antialias
    return colour.index_copy(1, index, undisplay(mean))


def _edges(camera: Camera, hits: Hits, colour: Float[Tensor, "3 N"]) -> Bool[Tensor, " N"]:
    """Pixels where depth, part, person or brightness jumps."""
    shape = (camera.height, camera.width)
    depth = torch.nan_to_num(hits.depth, posinf=99.0)
    grey = colour.clamp(0, 1).sqrt().mean(dim=0)
    label = hits.parts.float() + 20 * hits.who.float()
    jumps = ((depth, 0.10), (grey, 0.10), (label, 0.5))
    return torch.stack([_spread(v, shape) > limit for v, limit in jumps]).any(dim=0)


def _traced_again(stage: _Stage, moved: Tensor, hits: Hits, parents: Tensor) -> Hits:
    """Rays close to others: where those lie on one even surface, on its tangent plane."""
    camera = stage.scene.camera
    shape = (camera.height, camera.width)
    depth = torch.nan_to_num(hits.depth, posinf=99.0)
    row = torch.tensor([-1.0, 0.0, 0.0, 1.0, 2.0, 0.0, 3.0, 4.0])  # lips and brows are skin
    kind = row[hits.parts.long()] + 20 * hits.who
    even = (_spread(depth, shape) < 0.08) & (_spread(kind, shape) < 0.5) & (hits.who >= 0)
    eye, directions = rays(camera, moved)
    normal = hits.normals.index_select(1, parents)
    slant = (directions * normal).sum(dim=0)
    flat = even[parents] & (slant < -0.25)
    t = ((hits.points.index_select(1, parents) - eye[:, None]) * normal).sum(dim=0) / slant
    starts = [
        _restart(hits, k, camera)[parents].masked_fill(flat, math.inf)
        for k in range(len(stage.figures))
    ]
    sub = trace(stage.figures, camera, moved, starts)
    sub.who = torch.where(flat, hits.who[parents], sub.who)
    sub.points = torch.where(flat, eye[:, None] + directions * t, sub.points)
    return sub


def _restart(hits: Hits, who: int, camera: Camera) -> Float[Tensor, " N"]:
    """Just before the nearest hit of one figure among a pixel and its neighbours; inf: none."""
    t = torch.where(hits.who == who, hits.depth, torch.full_like(hits.depth, math.inf))
    near = -F.max_pool2d(-t.reshape(1, 1, camera.height, camera.width), 3, 1, 1)
    return near.reshape(-1) - 0.06


def _borrowed(
    stage: _Stage, hits: Hits, parents: Tensor, who: Tensor, p: Tensor, look: Surface
) -> Float[Tensor, "2 M"]:
    """Light that arrives at points near pixels: that at the same surface there and beside it."""
    camera = stage.scene.camera
    x, y = parents % camera.width, parents // camera.width
    steps = torch.tensor([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
    xs = (x + steps[:, :1]).clamp(0, camera.width - 1)
    ys = (y + steps[:, 1:]).clamp(0, camera.height - 1)
    beside = (ys * camera.width + xs).reshape(-1)
    away = hits.points.index_select(1, beside).reshape(3, 5, -1) - p[:, None]
    facing = hits.normals.index_select(1, beside).reshape(3, 5, -1) * look.smooth[:, None]
    same = hits.who.index_select(0, beside).reshape(5, -1) == who
    pixel = 1.0 / camera.unit
    weight = facing.sum(dim=0).clamp(min=0.05) / ((away * away).sum(dim=0) + 0.01 * pixel**2)
    weight = weight * same
    known = hits.arrived.index_select(1, beside).reshape(2, 5, -1)
    out = (known * weight).sum(dim=1) / weight.sum(dim=0).clamp(min=1e-9)
    lost = (weight.amax(dim=0) < 0.05 / (4 * pixel) ** 2).nonzero()[:, 0]
    if len(lost):
        there, normal = p.index_select(1, lost), look.smooth.index_select(1, lost)
        out.index_copy_(1, lost, arriving(stage.scene.light, stage.figures, there, normal))
    return out


def _spread(values: Float[Tensor, " N"], shape: tuple[int, int]) -> Float[Tensor, " N"]:
    """The largest difference to the four neighbours in a picture of `shape`."""
    values = values.reshape(shape)
    out = torch.zeros_like(values)
    down, right = values.diff(dim=0).abs(), values.diff(dim=1).abs()
    for part, step in (
        (out[1:], down),
        (out[:-1], down),
        (out[:, 1:], right),
        (out[:, :-1], right),
    ):
        torch.maximum(part, step, out=part)
    return out.reshape(-1)
