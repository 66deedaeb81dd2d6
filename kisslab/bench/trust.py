"""Area trust: hostile files, kills, the watermark, what `verify` notices. (measure, tampered)"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
from jaxtyping import UInt8

from kisslab import watermark, zoo
from kisslab.bench.hostile import open_all
from kisslab.bench.kills import kill_all
from kisslab.bench.nasty import nasty_files
from kisslab.bench.rows import Row, row
from kisslab.cutout import cut_out
from kisslab.faces import Faces
from kisslab.formats import WRITERS
from kisslab.guide import draw_guide
from kisslab.photo import load_photo
from kisslab.plan import plan_kiss
from kisslab.verify import verify
from kisslab.video import add_mark, load_clip, make_clip, read_notes, save

Frames = UInt8[np.ndarray, "T H W 3"]
MESSAGE = "5eed2026"
COUPLES = ("couple_01", "couple_02", "couple_03", "couple_04")


def measure() -> Iterator[Row]:
    """What hostile files, kills and tampering do, and how many bits of the watermark survive."""
    yield from _hostile_rows()
    yield from _kill_rows()
    yield from _watermark_rows()
    with tempfile.TemporaryDirectory() as folder:
        noticed = tampered(Path(folder), _clips()[0])
    yield row(
        "tampered_detected", sum(noticed), f"of {len(noticed)}", f"= {len(noticed)}", len(noticed)
    )


def tampered(folder: Path, frames: Frames) -> list[bool]:
    """Whether `verify` passes a clip of `save`'s, and finds in each of WAYS what it should."""
    path = save(make_clip(frames, 24.0), folder / "kiss.mp4", run_record={"consent": "agreed"})
    if not verify(path).whole:
        raise RuntimeError(f"not even an untouched clip is whole: {verify(path).findings}")
    noticed = []
    for name, (way, expected) in WAYS.items():
        out = folder / f"{name}.mp4"
        way(path, out)
        found = {finding.name: finding.state for finding in verify(out).findings}
        noticed.append(expected.items() <= found.items())
    return noticed


def strip(path: Path, out: Path, comment: str = "") -> None:
    """The same stream of pictures, in a new file without anything else than this metadata."""
    with av.open(str(path)) as old, av.open(str(out), "w") as new:
        new.metadata["comment"] = comment
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)


def encode(path: Path, out: Path, change: Callable[[Frames], Frames], quality: int = 85) -> None:
    """Its pictures, changed, encoded by a program that knows nothing of credentials."""
    frames = change(load_clip(path).frames)
    WRITERS[out.suffix](out, iter(frames), 24.0, "another program", quality)


def reconsent(path: Path, out: Path) -> None:
    """The same pictures without a credential, and a record of a consent that nobody gave."""
    strip(path, out, read_notes(path).replace('"agreed"', '"All of us, in writing."'))


def edit_picture(path: Path, out: Path) -> None:
    """One bit of the pictures."""
    data = bytearray(path.read_bytes())
    data[data.index(b"mdat") + 2000] ^= 1
    out.write_bytes(data)


def edit_record(path: Path, out: Path) -> None:
    """Another statement of consent in the metadata, of as many letters."""
    before, _, after = path.read_bytes().rpartition(b'"consent": "agreed"')
    out.write_bytes(before + b'"consent": "coaxed"' + after)


def transplant(path: Path, out: Path) -> None:
    """Another clip, and this one's credential: the box 'uuid' of the file (ISO 14496-12)."""
    encode(path, out, lambda frames: frames[::-1])
    data = path.read_bytes()
    start = data.index(b"uuid") - 4
    size = int.from_bytes(data[start : start + 4], "big")
    out.write_bytes(out.read_bytes() + data[start : start + size])


