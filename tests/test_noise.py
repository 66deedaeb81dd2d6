"""Noise that moves: it goes where the flow leads, and each frame is as white as any other."""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from tiny import tiny_conditions, tiny_model

from kisslab.bench.steadied import morans_i
from kisslab.kiss import encode, known, model_shape, sample
from kisslab.noise import independent_noise, noise_frames, shared_noise, warped_noise

SHAPE = (4, 3, 6, 8)  # of latents; pictures of 48 x 64 pixels


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    """The type checker's wrapper hides from torch.no_grad that samplers are generators."""
    with torch.no_grad():
        yield


def even(x: float, y: float, frames: int = 4, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """The same flow everywhere, pixels per frame."""
    return np.broadcast_to(np.float32([x, y]), (frames, *size, 2)).copy()


def swirl(frames: int, size: tuple[int, int], zoom: float = 0.03) -> np.ndarray:
    """A turn that also grows (or shrinks), and a part that moves against the rest, in front."""
    high, wide = size
    y, x = np.mgrid[:high, :wide] - np.array([high, wide])[:, None, None] / 2
    flow = np.stack([zoom * x - 0.05 * y, 0.05 * x + zoom * y], axis=-1)
    flow[high // 3 : high // 2, wide // 3 : wide // 2] = [3.3, -1.7]
    return np.broadcast_to(flow.astype(np.float32), (frames, high, wide, 2)).copy()


def test_sampling_begins_with_independent_noise() -> None:
    conditions = tiny_conditions()
    step = next(sample(conditions, tiny_model(), steps=2, seed=7, temperature=1.0))
    base = known(conditions.told[None])[0]
    white = torch.randn(base.shape, generator=torch.Generator().manual_seed(7))
    np.testing.assert_array_equal(step.noisy, (white * step.sigma + base).numpy())


def test_sampling_takes_other_noise() -> None:
    conditions, model = tiny_conditions(), tiny_model()
    noise = partial(warped_noise, flow=even(8, 0, 3, (32, 48)))

    def start(**options: object) -> np.ndarray:
        step = next(sample(conditions, model, steps=1, temperature=1.0, **options))
        return (step.noisy - known(conditions.told[None])[0].numpy()) / step.sigma

    moving = start(noise=noise)
    np.testing.assert_allclose(moving[1, ..., 1:], moving[0, ..., :-1], atol=1e-5)
    assert np.abs(start()[1, ..., 1:] - start()[0, ..., :-1]).mean() > 0.5
    still = start(noise=shared_noise)
    np.testing.assert_allclose(still[2], still[0], atol=1e-5)


def test_noise_that_stands_still_is_shared_noise() -> None:
    found = warped_noise(SHAPE, 0, flow=even(0, 0))
    torch.testing.assert_close(found, found[:1].expand(SHAPE))
    shared = shared_noise(SHAPE, 3)
    torch.testing.assert_close(shared, independent_noise((1, *SHAPE[1:]), 3).expand(SHAPE))


@pytest.mark.parametrize(("x", "y"), [(8, 0), (0, -8), (-16, 8)])
def test_noise_moves_by_whole_places(x: int, y: int) -> None:
    found = warped_noise(SHAPE, 0, flow=even(x, y)).numpy()
    for now, later in pairwise(found):
        here = np.roll(now, (y // 8, x // 8), axis=(1, 2))
        inside = (slice(None), _kept(y // 8, 6), _kept(x // 8, 8))
        np.testing.assert_allclose(later[inside], here[inside], atol=1e-6)


def _kept(shift: int, size: int) -> slice:
    return slice(max(0, shift), size + min(0, shift))


@pytest.mark.parametrize("speed", [0.4, 0.5, -0.16])
def test_slow_flow_adds_up(speed: float) -> None:
    frames = round(8 / abs(speed)) + 1
    found = warped_noise((frames, *SHAPE[1:]), 0, flow=even(speed, 0, frames)).numpy()
    first, last = (found[0], found[-1]) if speed > 0 else (found[-1], found[0])
    # Places at the edges have met what came in from outside.
    np.testing.assert_allclose(last[..., 2:-1], first[..., 1:-2], atol=1e-5)


def test_a_part_between_two_places_is_partly_the_same() -> None:
    found = warped_noise((2, 400, 6, 8), 0, flow=even(4, 0, 2)).numpy()
    alike = np.mean(found[1][..., 1:] * found[0][..., 1:])
    assert alike == pytest.approx(0.5, abs=0.02)  # half of the pixels are still there


def test_stretched_noise_keeps_its_sums() -> None:
    """Twice as wide: both parts of a pixel together are what it was (their sum over root 2)."""
    flow = np.zeros((2, 4, 32, 2), np.float32)
    flow[..., 0] = np.arange(32)
    first, second = (frame.noise for frame in noise_frames(flow, 50, 0))
    parts = second[:, 1:31:2], second[:, 2:32:2]
    np.testing.assert_allclose(sum(parts) / 2**0.5, first[:, 1:16], atol=1e-5)
    assert abs(np.mean(parts[0] * parts[1])) < 0.07  # and they are independent; chance: 0.02


def test_squeezed_noise_is_gathered() -> None:
    """Half as wide: two pixels meet, and are added as independent noise is."""
    flow = np.zeros((2, 4, 32, 2), np.float32)
    flow[..., 0] = np.arange(32) // 2 - np.arange(32)
    first, second = noise_frames(flow, 50, 0)
    met = (first.noise[:, 0::2] + first.noise[:, 1::2]) / 2**0.5
    np.testing.assert_allclose(second.noise[:, :16], met, atol=1e-5)
    assert np.all(second.density[:, :16] == 2) and second.fresh[:, 16:].all()


@pytest.mark.parametrize("zoom", [0.12, -0.12])
def test_every_pixel_stays_independent_of_every_other(zoom: float) -> None:
    """The covariance of all pixels, over many channels, is the identity up to chance."""
    channels, flow = 40_000, swirl(5, (7, 9), zoom)
    chance = 5 * (2 / channels) ** 0.5  # five deviations of a variance
    for frame in noise_frames(flow, channels, 0):
        pixels = frame.noise.reshape(-1, channels)
        assert np.abs(pixels @ pixels.T / channels - np.eye(63)).max() < chance
    copied = next(noise_frames(flow, channels, 0)).noise[_nearest(flow[0])]
    pixels = copied.reshape(-1, channels)
    assert np.abs(pixels @ pixels.T / channels - np.eye(63)).max() > 0.9  # a moved picture is not


def _nearest(flow: np.ndarray) -> tuple[np.ndarray, ...]:
    """Where every pixel comes from, roughly: rows, columns."""
    ends = np.indices(flow.shape[:2]) - np.moveaxis(flow[..., ::-1], 2, 0)
    limits = np.array(flow.shape[:2])[:, None, None] - 1
    return tuple(np.clip(np.rint(ends).astype(int), 0, limits))


@pytest.mark.parametrize("zoom", [0.03, -0.03])
def test_large_fields_pass_the_published_tests(zoom: float) -> None:
    # Of a seed whose first frame, which nothing moved, is no rare one (p = 0.05 is one in twenty).
    for frame in noise_frames(swirl(4, (240, 320), zoom), 8, seed=2):
        planes = np.moveaxis(frame.noise, 2, 0)
        assert abs(morans_i(planes)) <= 0.005  # chance: 0.0009
        assert kstest(planes.ravel(), "norm").pvalue >= 0.05


def test_latents_pass_the_published_tests() -> None:
    found = warped_noise((3, 128, 32, 32), 1, flow=swirl(3, (256, 256))).numpy()
    for frame in found:
        assert abs(morans_i(frame)) <= 0.005  # chance: 0.002
        assert kstest(frame.ravel(), "norm").pvalue >= 0.05


@pytest.mark.parametrize("size", [(200, 320), (250, 320), (320, 200), (384, 512)])
def test_flow_is_that_of_the_photo_at_any_size(size: tuple[int, int]) -> None:
    """A flow as long as one place of the model's picture moves latents by one place."""
    picture = np.zeros((1, *model_shape(size), 3), np.float32)
    places = encode(tiny_model().codec, picture).shape[2:]
    step = 8 * max(size) / 256
    found = warped_noise((2, 3, *places), 0, flow=even(step, 0, 2, size))
    torch.testing.assert_close(found[1][..., 1:], found[0][..., :-1])


@pytest.mark.parametrize("renewed", [0.0, 0.3, 1.0])
def test_renewed_noise_forgets_as_published(renewed: float) -> None:
    found = warped_noise((2, 400, 6, 8), 0, flow=even(0, 0, 2), renewed=renewed).numpy()
    kept = (1 - renewed) ** 2 / ((1 - renewed) ** 2 + renewed**2)
    assert np.mean(found[0] * found[1]) == pytest.approx(kept, abs=0.03)
    assert found.std() == pytest.approx(1, abs=0.02)


def test_a_seed_gives_one_noise_and_another_seed_another() -> None:
    flow = swirl(4, (48, 64))
    one, same, other = (warped_noise(SHAPE, seed, flow=flow) for seed in (5, 5, 6))
    torch.testing.assert_close(one, same, atol=0, rtol=0)
    assert (one - other).abs().mean() > 0.5


def test_all_that_leaves_the_picture_comes_back_as_fresh_noise() -> None:
    *_, last = noise_frames(even(100, 0, 2), 16, 0)
    assert last.fresh.all() and last.noise.std() == pytest.approx(1, abs=0.02)
    last.plot()


def test_a_flow_of_other_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="flow of 3 frames for latents of 4"):
        warped_noise(SHAPE, 0, flow=even(0, 0, 3))


def test_temperature_scales_what_sampling_begins_with() -> None:
    conditions, model = tiny_conditions(), tiny_model()
    base = known(conditions.told[None])[0].numpy()
    hot, cool = (
        next(sample(conditions, model, steps=1, temperature=t)).noisy - base for t in (1.0, 0.25)
    )
    np.testing.assert_allclose(cool, hot / 4, atol=1e-5)
