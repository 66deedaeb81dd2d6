"""Trains the kiss model: `accelerate launch -m kisslab.train.kiss`.

(new_unet, Latents, encoded, draw_frames, draw_clips, visibility, only_time_learns, losses,
main)
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from diffusers import UNetSpatioTemporalConditionModel
from jaxtyping import Float, UInt8
from torch.nn import functional as F
from tqdm import tqdm

from kisslab import zoo
from kisslab.codec import PATCH, Codec
from kisslab.identity import OURS, embed_crops, pack_folder
from kisslab.kiss import (
    CHANNELS,
    SIGMA_DATA,
    draw_points,
    encode,
    estimate,
    known,
    places,
    spatial_only,
)
from kisslab.records import Result, record
from kisslab.samplers import karras_sigmas
from kisslab.train.card import Card, write_card
from kisslab.train.export import plain
from kisslab.train.lessons import Lesson, Stills, seed_of
from kisslab.train.loop import Batch, Recipe, fit, seconds_spent

ENCODING = "2: other cameras"  # change it when `encoded` changes
DROP = 0.1  # how often each condition is left out
OUTSIDE = 0.25  # weight of the background's error, people's is 1
FRAMES = 12
OF_TIME = ("temporal", "time_pos_embed", "time_mixer")  # in the names of weights across frames
HIGHEST = float(karras_sigmas(1)[0])


@record
class Latents(Result):
    """A lesson as the network sees it; half precision."""

    told: Float[np.ndarray, "T K h w"]  # Conditions.told
    truth: Float[np.ndarray, "T C h w"]
    weight: Float[np.ndarray, "T 1 h w"]  # of each place's error
    identity: Float[np.ndarray, "2 D"]


def new_unet(identity: int = 128, latents: int = 16) -> UNetSpatioTemporalConditionModel:
    """Three levels; the lowest attends, in space, in time and to the identities' tokens."""
    unet = UNetSpatioTemporalConditionModel(
        sample_size=32,
        in_channels=latents + CHANNELS["motion"].stop,
        out_channels=latents,
        down_block_types=(
            "DownBlockSpatioTemporal",
            "DownBlockSpatioTemporal",
            "CrossAttnDownBlockSpatioTemporal",
        ),
        up_block_types=(
            "CrossAttnUpBlockSpatioTemporal",
            "UpBlockSpatioTemporal",
            "UpBlockSpatioTemporal",
        ),
        block_out_channels=(64, 128, 128),
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=32,
        layers_per_block=1,
        cross_attention_dim=identity,
        num_attention_heads=4,
        num_frames=FRAMES,
    )
    blank = [unet.conv_out]  # training starts at "change nothing"
    for name, module in unet.named_modules():  # and layers of time at "frames are single"
        last_of_block = name.endswith("temporal_res_block.conv2")
        last_of_layer = "temporal_transformer_blocks" in name and name.endswith(
            ("to_out.0", "net.2")
        )
        if last_of_block or last_of_layer or name.endswith("time_pos_embed.linear_2"):
            blank.append(module)
    for module in blank:
        torch.nn.init.zeros_(module.weight)
        torch.nn.init.zeros_(module.bias)
    return unet


@torch.no_grad()
def encoded(lesson: Lesson, codec: Codec, mirror: bool = False, seed: int = 0) -> Latents:
    """A lesson in latents, seen in a mirror or not.

    seed: of other colours and of a camera nearer, tilted and shifted; 0: the lesson's own.
    """
    rng = np.random.default_rng([seed, 33])
    height, width = lesson.source.shape[:2]
    gain = rng.uniform(0.85, 1.15, 3).astype(np.float32) if seed else np.ones(3, np.float32)
    gamma = float(rng.uniform(0.75, 1.35)) if seed else 1.0
    matrix = _camera(rng, width, height) if seed else np.eye(2, 3)
    if mirror:
        matrix = matrix @ np.array([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]])

    def seen(picture: np.ndarray) -> np.ndarray:
        return cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)

    def shown(pixels: np.ndarray) -> np.ndarray:
        return np.clip((pixels / np.float32(255)) ** gamma * gain, 0, 1)

    def latents(pictures: UInt8[np.ndarray, "T H W 3"]) -> Float[torch.Tensor, "T C h w"]:
        with torch.autocast("cpu", torch.bfloat16):
            return encode(codec, np.stack([shown(seen(x)) for x in pictures])).float()

    sides = slice(None, None, -1 if mirror else 1)  # who is on the left
    points = lesson.points.astype(float) @ matrix[:, :2].T + matrix[:, 2]
    maps = draw_points(points, (height, width))[:, sides]
    sure = np.stack([seen(x) for x in lesson.confidence])[:, None].astype(np.float32) / 255
    people = np.stack([seen(x) for x in lesson.people.astype(np.float32)])[:, None]
    weight = OUTSIDE + (1 - OUTSIDE) * people
    weight = torch.from_numpy(weight * lesson.graded[:, None, None, None].astype(np.float32))
    guide = latents(lesson.guide)
    first = latents(lesson.source[None]).expand_as(guide)
    told = [guide, places(torch.from_numpy(sure)), first, places(torch.from_numpy(maps.copy()))]
    crops = shown(lesson.crops)[sides, :, :: -1 if mirror else 1]
    return Latents(
        told=torch.cat(told, dim=1).half().numpy(),
        truth=latents(lesson.truth).half().numpy(),
        weight=F.avg_pool2d(weight, PATCH).half().numpy(),
        identity=embed_crops(np.ascontiguousarray(crops)).astype(np.float32),
    )


