"""Two faces that must not pass through each other.

(nose_crossings, planned_points, placed_points, clear_poses, FaceShape)
"""

from __future__ import annotations

from itertools import product

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import LinearNDInterpolator
from scipy.ndimage import map_coordinates

from kisslab import anatomy as at
from kisslab.faces import Faces
from kisslab.motion import TOUCH, Motion
from kisslab.pose import anchor_point, pixel_turn

PROTRUSION = 0.09  # how far fully puckered lips come forward, inter-ocular distances (some 8 mm)
SOFT = 0.08  # how far noses and cheeks give way to each other, inter-ocular distances (some 7 mm)


def nose_crossings(motion: Motion, faces: Faces, soft: float = SOFT) -> Int[np.ndarray, " T"]:
    """How many nose points lie inside the partner's face, in each frame.

    A point is inside when, seen along the partner's own gaze, it is behind the partner's surface by
    more than `soft` (inter-ocular distances).
    """
    shapes = [FaceShape(faces, p, motion.anchors[p], motion.unit) for p in (0, 1)]
    depths = _nose_depths(shapes, motion.position, motion.angles, motion.pucker)
    return np.sum(depths > soft, axis=-1)


def planned_points(motion: Motion, faces: Faces) -> Float[np.ndarray, "T 2 478 3"]:
    """Where the plan has both rigid faces' points in every frame, pixels of the photo."""
    shapes = [FaceShape(faces, p, motion.anchors[p], motion.unit) for p in (0, 1)]
    placed = [
        shape.at(motion.position[:, p], motion.angles[:, p], motion.pucker[:, p])
        for p, shape in enumerate(shapes)
    ]
    return np.stack(placed, axis=1) * motion.unit + [*motion.origin, 0.0]


def placed_points(motion: Motion, faces: Faces, frame: int) -> Float[np.ndarray, "2 478 3"]:
    """The same in one frame, inter-ocular distances from the plan's origin."""
    points = planned_points(motion.pick([frame]), faces)[0]
    return (points - [*motion.origin, 0.0]) / motion.unit


def clear_poses(
    faces: Faces,
    anchors: tuple[str, str],
    yaw: Float[np.ndarray, "2"],
    pitch: Float[np.ndarray, "2"],
    farthest: Float[np.ndarray, "2"],
    pucker: Float[np.ndarray, "2"],
) -> Float[np.ndarray, "2 3"]:
    """Yaw, pitch, roll (degrees) of both at contact: the least effort that lets noses pass.

    yaw: toward each other, positive; farthest: how far each may turn; pucker: 0..1. Whoever kisses
    with the lips tilts to their own right (opposite senses for two who face each other) and lifts
    the chin; if no such pose clears the noses, they also turn farther toward each other.
    """
    shapes = [FaceShape(faces, p, anchors[p], float(faces.iod.mean())) for p in (0, 1)]
    movers = np.array([anchor == "lips" for anchor in anchors], dtype=float)
    return _easiest(_poses(yaw, pitch, farthest, movers), shapes, pucker)


def _poses(
    yaw: Float[np.ndarray, "2"],
    pitch: Float[np.ndarray, "2"],
    farthest: Float[np.ndarray, "2"],
    movers: Float[np.ndarray, "2"],
) -> list[tuple[float, Float[np.ndarray, "2 3"]]]:
    """(effort, angles) of every pose on a grid, in degrees moved, the easiest first."""
    poses = []
    least = 9 if movers.all() else 0  # two who kiss on the lips never hold their heads straight
    for more, tilt, chin in product((0, 3, 6), range(least, 37, 3), range(0, 28, 3)):
        turn = np.array([1, -1]) * np.minimum(yaw + more * movers, np.maximum(farthest, yaw))
        angles = np.column_stack([turn, pitch - chin * movers, tilt * movers])
        poses.append((float(tilt + 2 * chin + 2 * more), angles))
    return sorted(poses, key=lambda pose: pose[0])


def _easiest(
    poses: list[tuple[float, Float[np.ndarray, "2 3"]]],
    shapes: list[FaceShape],
    pucker: Float[np.ndarray, "2"],
) -> Float[np.ndarray, "2 3"]:
    """The least cost: effort, and dearly the depth of crossings."""
    efforts, angles = (np.array(column) for column in zip(*poses, strict=True))
    places = np.broadcast_to([[-TOUCH / 2, 0, 0], [TOUCH / 2, 0, 0]], angles.shape)
    puckers = np.broadcast_to(pucker, angles.shape[:2])
    depth = _nose_depths(shapes, places, angles, puckers).max(-1)
    cost = efforts + 1e4 * np.maximum(depth - 0.8 * SOFT, 0)
    return angles[cost.argmin()]


def _nose_depths(
    shapes: list[FaceShape],
    places: Float[np.ndarray, "N 2 3"],
    angles: Float[np.ndarray, "N 2 3"],
    pucker: Float[np.ndarray, "N 2"],
) -> Float[np.ndarray, "N K"]:
    """How far each nose point lies behind the partner's face; -1 beside it."""
    depths = []
    for p, q in ((0, 1), (1, 0)):
        nose = shapes[p].at(places[:, p], angles[:, p], pucker[:, p])[:, at.NOSE]
        depths.append(shapes[q].behind(nose, places[:, q], angles[:, q], pucker[:, q]))
    return np.nan_to_num(np.concatenate(depths, axis=1), nan=-1.0)


class FaceShape:
    """A rigid face in its own frontal frame (pixel axes), its anchor at the origin."""

    def __init__(self, faces: Faces, person: int, anchor: str, unit: float):
        points = faces.points[person]
        own = pixel_turn(faces.angles[person])
        self.points = (points - anchor_point(points, anchor, person)) / unit @ own
        lips = anchor == "lips"
        self.reach = PROTRUSION * float(faces.iod[person]) / unit if lips else 0.0
        mesh = self.points[:468]
        self.low, high = mesh[:, :2].min(0), mesh[:, :2].max(0)
        x, y = (np.arange(self.low[i], high[i], 0.04) for i in (0, 1))
        self.depth = LinearNDInterpolator(mesh[:, :2], mesh[:, 2])(*np.meshgrid(x, y))

    def at(
        self,
        place: Float[np.ndarray, "N 3"],
        angles: Float[np.ndarray, "N 3"],
        pucker: Float[np.ndarray, " N"],
    ) -> Float[np.ndarray, "N 478 3"]:
        """Puckered lips come forward of the anchor's rest, so the face stays that much behind."""
        turn = pixel_turn(angles).swapaxes(-1, -2)
        return (self.points + self._back(pucker)) @ turn + place[:, None]

    def behind(
        self,
        points: Float[np.ndarray, "N K 3"],
        place: Float[np.ndarray, "N 3"],
        angles: Float[np.ndarray, "N 3"],
        pucker: Float[np.ndarray, " N"],
    ) -> Float[np.ndarray, "N K"]:
        """How far points lie behind this face's surface along its gaze; nan beside the face."""
        local = (points - place[:, None]) @ pixel_turn(angles) - self._back(pucker)
        where = np.moveaxis((local[..., :2] - self.low) / 0.04, -1, 0)[::-1]
        return local[..., 2] - map_coordinates(self.depth, where, order=1, cval=np.nan)

    def _back(self, pucker: Float[np.ndarray, " N"]) -> Float[np.ndarray, "N 1 3"]:
        return self.reach * pucker[:, None, None] * np.array([0.0, 0.0, 1.0])
