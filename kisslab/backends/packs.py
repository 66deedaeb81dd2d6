"""Identity by any insightface pack, on any device. (load_pack, embed_with)"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
from google.protobuf.message import DecodeError
from insightface.app import FaceAnalysis
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
)

from kisslab import zoo
from kisslab.faces import Faces
from kisslab.identity import Identity, align, pack_folder
from kisslab.photo import Photo
from kisslab.show import to_uint8

NEEDED = ("detection", "recognition")
DAMAGED = (DecodeError, Fail, InvalidArgument, InvalidGraph, InvalidProtobuf)


def load_pack(
    name_or_folder: str | Path = "buffalo_l", providers: list[str] | None = None
) -> FaceAnalysis:
    """An insightface pack by name or folder, ready to use; buffalo_l is fetched when it is nowhere.

    providers: onnxruntime's, best first ("CUDAExecutionProvider"); default: a GPU's where there is
    one. Names are looked for as `embed` does. zoo.ModelMissing: no such pack; ValueError: a folder
    that is nested, half unzipped or damaged, or a provider that is not installed. That buffalo_l is
    for non-commercial research only is said once, as a log message.
    """
    _check_providers(providers)
    folder = _folder(name_or_folder)
    if folder.name in {model.name for model in zoo.MODELS if not model.commercial}:
        zoo.say_licence(folder.name)
    try:
        # The folder exists here, so insightface does not try to fetch anything.
        pack = FaceAnalysis(str(folder), allowed_modules=list(NEEDED), providers=providers)
    except AssertionError as error:  # "detection" in self.models
        raise ValueError(_incomplete(folder, "detection")) from error
    except DAMAGED as error:
        raise ValueError(f"{folder}: a model in it is damaged ({error}); unzip it anew") from error
    if "recognition" not in pack.models:
        raise ValueError(_incomplete(folder, "recognition"))
    pack.prepare()
    return pack


def embed_with(pack: FaceAnalysis, photo: Photo, faces: Faces) -> Identity:
    """`identity.embed` by a loaded pack: unit vectors of the faces, left to right."""
    crops = np.stack([align(photo.rgb, points) for points in faces.points])
    bgr = [np.ascontiguousarray(crop[..., ::-1]) for crop in to_uint8(crops)]
    vectors = np.concatenate([pack.models["recognition"].get_feat(crop) for crop in bgr])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return Identity(crops, unit, Path(pack.model_dir).name)


def _folder(name_or_folder: str | Path) -> Path:
    try:
        place = pack_folder(name_or_folder)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{name_or_folder}: its zip file is damaged; delete it") from error
    except zoo.ModelMissing as error:
        deeper = sorted(Path(name_or_folder).expanduser().glob("**/*.onnx"))
        if not deeper:
            raise
        raise ValueError(
            f"{name_or_folder}: its models lie deeper, where insightface does not look; give "
            f"{deeper[0].parent}"
        ) from error
    if place.is_file():
        raise ValueError(f"{place}: is one model; a pack is the folder with all of them")
    return place


def _incomplete(folder: Path, lacks: str) -> str:
    there = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
    return f"{folder}: no {lacks} model in this pack, there is {there}; unzip all of it anew"


def _check_providers(providers: list[str] | None) -> None:
    known = onnxruntime.get_available_providers()
    unknown = [provider for provider in providers or [] if provider not in known]
    if unknown:
        raise ValueError(
            f"providers={providers}: this onnxruntime has {', '.join(known)}; for "
            "CUDAExecutionProvider install onnxruntime-gpu"
        )
