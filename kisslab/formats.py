"""Four kinds of file: how frames and notes go into each, and how the notes come out again.
(WRITERS, READERS, open_film, open_picture, even, UNREADABLE)

A writer takes the path, frames as they come, their number a second, notes and a quality (0 to 100).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import av
import numpy as np
from jaxtyping import UInt8
from PIL import Image, PngImagePlugin

PLAYLISTS = ("hls", "concat", "dash", "image2", "imf")  # formats that open further files
PICTURES = ("PNG", "GIF", "WEBP", "JPEG")  # of all that Pillow opens, some run interpreters (.eps)
Frame = UInt8[np.ndarray, "_h _w 3"]
Frames = Iterator[Frame]


@contextmanager
def open_film(path: str | Path) -> Iterator[av.container.InputContainer]:
    """A film that may name no other files. Raises what is in UNREADABLE."""
    with av.open(str(_ordinary(path)), container_options={"protocol_whitelist": "file"}) as file:
        if file.format.name.split(",")[0] in PLAYLISTS:
            raise ValueError(f"{file.format.name} names other files")
        yield file


def open_picture(path: str | Path) -> Image.Image:
    """A picture of which only the header is read. Raises what is in UNREADABLE."""
    return Image.open(_ordinary(path), formats=PICTURES)


def even(frames: UInt8[np.ndarray, "*t h w 3"]) -> UInt8[np.ndarray, "*t _h _w 3"]:
    """Of even size, as H.264 needs them: the last row and column repeated where one is missing."""
    height, width = frames.shape[-3:-1]
    if height % 2 == width % 2 == 0:
        return frames
    whole = ((0, 0),) * (frames.ndim - 3)
    return np.pad(frames, (*whole, (0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _ordinary(path: str | Path) -> Path:
    """No pipe, which would never end."""
    if not Path(path).is_file():
        raise FileNotFoundError("no such file, or no ordinary one")
    return Path(path)


def _write_mp4(path: Path, frames: Frames, fps: float, notes: str, quality: int) -> None:
    """H.264 that every browser and phone plays: yuv420p, BT.709, index in front."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as file:
        file.metadata["comment"] = notes
        rate = Fraction(fps).limit_denominator(1001)
        stream = file.add_stream("libx264", rate, options={"crf": str(_crf(quality))})
        first = next(frames)
        height, width = first.shape[:2]
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
        context.color_range = 1  # limited, 16 to 235
        for frame in chain([first], frames):
            file.mux(stream.encode(_bt709(frame)))
        file.mux(stream.encode())


def _crf(quality: int) -> int:
    """x264's constant rate factor: 12 at quality 100, 18 (no loss to be seen) at 85, 51 at 2."""
    return min(51, round(12 + 0.4 * (100 - quality)))


def _bt709(frame: Frame) -> av.VideoFrame:
    """H.264's planes."""
    rgb = av.VideoFrame.from_ndarray(even(frame), format="rgb24")
    return rgb.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")


def _write_gif(path: Path, frames: Frames, fps: float, notes: str, quality: int) -> None:
    """One palette for the whole clip; delays in whole hundredths of a second."""
    whole = np.stack(list(frames))
    first, *rest = _indexed(whole, _palette(whole))
    first.save(
        path, append_images=rest, save_all=True, loop=0,
        duration=_milliseconds(1 + len(rest), fps, 10), comment=notes.encode(), optimize=False,
    )  # fmt: skip


def _palette(frames: UInt8[np.ndarray, "t h w 3"], pixels: int = 100_000) -> Image.Image:
    """The 256 colours that serve a clip best: median cut, then k-means, on a part of its pixels."""
    step = -(-frames[..., 0].size // pixels) | 1  # odd, for an even one may miss every other column
    sample = frames.reshape(-1, 1, 3)[::step]
    return Image.fromarray(sample).quantize(256, Image.Quantize.MEDIANCUT, kmeans=1)


def _indexed(
    frames: UInt8[np.ndarray, "t h w 3"], palette: Image.Image, still: int = 3
) -> Iterator[Image.Image]:
    """Dithered frames. A pixel is drawn anew only once it changed by more than `still` levels:
    else the dither of what moves would make all that rests below it flicker."""
    drawn, shown = None, None
    for frame in frames.astype(np.int16):
        image = Image.fromarray(frame.astype(np.uint8)).quantize(palette=palette)
        if drawn is not None:
            rests = np.abs(frame - drawn).max(axis=-1) <= still
            frame = np.where(rests[..., None], drawn, frame)
            image.putdata(np.where(rests, shown, np.asarray(image)).ravel())
        drawn, shown = frame, np.asarray(image)
        yield image


def _write_webp(path: Path, frames: Frames, fps: float, notes: str, quality: int) -> None:
    first, *rest = map(Image.fromarray, frames)
    first.save(
        path, append_images=rest, save_all=True, loop=0,
        duration=_milliseconds(1 + len(rest), fps, 1), quality=quality,
        xmp=XMP.format(escape(notes)).encode(),
    )  # fmt: skip


def _write_png(path: Path, frames: Frames, fps: float, notes: str, quality: int) -> None:
    """Animated where there is more than one frame; viewers that can't do it show the first."""
    first, *rest = map(Image.fromarray, frames)
    about = PngImagePlugin.PngInfo()
    about.add_itxt("comment", notes)
    first.save(
        path, append_images=rest, save_all=True, loop=0,
        duration=_milliseconds(1 + len(rest), fps, 1), pnginfo=about,
    )  # fmt: skip


def _milliseconds(count: int, fps: float, step: int) -> list[int]:
    """How long each frame stays, in multiples of `step`; the rounding never adds up."""
    ends = np.arange(count + 1) * 1000 / fps
    return (np.diff(np.round(ends / step)) * step).astype(int).tolist()


def _mp4_notes(path: Path) -> str:
    with open_film(path) as file:
        return file.metadata["comment"]


def _gif_notes(path: Path) -> str:
    with open_picture(path) as image:
        return image.info["comment"].decode()


def _png_notes(path: Path) -> str:
    with open_picture(path) as image:
        return image.info["comment"]


def _webp_notes(path: Path) -> str:
    with open_picture(path) as image:
        return "".join(ElementTree.fromstring(image.info["xmp"]).itertext())


# XMP is the one place in a WebP for text; the standard field for it is Dublin Core's description.
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">'
    '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{}</rdf:li></rdf:Alt></dc:description>'
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
)
WRITERS = {".mp4": _write_mp4, ".gif": _write_gif, ".webp": _write_webp, ".png": _write_png}
READERS = {".mp4": _mp4_notes, ".gif": _gif_notes, ".webp": _webp_notes, ".png": _png_notes}
# What readers raise on files that are damaged or of another kind; PyAV's own are among them.
UNREADABLE = (OSError, KeyError, ValueError, TypeError, AttributeError, ElementTree.ParseError)
UNREADABLE += (av.FFmpegError, SyntaxError, EOFError, struct.error, zlib.error, MemoryError)
UNREADABLE += (RecursionError, Image.DecompressionBombError)
