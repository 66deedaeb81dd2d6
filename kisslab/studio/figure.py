"""A person in a pose: expression, head and chest in the world, distances. (Figure)

World frame: inter-ocular distances, x to the picture's right, y up, z to the camera; origin where
a Motion has position (0, 0, 0). PARTS are the rows of `Figure.parts`.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kisslab.pose import head_rotation
from kisslab.studio import hair, shapes
from kisslab.studio.body import Body
from kisslab.studio.eyes import Eyes
from kisslab.studio.glasses import glasses
from kisslab.studio.head import PIVOT, Head
from kisslab.studio.mouth import Mouth
from kisslab.studio.pose import ANCHOR_POINTS, Pose
from kisslab.studio.shapes import Distance, Points, bump, smooth_min, smooth_step

HEAD, EYE, NECK, CHEST = range(4)  # frames that matter moves with
PARTS = ("skin", "eye", "hair", "cloth", "glasses")
SHOULDER_SHARE = 0.3  # how much of the head's yaw the shoulders follow
CENTRE = (0.0, -0.35, -0.45)  # of the sphere around head and hair, head frame


class Figure:
    """One posed person: where every point is, and how far every part is from a point."""

    def __init__(
        self,
        head: Head,
        body: Body,
        pose: Pose,
        device: torch.device | str | None = None,
        pixel: float = 0.0,
    ):
        """`pixel`: width of a pixel (inter-ocular distances); finer patterns are left out."""
        self.pixel = pixel
        self.head, self.body, self.pose, self.person = head, body, pose, head.person
        self.device = device
        self.mouth = Mouth(head.points)
        self.eyes = Eyes(head.eye, pose)
        self.rotation = head_rotation(pose.angles)
        share = np.array([SHOULDER_SHARE, 0.08, 0.08])
        self.chest_rotation = head_rotation(pose.angles * share)
        world = pose.position * [1.0, -1.0, -1.0]
        self.shift = world - self.rotation @ self.anchor()
        self.pivot = self.rotation @ PIVOT + self.shift
        self._turn = torch.tensor(self.rotation, dtype=torch.float32, device=device)
        self._chest = torch.tensor(self.chest_rotation, dtype=torch.float32, device=device)
        self._shift = torch.tensor(self.shift, dtype=torch.float32, device=device)
        self.seat = self.pivot + np.array([0.0, pose.breath, 0.0])  # of the chest, which breathes
        self._seat = torch.tensor(self.seat, dtype=torch.float32, device=device)
        self._joint = torch.tensor(PIVOT, dtype=torch.float32, device=device)
        self._nape = self._turn @ torch.tensor([0.0, -0.55, -0.72], device=device) + self._shift
        base = torch.tensor([0.0, -2.0, -0.99], device=device)
        self._base = self._chest @ (base - self._joint) + self._seat

    # Where points are ---------------------------------------------------------------------

    def anchor(self) -> Float[np.ndarray, "3"]:
        """The anchor point in the head frame, with this pose's expression."""
        moved = self.mouth.move(self.head.points, self.pose)
        return moved[ANCHOR_POINTS[self.pose.anchor]].mean(axis=0)

    def to_head(self, p: Points) -> Points:
        """World to head frame."""
        return self._turn.T @ (p - self._shift[:, None])

    def to_chest(self, p: Points) -> Points:
        """World to chest frame."""
        return self._chest.T @ (p - self._seat[:, None]) + self._joint[:, None]

    def from_head(self, points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
        """Head frame to world."""
        return points @ self.rotation.T + self.shift

    def from_chest(self, points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
        """Chest frame to world."""
        return (points - PIVOT) @ self.chest_rotation.T + self.seat

    def rest(self, h: Points) -> Points:
        """Head frame with expression to head frame at rest."""
        return self.mouth.rest(h, self.pose)

    def turn(self, directions: Points) -> Points:
        """Directions from the head frame to the world."""
        return self._turn @ directions

    def mouth_line(self, h: Points) -> Tensor:
        """1 on the line between the lips, falling to 0 beside it."""
        x, y, z = h
        height = y - self.mouth.line(x) + 0.1 * self.pose.parting
        half = self.mouth.half
        return bump(height, 0.009) * smooth_step(x.abs(), 1.05 * half, 0.7 * half) * (z > 0.2)

    # How far parts are --------------------------------------------------------------------

    def distance(self, p: Points) -> Distance:
        """Distance to the nearest part."""
        return self.parts(p).amin(dim=0)

    def parts(self, p: Points) -> Float[Tensor, "5 N"]:
        """Distance to each of PARTS, with all details; 9 for cloth far behind the skin."""
        h = self.to_head(p)
        q = self.rest(h)
        skin, hairs = self.head.coarse.at(q)
        skin, ball = self._face(h, q, skin)
        skin, cloth = self._with_torso(p, skin)
        return torch.stack([skin, ball, self._with_strands(q, hairs), cloth, glasses(self.head, h)])

    def part(self, k: int, p: Points) -> Distance:
        """Row `k` of `parts`, without the work for the others."""
        if PARTS[k] == "cloth":
            return self.body.volume.at(self.to_chest(p))[1]
        h = self.to_head(p)
        if PARTS[k] == "eye":
            return self.eyes.ball(h)
        if PARTS[k] == "glasses":
            return glasses(self.head, h)
        q = self.rest(h)
        skin, hairs = self.head.coarse.at(q)
        if PARTS[k] == "hair":
            return self._with_strands(q, hairs)
        return self._with_torso(p, self._face(h, q, skin)[0])[0]

    def grain(self, p: Points, nearest: Tensor) -> Distance:
        """Step for finite differences: fine where detail is exact, a voxel where it is gridded."""
        q = self.rest(self.to_head(p))
        mirrored = torch.stack([q[0].abs(), q[1], q[2]])
        fine = (self.head.face.depth(q) >= 0) | (self.head.ear.depth(mirrored) >= 0)
        steps = torch.tensor([0.042, 0.004, 0.010, 0.040, 0.005], device=p.device)[nearest]
        return torch.where(fine & (nearest == 0), 0.008, steps)

    def rough(self, p: Points) -> Distance:
        """A cheap, smooth approximation for shadows and far steps."""
        d = self.head.rough.at(self.to_head(p))[0]
        chest = self.body.volume.at(self.to_chest(p)).amin(dim=0)
        return torch.minimum(torch.minimum(d, chest), self._neck(p))

    def bound(self, p: Points) -> Distance:
        """Like `rough`, with the glasses as a solid box: nothing is outside of it."""
        d = self.rough(p)
        if self.person.glasses == "none":
            return d
        front = float(self.head.points[168, 2]) + 0.06
        away = (self.to_head(p) - torch.tensor([[0.0], [0.26], [front]])).abs()
        box = away - torch.tensor([[0.68], [0.26], [0.12]])
        return torch.minimum(d, shapes.length(box.clamp(min=0)) + box.amax(dim=0).clamp(max=0))

    # What moves with what -----------------------------------------------------------------

    def material(self, p: Points, nearest: Tensor) -> Float[Tensor, "4 N"]:
        """Coordinates that stay with the matter at world points `p` while the person moves.

        Row 0 is the frame (HEAD, EYE, NECK, CHEST), the others are coordinates in it.
        """
        h = self.to_head(p)
        chest, collar = self.to_chest(p), self._collar_frame(p)
        head_skin = self.head.coarse.at(self.rest(h))[0]
        chest_skin = self.body.volume.at(chest)[0]
        neck = self._neck(p)
        skin = torch.stack([head_skin, torch.full_like(neck, 9.0), neck, chest_skin]).argmin(dim=0)
        frame = torch.tensor([HEAD, EYE, HEAD, CHEST, HEAD], device=p.device)[nearest]
        frame = torch.where(nearest == 0, skin, frame)
        choices = torch.stack(
            [self.eyes.open_lids(self.rest(h)), self.eyes.unrolled(h, 1), collar, chest]
        )
        rows = torch.gather(choices, 0, frame.expand(1, 3, -1))[0]
        return torch.cat([frame[None].to(rows.dtype), rows])

    def place(self, matter: Float[Tensor, "4 N"]) -> Points:
        """Where matter is in this pose: the inverse of `material`, in the world."""
        q = matter[1:]
        head = self._from_head(self.mouth.move_tensor(self.eyes.close_lids(q), self.pose))
        eye = self._from_head(self.eyes.unrolled(q, -1))
        chest = self._chest @ (q - self._joint[:, None]) + self._seat[:, None]
        choices = torch.stack([head, eye, self._from_collar(q), chest])
        return torch.gather(choices, 0, matter[0].long().expand(1, 3, -1))[0]

    def landmarks(self) -> Float[np.ndarray, "478 3"]:
        """MediaPipe's points in the world, irises last."""
        rest = torch.tensor(self.head.points.T, dtype=torch.float32)
        q = self.eyes.close_lids(rest).T.cpu().numpy().astype(float)
        q = self.mouth.move(q, self.pose)
        return self.from_head(np.concatenate([q, self.eyes.iris(-1.0), self.eyes.iris(1.0)]))

    def _from_head(self, q: Points) -> Points:
        return self._turn @ q + self._shift[:, None]

    def _collar_axes(self) -> tuple[Tensor, Tensor]:
        """Start and axes of the frame between skull and chest."""
        down = self._base - self._nape
        y = -down / down.norm()
        x = self._turn[:, 0] + self._chest[:, 0]
        x = x - (x @ y) * y
        x = x / x.norm()
        return self._nape, torch.stack([x, down, torch.linalg.cross(x, y)])

    def _collar_frame(self, p: Points) -> Points:
        start, axes = self._collar_axes()
        away = p - start[:, None]
        return torch.stack([axes[0] @ away, (axes[1] @ away) / (axes[1] @ axes[1]), axes[2] @ away])

    def _from_collar(self, q: Points) -> Points:
        start, axes = self._collar_axes()
        return start[:, None] + axes.T @ q

    def _neck(self, p: Points) -> Distance:
        r = self.person.neck
        start, end = (tuple(float(c) for c in v) for v in (self._nape, self._base))
        return shapes.capsule(p, start, end, 0.95 * r, r)

    def _face(self, h: Points, q: Points, coarse: Distance) -> tuple[Distance, Distance]:
        """Skin of the head with all details, and eyeballs."""
        skin = self._refined(q, coarse)
        skin, ball = self.eyes.add_to(h, skin)
        return self.mouth.cut(h, skin, self.pose), ball

    def _with_torso(self, p: Points, face: Distance) -> tuple[Distance, Distance]:
        """Skin of head, neck and chest, and cloth; cloth is 9 for points far above the chest."""
        place, box = self.to_chest(p), self.body.volume
        near = (place[1] - box.high[1] < face + 0.2).nonzero()[:, 0]
        both = torch.full((2, p.shape[1]), 9.0)
        chest, cloth = both.index_copy_(1, near, box.at(place.index_select(1, near)))
        return smooth_min(face, smooth_min(self._neck(p), chest, 0.15), 0.10), cloth

    def _refined(self, q: Points, skin: Distance) -> Distance:
        """Replace the coarse grid by the finer ones of face and ears, faded at their borders."""
        near = (skin < 0.10).nonzero()[:, 0]
        out, points = skin.index_select(0, near), q.index_select(1, near)
        mirrored = torch.stack([points[0].abs(), points[1], points[2]])
        for volume, place in ((self.head.face, points), (self.head.ear, mirrored)):
            depth = volume.depth(place)
            held = (depth > 0).nonzero()[:, 0]
            share = (depth.index_select(0, held) / 0.05).clamp(0, 1)
            fine = volume.inside(place.index_select(1, held))[0]
            out.index_copy_(0, held, torch.lerp(out.index_select(0, held), fine, share))
        return skin.index_copy(0, near, out)

    def _with_strands(self, q: Points, hairs: Distance) -> Distance:
        near = (hairs < 0.10).nonzero()[:, 0]
        if len(near):
            offset, _ = self.hair_pattern(q.index_select(1, near))
            hairs = hairs.index_add(0, near, offset)
        return hairs

    def hair_pattern(self, q: Points) -> tuple[Distance, Tensor]:
        """Displacement and colour pattern of hair on the head and of the beard."""
        offset, colour = hair.strands(self.head.style, q)
        if self.person.beard in ("none", "stubble"):
            return offset, colour
        face = self.in_beard(q)
        beard_offset, beard_colour = hair.beard_strands(q)
        return offset + face * (beard_offset - offset), colour + face * (beard_colour - colour)

    def in_beard(self, q: Points) -> Tensor:
        """1 on the lower face, 0 on the scalp."""
        return smooth_step(q[1], 0.10, -0.05) * smooth_step(q[2], -0.50, -0.40)
