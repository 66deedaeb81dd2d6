"""Stage 5: the kiss model, what it is told, and what it makes of noise.

(KissModel, load_kiss, load_codec, spatial_only, Conditions, condition, Denoiser, sample)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import UNetSpatioTemporalConditionModel
from diffusers.models.resnet import SpatioTemporalResBlock
from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel
from einops import rearrange
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional as F

from kisslab import anatomy as at
from kisslab import zoo
from kisslab.codec import PATCH, Codec
from kisslab.contact import planned_points
from kisslab.faces import Faces
from kisslab.guide import Guide
from kisslab.identity import Identity
from kisslab.motion import Motion
from kisslab.noise import Shape, independent_noise
from kisslab.photo import Photo
from kisslab.records import Result, record
from kisslab.samplers import Step, dpm_solver_2m, karras_sigmas

SIGMA_DATA = 0.3  # deviation of what the conditions leave open, most of the clip is known well
LONGEST = 256  # pixels: the longer side of the clips that the model was trained on
RATE = 8.0  # frames per second that the network is told; clips of any rate are said to have it
WINDOW, OVERLAP = 24, 4  # frames: longer clips are denoised in overlapping windows
MULTIPLE = 4  # the network halves latents twice
CONDITIONS = ("guide", "first", "motion", "identity")
CHANNELS = {"guide": slice(0, 32), "first": slice(32, 48), "motion": slice(48, 80)}


@dataclass(frozen=True, eq=False)
class KissModel:
    """A video diffusion network and the codec whose latents it denoises."""

    unet: UNetSpatioTemporalConditionModel
    codec: Codec


@record
class Conditions(Result):
    """What the model is told about a clip of T frames. Latents have C channels, h x w places."""

    guide: Float[np.ndarray, "T C h w"]  # latents of the guide's frames
    confidence: Float[np.ndarray, "T 16 h w"]  # of the guide, 4 x 4 values a place
    first: Float[np.ndarray, "C h w"]  # latents of the photo
    motion: Float[np.ndarray, "T 32 h w"]  # both people's landmarks drawn, 4 x 4 values a place
    identity: Float[np.ndarray, "2 D"]  # unit vectors, left and right

    @property
    def told(self) -> Float[Tensor, "T K h w"]:
        """All but the identity as the network's input channels, in the order of CHANNELS."""
        first = np.repeat(self.first[None], len(self.guide), axis=0)
        parts = [self.guide, self.confidence, first, self.motion]
        return torch.from_numpy(np.concatenate(parts, axis=1))


@lru_cache(maxsize=2)
def load_kiss(folder: str | Path | None = None) -> KissModel:
    """The kiss model in a folder with kiss/ and codec/ in diffusers format; default: data/models.

    FileNotFoundError names what is missing.
    """
    unet = _loaded(UNetSpatioTemporalConditionModel, _checked(folder, "kiss"))
    return KissModel(unet.eval(), load_codec(folder))


def load_codec(folder: str | Path | None = None) -> Codec:
    """The codec alone. FileNotFoundError if there is none."""
    codec = _loaded(Codec, _checked(folder, "codec"))
    return codec.eval().to(memory_format=torch.channels_last)


@contextmanager
def spatial_only(unet: UNetSpatioTemporalConditionModel) -> Iterator[None]:
    """Within this context the network's layers across time are passed by: frames are single."""
    patched = []
    for module in unet.modules():
        if isinstance(module, SpatioTemporalResBlock):
            module.forward = partial(_block_in_space, module)
        elif isinstance(module, TransformerSpatioTemporalModel):
            module.forward = partial(_attention_in_space, module)
        else:
            continue
        patched.append(module)
    try:
        yield
    finally:
        for module in patched:
            del module.forward  # the class's own shows again


@torch.no_grad()
def condition(
    photo: Photo,
    faces: Faces,
    motion: Motion,
    guide: Guide,
    identity: Identity,
    model: KissModel | None = None,
) -> Conditions:
    """Everything the model is told, at the model's own size. model: ours if none is given."""
    codec = (model or load_kiss()).codec
    high, wide = photo.rgb.shape[:2]
    shape = model_shape((high, wide))
    points = planned_points(motion, faces)[..., :2] * [shape[1] / wide, shape[0] / high]
    sure = np.stack([resized(c.astype(np.float32), shape) for c in guide.confidence])
    return Conditions(
        guide=encode(codec, np.stack([resized(f, shape) for f in guide.frames])).numpy(),
        confidence=places(torch.from_numpy(sure)[:, None]).numpy(),
        first=encode(codec, resized(photo.rgb, shape)[None])[0].numpy(),
        motion=places(torch.from_numpy(draw_points(points, shape))).numpy(),
        identity=identity.embeddings.astype(np.float32),
    )


