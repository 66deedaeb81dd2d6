"""Signed distances in torch, and the grids they are baked into. (smooth_min, ..., Volume, bake)

Points are tensors of shape (3, N): rows x, y, z. Distances are negative inside.
Source of the primitives: Inigo Quilez, "distance functions", and his polynomial smooth minimum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Distance = Float[Tensor, " N"]
Points = Float[Tensor, "3 N"]
Triple = tuple[float, float, float]


def smooth_min(a: Distance, b: Distance, blend: float) -> Distance:
    """min(a, b) rounded where the two differ by less than `blend` (quadratic polynomial)."""
    h = torch.clamp(blend - (a - b).abs(), min=0.0) / blend
    return torch.minimum(a, b) - h * h * (blend * 0.25)


def smooth_max(a: Distance, b: Distance, blend: float) -> Distance:
    """max(a, b) rounded where the two differ by less than `blend`."""
    return -smooth_min(-a, -b, blend)


def smooth_step(value: Tensor, start: float | Tensor, end: float | Tensor) -> Tensor:
    """0 at `start`, 1 at `end`, a cubic with zero slope at both; `start` may exceed `end`."""
    t = ((value - start) / (end - start)).clamp(0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def bump(value: Tensor, width: float) -> Tensor:
    """exp(-(value / width)^2)"""
    return torch.exp(-((value / width) ** 2))


def length(p: Points) -> Distance:
    """Euclidean length of each point (several times faster than Tensor.norm over rows)."""
    x, y, z = p
    return torch.sqrt(x * x + y * y + z * z)


def sphere(p: Points, centre: Triple, radius: float) -> Distance:
    """Exact distance to a sphere."""
    x, y, z = p
    return torch.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2) - radius


def ellipsoid(p: Points, centre: Triple, radii: Triple) -> Distance:
    """First-order distance to an ellipsoid: k0 (k0 - 1) / k1, exact on the surface."""
    x, y, z = p
    x, y, z = (x - centre[0]) / radii[0], (y - centre[1]) / radii[1], (z - centre[2]) / radii[2]
    k0 = torch.sqrt(x * x + y * y + z * z)
    k1 = torch.sqrt((x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2)
    return k0 * (k0 - 1.0) / k1.clamp(min=1e-4)


def capsule(p: Points, start: Triple, end: Triple, r0: float, r1: float) -> Distance:
    """A tapered capsule; exact for r0 == r1."""
    x, y, z = p
    bx, by, bz = end[0] - start[0], end[1] - start[1], end[2] - start[2]
    x, y, z = x - start[0], y - start[1], z - start[2]
    h = ((x * bx + y * by + z * bz) / (bx * bx + by * by + bz * bz)).clamp(0.0, 1.0)
    return torch.sqrt((x - bx * h) ** 2 + (y - by * h) ** 2 + (z - bz * h) ** 2) - (
        r0 + (r1 - r0) * h
    )


def interpolate(value: Tensor, knots: list[tuple[float, float]]) -> Tensor:
    """Piecewise smooth curve through (position, height) knots, constant beyond its ends."""
    out = torch.full_like(value, knots[0][1])
    for (x0, y0), (x1, y1) in pairwise(knots):
        out = out + (y1 - y0) * smooth_step(value, x0, x1)
    return out


@dataclass(frozen=True, eq=False)
class Volume:
    """Distances on a regular grid. `values` is channels, z, y, x; `low` and `high` its corners."""

    values: Float[Tensor, "C D H W"]
    low: Float[Tensor, "3"]
    high: Float[Tensor, "3"]

    def at(self, p: Points) -> Float[Tensor, "C N"]:
        """Trilinear values; outside the box the distance to the box is added."""
        unit = self._unit(p)
        beyond = length((unit.abs() - 1.0).clamp(min=0.0) * self._half)
        return self._sample(unit) + beyond

    def inside(self, p: Points) -> Float[Tensor, "C N"]:
        """What `at` gives for points that lie in the box."""
        return self._sample(self._unit(p))

    def depth(self, p: Points) -> Distance:
        """How far from the nearest wall of the box points are; negative outside."""
        return (self._half - (p - self._middle).abs()).amin(dim=0)

    @cached_property
    def _half(self) -> Float[Tensor, "3 1"]:
        return 0.5 * (self.high - self.low)[:, None]

    @cached_property
    def _middle(self) -> Float[Tensor, "3 1"]:
        return 0.5 * (self.high + self.low)[:, None]

    def _unit(self, p: Points) -> Points:
        """Coordinates that are -1 and 1 on the walls."""
        return (p - self._middle) * (1.0 / self._half)

    def _sample(self, unit: Points) -> Float[Tensor, "C N"]:
        grid = unit.T.reshape(1, 1, 1, -1, 3)
        return F.grid_sample(
            self.values[None], grid, align_corners=True, padding_mode="border"
        ).reshape(len(self.values), -1)

    def to(self, device: torch.device | str) -> Volume:
        """The same volume on another device."""
        return Volume(self.values.to(device), self.low.to(device), self.high.to(device))


def bake(
    distance: Callable[[Points], Float[Tensor, "C N"]],
    low: Triple,
    high: Triple,
    voxel: float,
    levels: int = 3,
) -> Volume:
    """Sample `distance` on a grid, exactly near its surfaces, interpolated far from them.

    The coarsest grid is evaluated everywhere; each finer one only where some channel is closer
    to zero than 1.3 voxels of the coarser one.
    """
    step = voxel * 2 ** (levels - 1)
    cells = [math.ceil((b - a) / step) for a, b in zip(low, high, strict=True)]
    corner = torch.tensor(low)
    far = corner + step * torch.tensor(cells, dtype=torch.float32)
    values = None
    for level in range(levels):
        counts = [n * 2**level + 1 for n in cells]
        axes = [
            torch.linspace(float(a), float(b), n)
            for a, b, n in zip(corner, far, counts, strict=True)
        ]
        zs, ys, xs = torch.meshgrid(*reversed(axes), indexing="ij")
        points = torch.stack([xs.reshape(-1), ys.reshape(-1), zs.reshape(-1)])
        if values is None:
            flat = distance(points)
        else:
            shape = tuple(reversed(counts))
            flat = F.interpolate(values[None], shape, mode="trilinear", align_corners=True)[0]
            flat = flat.reshape(len(values), -1).contiguous()
            near = (flat.abs().amin(dim=0) < 1.3 * step / 2 ** (level - 1)).nonzero()[:, 0]
            flat[:, near] = distance(points[:, near])
        values = flat.reshape(-1, *reversed(counts))
    return Volume(values.contiguous(), corner, far)
