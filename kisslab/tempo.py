"""Stage 3b: people who move at an even pace. (pace, Paced, even_times, perceived_speed)

For a plan: `pace(plan_kiss(faces), faces).motion`. For frames: `between(frames, times)` with the
`even_times` of the `perceived_speed` that their flow shows.
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy.integrate import cumulative_trapezoid
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from kisslab import show
from kisslab.contact import planned_points
from kisslab.faces import Faces
from kisslab.motion import Motion
from kisslab.records import Result, record

REST = 0.25  # of the mean speed: much slower is rest


@record
class Paced(Result):
    """A plan in another tempo. Speeds: means over both faces, inter-ocular distances a second."""

    motion: Motion
    times: Float[np.ndarray, " T"]  # of the plan that was given, in frames
    before: Float[np.ndarray, " T"]  # its speed
    after: Float[np.ndarray, " T"]  # the speed now

    def plot(self, ax: object | None = None) -> None:
        """Both speeds over time, with the phases as bands."""
        seconds = np.arange(len(self.times)) / self.motion.fps
        series = {"as planned": self.before, "paced": self.after}
        bands = self.motion.phases
        show.curve(seconds, series, ax=ax, y_label="speed (iod/s)", bands=bands)


def pace(motion: Motion, faces: Faces, **options: float) -> Paced:
    """The same plan from the same start to the same end, played slower where it hurries.

    options: as in `even_times`. A plan of one frame stays as it is.
    """
    if len(motion.gap) == 1:
        still = np.zeros(1)
        return Paced(motion, still, still, still)
    before = _speed(motion, faces)
    times = even_times(before, motion.fps, **options)
    paced = _at_times(motion, times)
    return Paced(paced, times, before, _speed(paced, faces))


def even_times(
    speed: Float[np.ndarray, " T"], fps: float, *, over: float = 0.25, most: float = 2.0
) -> Float[np.ndarray, " T"]:
    """Which moment (in frames, from 0 to T - 1, rising) to show in each frame for an even pace.

    A moment at speed s in surroundings of mean speed m is given (s / m)^a of its time: what is
    faster than around it lasts longer. a = s / (s + rest) is 1 for who moves and 0 for who rests,
    so that a pause, or a kiss, keeps its time. over: seconds, deviation of the Gaussian that is the
    surroundings. most: how many times slower or faster a moment may get, at least 1. One frame has
    no pace. ValueError for `over` or `most` out of range.
    """
    if not (0 < over < np.inf and most >= 1):
        raise ValueError(f"over={over}, most={most}: give some seconds, and a factor from 1 on")
    if len(speed) == 1:
        return np.zeros(1)
    around = gaussian_filter1d(speed.astype(float), over * fps, mode="nearest")
    rest = max(REST * speed.mean(), 1e-9)
    ratio = np.clip((speed + rest) / (around + rest), 1 / most, most)
    lasting = ratio ** (speed / (speed + rest))
    end = cumulative_trapezoid(lasting, initial=0)
    frames = np.arange(len(speed))
    return np.interp(frames, end * (len(speed) - 1) / end[-1], frames)


def perceived_speed(
    flow: Float[np.ndarray, "T H W 2"], people: Bool[np.ndarray, "T H W"]
) -> Float[np.ndarray, " T"]:
    """Mean length of the flow where people are, pixels per frame; 0 in frames without people.

    The last frame leads nowhere: it has the speed before it, and 0 if it is the only one.
    """
    length = np.linalg.norm(flow.astype(np.float32), axis=-1)
    count = people.sum(axis=(1, 2))
    speed = np.sum(length * people, axis=(1, 2)) / np.maximum(count, 1)
    speed[-1] = speed[-2] if len(speed) > 1 else 0
    return speed


def _speed(motion: Motion, faces: Faces) -> Float[np.ndarray, " T"]:
    """Of the planned points in the picture, central differences."""
    points = planned_points(motion, faces)[..., :2] / motion.unit
    step = np.gradient(points, axis=0)
    return np.linalg.norm(step, axis=-1).mean(axis=(1, 2)) * motion.fps


def _at_times(motion: Motion, times: Float[np.ndarray, " T"]) -> Motion:
    """The plan at times between its frames; curves without overshoot (Fritsch and Carlson 1980)."""
    frames, count = np.arange(len(motion.gap)), len(motion.gap)
    values = {f.name: getattr(motion, f.name) for f in fields(motion)}
    moving = {
        name: PchipInterpolator(frames, value, axis=0)(times)
        for name, value in values.items()
        if isinstance(value, np.ndarray) and len(value) == count and name != "origin"
    }
    phases = tuple(motion.phases[t] for t in np.rint(times).astype(int))
    return replace(motion, phases=phases, **moving)
