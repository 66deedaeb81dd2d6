"""Area guide: ten pairs made, speed, scaling, and what the demo costs. (measure)"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from kisslab import zoo
from kisslab.bench.costs import demo_rows
from kisslab.bench.inputs import portraits
from kisslab.bench.rows import Row, row
from kisslab.composite import Composite, compose
from kisslab.guide import draw_guide, guide_frames
from kisslab.motion import Motion
from kisslab.photo import load_photo
from kisslab.plan import plan_kiss
from kisslab.video import load_clip

PAIRS = 10


def measure() -> Iterator[Row]:
    """pairs_made, guide_fps_512x384, guide_scaling_exponent, demo_seconds, demo_peak_memory_gb."""
    with tempfile.TemporaryDirectory() as folder:
        made = sum(_made(a, b, Path(folder)) for a, b in _pairs())
        yield row("pairs_made", made, "clips", f"= {PAIRS}", PAIRS)
    couple = compose(*map(load_photo, zoo.demo_portraits()), height=384)
    couple = _narrowed(couple, 512)
    _seconds(couple, plan_kiss(couple.faces, seconds=0.5))  # the kernels are compiled once
    motion = plan_kiss(couple.faces)
    seconds = min(_seconds(couple, motion) for _ in range(3))
    yield row("guide_fps_512x384", len(motion.gap) / seconds, "frames/s", ">= 15", len(motion.gap))
    frames, pixels = _frames_exponent(couple), _pixels_exponent()
    yield row("guide_scaling_exponent_frames", frames, "", "<= 1.1", 4)
    yield row("guide_scaling_exponent_pixels", pixels, "", "<= 1.1", 4)
    yield row("guide_scaling_exponent", max(frames, pixels), "", "<= 1.1", 8)
    yield from demo_rows()


def _pairs() -> list[tuple[Path, Path]]:
    """Ten pairs across the portraits: other light, resolution and age in each."""
    paths = portraits()
    step = len(paths) // (2 * PAIRS)
    chosen = paths[:: max(step, 1)][: 2 * PAIRS]
    return list(zip(chosen[:PAIRS], chosen[PAIRS:], strict=True))


def _made(a: Path, b: Path, folder: Path) -> bool:
    """Whether `kisslab make` ends well and leaves a clip that plays."""
    out = folder / f"{a.stem}-{b.stem}.mp4"
    command = [
        sys.executable,
        "-m",
        "kisslab.cli",
        "make",
        str(a),
        str(b),
        "-o",
        str(out),
        "--consent",
    ]
    done = subprocess.run(command, capture_output=True)
    return done.returncode == 0 and len(load_clip(out).frames) == 60


def _narrowed(couple: Composite, width: int) -> Composite:
    """The middle of the picture: what is timed is 512 x 384, whatever shape compose chooses."""
    cut = (couple.photo.rgb.shape[1] - width) // 2
    inner = slice(cut, cut + width)
    cutout = couple.cutout
    outer = slice(cut, cut + width + 2 * cutout.margin)
    cutout = replace(
        cutout,
        colour=cutout.colour[:, :, outer],
        alpha=cutout.alpha[:, :, outer],
        known=cutout.known[:, :, outer],
        trimap=cutout.trimap[:, :, inner],
        background=cutout.background[:, inner],
        seen=cutout.seen[:, inner],
    )
    photo = replace(couple.photo, rgb=couple.photo.rgb[:, inner], width=width)
    faces = couple.faces.moved(1.0, np.array([-cut, 0.0]))
    return replace(couple, photo=photo, faces=faces, cutout=cutout)


def _seconds(couple: Composite, motion: Motion) -> float:
    """A whole guide, heads built and all."""
    start = time.perf_counter()
    draw_guide(couple.photo, couple.faces, motion, couple.cutout)
    return time.perf_counter() - start


def _drawing_seconds(couple: Composite, motion: Motion) -> float:
    """The frames after the first: what is spent once would hide how the rest grows."""
    frames = guide_frames(couple.photo, couple.faces, motion, couple.cutout)
    next(frames)
    start = time.perf_counter()
    for _ in frames:
        pass
    return time.perf_counter() - start


def _frames_exponent(couple: Composite) -> float:
    """Slope of log time over log frames."""
    lengths = [1.0, 2.0, 4.0, 8.0]
    times = [
        min(_drawing_seconds(couple, plan_kiss(couple.faces, seconds=s)) for _ in range(2))
        for s in lengths
    ]
    return _slope(lengths, times)


def _pixels_exponent() -> float:
    """Slope of log time over log pixels, the same clip drawn larger and larger."""
    photos = [load_photo(path) for path in zoo.demo_portraits()]
    heights, times = [256, 384, 512, 720], []
    for height in heights:
        couple = compose(*photos, height=height)
        motion = plan_kiss(couple.faces, seconds=1.0)
        times.append(min(_drawing_seconds(couple, motion) for _ in range(2)))
    return _slope(np.square(heights), times)


def _slope(sizes: object, times: list[float]) -> float:
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
