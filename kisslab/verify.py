"""Reads back what `save` put into a file, and says what is missing. (verify, Verification, Finding)

Four things travel with a clip, and each survives what another does not: the credential (any change
breaks it), the record in the metadata (any program may drop it), the watermark (re-encoding and
resizing leave it) and the visible mark (all but the scissors leave it).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import ImageSequence

from kisslab.formats import UNREADABLE, open_film, open_picture
from kisslab.provenance import Credential, parse_notes, read_credential
from kisslab.records import Result, record
from kisslab.video import FRAMES, MARK, MAX_SIDE, find_mark, message_of, read_notes, upright
from kisslab.watermark import Watermark, read_watermark

LIKENESS = 0.5  # of the corner to the visible mark: above where it is, see tests
# Of all pictures that are looked at; a telephone's photo has 50, and WebP takes 16 bytes for each.
MAX_PIXELS = 52_000_000
SUFFIXES = (".gif", ".webp", ".png", ".jpg", ".jpeg")  # of pictures; the rest are films

Frame = UInt8[np.ndarray, "_h _w 3"]


@record
class Finding(Result):
    """One thing that was looked for."""

    name: str
    state: str  # "there", "missing", "wrong", "foreign" (another tool's) or "none" was put in
    sentence: str


@record
class Verification(Result):
    """What a file says of itself, and whether that can be true."""

    path: str
    findings: tuple[Finding, ...]
    credential: Credential
    watermark: Watermark
    notes: str  # JSON of the metadata, or of the credential where the metadata lost it

    @property
    def whole(self) -> bool:
        """Whether all that kisslab put in is there, and as it left it."""
        return all(finding.state in ("there", "none") for finding in self.findings)

    @property
    def verdict(self) -> str:
        """One sentence."""
        states = {finding.name: finding.state for finding in self.findings}
        lost = [name for name, state in states.items() if state in ("missing", "foreign")]
        wrong = [name for name, state in states.items() if state == "wrong"]
        if wrong:
            return f"changed since it was made: see {', '.join(wrong)}"
        if not lost:
            return "as kisslab made it: AI-generated, and says so"
        if lost == list(states):
            if "foreign" in states.values():
                return "foreign: signed by another tool, and nothing of kisslab's is in it"
            return "foreign: nothing of kisslab's is in it, which proves nothing about its origin"
        return f"made with kisslab, and lost on its way: {', '.join(lost)}"

    def plot(self, ax: object | None = None) -> None:
        """The watermark's bits."""
        self.watermark.plot(ax)


def verify(path: str | Path, anchors: str | Path | None = None) -> Verification:
    """Look for credential, record, watermark and visible mark in a clip or picture.

    anchors: as in `read_credential`. OSError: no such file; ValueError: no picture can be
    read, and nothing else says where the file is from.
    """
    path = Path(path)
    credential = read_credential(path, anchors)
    metadata = _metadata(path)
    notes = metadata or credential.notes
    frames = _frames_or_none(path, known=bool(notes) or credential.whole)
    watermark = read_watermark(frames) if frames else Watermark("", np.zeros(96), np.zeros(96, int))
    said = parse_notes(notes) if notes else {}
    signed = parse_notes(credential.notes) if credential.whole and credential.notes else {}
    findings = (
        _of_credential(credential),
        _of_record(metadata, credential),
        _of_watermark(watermark.message, notes, said, signed),
        _of_mark(find_mark(frames) if frames else 0.0, said, signed),
    )
    return Verification(str(path), findings, credential, watermark, notes)


def _of_credential(credential: Credential) -> Finding:
    if credential.state == "missing":
        sentence = "no content credential: it was never signed, or someone took it off"
        return Finding("credential", "missing", sentence)
    if not credential.whole:
        problems = ", ".join(credential.problems) or "it can't be read"
        return Finding("credential", "wrong", f"changed after it was signed ({problems})")
    known = "" if credential.state == "trusted" else ", whom this machine does not know"
    claim = "says that AI made it" if credential.generated else "does not say that AI made it"
    sentence = f"unchanged since it was signed by {credential.signer}{known}; {claim}"
    if not credential.notes:
        return Finding("credential", "foreign", f"signed by another tool: {sentence}")
    return Finding("credential", "there" if credential.generated else "wrong", sentence)