class Denoiser:
    """denoise(x, sigma) for the samplers: the network, preconditioned, guided and windowed.

    What is denoised is the clip's difference from what is known, a gate that copies what the guide
    is sure of. Each weight guides one condition: D + sum (w - 1) (D - D without it); 1 costs
    nothing, 0 switches it off (classifier-free guidance, Ho and Salimans 2022, one per condition).
    """

    def __init__(
        self,
        model: KissModel,
        conditions: Conditions,
        *,
        guide: float = 1.0,
        first: float = 1.0,
        motion: float = 1.0,
        identity: float = 1.0,
    ):
        self.unet = model.unet
        self.told, self.identity = conditions.told, torch.from_numpy(conditions.identity.copy())
        weights = dict(zip(CONDITIONS, (guide, first, motion, identity), strict=True))
        self.weights = {name: w for name, w in weights.items() if w != 1}
        self.base = known(self.told[None])[0]
        self.branches: tuple[Tensor, ...] = ()  # of the last call: D without each guided condition

    @torch.no_grad()
    def __call__(self, x: Float[Tensor, "T C h w"], sigma: float) -> Float[Tensor, "T C h w"]:
        self.branches = tuple(self._clean(x, sigma, name) for name in self.weights)
        if list(self.weights.values()) == [0]:
            return self.branches[0]
        full = self._clean(x, sigma, "")
        pairs = zip(self.weights.values(), self.branches, strict=True)
        return full + sum((w - 1) * (full - without) for w, without in pairs)

    def _clean(self, x: Tensor, sigma: float, without: str) -> Tensor:
        """The estimate of the clip's difference from `self.base`, one condition left out."""
        told = self.told.clone()
        if without in CHANNELS:
            told[:, CHANNELS[without]] = 0
        identity = self.identity * (without != "identity")
        shift = known(told[None])[0] - self.base
        total, count = torch.zeros_like(x), torch.zeros(len(x), 1, 1, 1)
        for start, stop in _windows(len(x)):
            t, weight = slice(start, stop), _ramp(stop - start)
            part = self._window(x[t] - shift[t], sigma, told[t], identity)
            total[t] += weight * (part + shift[t])
            count[t] += weight
        return total / count

    def _window(self, x: Tensor, sigma: float, told: Tensor, identity: Tensor) -> Tensor:
        level = torch.tensor([sigma], dtype=torch.float32)
        with torch.autocast("cpu", torch.bfloat16):
            return estimate(self.unet, x[None], level, told[None], identity[None])[0]


def sample(
    conditions: Conditions,
    model: KissModel | None = None,
    *,
    steps: int = 4,
    seed: int = 0,
    sampler: Callable[..., Iterator[Step]] = dpm_solver_2m,
    noise: Callable[[Shape, int], Tensor] = independent_noise,
    temperature: float = 0.3,
    lowest: float = 1.0,
    **weights: float,
) -> Iterator[Step]:
    """Denoise a clip that obeys the conditions; the steps' `clean` are latents of whole clips.

    weights: guide, first, motion, identity, as in Denoiser; a seed gives one clip on one machine.
    noise: what to begin with, from the latents' shape and the seed; `kisslab.noise` has others.
    temperature: deviation of that noise. 1 draws from all clips that the model holds possible, less
    comes nearer to their mean, which is softer and more often right (Kingma and Dhariwal 2018,
    section 6.2). lowest: noise level of the last step; below 1 our small network adds more speckle
    than detail.
    """
    denoiser = Denoiser(model or load_kiss(), conditions, **weights)
    start, base = noise(tuple(denoiser.base.shape), seed), denoiser.base.numpy()
    for step in sampler(denoiser, temperature * start, karras_sigmas(steps, lowest)):
        yield replace(
            step,
            noisy=step.noisy + base,
            clean=step.clean + base,
            branches=tuple(branch.numpy() + base for branch in denoiser.branches),
            without=tuple(denoiser.weights),
        )


def known(told: Float[Tensor, "B T K h w"]) -> Float[Tensor, "B T C h w"]:
    """What the model starts from: the guide, as far as it is sure of itself at each place."""
    guide = told[:, :, CHANNELS["guide"]]
    return guide[:, :, :-16] * guide[:, :, -16:].mean(dim=2, keepdim=True)


def estimate(
    unet: UNetSpatioTemporalConditionModel,
    x: Float[Tensor, "B T C h w"],
    sigma: Float[Tensor, " B"],
    told: Float[Tensor, "B T K h w"],
    identity: Float[Tensor, "B 2 D"],
) -> Float[Tensor, "B T C h w"]:
    """The preconditioned network (Karras et al. 2022, eq. 7 and table 1, the column "ours").

    told: Conditions.told; identity: what every frame may attend to.
    """
    s = rearrange(sigma, "b -> b 1 1 1 1")
    root = (s**2 + SIGMA_DATA**2) ** 0.5
    inputs = torch.cat([x / root, told], dim=2)
    rate = torch.full((len(x), 1), RATE, device=x.device)
    out = unet(inputs, sigma.log() / 4, identity, rate).sample
    return SIGMA_DATA**2 / root**2 * x + s * SIGMA_DATA / root * out.float()


def encode(codec: Codec, frames: Float[np.ndarray, "T H W 3"]) -> Float[Tensor, "T C h w"]:
    """Latents of pictures in [0, 1], continued at the right and below to whole places."""
    x = rearrange(torch.from_numpy(np.ascontiguousarray(frames)), "t h w c -> t c h w") * 2 - 1
    step = PATCH * MULTIPLE
    x = F.pad(x, (0, -x.shape[3] % step, 0, -x.shape[2] % step), mode="replicate")
    return codec.encode(x).latents


