"""Who is person in a photograph, as far as colour tells: a teacher. (person_labels)"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from pymatting import estimate_alpha_cf

from kisslab.cutout import _disc, _fill_holes, _HeadFrame


def person_labels(
    rgb: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "478 3"]
) -> UInt8[np.ndarray, "h w"]:
    """0 background, 1 person, 2 not sure, for a picture of one person.

    GrabCut (Rother et al. 2004) from what the face tells, then closed-form matting (Levin et al.
    2008); half-covered pixels are not sure.
    """
    frame = _HeadFrame(points)
    trimap = _trimap(_grab_cut(rgb, _seeds(frame, rgb.shape[:2])), band=5)
    if trimap.min() > 0 or trimap.max() < 1:  # one side only: nothing to learn from
        return np.full(rgb.shape[:2], 2, np.uint8)
    alpha = estimate_alpha_cf(rgb.astype(np.float64) / 255, trimap)
    return np.where(alpha > 0.9, 1, np.where(alpha < 0.1, 0, 2)).astype(np.uint8)


def _seeds(frame: _HeadFrame, shape: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
    """What the face alone tells GrabCut: surely, probably, hardly, surely not the person."""
    a, b = frame.coordinates(shape, 1.0)
    shoulder = np.clip(b - 0.5, 0, None)
    seeds = np.full(shape, cv2.GC_PR_BGD, np.uint8)
    seeds[(a / 0.78) ** 2 + ((b + 0.12) / 0.85) ** 2 < 1] = cv2.GC_PR_FGD
    seeds[(b > 0.5) & (np.abs(a) < 0.42 + 4.5 * shoulder)] = cv2.GC_PR_FGD
    seeds[((a / 1.6) ** 2 + ((b + 0.1) / 1.15) ** 2 > 1) & (b < 0.3)] = cv2.GC_BGD
    seeds[(np.abs(a) > 2.2) | (b < -1.3)] = cv2.GC_BGD
    hull = cv2.convexHull(frame.points[:, :2].astype(np.int32))
    face = cv2.erode(cv2.fillConvexPoly(np.zeros(shape, np.uint8), hull, 1), np.ones((5, 5)))
    seeds[face > 0] = cv2.GC_FGD
    seeds[(np.abs(a) < 0.3) & (b > -0.56) & (b < 0.6)] = cv2.GC_FGD
    seeds[(b > 0.5) & (np.abs(a) < np.minimum(0.3 + 0.6 * shoulder, 1.25))] = cv2.GC_FGD
    return seeds


def _grab_cut(rgb: UInt8[np.ndarray, "h w 3"], seeds: UInt8[np.ndarray, "h w"]) -> np.ndarray:
    """The outline without islands and small holes; nothing where GrabCut has no two sides."""
    person = int(np.isin(seeds, (cv2.GC_FGD, cv2.GC_PR_FGD)).sum())
    if min(person, seeds.size - person) < 5:  # fewer than its colour clusters: GrabCut crashes
        return np.zeros(seeds.shape, bool)
    cv2.setRNGSeed(0)  # GrabCut's clusters start at random
    models = np.zeros((1, 65)), np.zeros((1, 65))
    seeds, *_ = cv2.grabCut(
        np.ascontiguousarray(rgb[..., ::-1]), seeds.copy(), None, *models, 8, cv2.GC_INIT_WITH_MASK
    )
    mask = np.isin(seeds, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    for how, size in ((cv2.MORPH_OPEN, 5), (cv2.MORPH_CLOSE, 7)):
        mask = cv2.morphologyEx(mask, how, _disc(size))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return np.zeros(seeds.shape, bool)
    return _fill_holes(labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))


def _trimap(mask: Bool[np.ndarray, "h w"], band: int) -> Float[np.ndarray, "h w"]:
    sure = cv2.erode(mask.astype(np.uint8), _disc(2 * band - 1), borderValue=1) > 0
    near = cv2.dilate(mask.astype(np.uint8), _disc(2 * band + 1)) > 0
    return np.where(sure, 1.0, np.where(near, 0.5, 0.0))
