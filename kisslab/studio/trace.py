"""Where rays meet figures. (Hits, rays, trace, safe_starts, solid, ...)

Sphere tracing after Hart 1996, with the automatic relaxation of Balint and Valasek 2023.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kisslab.studio.figure import PARTS, Figure
from kisslab.studio.scene import Camera
from kisslab.studio.shapes import Points, length

SINGLE_STEPS = 6  # of sphere tracing, before rays that still run look at several places at once
CRAWLS = 10


@dataclass(eq=False)
class Hits:
    """What each ray met: points in the world, depth, figure; the rest is filled in by shading."""

    points: Points
    depth: Float[Tensor, " N"]
    who: Int[Tensor, " N"]
    normals: Points
    parts: UInt8[Tensor, " N"]
    matter: Float[Tensor, "4 N"]
    shading: Float[Tensor, " N"]
    arrived: Float[Tensor, "2 N"]  # shares of the room's and the key light


def rays(camera: Camera, pixels: Float[Tensor, "2 N"]) -> tuple[Tensor, Points]:
    """The camera's place and unit directions."""
    x = (pixels[0] - camera.origin[0]) / (camera.unit * camera.distance)
    y = -(pixels[1] - camera.origin[1]) / (camera.unit * camera.distance)
    d = torch.stack([x, y, -torch.ones_like(x)])
    return torch.tensor([0.0, 0.0, camera.distance]), d / length(d)


def trace(figures: list[Figure], camera: Camera, pixels: Tensor, starts: list[Tensor]) -> Hits:
    eye, directions = rays(camera, pixels)
    count = pixels.shape[1]
    best = torch.full((count,), math.inf)
    who = torch.full((count,), -1, dtype=torch.int64)
    for k, figure in enumerate(figures):
        others = [f for f in figures if f is not figure]
        index, t = _march(figure, others, eye, directions, starts[k], 0.6 / camera.unit)
        closer = t < best[index]
        best[index[closer]] = t[closer]
        who[index[closer]] = k
    hit = who >= 0
    points = eye[:, None] + directions * torch.where(hit, best, torch.zeros_like(best))
    depth = torch.where(hit, camera.distance - points[2], torch.full_like(best, math.inf))
    return Hits(
        points=points,
        depth=depth,
        who=who,
        normals=torch.zeros_like(points),
        parts=torch.zeros(count, dtype=torch.uint8),
        matter=torch.zeros(4, count),
        shading=torch.ones(count),
        arrived=torch.ones(2, count),
    )


def safe_starts(figure: Figure, camera: Camera) -> Float[Tensor, " N"]:
    """How far every ray may go unchecked, from thin rays in the rough field; inf: past it."""
    start = camera.distance - float(figure.pivot[2]) - 2.1
    t = torch.full((camera.height, camera.width), start)
    for stride, steps in ((6, 20), (2, 5)):
        t = _thin_starts(figure, camera, t, stride, steps)
    return t.reshape(-1)


def _thin_starts(
    figure: Figure, camera: Camera, t: Float[Tensor, "H W"], stride: int, steps: int
) -> Float[Tensor, "H W"]:
    """Go on from `t` with one ray in the middle of each stride x stride pixels."""
    first = t[::stride, ::stride]
    high, wide = first.shape
    jj, ii = torch.meshgrid(torch.arange(high) + 0.5, torch.arange(wide) + 0.5, indexing="ij")
    eye, directions = rays(camera, stride * torch.stack([ii.reshape(-1), jj.reshape(-1)]))
    # the rough field's error, and half a cell's diagonal, behind the world's origin
    margin = 0.09 + 0.9 * stride / camera.unit
    end = camera.distance - float(figure.pivot[2]) + 2.4
    out = first.reshape(-1).clone()
    for _ in range(steps):
        index = (out < end).nonzero()[:, 0]
        near, along = out.index_select(0, index), directions.index_select(1, index)
        d = figure.bound(eye[:, None] + along * near) - margin
        out.index_copy_(0, index, near + d.clamp(min=0.0))
    out = out.masked_fill(out >= end, math.inf).reshape(high, wide)
    full = out.repeat_interleave(stride, 0).repeat_interleave(stride, 1)
    return full[: camera.height, : camera.width]


