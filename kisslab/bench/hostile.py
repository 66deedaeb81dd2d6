"""What becomes of a process that opens files that want to do harm. (open_all, Opened)"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kisslab.bench.nasty import Nasty

PATIENCE = 60.0  # seconds that opening one file may take on a busy machine


class Opened(NamedTuple):
    """How it ended."""

    nasty: Nasty
    error: str  # class and message; empty if the file was taken
    caught: bool  # whether it was taken, or refused with a ValueError or OSError
    seconds: float
    growth: int  # bytes: the process's peak of memory so far, beyond what it had at the start


def open_all(files: list[Nasty], patience: float = PATIENCE) -> Iterator[Opened]:
    """Open each file in a watched process; one that dies or hangs is told of and replaced."""
    waiting = list(files)
    while waiting:
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(theirs, list(waiting)), daemon=True
        )
        process.start()
        theirs.close()
        try:
            yield from _watched(ours, waiting, patience)
        finally:
            process.kill()
            process.join()


def _watched(pipe: Connection, waiting: list[Nasty], patience: float) -> Iterator[Opened]:
    """What the process says of each file while it lives; what it dealt with leaves `waiting`."""
    if not pipe.poll(300) or not pipe.recv():  # it imports for a while
        raise RuntimeError("a process that opens files did not start; is the machine overloaded?")
    while waiting:
        nasty = waiting.pop(0)
        try:
            told = pipe.recv() if pipe.poll(patience) else None
        except EOFError:
            yield Opened(nasty, "the process died", False, 0.0, 0)
            return
        if told is None:
            yield Opened(nasty, f"no end after {patience:g} s", False, patience, 0)
            return
        yield Opened(nasty, *told)


def _serve(pipe: Connection, files: list[Nasty]) -> None:
    """Open one file after another, and tell of each."""
    openers = _openers()
    start = _peak()
    pipe.send(True)
    for nasty in files:
        began = time.perf_counter()
        error, caught = _tried(openers[nasty.kind], nasty.path)
        pipe.send((error, caught, time.perf_counter() - began, _peak() - start))


def _openers() -> dict[str, Callable[[Path], object]]:
    """Who opens which kind of file; imported here, so that the import is not what is measured."""
    from kisslab.batch import read_pairs
    from kisslab.faces import Faces
    from kisslab.identity import embed_crops
    from kisslab.keyframes import Keyframes
    from kisslab.kiss import load_codec
    from kisslab.photo import load_photo
    from kisslab.provenance import find_signer
    from kisslab.verify import verify
    from kisslab.video import load_clip, read_record

    crops = np.zeros((1, 112, 112, 3), np.float32)
    return {
        "photo": load_photo,
        "plan": Keyframes.from_json,
        "table": read_pairs,
        "record": Faces.load,
        "model": load_codec,
        "pack": lambda path: embed_crops(crops, path),
        "video": load_clip,
        "marked": verify,
        "notes": read_record,
        "signer": find_signer,
    }


def _tried(opener: Callable[[Path], object], path: Path) -> tuple[str, bool]:
    try:
        opener(path)
    except (ValueError, OSError) as error:
        return f"{type(error).__name__}: {error}", True
    except BaseException as error:  # what nobody caught is what is looked for
        return f"{type(error).__name__}: {error}", False
    return "", True


def _peak() -> int:
    """Bytes: the most memory that this process has had."""
    words = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()
    return int(words[0]) * 1024  # its own: ru_maxrss begins with that of the parent
