"""Stage 8: frames in, a marked file out.
(make_clip, save, check_target, load_clip, upright, read_record, read_notes, message_of, add_mark,
find_mark)
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from jaxtyping import Float, Num, UInt8
from PIL import Image, ImageDraw, ImageFont

from kisslab import show
from kisslab.formats import READERS, UNREADABLE, WRITERS, even, open_film
from kisslab.provenance import find_signer, parse_notes, sign
from kisslab.records import Result, atomic, record
from kisslab.watermark import SMALLEST, add_watermark, choose_pattern

MARK = "AI-generated"
RUN = ', "run": '  # between what the notes say of the file and the run's record, the last they say
GIF_FPS = 50  # browsers slow a GIF down whose frames stay less than two hundredths of a second
FRAMES = 60  # at the beginning, for which the watermark is chosen, and of which it is read
MAX_PIXELS = 64_000_000  # of a frame; a film in 8K has half
TINY = 8  # pixels; on a smaller picture no mark can be drawn, or found
MAX_SIDE = 640  # pixels, to which larger frames are reduced when they are read
Frame = UInt8[np.ndarray, "_h _w 3"]


@record
class Clip(Result):
    """Frames as they are shown and stored.

    They are bytes and not floats, for they are final: files and screens have 8 bits, and a clip
    takes a quarter of the memory.
    """

    frames: UInt8[np.ndarray, "T H W 3"]  # sRGB
    fps: float

    def plot(self, ax: object | None = None) -> None:
        """A film strip."""
        show.strip(self.frames, ax=ax)


def make_clip(frames: Num[np.ndarray, "T H W 3"], fps: float) -> Clip:
    """A clip of frames in uint8, or float in [0, 1]. ValueError if empty, not finite, or beyond."""
    _check(frames, fps)
    return Clip(np.stack([show.to_uint8(frame) for frame in frames]), float(fps))


def save(
    clip: Clip,
    path: str | Path,
    mark: bool = True,
    run_record: Mapping[str, Any] | None = None,
    quality: int = 85,
    watermark: bool = True,
    signer: str | Path | None = None,
) -> Path:
    """Write a clip as .mp4 (H.264), .gif, .webp or .png; the name appears when the file is whole.

    mark: a visible 'AI-generated' in the corner; a clip of less than TINY pixels a side gets none.
    run_record: what made the clip (settings, seeds, hashes of models), anything that JSON can hold;
    it goes into the metadata, see `read_record`, and into the signed credential. quality: 0 to 100;
    a GIF has 256 colours at any quality, a PNG is exact. watermark: a mark that nobody sees, see
    kisslab.watermark; a clip of less than SMALLEST pixels a side gets none. signer: a PEM file, see
    `provenance.find_signer`. ValueError or TypeError before anything is written, OSError where
    writing fails.
    """
    path = check_target(path, clip.fps, signer)
    if not 0 <= quality <= 100:
        raise ValueError(f"quality={quality} is not between 0 and 100")
    _check(clip.frames, clip.fps)
    mark = mark and min(clip.frames.shape[1:3]) >= TINY
    run = json.dumps(dict(run_record or {}))
    # The marks are drawn on what is encoded: a column added after them would move them.
    frames = even(clip.frames) if path.suffix.lower() == ".mp4" else clip.frames
    large = min(frames.shape[1:3]) >= SMALLEST
    message = _digits(run) if watermark and large else ""
    frames = _marked(frames, add_mark if mark else iter, message)
    notes = _notes(run, MARK if mark else "", message)
    with atomic(path) as part:
        WRITERS[path.suffix.lower()](part, frames, clip.fps, notes, quality)
        sign(part, notes, signer)
    return path


def check_target(path: str | Path, fps: float = 24.0, signer: str | Path | None = None) -> Path:
    """The path, if a clip can be written there; ask before the work is done, not after it.

    ValueError for a suffix that no writer knows or more frames a second than a GIF can show,
    FileNotFoundError for a missing folder. The certificate to sign with is checked too.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise ValueError(f"{path.name}: ends in none of {', '.join(WRITERS)}; name it so")
    if path.suffix.lower() == ".gif" and fps > GIF_FPS:
        raise ValueError(
            f"{path.name}: a GIF shows at most {GIF_FPS} frames/s, not {fps:g}; name it .mp4 or "
            ".webp, or make fewer frames a second"
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder; make it first")
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a folder; name a file")
    if len(os.fsencode(path.name)) > 200:  # a temporary name beside it is a little longer
        raise ValueError(f"{path.name[:40]}…: the name is too long")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"{path.parent}: no permission to write here")
    find_signer(signer)
    return path


def load_clip(path: str | Path, max_frames: int = 300, max_side: int = MAX_SIDE) -> Clip:
    """Read the first frames of any common video, a driving clip for instance.

    max_side: pixels; larger frames are reduced. Raises ValueError if it is no video, or has frames
    of more than MAX_PIXELS, before any is decoded. A playlist may not name other files.
    """
    try:
        with open_film(path) as file:
            fps = float(file.streams.video[0].average_rate or 0)
            frames = np.stack(list(islice(upright(file, max_side), max_frames)))
    except (*UNREADABLE, IndexError) as error:
        raise ValueError(f"{path}: can't be read as a video ({error}); give an .mp4") from error
    return make_clip(frames, fps)


def upright(file: av.container.InputContainer, max_side: int) -> Iterator[Frame]:
    """A film's frames as they come, turned as the phone was held, and reduced.

    Raises what is in UNREADABLE, or IndexError, also after some frames.
    """
    stream = file.streams.video[0]
    if stream.width * stream.height > MAX_PIXELS:
        raise ValueError(f"{stream.width} x {stream.height} pixels are too many")
    for frame in file.decode(video=0):
        rgb = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
        image = Image.fromarray(np.ascontiguousarray(rgb))
        image.thumbnail((max_side, max_side))
        yield np.asarray(image)


