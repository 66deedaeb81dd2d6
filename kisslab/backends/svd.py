"""Stable Video Diffusion: the photo as the first frame. (StableVideoDiffusion)"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import StableVideoDiffusionPipeline
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from kisslab.backends.backend import Backend, Told, left, pictures, video


class StableVideoDiffusion(Backend):
    """Told the photo, and below strength 1 the guide as what to begin with. It reads no prompt.

    Blattmann et al. 2023, "Stable Video Diffusion".
    """

    pipeline = StableVideoDiffusionPipeline
    takes = ("StableVideoDiffusionPipeline",)

    def arguments(self, told: Told) -> dict[str, Any]:
        """The photo; fewer frames at once are decoded than by default, which takes less memory."""
        out = {
            "image": pictures(told.first[None])[0],
            "num_frames": len(told.frames),
            "fps": round(told.guide.fps),
            "decode_chunk_size": 8,
        }
        if told.strength < 1:
            out["latents"] = self.noised_guide(told, self._encoded(told))
        return out

    def unpack(self, latents: Tensor, told: Told) -> Float[Tensor, "n c h w"]:
        """From 1 x T x C x h x w."""
        return latents[0]

    def skip(self, told: Told) -> int:
        """The pipeline has no strength."""
        return told.steps - left(told.steps, told.strength)

    def multiple(self) -> int:
        """The VAE's factor times that of the network's own halvings."""
        return self.pipe.vae_scale_factor * 2 ** (len(self.pipe.unet.config.block_out_channels) - 1)

    @torch.no_grad()
    def _encoded(self, told: Told) -> Float[Tensor, "1 n c h w"]:
        vae = self.pipe.vae
        frames = rearrange(video(told.frames), "1 c t h w -> t c h w")
        frames = frames.to(self.pipe._execution_device, vae.dtype)
        latents = [vae.encode(frame[None]).latent_dist.mode() for frame in frames]
        return torch.cat(latents)[None] * vae.config.scaling_factor