def solid(figure: Figure, others: list[Figure], p: Points) -> Float[Tensor, " N"]:
    """Distance to a figure that gives way where another presses."""
    return _pressed(figure.distance(p), others, p)


def nearest_part(figure: Figure, p: Points) -> Int[Tensor, " N"]:
    """Index in PARTS of what is nearest (Tensor.argmin over rows takes a hundred times longer)."""
    best, *others = figure.parts(p)
    which = torch.zeros(p.shape[1], dtype=torch.int64)
    for k, d in enumerate(others, start=1):
        which.masked_fill_(d < best, k)
        best = torch.minimum(best, d)
    return which


def gradient(figure: Figure, others: list[Figure], p: Points, nearest: Tensor) -> Points:
    """Unit gradient of the distance to each point's nearest part."""
    out = torch.zeros_like(p)
    steps = figure.grain(p, nearest)
    for part in range(len(PARTS)):
        index = (nearest == part).nonzero()[:, 0]
        if len(index):
            field = partial(figure.part, part)
            slope = _slope(field, others, p.index_select(1, index), steps.index_select(0, index))
            out.index_copy_(1, index, slope)
    return out / length(out).clamp(min=1e-8)


def _slope(field: Callable[[Points], Tensor], others: list[Figure], p: Points, h: Tensor) -> Points:
    """Direction of steepest ascent by four samples on a tetrahedron."""
    corners = torch.tensor([[1.0, -1.0, -1.0, 1.0], [-1.0, -1.0, 1.0, 1.0], [-1.0, 1.0, -1.0, 1.0]])
    around = (p[:, None] + corners[:, :, None] * h).reshape(3, -1)
    return corners @ _pressed(field(around), others, around).reshape(4, -1)


def _pressed(d: Tensor, others: list[Figure], p: Points) -> Float[Tensor, " N"]:
    """Distances `d` to a figure that gives way where another presses: max(a, (a - b) / 2)."""
    for other in others:
        near = (d < 0.12).nonzero()[:, 0]
        near = near[other.rough(p.index_select(1, near)) < 0.25]
        if len(near):
            a, b = d.index_select(0, near), other.distance(p.index_select(1, near))
            d = d.index_copy(0, near, torch.maximum(a, 0.5 * (a - b)))
    return d


def _march(
    figure: Figure,
    others: list[Figure],
    eye: Tensor,
    directions: Points,
    start: Tensor,
    pixel: float,
) -> tuple[Tensor, Tensor]:
    """Sphere tracing from `start`: which rays hit, and where along them."""
    index = torch.isfinite(start).nonzero()[:, 0]
    if not len(index):
        return index, start[index]
    t, along = start.index_select(0, index), directions.index_select(1, index)
    end = t.max() + 4.5
    t = _approach(figure, eye, along, t, end)
    keep = (t < end).nonzero()[:, 0]
    index, along = index.index_select(0, keep), along.index_select(1, keep)
    ray = _Ray.at(t.index_select(0, keep))
    found, distance = [], []
    for _ in range(SINGLE_STEPS):
        if not len(index):
            break
        hit = ray.advance(solid(figure, others, eye[:, None] + along * ray.t), pixel)
        done = hit.nonzero()[:, 0]
        found.append(index.index_select(0, done))
        distance.append(ray.t.index_select(0, done))
        keep = (~hit & (ray.t < end)).nonzero()[:, 0]
        index, along = index.index_select(0, keep), along.index_select(1, keep)
        ray = ray.kept(keep)
    t = _crawl(partial(solid, figure, others), eye, along, ray, end, pixel)
    hit = torch.isfinite(t).nonzero()[:, 0]
    return torch.cat([*found, index[hit]]), torch.cat([*distance, t[hit]])


