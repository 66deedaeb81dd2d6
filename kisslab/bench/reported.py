"""What the report is worth: whether it catches broken clips, and what it reads at a contact.

(trap_rows, contact_rows, frozen, blurred, jittered, swapped)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from jaxtyping import Float

from kisslab import anatomy as at
from kisslab.bench.rows import Row, row
from kisslab.bench.studio import HELD_OUT
from kisslab.contact import planned_points
from kisslab.faces import Faces, best_detector, mesh_detector
from kisslab.identity import five_points, similarity
from kisslab.likeness import follow_faces
from kisslab.measure import measure_clip
from kisslab.metrics import lip_gap
from kisslab.motion import Motion
from kisslab.plan import STYLES, plan_kiss
from kisslab.studio import Scene, couple_portrait, render, sample_couple, true_faces
from kisslab.train.lessons import Case, studio_case
from kisslab.video import make_clip

FIRST = HELD_OUT + 50_000  # seeds of couples, from here on
Frames = Float[np.ndarray, "T H W 3"]
MIRRORED = [1, 0, 2, 4, 3]  # five points of a face in a mirror, in the order of a face


def trap_rows(cases: Sequence[Case] | None = None, count: int = 3) -> Iterator[Row]:
    """traps_caught, untouched_flagged: of exact studio clips, and of broken copies of them.

    cases: default are `count` that nothing was trained on.
    """
    cases = [studio_case(FIRST + k) for k in range(count)] if cases is None else cases
    flagged, caught = [], []
    for case in cases:
        frames = case.truth / np.float32(255)
        places = planned_points(case.motion, case.faces)
        traps = {
            "Frozen": frozen(frames),
            "Blurred": blurred(frames),
            "Jittered": jittered(frames),
            "Swapped": swapped(frames, places),
        }
        flagged.append(bool(_warnings(case, frames)))
        for name, broken in traps.items():
            warned = any(sentence.startswith(name) for sentence in _warnings(case, broken))
            caught.append(warned and not flagged[-1])
    yield row("traps_caught", np.mean(caught), "share", "= 1", len(caught))
    yield row("untouched_flagged", sum(flagged), "clips", "= 0", len(flagged))


def contact_rows(
    couples: int = 3,
    styles: Sequence[str] = tuple(style.name for style in STYLES),
    size: int = 256,
) -> Iterator[Row]:
    """lip_gap_true, lip_gap_measured, lip_gap_seen: in the middle of exact contacts.

    size: pixels, of the pictures' width.

    True: between the studio's own landmarks; measured: between those that the report finds in the
    rendered frame, where it finds both; seen: how often it does.
    """
    truth, found = [], []
    for seed in range(FIRST, FIRST + couples):
        scene = couple_portrait(sample_couple(seed), yaw=15.0, size=size)
        faces = true_faces(scene)
        for style in styles:
            motion = plan_kiss(faces, style)
            gaps = _contact_gaps(scene, faces, motion)
            truth.append(gaps[0])
            found.append(gaps[1])
    seen = np.isfinite(found)
    yield row("lip_gap_true", max(truth), "iod", "<= 0.05", len(truth))
    yield row("lip_gap_measured", np.mean(np.array(found)[seen]), "iod", "<= 0.1", int(seen.sum()))
    yield row("lip_gap_seen", seen.mean(), "share", "", len(seen))


def frozen(frames: Frames) -> Frames:
    """The first frame, for ever."""
    return np.repeat(frames[:1], len(frames), axis=0)


def blurred(frames: Frames, sigma: float = 2.0) -> Frames:
    """sigma: pixels."""
    return np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames])


def jittered(frames: Frames, pixels: float = 1.0, seed: int = 0) -> Frames:
    """Every frame shifted on its own, by so much on average along each axis."""
    shifts = np.random.default_rng(seed).normal(0, pixels, (len(frames), 2))
    size = frames.shape[2:0:-1]
    return np.stack(
        [
            cv2.warpAffine(
                f, np.column_stack([np.eye(2), s]), size, borderMode=cv2.BORDER_REPLICATE
            )
            for f, s in zip(frames, shifts, strict=True)
        ]
    )


def swapped(frames: Frames, places: Float[np.ndarray, "T 2 478 3"]) -> Frames:
    """Each with the other's face, mirrored, for they look at each other; places: of the faces."""
    out = frames.copy()
    for t, person in np.ndindex(places.shape[:2]):
        own, other = places[t, person, :, :2], places[t, 1 - person, :, :2]
        width = frames.shape[2]
        seen = five_points(other)[MIRRORED] * [-1, 1] + [width, 0]
        matrix = similarity(seen, five_points(own))
        face = cv2.warpAffine(np.ascontiguousarray(frames[t, :, ::-1]), matrix, out.shape[2:0:-1])
        out[t] += (face - out[t]) * _oval(own, out.shape[1:3])[..., None]
    return out


def _oval(points: Float[np.ndarray, "478 2"], shape: tuple[int, ...]) -> Float[np.ndarray, "_h _w"]:
    """1 within the face, 0 outside, soft between."""
    mask = np.zeros(shape, np.float32)
    hull = cv2.convexHull(points[at.OVAL].round().astype(np.int32))
    cv2.fillConvexPoly(mask, hull, 1.0)
    return cv2.GaussianBlur(mask, (0, 0), 1.0)


def _warnings(case: Case, frames: Frames) -> tuple[str, ...]:
    clip = make_clip(frames, case.motion.fps)
    return measure_clip(clip, case.portrait, case.faces, case.motion, case.guide).warnings


def _contact_gaps(scene: Scene, faces: Faces, motion: Motion) -> tuple[float, float]:
    """(true, found) in the middle of the contact, inter-ocular distances."""
    unit = float(faces.iod.mean())
    moment = scene.posed(motion, motion.contact)
    picture = render(moment).rgb[None].astype(np.float32)
    places = planned_points(motion.pick([motion.contact]), faces)
    with best_detector() as detect:
        points = follow_faces(picture, places, detect, mesh_detector())
    gaps = [lip_gap(p, motion.anchors, unit) for p in (true_faces(moment).points[None], points)]
    return float(gaps[0][0]), float(gaps[1][0])