def decode(codec: Codec, latents: Float[Tensor, "T C h w"]) -> Float[np.ndarray, "T H W 3"]:
    """Pictures about in [0, 1], with what `encode` continued."""
    pictures = codec.decode(latents).sample / 2 + 0.5
    return rearrange(pictures, "t c h w -> t h w c").contiguous().numpy()


def model_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width at which the model sees a picture: the longer side is LONGEST pixels."""
    scale = LONGEST / max(shape)
    return round(shape[0] * scale), round(shape[1] * scale)


def draw_points(
    points: Float[np.ndarray, "T 2 478 2"], shape: tuple[int, int]
) -> Float[np.ndarray, "T 2 H W"]:
    """Outline, brows, eyes, nose and lips of both people as lines, a plane each, 0 to 1."""
    out = np.zeros((*points.shape[:2], *shape), np.uint8)
    for frame, people in zip(out, points, strict=True):
        for plane, person in zip(frame, people, strict=True):
            for name in ("oval", "right eye", "left eye", "lips", "right brow", "left brow"):
                line = (person[at.GROUPS[name], :2] * 16).astype(np.int32)
                cv2.polylines(plane, [line], name[-4:] != "brow", 255, 1, cv2.LINE_AA, 4)
            nose = (person[[168, 195, at.NOSE_TIP, at.NOSE_BASE], :2] * 16).astype(np.int32)
            cv2.polylines(plane, [nose], False, 255, 1, cv2.LINE_AA, 4)
    return out.astype(np.float32) / 255


def places(maps: Float[Tensor, "T K H W"]) -> Float[Tensor, "T L h w"]:
    """Maps of pixels as 4 x 4 values a place: averaged over 4 x 4 pixels, L = 16 K."""
    step = PATCH * MULTIPLE
    maps = F.pad(maps, (0, -maps.shape[3] % step, 0, -maps.shape[2] % step), mode="replicate")
    return F.pixel_unshuffle(F.avg_pool2d(maps, PATCH // 4), 4)


def _block_in_space(
    block: SpatioTemporalResBlock, x: Tensor, temb: Tensor | None = None, image_only_indicator=None
) -> Tensor:
    return block.spatial_res_block(x, temb)


def _attention_in_space(
    attention: TransformerSpatioTemporalModel,
    x: Float[Tensor, "N C h w"],
    encoder_hidden_states: Tensor | None = None,
    image_only_indicator: Tensor | None = None,
    return_dict: bool = True,
) -> tuple[Tensor]:
    tokens = attention.proj_in(rearrange(attention.norm(x), "n c h w -> n (h w) c"))
    for block in attention.transformer_blocks:
        tokens = block(tokens, encoder_hidden_states=encoder_hidden_states)
    high = x.shape[2]
    return (x + rearrange(attention.proj_out(tokens), "n (h w) c -> n c h w", h=high),)


def _windows(frames: int) -> list[tuple[int, int]]:
    """First frame, and the one after the last, of windows that overlap by at least OVERLAP."""
    if frames <= WINDOW:
        return [(0, frames)]
    count = -(-(frames - OVERLAP) // (WINDOW - OVERLAP))
    starts = np.linspace(0, frames - WINDOW, count).round().astype(int)
    return [(int(start), int(start) + WINDOW) for start in starts]


def _ramp(frames: int) -> Float[Tensor, "T 1 1 1"]:
    """Weights of a window's frames: less toward its ends."""
    rise = torch.arange(1, frames + 1).clamp(max=OVERLAP)
    return rearrange(torch.minimum(rise, rise.flip(0)).float(), "t -> t 1 1 1")


def resized(picture: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Averaged when it gets smaller, smooth when larger."""
    smaller = shape[0] < picture.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(picture), shape[1::-1], interpolation=how)


def _loaded(kind: type[Any], place: Path) -> Any:
    """A network from its folder: safetensors alone: a pickle may run code. ValueError: damaged."""
    try:
        return kind.from_pretrained(
            place,
            local_files_only=True,
            use_safetensors=True,
            torch_dtype=torch.float32,
            low_cpu_mem_usage=False,  # else diffusers asks for accelerate, for models so small
        )
    except (OSError, ValueError, TypeError, AttributeError, LookupError) as error:
        raise ValueError(f"{place}: damaged or of another kind ({_line(error)})") from error
    except (RuntimeError, MemoryError, RecursionError, SafetensorError) as error:
        raise ValueError(f"{place}: its weights can't be loaded ({_line(error)})") from error


def _line(error: BaseException, width: int = 200) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())[:width] or type(error).__name__


def _checked(folder: str | Path | None, name: str) -> Path:
    place = (zoo.data_path("models") if folder is None else Path(folder)) / name
    if not (place / "config.json").is_file():
        raise FileNotFoundError(
            f"{place}: no model in diffusers format there; train it with `python -m "
            f"kisslab.train.{name}`"
        )
    return place