def _crawl(
    field: Callable[[Points], Tensor],
    eye: Tensor,
    along: Points,
    ray: _Ray,
    end: Tensor,
    pixel: float,
) -> Float[Tensor, " N"]:
    """Where rays hit that graze a surface for long: several places ahead in one call; inf: none.

    As long as the empty spheres of neighbouring places overlap, nothing lies between these;
    what could lie between places less than `unseen` apart would not be seen.
    """
    eps, unseen = min(0.12 * pixel, 0.002), min(2.0 * pixel, 0.02)
    out = torch.full_like(ray.t, math.inf)
    index = torch.arange(len(out))
    t = ray.t - ray.step + 0.88 * ray.last.clamp(min=0.0)
    gap = ray.last.clamp(min=0.9 * unseen)
    for turn in range(CRAWLS):
        if not len(index):
            break
        places = max(3, min(16, 9000 // len(index)))
        ahead = torch.arange(places)[:, None]
        there = (eye[:, None, None] + along[:, None] * (t + gap * ahead)).reshape(3, -1)
        d = field(there).reshape(places, -1)
        joint = (gap < 0.88 * (d[:-1] + d[1:])) | ((gap < unseen) & (d[1:] > 0))
        joint &= d[:-1] > eps
        last = joint.long().cumprod(dim=0).sum(dim=0)  # of the places that are linked to the first
        here = d.gather(0, last[None])[0]
        after = d.gather(0, (last + 1).clamp(max=places - 1)[None])[0]
        crossed = (after < 0) & (gap < 4 * pixel)
        share = torch.where(crossed, here / (here - after).clamp(min=1e-6), torch.zeros_like(t))
        hit = (here < eps) | crossed | ((here < pixel) & (turn == CRAWLS - 1))
        at = t + gap * last
        out[index[hit]] = (at + share.clamp(0.0, 1.0) * gap)[hit]
        t = at + 0.88 * here.clamp(min=0.0)
        keep = (~hit & (t < end)).nonzero()[:, 0]
        gap = (1.3 * torch.minimum(here, after)).clamp(min=0.9 * unseen)
        index, along, t, gap = (x.index_select(-1, keep) for x in (index, along, t, gap))
    return out


def _approach(figure: Figure, eye: Tensor, along: Points, t: Tensor, end: Tensor) -> Tensor:
    """Go on in the rough field, whose error is below 0.09, as far as that is safe."""
    for _ in range(2):
        t = t + (figure.bound(eye[:, None] + along * t) - 0.09).clamp(min=0.0)
    return t


@dataclass(eq=False)
class _Ray:
    """Where rays are and what they know: auto-relaxed sphere tracing, Balint and Valasek 2023."""

    t: Float[Tensor, " N"]
    last: Float[Tensor, " N"]  # distance one step before
    step: Float[Tensor, " N"]  # the step that led here
    slope: Float[Tensor, " N"]  # of the distance along the ray, smoothed

    @staticmethod
    def at(t: Tensor) -> _Ray:
        """Rays that have not moved yet."""
        return _Ray(t, torch.full_like(t, 1.0), torch.zeros_like(t), torch.full_like(t, -1.0))

    def advance(self, d: Tensor, pixel: float) -> Tensor:
        """Step on from distances `d`; which rays hit (their t is then on the surface)."""
        too_far = self.step > self.last + d.abs()  # the two empty spheres do not touch: go back
        fresh = ((d - self.last) / self.step.clamp(min=1e-6)).clamp(-1.0, 0.95)
        fresh = torch.where(self.step > 0, fresh, self.slope)
        slope = torch.where(too_far, -torch.ones_like(d), 0.5 * (self.slope + fresh))
        # certain to land within two pixels: go there in one secant step
        steep = (fresh < -0.2) & (d < 0.5 * pixel) & (d < -1.5 * pixel * fresh)
        hit = ((d < min(0.12 * pixel, 0.002)) | steep) & ~too_far
        landing = d / (-fresh).clamp(min=0.2)
        onward = 0.88 * d * (2.0 / (1.0 - slope)).clamp(max=4.0)
        back = 0.88 * self.last - self.step
        move = torch.where(too_far, back, onward)
        self.t = self.t + torch.where(hit, torch.where(steep, landing, torch.zeros_like(d)), move)
        self.step = torch.where(too_far, 0.88 * self.last, onward)
        self.last = torch.where(too_far, self.last, d)
        self.slope = slope
        return hit

    def kept(self, index: Int[Tensor, " M"]) -> _Ray:
        """Only some of the rays."""
        fields = (self.t, self.last, self.step, self.slope)
        return _Ray(*(x.index_select(0, index) for x in fields))
