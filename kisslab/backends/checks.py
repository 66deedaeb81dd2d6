"""What is wrong with a pipeline's folder, and whether there is room for its weights.
(check_folder, weigh, check_room, Part)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
from safetensors import SafetensorError, safe_open

from kisslab.zoo import ModelMissing

AGAIN = "fetch it again (the download goes on where it stopped)"
INDEX = "model_index.json"


class Part(NamedTuple):
    """A network of a pipeline."""

    name: str
    size: int  # bytes of its weights, as they will be loaded
    largest: int  # bytes of its largest tensor


def check_folder(folder: Path, takes: tuple[str, ...], given: tuple[str, ...] = ()) -> None:
    """ValueError: holds no pipeline that is in `takes`. ModelMissing: a part is not there.

    given: parts that the caller brings along.
    """
    index = _read(folder / INDEX, "not a pipeline in diffusers format, or not all of one")
    if index.get("_class_name") not in takes:
        raise ValueError(
            f"{folder}: holds a {index.get('_class_name')}; this backend takes a "
            f"{' or a '.join(takes)}: give a folder of that kind, or use the backend made for it"
        )
    for name in _parts(index):
        if name not in given and not any((folder / name).glob("*config.json")):
            raise ModelMissing(f"{folder}: {name}/ is not there or has no configuration; {AGAIN}")


def weigh(folder: Path, dtype: torch.dtype, variant: str | None = None) -> tuple[Part, ...]:
    """Every network of the pipeline and the bytes it will take; only the files' heads are read.

    ModelMissing: weights are not there, a shard is missing, or a file is cut off.
    """
    index = _read(folder / INDEX, "not a pipeline in diffusers format")
    networks = [name for name in _parts(index) if (folder / name / "config.json").is_file()]
    return tuple(_weigh(folder / name, dtype, variant) for name in networks)


def check_room(
    model: str, parts: tuple[Part, ...], dtype: torch.dtype, offload: str, device: str
) -> None:
    """MemoryError if the weights alone don't fit, with what would. Activations come on top.

    offload: name of the way to place them; ways that are not ours are not judged.
    """
    if device == "cpu" and offload in ("by_part", "by_layer"):
        raise ValueError(f"offload={offload} needs a GPU to offload from; leave it out on the CPU")
    needs, free, main = ways(parts), free_bytes(device), free_bytes("cpu")
    wanted = needs.get(offload, 0)
    home = needs["whole"] if offload in ("by_part", "by_layer") else 0  # it waits in main memory
    if wanted <= free and home <= main:
        return
    fits = []
    if device != "cpu" and needs["whole"] <= main:
        fits = [f"offload={way} ({_gb(size)})" for way, size in needs.items() if size <= free]
    if dtype.itemsize > 2 and wanted / 2 <= free and home / 2 <= main:
        fits.append(f"dtype=torch.bfloat16 ({_gb(wanted / 2)})")
    raise MemoryError(
        f"{model}: its weights take {_gb(wanted)} on {device} as {str(dtype)[6:]} with "
        f"offload={offload}, and {_gb(free)} are free there ({_gb(main)} of main memory); what "
        f"would fit: {' or '.join(fits) or 'a smaller model, or a larger machine'}"
    )


def ways(parts: tuple[Part, ...]) -> dict[str, int]:
    """Bytes on the device by each way to place the parts."""
    return {
        "whole": sum(part.size for part in parts),
        "by_part": max((part.size for part in parts), default=0),
        "by_layer": max((part.largest for part in parts), default=0),
    }


def free_bytes(device: str) -> int:
    """Memory that is free on a GPU, or in the machine."""
    if device == "cpu":
        return psutil.virtual_memory().available
    return torch.cuda.mem_get_info(torch.device(device))[0]


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"


def _parts(index: dict[str, Any]) -> list[str]:
    """Names of the parts that a pipeline has: [library, class], both null for one left out."""
    return [name for name, kind in index.items() if isinstance(kind, list) and kind[0] is not None]


def _weigh(place: Path, dtype: torch.dtype, variant: str | None) -> Part:
    size, largest = 0, 0
    for file in _files(place, variant):
        for tensor in _tensors(file, dtype):
            size, largest = size + tensor, max(largest, tensor)
    return Part(place.name, size, largest)


def _files(place: Path, variant: str | None) -> list[Path]:
    """The weights of a network: one file, or all shards that its index names."""

    def wanted(path: Path) -> bool:
        middle = path.name.removesuffix(".json").replace(".index", "").split(".")[1:]
        return (variant in middle) if variant else set(middle) <= {"safetensors"}

    indices = [path for path in place.glob("*.safetensors.index*.json") if wanted(path)]
    if indices:
        names = set(_read(indices[0], "damaged")["weight_map"].values())
        files = [place / name for name in sorted(names)]
    else:
        files = [path for path in sorted(place.glob("*.safetensors")) if wanted(path)]
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise ModelMissing(
            f"{place}: {len(missing)} of {len(files)} files of weights are not there, first "
            f"{missing[0]}; {AGAIN}"
        )
    if not files:
        there = ", ".join(path.name for path in place.glob("*model*")) or "nothing"
        raise ModelMissing(
            f"{place}: no weights in safetensors (variant={variant}), there is {there}; "
            f"{AGAIN}, or name their variant (variant='fp16', say)"
        )
    return files


def _tensors(file: Path, dtype: torch.dtype) -> Iterator[int]:
    """Bytes of each tensor of a file as it will be loaded: whole numbers keep their own size."""
    try:
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118  (it is no dict)
                head = tensors.get_slice(name)
                kind = head.get_dtype()
                floats = kind.startswith(("F", "BF"))
                yield int(torch.Size(head.get_shape()).numel()) * (
                    dtype.itemsize if floats else int(kind.lstrip("UIBOL") or 8) // 8
                )
    except SafetensorError as error:
        raise ModelMissing(f"{file}: cut off or damaged ({error}); {AGAIN}") from error


def _read(path: Path, otherwise: str) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ModelMissing(f"{path.parent}: no {path.name}: {otherwise}; {AGAIN}") from error
    except ValueError as error:
        raise ModelMissing(f"{path}: damaged ({error}); {AGAIN}") from error
