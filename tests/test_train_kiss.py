"""The kiss model's training: what is drawn from lessons, how it starts, that it can learn."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState

from kisslab.codec import Codec
from kisslab.identity import embed_crops
from kisslab.kiss import CHANNELS, estimate, load_kiss, spatial_only
from kisslab.train.kiss import (
    FRAMES,
    Latents,
    draw_clips,
    draw_frames,
    encoded,
    losses,
    main,
    new_unet,
    only_time_learns,
    visibility,
)
from kisslab.train.lessons import HEIGHT, WIDTH, Lesson, Stills

EVEN = torch.ones(16)


def latents(graded: list[int], value: float = 0.0) -> Latents:
    """A lesson whose frames carry their number in the first channel."""
    rng = np.random.default_rng(1)
    told = rng.standard_normal((FRAMES, CHANNELS["motion"].stop, 4, 8)).astype(np.float16)
    told[:, 0] = np.arange(FRAMES)[:, None, None]
    told[:, 16:32] = 1  # sure of everything
    weight = np.zeros((FRAMES, 1, 4, 8), np.float16)
    weight[graded] = 1
    truth = told[:, :16] + np.float16(value)
    return Latents(told=told, truth=truth, weight=weight, identity=np.ones((2, 8), np.float32))


def lesson(seed: int, count: int = FRAMES) -> Lesson:
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 255, (count, HEIGHT, WIDTH, 3), dtype=np.uint8)
    return Lesson(
        source=frames[0],
        guide=frames,
        confidence=frames[..., 0],
        truth=frames,
        people=np.ones((count, HEIGHT, WIDTH), bool),
        points=rng.uniform(20, 150, (count, 2, 478, 2)).astype(np.float16),
        crops=rng.integers(0, 255, (2, 112, 112, 3), dtype=np.uint8),
        graded=np.ones(count, bool),
    )


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("seed", [0, 5, 6])
def test_a_lesson_by_another_camera_still_fits_itself(mirror: bool, seed: int) -> None:
    codec = Codec(width=8, deep=8).eval()  # its networks start as zero: it is linear
    grey = np.full((1, HEIGHT, WIDTH, 3), 30, np.uint8)
    points = np.zeros((1, 2, 478, 2))
    for person, (x, y) in enumerate([(80, 90), (176, 100)]):
        corners = np.array([[-6, -6], [6, -6], [6, 6], [-6, 6]])
        points[0, person] = [x, y] + corners[np.arange(478) % 4]
        grey[0, y - 6 : y + 7, x - 6 : x + 7] = 250
    told = encoded(
        replace(
            lesson(0, 1),
            source=grey[0],
            guide=grey,
            truth=grey,
            confidence=grey[..., 0],
            people=grey[..., 0] > 100,
            points=points,
        ),
        codec,
        mirror,
        seed,
    )
    latents = told.told[0].astype(np.float32)
    np.testing.assert_array_equal(latents[:16], latents[32:48])  # guide and first frame
    np.testing.assert_array_equal(latents[:16], told.truth[0])
    sure, people = latents[16:32].mean(axis=0), told.weight[0, 0].astype(np.float32)
    left, right = (latents[part].mean(axis=0) for part in (slice(48, 64), slice(64, 80)))
    for plane in (left, right):  # where a square's outline is, the square is
        y, x = np.unravel_index(plane.argmax(), plane.shape)
        assert sure[y, x] > 0.25 and people[y, x] > 0.4
    columns = np.arange(WIDTH // 8)
    assert (left.sum(axis=0) @ columns) / left.sum() < (right.sum(axis=0) @ columns) / right.sum()


def test_in_a_mirror_the_two_people_change_places() -> None:
    codec, own = Codec(width=8, deep=8).eval(), lesson(3, 1)
    crops = own.crops.astype(np.float32) / 255
    plain, mirrored = (encoded(own, codec, mirror).identity for mirror in (False, True))
    np.testing.assert_allclose(plain, embed_crops(crops), atol=1e-5)
    np.testing.assert_allclose(mirrored, embed_crops(crops[::-1, :, ::-1]), atol=1e-5)
    assert np.abs(plain[0] - plain[1]).max() > 0.01


def test_clips_teach_only_what_changes_in_time() -> None:
    torch.manual_seed(4)
    unet = new_unet(identity=8)
    torch.nn.init.normal_(unet.conv_out.weight)  # else nothing has a gradient yet
    before = {name: x.clone() for name, x in unet.named_parameters()}
    only_time_learns(unet)
    optimizer = torch.optim.AdamW(unet.parameters(), 1e-2)
    batch = draw_clips(np.random.default_rng(0), [[latents(list(range(FRAMES)), value=0.7)]] * 2, 1)
    losses(unet, batch, EVEN)["square"].backward()
    optimizer.step()
    moved = {name for name, x in unet.named_parameters() if not torch.equal(x, before[name])}
    kinds = ("temporal_res_block", "temporal_transformer_blocks", "time_pos_embed", "time_mixer")
    assert moved and all(any(kind in name for kind in kinds) for name in moved)
    assert any("temporal_res_block" in name for name in moved)


def test_single_frames_are_those_whose_truth_is_known() -> None:
    kinds = [[latents([3, 7])], [latents([11])]]
    batch = draw_frames(np.random.default_rng(0), kinds, 40)
    assert batch["told"].shape == (40, 1, CHANNELS["motion"].stop, 4, 8)
    assert (batch["weight"] == 1).all()
    told = batch["told"][:, 0, CHANNELS["guide"]].amax(dim=(2, 3))
    numbers = {int(x) for row, x in zip(told, told[:, 0], strict=True) if row.any()}
    assert numbers == {3, 7, 11}
    dropped = (~told.any(dim=1)).float().mean()
    assert 0 < dropped < 0.4


def test_clips_run_forward_backward_or_there_and_back() -> None:
    kinds = [[latents(list(range(FRAMES)))]] * 2
    seen = set()
    for seed in range(40):
        told = draw_clips(np.random.default_rng(seed), kinds, 2)["told"]
        numbers = told[:, :, 0, 0, 0]
        if numbers.any(dim=1).all():
            seen.add(tuple(numbers[0].int().tolist()))
    there = tuple(range(FRAMES))
    assert seen == {there, there[::-1], there + there[::-1]}


def test_training_starts_with_what_is_known_and_with_single_frames() -> None:
    unet = new_unet(identity=8).eval()
    told = torch.randn(1, 3, CHANNELS["motion"].stop, 8, 8)
    x, level, identity = torch.randn(1, 3, 16, 8, 8), torch.tensor([0.5]), torch.randn(1, 2, 8)
    torch.nn.init.normal_(unet.conv_out.weight)
    with torch.no_grad():
        whole = estimate(unet, x, level, told, identity)
        with spatial_only(unet):
            single = estimate(unet, x, level, told, identity)
    torch.testing.assert_close(single, whole, rtol=1e-4, atol=1e-4)
    torch.nn.init.zeros_(unet.conv_out.weight)
    blank = estimate(unet, 0 * x, level, told, identity)
    assert not blank.any()  # no difference from what is known


def test_channels_count_as_much_as_they_show_in_pixels() -> None:
    torch.manual_seed(0)
    codec = Codec(width=8, deep=8).eval()  # its networks start as zero: it is linear
    base = torch.zeros(1, 16, 4, 4)
    shown = []
    for channel in range(16):
        latents = base.clone()
        latents[:, channel] = 1
        change = codec.synthesis(latents) - codec.synthesis(base)
        shown.append(float(change.detach().square().mean()))
    shown = np.array(shown) / np.mean(shown)
    np.testing.assert_allclose(visibility(codec).numpy(), shown, rtol=1e-4)


def test_the_loss_falls() -> None:
    kinds = [[latents(list(range(FRAMES)), value=0.7)]]
    torch.manual_seed(0)
    unet = new_unet(identity=8)
    optimizer = torch.optim.AdamW(unet.parameters(), 1e-3)

    def mean_loss() -> float:
        batches = [draw_frames(np.random.default_rng(seed), kinds, 8) for seed in range(100, 104)]
        return float(
            np.mean([float(losses(unet, batch, EVEN)["square"].detach()) for batch in batches])
        )

    with spatial_only(unet):
        before = mean_loss()
        for step in range(40):
            losses(unet, draw_frames(np.random.default_rng(step), kinds, 8), EVEN)[
                "square"
            ].backward()
            optimizer.step()
            optimizer.zero_grad()
        assert mean_loss() < 0.7 * before


@pytest.fixture
def own_precision() -> Iterator[None]:
    """accelerate allows one precision a process: other tests choose theirs anew."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.slow
def test_the_command_trains_a_model_that_loads(tmp_path: Path, own_precision: None) -> None:
    (tmp_path / "lessons").mkdir()
    lesson(0).save(tmp_path / "lessons" / "studio_00000000.npz")
    lesson(1).save(tmp_path / "lessons" / "photos_00000001.npz")
    lesson(4, 3).save(tmp_path / "lessons" / "takes_00000004.npz")
    Stills((lesson(2, 1), lesson(3, 1))).save(tmp_path / "lessons" / "stills_00000002.npz")
    Codec(width=8, deep=8).save_pretrained(tmp_path / "models" / "codec")
    folders = {"lessons": tmp_path / "lessons", "models": tmp_path / "models"}
    main(**folders, work=tmp_path / "work", images=3, clips=2, count=2)
    model = load_kiss(tmp_path / "models")
    assert model.unet.config.cross_attention_dim == 256
    card = (tmp_path / "models" / "kiss" / "README.md").read_text()
    assert "2 encoded clips of studio couples, 4 of three frames, 2 clips of photographs" in card
    with pytest.raises(FileNotFoundError, match="no studio_"):
        main(**{**folders, "lessons": tmp_path}, work=tmp_path / "new", images=1, clips=1)
