"""Files that want to do harm. (nasty_files, Nasty, film, good_plan, good_clip)

Each is made, not stored: bombs that claim or unpack to more than any memory, code where data should
be, paths that lead out of the folder, files without end, and real files that are cut or garbled.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from kisslab import zoo
from kisslab.bench.bad_inputs import bad_photos, chunk, grey_png

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 200 200\n%%EndComments\n{} loop\n"
ODD_RUNS = (  # notes whose "run" is no record, and one too deep
    '{"run": 5}', '{"run": null}', '{"run": "kisslab"}', '{"run": []}', "[]", "5", "null",
    '{"run": {"consent": [[]]}, "mark": {}, "watermark": []}',
    '{"run": {"consent": ' + "[" * 990 + "]" * 990 + "}}",
    '{"run": ' + "[" * 100_000,
)  # fmt: skip


class Nasty(NamedTuple):
    """A file, and what is opened there: a name of OPENERS."""

    path: Path
    kind: str


def nasty_files(folder: Path, trap: Path) -> list[Nasty]:
    """Write the corpus into `folder`, which exists. What runs code would make the file `trap`."""
    made = []
    for kind, make in MAKERS.items():
        place = folder / kind
        place.mkdir()
        made += [Nasty(path, kind) for path in make(place, trap)]
    return made


def _photos(folder: Path, trap: Path) -> list[Path]:
    """Those of bad_inputs, and pictures that unpack to gigabytes beside their pixels."""
    bomb = _deflated(2**29)
    text = b"Comment\0\0" + bomb
    profile = b"bomb\0\0" + bomb
    start, rest = grey_png(100, 100)[:33], grey_png(100, 100)[33:]
    files = {
        "text_bomb.png": start + chunk(b"zTXt", text) + rest,
        "profile_bomb.png": start + chunk(b"iCCP", profile) + rest,
        "wide.tiff": _tiff(60_000, 60_000),
        "many.tiff": _tiff(100, 100, entries=60_000),
        "claim.bmp": b"BM" + struct.pack("<6I2H6I", 54, 0, 54, 40, 65_000, 65_000, 1, 24, *6 * [0]),
        "claim.webp": b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff",
        "claim.ppm": b"P6 99999 99999 255\n",
        "claim.jp2": b"\xff\x4f\xff\x51\0\x29\0\0" + struct.pack(">8I", *2 * [60_000, 60_000, 0, 0])
        + b"\0\x03" + b"\x07\1\1" * 3,
    }  # fmt: skip
    return [path for path, _ in bad_photos(folder)] + _written(folder, files)


def _plans(folder: Path, trap: Path) -> list[Path]:
    """Motion as JSON: deep, endless, not finite, of the wrong kind."""
    plan = json.loads(good_plan())
    wrong = {
        "seconds.json": {"seconds": 1e300}, "none.json": {"fps": None}, "text.json": {"fps": "24"},
        "tracks.json": {"tracks": [{}] * 19}, "anchors.json": {"anchors": ["lips", {"a": 1}]},
        "style.json": {"style": "x" * 10_000_000}, "more.json": {"__class__": "os.system"},
    }  # fmt: skip
    files = {name: json.dumps(plan | part).encode() for name, part in wrong.items()}
    files |= {
        "deep.json": b"[" * 1_000_000,
        "digits.json": b'{"seconds": ' + b"9" * 5_000_000 + b"}",
        "nan.json": good_plan().replace(b"2.5", b"NaN", 1),
        "utf16.json": good_plan().decode().encode("utf-16"),
        "binary.json": bytes(range(256)),
        "list.json": b"[]",
        "empty.json": b"",
    }
    (folder / "zero.json").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.json")
    return [*_written(folder, files), folder / "zero.json", folder / "pipe.json", folder]


def _tables(folder: Path, trap: Path) -> list[Path]:
    """Pairs as CSV: other folders, formulas, no end of a quote, a cell or a column."""
    files = {
        "out.csv": f"left,out\nus.jpg,{trap}\n".encode(),
        "up.csv": b"left,out\nus.jpg,../../us.mp4\n",
        "nul.csv": b"left,out\nus\0.jpg,a.mp4\n",
        "cell.csv": b"left\n" + b"a" * 300_000 + b"\n",
        "quote.csv": b'left,right\n"us.jpg,b.jpg\n' * 1000,
        "columns.csv": b"left" + b",left" * 100_000 + b"\n",
        "twice.csv": b"left,left\na.jpg,b.jpg\n",
        "number.csv": b"left,seed\nus.jpg," + b"9" * 10_000 + b"\n",
        "infinite.csv": b"left,seconds\nus.jpg,inf\n",
        "latin.csv": b"left\nk\xe4se.jpg\n",
        "zip.csv": b"PK\x03\x04" + bytes(1000),
        "empty.csv": b"",
    }
    (folder / "zero.csv").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.csv")
    return [*_written(folder, files), folder / "zero.csv", folder / "pipe.csv"]


def _records(folder: Path, trap: Path) -> list[Path]:
    """Records as .npz: code in a pickle, bombs, claims, and headers that lie."""
    good = zoo.demo_portraits()[0].with_suffix(".faces.npz").read_bytes()
    code = pickle.dumps(_Runs(trap))
    objects = io.BytesIO()
    np.save(objects, np.array([_Runs(trap)], dtype=object), allow_pickle=True)
    claim = b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr':'<f8','fortran_order':False,'shape':(%d,)}"
    files = {
        "pickle.npz": code,
        "objects.npz": _zipped({"__header__.npy": objects.getvalue()}),
        "object_points.npz": _with_points(good, objects.getvalue()),
        "bomb.npz": _with_points(good, _array(2**33)),
        "claim.npz": _with_points(good, (claim % 2**44).ljust(127) + b"\n"),
        "negative.npz": _with_points(good, (claim % -5).ljust(127) + b"\n"),
        "code.npz": _with_points(good, claim[:10] + b"__import__('os').abort()".ljust(117) + b"\n"),
        "header.npz": _zipped({"__header__.npy": _array(2**33)}),
        "up.npz": _zipped({"../../up.npy": b"x", "__header__.npy": b"x"}),
        "cut.npz": good[: len(good) // 2],
        "garbled.npz": _garbled(good),
        "empty.npz": b"",
    }  # fmt: skip
    return _written(folder, files)


def _models(folder: Path, trap: Path) -> list[Path]:
    """Model folders: pickled weights, code in a configuration, headers that claim a terabyte."""
    good = zoo.data_path("models/codec")
    config, weights = (good / "config.json").read_bytes(), "diffusion_pytorch_model.safetensors"
    head = json.dumps(
        {"a": {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}}
    ).encode()
    real, code = (good / weights).read_bytes(), pickle.dumps(_Runs(trap))
    huge = json.dumps(json.loads(config) | {"width": 2**40}).encode()
    odd = json.dumps(json.loads(config) | {"latent_channels": "__import__('os')"}).encode()
    folders = {
        "pickled": {"config.json": config, "diffusion_pytorch_model.bin": code},
        "renamed": {"config.json": config, weights: code},
        "claims": {"config.json": config, weights: struct.pack("<Q", len(head)) + head},
        "header": {"config.json": config, weights: struct.pack("<Q", 2**62) + b"{}"},
        "cut": {"config.json": config, weights: real[: len(real) // 2]},
        "garbled": {"config.json": config, weights: _garbled(real[:2000]) + real[2000:]},
        "huge": {"config.json": huge, weights: real},
        "odd": {"config.json": odd, weights: real},
        "list": {"config.json": b"[]", weights: real},
        "deep": {"config.json": b"[" * 100_000, weights: real},
        "text": {"config.json": b"no JSON", weights: real},
        "nothing": {},
    }  # fmt: skip
    for name, files in folders.items():
        (folder / name / "codec").mkdir(parents=True)
        _written(folder / name / "codec", files)
    return [folder / name for name in folders]


def _packs(folder: Path, trap: Path) -> list[Path]:
    """Recognition models as .onnx."""
    good = zoo.data_path("models/insightface/models/kisslab/kisslab_id.onnx").read_bytes()
    files = {"cut.onnx": good[: len(good) // 2], "empty.onnx": b"", "text.onnx": b"no model",
             "pickle.onnx": pickle.dumps(_Runs(trap)), "garbled.onnx": _garbled(good)}  # fmt: skip
    return _written(folder, files)


def _videos(folder: Path, trap: Path) -> list[Path]:
    """Videos, and other things of that name: playlists that name other files, claims, cuts."""
    good = good_clip(folder, "mp4")
    files = {
        "playlist.mp4": f"#EXTM3U\n#EXTINF:1,\nfile://{trap.parent / 'secret.ts'}\n".encode(),
        "concat.mp4": f"ffconcat version 1.0\nfile {trap.parent / 'secret.mp4'}\n".encode(),
        "claim.mp4": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\xff\xff\xff\xfemoov",
        "cut.mp4": good[: len(good) // 2],
        "garbled.mp4": _garbled(good),
        "text.mp4": b"no video",
        "empty.mp4": b"",
        "large.y4m": b"YUV4MPEG2 W60000 H60000 F25:1 C420\nFRAME\n" + bytes(1000),
    }
    return _written(folder, files)


def _marked(folder: Path, trap: Path) -> list[Path]:
    """Clips of ours with a spoilt credential, bombs for who verifies, and what is no picture."""
    files = {
        "bomb.png": grey_png(30_000, 30_000), "text.jpg": b"no picture",
        "script.gif": EPS, "script.png": EPS, "script.webp": EPS, "script.jpg": EPS,
        "large.gif": film("GIF", 9000), "most.gif": film("GIF", 7200),
        "most.png": film("PNG", 7200), "most.webp": film("WEBP", 7200),
        "many.gif": film("GIF", 3000, 80),
        **{f"odd_{k}.mp4": _noted(folder, run) for k, run in enumerate(ODD_RUNS)},
    }  # fmt: skip
    for suffix in ("mp4", "png", "gif", "webp"):
        good = good_clip(folder, suffix)
        files |= {f"cut.{suffix}": good[:-3000], f"garbled.{suffix}": _garbled(good, 40)}
    os.mkfifo(folder / "pipe.mp4")
    os.mkfifo(folder / "pipe.gif")
    return [*_written(folder, files), folder / "pipe.mp4", folder / "pipe.gif"]


def _notes(folder: Path, trap: Path) -> list[Path]:
    """Clips whose metadata are read: pipes, scripts, playlists, records of another shape."""
    files = {f"run_{k}.mp4": _noted(folder, run) for k, run in enumerate(ODD_RUNS)}
    files |= {f"script.{suffix}": EPS for suffix in ("gif", "webp", "png")}
    files["playlist.mp4"] = f"#EXTM3U\n#EXTINF:1,\nfile://{trap.parent / 'secret.ts'}\n".encode()
    for suffix in ("mp4", "gif", "webp", "png"):
        os.mkfifo(folder / f"pipe.{suffix}")
    return [*_written(folder, files), *sorted(folder.glob("pipe.*"))]


def _signers(folder: Path, trap: Path) -> list[Path]:
    key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    files = {"text.pem": b"no key", "empty.pem": b"", "key.pem": key}
    return _written(folder, files)


class _Runs:
    """Makes a file when it is unpickled."""

    def __init__(self, trap: Path):
        self.trap = trap

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self.trap), "w")


def _written(folder: Path, files: dict[str, bytes]) -> list[Path]:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


def _garbled(data: bytes, every: int = 97, seed: int = 0) -> bytes:
    """One byte in `every` is another."""
    values = np.frombuffer(data, np.uint8).copy()
    rng = np.random.default_rng(seed)
    places = rng.choice(len(values), len(values) // every, replace=False)
    values[places] = rng.integers(0, 256, len(places))
    return values.tobytes()


def _deflated(size: int) -> bytes:
    """So many zeros, packed a thousandfold."""
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(size >> 20)) + packer.flush()


def _zipped(members: dict[str, bytes]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return memory.getvalue()


def _with_points(good: bytes, array: bytes) -> bytes:
    """A record of faces whose points are `array`."""
    with zipfile.ZipFile(io.BytesIO(good)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    return _zipped(members | {"points.npy": array})


def _array(size: int) -> bytes:
    """The beginning of an array file that claims `size` numbers, and 16 MB of them."""
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({size},), }}"
    return b"\x93NUMPY\x01\x00\x76\x00" + head.ljust(117).encode() + b"\n" + bytes(1 << 24)


def _tiff(width: int, height: int, entries: int = 0) -> bytes:
    """A TIFF whose directory claims a size, and more entries than it has."""
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 8),
            (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, 2**31)]  # fmt: skip
    body = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", entries or len(tags)) + body + bytes(4)


def film(kind: str, side: int, count: int = 3) -> bytes:
    """A few kilobytes that unpack to frames of this size."""
    memory = io.BytesIO()
    first, *rest = (Image.new("P", (side, side), k % 2) for k in range(count))
    if kind == "WEBP":
        first, *rest = (Image.new("RGB", (side, side), (k, k, k)) for k in range(count))
    first.save(memory, kind, save_all=True, append_images=rest, duration=40)
    return memory.getvalue()


def _noted(folder: Path, notes: str) -> bytes:
    """A small clip of noise with these notes in its metadata."""
    from kisslab.formats import WRITERS

    frames = np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3), np.uint8)
    WRITERS[".mp4"](folder / "noted.mp4", iter(frames), 24.0, notes, 85)
    return (folder / "noted.mp4").read_bytes()


def good_plan() -> bytes:
    from kisslab.bench.inputs import sample_faces
    from kisslab.plan import plan_kiss

    keyframes = plan_kiss(sample_faces(), seconds=2.5).keyframes
    data = {"kisslab": "keyframes", **dict(keyframes.items())}
    data["tracks"] = [dict(track.items()) for track in keyframes.tracks]
    return json.dumps(data).encode()


def good_clip(folder: Path, suffix: str) -> bytes:
    """What `save` writes: noise, so that nothing in it is small."""
    from kisslab.video import make_clip, save

    frames = np.random.default_rng(0).integers(0, 256, (4, 128, 128, 3), np.uint8)
    return save(make_clip(frames, 24.0), folder / f"good.{suffix}").read_bytes()


MAKERS = {
    "photo": _photos, "plan": _plans, "table": _tables, "record": _records, "model": _models,
    "pack": _packs, "video": _videos, "marked": _marked, "notes": _notes, "signer": _signers,
}  # fmt: skip
