"""The whole way: photos in, a clip out, every stage's result kept. (Pipeline, Run)"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from jaxtyping import Float

from kisslab import __version__, video, zoo
from kisslab.assessment import Assessment, assess, assess_portraits
from kisslab.composite import Composite, compose
from kisslab.consent import check_ages, check_consent
from kisslab.cutout import Cutout, cut_out
from kisslab.faces import Faces, find_faces
from kisslab.guide import Guide, draw_guide
from kisslab.identity import Identity, embed
from kisslab.kiss import Conditions, condition, sample
from kisslab.motion import Motion
from kisslab.painting import Painted, paint
from kisslab.photo import Photo, load_photo
from kisslab.plan import plan_kiss
from kisslab.records import Result, record
from kisslab.samplers import Step
from kisslab.temporal import Steadied, steady
from kisslab.video import Clip, make_clip

KEPT = 64  # bytes of a run's results per pixel and frame


@record
class Run(Result):
    """Everything that one run computed; the fields are the stages, in order."""

    consent: str  # the statement, or why none was needed
    photos: tuple[Photo, ...]  # as given: one couple, or two portraits
    composite: Composite | None  # how two portraits became one picture
    photo: Photo  # the couple
    faces: Faces
    ages: str  # how old they look, or why nobody looked
    assessment: Assessment
    cutout: Cutout
    motion: Motion
    guide: Guide
    identity: Identity
    conditions: Conditions
    steps: tuple[Step, ...]
    painted: Painted
    steadied: Steadied
    clip: Clip
    settings: str  # the stage functions and their arguments

    def describe(self) -> dict[str, Any]:
        """What is written into the clip's metadata: settings, sources, models and their hashes."""
        return {
            "kisslab": __version__,
            "consent": self.consent,
            "ages": self.ages,
            "photos": [{"name": Path(p.path).name, "sha256": p.sha256} for p in self.photos],
            "faces_by": self.faces.detector,
            "models": {m.name: m.sha256 for m in zoo.MODELS if m.name in self.faces.models}
            | zoo.shipped_models(),
            "style": self.motion.style,
            "anchors": list(self.motion.anchors),
            "frames": len(self.guide.frames),
            "fps": self.motion.fps,
            "settings": self.settings,
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """Plain sentences on what was converted, assumed or found wanting."""
        converted = ((Path(p.path).name, sentence) for p in self.photos for sentence in p.converted)
        composed = self.composite.notes if self.composite else ()
        wanting = (check.sentence for check in self.assessment.checks if not check.good)
        named = (f"{name}: {sentence}" for name, sentence in converted)
        return (*named, *self.faces.notes, *composed, *wanting)

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write the clip with this run's description inside; options as in `video.save`.

        With the suffix .npz the whole record is saved instead, every stage included.
        """
        if Path(path).suffix == ".npz":
            return super().save(path)
        return video.save(self.clip, path, run_record=self.describe(), **options)


@record
class Pipeline(Result):
    """The stages as functions. Swap one by passing another, tune one with functools.partial:

    >>> Pipeline(plan=partial(plan_kiss, style="peck", seed=3))("couple.jpg")
    """

    load: Callable[[str | Path], Photo] = load_photo
    compose: Callable[..., Composite] = compose
    find: Callable[[Photo, int], Faces] = find_faces
    ages: Callable[[tuple[Photo, ...], Photo, Faces], str] = check_ages
    assess: Callable[[Photo, Faces], Assessment] = assess
    assess_portraits: Callable[..., Assessment] = assess_portraits
    cut: Callable[[Photo, Faces], Cutout] = cut_out
    plan: Callable[[Faces], Motion] = plan_kiss
    draw: Callable[[Photo, Faces, Motion, Cutout], Guide] = draw_guide
    embed: Callable[[Photo, Faces], Identity] = embed
    condition: Callable[..., Conditions] = condition
    sample: Callable[[Conditions], Iterator[Step]] = sample
    paint: Callable[[Guide, Conditions, Step], Painted] = paint
    steady: Callable[[Float[np.ndarray, "T H W 3"]], Steadied] = steady

    def stages(self, *paths: str | Path, consent: str = "") -> Iterator[tuple[str, Any]]:
        """(field of Run, result) as each stage ends; one path is a couple, two are portraits."""
        if len(paths) not in (1, 2):
            raise ValueError(f"{len(paths)} photos given; give one of a couple or two portraits")
        photos = tuple(self.load(path) for path in paths)
        yield "consent", check_consent(photos, consent)
        yield "photos", photos
        couple = self.compose(*photos, find=self.find) if len(photos) == 2 else None
        yield "composite", couple
        photo = couple.photo if couple else photos[0]
        yield "photo", photo
        faces = couple.faces if couple else self.find(photo, 2)
        yield "faces", faces
        yield "ages", self.ages(photos, photo, faces)
        if couple:  # what was given is assessed, not what composing made of it
            yield "assessment", self.assess_portraits(couple.sources, couple.source_faces)
        else:
            yield "assessment", self.assess(photo, faces)
        cutout = couple.cutout if couple else self.cut(photo, faces)
        yield "cutout", cutout
        motion = self.plan(faces)
        _check_memory(photo, motion)
        yield "motion", motion
        guide = self.draw(photo, faces, motion, cutout)
        yield "guide", guide
        identity = self.embed(photo, faces)
        yield "identity", identity
        conditions = self.condition(photo, faces, motion, guide, identity)
        yield "conditions", conditions
        steps = tuple(self.sample(conditions))
        yield "steps", steps
        painted = self.paint(guide, conditions, steps[-1])
        yield "painted", painted
        steadied = self.steady(painted.frames)
        yield "steadied", steadied
        yield "clip", make_clip(steadied.frames, guide.fps)
        yield "settings", self.settings()

    def settings(self) -> str:
        """The stage functions and their arguments, as a clip's metadata has them."""
        return ", ".join(f"{name}={_called(stage)}" for name, stage in self.items())

    def __call__(self, *paths: str | Path, consent: str = "") -> Run:
        """All stages at once. Errors are those of the stages; MemoryError: a clip too large."""
        return Run(**dict(self.stages(*paths, consent=consent)))


def _check_memory(photo: Photo, motion: Motion) -> None:
    """MemoryError, before the long work begins, if its results can't all be kept."""
    (high, wide), frames = photo.rgb.shape[:2], len(motion.gap)
    wanted, free = KEPT * high * wide * frames, psutil.virtual_memory().available
    if wanted > free:
        raise MemoryError(
            f"{frames} frames of {wide} x {high} pixels take {wanted / 1e9:.1f} GB of memory, and "
            f"{free / 1e9:.1f} GB are free; plan fewer seconds, or give a smaller photo"
        )


def _called(stage: Callable[..., Any]) -> str:
    """plan_kiss(style='peck', seed=3), for the clip's metadata."""
    if not isinstance(stage, partial):
        return getattr(stage, "__name__", type(stage).__name__)
    arguments = [repr(a) for a in stage.args] + [f"{k}={v!r}" for k, v in stage.keywords.items()]
    return f"{_called(stage.func)}({', '.join(arguments)})"
