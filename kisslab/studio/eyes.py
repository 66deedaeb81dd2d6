"""Eyeballs that look and lids that close. (Eyes)"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kisslab.pose import head_rotation
from kisslab.studio import shapes
from kisslab.studio.head import Eye
from kisslab.studio.pose import Pose
from kisslab.studio.shapes import Distance, Points, bump, smooth_max, smooth_min, smooth_step


class Eyes:
    """Both eyes of a posed person; all points are in the head frame."""

    def __init__(self, eye: Eye, pose: Pose):
        self.eye, self.pose = eye, pose

    def near(self, h: Points) -> Bool[Tensor, " N"]:
        """Points of the head frame around the eyes."""
        c, reach = self.eye.centre, 0.34
        away = (h[0].abs() - c[0]) ** 2 + (h[1] - c[1]) ** 2 + (h[2] - c[2]) ** 2
        return (away < reach**2) & (h[2] > c[2] - 0.05)

    def lids(self, h: Points, closed: float | None = None) -> Float[Tensor, "4 N"]:
        """Place along the eye (-1 inner, 1 outer corner); heights of the point, of the upper lid's
        edge and of the lower lid's edge above the line through the corners."""
        eye = self.eye
        x, y = h[0].abs() - float(eye.middle[0]), h[1] - float(eye.middle[1])
        cos, sin = math.cos(eye.tilt), math.sin(eye.tilt)
        along, height = (x * cos + y * sin) / eye.half_width, y * cos - x * sin
        arch = 1.0 - along**2
        upper = eye.upper * arch.clamp(min=0).sqrt() * (1.0 - 0.16 * along) + 0.3 * eye.upper * arch
        upper = torch.where(arch < 0, 0.4 * arch * eye.upper, 0.80 * upper)
        lower = -eye.lower * torch.where(arch < 0, 0.4 * arch, arch) * (1.0 + 0.18 * along)
        share = self.pose.eyelids if closed is None else closed
        upper = upper + (lower + 0.004 - upper) * share
        return torch.stack([along, height, upper, lower])

    def add_to(self, h: Points, skin: Distance) -> tuple[Distance, Distance]:
        """Cut the lids' opening into the skin and put the eyeballs behind it."""
        ball = torch.full_like(skin, 9.0)
        near = (self.near(h) & (skin < 0.15)).nonzero()[:, 0]
        if not len(near):
            return skin, ball
        eye, local = self.eye, h.index_select(1, near)
        sphere = self.ball(local)
        along, height, upper, lower = self.lids(local)
        within = smooth_step(along.abs(), 1.5, 0.9) * smooth_step(sphere + eye.radius, 0.33, 0.26)
        fold = height - (upper * (1 - 0.35 * self.pose.eyelids) + eye.crease)
        depth = 0.030 * (1 - 0.75 * eye.hood) * (1 - 0.5 * self.pose.eyelids)
        face = skin.index_select(0, near) + within * depth * bump(fold - 0.012, 0.035)
        lid = sphere - 0.020 - 0.006 * smooth_step(height, 0.0, 0.03)
        lid = lid + 0.25 * (1 - smooth_step(along.abs(), 1.35, 0.95))
        lid = lid + 0.3 * (height - upper - eye.crease - 0.02).clamp(min=0)
        lid = lid + 0.6 * (lower - 0.05 - height).clamp(min=0)
        face = smooth_min(face, lid, 0.035)
        opening = torch.maximum(height - upper, lower - height) * 0.9
        opening = torch.maximum(opening, float(eye.centre[2]) - local[2])
        face = smooth_max(face, -opening, 0.016)
        skin = skin.index_copy(0, near, face)
        return skin, ball.index_copy(0, near, sphere)

    def ball(self, h: Points) -> Distance:
        """Distance to the nearer eyeball."""
        mirrored = torch.stack([h[0].abs(), h[1], h[2]])
        return shapes.sphere(mirrored, tuple(float(c) for c in self.eye.centre), self.eye.radius)

    def gaze_in_head(self, side: Tensor) -> Points:
        """Unit directions of the eyes' axes in the head frame; `side` is -1 or 1."""
        eye = self.eye
        across, up = (math.sin(math.radians(g)) for g in self.pose.gaze)
        outward = float(eye.middle[0] - eye.centre[0]) / eye.radius  # looking straight ahead
        height = float(eye.middle[1] - eye.centre[1]) + 0.45 * (eye.upper - eye.lower)
        x = torch.full_like(side, across) + 0.85 * outward * side
        y = torch.full_like(side, up + height / eye.radius)
        z = torch.sqrt((1 - x * x - y * y).clamp(min=0.01))
        return torch.stack([x, y, z])

    def unrolled(self, q: Points, sign: int) -> Points:
        """Turn points of the eyeballs from gaze to straight ahead (sign 1) or back (-1)."""
        side = torch.sign(q[0])
        centre = torch.stack(
            [side * float(self.eye.centre[0])]
            + [torch.full_like(side, float(c)) for c in self.eye.centre[1:]]
        )
        across, up = (math.radians(g) for g in self.pose.gaze)
        turn = torch.tensor(head_rotation(np.array([math.degrees(across), -math.degrees(up), 0.0])))
        turn = turn.to(q.dtype).to(q.device)
        return (turn.T if sign > 0 else turn) @ (q - centre) + centre

    def open_lids(self, q: Points) -> Points:
        return self._slide_lids(q, self.pose.eyelids, 0.0)

    def close_lids(self, q: Points) -> Points:
        return self._slide_lids(q, 0.0, self.pose.eyelids)

    def _slide_lids(self, q: Points, start: float, end: float) -> Points:
        """Move skin of the upper lids around the eyeball as their edge moves."""
        if start == end:
            return q
        eye = self.eye
        along, height, edge, _ = self.lids(q, start)
        target = self.lids(q, end)[2]
        top = self.lids(q, 0.0)[2] + eye.crease + 0.10
        share = ((height - edge) / (top - edge).clamp(min=1e-3)).clamp(max=1.0)
        moved = target + share * (top - target) - height
        inside = self.near(q) & (height > edge - 0.02) & (height < top) & (along.abs() < 1.15)
        moved = torch.where(inside, moved, torch.zeros_like(moved))
        y = q[1] + moved
        y0, z0 = float(eye.centre[1]), float(eye.centre[2])
        around = ((q[1] - y0) ** 2 + (q[2] - z0) ** 2 - (y - y0) ** 2).clamp(min=1e-4)
        z = torch.where(inside, z0 + around.sqrt(), q[2])
        return torch.stack([q[0], y, z])

    def iris(self, side: float) -> Float[np.ndarray, "5 3"]:
        """Centre, then the edge towards the picture's right, up, left and down."""
        gaze = self.gaze_in_head(torch.tensor([side]))[:, 0].cpu().numpy().astype(float)
        centre = self.eye.centre * [side, 1.0, 1.0]
        middle = centre + self.eye.radius * gaze
        right = np.cross([0.0, 1.0, 0.0], gaze)
        right /= np.linalg.norm(right)
        up = np.cross(gaze, right)
        ring = 0.075 * np.stack([right, up, -right, -up])
        return np.concatenate([middle[None], middle + ring])
