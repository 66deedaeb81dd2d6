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
from torch.nn import functional as F

from kisslab.studio.figure import PARTS, Figure
from kisslab.studio.scene import Camera
from kisslab.studio.shapes import Points, length


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


def safe_starts(figure: Figure, camera: Camera, stride: int = 6) -> Float[Tensor, " N"]:
    """How far every ray may go unchecked: one thin ray in stride x stride, in the rough field."""
    high, wide = -(-camera.height // stride), -(-camera.width // stride)
    jj, ii = torch.meshgrid(torch.arange(high) + 0.5, torch.arange(wide) + 0.5, indexing="ij")
    eye, directions = rays(camera, stride * torch.stack([ii.reshape(-1), jj.reshape(-1)]))
    margin = 0.09 + 0.75 * stride / camera.unit  # the rough field's error, half a cell's diagonal
    middle = float(figure.pivot[2])
    t = (camera.distance - middle - 2.1) / -directions[2]
    end = (camera.distance - middle + 2.4) / -directions[2]
    for _ in range(40):
        d = figure.bound(eye[:, None] + directions * t) - margin
        t = torch.where(t < end, t + d.clamp(min=0.0), t)
    t = torch.where(t < end, t, torch.full_like(t, math.inf)).reshape(1, 1, high, wide)
    near = -F.max_pool2d(-t, 3, 1, 1)
    full = near.repeat_interleave(stride, 2).repeat_interleave(stride, 3)
    return full[0, 0, : camera.height, : camera.width].reshape(-1)


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


def _slope(
    field: Callable[[Points], Tensor], others: list[Figure], p: Points, h: Tensor
) -> Points:
    """Direction of steepest ascent by four samples on a tetrahedron."""
    corners = torch.tensor(
        [[1.0, -1.0, -1.0, 1.0], [-1.0, -1.0, 1.0, 1.0], [-1.0, 1.0, -1.0, 1.0]]
    )
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
    t, along = start[index], directions[:, index]
    end = t.max() + 4.5 if len(t) else 0.0
    t = _approach(figure, eye, along, t, end)
    index, along, t = (x[..., t < end] for x in (index, along, t))
    ray = _Ray(t, torch.full_like(t, 1.0), torch.zeros_like(t), torch.full_like(t, -1.0))
    found, distance = [], []
    for step in range(48):
        if not len(index):
            break
        d = solid(figure, others, eye[:, None] + along * ray.t)
        hit = ray.advance(d, pixel, late=step > 32) | ((d < 0.03) & (step == 47))
        keep = ~hit & (ray.t < end)
        if not keep.all():
            found.append(index[hit])
            distance.append(ray.t[hit])
            index, along = index[keep], along[:, keep]
            ray = ray.kept(keep)
    if not found:
        return torch.zeros(0, dtype=torch.int64), torch.zeros(0)
    return torch.cat(found), torch.cat(distance)


def _approach(figure: Figure, eye: Tensor, along: Points, t: Tensor, end: Tensor) -> Tensor:
    """Go on in the rough field, whose error is below 0.09, as far as that is safe."""
    for _ in range(7):
        t = t + (figure.bound(eye[:, None] + along * t) - 0.09).clamp(min=0.0)
    return t


@dataclass(eq=False)
class _Ray:
    """Where rays are and what they know: auto-relaxed sphere tracing, Balint and Valasek 2023."""

    t: Float[Tensor, " N"]
    last: Float[Tensor, " N"]  # distance one step before
    step: Float[Tensor, " N"]  # the step that led here
    slope: Float[Tensor, " N"]  # of the distance along the ray, smoothed

    def advance(self, d: Tensor, pixel: float, late: bool) -> Tensor:
        """Step on from distances `d`; which rays hit (their t is then on the surface)."""
        too_far = self.step > self.last + d.abs()  # the two empty spheres do not touch: go back
        fresh = ((d - self.last) / self.step.clamp(min=1e-6)).clamp(-1.0, 0.95)
        fresh = torch.where(self.step > 0, fresh, self.slope)
        slope = torch.where(too_far, -torch.ones_like(d), 0.5 * (self.slope + fresh))
        eps = min(0.12 * pixel, 0.002)
        # certain to land within two pixels: go there in one secant step
        steep = (fresh < -0.2) & (d < 0.5 * pixel) & (d < -1.5 * pixel * fresh)
        hit = ((d < eps) | steep | ((d < 8 * eps) & late)) & ~too_far
        landing = d / (-fresh).clamp(min=0.2)
        onward = 0.88 * d * (2.0 / (1.0 - slope)).clamp(max=4.0)
        back = 0.88 * self.last - self.step
        move = torch.where(too_far, back, onward)
        self.t = self.t + torch.where(hit, torch.where(steep, landing, torch.zeros_like(d)), move)
        self.step = torch.where(too_far, 0.88 * self.last, onward)
        self.last = torch.where(too_far, self.last, d)
        self.slope = slope
        return hit

    def kept(self, keep: Tensor) -> _Ray:
        """Only some of the rays."""
        return _Ray(self.t[keep], self.last[keep], self.step[keep], self.slope[keep])
