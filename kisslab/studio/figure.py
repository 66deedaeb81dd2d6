"""A person in a pose: expression, head and chest in the world, distances. (Pose, Figure)

World frame: inter-ocular distances, x to the picture's right, y up, z to the camera; origin where
a Motion has position (0, 0, 0). PARTS are the rows of `Figure.parts`.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kisslab import anatomy
from kisslab.motion import Motion
from kisslab.pose import head_rotation
from kisslab.records import Result, record
from kisslab.studio import hair, shapes
from kisslab.studio.body import Body
from kisslab.studio.head import PIVOT, Head
from kisslab.studio.shapes import Distance, Points, bump, smooth_max, smooth_min, smooth_step

HEAD, EYE, NECK, CHEST = range(4)  # frames that matter moves with
PARTS = ("skin", "eye", "hair", "cloth", "glasses")
SHOULDER_SHARE = 0.3  # how much of the head's yaw the shoulders follow
CENTRE = (0.0, -0.35, -0.45)  # of the sphere around head and hair, head frame
ANCHOR_POINTS = {
    "lips": anatomy.STOMION,
    "forehead": np.array([151]),
    "left cheek": np.array([anatomy.LEFT_CHEEK]),
    "right cheek": np.array([anatomy.RIGHT_CHEEK]),
}


@record
class Pose(Result):
    """One person in one frame: the same quantities as `Motion`, in its units and signs."""

    position: Float[np.ndarray, "3"]  # of the anchor, inter-ocular distances; y down, z away
    angles: Float[np.ndarray, "3"]  # yaw, pitch, roll of the head, degrees
    eyelids: float = 0.0  # 0 open, 1 closed
    pucker: float = 0.0  # 0 relaxed, 1 lips rounded and pushed forward
    parting: float = 0.0  # gap between the lips, inter-ocular distances
    gaze: tuple[float, float] = (0.0, 0.0)  # degrees: to the picture's right, up
    anchor: str = "lips"  # one of ANCHOR_POINTS
    breath: float = 0.0  # rise of the shoulders, inter-ocular distances

    @staticmethod
    def of(motion: Motion, frame: int, who: int) -> Pose:
        """What person `who` does in one frame of a motion."""
        cheek = "left cheek" if who == 0 else "right cheek"  # the partner's side
        return Pose(
            position=motion.position[frame, who].copy(),
            angles=motion.angles[frame, who].copy(),
            eyelids=float(motion.eyelids[frame, who]),
            pucker=float(motion.pucker[frame, who]),
            parting=float(motion.parting[frame, who]),
            gaze=(float(motion.gaze[frame, who, 0]), float(motion.gaze[frame, who, 1])),
            breath=float(motion.breath[frame, who]),
            anchor=cheek if motion.anchors[who] == "cheek" else motion.anchors[who],
        )


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
        self.mouth = _Mouth(head.points)
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

    def gaze_in_head(self, side: Tensor) -> Points:
        """Unit directions of the eyes' axes in the head frame; `side` is -1 or 1."""
        eye = self.head.eye
        across, up = (math.sin(math.radians(g)) for g in self.pose.gaze)
        outward = float(eye.middle[0] - eye.centre[0]) / eye.radius  # looking straight ahead
        height = float(eye.middle[1] - eye.centre[1]) + 0.45 * (eye.upper - eye.lower)
        x = torch.full_like(side, across) + 0.85 * outward * side
        y = torch.full_like(side, up + height / eye.radius)
        z = torch.sqrt((1 - x * x - y * y).clamp(min=0.01))
        return torch.stack([x, y, z])

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
        """Distance to each of PARTS, with all details."""
        h = self.to_head(p)
        q = self.mouth.rest(h, self.pose)
        skin, hairs = self.head.coarse.at(q)
        skin = self._refined(q, skin)
        skin, ball = self._with_eyes(h, skin)
        skin = self.mouth.cut(h, skin, self.pose)
        hairs = self._with_strands(q, hairs)
        chest, cloth = self.body.volume.at(self.to_chest(p))
        skin = smooth_min(skin, smooth_min(self._neck(p), chest, 0.15), 0.10)
        return torch.stack([skin, ball, hairs, cloth, self._glasses(h)])

    def grain(self, p: Points, nearest: Tensor) -> Distance:
        """Step for finite differences: fine where detail is exact, a voxel where it is gridded."""
        q = self.rest(self.to_head(p))
        mirrored = torch.stack([q[0].abs(), q[1], q[2]])
        fine = self.head.face.holds(q) | self.head.ear.holds(mirrored)
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
        choices = torch.stack([self._open_lids(self.rest(h)), self._eyeball(h, 1), collar, chest])
        rows = torch.gather(choices, 0, frame.expand(1, 3, -1))[0]
        return torch.cat([frame[None].to(rows.dtype), rows])

    def place(self, matter: Float[Tensor, "4 N"]) -> Points:
        """Where matter is in this pose: the inverse of `material`, in the world."""
        q = matter[1:]
        head = self._from_head(self.mouth.move_tensor(self._close_lids(q), self.pose))
        eye = self._from_head(self._eyeball(q, -1))
        chest = self._chest @ (q - self._joint[:, None]) + self._seat[:, None]
        choices = torch.stack([head, eye, self._from_collar(q), chest])
        return torch.gather(choices, 0, matter[0].long().expand(1, 3, -1))[0]

    def landmarks(self) -> Float[np.ndarray, "478 3"]:
        """MediaPipe's points in the world, irises last."""
        rest = torch.tensor(self.head.points.T, dtype=torch.float32)
        q = self._close_lids(rest).T.cpu().numpy().astype(float)
        q = self.mouth.move(q, self.pose)
        return self.from_head(np.concatenate([q, self._iris(-1.0), self._iris(1.0)]))

    def _iris(self, side: float) -> Float[np.ndarray, "5 3"]:
        """Centre, then the edge towards the picture's right, up, left and down."""
        gaze = self.gaze_in_head(torch.tensor([side]))[:, 0].cpu().numpy().astype(float)
        centre = self.head.eye.centre * [side, 1.0, 1.0]
        middle = centre + self.head.eye.radius * gaze
        right = np.cross([0.0, 1.0, 0.0], gaze)
        right /= np.linalg.norm(right)
        up = np.cross(gaze, right)
        ring = 0.075 * np.stack([right, up, -right, -up])
        return np.concatenate([middle[None], middle + ring])

    def _from_head(self, q: Points) -> Points:
        return self._turn @ q + self._shift[:, None]

    def _eyeball(self, q: Points, sign: int) -> Points:
        """Turn points of the eyeballs from gaze to straight ahead (sign 1) or back (-1)."""
        side = torch.sign(q[0])
        centre = torch.stack(
            [side * float(self.head.eye.centre[0])]
            + [torch.full_like(side, float(c)) for c in self.head.eye.centre[1:]]
        )
        across, up = (math.radians(g) for g in self.pose.gaze)
        turn = torch.tensor(head_rotation(np.array([math.degrees(across), -math.degrees(up), 0.0])))
        turn = turn.to(q.dtype).to(q.device)
        return (turn.T if sign > 0 else turn) @ (q - centre) + centre

    def _open_lids(self, q: Points) -> Points:
        return self._slide_lids(q, self.pose.eyelids, 0.0)

    def _close_lids(self, q: Points) -> Points:
        return self._slide_lids(q, 0.0, self.pose.eyelids)

    def _slide_lids(self, q: Points, start: float, end: float) -> Points:
        """Move skin of the upper lids around the eyeball as their edge moves."""
        if start == end:
            return q
        eye = self.head.eye
        along, height, edge, _ = self.lids(q, start)
        target = self.lids(q, end)[2]
        top = self.lids(q, 0.0)[2] + eye.crease + 0.10
        share = ((height - edge) / (top - edge).clamp(min=1e-3)).clamp(max=1.0)
        moved = target + share * (top - target) - height
        inside = self.near_eyes(q) & (height > edge - 0.02) & (height < top) & (along.abs() < 1.15)
        moved = torch.where(inside, moved, torch.zeros_like(moved))
        y = q[1] + moved
        y0, z0 = float(eye.centre[1]), float(eye.centre[2])
        around = ((q[1] - y0) ** 2 + (q[2] - z0) ** 2 - (y - y0) ** 2).clamp(min=1e-4)
        z = torch.where(inside, z0 + around.sqrt(), q[2])
        return torch.stack([q[0], y, z])

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

    def _refined(self, q: Points, skin: Distance) -> Distance:
        """Replace the coarse grid by the finer ones of face and ears, faded at their borders."""
        out = skin.clone()
        mirrored = torch.stack([q[0].abs(), q[1], q[2]])
        for volume, points in ((self.head.face, q), (self.head.ear, mirrored)):
            near = (volume.holds(points) & (skin < 0.10)).nonzero()[:, 0]
            if len(near):
                inside = points[:, near]
                edge = torch.minimum(
                    inside - volume.low[:, None], volume.high[:, None] - inside
                ).amin(dim=0)
                share = (edge / 0.05).clamp(0, 1)
                out[near] = out[near] * (1 - share) + volume.at(inside)[0] * share
        return out

    def _with_strands(self, q: Points, hairs: Distance) -> Distance:
        near = (hairs < 0.10).nonzero()[:, 0]
        if len(near):
            offset, _ = self.hair_pattern(q[:, near])
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

    # Eyes ---------------------------------------------------------------------------------

    def near_eyes(self, h: Points) -> Bool[Tensor, " N"]:
        """Points of the head frame around the eyes."""
        c, reach = self.head.eye.centre, 0.34
        away = (h[0].abs() - c[0]) ** 2 + (h[1] - c[1]) ** 2 + (h[2] - c[2]) ** 2
        return (away < reach**2) & (h[2] > c[2] - 0.05)

    def lids(self, h: Points, closed: float | None = None) -> Float[Tensor, "4 N"]:
        """Place along the eye (-1 inner, 1 outer corner); heights of the point, of the upper lid's
        edge and of the lower lid's edge above the line through the corners."""
        eye = self.head.eye
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

    def _with_eyes(self, h: Points, skin: Distance) -> tuple[Distance, Distance]:
        """Cut the lids' opening into the skin and put the eyeballs behind it."""
        ball = torch.full_like(skin, 9.0)
        near = (self.near_eyes(h) & (skin < 0.15)).nonzero()[:, 0]
        if not len(near):
            return skin, ball
        eye, local = self.head.eye, h[:, near]
        mirrored = torch.stack([local[0].abs(), local[1], local[2]])
        centre = tuple(float(c) for c in eye.centre)
        sphere = shapes.sphere(mirrored, centre, eye.radius)
        along, height, upper, lower = self.lids(local)
        away = shapes.length(mirrored - torch.tensor(centre)[:, None])
        within = smooth_step(along.abs(), 1.5, 0.9) * smooth_step(away, 0.33, 0.26)
        fold = height - (upper * (1 - 0.35 * self.pose.eyelids) + eye.crease)
        depth = 0.030 * (1 - 0.75 * eye.hood) * (1 - 0.5 * self.pose.eyelids)
        face = skin[near] + within * depth * bump(fold - 0.012, 0.035)
        lid = sphere - 0.020 - 0.006 * smooth_step(height, 0.0, 0.03)
        lid = lid + 0.25 * (1 - smooth_step(along.abs(), 1.35, 0.95))
        lid = lid + 0.3 * (height - upper - eye.crease - 0.02).clamp(min=0)
        lid = lid + 0.6 * (lower - 0.05 - height).clamp(min=0)
        face = smooth_min(face, lid, 0.035)
        opening = torch.maximum(height - upper, lower - height) * 0.9
        opening = torch.maximum(opening, centre[2] - local[2])
        face = smooth_max(face, -opening, 0.016)
        skin = skin.index_copy(0, near, face)
        return skin, ball.index_copy(0, near, sphere)

    # Glasses ------------------------------------------------------------------------------

    def _glasses(self, h: Points) -> Distance:
        d = torch.full_like(h[0], 9.0)
        if self.person.glasses == "none":
            return d
        near = ((h[1] - 0.3).abs() < 0.45).nonzero()[:, 0]
        if len(near):
            d = d.index_copy(0, near, self._frame(h[:, near]))
        return d

    def _frame(self, h: Points) -> Distance:
        """Rims, bridge and temples of the glasses."""
        kind = self.person.glasses
        tube = 0.013 if kind == "thin" else 0.024
        x, y, z = h[0].abs(), h[1], h[2]
        front = float(self.head.points[168, 2]) + 0.12
        bend = z - front + 0.16 * x**2
        u, v = x - 0.365, y - 0.255
        if kind == "square":
            du, dv = u.abs() - 0.17, v.abs() - 0.10
            flat = torch.sqrt(du.clamp(min=0) ** 2 + dv.clamp(min=0) ** 2 + 1e-9) - 0.085
            flat = flat + torch.minimum(torch.maximum(du, dv), torch.zeros_like(du))
        else:
            flat = torch.sqrt(u**2 + (v * 1.08) ** 2 + 1e-9) - 0.245
        rim = torch.sqrt(flat**2 + bend**2 + 1e-9) - tube
        arc = v - 0.085 + 0.5 * x**2
        bridge = torch.sqrt(arc**2 + bend**2 + (x - 0.15).clamp(min=0) ** 2) - tube
        hinge = (0.60, 0.33, front - 0.06)
        side = float(self.head.style.width) + 0.035
        mirrored = torch.stack([x, y, z])
        temple = shapes.capsule(mirrored, hinge, (side, 0.33, -0.10), tube, tube)
        temple = torch.minimum(
            temple, shapes.capsule(mirrored, (side, 0.33, -0.10), (side, 0.34, -0.62), tube, tube)
        )
        return torch.stack([rim, bridge, temple]).amin(dim=0)


class _Mouth:
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
        local = p[:, index]
        split = self.line(local[0]) - 0.1 * pose.parting * self._lens(local[0], pose)
        above = local[1] >= split
        q = local
        for _ in range(4):
            q = local - self._shift(q, pose, above)
        out = p.clone()
        out[:, index] = q
        return out

    def cut(self, p: Points, skin: Distance, pose: Pose) -> Distance:
        """The groove of the closed mouth line, or the gap between parted lips."""
        m = self.middle
        index = (
            (p[0].abs() < 0.45) & ((p[1] - float(m[1])).abs() < 0.25) & (p[2] > 0.2) & (skin < 0.1)
        ).nonzero()[:, 0]
        if not len(index):
            return skin
        x, y, z = p[:, index]
        lens = self._lens(x, pose)
        height = y - self.line(x) + 0.1 * pose.parting * lens
        edge = smooth_step(x.abs(), 1.08 * self._half(pose), 0.80 * self._half(pose))
        d = skin[index] + 0.010 * edge * bump(height, 0.010)
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
