"""The watermark: what it survives and what not, that it can't be seen, that none is invented."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from kisslab import watermark, zoo
from kisslab.photo import load_photo
from kisslab.video import load_clip, make_clip, save
from kisslab.watermark import add_watermark, choose_pattern, read_watermark

MESSAGE = "5eed2026"


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    """A packaged couple that drifts sideways and up, ten frames."""
    rgb = (load_photo(zoo.data_path("portraits/couple_02.jpg")).rgb * 255).astype(np.uint8)
    return np.stack([np.roll(rgb, (-t, 2 * t), axis=(0, 1)) for t in range(10)])


@pytest.fixture(scope="module")
def marked(clip: np.ndarray) -> np.ndarray:
    return np.stack(list(add_watermark(clip, choose_pattern(clip, MESSAGE))))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def right(frames: np.ndarray) -> float:
    """Share of the 96 bits that are right before any is mended."""
    return float((read_watermark(frames).bits == watermark.bits_of(MESSAGE)).mean())


def half(frames: np.ndarray) -> np.ndarray:
    smaller = [cv2.resize(f, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for f in frames]
    return np.stack(smaller)


def test_it_is_read_back_and_can_t_be_seen(clip: np.ndarray, marked: np.ndarray) -> None:
    assert read_watermark(marked).message == MESSAGE and right(marked) == 1
    assert min(psnr(a, b) for a, b in zip(marked, clip, strict=True)) >= 42
    flat = np.abs(marked.astype(int) - clip)[:, :40, :60]  # smooth background
    assert flat.max() <= 4


def test_two_grey_levels_of_the_eye_s_room(clip: np.ndarray) -> None:
    """Texture hides more than flat ground."""
    pattern = choose_pattern(clip, MESSAGE)
    room = watermark._room(watermark._square(clip[0]))
    busy, flat = pattern[room > 1].std(), pattern[room < 0.25].std()
    assert busy > 3 * flat


@pytest.mark.parametrize(("suffix", "least"), [("mp4", 0.98), ("gif", 0.95), ("webp", 0.9)])
def test_files_keep_it(marked: np.ndarray, tmp_path: Path, suffix: str, least: float) -> None:
    path = tmp_path / f"kiss.{suffix}"
    save(make_clip(marked, 24.0), path, mark=False, watermark=False)
    if suffix == "webp":  # PyAV does not read it
        from kisslab.verify import _frames

        frames = _frames(path)
    else:
        frames = load_clip(path).frames
    assert right(frames) >= least and read_watermark(frames).message == MESSAGE


def test_half_the_size_keeps_it(marked: np.ndarray) -> None:
    assert right(half(marked)) >= 0.95 and read_watermark(half(marked)).message == MESSAGE


def test_dimmed_and_squeezed_it_is_there(marked: np.ndarray) -> None:
    dim = (marked * 0.8 + 10).astype(np.uint8)
    wide = np.stack([cv2.resize(f, (640, 300)) for f in marked])
    assert read_watermark(dim).message == read_watermark(wide).message == MESSAGE


def test_a_part_of_the_clip_has_it(marked: np.ndarray) -> None:
    assert right(marked[3:8]) >= 0.9


def test_a_crop_loses_it_and_the_docs_say_so(marked: np.ndarray) -> None:
    assert read_watermark(marked[:, 30:-20, 40:-10]).message == ""
    assert "Cropping" in (watermark.__doc__ or "")


def test_nothing_is_read_where_nothing_is() -> None:
    rng = np.random.default_rng(0)
    for name in ("couple_01", "couple_03", "single_15"):
        rgb = load_photo(zoo.data_path(f"portraits/{name}.jpg")).rgb
        assert read_watermark([(rgb * 255).astype(np.uint8)]).message == ""
    noise = rng.normal(0, 20, (500, 96))
    assert sum(bool(watermark._decoded(pushes)) for pushes in noise) <= 1  # CRC-16: 1 in 65536


def _grey(levels: np.ndarray) -> np.ndarray:
    """A picture of 256 x 256 of these grey levels."""
    whole = np.broadcast_to(levels, (256, 256)).round().astype(np.uint8)
    return np.repeat(whole[..., None], 3, axis=-1)


STRIPES = 128 + 100 * np.cos(np.pi * (np.arange(256) + 0.5) * 64 / 256)  # a single frequency
PLAIN = {
    **{f"flat {level}": np.array(level) for level in (0, 1, 16, 128, 254, 255)},
    "camera noise": 128 + np.random.default_rng(0).normal(0, 3, (256, 256)),
    "ramp": np.arange(256),
    "stripes": STRIPES,
    "stripes across": STRIPES[:, None],
    "bars": np.arange(256) // 4 % 2 * 255,
    "checks": (np.arange(256) // 4 + np.arange(256)[:, None] // 4) % 2 * 255,
    "box": np.pad(np.full((90, 120), 255), ((50, 116), (70, 66))),
}


@pytest.mark.parametrize("name", PLAIN)
def test_nothing_is_read_on_plain_ground(name: str) -> None:
    """Where nothing pushes a bit, a word of zeros fits best, and the CRC of zeros is zero."""
    picture = _grey(PLAIN[name])
    assert read_watermark([picture] * 3).message == ""


@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_clips_can_be_marked_all_the_same(level: int) -> None:
    flat = [_grey(np.array(level))] * 3
    marked = add_watermark(flat, choose_pattern(flat, "00000000"))
    assert read_watermark(marked).message == "00000000"


def test_a_sixth_of_the_contrast_is_enough(marked: np.ndarray) -> None:
    assert read_watermark((marked / 6 + 100).astype(np.uint8)).message == MESSAGE


def test_messages_differ(clip: np.ndarray) -> None:
    other = add_watermark(clip, choose_pattern(clip, "00000000"))
    assert read_watermark(other).message == "00000000"


def test_golay_s_code_mends_any_three_of_24() -> None:
    words = watermark._golay()
    assert words.shape == (4096, 24)
    assert words[1:].sum(axis=1).min() == 8  # linear, so this is the distance of any two
    rng = np.random.default_rng(0)
    pushes = 2.0 * watermark.bits_of(MESSAGE) - 1
    for _ in range(50):
        wrong = np.concatenate([24 * k + rng.choice(24, 3, replace=False) for k in range(4)])
        spoilt = pushes.copy()
        spoilt[wrong] *= -1
        assert watermark._decoded(spoilt) == MESSAGE


def test_small_frames_are_left_alone() -> None:
    small = np.zeros((2, 64, 300, 3), np.uint8)
    assert not choose_pattern(small, MESSAGE).any()


@pytest.mark.parametrize("message", ["", "5eed", "5eed20266", "not hexa"])
def test_other_messages_are_refused(clip: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match="eight hexadecimal digits"):
        choose_pattern(clip, message)


def test_no_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        read_watermark([])
