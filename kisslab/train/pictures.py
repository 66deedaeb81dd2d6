"""Pictures to train on: studio people and photographs, and how they are varied.

(Photographs, read_photographs, read_views, crops, varied)
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from kisslab.studio.dataset import Views


def held_out(path: Path) -> bool:
    """Whether a photograph is kept for measuring: a quarter of them, by a hash of the name."""
    return hashlib.sha256(path.stem.encode()).digest()[0] % 4 == 0


def photographs(folder: str | Path, *, held: bool) -> list[Path]:
    """The photographs under `folder` that are held out for measuring, or those that are not."""
    paths = sorted(Path(folder).glob("*/*.jpg"))
    if not paths:
        raise FileNotFoundError(f"{folder}: no photographs; it should hold folders of .jpg files")
    return [path for path in paths if held_out(path) == held]


def read_photographs(folder: str | Path, *, size: int, held: bool) -> UInt8[np.ndarray, "N H W 3"]:
    """The middle square of each photograph, size x size pixels."""
    return np.stack([_square(path, size) for path in photographs(folder, held=held)])


def read_views(folder: str | Path) -> list[Views]:
    """All studio people that `write_views` has finished in `folder`."""
    paths = sorted(Path(folder).glob("person_*.npz"))
    if not paths:
        raise FileNotFoundError(f"{folder}: no person_*.npz; write them with kisslab.studio")
    return [Views.load(path) for path in paths]


def crops(
    pictures: UInt8[np.ndarray, "N H W 3"], rng: np.random.Generator, count: int, size: int
) -> Float[Tensor, "B 3 size size"]:
    """Random squares of size x size pixels, in [0, 1], half of them mirrored."""
    out = []
    for k in rng.integers(0, len(pictures), count):
        y, x = (int(rng.integers(0, n - size + 1)) for n in pictures[k].shape[:2])
        crop = pictures[k, y : y + size, x : x + size]
        out.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return torch.from_numpy(np.stack(out)).permute(0, 3, 1, 2).float() / 255


def varied(x: Float[Tensor, "B 3 H W"], rng: np.random.Generator) -> Float[Tensor, "B 3 H W"]:
    """Other light, colour, contrast, sharpness and noise, drawn for each picture."""
    n = len(x)

    def draw(low: float, high: float, columns: int = 1) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (n, columns, 1, 1)).astype(np.float32))

    grey = x.mean(dim=1, keepdim=True)
    x = grey + (x - grey) * draw(0.4, 1.5)
    x = x.clamp(1e-4, 1) ** draw(0.65, 1.5) * draw(0.85, 1.15, 3)
    middle = x.mean(dim=(1, 2, 3), keepdim=True)
    x = middle + (x - middle) * draw(0.7, 1.25)
    soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    x = x + (soft - x) * draw(-0.4, 1.0)
    noise = torch.from_numpy(rng.normal(size=tuple(x.shape)).astype(np.float32))
    return (x + noise * draw(-0.02, 0.06).clamp(min=0)).clamp(0, 1)


def _square(path: Path, size: int) -> UInt8[np.ndarray, "size size 3"]:
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    side = min(picture.size)
    left, top = ((n - side) // 2 for n in picture.size)
    box = (left, top, left + side, top + side)
    return np.asarray(picture.resize((size, size), Image.Resampling.LANCZOS, box))
