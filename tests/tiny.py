"""A kiss model of random weights, and what it may be told. (tiny_model, tiny_conditions)"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import UNetSpatioTemporalConditionModel

from kisslab.codec import Codec
from kisslab.kiss import CHANNELS, Conditions, KissModel


def tiny_model(identity: int = 8) -> KissModel:
    """In the shipped model's layout of channels, with a hundredth of its weights."""
    torch.manual_seed(5)
    unet = UNetSpatioTemporalConditionModel(
        sample_size=16,
        in_channels=16 + CHANNELS["motion"].stop,
        out_channels=16,
        down_block_types=("DownBlockSpatioTemporal", "CrossAttnDownBlockSpatioTemporal"),
        up_block_types=("CrossAttnUpBlockSpatioTemporal", "UpBlockSpatioTemporal"),
        block_out_channels=(32, 32),
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=32,
        layers_per_block=1,
        cross_attention_dim=identity,
        num_attention_heads=2,
    )
    return KissModel(unet.eval(), Codec(width=8, deep=8).eval())


def tiny_conditions(frames: int = 3, places: tuple[int, int] = (4, 6), seed: int = 0) -> Conditions:
    """Noise in every field; places: high, wide."""
    rng = np.random.default_rng(seed)

    def noise(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    identity = noise(2, 8)
    return Conditions(
        guide=noise(frames, 16, *places),
        confidence=noise(frames, 16, *places),
        first=noise(16, *places),
        motion=noise(frames, 32, *places),
        identity=identity / np.linalg.norm(identity, axis=1, keepdims=True),
    )
