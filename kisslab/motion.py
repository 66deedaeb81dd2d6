"""Stage 3: two faces in, a path for each of them out. (Motion, head_rotation)"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from kisslab.records import Result, record

PHASES = ("apart", "approach", "near", "contact", "release")
ANCHORS = ("lips", "forehead", "cheek")


@record
class Motion(Result):
    """What two people do, frame by frame: one plan drives the guide and the studio alike.

    Person 0 is on the left. Lengths are inter-ocular distances (outer eye corner to outer eye
    corner, mean of the two people). `position` is where each person's anchor point is: the middle
    of the closed lips, or the forehead or cheek that is kissed. Its origin is the midpoint of the
    two anchors in the first frame; x right, y down, z away from the camera.
    """

    position: Float[np.ndarray, "T 2 3"]  # of the anchors, inter-ocular distances
    angles: Float[np.ndarray, "T 2 3"]  # yaw, pitch, roll of the head, degrees, see head_rotation
    eyelids: Float[np.ndarray, "T 2"]  # 0 as open as in the photo, 1 closed
    pucker: Float[np.ndarray, "T 2"]  # 0 relaxed, 1 lips fully rounded and pushed forward
    parting: Float[np.ndarray, "T 2"]  # gap between upper and lower lip, inter-ocular distances
    gaze: Float[np.ndarray, "T 2 2"]  # degrees from straight ahead: to the picture's right, up
    gap: Float[np.ndarray, " T"]  # distance between the two anchors, inter-ocular distances
    phases: tuple[str, ...]  # one of PHASES per frame
    anchors: tuple[str, str]  # one of ANCHORS per person
    style: str
    fps: float
    unit: float  # pixels per inter-ocular distance in the photo that was planned for
    origin: Float[np.ndarray, "2"]  # pixels: where position (0, 0) lies in that photo


def head_rotation(angles: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 3 3"]:
    """Rotation matrices of yaw, pitch, roll in degrees, in the frame x right, y up, z to the camera.

    Intrinsic Y-X-Z Euler angles, as MediaPipe's facial transformation matrix decomposes:
    yaw > 0 turns to the picture's right, pitch > 0 looks down, roll > 0 leans the top of the head
    to the picture's left. R = R_y(yaw) R_x(pitch) R_z(roll).
    """
    flat = Rotation.from_euler("YXZ", np.reshape(angles, (-1, 3)), degrees=True).as_matrix()
    return flat.reshape(*np.shape(angles), 3)