def halved(frames: Frames) -> UInt8[np.ndarray, "T _h _w 3"]:
    """Half the width and height."""
    some = [cv2.resize(f, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for f in frames]
    return np.stack(some)


def painted(frames: Frames) -> Frames:
    """A black square over a face."""
    frames = frames.copy()
    frames[:, 100:200, 100:200] = 0
    return frames


LOST = {"credential": "missing", "record": "missing"}
# Ways to tamper with a file, and what `verify` has to find then.
WAYS: dict[str, tuple[Callable[[Path, Path], None], dict[str, str]]] = {
    "stripped": (strip, {**LOST, "watermark": "there"}),
    "re-encoded": (partial(encode, change=np.copy), {**LOST, "watermark": "there"}),
    "halved": (partial(encode, change=halved), {**LOST, "visible mark": "there"}),
    "painted on": (partial(encode, change=painted), LOST),
    "one bit": (edit_picture, {"credential": "wrong", "record": "there"}),
    "reworded": (edit_record, {"credential": "wrong", "record": "wrong", "watermark": "wrong"}),
    "another consent": (reconsent, {"credential": "missing", "watermark": "wrong"}),
    "transplanted": (transplant, {"credential": "wrong"}),
}


def _hostile_rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        work, trap = Path(folder) / "in", Path(folder) / "trap"
        work.mkdir()
        files = nasty_files(work, trap)
        before = set(Path(folder).rglob("*"))
        opened = list(open_all(files))
        stray = len(set(Path(folder).rglob("*")) ^ before)
    yield row("hostile_files", len(opened), "files", ">= 40", len(opened))
    yield row("uncaught", sum(not one.caught for one in opened), "files", "= 0", len(opened))
    yield row("stray_writes", stray, "files", "= 0", len(opened))
    yield row(
        "hostile_memory_gb", max(one.growth for one in opened) / 1e9, "GB", "<= 1", len(opened)
    )
    yield row("hostile_seconds_max", max(one.seconds for one in opened), "s", "<= 60", len(opened))


def _kill_rows() -> Iterator[Row]:
    killed = list(kill_all())
    kills = sum(one.kills for one in killed)
    yield row("kills", kills, "kills", ">= 50", len(killed))
    yield row("half_written", sum(one.half_written for one in killed), "files", "= 0", kills)
    yield row("lost_after_kills", sum(one.lost for one in killed), "kills", "= 0", kills)
    yield row(
        "finished_after_kills",
        sum(one.finished for one in killed),
        "kinds",
        f"= {len(killed)}",
        len(killed),
    )


def _watermark_rows() -> Iterator[Row]:
    clips = _clips()
    marked = [_watermarked(frames) for frames in clips]
    yield row("watermark_psnr_min", _worst_psnr(clips, marked), "dB", ">= 42", len(clips))
    with tempfile.TemporaryDirectory() as folder:
        copies = [_copies(frames, Path(folder)) for frames in marked]
    for name, bound in (("h264", ">= 0.98"), ("half", ">= 0.95"), ("gif", ">= 0.95")):
        share = float(np.mean([_right(copy[name]) for copy in copies]))
        yield row(f"watermark_bits_after_{name}", share, "share", bound, len(copies))
    read = [_message(frames) == MESSAGE for copy in copies for frames in copy.values()]
    yield row("watermark_messages_read", sum(read), "copies", f"= {len(read)}", len(read))
    foreign = [*clips, *_foreign()]
    invented = sum(bool(_message(frames)) for frames in foreign)
    yield row("watermark_invented", invented, "clips", "= 0", len(foreign))


def _copies(frames: Frames, folder: Path) -> dict[str, Frames]:
    """The clip after H.264, after that at half its size in H.264 again, and after GIF."""
    mp4, half = _written(frames, folder / "kiss.mp4"), folder / "half.mp4"
    encode(mp4, half, halved)
    gif = _written(frames, folder / "kiss.gif")
    return {name: load_clip(path).frames for name, path in
            (("h264", mp4), ("half", half), ("gif", gif))}  # fmt: skip


def _worst_psnr(clips: list[Frames], marked: list[Frames]) -> float:
    """dB, of the worst frame of all."""
    return min(
        cv2.PSNR(*pair)
        for both in zip(clips, marked, strict=True)
        for pair in zip(*both, strict=True)
    )


def _message(frames: Frames) -> str:
    return watermark.read_watermark(frames).message


def _clips() -> list[Frames]:
    """Guides of packaged couples, with the visible mark, 24 frames each."""
    return [np.stack(list(add_mark(_guide(name)))) for name in COUPLES]


def _foreign() -> Iterator[Frames]:
    """Clips that nobody marked: flat, striped, of noise, and packaged portraits."""
    plain = [np.full((256, 256), level) for level in (0, 1, 16, 64, 128, 192, 254, 255)]
    for period in (4, 8, 64 / 19, 512 / 64):  # pixels
        stripes = np.tile(128 + 100 * np.cos(2 * np.pi * (np.arange(256) + 0.5) / period), (256, 1))
        plain += [stripes, stripes.T]
    plain += list(np.random.default_rng(0).normal(128, 10, (200, 256, 256)).clip(0, 255))
    yield from (np.repeat(grey.astype(np.uint8)[None, ..., None], 3, axis=-1) for grey in plain)
    for path in sorted(zoo.data_path("portraits").glob("*.jpg")):
        yield (load_photo(path).rgb * 255).astype(np.uint8)[None]


def _guide(name: str) -> Frames:
    path = zoo.data_path(f"portraits/{name}.jpg")
    photo, faces = load_photo(path), Faces.load(path.with_suffix(".faces.npz"))
    motion = plan_kiss(faces, seconds=1.0, fps=24.0)
    return make_clip(draw_guide(photo, faces, motion, cut_out(photo, faces)).frames, 24.0).frames


def _watermarked(frames: Frames) -> Frames:
    pattern = watermark.choose_pattern(frames[::2], MESSAGE)
    return np.stack(list(watermark.add_watermark(frames, pattern)))


def _written(frames: Frames, path: Path) -> Path:
    """At the default quality, without a second watermark."""
    return save(make_clip(frames, 24.0), path, mark=False, watermark=False)


def _right(frames: Frames) -> float:
    """Share of the bits that are right before any is mended."""
    return float((watermark.read_watermark(frames).bits == watermark.bits_of(MESSAGE)).mean())
