"""Lips that purse and part. (Mouth)"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kisslab import anatomy
from kisslab.studio.pose import Pose
from kisslab.studio.shapes import Distance, Points, bump, smooth_max, smooth_step


class Mouth:
    """Lips that push forward and part: an explicit map from rest, inverted by iteration."""

    def __init__(self, points: Float[np.ndarray, "468 3"]):
        line = 0.5 * (points[anatomy.UPPER_LIP_INNER] + points[anatomy.LOWER_LIP_INNER])
        self.middle = points[anatomy.STOMION].mean(axis=0)
        self.half = float(abs(line[-1, 0] - line[0, 0]) / 2)
        basis = np.stack([np.ones(11), line[:, 0] ** 2, line[:, 0] ** 4], axis=1)
        self.curve = [float(c) for c in np.linalg.lstsq(basis, line[:, 1], rcond=None)[0]]
        self.front = float(points[anatomy.STOMION, 2].mean())

    def line(self, x: Tensor) -> Tensor:
        """Height of the closed mouth line at x."""
        x2 = (x * x).clamp(max=(1.2 * self.half) ** 2)
        return self.curve[0] + self.curve[1] * x2 + self.curve[2] * x2 * x2

    def move(self, points: np.ndarray, pose: Pose) -> np.ndarray:
        """Rest to expression, for landmarks. Points of the upper lip stay above the line."""
        q = torch.tensor(points.T, dtype=torch.float64)
        above = q[1] >= self.line(q[0]) - 1e-6
        lower_lip = torch.zeros_like(above)
        lower_lip[anatomy.LOWER_LIP_INNER[1:-1]] = len(points) == 468
        if len(points) == 468:
            above[anatomy.UPPER_LIP_INNER] = True
        return (q + self._shift(q, pose, above & ~lower_lip)).T.cpu().numpy()

    def move_tensor(self, q: Points, pose: Pose) -> Points:
        """Rest to expression, for points of the surface."""
        return q + self._shift(q, pose, q[1] >= self.line(q[0]))

    def rest(self, p: Points, pose: Pose) -> Points:
        """Expression to rest: q = p - shift(q), a few fixed-point steps near the mouth."""
        if pose.pucker == 0 and pose.parting == 0:
            return p
        m = self.middle
        near = (p[0].abs() < 0.9) & ((p[1] - float(m[1])).abs() < 0.8) & (p[2] > -0.2)
        index = near.nonzero()[:, 0]
        local = p.index_select(1, index)
        split = self.line(local[0]) - 0.1 * pose.parting * self._lens(local[0], pose)
        above = local[1] >= split
        q = local
        for _ in range(4):
            q = local - self._shift(q, pose, above)
        out = p.clone()
        out.index_copy_(1, index, q)
        return out

    def cut(self, p: Points, skin: Distance, pose: Pose) -> Distance:
        """The groove of the closed mouth line, or the gap between parted lips."""
        m = self.middle
        index = (
            (p[0].abs() < 0.45) & ((p[1] - float(m[1])).abs() < 0.25) & (p[2] > 0.2) & (skin < 0.1)
        ).nonzero()[:, 0]
        if not len(index):
            return skin
        x, y, z = p.index_select(1, index)
        lens = self._lens(x, pose)
        height = y - self.line(x) + 0.1 * pose.parting * lens
        edge = smooth_step(x.abs(), 1.08 * self._half(pose), 0.80 * self._half(pose))
        d = skin.index_select(0, index) + 0.010 * edge * bump(height, 0.010)
        if pose.parting > 0.004:
            gap = height.abs() - 0.5 * pose.parting * lens
            gap = torch.maximum(gap, self.front - 0.16 - z)
            d = smooth_max(d, -torch.maximum(gap, x.abs() - self._half(pose)), 0.02)
        return skin.index_copy(0, index, d)

    def _half(self, pose: Pose) -> float:
        return self.half * (1 - 0.34 * pose.pucker)

    def _lens(self, x: Tensor, pose: Pose) -> Tensor:
        return (1 - (x / self._half(pose)) ** 2).clamp(min=0)

    def _shift(self, q: Tensor, pose: Pose, above: Tensor) -> Tensor:
        m = [float(c) for c in self.middle]
        x, y, z = q[0], q[1] - m[1], q[2] - m[2]
        near = torch.exp(-((x / 0.42) ** 2) - (y / 0.30) ** 2 - (z / 0.55) ** 2)
        lips = torch.exp(-((x / 0.24) ** 2) - (y / 0.20) ** 2 - (z / 0.45) ** 2)
        dx = -0.34 * pose.pucker * x * near
        dy = 0.10 * pose.pucker * y * lips
        dz = 0.085 * pose.pucker * lips + 0.03 * pose.pucker * near
        if pose.parting > 0:
            fall = (1 - (x / (1.3 * self.half)) ** 2).clamp(min=0)
            reach = torch.exp(-((y / 0.45) ** 2)) * torch.exp(-((z / 0.6) ** 2))
            up = 0.4 * pose.parting * fall * reach
            dy = dy + torch.where(above, up, -1.5 * up)
        return torch.stack([dx, dy, dz])
