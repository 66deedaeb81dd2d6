"""How a clip moves, beside how its plan wanted it to move. (movement, Movement)"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from kisslab import show
from kisslab.contact import planned_points
from kisslab.faces import Faces
from kisslab.guide import Guide
from kisslab.metrics import (
    Frames,
    dynamic_degree,
    jerk,
    landmark_error,
    lip_gap,
    setback,
    smoothness,
    velocity,
)
from kisslab.motion import Motion
from kisslab.records import Result, record
from kisslab.temporal import observed_flow


@record
class Movement(Result):
    """What was seen to move, and what was planned. Lengths are inter-ocular distances."""

    landmark_error: Float[np.ndarray, "T 2"]  # NaN where no face was found
    flow: Float[np.ndarray, "T-1 H W 2"]  # pixels, as it was observed
    dynamic: Float[np.ndarray, " T-1"]  # per second, see metrics.dynamic_degree
    planned_dynamic: Float[np.ndarray, " T-1"]
    jerk: Float[np.ndarray, "J 2"]  # of each person, per second cubed; J = T - 3
    planned_jerk: Float[np.ndarray, "J 2"]
    smoothness: Float[np.ndarray, " T-2"]  # see metrics.smoothness
    gap: Float[np.ndarray, " T"]  # between what is to touch; NaN where a face was not found
    planned_gap: Float[np.ndarray, " T"]
    touching: Bool[np.ndarray, " T"]  # whether the plan has contact, see motion.PHASES

    @property
    def gap_at_contact(self) -> float:
        """Mean over the planned contact; NaN when a face was not found then, or none is planned."""
        seen = self.gap[self.touching & np.isfinite(self.gap)]
        return float(seen.mean()) if len(seen) else float("nan")

    @property
    def setback(self) -> float:
        """How far the gap opened again before the contact, see metrics.setback."""
        first = int(self.touching.argmax()) if self.touching.any() else len(self.gap)
        return setback(self.gap[: first + 1])

    def plot(self, ax: object | None = None) -> None:
        """The gap over the frames, as planned and as found."""
        series = {"planned": self.planned_gap, "found": self.gap}
        show.curve(np.arange(len(self.gap)), series, ax=ax, x_label="frame", y_label="gap (iod)")


def movement(
    frames: Frames,
    points: Float[np.ndarray, "T 2 478 3"],
    faces: Faces,
    motion: Motion,
    guide: Guide,
    ways: Bool[np.ndarray, "T-1 H W"],
) -> Movement:
    """Observe a clip's flow and faces, and hold them against the plan.

    points: as from `likeness.follow_faces`; faces: those that the plan was made for; ways: pixels
    of which the plan knows where they go, see `metrics.known_ways`. Jerk is that of each person's
    mean flow: thousands of pixels tell it finer than any landmark.
    """
    unit = float(faces.iod.mean())
    flow, planned = observed_flow(frames), guide.flow[:-1].astype(np.float32)
    people = [ways & (guide.layers[:-1] == person) for person in (1, 2)]

    def jerks(field: Float[np.ndarray, "_s _h _w 2"]) -> Float[np.ndarray, "_j 2"]:
        each = [jerk(velocity(field, mask) / unit, motion.fps) for mask in people]
        return np.stack(each, axis=-1)

    return Movement(
        flow=flow,
        dynamic=dynamic_degree(flow) / unit * motion.fps,
        planned_dynamic=dynamic_degree(planned) / unit * motion.fps,
        jerk=jerks(flow),
        planned_jerk=jerks(planned),
        smoothness=smoothness(frames),
        landmark_error=landmark_error(points, planned_points(motion, faces), faces.iod),
        gap=lip_gap(points, motion.anchors, unit),
        planned_gap=motion.gap,
        touching=np.array([phase == "contact" for phase in motion.phases]),
    )
