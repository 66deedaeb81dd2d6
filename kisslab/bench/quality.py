"""How like the truth a clip is, where it matters. (psnr, ssim, sharpness)

Clips are in [0, 1]; `mask` says which pixels count, in all frames together.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from skimage.metrics import structural_similarity

Clip = Float[np.ndarray, "T H W 3"]
Mask = Bool[np.ndarray, "T H W"]


def psnr(clip: Clip, truth: Clip, mask: Mask) -> float:
    """Peak signal-to-noise ratio, dB: 10 log10(1 / mean square error); inf for equal clips."""
    error = np.mean((clip[mask] - truth[mask]) ** 2, dtype=np.float64)
    return float(-10 * np.log10(error)) if error else float("inf")


def ssim(clip: Clip, truth: Clip, mask: Mask) -> float:
    """Structural similarity (Wang et al. 2004, eq. 13, windows of 7 x 7), at most 1.

    Of each colour and frame; the map is averaged over the pixels that count.
    """
    maps = [
        structural_similarity(a, b, channel_axis=-1, data_range=1.0, full=True)[1].mean(axis=-1)
        for a, b in zip(clip, truth, strict=True)
    ]
    return float(np.stack(maps)[mask].mean())


def sharpness(clip: Clip, truth: Clip, mask: Mask) -> float:
    """Gradient energy over that of the truth: 1 as sharp, below 1 softer, above 1 noisier.

    The energy is the mean of dx^2 + dy^2 of luminance between neighbouring pixels (Brenner et al.
    1976, in both directions).
    """
    return float(_energy(clip)[mask].mean() / _energy(truth)[mask].mean())


def _energy(clip: Clip) -> Float[np.ndarray, "T H W"]:
    grey = clip @ np.array([0.2126, 0.7152, 0.0722], clip.dtype)  # ITU-R BT.709
    across = np.diff(grey, axis=2, append=grey[:, :, -1:])
    down = np.diff(grey, axis=1, append=grey[:, -1:])
    return across**2 + down**2
