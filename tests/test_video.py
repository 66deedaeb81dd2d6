"""Oracles: other readers (PyAV's decoder, Pillow) read back what was written; the boxes of MP4."""

import json
import os
import re
import struct
import subprocess
import sys
import time
from pathlib import Path

import av
import imageio.v3 as iio
import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image, ImageSequence

from kisslab import video
from kisslab.provenance import make_signer
from kisslab.video import Clip, add_mark, check_target, load_clip, make_clip, read_record, save

SUFFIXES = ("mp4", "gif", "webp", "png")


def moving(length: int = 13, height: int = 90, width: int = 120, fps: float = 24.0) -> Clip:
    """Smooth colours that drift, and a bar that says the frame's number by its place."""
    t, y, x = np.meshgrid(*(np.linspace(0, 1, n) for n in (length, height, width)), indexing="ij")
    frames = np.stack([x, y, 0.5 + 0.4 * np.sin(3 * x + 4 * t)], axis=-1)
    for i in range(length):
        frames[i, 5:15, 5 + 8 * i : 11 + 8 * i] = 0
    return make_clip(frames, fps)


def decoded(path: Path) -> tuple[np.ndarray, list[float]]:
    """Frames and the second at which each starts, by another reader than ours."""
    if path.suffix == ".mp4":
        with av.open(str(path)) as file:
            frames = list(file.decode(video=0))
        return np.stack([f.to_ndarray(format="rgb24") for f in frames]), [f.time for f in frames]
    frames, starts, now = [], [], 0
    for frame in ImageSequence.Iterator(Image.open(path)):
        frames.append(np.asarray(frame.convert("RGB")))
        starts.append(now / 1000)
        now += frame.info.get("duration", 0)  # a PNG of one frame has none
    return np.stack(frames), starts


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


# A GIF's dither is noise to this measure, and its delays are hundredths of a second.
@pytest.mark.parametrize(
    ("suffix", "least", "step"),
    [("mp4", 34, 0), ("gif", 24, 0.01), ("webp", 32, 0.001), ("png", 60, 0.001)],
)
def test_frames_and_their_times_come_back(tmp_path: Path, suffix: str, least: float, step: float):
    clip = moving()
    frames, starts = decoded(save(clip, tmp_path / f"kiss.{suffix}", mark=False))
    assert frames.shape == clip.frames.shape
    np.testing.assert_allclose(starts, np.arange(13) / 24, atol=step / 2 + 1e-6)
    each = [psnr(a, b) for a, b in zip(frames, clip.frames, strict=True)]
    assert min(each) > least, each
    shuffled = [psnr(a, b) for a, b in zip(frames, np.roll(clip.frames, 1, 0), strict=True)]
    assert max(shuffled) < min(each)  # so the frames are in order


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("fps", [10.0, 12.5, 24.0, 29.97, 30.0, 50.0])
def test_no_speed_drifts(tmp_path: Path, suffix: str, fps: float) -> None:
    clip = moving(length=12, height=20, width=110, fps=fps)
    _, starts = decoded(save(clip, tmp_path / f"kiss.{suffix}", mark=False))
    np.testing.assert_allclose(starts, np.arange(12) / fps, atol=0.005 + 1e-6)


def test_imageio_agrees_about_the_mp4(tmp_path: Path) -> None:
    path = save(moving(), tmp_path / "kiss.mp4")
    about = iio.immeta(path, plugin="pyav")
    assert (about["codec"], about["fps"], about["video_format"]) == ("h264", 24.0, "yuv420p")
    assert iio.imread(path, plugin="pyav").shape == (13, 90, 120, 3)
    assert about["duration"] == pytest.approx(13 / 24, abs=0.001)


def boxes(data: bytes) -> list[str]:
    """The names of an MP4's outermost boxes, in order (ISO 14496-12)."""
    names, place = [], 0
    while place < len(data):
        size, name = struct.unpack(">I4s", data[place : place + 8])
        names.append(name.decode())
        place += size
    return names


def test_mp4_starts_fast(tmp_path: Path) -> None:
    names = boxes(save(moving(), tmp_path / "kiss.mp4").read_bytes())
    assert names[0] == "ftyp" and names.index("moov") < names.index("mdat")


