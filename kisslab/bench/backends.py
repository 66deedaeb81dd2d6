"""The plugged-in models: all run, all errors are clear, faces stay in their regions; and batches.
(measure, small_records, identity_bleed)

Weights are tiny and random: they prove that everything is wired up, and nothing about quality.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AnimateDiffVideoToVideoPipeline
from jaxtyping import Float

from kisslab.backends import (
    AnimateDiffVideoToVideo,
    Backend,
    LTXCondition,
    StableVideoDiffusion,
    WanImageToVideo,
    WanVACE,
    WanVideoToVideo,
)
from kisslab.backends.animatediff import region_masks
from kisslab.bench.bad_models import BAD_MODELS, tried
from kisslab.bench.batched import batch_rows
from kisslab.bench.inputs import small_couple
from kisslab.bench.rows import Row, row
from kisslab.bench.tiny_pipelines import face_adapter, save_pipeline
from kisslab.guide import draw_guide
from kisslab.identity import Identity, embed
from kisslab.painting import Painted
from kisslab.plan import plan_kiss
from kisslab.samplers import Step

BACKENDS = (
    StableVideoDiffusion,
    WanImageToVideo,
    WanVideoToVideo,
    WanVACE,
    AnimateDiffVideoToVideo,
    LTXCondition,
)
SCALE, LONGEST = 0.25, 96  # of the packaged couple; pixels that the tiny models see


def measure() -> Iterator[Row]:
    """backends_run, backend_errors_clear, the identity bleed with region masks and without, and
    what `kisslab batch` claims; on a GPU the memory and overhead at full size, too."""
    from kisslab.bench.full_size import size_rows  # which builds on this module

    with tempfile.TemporaryDirectory() as work:
        folder, records = Path(work), small_records()
        runs = [runs_through(load_tiny(kind, folder), records) for kind in BACKENDS]
        yield row("backends_run", sum(runs), "of 6", f"= {len(BACKENDS)}", len(runs))
        good = save_pipeline("WanVideoToVideoPipeline", folder)
        yield row(
            "backend_errors_clear",
            sum(is_clear(name, good, folder) for name in BAD_MODELS),
            f"of {len(BAD_MODELS)}",
            f"= {len(BAD_MODELS)}",
            len(BAD_MODELS),
        )
        with_masks, without = (
            identity_bleed(load_tiny(AnimateDiffVideoToVideo, folder, masked=on), records)
            for on in (True, False)
        )
        yield from size_rows(folder)
    yield row("identity_bleed_masked", with_masks, "share", "<= 0.5", 2)
    yield row("identity_bleed_unmasked", without, "share", "", 2)
    yield from batch_rows()


def small_records() -> tuple[Any, ...]:
    """Photo, faces, motion, guide and identity of a packaged couple, small and short."""
    photo, faces = small_couple(scale=SCALE)
    motion = plan_kiss(faces, seconds=0.9, fps=10.0)
    identity = embed(*small_couple(scale=1.0))
    return photo, faces, motion, draw_guide(photo, faces, motion), identity


def load_tiny(kind: type[Backend], folder: Path, **options: Any) -> Backend:
    """A backend with tiny random weights, through the folder that save_pretrained writes."""
    place = save_pipeline(kind.pipeline.__name__, folder)
    options = {"dtype": torch.float32, "device": "cpu", **options}
    if kind is AnimateDiffVideoToVideo:
        pipe = AnimateDiffVideoToVideoPipeline.from_pretrained(place, local_files_only=True)
        options["face_adapter"] = face_adapter(pipe, dim=256)  # as many numbers as kisslab-id makes
    return kind(str(place), **options)


def runs_through(backend: Backend, records: tuple[Any, ...]) -> bool:
    """Whether the notebook's cell gives Steps and at last a Painted, whole and finite."""
    guide = records[3]
    *trail, painted = backend(*records, strength=0.5, steps=4, seed=0, longest=LONGEST)
    fine = isinstance(painted, Painted) and painted.frames.shape == guide.frames.shape
    fine = fine and bool(np.isfinite(painted.frames).all())
    return fine and len(trail) >= 2 and all(isinstance(step, Step) for step in trail)


def is_clear(name: str, good: Path, folder: Path) -> bool:
    """Whether the error is one line that names the trouble and the remedy."""
    work = folder / "bad" / name
    work.mkdir(parents=True)
    words = tried(name, good, work)
    _, trouble, remedy = BAD_MODELS[name]
    return "\n" not in words and trouble in words and remedy in words


def identity_bleed(backend: AnimateDiffVideoToVideo, records: tuple[Any, ...]) -> float:
    """How much one person changes when only the other one's vector does, of what the other changes.

    After one step, where each stands; mean of both people. 1: a face tells as much about the other.
    """
    changes = np.array([_changes(backend, records, person) for person in (0, 1)])
    return float(np.mean(np.diag(changes[:, ::-1]) / np.diag(changes)))


def _changes(
    backend: AnimateDiffVideoToVideo, records: tuple[Any, ...], person: int
) -> Float[np.ndarray, "2"]:
    """Mean change of the clean estimate where each person is, when `person` becomes another."""
    *first, identity = records
    settings = {"strength": 1.0, "steps": 1, "seed": 0, "longest": LONGEST}
    before, after = (
        next(backend(*first, told, **settings)).clean
        for told in (identity, _other(identity, person))
    )
    places = region_masks(backend.tell(*records, **settings))[:, :, ::8, ::8] > 0.5
    change = np.abs(after - before).mean(axis=1)
    return np.array([change[places[:, one]].mean() for one in (0, 1)])


def _other(identity: Identity, person: int) -> Identity:
    """The same people, but one of them with a random vector."""
    vectors = identity.embeddings.copy()
    fresh = np.random.default_rng(0).standard_normal(vectors.shape[1])
    vectors[person] = fresh / np.linalg.norm(fresh)
    return replace(identity, embeddings=vectors)
