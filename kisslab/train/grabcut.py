"""Who is person in a photograph, as far as colour tells: a teacher. (person_labels)"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from pymatting import estimate_alpha_cf

from kisslab.cutout import _disc, _fill_holes, _HeadFrame, _seeds, _trimap


def person_labels(
    rgb: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "478 3"]
) -> UInt8[np.ndarray, "h w"]:
    """0 background, 1 person, 2 not sure, for a picture of one person.

    GrabCut (Rother et al. 2004) from what the face tells, then closed-form matting (Levin et al.
    2008); half-covered pixels are not sure.
    """
    frame = _HeadFrame(points)
    trimap = _trimap(_grab_cut(rgb, _seeds(0, [frame], rgb.shape[:2], 1.0)), band=5)
    if trimap.min() > 0 or trimap.max() < 1:  # one side only: nothing to learn from
        return np.full(rgb.shape[:2], 2, np.uint8)
    alpha = estimate_alpha_cf(rgb.astype(np.float64) / 255, trimap)
    return np.where(alpha > 0.9, 1, np.where(alpha < 0.1, 0, 2)).astype(np.uint8)


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
