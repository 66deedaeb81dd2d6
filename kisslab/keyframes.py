"""A plan as a person would edit it: tracks of keys, saved as JSON.

(Keyframes, Track, minimum_jerk)
"""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from kisslab import zoo
from kisslab.records import Result, atomic, read_text, record

RANGES = {  # of the values that a plan may hold: degrees, shares, inter-ocular distances
    "gap": (0.0, 50.0),
    "yaw": (-95.0, 95.0),
    "pitch": (-70.0, 70.0),
    "roll": (-95.0, 95.0),
    "eyelids": (0.0, 1.0),
    "pucker": (0.0, 1.0),
    "parting": (0.0, 1.0),
    "gaze_x": (-60.0, 60.0),
    "gaze_y": (-60.0, 60.0),
    "breath": (0.0, 0.3),
}
QUANTITIES = tuple(name for name in RANGES if name != "gap")


@record
class Keyframes(Result):
    """A plan as a person would edit it: tracks of keys, saved as JSON."""

    style: str
    seconds: float
    fps: float
    anchors: tuple[str, str]  # left, right: one of ANCHORS
    tracks: tuple[Track, ...]

    def with_key(self, person: int, quantity: str, time: float, value: float) -> Keyframes:
        """The same plan with one key set; a key within half a frame of `time` is replaced.

        ValueError for a track that is not there, or a time or value out of range (RANGES).
        """
        old = self.track(person, quantity)
        low, high = RANGES[quantity]
        if not (low <= value <= high and 0 <= time <= self.seconds):
            raise ValueError(
                f"{quantity}={value} at {time} s: give a value from {low:g} to {high:g} and a time "
                f"from 0 to {self.seconds:g} s"
            )
        new = _set_key(old, time, value, 0.5 / self.fps)
        return replace(self, tracks=tuple(new if t is old else t for t in self.tracks))

    def names(self) -> list[str]:
        """'person quantity' of every track."""
        return [f"{t.person} {t.quantity}" for t in self.tracks]

    def track(self, person: int, quantity: str) -> Track:
        """One track; ValueError lists the tracks there are."""
        for track in self.tracks:
            if (track.person, track.quantity) == (person, quantity):
                return track
        raise ValueError(f"no track {quantity!r} of person {person}; tracks: {self.names()}")

    def to_json(self, path: str | Path) -> Path:
        """Write the plan as JSON (data/motion.schema.json describes it)."""
        data = {"kisslab": "keyframes", **dict(self.items())}
        data["tracks"] = [dict(t.items()) for t in self.tracks]
        with atomic(path) as part:
            part.write_text(json.dumps(data, indent=1))
        return Path(path)

    @classmethod
    def from_json(cls, path: str | Path) -> Keyframes:
        """Read a plan. ValueError names the file and the first thing that breaks the schema."""
        data = _read_plan(Path(path))
        tracks = tuple(
            Track(int(t["person"]), t["quantity"], tuple(t["times"]), tuple(t["values"]))
            for t in data["tracks"]
        )
        anchors = tuple(data["anchors"])
        plan = cls(data["style"], data["seconds"], data["fps"], anchors, tracks)
        _check_plan(plan, Path(path).name)
        return plan


@record
class Track(Result):
    """One quantity of one person over time: keys of (seconds, value), eased in between."""

    person: int  # 0 left, 1 right; -1 for the gap, which belongs to both
    quantity: str  # one of QUANTITIES, or "gap"
    times: tuple[float, ...]  # seconds, rising
    values: tuple[float, ...]

    def at(self, seconds: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
        """Minimum-jerk steps between keys, at rest on every key (Flash and Hogan 1985, eq. 1)."""
        times, values = np.array(self.times), np.array(self.values)
        i = np.clip(np.searchsorted(times, seconds, "right") - 1, 0, max(len(times) - 2, 0))
        j = np.minimum(i + 1, len(times) - 1)
        span = np.maximum(times[j] - times[i], 1e-9)
        return values[i] + (values[j] - values[i]) * minimum_jerk((seconds - times[i]) / span)


def minimum_jerk(t: Float[np.ndarray, "*N"]) -> Float[np.ndarray, "*N"]:
    """10 t^3 - 15 t^4 + 6 t^5, clamped to 0..1: at rest at both ends (Flash and Hogan 1985)."""
    t = np.clip(t, 0, 1)
    return t**3 * (10 - 15 * t + 6 * t**2)


def _set_key(track: Track, time: float, value: float, near: float) -> Track:
    keys = [k for k in zip(track.times, track.values, strict=True) if abs(k[0] - time) > near]
    times, values = zip(*sorted([*keys, (float(time), float(value))]), strict=True)
    return replace(track, times=times, values=values)


@functools.cache
def _schema() -> dict[str, object]:
    return json.loads(zoo.data_path("motion.schema.json").read_text())


def _read_plan(path: Path) -> dict[str, object]:
    import jsonschema  # a second, where it finds parsers of all formats; few read plans

    try:
        data = json.loads(read_text(path), parse_int=float, parse_constant=_refuse)
        jsonschema.validate(data, _schema())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name}: not JSON ({error}); save a plan with to_json") from error
    except jsonschema.ValidationError as error:
        raise ValueError(f"{path.name}: {error.json_path}: {error.message[:150]}") from error
    return data


def _refuse(constant: str) -> None:
    """JSON has no NaN and no Infinity; Python's reader takes them."""
    raise ValueError(f"{constant} is no number")


def _check_plan(plan: Keyframes, name: str) -> None:
    """What a schema cannot say: every track once, keys in order and of equal number."""
    wanted = {"-1 gap", *(f"{p} {q}" for p in (0, 1) for q in QUANTITIES)}
    if missing := wanted - set(plan.names()):
        raise ValueError(f"{name}: these tracks are missing: {sorted(missing)}")
    for track in plan.tracks:
        if len(track.times) != len(track.values) or any(np.diff(track.times) <= 0):
            raise ValueError(
                f"{name}: track {track.quantity!r} of person {track.person}: times must rise and "
                "be as many as the values"
            )
        low, high = RANGES[track.quantity]
        if min(track.values) < low or max(track.values) > high:
            raise ValueError(
                f"{name}: track {track.quantity!r} of person {track.person}: values must lie "
                f"between {low:g} and {high:g}"
            )