def read_record(path: str | Path) -> dict[str, Any]:
    """The `run_record` that `save` put into a file. ValueError if there is none."""
    return parse_notes(read_notes(path))["run"]


def read_notes(path: str | Path) -> str:
    """The JSON that `save` put into a file's metadata; "run" holds the run's record. ValueError."""
    try:
        notes = READERS[Path(path).suffix.lower()](Path(path))
        parse_notes(notes)
        return notes
    except UNREADABLE as error:
        raise ValueError(f"{path}: carries no record of a kisslab run") from error


def message_of(notes: str) -> str:
    """The watermark that `save` gives a clip with these notes, which have a record."""
    return _digits(notes.partition(RUN)[2][:-1])


def add_mark(frames: Iterable[Frame], text: str = MARK) -> Iterator[Frame]:
    """Each frame with a small text in its lower right corner, on a dark patch, as they come."""
    patch = None
    for frame in frames:
        if patch is None:
            patch = _patch(text, *frame.shape[:2])
        colour, opacity = patch[..., :3], patch[..., 3:] / np.float32(255)
        height, width = opacity.shape[:2]
        marked = frame.copy()
        corner = marked[-height:, -width:]
        corner[...] = corner * (1 - opacity) + colour * opacity + 0.5
        yield marked


def find_mark(frames: Iterable[Frame], text: str = MARK) -> float:
    """How much the corner looks like `add_mark`'s text: correlation of grey levels, mean of frames.

    A copy of half the size has smaller letters than would be drawn on it: it is enlarged as well.
    """
    likeness = []
    for frame in frames:
        if min(frame.shape[:2]) < TINY:
            return 0.0
        grey = frame.mean(axis=-1, dtype=np.float32)
        scale = max(1.0, 500 / min(grey.shape))  # pixels; from there on letters grow with pictures
        large = cv2.resize(grey, None, fx=scale, fy=scale)
        likeness.append(max(_likeness(grey, text), _likeness(large, text)))
    return float(np.mean(likeness))


def _likeness(grey: Float[np.ndarray, "h w"], text: str) -> float:
    """Correlation of the corner with the drawn text, within the patch; 0 if all is one grey."""
    patch = _patch(text, *grey.shape)
    inside = patch[..., 3] > 0
    corner = grey[-len(patch) :, -patch.shape[1] :][inside]
    return float(np.corrcoef(corner, patch[inside, 0])[0, 1]) if np.ptp(corner) else 0.0


def _marked(
    frames: UInt8[np.ndarray, "T H W 3"],
    draw: Callable[[Iterable[Frame]], Iterator[Frame]],
    message: str,
    looks: int = 12,
) -> Iterator[Frame]:
    """Drawn on, and with the watermark of `message`, which is chosen on at most `looks` frames.

    They are of the FRAMES that `verify` reads: what comes later may be another picture.
    """
    if not message:
        return draw(frames)
    first = frames[:FRAMES]
    pattern = choose_pattern(draw(first[:: -(-len(first) // looks)]), message)
    return add_watermark(draw(frames), pattern)


def _notes(run: str, mark: str, watermark: str) -> str:
    """JSON: what is said of the file itself, and the run's record, itself JSON."""
    said = {"ai_generated": True, "software": "kisslab", "mark": mark, "watermark": watermark}
    return f"{json.dumps(said)[:-1]}{RUN}{run}}}"


def _digits(run: str) -> str:
    """The first of the sha256 of a record's JSON."""
    return hashlib.sha256(run.encode(errors="replace")).hexdigest()[:8]


def _check(frames: Num[np.ndarray, "T H W 3"], fps: float) -> None:
    if frames.size == 0:
        raise ValueError(f"a clip of shape {frames.shape} is empty; give at least one frame")
    if not 0 < fps < 1000:
        raise ValueError(f"fps={fps} is not a speed; give frames per second, 24 for example")
    if frames.dtype == np.uint8:
        return
    bad = np.flatnonzero(~np.isfinite(frames).all(axis=(1, 2, 3)))
    if bad.size:
        raise ValueError(f"NaN or infinity in frames {bad[:5].tolist()}; look at the stage before")
    if frames.min() < -0.01 or frames.max() > 1.01:  # rounding may leave [0, 1] a little
        span = f"{frames.min():.4g} to {frames.max():.4g}"
        raise ValueError(f"frames go from {span}; give uint8, or float from 0 to 1")


def _patch(text: str, height: int, width: int) -> UInt8[np.ndarray, "h w 4"]:
    """The text, white on dark glass, RGBA with a margin; it grows with the picture and fits."""
    size = max(9.0, 0.036 * min(height, width))  # pixels; 9 is the smallest that can be read
    font = ImageFont.load_default(size)
    size *= min(1.0, 0.9 * width / (font.getlength(text) + 2 * size))
    font = ImageFont.load_default(size)
    box = round(font.getlength(text) + 1.2 * size), round(1.8 * size)
    margin = round(0.6 * size)
    large = Image.new("RGBA", (box[0] + margin, box[1] + margin))
    draw = ImageDraw.Draw(large)
    draw.rounded_rectangle((0, 0, box[0] - 1, box[1] - 1), 0.4 * size, fill=(0, 0, 0, 150))
    draw.text((box[0] / 2, box[1] / 2), text, "white", font, anchor="mm")
    return np.asarray(large)[:height, :width]
