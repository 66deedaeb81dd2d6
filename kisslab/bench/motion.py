"""Area motion: what a plan promises. (measure)"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kisslab.bench.inputs import couple_faces, resized_pair, sample_faces
from kisslab.bench.rows import Row, row
from kisslab.contact import PROTRUSION, nose_crossings, placed_points
from kisslab.faces import Faces
from kisslab.motion import Motion
from kisslab.plan import STYLES, plan_kiss
from kisslab.pose import anchor_point, pixel_turn

RATIOS = np.geomspace(0.6, 1.6, 20)  # of the left face's size to the right one's


def measure() -> Iterator[Row]:
    """lip_gap_planned_max, approach_monotone, speed_at_ends_max, nose_crossings_before_contact."""
    faces = sample_faces()
    pairs = [resized_pair(faces, float(ratio)) for ratio in RATIOS]
    plans = [(plan_kiss(pair, style.name), pair) for style in STYLES for pair in pairs]
    gaps = [_contact_gap(motion, pair) for motion, pair in plans]
    speeds = [_speed_at_ends(motion) for motion, _ in plans]
    couples = [(plan_kiss(pair, style.name), pair) for style in STYLES for pair in couple_faces()]
    crossings = sum(_crossings_before_contact(m, pair) for m, pair in [*plans, *couples])
    count = len(plans)
    yield row("lip_gap_planned_max", max(gaps), "iod", "<= 0.05", count)
    yield row("approach_monotone", all(_is_monotone(m) for m, _ in plans), "", "= 1", count)
    yield row("speed_at_ends_max", max(speeds), "iod/frame", "<= 0.01", count)
    yield row("nose_crossings_before_contact", crossings, "points", "= 0", count + len(couples))


def _contact_gap(motion: Motion, faces: Faces) -> float:
    """Distance of the lips as the rigid faces are placed, in the smaller face's eye distances.

    `placed_points` leaves room for the lips that pucker; that much they come forward.
    """
    placed = placed_points(motion, faces, motion.contact)
    anchors = [anchor_point(placed[p], motion.anchors[p], p) for p in (0, 1)]
    for p, anchor in enumerate(motion.anchors):
        ahead = pixel_turn(motion.angles[motion.contact, p]) @ [0, 0, -1]
        reach = PROTRUSION * motion.pucker[motion.contact, p] * faces.iod[p] / motion.unit
        anchors[p] = anchors[p] + ahead * reach * (anchor == "lips")
    return float(np.linalg.norm(anchors[1] - anchors[0]) * motion.unit / faces.iod.min())


def _is_monotone(motion: Motion) -> bool:
    distance = np.linalg.norm(np.diff(motion.position, axis=1)[:, 0], axis=-1)
    return bool(np.all(np.diff(distance[: motion.phases.index("contact") + 1]) <= 1e-9))


def _speed_at_ends(motion: Motion) -> float:
    step = np.linalg.norm(np.diff(motion.position, axis=0), axis=-1)
    return float(max(step[0].max(), step[-1].max()))


def _crossings_before_contact(motion: Motion, faces: Faces) -> int:
    return int(nose_crossings(motion, faces)[: motion.phases.index("contact")].sum())
