"""Who every place of a frame looks at while the model denoises. (watch, Attention)"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from diffusers import UNetSpatioTemporalConditionModel
from diffusers.models.attention_processor import Attention as Layer
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from kisslab import show
from kisslab.records import Result, record


@record
class Attention(Result):
    """One cross-attention layer in one call of the network: softmax weights, mean over heads."""

    layer: str  # the module's name in the network
    weights: Float[np.ndarray, "T h w 2"]  # of the left and the right person's identity

    def plot(self, ax: object | None = None) -> None:
        """How much each place of every frame attends to the left person."""
        show.strip(np.repeat(self.weights[..., :1], 3, axis=-1), ax=ax)


@contextmanager
def watch(unet: UNetSpatioTemporalConditionModel, aspect: float) -> Iterator[list[Attention]]:
    """Inside, every spatial cross-attention to the two identities is recorded, in order.

    aspect: width over height of the latents. >>> with watch(model.unet, 4 / 3) as seen: ...
    The network computes as before; only the weights are worked out a second time.
    """
    seen: list[Attention] = []
    layers = {
        name: module
        for name, module in unet.named_modules()
        if isinstance(module, Layer) and name.endswith("attn2") and "temporal" not in name
    }
    before = {name: layer.processor for name, layer in layers.items()}
    for name, layer in layers.items():
        layer.set_processor(_Recorder(name, before[name], seen, aspect))
    try:
        yield seen
    finally:
        for name, layer in layers.items():
            layer.set_processor(before[name])


class _Recorder:
    """A processor that notes the weights and leaves the work to the one it replaced."""

    def __init__(self, name: str, processor: Any, seen: list[Attention], aspect: float):
        self.name, self.processor, self.seen, self.aspect = name, processor, seen, aspect

    def __call__(
        self,
        layer: Layer,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **others: Any,
    ) -> Tensor:
        query = layer.head_to_batch_dim(layer.to_q(hidden_states))
        key = layer.head_to_batch_dim(layer.to_k(encoder_hidden_states))
        weights = layer.get_attention_scores(query, key).detach().float()
        height = round((weights.shape[1] / self.aspect) ** 0.5)
        maps = rearrange(weights, "(t n) (h w) k -> t n h w k", n=layer.heads, h=height).mean(dim=1)
        self.seen.append(Attention(self.name, maps.cpu().numpy()))
        return self.processor(layer, hidden_states, encoder_hidden_states, attention_mask, **others)
