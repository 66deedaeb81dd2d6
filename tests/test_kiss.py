"""The kiss model around its network: what it is told, how it is asked, what is made of the answer.

Every network here is tiny and random; what holds for it holds for any.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import people
import pytest
import torch
from tiny import tiny_conditions, tiny_model

from kisslab import kiss
from kisslab.guide import Guide
from kisslab.identity import Identity
from kisslab.kiss import (
    CHANNELS,
    CONDITIONS,
    SIGMA_DATA,
    Conditions,
    Denoiser,
    KissModel,
    condition,
    decode,
    draw_points,
    encode,
    estimate,
    known,
    load_kiss,
    sample,
)
from kisslab.painting import paint
from kisslab.plan import plan_kiss
from kisslab.samplers import Step

HIGH, WIDE = 160, 256


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    """The type checker's wrapper hides from torch.no_grad that samplers are generators."""
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> KissModel:
    """Saved by diffusers, and loaded as a user's own model would be."""
    folder, made = tmp_path_factory.mktemp("models"), tiny_model()
    made.unet.save_pretrained(folder / "kiss")
    made.codec.save_pretrained(folder / "codec")
    return load_kiss(folder)


def constant(answer: float) -> KissModel:
    """The network says `answer` everywhere, whatever it is asked."""
    made = tiny_model()
    torch.nn.init.zeros_(made.unet.conv_out.weight)
    torch.nn.init.constant_(made.unet.conv_out.bias, answer)
    return made


