"""Under which licences everything stands that kisslab needs or ships. (licences, Licence)

`python -m kisslab.licences` prints the table, from what is installed here.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from importlib.metadata import metadata, requires, version
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from kisslab import zoo

# What packages do not say of themselves, or say too little of: PyAV's own code is BSD, its wheels
# carry a GPL library, and so does every image that they are installed in.
KNOWN = {
    "insightface": "MIT (its code; its models are for non-commercial research)",
    "av": "BSD-3-Clause; the wheels carry FFmpeg with x264 (GPL-2.0-or-later)",
}


class Licence(NamedTuple):
    """One thing that kisslab needs or ships."""

    name: str
    version: str
    licence: str


def licences(root: str = "kisslab") -> list[Licence]:
    """Every package that `root` requires, and what these require; what kisslab ships or fetches.

    ModuleNotFoundError: `root` is not installed, and only imported from a folder.
    """
    needed = sorted(_needed(root), key=str.lower)
    packages = [Licence(name, version(name), _licence(name)) for name in needed]
    fetched = [Licence(model.file, "fetched once", model.licence) for model in zoo.MODELS]
    return [*packages, *fetched, *_shipped()]


def _needed(root: str) -> Iterator[str]:
    """The names of what is required here, each once; without the extras of `root`."""
    todo, seen = _wanted(root, {""}), {root}
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        if name not in seen:
            seen.add(name)
            yield metadata(name)["Name"]
            todo += _wanted(name, wanted.extras or {""})


def _wanted(name: str, extras: set[str]) -> list[Requirement]:
    return [need for need in map(Requirement, requires(name) or ()) if _applies(need, extras)]


def _applies(one: Requirement, extras: set[str]) -> bool:
    """Whether it is required on this machine, with these extras."""
    return not one.marker or any(one.marker.evaluate({"extra": extra}) for extra in extras)


def _shipped() -> Iterator[Licence]:
    """Models and people of the packaged files: kisslab's own, and where they come from."""
    with (zoo.data_path("portraits") / "MANIFEST.csv").open(newline="") as file:
        kinds = {(row["source"], row["licence"]) for row in csv.DictReader(file)}
    for source, licence in sorted(kinds):
        yield Licence(f"portraits: {source}", "shipped", licence)
    for name in zoo.shipped_models():
        yield Licence(name, "shipped", "Apache-2.0")


def _licence(name: str) -> str:
    """SPDX expression, else classifiers, else the first line of the field."""
    if name in KNOWN:
        return KNOWN[name]
    about = metadata(name)
    words = [line.split("::")[-1].strip() for line in about.get_all("Classifier") or ()
             if line.startswith("License ::")]  # fmt: skip
    first = (about.get("License") or "").strip().partition("\n")[0]
    return about.get("License-Expression") or "; ".join(words) or first or "not said"


if __name__ == "__main__":
    try:
        table = licences()
    except ModuleNotFoundError as error:
        sys.exit(f"kisslab: {error}; install kisslab first, for its table is of what is installed")
    for row in table:
        print(f"{row.name:50} {row.version:14} {row.licence}")
