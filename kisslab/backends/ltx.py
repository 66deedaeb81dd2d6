"""LTX-Video: keyframes of the guide, and the guide as what to begin with. (LTXCondition)"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers import LTXConditionPipeline
from diffusers.pipelines.ltx.pipeline_ltx_condition import LTXVideoCondition
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from kisslab.backends.backend import Backend, Told, pictures, video


class LTXCondition(Backend):
    """Told the photo, the contact and the end as keyframes, the strength, and a prompt.

    HaCohen et al. 2025, "LTX-Video: realtime video latent diffusion".
    """

    pipeline = LTXConditionPipeline
    takes = ("LTXConditionPipeline", "LTXPipeline", "LTXImageToVideoPipeline")

    def arguments(self, told: Told) -> dict[str, Any]:
        """Keyframes, strength, prompt."""
        return {
            "conditions": self.keyframes(told),
            "denoise_strength": told.strength,
            "latents": self._encoded(told) if told.strength < 1 else None,
            "num_frames": len(told.frames),
            "frame_rate": told.guide.fps,
            "prompt": told.prompt,
        }

    def keyframes(self, told: Told) -> list[LTXVideoCondition]:
        """The photo, the frame nearest to the contact at which a latent begins, and the last."""
        step, last = self.pipe.vae_temporal_compression_ratio, len(told.frames) - 1
        contact = min(round(told.motion.contact / step) * step, last)
        frames = np.concatenate([told.first[None], told.frames[1:]])
        return [
            LTXVideoCondition(image=pictures(frames[t : t + 1])[0], frame_index=t)
            for t in sorted({0, contact, last})
        ]

    def unpack(self, latents: Tensor, told: Told) -> Float[Tensor, "n c h w"]:
        """From a row of tokens, those of the keyframes first."""
        pipe, (count, high, wide) = self.pipe, told.frames.shape[:3]
        t = (count - 1) // pipe.vae_temporal_compression_ratio + 1
        h, w = (side // pipe.vae_spatial_compression_ratio for side in (high, wide))
        patches = pipe.transformer_spatial_patch_size, pipe.transformer_temporal_patch_size
        tokens = t * h * w // (patches[0] ** 2 * patches[1])
        return rearrange(
            pipe._unpack_latents(
                latents[:, -tokens:], t // patches[1], h // patches[0], w // patches[0], *patches
            ),
            "1 c t h w -> t c h w",
        )

    def multiple(self) -> int:
        """The VAE's factor times the side of the network's patches."""
        return self.pipe.vae_spatial_compression_ratio * self.pipe.transformer_spatial_patch_size

    def count(self, frames: int) -> int:
        """One, and a multiple of 8."""
        step = self.pipe.vae_temporal_compression_ratio
        return -(-(frames - 1) // step) * step + 1

    @torch.no_grad()
    def _encoded(self, told: Told) -> Float[Tensor, "1 c n h w"]:
        vae = self.pipe.vae
        frames = video(told.frames).to(self.pipe._execution_device, vae.dtype)
        latents = vae.encode(frames).latent_dist.mode().float()
        return self.pipe._normalize_latents(latents, vae.latents_mean, vae.latents_std)
