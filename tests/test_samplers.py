"""Samplers against diffusers' schedulers, and against a case that can be integrated by hand."""

import numpy as np
import pytest
import torch
from diffusers import EDMDPMSolverMultistepScheduler, EDMEulerScheduler, HeunDiscreteScheduler

from kisslab.noise import independent_noise
from kisslab.samplers import dpm_solver_2m, euler, exact, few_step, heun, karras_sigmas

SIGMAS = karras_sigmas(12, 0.05, 5.0)
NOISE = torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
CLIPS = torch.randn(5, 2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(4))


def last(steps) -> torch.Tensor:
    *_, final = steps
    return torch.from_numpy(final.clean.copy())


def edm(scheduler, denoise) -> torch.Tensor:
    """Run one of diffusers' EDM schedulers around a denoiser, undoing its preconditioning."""
    scheduler.set_timesteps(12)
    x = NOISE * scheduler.sigmas[0]
    for index, step in enumerate(scheduler.timesteps):
        sigma = float(scheduler.sigmas[index])
        scheduler.scale_model_input(x, step)
        data = scheduler.config.sigma_data
        skip = data**2 / (sigma**2 + data**2)
        out = sigma * data / (sigma**2 + data**2) ** 0.5
        network = (denoise(x, sigma) - skip * x) / out
        x = scheduler.step(network, step, x).prev_sample
    return x


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(euler, EDMEulerScheduler), (dpm_solver_2m, EDMDPMSolverMultistepScheduler)],
)
def test_agrees_with_diffusers(ours, theirs):
    scheduler = theirs(sigma_min=0.05, sigma_max=5.0)
    denoise = exact(CLIPS)
    expected = edm(scheduler, denoise)
    found = last(ours(denoise, NOISE, scheduler.sigmas.double()))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_heun_agrees_with_diffusers():
    scheduler = HeunDiscreteScheduler()
    scheduler.set_timesteps(12)
    doubled = torch.cat([SIGMAS[:1], SIGMAS[1:-1].repeat_interleave(2), SIGMAS[-1:]])
    scheduler.sigmas = doubled
    scheduler.timesteps = torch.arange(len(doubled) - 1).double()
    scheduler._step_index = 0
    denoise, x = exact(CLIPS), NOISE * SIGMAS[0]
    for index, step in enumerate(scheduler.timesteps):
        sigma = float(doubled[index])
        x = scheduler.step((x - denoise(x, sigma)) / sigma, step, x).prev_sample
    found = last(heun(denoise, NOISE, SIGMAS))
    np.testing.assert_allclose(found, x, rtol=1e-6, atol=1e-6)


def test_order_of_convergence():
    """One clean Gaussian of deviation 1 has the closed form x(0) = x(sigma) / sqrt(1 + sigma^2)."""

    def denoise(x, sigma):
        return x / (1 + sigma**2)

    def error(sampler, steps):
        sigmas = karras_sigmas(steps, 0.02, 5.0)
        truth = NOISE * 5.0 / 26**0.5
        return float((last(sampler(denoise, NOISE, sigmas)) - truth).abs().max())

    assert error(euler, 64) < 0.62 * error(euler, 32)  # first order: half
    assert error(heun, 64) < 0.33 * error(heun, 32)  # second order: a quarter
    assert error(heun, 32) < error(euler, 32) / 5


@pytest.mark.parametrize("sampler", [euler, heun, dpm_solver_2m, few_step])
def test_ends_on_a_clip_of_the_world(sampler):
    found = last(sampler(exact(CLIPS), NOISE, karras_sigmas(32, 0.02, 5.0)))
    nearest = (CLIPS - found).flatten(1).norm(dim=1).min()
    assert nearest < 1e-3 * CLIPS[0].norm()


def test_added_noise_is_independent_of_the_first_of_that_seed():
    shape = (4, 8, 16, 16)
    noise = independent_noise(shape, seed=0)
    first, second = few_step(lambda x, _: 0 * x, noise, torch.tensor([8.0, 2.0, 0.0]), seed=0)
    added = (second.noisy - first.clean) / 2
    assert np.std(added) == pytest.approx(1, abs=0.05)
    together = np.corrcoef(added.ravel(), noise.numpy().ravel())[0, 1]
    assert abs(together) < 0.05  # chance: 0.011


def test_steps_tell_what_happened():
    steps = list(euler(exact(CLIPS), NOISE, SIGMAS))
    assert [s.index for s in steps] == list(range(12))
    np.testing.assert_allclose([s.sigma for s in steps], SIGMAS[:-1])
    np.testing.assert_array_equal(steps[0].noisy, NOISE * SIGMAS[0])


def test_sigmas_follow_the_formula():
    assert len(karras_sigmas(1)) == 2
    np.testing.assert_allclose(SIGMAS[[0, -2, -1]], [5.0, 0.05, 0.0], atol=1e-12)
    with pytest.raises(ValueError, match="steps=0"):
        karras_sigmas(0)
    np.testing.assert_allclose(karras_sigmas(1, 8.0, 8.0), [8.0, 0.0])


@pytest.mark.parametrize(
    ("low", "high"), [(0, 8.0), (-1, 8.0), (20, 8.0), (np.nan, 8.0), (1.0, np.inf)]
)
def test_noise_that_does_not_fall_is_refused(low: float, high: float):
    with pytest.raises(ValueError, match=f"low={low}, high={high}: noise falls"):
        karras_sigmas(4, low, high)