def _camera(rng: np.random.Generator, width: int, height: int) -> Float[np.ndarray, "2 3"]:
    """Where pixels go when the camera moves nearer, tilts and looks aside."""
    middle = (0.5 * width, 0.5 * height)
    matrix = cv2.getRotationMatrix2D(
        middle, float(rng.uniform(-10, 10)), float(rng.uniform(0.95, 1.25))
    )
    matrix[:, 2] += rng.uniform(-0.08, 0.08, 2) * [width, height]
    return matrix


def draw_frames(rng: np.random.Generator, kinds: list[list[Latents]], count: int) -> Batch:
    """`count` single frames whose truth is known, of lessons of every kind in turn."""
    parts = []
    for k in range(count):
        lesson = _one_of(kinds[k % len(kinds)], rng)
        known_ones = np.flatnonzero(lesson.weight.max(axis=(1, 2, 3)) > 0)
        parts.append((lesson, rng.choice(known_ones, 1)))
    return _batch(rng, parts)


def draw_clips(rng: np.random.Generator, kinds: list[list[Latents]], count: int) -> Batch:
    """`count` clips of lessons of every kind in turn, forward or backward.

    A third of the batches run there and back, twice as long: so the network sees the places in
    time of long clips.
    """
    order = np.arange(FRAMES)
    if rng.random() < 0.33:
        order, count = np.concatenate([order, order[::-1]]), max(1, count // 2)
    elif rng.random() < 0.5:
        order = order[::-1]
    first = int(rng.integers(len(kinds)))
    lessons = [_one_of(kinds[(first + k) % len(kinds)], rng) for k in range(count)]
    return _batch(rng, [(lesson, order) for lesson in lessons])


def visibility(codec: Codec) -> Float[torch.Tensor, " C"]:
    """Square error in pixels for a unit of square error in each latent channel; their mean is 1."""
    energy = codec.synthesis.weight.detach().square().sum(dim=(1, 2, 3))
    return energy / energy.mean()


def only_time_learns(unet: UNetSpatioTemporalConditionModel) -> None:
    """Freeze all but the layers across frames: clips are few, and what frames taught stays."""
    for name, weight in unet.named_parameters():
        weight.requires_grad_(any(part in name for part in OF_TIME))


def losses(
    unet: UNetSpatioTemporalConditionModel, batch: Batch, channels: Float[torch.Tensor, " C"]
) -> Batch:
    """The preconditioned square error (Karras et al. 2022, eq. 8), weighted by place and channel.

    channels: as `visibility` gives them; without them details count as much as what is large.
    """
    sigma = batch["sigma"]
    x = batch["clean"] + sigma[:, None, None, None, None] * batch["noise"]
    clean = estimate(unet, x, sigma, batch["told"], batch["identity"])
    scale = (sigma**2 + SIGMA_DATA**2) / sigma**2  # 1 for pure noise
    worth = batch["weight"] * channels.to(x.device)[:, None, None]
    error = (clean - batch["clean"]) ** 2 * worth * scale[:, None, None, None, None]
    return {"square": error.mean() / batch["weight"].mean().clamp(min=1e-3)}


def main(
    lessons: Annotated[
        Path, typer.Option(help="folder of studio_*, takes_*, photos_* and stills_*.npz")
    ],
    models: Annotated[Path, typer.Option(help="folder that holds codec/ and gets kiss/")],
    work: Annotated[Path, typer.Option(help="folder of checkpoints and of encoded lessons")],
    images: Annotated[
        int, typer.Option(help="steps on single frames, before those on clips")
    ] = 8000,
    clips: Annotated[int, typer.Option(help="steps on clips")] = 1500,
    count: Annotated[int, typer.Option(help="frames a step at first; then as many clips / 8")] = 16,
    rate: float = 4e-4,
    start: Annotated[
        Path | None, typer.Option(help="a trained kiss/ to go on from; else from nothing")
    ] = None,
) -> None:
    """Train the kiss model on studio kisses and on photographs warped away and back.

    First on single frames without the layers of time, which is several times faster, then on clips.
    """
    codec = Codec.from_pretrained(models / "codec", torch_dtype=torch.float32).eval()
    cache = work / f"latents_{_made_by(models)}"
    variants = {"studio": 2, "takes": 4, "photos": 2, "stills": 4}
    studio, takes, photos, stills = (
        _read(lessons, kind, codec, cache, times) for kind, times in variants.items()
    )
    torch.manual_seed(0)
    identity = studio[0].identity.shape[1]
    unet = new_unet(identity)
    if start:
        unet.load_state_dict(UNetSpatioTemporalConditionModel.from_pretrained(start).state_dict())
    recipe = Recipe(steps=images, rate=rate, warmup=200, average=0.9995, channels_last=False)
    loss = partial(losses, channels=visibility(codec))
    with spatial_only(unet):
        batch = partial(
            draw_frames,
            kinds=[takes, stills, takes, photos, takes, studio, takes, stills],
            count=count,
        )
        trained = fit(unet, batch, loss, work / "images", recipe)
    unet = plain(new_unet(identity), trained)
    only_time_learns(unet)
    recipe = replace(recipe, steps=clips, rate=rate / 2)
    batch = partial(draw_clips, kinds=[studio, photos], count=max(1, count // 8))
    unet = plain(new_unet(identity), fit(unet, batch, loss, work / "clips", recipe))
    unet.to(torch.float16).save_pretrained(models / "kiss")
    write_card(
        Card(
            title="kisslab kiss model",
            task="video latent diffusion (EDM preconditioning, UNetSpatioTemporalConditionModel) "
            "that repaints a warped guide",
            data=f"{len(studio)} encoded clips of studio couples, {len(takes)} of three frames, "
            f"{len(photos)} clips of photographs "
            "(SFHQ and SFHQ-T2I, David Beniaguev, MIT) warped away and back, and "
            f"{len(stills)} sets of single frames of such"
            + (". It went on from the weights of an earlier round" if start else ""),
            recipe=recipe,
            seconds=seconds_spent(work / "images") + seconds_spent(work / "clips"),
            figures={"loss": _last_loss(work / "clips")},
            limits="It knows its training couples better than new ones; clips taught only its "
            "layers of time. Heads and shoulders of two adults at 256 pixels; hands, teeth and "
            "hair that moves are unknown to it.",
        ),
        models / "kiss",
        work / "clips",
    )


def _made_by(models: Path) -> str:
    """A name for kept latents: other for another codec, recogniser or way to encode lessons."""
    codec, recogniser = (
        (models / "codec").glob("*.safetensors"),
        pack_folder(OURS).glob("*_id.onnx"),
    )
    hashes = [zoo.sha256(path) for path in (*sorted(codec), *sorted(recogniser))]
    return hashlib.sha256(" ".join([ENCODING, *hashes]).encode()).hexdigest()[:12]


def _one_of(lessons: list[Latents], rng: np.random.Generator) -> Latents:
    return lessons[int(rng.integers(len(lessons)))]


def _batch(rng: np.random.Generator, parts: list[tuple[Latents, np.ndarray]]) -> Batch:
    """All that a step of training needs of some frames: noise and what is left out, too."""
    n = len(parts)
    told, truth, weight = (
        torch.from_numpy(np.stack([getattr(x, name)[order] for x, order in parts])).float()
        for name in ("told", "truth", "weight")
    )
    identity = torch.from_numpy(np.stack([x.identity for x, _ in parts]))
    for channels in CHANNELS.values():
        kept = torch.from_numpy(rng.random(n) >= DROP).float()
        told[:, :, channels] *= kept[:, None, None, None, None]
    identity = identity * torch.from_numpy(rng.random(n) >= DROP).float()[:, None, None]
    levels = np.exp(rng.normal(-0.4, 1.4, n)).clip(0.03, HIGHEST)
    levels = np.where(rng.random(n) < 0.4, HIGHEST, levels)  # where every clip starts
    noise = rng.normal(size=tuple(truth.shape)).astype(np.float32)
    return {
        "told": told,
        "clean": truth - known(told),
        "noise": torch.from_numpy(noise),
        "sigma": torch.from_numpy(levels.astype(np.float32)),
        "weight": weight,
        "identity": identity,
    }


def _read(folder: Path, kind: str, codec: Codec, cache: Path, variants: int) -> list[Latents]:
    """Every lesson as it is, then by other cameras, every second time in a mirror.

    Encoded once, then kept.
    """
    cache.mkdir(parents=True, exist_ok=True)
    out = []
    for path in tqdm(sorted(folder.glob(f"{kind}_*.npz")), desc=kind):
        seed = seed_of(path)
        for variant in range(variants):
            kept = cache / f"{path.stem}_{variant}.npz"
            if not kept.exists():
                _encoded_file(path, codec, variant % 2 == 1, seed * variant).save(kept)
            out.append(Latents.load(kept))
    if not out:
        raise FileNotFoundError(f"{folder}: no {kind}_*.npz; write them with kisslab.train.lessons")
    return out


def _encoded_file(path: Path, codec: Codec, mirror: bool, seed: int) -> Latents:
    """A lesson, or stills one after the other."""
    if not path.name.startswith("stills"):
        return encoded(Lesson.load(path), codec, mirror, seed)
    parts = [encoded(lesson, codec, mirror, seed) for lesson in Stills.load(path).lessons]
    told, truth, weight = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("told", "truth", "weight")
    )
    return Latents(told=told, truth=truth, weight=weight, identity=parts[0].identity)


def _last_loss(work: Path) -> float:
    rows = (work / "curve.csv").read_text().splitlines()[1:][-20:]
    return float(np.mean([float(row.split(",")[2]) for row in rows]))


if __name__ == "__main__":
    typer.run(main)
