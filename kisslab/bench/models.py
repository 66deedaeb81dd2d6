"""Area models: what the shipped networks are worth on people they never saw, and what they cost.

(measure, write_strips)
"""

from __future__ import annotations

import math
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Sequence
from inspect import signature
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kisslab import show, zoo
from kisslab.bench.costs import peak_gb, seconds
from kisslab.bench.inputs import portraits, small_couple
from kisslab.bench.judged import attempt_likeness, found, kiss_likeness
from kisslab.bench.made import (
    Attempt,
    Kiss,
    attempt,
    couples,
    kiss,
    photograph_cases,
    repaint,
    studio_cases,
)
from kisslab.bench.rows import Row, row
from kisslab.bench.studio import judge
from kisslab.codec import Codec
from kisslab.faces import face_detector
from kisslab.guide import draw_guide
from kisslab.identity import embed
from kisslab.kiss import (
    CONDITIONS,
    Conditions,
    Denoiser,
    KissModel,
    condition,
    load_codec,
    load_kiss,
    sample,
    spatial_only,
)
from kisslab.painting import paint
from kisslab.plan import plan_kiss
from kisslab.quality import psnr, sharpness, ssim
from kisslab.report import mean
from kisslab.samplers import karras_sigmas
from kisslab.train import codec
from kisslab.train.lessons import Case
from kisslab.train.pictures import read_photographs

COUPLES, WARPS, PAIRS = 6, 6, 10
ABLATED, STEPPED = 3, 2  # of the couples: they are sampled again and again
STEPS = (1, 2, 4, 8, 16, 32)
FACING = 30  # degrees of planned yaw up to which a face is held to the bounds on identity
SAFE = {".safetensors", ".onnx", ".json", ".md", ".csv", ".txt"}  # loading them runs no code


def measure(folder: Path | None = None) -> Iterator[Row]:
    """Every figure of the models in `folder` (ours if none is given), on held-out data.

    PSNR, SSIM and sharpness are those of a clip where its people are, averaged over clips. Takes
    KISSLAB_PHOTOS and KISSLAB_MODELS. Without a kiss model only the other models are measured.
    """
    folder, photos = folder or zoo.data_path("models"), portraits()[0].parents[1]
    there = (folder / "kiss" / "config.json").is_file()
    yield from weight_rows(folder)
    yield row("kiss_model_there", float(there), "", "= 1", 1)
    with tempfile.TemporaryDirectory() as work:
        yield from recogniser_rows(photos, work)
        cases = list(studio_cases(work, COUPLES))
        yield from codec_rows(load_codec(folder), cases, photos)
        if there:
            yield from kiss_rows(folder, cases, list(photograph_cases(work, photos, WARPS)), photos)


def kiss_rows(
    folder: Path, couples_: Sequence[Case], warps_: Sequence[Case], photos: Path
) -> Iterator[Row]:
    """What the kiss model makes of held-out couples, of warped photographs and of pairs."""
    model = load_kiss(folder)
    yield from cost_rows(folder)
    studio = [attempt(case, model) for case in couples_]
    warps = [attempt(case, model) for case in warps_]
    kisses = [kiss(couple, model) for couple in islice(couples(photos), PAIRS)]
    yield from studio_rows(studio)
    yield unguarded_row(studio, model)
    yield from ablation_rows(studio[:ABLATED], model)
    yield from step_rows(studio[:STEPPED], model)
    yield tracing_row(studio[0].conditions, model)
    yield from photograph_rows(warps, kisses)
    yield from judge_rows(studio, kisses)


def write_strips(folder: str | Path, model: KissModel | None = None) -> list[Path]:
    """PNG sheets of 8 frames: guide, ours and truth of studio kisses, guide and ours of pairs."""
    folder, model = Path(folder), model or load_kiss()
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    with tempfile.TemporaryDirectory() as work:
        studio = [attempt(case, model) for case in studio_cases(work, 3)]
    for k, made in enumerate(studio):
        rows = {"guide": made.case.guide.frames, "ours": made.frames, "truth": made.truth}
        out.append(_strip(folder / f"studio_{k}.png", rows))
    for k, couple in enumerate(islice(couples(portraits()[0].parents[1]), PAIRS)):
        pair = kiss(couple, model)
        rows = {"guide": pair.guide.frames, "ours": pair.frames}
        out.append(_strip(folder / f"pair_{k}.png", rows))
    return out


