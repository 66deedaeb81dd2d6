"""Where models and packaged files lie, and how they get there.
(find_model, models_table, shipped_models, sha256, data_path, demo_portraits, say_licence; MODELS,
Model, ModelMissing)
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from kisslab.records import Result, record


@record
class Model(Result):
    """One file that others made and that is fetched at most once."""

    name: str
    file: str
    size: int  # bytes
    sha256: str
    licence: str
    permits: str  # one plain sentence
    commercial: bool  # whether commercial use is permitted
    address: str  # canonical


@record
class Listed(Result):
    """A row of `kisslab models`."""

    name: str
    file: str
    size: str
    licence: str
    permits: str
    place: str  # a path, or what is wrong


MODELS = (
    Model(
        name="face_landmarker",
        file="face_landmarker.task",
        size=3_758_596,
        sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        licence="Apache-2.0",
        permits="Any use, also commercial, with the licence text kept.",
        commercial=True,
        address="https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/"
        "float16/1/face_landmarker.task",
    ),
    Model(
        name="buffalo_l",
        file="buffalo_l.zip",
        size=288_621_354,
        sha256="80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f",
        licence="InsightFace model licence",
        permits="Non-commercial research only.",
        commercial=False,
        address="https://github.com/deepinsight/insightface/releases/download/v0.7/buffalo_l.zip",
    ),
)


DEMO = ("single_15", "single_01")  # the packaged portraits that the demo kisses, left and right


class ModelMissing(FileNotFoundError):
    """A model is nowhere, or damaged, and could not be fetched; the message says what to do."""


def find_model(name: str, path: str | Path | None = None) -> Path:
    """The file of a model of MODELS, fetched if it is nowhere; the first place that has it wins.

    Places: `path`, the folder KISSLAB_MODELS, the packaged files, the user's cache (KISSLAB_CACHE
    moves it), the canonical address (not with KISSLAB_OFFLINE=1). Only a file with the right
    sha256 counts; `path` alone is taken as it is, for whoever names a file wants that one.
    Raises ModelMissing. A licence that forbids commercial use is said once, as a log message.
    """
    model = _named(name)
    if path is not None and not Path(path).is_file():
        raise ModelMissing(f"{path}: no such file; leave the path out to use {model.file}")
    found = Path(path) if path is not None else _search(model) or _fetch(model)
    if not model.commercial:
        say_licence(model.name)
    return found


def models_table() -> tuple[Listed, ...]:
    """Every model of MODELS and where it lies on this machine; nothing is fetched."""
    return tuple(
        Listed(m.name, m.file, f"{m.size / 1e6:.1f} MB", m.licence, m.permits, _place(m))
        for m in MODELS
    )


def shipped_models() -> dict[str, str]:
    """File and sha256 of the models that travel with kisslab."""
    root = data_path("models")
    paths = sorted(p for p in root.rglob("*") if p.suffix in (".safetensors", ".onnx"))
    return {str(p.relative_to(root)): sha256(p) for p in paths}


def data_path(name: str, folder: str = "data") -> Path:
    """A file that travels with kisslab (in "data" or "notebooks"), in a wheel or a checkout."""
    package = Path(__file__).parent
    wheel, checkout = package / folder, package.parent / folder
    return (wheel if wheel.is_dir() else checkout) / name


def demo_portraits() -> tuple[Path, Path]:
    """The two packaged portraits of the demo; their points lie beside them as .faces.npz."""
    left, right = (data_path(f"portraits/{name}.jpg") for name in DEMO)
    return left, right


@cache
def say_licence(name: str) -> None:
    """Log what a licence permits, once per process: the cache remembers that it was said."""
    model = _named(name)
    logging.getLogger("kisslab").warning("%s: %s (%s)", model.file, model.permits, model.licence)


def _named(name: str) -> Model:
    for model in MODELS:
        if model.name == name:
            return model
    raise ValueError(f"no model named {name!r}; there are {', '.join(m.name for m in MODELS)}")


def _places(model: Model) -> Iterator[Path]:
    """Where the file may lie, best first."""
    if os.environ.get("KISSLAB_MODELS"):
        yield Path(os.environ["KISSLAB_MODELS"]) / model.file
    yield data_path("models") / model.file
    yield _cache() / model.file


def _cache() -> Path:
    place = os.environ.get("KISSLAB_CACHE")
    return Path(place) if place else platformdirs.user_cache_path("kisslab") / "models"


def _search(model: Model) -> Path | None:
    return next((place for place in _places(model) if _state(place, model) == "here"), None)


def _state(place: Path, model: Model) -> str:
    """'here', 'not there', or 'damaged'."""
    if not place.is_file():
        return "not there"
    whole = place.stat().st_size == model.size and sha256(place) == model.sha256
    return "here" if whole else "damaged, its sha256 is wrong"


def sha256(path: Path) -> str:
    """Of a file; large models are read once per process, unless they change."""
    return _sha256(path, path.stat().st_mtime_ns)


@lru_cache
def _sha256(path: Path, mtime: int) -> str:
    """Of a file as it was at `mtime`."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _fetch(model: Model) -> Path:
    """Download beside the target, check, rename: a file under its own name is always whole."""
    if os.environ.get("KISSLAB_OFFLINE") == "1":
        raise _missing(model, "KISSLAB_OFFLINE=1 forbids fetching it")
    import pooch  # both take a while, and few runs come here
    import requests

    downloader = pooch.HTTPDownloader(progressbar=True, chunk_size=1 << 16)
    try:
        pooch.retrieve(model.address, model.sha256, model.file, _cache(), downloader=downloader)
    except requests.ConnectionError as error:
        host = urlsplit(model.address).hostname
        raise _missing(model, f"{host} can't be reached; is there internet?") from error
    except (OSError, ValueError) as error:  # no space, no right to write, 404; a wrong sha256
        raise _missing(model, f"fetching it failed: {error}") from error
    return _cache() / model.file


def _missing(model: Model, why: str) -> ModelMissing:
    looked = "".join(f"\n  {place}: {_state(place, model)}" for place in _places(model))
    return ModelMissing(
        f"{model.file} is needed, and {why}\nLooked in:{looked}\nTo do: fetch {model.address} "
        f"({model.size / 1e6:.1f} MB) on any machine with internet, put it into a folder, and set "
        "KISSLAB_MODELS to that folder."
    )


def _place(model: Model) -> str:
    found = _search(model)
    if found:
        return str(found)
    damaged = [place for place in _places(model) if place.is_file()]
    return f"{damaged[0]}: {_state(damaged[0], model)}" if damaged else "not here"
