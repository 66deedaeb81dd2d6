"""Ours beside what others would use for the same, timed in turns in one run.

(peer_rows, against)
A ratio is our time over theirs: below 1 ours is the faster. Ratios are medians over rounds in which
both ran one after the other, so that what else the machine does falls on both. So are the share of
the machine's peak, and how many times slower the large network is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import signature

import cv2
import numpy as np
import torch
from diffusers import EDMDPMSolverMultistepScheduler, UNetSpatioTemporalConditionModel
from skimage.transform import estimate_transform, warp
from torch.utils.flop_counter import FlopCounterMode

from kisslab import zoo
from kisslab.bench.costs import best_seconds, seconds
from kisslab.bench.inputs import small_couple
from kisslab.bench.rows import Row, row
from kisslab.contact import planned_points
from kisslab.cutout import cut_out
from kisslab.faces import Faces, find_faces
from kisslab.guide import Guide, draw_guide
from kisslab.identity import embed
from kisslab.kiss import SIGMA_DATA, Conditions, Denoiser, KissModel, condition, estimate, sample
from kisslab.motion import Motion
from kisslab.noise import independent_noise
from kisslab.photo import Photo, load_photo
from kisslab.plan import plan_kiss

ROUNDS = 5
SHORT = 40  # rounds of what takes hundredths of a second, and varies by as much
LARGE_ROUNDS = 2  # beside a network that is too slow for more
STEPS = 2
HIGHEST = 8.0  # noise level that `karras_sigmas` begins at
NOISE_FLOOR = "<= 1.05"  # no slower, but for what two runs of one thing differ by
PEAK = 2048  # rows and columns of the matrices whose product is the machine's peak


def peer_rows(model: KissModel) -> Iterator[Row]:
    """Ratios: sampling, guide, faces and network against peers; flops_of_peak."""
    photo, faces = small_couple()
    motion = plan_kiss(faces, seconds=1.0, fps=12.0)
    told = condition(
        photo, faces, motion, draw_guide(photo, faces, motion), embed(photo, faces), model
    )
    ratio = against(
        lambda: list(sample(told, model, steps=STEPS)), lambda: bare_diffusers(told, model)
    )
    yield row("sampling_over_diffusers_loop", ratio, "", NOISE_FLOOR, ROUNDS)
    yield from guide_rows()
    portrait = load_photo(zoo.demo_portraits()[0])
    ratio = against(lambda: find_faces(portrait), lambda: bare_mediapipe(portrait), rounds=SHORT)
    yield row("find_faces_over_mediapipe", ratio, "", NOISE_FLOOR, SHORT)
    yield from network_rows(told, model)


def against(
    ours: Callable[[], object],
    theirs: Callable[[], object],
    scale: float = 1.0,
    rounds: int = ROUNDS,
) -> float:
    """Median over rounds of our seconds over theirs; each ran once before.

    scale: their work over ours, where a run of the one does not do as much as one of the other.
    """
    ours(), theirs()
    return scale * float(np.median([seconds(ours) / seconds(theirs) for _ in range(rounds)]))


@torch.no_grad()
def bare_diffusers(told: Conditions, model: KissModel, seed: int = 0) -> torch.Tensor:
    """The same network in the loop that a pipeline of diffusers has, with its own scheduler.

    It ends where `sample` ends, up to rounding.
    """
    defaults = {name: p.default for name, p in signature(sample).parameters.items()}
    scheduler = EDMDPMSolverMultistepScheduler(
        sigma_min=defaults["lowest"], sigma_max=HIGHEST, sigma_data=SIGMA_DATA, solver_order=2
    )
    scheduler.set_timesteps(STEPS)
    denoiser = Denoiser(model, told)
    x = defaults["temperature"] * HIGHEST * independent_noise(tuple(denoiser.base.shape), seed)
    identity = denoiser.identity[None]
    for t in scheduler.timesteps:
        inputs = scheduler.scale_model_input(x, t)
        sigma = float(scheduler.sigmas[scheduler.step_index])
        full = torch.cat([inputs, denoiser.told], dim=1)[None]
        with torch.autocast("cpu", torch.bfloat16):
            level = torch.tensor([np.log(sigma) / 4], dtype=torch.float32)
            out = model.unet(full, level, identity, torch.full((1, 1), 8.0)).sample[0]
        x = scheduler.step(out.float(), t, x).prev_sample
    return x + denoiser.base


def guide_rows() -> Iterator[Row]:
    """A frame of the guide beside scikit-image's piecewise affine warp and OpenCV's bare remap."""
    photo, faces = small_couple(scale=1.0)
    motion, cutout = plan_kiss(faces, seconds=1.0, fps=24.0), cut_out(photo, faces)
    frames = len(motion.gap)

    def ours() -> Guide:
        return draw_guide(photo, faces, motion, cutout)

    yield row("guide_frame_ms", 1000 * best_seconds(ours) / frames, "ms", "", frames)
    ratio = against(ours, lambda: piecewise_affine(photo, faces, motion), 1 / frames)
    yield row("guide_over_piecewise_affine", ratio, "", NOISE_FLOOR, ROUNDS)
    high, wide = photo.rgb.shape[:2]
    places = np.stack(np.meshgrid(np.arange(wide), np.arange(high)), -1).astype(np.float32) + 0.3
    ratio = against(ours, lambda: cv2.remap(photo.rgb, places, None, cv2.INTER_LINEAR), 1 / frames)
    yield row("guide_over_remap", ratio, "", "", ROUNDS)


def piecewise_affine(photo: Photo, faces: Faces, motion: Motion) -> np.ndarray:
    """The plan's middle frame, as scikit-image warps a picture by points: without depth."""
    frame = len(motion.gap) // 2
    goal = planned_points(motion, faces)[frame, :, ::8, :2].reshape(-1, 2)
    source = faces.points[:, ::8, :2].reshape(-1, 2)
    high, wide = photo.rgb.shape[:2]
    corners = np.array([[0, 0], [wide, 0], [0, high], [wide, high]], float)
    ends = np.concatenate([goal, corners]), np.concatenate([source, corners])
    return warp(photo.rgb, estimate_transform("piecewise-affine", *ends))