def test_mp4_is_tagged_and_coded_as_bt709(tmp_path: Path) -> None:
    colours = np.array(
        [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0]], np.uint8
    )
    frames = np.repeat(colours, 64 * 64, axis=0).reshape(5, 64, 64, 3)
    path = save(make_clip(frames, 5.0), tmp_path / "kiss.mp4", mark=False, quality=100)
    with av.open(str(path)) as file:
        context = file.streams.video[0].codec_context
        tags = (context.colorspace, context.color_primaries, context.color_trc, context.color_range)
        planes = [frame.to_ndarray(format="yuv420p")[20, 20] for frame in file.decode(video=0)]
    assert [int(tag) for tag in tags] == [1, 1, 1, 1]
    luma = 16 + 219 * (colours / 255) @ (0.2126, 0.7152, 0.0722)  # BT.709, eq. of section 3
    np.testing.assert_allclose(planes, luma, atol=1.5)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("size", [(63, 121), (64, 121), (63, 120), (2, 2), (1, 1)])
def test_odd_sizes(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    smooth = np.add.outer(np.arange(size[0]), np.arange(size[1]))[..., None] % 256
    clip = make_clip(np.broadcast_to(smooth, (1, *size, 3)).astype(np.uint8), 24.0)
    frames, _ = decoded(save(clip, tmp_path / f"odd.{suffix}", mark=False, quality=100))
    assert frames.shape[1] in (size[0], size[0] + 1) and frames.shape[2] in (size[1], size[1] + 1)
    if suffix == "mp4":
        assert frames.shape[1] % 2 == frames.shape[2] % 2 == 0
    assert np.abs(frames[:, : size[0], : size[1]].astype(int) - clip.frames).mean() < 4


NOTES = {
    "seed": 7,
    "settings": {"style": "tender", "fps": 24.0, "on": True, "nothing": None},
    "models": [{"file": "käse <&> ]]> \"'.onnx", "sha256": "0" * 64}],
    "long": "é🎈\n" * 5000,
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("notes", [NOTES, {}])
def test_the_record_comes_back(tmp_path: Path, suffix: str, notes: dict) -> None:
    path = save(moving(3), tmp_path / f"kiss.{suffix}", run_record=notes)
    assert read_record(path) == notes
    assert b"ai_generated" in path.read_bytes()  # said in plain text also without the mark


def test_other_readers_see_the_record(tmp_path: Path) -> None:
    path = save(moving(3), tmp_path / "kiss.mp4", run_record={"seed": 7})
    assert json.loads(iio.immeta(path, plugin="pyav")["comment"])["run"] == {"seed": 7}
    path = save(moving(3), tmp_path / "kiss.webp", run_record={"seed": 7})
    assert '"seed": 7' in json.dumps(Image.open(path).getxmp()).replace("\\", "")


def test_files_without_a_record_say_so(tmp_path: Path) -> None:
    pictures = [Image.fromarray(frame) for frame in moving(3).frames]
    for name in ("a.gif", "a.webp", "a.png"):
        pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:])
    iio.imwrite(tmp_path / "a.mp4", moving(3).frames, plugin="pyav", codec="libx264", fps=24)
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "a.txt").write_text("no video")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(ValueError, match=f"{path.name}: carries no record"):
            read_record(path)


def test_still_parts_of_a_gif_stay_still(tmp_path: Path) -> None:
    clip = moving(12)
    frames = clip.frames.copy()
    frames[:, 40:] = frames[0, 40:]
    seen, _ = decoded(save(make_clip(frames, 24.0), tmp_path / "kiss.gif", mark=False))
    assert (seen[:, 40:] == seen[0, 40:]).all()
    assert (seen[:, 5:15] != seen[0, 5:15]).any()


def test_quality_trades_size(tmp_path: Path) -> None:
    large = moving(13, 270, 360)  # the credential takes the same 4 KB at any quality
    for suffix in ("mp4", "webp"):
        sizes = [
            save(large, tmp_path / f"{q}.{suffix}", quality=q).stat().st_size
            for q in (100, 85, 40, 0)
        ]
        assert sizes == sorted(sizes, reverse=True) and sizes[0] > 2 * sizes[-1]


