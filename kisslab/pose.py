"""How heads are turned and where they are touched.

(head_rotation, pixel_turn, anchor_point, anchor_points)
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from kisslab import anatomy as at
from kisslab.faces import Faces

ANCHORS = ("lips", "forehead", "cheek")
Y_DOWN = np.diag([1.0, -1.0, -1.0])  # between head_rotation's frame (y up, z near) and pixels


def head_rotation(angles: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 3 3"]:
    """Rotations of yaw, pitch, roll in degrees, in the frame x right, y up, z to the camera.

    Intrinsic Y-X-Z Euler angles, as MediaPipe's facial transformation matrix decomposes:
    yaw > 0 turns to the picture's right, pitch > 0 looks down, roll > 0 leans the top of the head
    to the picture's left. R = R_y(yaw) R_x(pitch) R_z(roll).
    """
    flat = Rotation.from_euler("YXZ", np.reshape(angles, (-1, 3)), degrees=True).as_matrix()
    return flat.reshape(*np.shape(angles), 3)


def pixel_turn(angles: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 3 3"]:
    """The same rotation in the picture's frame: x right, y down, z away from the camera."""
    return Y_DOWN @ head_rotation(angles) @ Y_DOWN


def anchor_points(faces: Faces, anchors: tuple[str, str]) -> Float[np.ndarray, "2 3"]:
    """Where each person's anchor lies in the photo (pixels, z included)."""
    return np.stack([anchor_point(faces.points[p], anchors[p], p) for p in (0, 1)])


def anchor_point(
    points: Float[np.ndarray, "478 3"], name: str, person: int
) -> Float[np.ndarray, "3"]:
    """Lips: between them; forehead: its middle; cheek: the one on the partner's side."""
    cheek = at.LEFT_CHEEK if person == 0 else at.RIGHT_CHEEK
    places = {"lips": at.STOMION, "forehead": [151], "cheek": [cheek]}
    if name not in places:
        raise ValueError(f"anchor {name!r} is not known; choose one of {', '.join(ANCHORS)}")
    return points[places[name]].mean(0)
