"""What a trained model is, where it comes from and what it can't do. (Card, write_card)"""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import torch

from kisslab.records import Result, atomic, record
from kisslab.train.loop import Recipe


@record
class Card(Result):
    """A model card's facts; `figures` were measured on what was not trained on."""

    title: str
    task: str
    data: str
    recipe: Recipe
    seconds: float
    figures: dict[str, float]
    limits: str
    licence: str = "Apache-2.0"


def write_card(card: Card, folder: str | Path, work: str | Path) -> Path:
    """Write README.md, with the front matter of model hubs, and the training curve beside it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(work) / "curve.csv", folder / "curve.csv")
    with atomic(folder / "README.md") as part:
        part.write_text(_text(card), encoding="utf-8")
    return folder / "README.md"


def _text(card: Card) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in card.recipe.items())
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in card.figures.items())
    return f"""---
license: {card.licence.lower()}
library_name: kisslab
---
# {card.title}

{card.task[0].upper()}{card.task[1:]}.

- **Data**: {card.data}. Nobody pictured exists.
- **Training**: {settings}.
- **Time and hardware**: {card.seconds / 60:.1f} minutes on {_hardware()}; curve.csv has the losses.
- **Limits**: {card.limits}
- **Licence**: {card.licence}

| figure | value |
|---|---|
{rows}
"""


def _hardware() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{os.cpu_count()} cores ({platform.machine()}), PyTorch {torch.__version__}"
