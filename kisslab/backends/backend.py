"""What every plugged-in video model is: records in, Steps and a painted clip out.
(Backend, Told, PROMPT; seeded, left, pictures, video)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import DiffusionPipeline
from einops import rearrange
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from kisslab.backends.loading import Offload, load_pipeline, whole
from kisslab.backends.running import Seen, is_flow, noise_level, noised, run
from kisslab.faces import Faces
from kisslab.guide import Guide
from kisslab.identity import Identity
from kisslab.kiss import resized
from kisslab.motion import Motion
from kisslab.painting import Painted
from kisslab.photo import Photo
from kisslab.records import Result, record
from kisslab.samplers import Step
from kisslab.show import to_uint8

PROMPT = "Two adults lean toward each other and share a gentle kiss, photograph, natural light"


@record
class Told(Result):
    """What a model is told about a clip, at the model's own size. N is T, made whole for it."""

    photo: Photo  # as it was given
    faces: Faces
    motion: Motion
    guide: Guide
    identity: Identity
    first: Float[np.ndarray, "h w 3"]  # the photo
    frames: Float[np.ndarray, "N h w 3"]  # the guide; its last frame is repeated to N
    strength: float
    steps: int
    seed: int
    prompt: str


class Backend:
    """A video model of diffusers that paints along a guide.

    >>> *trail, painted = backend(photo, faces, motion, guide, identity, strength=0.6)

    A subclass says which pipeline it runs, what that is told (`arguments`), and how its latents are
    laid out (`unpack`).
    """

    pipeline: ClassVar[type[DiffusionPipeline]]
    takes: ClassVar[tuple[str, ...]]  # pipelines whose folders hold the same parts

    def __init__(
        self,
        model: str,
        *,
        dtype: torch.dtype = torch.bfloat16,
        offload: Offload = whole,
        device: str | None = None,
        **options: Any,
    ):
        """Load a folder, or a model of the Hugging Face Hub by name; see `loading.load_pipeline`.

        dtype: of the weights; offload: `whole`, `by_part` or `by_layer`; device: the first GPU, or
        the CPU where there is none; options: for diffusers' from_pretrained (variant, revision,
        token, parts of the pipeline by name).
        """
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.pipe = load_pipeline(
            self.pipeline, model, self.takes, dtype, offload, device, **options
        )
        self.add_parts()
        offload(self.pipe, device)

    def __call__(
        self,
        photo: Photo,
        faces: Faces,
        motion: Motion,
        guide: Guide,
        identity: Identity,
        **settings: Any,
    ) -> Iterator[Step | Painted]:
        """A Step after each step of denoising, its latents as T x C x h x w, and Painted at last.

        settings and errors: those of `tell`. Close the generator to stop in mid-run.
        """
        told = self.tell(photo, faces, motion, guide, identity, **settings)
        high, wide = told.first.shape[:2]
        arguments = {
            "height": high, "width": wide, "num_inference_steps": told.steps,
            "generator": seeded(told), **self.arguments(told),
        }  # fmt: skip
        for index, seen in enumerate(run(self.pipe, arguments, self.skip(told))):
            if isinstance(seen, Seen):
                noisy, clean = (self._array(x, told) for x in (seen.noisy, seen.clean))
                yield Step(index, seen.sigma, noisy, clean)
            else:
                yield _painted(told, seen, self.frames(motion))

    def tell(
        self,
        photo: Photo,
        faces: Faces,
        motion: Motion,
        guide: Guide,
        identity: Identity,
        *,
        strength: float = 0.6,
        steps: int = 25,
        seed: int = 0,
        longest: int | None = None,
        prompt: str = PROMPT,
    ) -> Told:
        """The run's records at the model's size.

        strength: near 0 keeps the guide, 1 paints all anew; so many of the steps are made. longest:
        pixels of the longer side that the model sees; the guide's own if None. ValueError: strength
        out of range, or no step left.
        """
        _check(strength, steps)
        size, frames = self.shape(guide, longest), self.frames(motion)
        return Told(
            photo=photo, faces=faces, motion=motion, guide=guide, identity=identity,
            first=_shown(photo.rgb, size), frames=_lengthened(guide.frames[:frames], size, self),
            strength=strength, steps=steps, seed=seed, prompt=prompt,
        )  # fmt: skip

    def add_parts(self) -> None:
        """What else the pipeline needs, before it is placed."""

    def arguments(self, told: Told) -> dict[str, Any]:
        """What the pipeline is called with, beside size, steps and seed."""
        raise NotImplementedError

    def unpack(self, latents: Tensor, told: Told) -> Float[Tensor, "n c h w"]:
        """The pipeline's latents of a clip, time first. Here: from 1 x C x T x h x w."""
        return rearrange(latents, "1 c t h w -> t c h w")

    def skip(self, told: Told) -> int:
        """How many of the noisiest steps are left out, where the pipeline has no strength."""
        return 0

    def multiple(self) -> int:
        """Pixels: both sides of a picture must be multiples of it."""
        raise NotImplementedError

    def count(self, frames: int) -> int:
        """The least number of frames that the model can make and that is not less than `frames`."""
        return frames

    def frames(self, motion: Motion) -> int:
        """How many frames of the plan are painted; those after them stay the guide's."""
        return len(motion.gap)

    def shape(self, guide: Guide, longest: int | None = None) -> tuple[int, int]:
        """Height and width of the pictures that the model sees."""
        high, wide = guide.frames.shape[1:3]
        scale, step = (longest or max(high, wide)) / max(high, wide), self.multiple()
        return tuple(max(step, round(side * scale / step) * step) for side in (high, wide))

    def noised_guide(self, told: Told, clean: Tensor) -> Tensor:
        """Latents to begin with: the guide's, as noisy as the steps that are left expect.

        SDEdit (Meng et al. 2022) for pipelines that have no strength of their own.
        """
        scheduler, noise = self.pipe.scheduler, torch.randn(clean.shape, generator=seeded(told))
        scheduler.set_timesteps(told.steps)
        sigma = noise_level(scheduler, scheduler.timesteps[self.skip(told)])
        latents = noised(scheduler, clean, noise.to(clean), sigma)
        return latents if is_flow(scheduler) else latents / scheduler.init_noise_sigma

    def _array(self, latents: Tensor, told: Told) -> Float[np.ndarray, "n c h w"]:
        return self.unpack(latents, told).float().cpu().numpy()