def weight_rows(folder: Path) -> Iterator[Row]:
    """weights_total_mb, weights_only_safe: of all files in a folder of models."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    yield row("weights_total_mb", megabytes, "MB", "<= 40", len(files))
    safe = all(path.suffix in SAFE for path in files)
    yield row("weights_only_safe", float(safe), "", "= 1", len(files))


def recogniser_rows(photos: Path, work: str) -> Iterator[Row]:
    """Those of the recognition network and of the face and parts networks."""
    from kisslab.bench.small_faces import faces_rows
    from kisslab.bench.small_identity import identity_rows

    yield from identity_rows(photos, work)
    yield from faces_rows()


def cost_rows(folder: Path | None) -> Iterator[Row]:
    """clip_seconds_24x256, clip_peak_memory_gb: of the stages from conditions to painted clip.

    Two threads, a model that ran before; the memory is that of a process which runs all stages.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        spent, memory = pool.apply(_cost, (folder,))
    yield row("clip_seconds_24x256", spent, "s", "<= 25", 24)
    yield row("clip_peak_memory_gb", memory, "GB", "<= 3", 1)


def codec_rows(network: Codec, studio: Sequence[Case], photos: Path) -> Iterator[Row]:
    """codec_psnr_studio, codec_psnr_photos: pictures of 256 pixels, encoded and decoded."""
    pictures = np.concatenate([case.truth[::4] for case in studio])
    figure = codec.psnr(network, pictures)
    yield row("codec_psnr_studio", figure, "dB", ">= 30", len(pictures))
    pictures = read_photographs(photos, size=256, held=True)
    figure = codec.psnr(network, pictures)
    yield row("codec_psnr_photos", figure, "dB", ">= 27", len(pictures))


def studio_rows(studio: Sequence[Attempt]) -> Iterator[Row]:
    """Ours, the guide and a cross-dissolve against the exact clips of studio couples."""
    n = len(studio)
    ours = np.array([made.psnr(made.frames) for made in studio])
    guide = np.array([made.psnr(made.case.guide.frames) for made in studio])
    yield row("psnr_gain_over_guide", np.mean(ours - guide), "dB", ">= 5", n)
    yield row("psnr_in_mask", np.mean(ours), "dB", ">= 25", n)
    yield row("psnr_guide", np.mean(guide), "dB", "", n)
    dissolves = [made.psnr(_cross_dissolve(made)) for made in studio]
    yield row("psnr_cross_dissolve", np.mean(dissolves), "dB", "", n)
    gains = [gain for made in studio if (gain := _contact_gain(made)) is not None]
    yield row("psnr_gain_over_guide_contact", np.mean(gains), "dB", ">= 5", len(gains))
    gains = [_ssim(made, made.frames) - _ssim(made, made.case.guide.frames) for made in studio]
    yield row("ssim_gain_over_guide", np.mean(gains), "", "> 0", n)
    ratios = [sharpness(made.frames, made.truth, made.case.people) for made in studio]
    yield row("sharpness_vs_truth", np.mean(ratios), "", ">= 0.85", n)


def unguarded_row(studio: Sequence[Attempt], model: KissModel) -> Row:
    """psnr_gain_unguarded: were every change of the network taken, in the studio that it knows.

    `paint` takes fewer, for those in photographs would show as a glow around heads.
    """
    gains = []
    for made in studio:
        guide = made.case.guide
        *_, last = sample(made.conditions, model)
        whole = paint(guide, made.conditions, last, model, noise=0, sure=0, background=0)
        gains.append(made.psnr(whole.frames) - made.psnr(guide.frames))
    return row("psnr_gain_unguarded", np.mean(gains), "dB", "", len(gains))


def ablation_rows(studio: Sequence[Attempt], model: KissModel) -> Iterator[Row]:
    """PSNR of the same clips with everything, and without each condition or the layers of time."""
    n = len(studio)
    yield row("psnr_with_all", np.mean([made.psnr(made.frames) for made in studio]), "dB", "", n)
    for name in CONDITIONS:
        yield row(f"psnr_without_{name}", _mean_psnr(studio, model, **{name: 0.0}), "dB", "", n)
    with spatial_only(model.unet):
        yield row("psnr_without_temporal", _mean_psnr(studio, model), "dB", "", n)


