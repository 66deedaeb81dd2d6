"""Stage 5, the end: what of the model's clip comes into the guide. (paint, Painted)"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float

from kisslab.codec import Codec
from kisslab.guide import Guide
from kisslab.kiss import LONGEST, Conditions, KissModel, decode, load_kiss, model_shape, resized
from kisslab.records import Result, record
from kisslab.samplers import Step
from kisslab.threads import thread_pool

SOFT = 1.5  # pixels at the model's size: deviation of the blur of people's outlines
NEARBY = 3.0  # pixels at the model's size: how far changes are averaged


@record
class Painted(Result):
    """The clip that came out, and what it was made of."""

    frames: Float[np.ndarray, "T H W 3"]
    change: Float[np.ndarray, "T H W 3"]  # what the model added to the guide, at full size
    mask: Float[np.ndarray, "T H W"]  # how much of it was taken: less where the photo is known


@torch.no_grad()
def paint(
    guide: Guide,
    conditions: Conditions,
    last: Step,
    model: KissModel | None = None,
    noise: float = 0.04,
    sure: float = 0.12,
    background: float = 0.4,
) -> Painted:
    """The guide, changed as the model wants, with all the photograph's detail.

    guide + mask * change, change = upsample(decode(latents) - decode(guide's latents)): the codec's
    own error cancels wherever the model agrees with the guide. A change counts by its average over
    a few pixels, 1 - exp(-(|average| / n)^4): n is `noise` (intensities) where the guide made
    people up, so that what is only the sampler's own noise is left out; `sure` where the photo
    knows them, which only great changes may alter, as other light on a turned face; and
    `background` beside them, where the guide may lack hair, and a smear is seen most.
    """
    codec, shape = (model or load_kiss()).codec, guide.frames.shape[1:3]
    frames = np.empty(guide.frames.shape, np.float32)
    change = np.empty(guide.frames.shape, np.float16)  # finer than the codec is
    mask = np.empty(guide.frames.shape[:3], np.float16)

    def one(t: int) -> None:
        latents = np.stack([last.clean[t], conditions.guide[t]])
        small = _difference(codec, latents, model_shape(shape))
        added = resized(small, shape)
        size = resized(np.abs(cv2.GaussianBlur(small, (0, 0), NEARBY)).mean(axis=-1), shape)
        seen, people = guide.confidence[t].astype(np.float32), _people(guide, t)
        own = (1 - seen) * _counts(size, noise) + seen * _counts(size, sure)
        taken = people * own + (1 - people) * _counts(size, background)
        frames[t] = np.clip(guide.frames[t] + taken[..., None] * added, 0, 1)
        change[t], mask[t] = added, taken

    with thread_pool() as pool:  # torch, numpy and OpenCV work outside the GIL
        list(pool.map(one, range(len(frames))))
    return Painted(frames=frames, change=change, mask=mask)


@torch.no_grad()  # torch switches gradients off thread by thread
def _difference(
    codec: Codec, latents: Float[np.ndarray, "2 C h w"], shape: tuple[int, int]
) -> Float[np.ndarray, "H W 3"]:
    """What the first latents show more than the second, at the model's size."""
    made, had = decode(codec, torch.from_numpy(latents))
    return (made - had)[: shape[0], : shape[1]]


def _people(guide: Guide, t: int) -> Float[np.ndarray, "H W"]:
    """Where the guide drew people in frame t, softly."""
    drawn = (guide.layers[t] > 0).astype(np.float32)
    return cv2.GaussianBlur(drawn, (0, 0), SOFT * max(drawn.shape) / LONGEST)


def _counts(size: Float[np.ndarray, "H W"], noise: float) -> Float[np.ndarray, "H W"]:
    """From 0 for changes below `noise` to 1 above; steep, for half a change is a smear."""
    if noise <= 0:
        return (size > 0).astype(np.float32)
    return 1 - np.exp(-((size / noise) ** 4))
