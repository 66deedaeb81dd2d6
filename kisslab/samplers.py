"""Stage 5a: from noise to a clip. (karras_sigmas, euler, heun, dpm_solver_2m, few_step, exact)

Every sampler is a generator of Steps around `denoise(x, sigma)`, which gives the mean of all clean
clips that could lie under the noise: >>> *trail, last = euler(denoise, noise, sigmas)
The answer is last.clean. x = clean + sigma * white noise, as in Karras et al. 2022 (EDM).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kisslab.records import Result, record

AFRESH = 2**31  # seeds are smaller: none starts the stream of noise that another one adds
Clip = Float[Tensor, "*clip"]
Array = Float[np.ndarray, "*clip"]
Denoise = Callable[[Clip, float], Clip]


@record
class Step(Result):
    """One step of denoising."""

    index: int
    sigma: float  # noise level at which the network was asked
    noisy: Array  # what it was shown
    clean: Array  # its estimate of the clean clip
    # The estimate without each condition that is guided, see kiss.Denoiser.
    branches: tuple[Array, ...] = ()
    without: tuple[str, ...] = ()  # which condition each branch lacks


def karras_sigmas(
    steps: int, low: float = 0.03, high: float = 8.0, rho: float = 7.0
) -> Float[Tensor, " S"]:
    """Noise levels from `high` to `low`, then 0 (Karras et al. 2022, eq. 5): S = steps + 1.

    rho: larger spends more steps near `low`. ValueError for less than one step, or unless
    0 < low <= high.
    """
    if steps < 1:
        raise ValueError(f"steps={steps}: take at least one")
    if not 0 < low <= high < math.inf:
        raise ValueError(f"low={low}, high={high}: noise falls from high to low, and both exceed 0")
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    sigmas = (high ** (1 / rho) + ramp * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    return torch.cat([sigmas, sigmas.new_zeros(1)])


@torch.no_grad()
def euler(denoise: Denoise, noise: Clip, sigmas: Float[Tensor, " S"]) -> Iterator[Step]:
    """First order along dx/dsigma = (x - D) / sigma (Karras et al. 2022, algorithm 1 without 6-8).

    noise: white, of unit variance; it is scaled by sigmas[0].
    """
    x = noise * float(sigmas[0])
    for index, (sigma, later) in enumerate(_pairs(sigmas)):
        clean = denoise(x, sigma)
        yield _step(index, sigma, x, clean)
        x = x + (later - sigma) * (x - clean) / sigma


@torch.no_grad()
def heun(denoise: Denoise, noise: Clip, sigmas: Float[Tensor, " S"]) -> Iterator[Step]:
    """Second order, two evaluations a step but the last (Karras et al. 2022, algorithm 1)."""
    x = noise * float(sigmas[0])
    for index, (sigma, later) in enumerate(_pairs(sigmas)):
        clean = denoise(x, sigma)
        yield _step(index, sigma, x, clean)
        slope = (x - clean) / sigma
        ahead = x + (later - sigma) * slope
        if later > 0:  # the trapezoid's other side
            slope = 0.5 * (slope + (ahead - denoise(ahead, later)) / later)
        x = x + (later - sigma) * slope


@torch.no_grad()
def dpm_solver_2m(denoise: Denoise, noise: Clip, sigmas: Float[Tensor, " S"]) -> Iterator[Step]:
    """DPM-Solver++ (2M): second order from two neighbouring estimates (Lu et al. 2022, alg. 2)."""
    x, before = noise * float(sigmas[0]), None
    levels = sigmas.log().neg().tolist()
    for index, (sigma, later) in enumerate(_pairs(sigmas)):
        clean = denoise(x, sigma)
        yield _step(index, sigma, x, clean)
        target = clean
        if before is not None and later > 0:
            # r of the paper: the last step's width in log sigma over this one's.
            ratio = (levels[index] - levels[index - 1]) / (levels[index + 1] - levels[index])
            target = clean + (clean - before) / (2 * ratio)
        x = (later / sigma) * x + (1 - later / sigma) * target
        before = clean


@torch.no_grad()
def few_step(
    denoise: Denoise, noise: Clip, sigmas: Float[Tensor, " S"], seed: int = 0
) -> Iterator[Step]:
    """Denoise all the way, add less noise, again (Song et al. 2023, algorithm 1).

    seed: of the added noise. It may be that of `noise`: the two are independent all the same.
    """
    generator = torch.Generator().manual_seed(seed + AFRESH)
    x = noise * float(sigmas[0])
    for index, (sigma, later) in enumerate(_pairs(sigmas)):
        clean = denoise(x, sigma)
        yield _step(index, sigma, x, clean)
        fresh = torch.randn(x.shape, generator=generator).to(x)
        x = clean + later * fresh


def exact(clips: Float[Tensor, "N ..."]) -> Denoise:
    """The best denoiser for a world of exactly these clips, without a network.

    D(x, sigma) = sum_i w_i c_i, w = softmax(-|x - c_i|^2 / (2 sigma^2)) (Karras et al. 2022,
    eq. 57)
    """

    def denoise(x: Clip, sigma: float) -> Clip:
        away = (x - clips).flatten(start_dim=1).square().sum(dim=1)
        weight = torch.softmax(-away / (2 * sigma**2), dim=0)
        return torch.tensordot(weight, clips, dims=1)

    return denoise


def _step(index: int, sigma: float, noisy: Clip, clean: Clip) -> Step:
    return Step(index, sigma, noisy.cpu().numpy(), clean.cpu().numpy())


def _pairs(sigmas: Float[Tensor, " S"]) -> list[tuple[float, float]]:
    """Each noise level and the next."""
    levels = sigmas.tolist()
    return list(pairwise(levels))