def step_rows(studio: Sequence[Attempt], model: KissModel) -> Iterator[Row]:
    """ssim_steps_1 ... ssim_steps_32, and how near few steps come to 32.

    steps4_over_steps32_ssim hardly tells, for the guide alone has most of the SSIM; so there are
    steps4_over_steps32_gain (of SSIM over the guide's; NaN if 32 gain nothing) and
    steps4_to_steps32_psnr (of one clip against the other), both beside those of a single step.
    """
    n, clips = len(studio), {steps: [_in_steps(m, model, steps) for m in studio] for steps in STEPS}
    figures = {steps: _mean_ssim(studio, made) for steps, made in clips.items()}
    for steps, figure in figures.items():
        yield row(f"ssim_steps_{steps}", figure, "", "", n)
    yield row("steps4_over_steps32_ssim", figures[4] / figures[32], "", "", n)
    guide = _mean_ssim(studio, [made.case.guide.frames for made in studio])
    most = figures[32] - guide
    for steps, bound in ((4, ">= 0.97"), (1, "")):
        gain = (figures[steps] - guide) / most if most > 0 else float("nan")
        yield row(f"steps{steps}_over_steps32_gain", gain, "", bound, n)
        near = [
            psnr(few, many, made.case.people)
            for few, many, made in zip(clips[steps], clips[32], studio, strict=True)
        ]
        yield row(f"steps{steps}_to_steps32_psnr", np.mean(near), "dB", "", n)


def tracing_row(conditions: Conditions, model: KissModel, times: int = 5) -> Row:
    """tracing_overhead: what it costs that `sample` hands out every step. The best of `times`."""
    ways = (lambda: list(sample(conditions, model, steps=2)), lambda: bare(conditions, model, 2))
    runs = [[seconds(way) for way in ways] for _ in range(times + 1)]
    traced, plain = np.min(runs[1:], axis=0)  # the first pair warms up
    return row("tracing_overhead", traced / plain - 1, "", "<= 0.03", times)


def photograph_rows(warps: Sequence[Attempt], kisses: Sequence[Kiss]) -> Iterator[Row]:
    """Photographs: what a double warp loses is mended, what the photo shows stays, faces remain."""
    gains = [made.psnr(made.frames) - made.psnr(made.case.guide.frames) for made in warps]
    yield row("photo_doublewarp_gain", np.mean(gains), "dB", ">= 2", len(gains))
    kept = [psnr(k.frames, k.guide.frames, k.guide.confidence > 0.9) for k in kisses]
    yield row("photo_visible_psnr", np.mean(kept), "dB", ">= 30", len(kept))
    with face_detector() as detect:
        seen = [one for pair in kisses for one in found(pair, detect, most_yaw=45)]
    yield row("photo_face_found_yaw45", np.mean(seen), "share", ">= 0.95", len(seen))


def judge_rows(studio: Sequence[Attempt], kisses: Sequence[Kiss]) -> Iterator[Row]:
    """Who it still is, by a recogniser that trained nothing of ours.

    Where it finds a face that is planned to be turned by at most FACING degrees; farther turned
    ones, for which a recogniser of frontal faces is no sure judge, have rows of their own.
    """
    analysis = judge()
    alike = np.concatenate([kiss_likeness(analysis, k) for k in kisses])
    facing = np.abs(np.concatenate([k.motion.angles[..., 0] for k in kisses])) <= FACING
    seen = np.isfinite(alike).all(axis=-1)
    own, other = alike[facing & seen].T
    yield row("judge_identity_mean", own.mean(), "cosine", ">= 0.75", len(own))
    yield row("judge_identity_min", own.min(), "cosine", ">= 0.60", len(own))
    yield row("judge_identity_margin", (own - other).mean(), "cosine", ">= 0.35", len(own))
    turned, there = alike[~facing, 0], seen[~facing]
    yield row("judge_identity_mean_turned", mean(turned), "cosine", "", int(there.sum()))
    yield row("judge_found_turned", there.mean(), "share", "", len(there))
    ours, exact = np.concatenate([attempt_likeness(analysis, made) for made in studio]).T
    ratio = ours.mean() / exact.mean()
    yield row("judge_identity_vs_truth", ratio, "", ">= 0.95", len(ours))


