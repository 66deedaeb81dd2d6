"""One loop trains every model: accelerate, checkpoints, curves. (Recipe, fit, seconds_spent)"""

from __future__ import annotations

import csv
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from diffusers.optimization import get_cosine_schedule_with_warmup
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from tqdm import tqdm

from kisslab.records import Result, atomic, record

Batch = dict[str, Tensor]


@record
class Recipe(Result):
    """How long and how fast to train."""

    steps: int
    rate: float = 1e-3  # peak of AdamW's learning rate; cosine to zero after a linear warmup
    warmup: int = 100
    decay: float = 0.01  # AdamW's weight decay
    clip: float = 1.0  # largest norm of the gradient
    average: float = 0.999  # of the exponential moving average of the weights
    save_every: int = 200  # steps between checkpoints
    precision: str = "bf16"
    channels_last: bool = True  # faster for convolutions, slower for group norms
    seed: int = 0


def fit(
    model: nn.Module,
    batch: Callable[[np.random.Generator], Batch],
    loss: Callable[[nn.Module, Batch], Batch],
    folder: str | Path,
    recipe: Recipe,
) -> nn.Module:
    """Train `model` and return it with its averaged weights, in evaluation mode.

    batch: draws one process's batch. loss: named losses whose sum is minimised. `folder` gets
    curve.csv and the newest checkpoint: a call that was killed goes on where that was saved.
    """
    accelerator = Accelerator(mixed_precision=recipe.precision, cpu=not torch.cuda.is_available())
    _prepare(model, recipe)
    optimizer = torch.optim.AdamW(
        model.parameters(), recipe.rate, betas=(0.9, 0.98), weight_decay=recipe.decay
    )
    schedule = get_cosine_schedule_with_warmup(optimizer, recipe.warmup, recipe.steps)
    model, optimizer = accelerator.prepare(model, optimizer)
    average = EMAModel(model.parameters(), decay=recipe.average, use_ema_warmup=True, power=0.75)
    average.to(accelerator.device)
    accelerator.register_for_checkpointing(average, schedule)
    folder = Path(folder)
    first = _resume(accelerator, folder)
    curve = _Curve(folder / "curve.csv", first)
    for step in tqdm(range(first, recipe.steps), initial=first, total=recipe.steps):
        rng = np.random.default_rng([recipe.seed, step, accelerator.process_index])
        drawn = {name: x.to(accelerator.device) for name, x in batch(rng).items()}
        with accelerator.autocast():
            losses = loss(model, drawn)
        accelerator.backward(sum(losses.values()))
        accelerator.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        average.step(model.parameters())
        if accelerator.is_main_process:
            curve.add(step, losses)
        if (step + 1) % recipe.save_every == 0 or step + 1 == recipe.steps:
            _save(accelerator, folder, step + 1)
    average.copy_to(model.parameters())
    return accelerator.unwrap_model(model).eval()


def seconds_spent(folder: str | Path) -> float:
    """Training time so far, resumed runs included."""
    with open(Path(folder) / "curve.csv", newline="") as file:
        return float(list(csv.DictReader(file))[-1]["seconds"])


def _prepare(model: nn.Module, recipe: Recipe) -> None:
    """Seeds, threads and the memory format of the weights."""
    set_seed(recipe.seed)
    # Some imports (numba) set the threads anew: what the environment asks for counts.
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    torch.set_flush_denormal(True)  # gradients near zero, as zeroed layers have them, are slow
    for weight in model.parameters():
        if (
            weight.ndim == 4 and recipe.channels_last
        ):  # convolutions of pictures are faster so, those of clips can't be
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)


def _resume(accelerator: Accelerator, folder: Path) -> int:
    """Load the newest checkpoint; the number of steps that it has seen."""
    folder.mkdir(parents=True, exist_ok=True)
    states = sorted(folder.glob("state_*[0-9]"))
    if not states:
        return 0
    accelerator.load_state(str(states[-1]), load_kwargs={"weights_only": True})
    return int(states[-1].name.removeprefix("state_"))


def _save(accelerator: Accelerator, folder: Path, step: int) -> None:
    """A checkpoint has its name only when it is complete; older ones go."""
    path = folder / f"state_{step:07d}"
    part = folder / f"{path.name}.part"
    accelerator.save_state(str(part))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        os.replace(part, path)
        for old in folder.glob("state_*"):
            if old != path:
                shutil.rmtree(old)
    accelerator.wait_for_everyone()


class _Curve:
    """Losses every twentieth step, as rows of a CSV file; rows after `first` are forgotten."""

    def __init__(self, path: Path, first: int):
        self.path, rows = path, []
        with suppress(FileNotFoundError), open(path, newline="") as file:
            rows = [row for row in csv.reader(file)][1:]
        self.rows = [row for row in rows if int(row[0]) < first]
        self.before = float(self.rows[-1][1]) if self.rows else 0.0
        self.start = time.monotonic()

    def add(self, step: int, losses: Batch) -> None:
        if step % 20:
            return
        seconds = self.before + time.monotonic() - self.start
        values = [f"{float(x.detach()):.5g}" for x in losses.values()]
        self.rows.append([str(step), f"{seconds:.1f}", *values])
        with atomic(self.path) as part, open(part, "w", newline="") as file:
            csv.writer(file).writerows([["step", "seconds", *losses], *self.rows])
