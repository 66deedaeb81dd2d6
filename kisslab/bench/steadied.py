"""What keeps clips together: how white moving noise is, and what noise and steadying are worth.

(noise_rows, noise_error_rows, steady_rows, morans_i, warping_error, flicker, landmark_errors)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import kstest

from kisslab import metrics
from kisslab.bench.inputs import small_couple
from kisslab.bench.judged import in_middle
from kisslab.bench.made import Attempt, attempt, repaint
from kisslab.bench.rows import Row, row
from kisslab.contact import planned_points
from kisslab.faces import Faces, face_detector
from kisslab.guide import Guide, draw_guide
from kisslab.kiss import KissModel
from kisslab.likeness import cut_face
from kisslab.noise import independent_noise, warped_noise
from kisslab.plan import plan_kiss
from kisslab.quality import sharpness
from kisslab.temporal import Flows, clip_flows, follow, guide_flows, steady
from kisslab.train.lessons import Case

CLIPS = (("couple_01", "tender"), ("couple_05", "peck"))
PLACES = (24, 32)  # high, wide: latents of 256 x 192 pixels
# Perfect noise has a Moran's I too, of deviation 1 / sqrt(pairs of neighbours): 16 channels of
# 24 x 32 places show 0.006 by chance, above the bound. This many, all made alike, show 0.0016.
MANY = 256
Clip = Float[np.ndarray, "T H W 3"]
Mask = Bool[np.ndarray, "T H W"]


def noise_rows() -> Iterator[Row]:
    """noise_morans_i, noise_ks_p_min: the worst frame of noise that moves along packaged kisses.

    The least p of n tests of perfect noise is below 0.05 as often as 1 - 0.95^n, so it is corrected
    for their number (Sidak 1967); noise_ks_p_share is how many of them are not.
    """
    spatial, gaussian = [], []
    for seed, (name, style) in enumerate(CLIPS):
        flow = _packaged_guide(name, style).flow
        noise = warped_noise((len(flow), MANY, *PLACES), seed, flow=flow).numpy()
        spatial += [abs(morans_i(frame)) for frame in noise]
        gaussian += [float(kstest(frame.ravel(), "norm").pvalue) for frame in noise]
    yield row("noise_morans_i", max(spatial), "", "<= 0.005", len(spatial))
    corrected = 1 - (1 - min(gaussian)) ** len(gaussian)
    yield row("noise_ks_p_min", corrected, "", ">= 0.05", len(gaussian))
    yield row("noise_ks_p_share", np.mean(np.array(gaussian) >= 0.05), "", ">= 0.9", len(gaussian))


def noise_error_rows(model: KissModel, cases: Sequence[Case]) -> Iterator[Row]:
    """warped_noise_error_ratio, warped_noise_sharpness_off: over those of independent noise.

    At temperature 1 and to the end of the way: by default the noise hardly decides what is painted,
    as warped_noise_error_ratio_default shows.
    """
    errors, default, edges = [], [], []
    for made in (attempt(case, model) for case in cases):
        flows, people = clip_flows(made.truth), made.case.people
        warped, independent = _in_both_noises(made, model, temperature=1.0, lowest=0.03)
        edges.append(sharpness(warped, independent, people))
        errors.append([warping_error(clip, flows, people) for clip in (warped, independent)])
        clips = _in_both_noises(made, model)
        default.append([warping_error(clip, flows, people) for clip in clips])
    yield row("warped_noise_error_ratio", _ratio(errors), "", "<= 0.70", len(errors))
    off = abs(float(np.mean(edges)) - 1)
    yield row("warped_noise_sharpness_off", off, "", "<= 0.05", len(edges))
    yield row("warped_noise_error_ratio_default", _ratio(default), "", "", len(default))


def steady_rows(model: KissModel, cases: Sequence[Case]) -> Iterator[Row]:
    """steady_flicker_ratio, steady_landmark_error_ratio, steady_sharpness_ratio: after / before.

    As the pipeline steadies; the row that ends in "_guide_flow" gives it the guide's flow instead.
    Flicker along the truth's flow; landmarks as MediaPipe finds them, against those that it finds
    in the truth.
    """
    flickers, guided, landmarks, edges = [], [], [], []
    with face_detector() as detect:
        for made in (attempt(case, model) for case in cases):
            clips = (steady(made.frames).frames, made.frames)
            other = steady(made.frames, guide_flows(made.case.guide)).frames
            flows, people = clip_flows(made.truth), made.case.people
            flickers.append([flicker(clip, flows, people) for clip in clips])
            guided.append([flicker(other, flows, people), flickers[-1][1]])
            landmarks += landmark_errors(made, clips, detect)
            edges.append(sharpness(*clips, people))
    yield row("steady_flicker_ratio", _ratio(flickers), "", "< 1", len(flickers))
    yield row("steady_landmark_error_ratio", _ratio(landmarks), "", "<= 1.02", len(landmarks))
    yield row("steady_sharpness_ratio", float(np.mean(edges)), "", "", len(edges))
    yield row("steady_flicker_ratio_guide_flow", _ratio(guided), "", "", len(guided))


def morans_i(planes: Float[np.ndarray, "C h w"]) -> float:
    """Spatial autocorrelation between the four neighbours, mean over planes (Moran 1950).

    I = N / W * sum_ij w_ij z_i z_j / sum_i z_i^2: 0 for white noise, 1 for smooth pictures, -1 for
    a chessboard.
    """
    z = planes - planes.mean(axis=(1, 2), keepdims=True)
    products = [(z[:, 1:] * z[:, :-1]), (z[:, :, 1:] * z[:, :, :-1])]
    pairs = sum(p[0].size for p in products)
    together = sum(p.sum(axis=(1, 2)) for p in products) / pairs
    return float(np.mean(together / (z**2).mean(axis=(1, 2))))


def warping_error(clip: Clip, flows: Flows, mask: Mask) -> float:
    """Mean |V_t - V_t+1 seen along the flow|^2 where both show it (Lai et al. 2018, E_warp)."""
    seen = mask[:-1] & ~flows.hidden_ahead[:-1]
    steps = np.nan_to_num(metrics.warping_error(clip, flows.ahead[:-1], seen))
    return float(np.average(steps, weights=seen.sum(axis=(1, 2))))


def flicker(clip: Clip, flows: Flows, mask: Mask) -> float:
    """Mean |V_t - (V_t-1 + V_t+1) / 2|, both seen along the flow, where all three show it."""
    seen = mask[1:-1] & ~flows.hidden_ahead[1:-1] & ~flows.hidden_behind[1:-1]
    away = [
        np.abs(
            clip[t]
            - (follow(clip[t - 1], flows.behind[t]) + follow(clip[t + 1], flows.ahead[t])) / 2
        ).mean(axis=-1)
        for t in range(1, len(clip) - 1)
    ]
    return float(np.stack(away)[seen].mean())


def landmark_errors(
    made: Attempt, clips: Sequence[Clip], detect: Callable[[np.ndarray], Faces]
) -> list[list[float]]:
    """Mean distance of each clip's landmarks from the truth's, inter-ocular distances.

    One list a face and frame that is found in every clip and in the truth.
    """
    places = planned_points(made.case.motion, made.case.faces)
    out = []
    for t, person in np.ndindex(places.shape[:2]):
        crops = [cut_face(clip[t], places[t, person]) for clip in (made.truth, *clips)]
        faces = [_middle_face(detect(crop)) for crop in crops]
        if all(len(face.points) for face in faces):
            truth, *found = (face.points[0, :, :2] for face in faces)
            away = [np.linalg.norm(points - truth, axis=1).mean() for points in found]
            out.append([float(a / faces[0].iod[0]) for a in away])
    return out


def _in_both_noises(made: Attempt, model: KissModel, **options: float) -> tuple[Clip, Clip]:
    """Painted anew from noise that moves with the guide, and from independent noise."""
    guide = made.case.guide
    warped = partial(warped_noise, flow=guide.flow)
    one, other = (
        repaint(guide, made.conditions, model, noise=noise, **options)
        for noise in (warped, independent_noise)
    )
    return one, other


def _ratio(pairs: Sequence[Sequence[float]]) -> float:
    """Mean of the first ones over mean of the second ones."""
    first, second = np.mean(pairs, axis=0)
    return float(first / second)


def _middle_face(faces: Faces) -> Faces:
    """The one that a square was cut around, or none."""
    return faces.pick(np.flatnonzero(in_middle(faces.boxes))[:1])


def _packaged_guide(name: str, style: str) -> Guide:
    """A second of a packaged couple's kiss, 12 frames of 256 x 192 pixels."""
    photo, faces = small_couple(name)
    return draw_guide(photo, faces, plan_kiss(faces, style, seconds=1.0, fps=12.0))