def corner(frame: np.ndarray) -> np.ndarray:
    return frame[-frame.shape[0] // 6 :, -frame.shape[1] // 2 :]


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("size", [(384, 512), (1080, 1920), (512, 288)])
def test_the_mark_can_be_read_on_any_ground(size: tuple[int, int], level: int) -> None:
    frame = np.full((*size, 3), level, np.uint8)
    (marked,) = add_mark([frame])
    changed = (marked != level).any(axis=-1)
    rows, columns = np.nonzero(changed)
    assert rows.min() > size[0] * 0.85 and columns.min() > size[1] * 0.5  # nothing else is touched
    assert 0.015 < np.ptp(rows) / min(size) < 0.08  # small, and it grows with the picture
    inside = marked[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1, 0]
    glass = np.bincount(inside.ravel()).argmax()
    light, dark = (inside.max() / 255) ** 2.2, (glass / 255) ** 2.2
    assert (light + 0.05) / (dark + 0.05) > 4.5  # WCAG 2.2, 1.4.3


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_mark_is_on_unless_declined(tmp_path: Path, suffix: str) -> None:
    clip = make_clip(
        np.full((4, 180, 240, 3), 255, np.uint8)
        - np.arange(4, dtype=np.uint8)[:, None, None, None] * 9,
        24.0,
    )
    with_mark, _ = decoded(save(clip, tmp_path / f"a.{suffix}"))
    without, _ = decoded(save(clip, tmp_path / f"b.{suffix}", mark=False))
    for marked, plain in zip(with_mark, without, strict=True):
        assert corner(marked).min() < 150 < corner(plain).min()
        assert np.abs(marked[:100].astype(int) - plain[:100]).max() < 12


def test_marking_does_not_touch_the_clip(tmp_path: Path) -> None:
    clip = moving()
    before = clip.frames.copy()
    save(clip, tmp_path / "kiss.webp")
    np.testing.assert_array_equal(clip.frames, before)


BAD_CLIPS = {
    "is empty": (np.zeros((0, 8, 8, 3)), 24.0),
    "NaN or infinity in frames \\[1\\]": (
        np.where(np.arange(3) == 1, np.nan, 0.0)[:, None, None, None] * np.ones((3, 8, 8, 3)),
        24.0,
    ),
    "go from 0 to 255": (np.linspace(0, 255, 8 * 8 * 3).reshape(1, 8, 8, 3), 24.0),
    "fps=0.0 is not a speed": (np.zeros((1, 8, 8, 3)), 0.0),
    "fps=nan is not a speed": (np.zeros((1, 8, 8, 3)), float("nan")),
}


@pytest.mark.parametrize("words", BAD_CLIPS)
def test_bad_frames_are_refused(words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_clip(*BAD_CLIPS[words])


def test_make_clip_rounds_to_bytes() -> None:
    levels = np.arange(256).repeat(3).reshape(1, 16, 16, 3)
    np.testing.assert_array_equal(make_clip(levels / 255, 24.0).frames, levels)
    np.testing.assert_array_equal(make_clip(levels.astype(np.uint8), 24.0).frames, levels)
    assert make_clip(np.full((1, 8, 8, 3), 1.004, np.float32), 24.0).frames.max() == 255


def test_nothing_is_written_when_something_is_wrong(tmp_path: Path) -> None:
    clip, file = moving(3), tmp_path / "file"
    file.write_text("not a folder")
    (tmp_path / "folder.mp4").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for path, options, error, words in (
        (
            "kiss.avi",
            {},
            ValueError,
            r"kiss\.avi: ends in none of \.mp4, \.gif, \.webp, \.png; name it so",
        ),
        ("kiss", {}, ValueError, "ends in none of"),
        ("no/kiss.mp4", {}, FileNotFoundError, "no such folder; make it first"),
        ("file/kiss.mp4", {}, FileNotFoundError, "no such folder"),
        ("folder.mp4", {}, IsADirectoryError, "is a folder; name a file"),
        ("kiss.mp4", {"quality": 101}, ValueError, "quality=101 is not between 0 and 100"),
        ("kiss.mp4", {"run_record": {"a": np.zeros(2)}}, TypeError, "JSON"),
    ):
        with pytest.raises(error, match=words):
            save(clip, tmp_path / path, **options)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_gif_that_is_too_fast_is_refused_before_any_work(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(video, "atomic", None)  # whoever opens a file fails otherwise
    with pytest.raises(ValueError, match=r"kiss\.gif: a GIF shows at most 50 frames/s, not 60; "):
        save(moving(3, fps=60.0), tmp_path / "kiss.gif")
    with pytest.raises(ValueError, match="not 60"):
        check_target(tmp_path / "kiss.gif", fps=60.0)
    assert check_target(tmp_path / "kiss.webp", fps=60.0) == tmp_path / "kiss.webp"
    assert check_target(tmp_path / "kiss.gif", fps=50.0) == tmp_path / "kiss.gif"


@pytest.mark.skipif(os.geteuid() != 0, reason="because only root can become nobody")
def test_a_folder_without_permission(tmp_path: Path, monkeypatch) -> None:
    signer = make_signer(tmp_path / "signer.pem")
    signer.chmod(0o644)
    monkeypatch.setenv("KISSLAB_SIGNING", str(signer))
    tmp_path.chmod(0o555)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == 0 and str(folder) not in ("/tmp", "/"):
            folder.chmod(0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(PermissionError, match="no permission to write here; choose another"):
            save(moving(3), tmp_path / "kiss.mp4")
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_failure_in_the_middle_leaves_the_old_file(
    tmp_path: Path, suffix: str, monkeypatch
) -> None:
    path = save(moving(3), tmp_path / f"kiss.{suffix}")
    old = path.read_bytes()

    def failing(frames: np.ndarray) -> object:
        yield from frames[:2]
        raise KeyboardInterrupt

    monkeypatch.setattr(video, "add_mark", failing)
    with pytest.raises(KeyboardInterrupt):
        save(moving(), path)
    assert path.read_bytes() == old and list(tmp_path.iterdir()) == [path]


RUN = """
import resource, sys, time
import numpy as np
from kisslab import video
path, limit, delay = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
whole = video.add_mark
def slowly(frames):
    for frame in whole(frames):
        time.sleep(delay)
        yield frame
video.add_mark = slowly
frames = np.random.default_rng(0).integers(0, 256, (30, 240, 320, 3), np.uint8)
try:
    video.save(video.Clip(frames, 24.0), path)
except OSError as error:
    print("OSError", error)
"""


def start(path: Path, limit: int = 0, delay: float = 0.0) -> subprocess.Popen:
    command = [sys.executable, "-c", RUN, str(path), str(limit), str(delay)]
    return subprocess.Popen(command, stdout=-1, stderr=-1, text=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_full_disk_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    out, err = start(tmp_path / f"kiss.{suffix}", limit=20_000).communicate()
    assert out.startswith("OSError"), err
    assert list(tmp_path.iterdir()) == []


def test_killed_in_the_middle_leaves_no_file_of_that_name(tmp_path: Path) -> None:
    path = tmp_path / "kiss.mp4"
    process = start(path, delay=0.1)
    while not list(tmp_path.iterdir()) and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.5)  # into the frames, which take three seconds
    process.kill()
    process.communicate()
    assert not path.exists() and [p.name[:6] for p in tmp_path.iterdir()] == [".kiss-"]


def test_load_clip_reads_what_save_wrote(tmp_path: Path) -> None:
    clip = moving()
    for suffix in ("mp4", "gif"):
        loaded = load_clip(save(clip, tmp_path / f"kiss.{suffix}", mark=False))
        assert loaded.frames.shape == clip.frames.shape
        assert loaded.fps == pytest.approx(24, abs=1)  # a GIF has no speed, only delays
        assert psnr(loaded.frames, clip.frames) > 24
    short = load_clip(tmp_path / "kiss.mp4", max_frames=5, max_side=60)
    assert short.frames.shape == (5, 45, 60, 3)


def test_load_clip_turns_a_phones_video_upright(tmp_path: Path) -> None:
    clip = moving()
    lying = np.ascontiguousarray(np.rot90(clip.frames, 1, axes=(1, 2)))
    path = save(make_clip(lying, 24.0), tmp_path / "phone.mp4", mark=False)
    one, none = struct.pack(">i", 65536), bytes(4)
    upright = one + none * 3 + one + none * 3 + struct.pack(">i", 1 << 30)
    turned = none + one + none + struct.pack(">i", -65536) + none * 4 + upright[-4:]  # clockwise
    data = path.read_bytes()
    place = data.index(upright, data.index(b"tkhd"))
    path.write_bytes(data[:place] + turned + data[place + 36 :])
    loaded = load_clip(path)
    assert loaded.frames.shape == clip.frames.shape and psnr(loaded.frames, clip.frames) > 33


def test_load_clip_refuses_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    whole = save(moving(), tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    for name in ("text.mp4", "missing.mp4", "cut.mp4"):
        with pytest.raises(ValueError, match=re.escape(f"{tmp_path / name}: can't be read")):
            load_clip(tmp_path / name)


def test_clip_shows_saves_and_loads_itself(tmp_path: Path) -> None:
    clip = moving(4)
    assert clip.plot() is None and pyplot.gca().images
    pyplot.close("all")
    again = Clip.load(clip.save(tmp_path / "clip.npz"))
    np.testing.assert_array_equal(again.frames, clip.frames)
    assert "4 x 90 x 120 x 3" in clip._repr_html_()


def test_speed_and_size_of_an_ordinary_clip(tmp_path: Path) -> None:
    clip = moving(60, 384, 512)
    began = time.perf_counter()
    path = save(clip, tmp_path / "kiss.mp4")
    assert time.perf_counter() - began < 10 and path.stat().st_size < 1_000_000
