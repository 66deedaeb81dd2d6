"""A model's name or folder in, a diffusers pipeline out, or one line that says what is wrong.
(load_pipeline, whole, by_part, by_layer, add_lora, save_memory; find_folder, read_weights, need)
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file
from torch import Tensor

from kisslab.backends.checks import check_folder, check_room, weigh
from kisslab.backends.hub import fetched
from kisslab.zoo import ModelMissing

Offload = Callable[[DiffusionPipeline, str], None]


def load_pipeline(
    pipeline: type[DiffusionPipeline],
    model: str | Path,
    takes: tuple[str, ...],
    dtype: torch.dtype,
    offload: Offload,
    device: str,
    **options: Any,
) -> DiffusionPipeline:
    """The pipeline of a local folder, or of a name on the Hugging Face Hub (fetched once).

    takes: names of pipelines whose folders will do. offload, device: where it is going to be; it
    comes in main memory. Everything is checked before a weight is read. options: for
    from_pretrained. ModelMissing: not there, not whole, gated, or offline; ValueError: another kind
    of model; MemoryError: its weights don't fit, and what would.
    """
    folder = find_folder(pipeline, model, **options)
    check_folder(folder, takes, given=tuple(options))
    parts = weigh(folder, dtype, options.get("variant"))
    way = getattr(offload, "__name__", "a function of your own")
    check_room(str(model), parts, dtype, way, device)
    inside = {name: value for name, value in options.items() if name not in ("token", "revision")}
    pipe = pipeline.from_pretrained(
        folder, torch_dtype=dtype, local_files_only=True, use_safetensors=True, **inside
    )
    pipe.set_progress_bar_config(disable=True)  # its steps are the caller's own loop
    return pipe


def whole(pipe: DiffusionPipeline, device: str) -> None:
    """All parts stay on the device: fastest, most memory."""
    pipe.to(device)


def by_part(pipe: DiffusionPipeline, device: str) -> None:
    """One part at a time on the GPU, the others in main memory. Needs accelerate."""
    need("accelerate", "offloading")
    pipe.enable_model_cpu_offload(device=device)


def by_layer(pipe: DiffusionPipeline, device: str) -> None:
    """One layer at a time on the GPU: slowest, least memory. Needs accelerate."""
    need("accelerate", "offloading")
    pipe.enable_sequential_cpu_offload(device=device)


def add_lora(
    pipe: DiffusionPipeline, weights: str | Path | dict[str, Tensor], scale: float = 1.0
) -> None:
    """Add LoRA weights (Hu et al. 2022) to a pipeline: a .safetensors, local or on the Hub.

    ImportError: without peft diffusers would only warn. ValueError: they fit nothing in this model.
    """
    need("peft", "LoRA weights", extra="lora")
    state = weights if isinstance(weights, dict) else load_file(_weights_file(weights))
    name = "lora" if isinstance(weights, dict) else Path(weights).stem.replace(".", "_")
    pipe.load_lora_weights(state, adapter_name=name)
    if name not in pipe.get_active_adapters():
        raise ValueError(
            f"{name}: none of its {len(state)} tensors fits a {type(pipe).__name__}; take LoRA "
            "weights that were trained for this very model"
        )
    pipe.set_adapters([name], [scale])


def save_memory(pipe: DiffusionPipeline) -> tuple[str, ...]:
    """Switch on what this pipeline has of VAE tiling and slicing and of sliced attention.

    Returns what was switched on. Attention stays whole where an IP-Adapter rides in it.
    """
    done = []
    for name in ("enable_tiling", "enable_slicing"):
        try:
            getattr(pipe.vae, name)()
        except NotImplementedError:  # diffusers' way to say that this VAE has none
            continue
        done.append(f"VAE {name.removeprefix('enable_')}")
    network = pipe.components.get("unet")
    if callable(getattr(network, "set_attention_slice", None)) and not network.encoder_hid_proj:
        pipe.enable_attention_slicing()
        done.append("attention slicing")
    return tuple(done)


def find_folder(kind: type, model: str | Path, **options: Any) -> Path:
    """The folder of a model: itself, or fetched from the Hub. ModelMissing says why not."""
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.exists() or str(model).count("/") != 1 or str(model)[0] in "./~":
        raise ModelMissing(
            f"{model}: no such folder; give a folder in diffusers format, or owner/name of the Hub"
        )
    known = {n: options[n] for n in ("token", "revision", "variant") if n in options}
    return fetched(kind, str(model), known)


def read_weights(file: str | Path) -> dict[str, Any]:
    """Tensors of a .safetensors or .bin, nested by their first name as IP-Adapters are."""
    path = _weights_file(file)
    if path.suffix != ".safetensors":
        return torch.load(path, map_location="cpu", weights_only=True)
    out: dict[str, Any] = {}
    for name, tensor in load_file(path).items():
        first, rest = name.split(".", 1)
        out.setdefault(first, {})[rest] = tensor
    return out


def need(package: str, what: str, extra: str = "large") -> None:
    """ImportError with the remedy where a package is not installed."""
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise ImportError(
            f"{what} need {package}, which is not installed: pip install 'kisslab[{extra}]'"
        ) from error


def _weights_file(file: str | Path) -> Path:
    """A local file, or owner/repository/file of the Hub."""
    path = Path(file).expanduser()
    if path.is_file():
        return path
    if str(file).count("/") < 2 or str(file)[0] in "./~":
        raise ModelMissing(
            f"{file}: no such file; give a file, or owner/repository/file of the Hub"
        )
    owner, name, inside = str(file).split("/", 2)
    return fetched(None, f"{owner}/{name}", {"filename": inside})
