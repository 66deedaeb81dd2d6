"""Wan: told the first and last frame, the whole guide, or what of it to keep.
(WanImageToVideo, WanVideoToVideo, WanVACE)
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from diffusers import WanImageToVideoPipeline, WanVACEPipeline, WanVideoToVideoPipeline
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from kisslab.backends.backend import Backend, Told, left, pictures, video
from kisslab.backends.loading import need
from kisslab.motion import Motion
from kisslab.photo import Photo
from kisslab.show import to_uint8

BORDER = 0.6  # of a face's height: how much of the photo around a face is shown as its portrait
GREY = 0.5  # what VACE is shown where it shall paint, as its authors' inpainting does


class _Wan(Backend):
    """What the three have in common: latents of 4 frames each but the first, and a prompt."""

    def __init__(self, model: str, **options: Any):
        need("ftfy", "Wan's prompts")  # diffusers calls it without having looked for it
        super().__init__(model, **options)

    def multiple(self) -> int:
        """The VAE's factor times the side of the network's patches."""
        network = self.pipe.transformer or self.pipe.transformer_2
        return self.pipe.vae_scale_factor_spatial * network.config.patch_size[1]

    def count(self, frames: int) -> int:
        """One, and a multiple of 4."""
        step = self.pipe.vae_scale_factor_temporal
        return -(-(frames - 1) // step) * step + 1


class WanImageToVideo(_Wan):
    """Told the photo, and the guide's contact frame as the last; frames after it stay.

    Models that were trained for a first frame only get that alone. Below strength 1 the guide is
    what it begins with. Wan Team 2025, "Wan: open and advanced large-scale video models".
    """

    pipeline = WanImageToVideoPipeline
    takes = ("WanImageToVideoPipeline",)

    def arguments(self, told: Told) -> dict[str, Any]:
        """First frame, last frame where the network knows it, prompt."""
        out = {
            "image": pictures(told.first[None])[0],
            "prompt": told.prompt,
            "num_frames": len(told.frames),
        }
        if self._knows_last():
            out["last_image"] = pictures(told.frames[-1:])[0]
        else:
            logging.getLogger("kisslab").warning(
                "%s: trained for a first frame only; the contact frame is not told",
                self.pipe.name_or_path,
            )
        if told.strength < 1:
            out["latents"] = self.noised_guide(told, self._encoded(told))
        return out

    def skip(self, told: Told) -> int:
        """The pipeline has no strength."""
        return told.steps - left(told.steps, told.strength)

    def frames(self, motion: Motion) -> int:
        """Up to the contact."""
        return max(motion.contact, 1) + 1

    def _knows_last(self) -> bool:
        """Wan 2.2 reads no picture by CLIP; of Wan 2.1 only FLF2V has places for two of them."""
        if self.pipe.transformer is None or self.pipe.transformer.config.image_dim is None:
            return not self.pipe.config.expand_timesteps  # true of Wan 2.2 5B, first frame only
        return self.pipe.transformer.config.pos_embed_seq_len is not None

    @torch.no_grad()
    def _encoded(self, told: Told) -> Float[Tensor, "1 c n h w"]:
        vae = self.pipe.vae
        frames = video(told.frames).to(self.pipe._execution_device, vae.dtype)
        latents = vae.encode(frames).latent_dist.mode().float()
        mean, deviation = (
            torch.tensor(values, device=latents.device).view(1, -1, 1, 1, 1)
            for values in (vae.config.latents_mean, vae.config.latents_std)
        )
        return (latents - mean) / deviation


class WanVideoToVideo(_Wan):
    """Told the guide and the strength: SDEdit (Meng et al. 2022) with Wan's text-to-video model."""

    pipeline = WanVideoToVideoPipeline
    takes = ("WanVideoToVideoPipeline", "WanPipeline")

    def arguments(self, told: Told) -> dict[str, Any]:
        """The guide, strength, prompt."""
        return {
            "video": pictures(told.frames),
            "strength": told.strength,
            "prompt": told.prompt,
        }


class WanVACE(_Wan):
    """Told the guide, where it is sure of itself, and both portraits as references.

    What is less sure than the strength is painted anew, all steps long. Jiang et al. 2025, "VACE:
    all-in-one video creation and editing".
    """

    pipeline = WanVACEPipeline
    takes = ("WanVACEPipeline",)

    def arguments(self, told: Told) -> dict[str, Any]:
        """Video, mask (white is painted), references, prompt."""
        paint = paint_anew(told)
        return {
            "video": pictures(np.where(paint[..., None], np.float32(GREY), told.frames)),
            "mask": pictures(np.repeat(paint[..., None], 3, axis=-1).astype(np.float32)),
            "reference_images": portraits(told.photo, told.faces.boxes),
            "num_frames": len(told.frames),
            "prompt": told.prompt,
        }

    def unpack(self, latents: Tensor, told: Told) -> Float[Tensor, "n c h w"]:
        """The references ride before the clip."""
        return super().unpack(latents[:, :, len(told.faces.boxes) :], told)


def paint_anew(told: Told) -> Bool[np.ndarray, "N h w"]:
    """Where the guide is less sure than the strength, at the model's size."""
    size = told.first.shape[1::-1]
    sure = [
        np.asarray(Image.fromarray(c.astype(np.float32)).resize(size, Image.Resampling.BOX))
        for c in told.guide.confidence[: len(told.frames)]
    ]
    sure += [sure[-1]] * (len(told.frames) - len(sure))
    return np.stack(sure) < told.strength


def portraits(photo: Photo, boxes: Float[np.ndarray, "P 4"]) -> list[Image.Image]:
    """Each person cut out of the photo with some border around the face, left to right."""
    high, wide = photo.rgb.shape[:2]
    out = []
    for start, top, end, bottom in boxes:
        border = BORDER * (bottom - top)
        x = slice(int(max(0, start - border)), int(min(wide, end + border)))
        y = slice(int(max(0, top - border)), int(min(high, bottom + border)))
        out.append(Image.fromarray(to_uint8(photo.rgb[y, x])))
    return out
