"""The plugged-in models at their published size, random weights: what they hold, what we cost.

(FULL, full_network, enlarge, size_rows, memory_and_overhead)
Autoencoders and text encoders stay tiny: what is new in each model, and what fills the memory, is
its network. All of it needs a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kisslab.backends import (
    Backend,
    LTXCondition,
    StableVideoDiffusion,
    WanImageToVideo,
    WanVACE,
    WanVideoToVideo,
)
from kisslab.bench.backends import load_tiny, small_records
from kisslab.bench.costs import seconds
from kisslab.bench.rows import Row, row

SMALL_WAN = {"num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960,
             "num_layers": 30, "freq_dim": 256}  # fmt: skip
LARGE_WAN = {"num_attention_heads": 40, "attention_head_dim": 128, "ffn_dim": 13824,
             "num_layers": 40, "freq_dim": 256}  # fmt: skip
# What of each network's configuration makes it as large as the published one.
FULL: dict[type[Backend], dict[str, Any]] = {
    StableVideoDiffusion: {
        "block_out_channels": (320, 640, 1280, 1280), "num_attention_heads": (5, 10, 20, 20),
        "layers_per_block": 2, "down_block_types": (
            *["CrossAttnDownBlockSpatioTemporal"] * 3, "DownBlockSpatioTemporal",
        ), "up_block_types": (
            "UpBlockSpatioTemporal", *["CrossAttnUpBlockSpatioTemporal"] * 3,
        ),
    },
    WanImageToVideo: LARGE_WAN,
    WanVideoToVideo: SMALL_WAN,
    WanVACE: {**SMALL_WAN, "vace_layers": list(range(0, 30, 2))},
    LTXCondition: {"num_attention_heads": 32, "attention_head_dim": 64, "num_layers": 28,
                   "cross_attention_dim": 2048},
}  # fmt: skip
SETTINGS = {"strength": 1.0, "steps": 10, "seed": 0}  # at less some bare pipelines make more steps


def size_rows(folder: Path) -> Iterator[Row]:
    """full_gb_BACKEND, full_overhead_BACKEND: peak memory, and our time over the bare pipeline's.

    Nothing where there is no GPU.
    """
    if not torch.cuda.is_available():
        return
    records = small_records()
    for kind in FULL:
        backend = load_tiny(kind, folder, device="cuda", dtype=torch.bfloat16)
        enlarge(backend, "cuda")
        memory, overhead = memory_and_overhead(backend, records)
        yield row(f"full_gb_{kind.__name__}", memory, "GB", "", 1)
        yield row(f"full_overhead_{kind.__name__}", overhead, "", "<= 0.05", 1)


def full_network(backend: Backend, device: str) -> nn.Module:
    """The backend's network at its published size, random weights in bfloat16."""
    old = getattr(backend.pipe, _part(backend))
    config = {**old.config, **FULL[type(backend)]}
    with torch.device("meta"):
        network = type(old).from_config(config).to(torch.bfloat16)
    if device == "meta":
        return network
    network = network.to_empty(device=device)
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.02)
    # Buffers (tables of sines) are no weights: they are those of a small network of that shape.
    shallow = type(old).from_config({**config, **_shallow(config)})
    fresh = dict(shallow.named_buffers())
    for name, buffer in network.named_buffers():
        buffer.copy_(fresh[name])
    return network.eval()


def enlarge(backend: Backend, device: str) -> None:
    """Put the network of published size into the backend's pipeline."""
    setattr(backend.pipe, _part(backend), full_network(backend, device))


def memory_and_overhead(backend: Backend, records: tuple[Any, ...]) -> tuple[float, float]:
    """(peak gigabytes on the GPU, our seconds over the bare pipeline's, less 1), each ran before.

    On a CPU the memory is 0.
    """
    told = backend.tell(*records, **SETTINGS)
    high, wide = told.first.shape[:2]
    bare = {"height": high, "width": wide, "num_inference_steps": told.steps,
            "output_type": "np", **backend.arguments(told)}  # fmt: skip
    ways = (lambda: list(backend(*records, **SETTINGS)), lambda: backend.pipe(**bare))
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    ours, theirs = (min(seconds(way) for _ in range(3)) for way in ways)
    memory = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0
    return memory, ours / theirs - 1


def _part(backend: Backend) -> str:
    """The name that the pipeline has for its network."""
    return "unet" if "unet" in backend.pipe.components else "transformer"


def _shallow(config: dict[str, Any]) -> dict[str, Any]:
    """The same widths with one layer."""
    return {"num_layers": 1, "vace_layers": [0]} if "vace_layers" in config else {"num_layers": 1}
