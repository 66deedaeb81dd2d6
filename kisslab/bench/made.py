"""What the kiss model makes of people it never saw; each clip is made once, for many figures.

(Attempt, attempt, repaint, studio_cases, photograph_cases, Kiss, couples, kiss)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float

from kisslab.bench.studio import HELD_OUT
from kisslab.composite import Composite, compose
from kisslab.faces import FaceError
from kisslab.guide import Guide, draw_guide
from kisslab.identity import embed
from kisslab.kiss import Conditions, KissModel, condition, sample
from kisslab.motion import Motion
from kisslab.painting import paint
from kisslab.photo import load_photo
from kisslab.plan import plan_kiss
from kisslab.quality import psnr
from kisslab.records import Result, record
from kisslab.studio.dataset import write_all
from kisslab.train.lessons import Case, photograph_case, studio_case
from kisslab.train.pictures import photographs

FIRST = HELD_OUT + 50_000  # seeds of cases, from here on
HEIGHT = 384  # pixels of whole kisses: the least that compose takes by itself
FRAMES = 16  # of them that are painted, spread over the clip


@record
class Attempt(Result):
    """A case and what the model made of it. T frames."""

    case: Case
    conditions: Conditions
    frames: Float[np.ndarray, "T H W 3"]

    @property
    def truth(self) -> Float[np.ndarray, "T H W 3"]:
        return self.case.truth / np.float32(255)

    def psnr(self, frames: Float[np.ndarray, "T H W 3"]) -> float:
        """Of other frames against the truth, dB: where people are, where the truth is known."""
        return psnr(frames, self.truth, self.case.people & self.case.graded[:, None, None])


@record
class Kiss(Result):
    """A whole kiss of two photographs; what it should look like, nobody knows."""

    couple: Composite
    motion: Motion
    guide: Guide
    frames: Float[np.ndarray, "T H W 3"]


def attempt(case: Case, model: KissModel) -> Attempt:
    """Tell the model what the case tells, and let it paint."""
    identity = embed(case.portrait, case.faces)
    told = condition(case.photo, case.faces, case.motion, case.guide, identity, model)
    return Attempt(case, told, repaint(case.guide, told, model))


def repaint(
    guide: Guide, conditions: Conditions, model: KissModel, /, **options: Any
) -> Float[np.ndarray, "T H W 3"]:
    """The clip that the model paints over a guide; options as in `sample`."""
    *_, last = sample(conditions, model, **options)
    return paint(guide, conditions, last, model).frames


def studio_cases(folder: str | Path, count: int) -> list[Case]:
    """Couples of the studio that nothing was trained on, kept in `folder`."""
    return _cases(studio_case, Path(folder), "studio", count)


def photograph_cases(folder: str | Path, photos: str | Path, count: int) -> list[Case]:
    """Photographs that nothing was trained on, warped away and back, kept in `folder`."""
    make = partial(photograph_case, photos=str(photos), held=True)
    return _cases(make, Path(folder), "photos", count)


def couples(photos: str | Path) -> Iterator[Composite]:
    """Pairs of photographs that nothing was trained on; those without usable faces are left out."""
    rng = np.random.default_rng(FIRST)
    paths = rng.permutation(photographs(photos, held=True))
    for one, two in zip(paths[::2], paths[1::2], strict=False):
        with suppress(FaceError):
            yield compose(load_photo(one), load_photo(two), height=HEIGHT)


def kiss(couple: Composite, model: KissModel) -> Kiss:
    """Some frames of the whole way, by every stage's defaults."""
    plan = plan_kiss(couple.faces)
    motion = plan.pick(np.linspace(0, len(plan.gap) - 1, FRAMES).round().astype(int).tolist())
    guide = draw_guide(couple.photo, couple.faces, motion, couple.cutout)
    identity = embed(couple.photo, couple.faces)
    told = condition(couple.photo, couple.faces, motion, guide, identity, model)
    return Kiss(couple, motion, guide, repaint(guide, told, model))


def _cases(make: Callable[[int], Case], folder: Path, name: str, count: int) -> list[Case]:
    seeds: Sequence[int] = range(FIRST, FIRST + count)
    paths = [folder / f"{name}_{seed}.npz" for seed in seeds]
    return [Case.load(path) for path in write_all(partial(_write, make), paths, seeds)]


def _write(make: Callable[[int], Case], path: str, seed: int) -> str:
    torch.set_num_threads(1)  # processes share the cores, not the threads of each
    cv2.setNumThreads(1)
    make(seed).save(path)
    return path