def _of_record(metadata: str, credential: Credential) -> Finding:
    if not metadata:
        return Finding("record", "missing", "no record of a run in the metadata")
    if credential.notes and credential.notes != metadata:
        return Finding("record", "wrong", "the metadata say something else than what was signed")
    run = parse_notes(metadata)["run"]
    texts = {key: run[key] for key in ("kisslab", "style", "consent") if key in run}
    words = [f"{key}={text}" for key, text in texts.items() if isinstance(text, str)]
    return Finding("record", "there", ", ".join(words) or "a run of kisslab")


def _of_watermark(
    message: str, notes: str, said: dict[str, Any], signed: dict[str, Any]
) -> Finding:
    if not message and signed.get("watermark") == "":
        return Finding("watermark", "none", "none was put in, as was signed")
    if not message:
        told = bool(said.get("watermark"))
        return Finding("watermark", "missing", "none can be read" + " (any more)" * told)
    if not notes:
        return Finding("watermark", "there", f"{message}; of which record is unknown")
    if message != message_of(notes):
        other = message_of(notes)
        sentence = f"{message}, but of this record {other}: reworded, or of another run"
        return Finding("watermark", "wrong", sentence)
    sentence = f"{message}, the first digits of the sha256 of its run's record"
    return Finding("watermark", "there", sentence)


def _of_mark(likeness: float, said: dict[str, Any], signed: dict[str, Any]) -> Finding:
    if likeness > LIKENESS:
        return Finding("visible mark", "there", "AI-generated, in the lower right corner")
    if signed.get("mark") == "":
        return Finding("visible mark", "none", "none was put in, as was signed")
    if said.get("mark"):
        return Finding("visible mark", "wrong", f"'{MARK}' was drawn, and is not there")
    return Finding("visible mark", "missing", "none is to be seen in the lower right corner")


def _metadata(path: Path) -> str:
    try:
        return read_notes(path)
    except ValueError:
        return ""


def _frames_or_none(path: Path, known: bool) -> list[Frame]:
    """None of a file that can't be read, whose origin is known."""
    try:
        return _frames(path)
    except ValueError:
        if known:
            return []
        raise


def _frames(path: Path) -> list[Frame]:
    """The first FRAMES of one size, as far as they can be read. ValueError: not even one."""
    picture = path.suffix.lower() in SUFFIXES
    frames: list[Frame] = []
    problem = "it has no frames"
    try:
        for frame in islice((_pictures if picture else _film)(path), FRAMES):
            if frames and frame.shape != frames[0].shape:  # a telephone's JPEG with a thumbnail
                break
            frames.append(frame)
    except (*UNREADABLE, IndexError) as error:  # what came before a cut is still there
        problem = str(error)
    if not frames:
        kind = "picture" if picture else "video"
        raise ValueError(f"{path}: can't be read as a {kind} ({problem})")
    return frames


def _film(path: Path) -> Iterator[Frame]:
    with open_film(path) as file:
        yield from upright(file, MAX_SIDE)


def _pictures(path: Path) -> Iterator[Frame]:
    """As far as MAX_PIXELS go, each as small as `upright` makes it."""
    with open_picture(path) as file:
        if file.width * file.height > MAX_PIXELS:
            raise ValueError(f"{file.width} x {file.height} pixels are too many")
        room = MAX_PIXELS
        for picture in ImageSequence.Iterator(file):
            room -= picture.width * picture.height
            if room < 0:
                return
            small = picture.convert("RGB")
            small.thumbnail((MAX_SIDE, MAX_SIDE))
            yield np.asarray(small)