def seeded(told: Told) -> torch.Generator:
    """The CPU's generator, so that a seed means the same noise on every device."""
    return torch.Generator().manual_seed(told.seed)


def left(steps: int, strength: float) -> int:
    """How many steps a strength leaves, as diffusers counts them."""
    return min(int(steps * strength), steps)


def pictures(frames: Float[np.ndarray, "N h w 3"]) -> list[Image.Image]:
    """Frames as diffusers likes them best."""
    return [Image.fromarray(to_uint8(frame)) for frame in frames]


def video(frames: Float[np.ndarray, "N h w 3"]) -> Float[Tensor, "1 3 N h w"]:
    """Frames in -1..1, as VAEs of videos take them."""
    return rearrange(torch.tensor(frames), "t h w c -> 1 c t h w") * 2 - 1


def _check(strength: float, steps: int) -> None:
    if not 0 < strength <= 1:
        raise ValueError(f"strength={strength}: take more than 0 (the guide) up to 1 (all anew)")
    if left(steps, strength) < 1:
        enough = int(1 / strength) + 1
        raise ValueError(f"strength={strength} of steps={steps} leaves no step; take {enough}")


def _lengthened(
    frames: Float[np.ndarray, "T H W 3"], size: tuple[int, int], backend: Backend
) -> Float[np.ndarray, "N h w 3"]:
    """Frames at the model's size, the last one repeated as often as the model needs."""
    small = np.stack([_shown(frame, size) for frame in frames])
    lack = backend.count(len(small)) - len(small)
    return np.concatenate([small, np.repeat(small[-1:], lack, axis=0)])


def _painted(told: Told, made: Float[np.ndarray, "N h w 3"], count: int) -> Painted:
    """The model's frames at the guide's size; frames that it was not asked for are the guide's."""
    guide = told.guide.frames
    frames = np.array(guide, np.float32)
    frames[:count] = [_shown(frame, guide.shape[1:3]) for frame in made[:count]]
    mask = np.zeros(guide.shape[:3], np.float32)
    mask[:count] = 1
    return Painted(frames=np.clip(frames, 0, 1), change=frames - guide, mask=mask)


def _shown(picture: Float[np.ndarray, "H W 3"], size: tuple[int, ...]) -> np.ndarray:
    """At another size, without what cubic interpolation overshoots."""
    return np.clip(resized(picture.astype(np.float32, copy=False), size), 0, 1)
