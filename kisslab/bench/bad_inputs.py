"""Files that no photo stage may accept, and what it says. (bad_photos, encoded, grey_png, chunk)

They are made, not stored: each is a real file of its kind, cut, mislabelled or swollen.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

Bad = tuple[Path, str]  # the file, and words that the message must contain


def bad_photos(folder: Path) -> list[Bad]:
    """Write every bad input into `folder`, an existing folder, and say what each must be told."""
    makers = (_paths, _no_pictures, _damaged, _sizes)
    return [bad for make in makers for bad in make(folder)]


def _paths(folder: Path) -> list[Bad]:
    """Things that can't be opened at all."""
    (folder / "folder.jpg").mkdir()
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / "dangling.jpg").symlink_to(folder / "nowhere.jpg")
    os.mkfifo(folder / "pipe.jpg")
    bad = [
        (folder / "missing.jpg", "no such file"),
        (folder / "folder.jpg", "is a folder"),
        (folder / "loop.jpg", "no such file"),
        (folder / "dangling.jpg", "no such file"),
        (folder / "pipe.jpg", "not an ordinary file"),
        (folder / ("long" * 100 + ".jpg"), "can't be opened"),
    ]
    if os.geteuid():  # root may read everything
        locked = _write(folder / "locked.jpg", encoded("JPEG"))
        locked.chmod(0)
        bad += [(locked, "check its permissions")]
    return bad


def _no_pictures(folder: Path) -> list[Bad]:
    """Whole files of another kind under a picture's name."""
    svg = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\nshowpage\n"
    contents = {
        "empty.jpg": (b"", "is empty"),
        "text.jpg": (b"This is not a photo.\n", "is text"),
        "drawing.svg": (svg, "SVG drawing"),
        "page.png": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "PDF or PostScript"),
        "script.eps": (eps, "PDF or PostScript"),
        "video.jpg": (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "video"),
        "noise.png": (np.random.default_rng(0).bytes(5000), "not a photo"),
        "icon.ico": (encoded("ICO"), "save it as JPEG or PNG"),
    }
    return [(_write(folder / name, data), words) for name, (data, words) in contents.items()]


def _damaged(folder: Path) -> list[Bad]:
    """Real pictures cut off in the middle of their pixels."""
    wholes = {n: encoded(n) for n in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "HEIF")}
    return [
        (_write(folder / f"cut.{name.lower()}", data[: len(data) // 2]), "is damaged or cut off")
        for name, data in wholes.items()
    ]


def _sizes(folder: Path) -> list[Bad]:
    """Too many pixels in a small file, and too few."""
    contents = {
        "bomb.png": (grey_png(30_000, 30_000), "too many"),
        "large.png": (grey_png(12_000, 11_000), "too many"),
        "claim.png": (grey_png(2**31 - 1, 2**31 - 1, rows=1), "too many"),
        "bomb.gif": (_claiming_gif(65_535, 65_535), "too many"),
        "dot.png": (encoded("PNG", 1, 1), "too few"),
        "line.jpg": (encoded("JPEG", 2000, 10), "too few"),
        "nothing.png": (grey_png(0, 0), "damaged"),
    }
    return [(_write(folder / name, data), words) for name, (data, words) in contents.items()]


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def encoded(name: str, width: int = 200, height: int = 150) -> bytes:
    """Noise in a format of Pillow's: it can't be packed, so half a file is half a picture."""
    pillow_heif.register_heif_opener()
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    memory = io.BytesIO()
    Image.fromarray(pixels).save(memory, name)
    return memory.getvalue()


def grey_png(width: int, height: int, rows: int | None = None) -> bytes:
    """A black one-bit PNG of any size in a few kilobytes; `rows` fewer than it claims if given."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (min(width, 1 << 20) + 7) // 8)
    pixels = b"".join(packer.compress(row) for _ in range(height if rows is None else rows))
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", pixels + packer.flush()), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _claiming_gif(width: int, height: int) -> bytes:
    """A GIF of a few hundred bytes whose header claims a larger screen."""
    data = bytearray(encoded("GIF", 4, 4))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)