def noise(conditions: Conditions, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(conditions.guide.shape, generator=generator)


def drawn_guide(frames: int = 3, high: int = HIGH, wide: int = WIDE) -> Guide:
    rng = np.random.default_rng(2)
    shape = (frames, high, wide)
    return Guide(
        frames=rng.random((*shape, 3)).astype(np.float32),
        confidence=rng.random(shape).astype(np.float32),
        disocclusion=np.zeros(shape, bool),
        layers=np.zeros(shape, np.uint8),
        depth=np.zeros(shape, np.float32),
        flow=np.zeros((*shape, 2), np.float32),
        fps=24.0,
    )


def told(model: KissModel) -> tuple[Guide, Conditions]:
    """A drawn couple of 320 x 200 pixels, three frames of a plan, and everything made of them."""
    drawing = people.draw_couple(size=(320, 200))
    motion = plan_kiss(drawing.faces, seconds=0.5).pick([0, 4, 8])
    guide = drawn_guide(high=200, wide=320)
    identity = Identity(np.zeros((2, 112, 112, 3)), np.eye(2, 8), "none")
    return guide, condition(drawing.photo, drawing.faces, motion, guide, identity, model)


def counted(model: KissModel, run) -> int:
    """How often the network is called meanwhile."""
    calls = []
    handle = model.unet.register_forward_hook(lambda *_: calls.append(1))
    run()
    handle.remove()
    return len(calls)


def test_everything_has_the_models_own_size(model: KissModel) -> None:
    guide, conditions = told(model)
    assert conditions.guide.shape == (3, 16, 20, 32)  # 256 x 160 pixels, 8 a place
    assert conditions.first.shape == (16, 20, 32)
    assert conditions.confidence.shape == (3, 16, 20, 32)
    assert conditions.motion.shape == (3, 32, 20, 32)
    steps = list(sample(conditions, model, steps=2))
    assert [s.clean.shape for s in steps] == [(3, 16, 20, 32)] * 2
    painted = paint(guide, conditions, steps[-1], model)
    assert painted.frames.shape == painted.change.shape == (3, 200, 320, 3)


def test_conditions_lie_in_their_channels() -> None:
    conditions = tiny_conditions()
    channels = {name: conditions.told[:, place].numpy() for name, place in CHANNELS.items()}
    guide = np.concatenate([conditions.guide, conditions.confidence], axis=1)
    np.testing.assert_array_equal(channels["guide"], guide)
    np.testing.assert_array_equal(channels["first"], np.stack([conditions.first] * 3))
    np.testing.assert_array_equal(channels["motion"], conditions.motion)
    assert sum(part.shape[1] for part in channels.values()) == conditions.told.shape[1]


def test_what_is_known_is_the_guide_as_far_as_it_is_sure() -> None:
    told = tiny_conditions().told.repeat(3, 1, 1, 1, 1)
    latents, sure = slice(0, 16), slice(16, 32)
    told[0, :, sure], told[1, :, sure] = 1, 0
    told[2, :, sure], told[2, :, 16:20] = 0, 1  # a quarter of each place is sure
    found = known(told)
    torch.testing.assert_close(found[0], told[0, :, latents])
    assert not found[1].any()
    torch.testing.assert_close(found[2], told[2, :, latents] / 4)


def test_a_seed_gives_one_clip_and_another_seed_another(model: KissModel) -> None:
    conditions = tiny_conditions()

    def clip(seed: int) -> np.ndarray:
        *_, last = sample(conditions, model, steps=2, seed=seed)
        return last.clean

    np.testing.assert_array_equal(clip(3), clip(3))
    assert np.abs(clip(3) - clip(4)).mean() > 1e-3


@pytest.mark.parametrize(
    ("weights", "calls"),
    [({}, 3), (dict.fromkeys(CONDITIONS, 1.0), 3), ({"first": 1.5}, 6), ({"identity": 0.0}, 3)],
)
def test_only_a_weight_other_than_1_costs_calls(
    model: KissModel, weights: dict[str, float], calls: int
) -> None:
    conditions = tiny_conditions()
    run = sample(conditions, model, steps=3, **weights)
    assert counted(model, lambda: list(run)) == calls


@pytest.mark.parametrize("name", ["first", "motion", "identity"])
def test_a_weight_of_0_drops_the_condition(model: KissModel, name: str) -> None:
    conditions = tiny_conditions()
    without = replace(conditions, **{name: np.zeros_like(getattr(conditions, name))})
    x = noise(conditions)
    found = Denoiser(model, conditions, **{name: 0.0})(x, 0.7)
    torch.testing.assert_close(found, Denoiser(model, without)(x, 0.7), atol=1e-4, rtol=1e-4)
    assert (found - Denoiser(model, conditions)(x, 0.7)).abs().max() > 1e-3


def test_without_the_guide_the_same_noisy_clip_is_seen_from_nothing(model: KissModel) -> None:
    conditions = tiny_conditions()
    nothing = np.zeros_like(conditions.guide), np.zeros_like(conditions.confidence)
    without = replace(conditions, guide=nothing[0], confidence=nothing[1])
    base, x = known(conditions.told[None])[0], noise(conditions)
    found = base + Denoiser(model, conditions, guide=0.0)(x, 0.7)
    expected = Denoiser(model, without)(base + x, 0.7)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_guidance_is_linear_in_the_weight(model: KissModel) -> None:
    conditions = tiny_conditions()
    x = noise(conditions)
    at = {w: Denoiser(model, conditions, motion=w)(x, 0.7) for w in (0.0, 1.0, 2.0)}
    torch.testing.assert_close(at[2.0] - at[1.0], at[1.0] - at[0.0], atol=1e-4, rtol=1e-4)


def test_steps_name_what_their_branches_lack(model: KissModel) -> None:
    conditions = tiny_conditions()
    (step,) = sample(conditions, model, steps=1, first=1.5, identity=0.0)
    assert step.without == ("first", "identity")
    full, first, identity = (np.asarray(a, float) for a in (step.clean, *step.branches))
    # clean = D + 0.5 (D - first) - (D - identity), so D = (clean + 0.5 first - identity) / 0.5
    plain = next(iter(sample(conditions, model, steps=1))).clean
    np.testing.assert_allclose((full + 0.5 * first - identity) / 0.5, plain, atol=2e-3)


@pytest.mark.parametrize("frames", [1, 24, 25, 40, 57])
def test_windows_cover_every_frame(frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, conditions = constant(0.3), tiny_conditions(frames, (4, 4))
    x = noise(conditions)
    found = Denoiser(model, conditions)(x, 0.7)
    monkeypatch.setattr(kiss, "WINDOW", 100)  # one window
    whole = Denoiser(model, conditions)
    assert counted(model, lambda: whole(x, 0.7)) == 1
    torch.testing.assert_close(found, whole(x, 0.7), atol=1e-5, rtol=1e-5)


def test_longer_clips_take_more_windows(model: KissModel) -> None:
    conditions = tiny_conditions(40, (4, 4))
    calls = counted(model, lambda: list(sample(conditions, model, steps=1)))
    assert calls == 2  # 0..24 and 16..40


def test_an_estimate_is_preconditioned_as_published() -> None:
    x = torch.randn(2, 3, 16, 4, 4)
    sigma = torch.tensor([0.3, 4.0])
    told = torch.stack([tiny_conditions(places=(4, 4), seed=s).told for s in (0, 1)])
    found = estimate(constant(0.3).unet, x, sigma, told, torch.ones(2, 2, 8))
    s = sigma[:, None, None, None, None]
    c_skip = SIGMA_DATA**2 / (s**2 + SIGMA_DATA**2)  # Karras et al. 2022, table 1
    c_out = s * SIGMA_DATA / (s**2 + SIGMA_DATA**2).sqrt()
    torch.testing.assert_close(found, c_skip * x + c_out * 0.3)


def test_without_noise_an_estimate_is_what_it_was_shown(model: KissModel) -> None:
    conditions = tiny_conditions()
    x, people = noise(conditions)[None], torch.from_numpy(conditions.identity.copy())[None]
    told = conditions.told[None]
    found = estimate(model.unet, x, torch.tensor([1e-6]), told, people)
    torch.testing.assert_close(found, x, atol=1e-4, rtol=1e-4)


def painted(model: KissModel, guide: Guide, clean: np.ndarray, had: np.ndarray, **options: float):
    conditions = replace(tiny_conditions(places=(20, 32)), guide=had)
    return paint(guide, conditions, Step(0, 0.02, clean, clean), model, **options)


def surely_drawn(rows: slice) -> Guide:
    """A guide that is sure of some rows and of nothing else."""
    guide = drawn_guide()
    confidence = np.zeros_like(guide.confidence)
    confidence[:, rows] = 1
    return replace(guide, confidence=confidence)


def test_painting_changes_nothing_where_the_model_agrees(model: KissModel) -> None:
    guide = drawn_guide()
    had = tiny_conditions(places=(20, 32)).guide
    out = painted(model, guide, had.copy(), had)
    np.testing.assert_array_equal(out.frames, guide.frames)
    other = had.copy()
    other[:, :, :, 24:] += 1.0  # the model disagrees about the right quarter
    out = painted(model, guide, other, had, noise=1e-3, sure=1e-3, background=1e-3)
    np.testing.assert_array_equal(out.frames[:, :, :128], guide.frames[:, :, :128])
    assert np.abs(out.frames - guide.frames)[:, :, 192:].mean() > 1e-3


def test_what_the_photo_shows_is_not_painted_over(model: KissModel) -> None:
    guide, had = surely_drawn(slice(40, 80)), tiny_conditions(places=(20, 32)).guide
    guide = replace(guide, layers=np.ones_like(guide.layers))
    out = painted(model, guide, had + 1, had, noise=1e-6, sure=1e6)
    np.testing.assert_allclose(out.frames[:, 40:80], guide.frames[:, 40:80], atol=1e-6)
    assert np.abs(out.frames - guide.frames)[:, :40].mean() > 1e-3
    np.testing.assert_allclose(out.mask, 1 - guide.confidence, atol=1e-3)


def test_what_the_photo_shows_gives_way_to_a_great_change(model: KissModel) -> None:
    guide, had = surely_drawn(slice(40, 80)), tiny_conditions(places=(20, 32)).guide
    out = painted(model, guide, had + 1, had, noise=1e-6, sure=1e-6, background=1e-6)
    np.testing.assert_allclose(out.mask, 1, atol=1e-3)


def test_a_threshold_of_nothing_takes_every_change(model: KissModel) -> None:
    guide, had = surely_drawn(slice(40, 80)), tiny_conditions(places=(20, 32)).guide
    same = painted(model, guide, had.copy(), had, noise=0, sure=0, background=0)
    np.testing.assert_array_equal(same.frames, guide.frames)
    out = painted(model, guide, had + 1, had, noise=0, sure=0, background=0)
    np.testing.assert_allclose(out.mask, 1, atol=1e-3)


def test_the_background_has_a_threshold_of_its_own(model: KissModel) -> None:
    guide, had = surely_drawn(slice(0, 0)), tiny_conditions(places=(20, 32)).guide
    layers = np.zeros_like(guide.layers)
    layers[:, :, :100] = 1
    guide = replace(guide, layers=layers)
    out = painted(model, guide, had + 1, had, noise=1e-6, sure=1e-6, background=1e6)
    np.testing.assert_allclose(out.mask[:, :, :90], 1, atol=1e-3)
    np.testing.assert_allclose(out.mask[:, :, 110:], 0, atol=1e-3)


def test_changes_that_average_to_little_are_not_taken(model: KissModel) -> None:
    guide, had = surely_drawn(slice(0, 0)), tiny_conditions(places=(20, 32)).guide
    guide = replace(guide, layers=np.ones_like(guide.layers))
    shift = painted(model, guide, had + 1, had, noise=1e-6)
    size = np.abs(shift.change.mean(axis=(1, 2))).mean()
    for noise, low, high in ((size / 4, 0.9, 1.0), (size * 4, 0.0, 0.5)):
        out = painted(model, guide, had + 1, had, noise=float(noise))
        assert low <= out.mask.mean() <= high
    np.testing.assert_array_equal(shift.change, out.change)  # what was wanted stays to be seen


def test_pictures_are_continued_to_whole_places(model: KissModel) -> None:
    pictures = np.random.default_rng(0).random((2, 50, 70, 3)).astype(np.float32)
    latents = encode(model.codec, pictures)
    assert latents.shape == (2, 16, 8, 12)
    larger = np.pad(pictures, ((0, 0), (0, 14), (0, 26), (0, 0)), mode="edge")
    torch.testing.assert_close(latents, encode(model.codec, larger))
    assert decode(model.codec, latents).shape == (2, 64, 96, 3)


def test_points_are_drawn_where_they_are_a_plane_each() -> None:
    left, right = people.face_points((64, 80), 60), people.face_points((192, 80), 60)
    points = np.stack([left, right])[None, ..., :2]
    lines = draw_points(points, (HIGH, WIDE))
    assert lines.shape == (1, 2, HIGH, WIDE) and 0.9 < lines.max() <= 1
    for plane, person in zip(lines[0], points[0], strict=True):
        down, across = np.nonzero(plane > 0.5)
        found = [across.min(), down.min(), across.max(), down.max()]
        np.testing.assert_allclose(found, [*person.min(0), *person.max(0)], atol=2)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"kiss: no model in diffusers format"):
        load_kiss(tmp_path)
    tiny_model().unet.save_pretrained(tmp_path / "kiss")
    with pytest.raises(FileNotFoundError, match=r"codec: no model"):
        load_kiss(tmp_path)
