"""Whose pictures may be used: packaged people freely, others with a statement. (check_consent)"""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterable

from kisslab import zoo
from kisslab.photo import Photo

STATEMENT = "Everyone pictured is an adult and has agreed to this clip."


class ConsentError(PermissionError):
    """A photo of people who are not packaged with kisslab, without a statement of their consent."""


def check_consent(photos: Iterable[Photo], statement: str) -> str:
    """The statement that goes into the output; ConsentError when one is needed and is missing.

    Photos that kisslab ships show people who do not exist: known by the sha256 of their files, they
    need no statement.
    """
    own = [photo for photo in photos if photo.sha256 not in _packaged()]
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


@functools.cache
def _packaged() -> frozenset[str]:
    manifest = zoo.data_path("portraits") / "MANIFEST.csv"
    with manifest.open(newline="") as file:
        return frozenset(row["sha256"] for row in csv.DictReader(file))
