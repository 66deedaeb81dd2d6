"""Stage 3: what two people do, frame by frame. (Motion, motion_from_keyframes)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from kisslab import show
from kisslab.faces import Faces
from kisslab.keyframes import Keyframes
from kisslab.pose import anchor_points
from kisslab.records import Result, record

PHASES = ("apart", "approach", "near", "contact", "release")
# Gaps, inter-ocular distances: near and touching are below NEAR and TOUCH. Lips are soft: anchors
# that nearly coincide (REST) look pressed together.
NEAR, TOUCH, REST = 0.35, 0.05, 0.02


@record
class Motion(Result):
    """What two people do, frame by frame: one plan drives the guide and the studio alike.

    Person 0 is on the left. Lengths are inter-ocular distances (outer eye corner to outer eye
    corner, mean of the two people). `position` is where each person's anchor point is: the middle
    of the closed lips, or the forehead or cheek that is kissed. Its origin is the midpoint of the
    two anchors in the first frame; x right, y down, z away from the camera.
    """

    position: Float[np.ndarray, "T 2 3"]  # of the anchors, inter-ocular distances
    angles: Float[
        np.ndarray, "T 2 3"
    ]  # yaw, pitch, roll of the head, degrees, see pose.head_rotation
    eyelids: Float[np.ndarray, "T 2"]  # 0 as open as in the photo, 1 closed
    pucker: Float[np.ndarray, "T 2"]  # 0 relaxed, 1 lips fully rounded and pushed forward
    parting: Float[np.ndarray, "T 2"]  # gap between upper and lower lip, inter-ocular distances
    gaze: Float[np.ndarray, "T 2 2"]  # degrees from straight ahead: to the picture's right, up
    breath: Float[np.ndarray, "T 2"]  # rise of the shoulders, inter-ocular distances
    gap: Float[np.ndarray, " T"]  # distance between the two anchors, inter-ocular distances
    phases: tuple[str, ...]  # one of PHASES per frame
    anchors: tuple[str, str]  # one of ANCHORS per person
    style: str
    fps: float
    unit: float  # pixels per inter-ocular distance in the photo that was planned for
    origin: Float[np.ndarray, "2"]  # pixels: where position (0, 0) lies in that photo
    keyframes: Keyframes  # what this was made from; edit it and call motion_from_keyframes

    @property
    def contact(self) -> int:
        """The frame in the middle of the contact (of the closest approach when there is none)."""
        touching = [t for t, phase in enumerate(self.phases) if phase == "contact"]
        return touching[len(touching) // 2] if touching else int(self.gap.argmin())

    def pick(self, frames: Sequence[int]) -> Motion:
        """Only these frames; the keyframes stay those of the whole."""
        index = np.array(frames, dtype=int)
        names = ("position", "angles", "eyelids", "pucker", "parting", "gaze", "breath", "gap")
        arrays = {name: getattr(self, name)[index] for name in names}
        return replace(self, phases=tuple(self.phases[t] for t in index), **arrays)

    def plot(self, ax: object | None = None) -> None:
        """Gap, yaw, eyelids and lips over time, with the phases as bands."""
        seconds = np.arange(len(self.gap)) / self.fps
        series = {
            "gap / first gap": self.gap / max(self.gap[0], 1e-9),
            "yaw left / 90°": self.angles[:, 0, 0] / 90,
            "yaw right / 90°": self.angles[:, 1, 0] / 90,
            "eyelids closed": self.eyelids.mean(1),
            "pucker": self.pucker.mean(1),
        }
        show.curve(seconds, series, ax=ax, x_label="time (s)", bands=self.phases)


def motion_from_keyframes(keyframes: Keyframes, faces: Faces) -> Motion:
    """Every frame of a plan, placed between these two faces."""
    frames = max(2, round(keyframes.seconds * keyframes.fps))
    time = np.arange(frames) / keyframes.fps
    tracks = {(t.person, t.quantity): t.at(time) for t in keyframes.tracks}

    def both(*names: str) -> np.ndarray:
        return np.stack([np.stack([tracks[p, n] for n in names], -1) for p in (0, 1)], 1)

    anchors = anchor_points(faces, keyframes.anchors)
    unit = float(faces.iod.mean())
    gap = tracks[-1, "gap"]
    return Motion(
        position=_positions((anchors[1] - anchors[0]) / unit, gap),
        angles=both("yaw", "pitch", "roll"),
        eyelids=both("eyelids")[..., 0],
        pucker=both("pucker")[..., 0],
        parting=both("parting")[..., 0],
        gaze=both("gaze_x", "gaze_y"),
        breath=both("breath")[..., 0],
        gap=gap,
        phases=_phases(gap),
        anchors=keyframes.anchors,
        style=keyframes.style,
        fps=keyframes.fps,
        unit=unit,
        origin=anchors[:, :2].mean(0),
        keyframes=keyframes,
    )


def _positions(
    first: Float[np.ndarray, "3"], gap: Float[np.ndarray, " T"]
) -> Float[np.ndarray, "T 2 3"]:
    """Both anchors on a line through the origin that turns level as they come together.

    The line's length is the gap, so the plan keeps its promise for any two faces. Depth is not
    known between two people in a photo; they are taken to sit equally far away.
    """
    slope = np.arctan2(first[1], first[0])
    level = np.clip(gap / max(gap[0], 1e-9), 0, 1)
    angle = slope * level
    half = gap / 2
    along = np.stack([np.cos(angle) * half, np.sin(angle) * half, np.zeros_like(half)], -1)
    return np.stack([-along, along], 1)


def _phases(gap: Float[np.ndarray, " T"]) -> tuple[str, ...]:
    """Names by the gap: before it shrinks, while it does, near, touching, and after."""
    touched = np.flatnonzero(gap <= TOUCH)
    last = touched[-1] if len(touched) else len(gap)
    names = []
    for t, g in enumerate(gap):
        if g <= TOUCH:
            names.append("contact")
        elif t > last:
            names.append("release")
        elif g <= NEAR:
            names.append("near")
        else:
            names.append("apart" if g > 0.98 * gap[0] else "approach")
    return tuple(names)
