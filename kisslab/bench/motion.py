"""Area motion: what a plan promises. (measure)"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kisslab.bench.inputs import resized_pair, sample_faces
from kisslab.bench.rows import Row, row
from kisslab.contact import nose_crossings
from kisslab.faces import Faces
from kisslab.motion import Motion
from kisslab.plan import STYLES, plan_kiss

RATIOS = np.geomspace(0.6, 1.6, 20)  # of the left face's size to the right one's


def measure() -> Iterator[Row]:
    """lip_gap_planned_max, approach_monotone, speed_at_ends_max, nose_crossings_before_contact."""
    faces = sample_faces()
    pairs = [resized_pair(faces, float(ratio)) for ratio in RATIOS]
    plans = [(plan_kiss(pair, style.name), pair) for style in STYLES for pair in pairs]
    gaps = [_contact_gap(motion) for motion, _ in plans]
    speeds = [_speed_at_ends(motion) for motion, _ in plans]
    kisses = [(m, pair) for m, pair in plans if m.anchors == ("lips", "lips")]
    crossings = sum(_crossings_before_contact(motion, pair) for motion, pair in kisses)
    count = len(plans)
    yield row("lip_gap_planned_max", max(gaps), "iod", "<= 0.05", count)
    yield row("approach_monotone", all(_is_monotone(m) for m, _ in plans), "", "= 1", count)
    yield row("speed_at_ends_max", max(speeds), "iod/frame", "<= 0.01", count)
    yield row("nose_crossings_before_contact", crossings, "points", "= 0", len(kisses))


def _contact_gap(motion: Motion) -> float:
    """Distance of the two anchors in the contact frame, from the positions themselves."""
    left, right = motion.position[motion.contact]
    return float(np.linalg.norm(right - left))


def _is_monotone(motion: Motion) -> bool:
    distance = np.linalg.norm(np.diff(motion.position, axis=1)[:, 0], axis=-1)
    return bool(np.all(np.diff(distance[: motion.phases.index("contact") + 1]) <= 1e-9))


def _speed_at_ends(motion: Motion) -> float:
    step = np.linalg.norm(np.diff(motion.position, axis=0), axis=-1)
    return float(max(step[0].max(), step[-1].max()))


def _crossings_before_contact(motion: Motion, faces: Faces) -> int:
    return int(nose_crossings(motion, faces)[: motion.phases.index("contact")].sum())