@torch.no_grad()
def bare(conditions: Conditions, model: KissModel, steps: int) -> Float[Tensor, "T C h w"]:
    """What the last step of `sample` is, by a plain loop that keeps nothing else.

    DPM-Solver++ (2M), Lu et al. 2022, algorithm 2.
    """
    given = {name: value.default for name, value in signature(sample).parameters.items()}
    denoise, sigmas = Denoiser(model, conditions), karras_sigmas(steps, given["lowest"]).tolist()
    noise = torch.randn(denoise.base.shape, generator=torch.Generator().manual_seed(0))
    x = given["temperature"] * sigmas[0] * noise
    before, clean = x, x
    for index, (sigma, later) in enumerate(pairwise(sigmas)):
        before, clean = clean, denoise(x, sigma)
        target = clean
        if index and later:
            ratio = math.log(sigmas[index - 1] / sigma) / math.log(sigma / later)
            target = clean + (clean - before) / (2 * ratio)
        x = (later / sigma) * x + (1 - later / sigma) * target
    return clean + denoise.base


def _cost(folder: Path | None) -> tuple[float, float]:
    """(seconds, gigabytes) of painting 24 frames of 256 x 192 in this very process."""
    torch.set_num_threads(2)
    model = load_kiss(folder)
    spent = min(_painting_seconds(model) for _ in range(2))
    return spent, peak_gb()


def _painting_seconds(model: KissModel) -> float:
    photo, faces = small_couple()
    motion = plan_kiss(faces, seconds=1.0, fps=24.0)
    guide = draw_guide(photo, faces, motion)
    identity = embed(photo, faces)
    start = time.perf_counter()
    told = condition(photo, faces, motion, guide, identity, model)
    *_, last = sample(told, model)
    paint(guide, told, last, model)
    return time.perf_counter() - start


def _ssim(made: Attempt, frames: Float[np.ndarray, "T H W 3"]) -> float:
    return ssim(frames, made.truth, made.case.people)


def _mean_ssim(studio: Sequence[Attempt], clips: Sequence[Float[np.ndarray, "T H W 3"]]) -> float:
    return float(np.mean([_ssim(made, clip) for made, clip in zip(studio, clips, strict=True)]))


def _in_steps(made: Attempt, model: KissModel, steps: int) -> Float[np.ndarray, "T H W 3"]:
    """Painted in so many steps; those of the default were painted already."""
    if steps == signature(sample).parameters["steps"].default:
        return made.frames
    return repaint(made.case.guide, made.conditions, model, steps=steps)


def _mean_psnr(studio: Sequence[Attempt], model: KissModel, **weights: float) -> float:
    clips = [repaint(made.case.guide, made.conditions, model, **weights) for made in studio]
    return float(np.mean([made.psnr(clip) for made, clip in zip(studio, clips, strict=True)]))


def _contact_gain(made: Attempt) -> float | None:
    """Of the frames in which the people touch, if there are any."""
    touch = np.array([phase == "contact" for phase in made.case.motion.phases])
    if not touch.any():
        return None
    truth, people = made.truth[touch], made.case.people[touch]
    guide = made.case.guide.frames[touch]
    return psnr(made.frames[touch], truth, people) - psnr(guide, truth, people)


def _cross_dissolve(made: Attempt) -> Float[np.ndarray, "T H W 3"]:
    """The photo fading into the guide's last frame: the simplest film of a kiss."""
    last = made.case.guide.frames[-1]
    share = np.linspace(0, 1, len(made.frames), dtype=np.float32)[:, None, None, None]
    return made.case.photo.rgb * (1 - share) + last * share


def _strip(path: Path, rows: dict[str, Float[np.ndarray, "T H W 3"]]) -> Path:
    """A sheet of 8 frames across."""
    from matplotlib import pyplot

    count = len(next(iter(rows.values())))
    chosen = np.linspace(0, count - 1, 8).round().astype(int)
    pictures = [frames[t] for frames in rows.values() for t in chosen]
    show.sheet(pictures, [f"{name}, frame {t}" for name in rows for t in chosen], columns=8)
    pyplot.savefig(path, dpi=200)
    pyplot.close()
    return path
