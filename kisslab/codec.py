"""Pictures to latents and back. (Codec, encode, decode)"""

from __future__ import annotations

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput
from diffusers.models.autoencoders.vae import DecoderOutput
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

PATCH = 8  # pixels per latent and side


class Codec(ModelMixin, ConfigMixin):
    """A linear code of 8 x 8 pixel patches, corrected by small convolutional networks.

    Speaks as diffusers' autoencoders do: pictures in [-1, 1], `encode(x).latents`,
    `decode(z).sample`. The linear part starts as the principal components of patches, the
    networks as zero, so training begins at the best linear code (Pearson 1901).
    """

    @register_to_config
    def __init__(self, latent_channels: int = 16, width: int = 64, deep: int = 96):
        super().__init__()
        self.analysis = nn.Conv2d(3, latent_channels, PATCH, PATCH)
        self.detail = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, width, 3, padding=1),
            Residual(width),
            Residual(width),
            nn.Conv2d(width, width, 2, 2),
            nn.SiLU(),
            _zeroed(nn.Conv2d(width, latent_channels, 3, padding=1)),
        )
        self.synthesis = nn.ConvTranspose2d(latent_channels, 3, PATCH, PATCH)
        self.context = nn.Sequential(
            nn.Conv2d(latent_channels, deep, 3, padding=1),
            Residual(deep),
            Residual(deep),
            nn.Conv2d(deep, 4 * 48, 1),
            nn.PixelShuffle(2),
        )
        self.smooth = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, width, 3, padding=1),
        )
        self.mend = nn.Sequential(
            nn.Conv2d(width + 48, width, 3, padding=1),
            Residual(width),
            Residual(width),
            Residual(width),
            _zeroed(nn.Conv2d(width, 48, 3, padding=1)),
            nn.PixelShuffle(4),
        )

    def encode(self, x: Float[Tensor, "B 3 H W"]) -> AutoencoderTinyOutput:
        """H and W must be multiples of 8."""
        return AutoencoderTinyOutput(latents=self.analysis(x) + self.detail(x))

    def decode(self, z: Float[Tensor, "B C h w"]) -> DecoderOutput:
        blocks = self.synthesis(z)
        features = torch.cat([self.smooth(blocks), self.context(z)], dim=1)
        return DecoderOutput(sample=blocks + self.mend(features))


class Residual(nn.Module):
    """x + two 3 x 3 convolutions, the first of them normalised."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.one = nn.Conv2d(width, width, 3, padding=1)
        self.two = _zeroed(nn.Conv2d(width, width, 3, padding=1))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return x + self.two(F.silu(self.one(self.norm(x))))


def _zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
