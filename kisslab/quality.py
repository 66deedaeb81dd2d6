"""How a clip looks: how steady, how sharp, how like the truth.

(looks, Looks, psnr, ssim, sharpness, background)

Clips are in [0, 1]; `mask` says which pixels count, in all frames together.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float
from skimage.metrics import structural_similarity

from kisslab import show
from kisslab.guide import Guide
from kisslab.metrics import flicker, warping_error
from kisslab.records import Result, record

Clip = Float[np.ndarray, "T H W 3"]
Mask = Bool[np.ndarray, "T H W"]


@record
class Looks(Result):
    """What is seen of the pixels, by the plan's own measure of where they should go."""

    sharpness: Float[np.ndarray, " T"]  # of the people, 1 is the guide's
    ways: Bool[np.ndarray, "T-1 H W"]  # pixels that are held to the plan, see metrics.known_ways
    still: Bool[np.ndarray, "H W"]  # pixels that nobody ever comes near
    warping: Float[np.ndarray, " T-1"]  # see metrics.warping_error
    guide_warping: Float[np.ndarray, " T-1"]  # the guide's own
    flicker: Float[np.ndarray, " T-1"]  # levels of 255, see metrics.flicker
    psnr: float  # dB, of the people, against the truth; NaN where there is none
    ssim: float

    def plot(self, ax: object | None = None) -> None:
        """Sharpness, and warping error in thousandths."""
        warping = {"clip": self.warping, "guide": self.guide_warping}
        series = {f"1000 x warping error, {k}": np.r_[np.nan, 1e3 * v] for k, v in warping.items()}
        series["sharpness / guide's"] = self.sharpness
        show.curve(np.arange(len(self.sharpness)), series, ax=ax, x_label="frame")


def looks(clip: Clip, guide: Guide, ways: Bool[np.ndarray, "T-1 H W"], truth: Clip | None) -> Looks:
    """Hold a clip's pixels against the plan's flow, the guide, and the truth where it is known."""
    flow, drawn = guide.flow[:-1].astype(np.float32), guide.frames.astype(np.float32)
    people = guide.layers > 0
    still = background(people)
    known = truth is not None
    return Looks(
        ways=ways,
        still=still,
        warping=warping_error(clip, flow, ways),
        guide_warping=warping_error(drawn, flow, ways),
        flicker=flicker(clip, still),
        sharpness=np.array(
            [
                sharpness(clip[t : t + 1], drawn[t : t + 1], people[t : t + 1])
                for t in range(len(clip))
            ]
        ),
        psnr=psnr(clip, truth, people) if known else float("nan"),
        ssim=ssim(clip, truth, people) if known else float("nan"),
    )


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

    The energy is the mean of dx^2 + dy^2 of luminance between neighbouring pixels (Subbarao et al.
    1993, "energy of image gradient").
    """
    return float(_energy(clip)[mask].mean() / _energy(truth)[mask].mean())


def background(people: Mask, margin: int = 4) -> Bool[np.ndarray, "H W"]:
    """What is wall in all frames, more than `margin` pixels away from where anybody ever is."""
    ever = people.any(axis=0).astype(np.uint8)
    return cv2.dilate(ever, np.ones((2 * margin + 1,) * 2, np.uint8)) == 0


def _energy(clip: Clip) -> Float[np.ndarray, "T H W"]:
    grey = clip @ np.array([0.2126, 0.7152, 0.0722], clip.dtype)  # ITU-R BT.709
    across = np.diff(grey, axis=2, append=grey[:, :, -1:])
    down = np.diff(grey, axis=1, append=grey[:, -1:])
    return across**2 + down**2
