"""What one person does in one frame. (Pose)"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from kisslab import anatomy
from kisslab.motion import Motion
from kisslab.records import Result, record

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
