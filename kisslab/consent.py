"""Whose pictures may be used: packaged people freely, others with a statement, and adults only.
(check_consent, check_ages, find_age_model)
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from kisslab import zoo
from kisslab.faces import Faces
from kisslab.identity import load_onnx, pack_roots
from kisslab.photo import Photo
from kisslab.show import to_uint8

STATEMENT = "Everyone pictured is an adult and has agreed to this clip."
YOUNGEST = 25  # years that a face has to look like: a guess from a picture errs by several
AGE_MODEL = "genderage.onnx"  # insightface's name of the file, in buffalo_l and others


class ConsentError(PermissionError):
    """A photo that may not be used: its people did not consent, or look too young to."""


def check_consent(photos: Iterable[Photo], statement: str) -> str:
    """The statement that goes into the output; ConsentError when one is needed and is missing.

    Photos that kisslab ships show people who do not exist: known by the sha256 of their files, they
    need no statement.
    """
    own = _own(photos)
    if not own:
        return "packaged synthetic people; no consent is needed"
    if statement.strip():
        return statement.strip()
    names = ", ".join(photo.path or "a picture" for photo in own)
    raise ConsentError(
        f"{names}: a kiss clip of real people needs their consent. If everyone pictured is an "
        f'adult and agreed, say so: --consent on the command line, or consent="{STATEMENT}" '
        "in Python. The statement is recorded in the clip."
    )


def check_ages(
    photos: Iterable[Photo], photo: Photo, faces: Faces, model: str | Path | None = None
) -> str:
    """How old the faces of `photo` look, for the output; ConsentError if one looks under YOUNGEST.

    photos: what was given; packaged people are not looked at. model: a genderage.onnx; default:
    `find_age_model`, and where there is none, nobody is looked at, and the output says so.

    What this can do: stop a run on a photo of a child, most of the time. What it can't: tell
    somebody's age. Such models err by years, more so on people and ages that they have seen few of,
    and can be fooled; adults are refused, and some minors are not. The statement stays what counts.
    """
    if not _own(photos):
        return "packaged synthetic people; their ages are not guessed"
    model = Path(model) if model else find_age_model()
    if model is None:
        return f"not guessed: no insightface pack with {AGE_MODEL} on this machine"
    ages = _ages(photo, faces, model)
    judge, said = f"{model.parent.name}'s {model.name}", " and ".join(map(str, ages))
    if min(ages) < YOUNGEST:
        raise ConsentError(
            f"{photo.path or 'the picture'}: to {judge} its people look {said} years old (left to "
            f"right), one under {YOUNGEST}. kisslab makes clips of adults only, and keeps its "
            "distance, for the guess errs by years; use a photo of people who are clearly adults"
        )
    return f"look {said} years old to {judge}"


def find_age_model() -> Path | None:
    """The first pack's genderage.onnx in the folders where `embed` looks; nothing is fetched."""
    found = (path for root in pack_roots() for path in sorted(root.glob(f"*/{AGE_MODEL}")))
    return next(found, None)


def _ages(photo: Photo, faces: Faces, model: Path) -> list[int]:
    """Years, by insightface's attribute model. ValueError: the file is another model."""
    from insightface.app.common import Face  # a second or two: only once it is needed

    guess: Any = load_onnx(model)
    if getattr(guess, "taskname", "") != "genderage":
        raise ValueError(f"{model}: is no insightface model of age and gender; move it elsewhere")
    bgr = np.ascontiguousarray(to_uint8(photo.rgb)[..., ::-1])
    return [int(guess.get(bgr, Face(bbox=box))[1]) for box in faces.boxes]


def _own(photos: Iterable[Photo]) -> list[Photo]:
    """The photos that are not kisslab's."""
    return [photo for photo in photos if photo.sha256 not in _packaged()]


@functools.cache
def _packaged() -> frozenset[str]:
    manifest = zoo.data_path("portraits") / "MANIFEST.csv"
    with manifest.open(newline="") as file:
        return frozenset(row["sha256"] for row in csv.DictReader(file))
