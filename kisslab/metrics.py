"""What a clip's movement and looks are worth, each as one formula over plain arrays.

(dynamic_degree, smoothness, known_ways, warping_error, flicker, velocity, jerk, setback, lip_gap,
landmark_error, consistency)

Frames are RGB in [0, 1]; flow is in pixels (x right, y down) from a frame to the next; NaN stands
for what could not be seen. "VBench-style" is our stand-in without a GPU for one of VBench's
dimensions (Huang et al. 2024): it moves as theirs does, and its values are not comparable.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from kisslab import anatomy as at
from kisslab.pose import anchor_point
from kisslab.temporal import follow, observed_flow

SURE = 0.5  # confidence of the guide from which on a pixel is held to the plan
LONGEST = 0.05  # share of the flow vectors that dynamic degree looks at
# Points that neither lids nor lips move: the eyes' corners and the nose.
RIGID = np.r_[at.RIGHT_EYE_OUTER, at.RIGHT_EYE_INNER, at.LEFT_EYE_INNER, at.LEFT_EYE_OUTER, at.NOSE]

Frames = Float[np.ndarray, "T H W 3"]
Flow = Float[np.ndarray, "T-1 H W 2"]
Mask = Bool[np.ndarray, "T-1 H W"]
Steps = Float[np.ndarray, " T-1"]


def dynamic_degree(flow: Float[np.ndarray, "S H W 2"]) -> Float[np.ndarray, " S"]:
    """Mean length of the 5% longest flow vectors of each step, pixels: 0 when nothing moves.

    VBench-style, after its "dynamic degree", which takes RAFT's flow and a threshold.
    """
    lengths = np.linalg.norm(flow, axis=-1).reshape(len(flow), -1)
    count = max(1, round(LONGEST * lengths.shape[1]))
    return np.sort(lengths, axis=1)[:, -count:].mean(axis=1)


def smoothness(frames: Frames) -> Float[np.ndarray, " T-2"]:
    """1 - mean |I_t - M_t| of the inner frames, M_t being drawn from both neighbours of I_t.

    M_t(x) = (I_t-1(x - f/2) + I_t+1(x + f/2)) / 2, f the flow from t - 1 to t + 1 (Baker et al.
    2011, section 3.3). VBench-style, after "motion smoothness", which interpolates by AMT.
    1 for a frozen clip.
    """
    out = []
    flows = observed_flow(frames, step=2)
    for before, now, after, flow in zip(frames, frames[1:], frames[2:], flows, strict=False):
        middle = (follow(before, -flow / 2) + follow(after, flow / 2)) / 2
        out.append(1 - np.abs(middle - now).mean())
    return np.array(out)


def known_ways(
    layers: UInt8[np.ndarray, "T H W"],
    confidence: Float[np.ndarray, "T H W"],
    flow: Flow,
    sure: float = SURE,
) -> Mask:
    """Pixels of which the plan knows where they go: sure here, and seen and sure there as well.

    Seen: flow ends inside the picture on the same layer (0 background, 1 and 2 people), and no
    outline is in between. Lids, lips and gaze are not in the guide's flow: there it is not sure.
    """
    out = []
    for t, field in enumerate(flow):
        inside = [_alone(layers[k]) & (confidence[k] > sure) for k in (t, t + 1)]
        x, y, within = _ends(field)
        same = layers[t] == layers[t + 1][y, x]
        out.append(inside[0] & inside[1][y, x] & same & within)
    return np.stack(out)


def warping_error(frames: Frames, flow: Flow, valid: Mask) -> Steps:
    """Mean of ||V_t(x) - V_t+1(x + f(x))||^2 over the valid pixels x of each step, NaN if none.

    Lai et al. 2018, "Learning blind video temporal consistency", section 4.2, with the plan's flow
    in place of an estimated one. Blur lowers it, and so does standing still where f is small.
    """
    out = np.full(len(flow), np.nan)
    for t, (now, later) in enumerate(pairwise(frames)):
        if valid[t].any():
            change = (follow(later, flow[t]) - now)[valid[t]]
            out[t] = np.mean(np.sum(change**2, axis=-1))
    return out


def flicker(frames: Frames, still: Bool[np.ndarray, "H W"]) -> Steps:
    """Mean absolute change of pixels that should rest, in levels of 255; NaN if none should.

    VBench-style, after "temporal flickering": theirs is 1 - MAE / 255 of clips of still scenes.
    """
    if not still.any():
        return np.full(len(frames) - 1, np.nan)
    return np.array([255 * np.abs(later - now)[still].mean() for now, later in pairwise(frames)])


def velocity(
    flow: Float[np.ndarray, "S H W 2"], valid: Bool[np.ndarray, "S H W"]
) -> Float[np.ndarray, "S 2"]:
    """Mean flow of the valid pixels of each step, pixels per frame; NaN where there are none."""
    out = np.full((len(flow), 2), np.nan)
    for t in range(len(flow)):
        if valid[t].any():
            out[t] = flow[t][valid[t]].mean(axis=0)
    return out


def jerk(velocities: Float[np.ndarray, "S 2"], fps: float) -> Float[np.ndarray, " S-2"]:
    """|v_t+2 - 2 v_t+1 + v_t| fps^3, the change of acceleration. v per frame, jerk per s^3.

    What people's movements keep least (Flash, Hogan 1985, eq. 1) and shaking clips do not.
    """
    return np.linalg.norm(np.diff(velocities, n=2, axis=0), axis=-1) * fps**3


def setback(gap: Float[np.ndarray, " T"]) -> float:
    """How far a gap opens again: max over t of gap_t - min(gap_s, s <= t); 0 if it only closes.

    Frames without a gap (NaN) are passed over; NaN if there are fewer than two others.
    """
    seen = gap[np.isfinite(gap)]
    return float(np.max(seen - np.minimum.accumulate(seen))) if len(seen) > 1 else float("nan")


def lip_gap(
    points: Float[np.ndarray, "T 2 478 d"], anchors: tuple[str, str], iod: float
) -> Float[np.ndarray, " T"]:
    """Distance, in the picture, of what is to touch: lips, forehead or cheek.

    iod: pixels; the gap is in inter-ocular distances.
    """
    places = [
        np.stack([anchor_point(face, anchors[p], p)[:2] for face in points[:, p]]) for p in (0, 1)
    ]
    return np.linalg.norm(places[1] - places[0], axis=-1) / iod


def landmark_error(
    found: Float[np.ndarray, "T 2 478 d"],
    planned: Float[np.ndarray, "T 2 478 d"],
    iod: Float[np.ndarray, "2"],
) -> Float[np.ndarray, "T 2"]:
    """Mean distance of found to planned RIGID points, in the picture, over each person's `iod`.

    Normalised as in Sagonas et al. 2013 (300-W), by the outer corners of the eyes; iod: pixels.
    """
    away = (found - planned)[:, :, RIGID, :2]
    return np.linalg.norm(away, axis=-1).mean(axis=-1) / iod


def consistency(embeddings: Float[np.ndarray, "T D"]) -> float:
    """Mean over t > 1 of (cos(e_1, e_t) + cos(e_t-1, e_t)) / 2; NaN if fewer than two were seen.

    VBench-style, after "subject consistency" (section 3.1), with a face's identity in place of
    DINO's features. Frames in which the face was not seen (NaN) are passed over. 1 for a frozen
    clip, whoever it shows.
    """
    seen = embeddings[np.isfinite(embeddings).all(axis=1)]
    if len(seen) < 2:
        return float("nan")
    to_first, to_last = seen[1:] @ seen[0], np.sum(seen[1:] * seen[:-1], axis=1)
    return float(np.mean((to_first + to_last) / 2))


def _alone(layer: UInt8[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Pixels whose 5 x 5 neighbours are all of their layer: no outline blends into them."""
    window = np.ones((5, 5), np.uint8)
    return cv2.dilate(layer, window) == cv2.erode(layer, window)


def _ends(flow: Float[np.ndarray, "H W 2"]) -> tuple[np.ndarray, ...]:
    """Nearest pixels x and y where the flow ends, kept inside, and whether it does end inside."""
    height, width = flow.shape[:2]
    rows, columns = np.indices((height, width))
    x = np.round(columns + flow[..., 0]).astype(int)
    y = np.round(rows + flow[..., 1]).astype(int)
    within = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return np.clip(x, 0, width - 1), np.clip(y, 0, height - 1), within