def bare_mediapipe(photo: Photo) -> object:
    """MediaPipe's landmarker as its own guide uses it: made, asked once, closed."""
    from mediapipe import Image, ImageFormat
    from mediapipe.tasks.python import BaseOptions, vision

    path = zoo.find_model("face_landmarker")
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(path)),
        num_faces=5,
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
    )
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        data = np.ascontiguousarray((photo.rgb * 255 + 0.5).astype(np.uint8))
        return landmarker.detect(Image(image_format=ImageFormat.SRGB, data=data))


@torch.no_grad()
def network_rows(told: Conditions, model: KissModel) -> Iterator[Row]:
    """One evaluation of the network: its share of the matrix-product peak, and how many times
    slower a UNet as large as that of Stable Video Diffusion (random weights) is at equal frames and
    pixels: what being small is worth, not how well either is written."""
    one, identity = told.told[None], torch.from_numpy(told.identity.copy())[None]
    x, sigma = torch.zeros_like(one[:, :, :16]), torch.tensor([2.0])

    def ours() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return estimate(model.unet, x, sigma, one, identity)

    with FlopCounterMode(display=False) as counter:
        ours()
    work = counter.get_total_flops()
    yield row("network_gflop", work / 1e9, "GFLOP", "", one.shape[1])
    a, b = (torch.randn(PEAK, PEAK, dtype=torch.bfloat16) for _ in range(2))
    share = against(lambda: a @ b, ours, work / (2 * PEAK**3))
    yield row("flops_of_peak", share, "share", ">= 0.4", ROUNDS)
    large = UNetSpatioTemporalConditionModel().to(torch.bfloat16).eval()
    frames, (high, wide) = one.shape[1], one.shape[-2:]
    inputs = torch.zeros(1, frames, 8, high, wide, dtype=torch.bfloat16)
    image = torch.zeros(1, 1, 1024, dtype=torch.bfloat16)
    times = torch.tensor([[6.0, 127.0, 0.02]], dtype=torch.bfloat16)
    slower = against(
        lambda: large(inputs, torch.tensor([1.0]), image, times), ours, rounds=LARGE_ROUNDS
    )
    yield row("svd_times_slower", slower, "times", "", LARGE_ROUNDS)
