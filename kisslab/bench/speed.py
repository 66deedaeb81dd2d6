"""Area speed: what each stage costs, how the model's cost grows, and peers beside it.

(measure, stage_rows, growth_rows, write_plot)
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import torch

from kisslab import zoo
from kisslab.bench.costs import best_seconds, demo_rows
from kisslab.bench.inputs import small_couple
from kisslab.bench.made import attempt, studio_cases
from kisslab.bench.models import step_rows
from kisslab.bench.peers import peer_rows
from kisslab.bench.rows import Row, row
from kisslab.guide import draw_guide
from kisslab.identity import embed
from kisslab.kiss import (
    WINDOW,
    Conditions,
    KissModel,
    condition,
    estimate,
    known,
    load_kiss,
    sample,
)
from kisslab.pipeline import Pipeline
from kisslab.plan import plan_kiss

FRAMES = (6, 12, 24, 60, 120)  # of a clip: those longer than WINDOW are made in windows
SCALES = (0.25, 0.375, 0.5)  # of 512 x 384 pixels
STEPS = (1, 2, 4, 8)
BATCHES = (1, 2, 4)
TIMES = 3  # that each is run, after once to warm up
STEPPED = 2  # couples whose clips are compared at 4 and at 32 steps


def measure() -> Iterator[Row]:
    """Every stage's seconds and memory, costs against size, ratios against peers, few steps.

    Seconds are those of this machine; only what was measured side by side in one run compares.
    """
    yield from demo_rows()
    yield from stage_rows()
    model = load_kiss()
    yield from growth_rows(model)
    yield from peer_rows(model)
    with tempfile.TemporaryDirectory() as work:
        attempts = [attempt(case, model) for case in studio_cases(work, STEPPED)]
    for found in step_rows(attempts, model):
        bounded = found.name == "steps4_over_steps32_ssim"
        yield row(found.name, found.value, "", ">= 0.97", found.cases) if bounded else found


def stage_rows() -> Iterator[Row]:
    """seconds_STAGE and memory_mb_STAGE of the demo in a process that ran it before.

    The memory is what the process holds more when the stage has ended; results are kept.
    """
    pipeline, photos = Pipeline(), zoo.demo_portraits()
    for _ in Pipeline(plan=partial(plan_kiss, seconds=0.5)).stages(*photos):
        pass  # kernels are compiled and models loaded once
    process, kept = psutil.Process(), []
    before, start = process.memory_info().rss, time.perf_counter()
    for name, result in pipeline.stages(*photos):
        now, held = time.perf_counter(), process.memory_info().rss
        kept.append(result)
        yield row(f"seconds_{name}", now - start, "s", "", 1)
        yield row(f"memory_mb_{name}", (held - before) / 1e6, "MB", "", 1)
        before, start = held, time.perf_counter()


def growth_rows(model: KissModel) -> Iterator[Row]:
    """seconds_frames_6 ... and growth_frames, the slope of log time over log size; four such."""
    long = _conditions(SCALES[-1], FRAMES[-1], model)
    told = {scale: _conditions(scale, WINDOW, model) for scale in SCALES}
    full = told[SCALES[-1]]
    runs: dict[str, list[tuple[float, Callable[[], object]]]] = {
        "frames": [(n, _sampling(_first(long, n), model)) for n in FRAMES],
        "pixels": [(_pixels(told[s]), _sampling(told[s], model)) for s in SCALES],
        "steps": [(n, _sampling(full, model, n)) for n in STEPS],
        "batch": [(n, _batch(_first(full, FRAMES[0]), model, n)) for n in BATCHES],
    }
    for name, sizes in runs.items():
        seconds = [best_seconds(run, TIMES) for _, run in sizes]
        for (size, _), spent in zip(sizes, seconds, strict=True):
            yield row(f"seconds_{name}_{size:.0f}", spent, "s", "", TIMES)
        slope = np.polyfit(np.log([size for size, _ in sizes]), np.log(seconds), 1)[0]
        yield row(f"growth_{name}", slope, "", "<= 1.1", len(sizes))


def write_plot(rows: Sequence[Row], path: str | Path) -> Path:
    """A PNG of the growth rows: seconds against frames, pixels, steps and batch, log scales."""
    from matplotlib import pyplot

    _, axes = pyplot.subplots(1, 4, figsize=(12, 3), layout="constrained")
    for ax, name in zip(axes, ("frames", "pixels", "steps", "batch"), strict=True):
        head = f"seconds_{name}_"
        points = [(int(r.name[len(head) :]), r.value) for r in rows if r.name.startswith(head)]
        slope = next(r.value for r in rows if r.name == f"growth_{name}")
        sizes, seconds = zip(*points, strict=True)
        ax.loglog(sizes, seconds, "o-", color="#0072B2")
        ax.set_xticks(sizes, [f"{size:,}" for size in sizes], fontsize=8)
        ax.set_yticks(seconds, [f"{value:.2g}" for value in seconds], fontsize=8)
        ax.minorticks_off()
        ax.set(xlabel=name, ylabel="seconds", title=f"time ~ {name}^{slope:.2f}")
    pyplot.savefig(path, dpi=150)
    pyplot.close()
    return Path(path)


def _conditions(scale: float, frames: int, model: KissModel) -> Conditions:
    """Of a packaged couple at that scale; the model's own size is scaled along."""
    photo, faces = small_couple(scale=scale)
    motion = plan_kiss(faces, seconds=1.0, fps=float(frames))
    guide = draw_guide(photo, faces, motion)
    told = condition(photo, faces, motion, guide, embed(photo, faces), model)
    high, wide = (max(4, round(n * scale / SCALES[-1] / 4) * 4) for n in told.first.shape[1:])
    cut = {name: value[..., :high, :wide] for name, value in told.items() if name != "identity"}
    return replace(told, **cut)


def _first(told: Conditions, frames: int) -> Conditions:
    cut = {name: getattr(told, name)[:frames] for name in ("guide", "confidence", "motion")}
    return replace(told, **cut)


def _pixels(told: Conditions) -> int:
    """Pixels of a frame at the model's size."""
    return int(np.prod(told.first.shape[1:])) * 64


def _sampling(told: Conditions, model: KissModel, steps: int = 2) -> Callable[[], object]:
    return lambda: list(sample(told, model, steps=steps))


def _batch(told: Conditions, model: KissModel, count: int) -> Callable[[], object]:
    """One evaluation of the network for so many clips at once."""
    one = told.told[None].repeat(count, 1, 1, 1, 1)
    identity = torch.from_numpy(told.identity.copy())[None].repeat(count, 1, 1)
    sigma = torch.full((count,), 2.0)

    @torch.no_grad()
    def run() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return estimate(model.unet, known(one), sigma, one, identity)

    return run
