"""Stage 2: faces in, numbers that tell people apart out.

(embed, Identity, embed_crops, align, five_points, similarity, pack_folder)
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Num

from kisslab import anatomy as at
from kisslab import show, zoo
from kisslab.faces import FaceError, Faces
from kisslab.photo import Photo
from kisslab.records import Result, record

OURS = "kisslab"  # the packaged insightface model folder
SIDE = 112  # pixels of a crop
# Where the right eye, left eye, nose tip and mouth corners lie in a crop (pixels x, y): the five
# points on which ArcFace is trained (Deng et al. 2019), insightface's `arcface_dst`.
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
     [70.7299, 92.2041]]
)  # fmt: skip
RIGHT_EYE = np.union1d(at.RIGHT_UPPER_LID, at.RIGHT_LOWER_LID)
LEFT_EYE = np.union1d(at.LEFT_UPPER_LID, at.LEFT_LOWER_LID)


@record
class Identity(Result):
    """What a recognition model makes of the faces of a photo, left to right. P people."""

    crops: Float[np.ndarray, "P 112 112 3"]  # aligned: eyes, nose and mouth on TEMPLATE
    embeddings: Float[np.ndarray, "P D"]  # unit length
    model: str  # name of the model folder or file that made them

    def cosine(self, other: Identity) -> Float[np.ndarray, "P Q"]:
        """Likeness of everyone here to everyone there, -1 to 1: dot products of unit vectors.

        ValueError: the two were made by different models, whose numbers mean different things.
        """
        if self.model != other.model:
            raise ValueError(
                f"embeddings of {self.model} and of {other.model} can't be compared; embed both "
                "with one model"
            )
        return self.embeddings @ other.embeddings.T

    def plot(self, ax: object | None = None) -> None:
        """The crops, each with its likeness to the first."""
        likeness = self.cosine(self)[0]
        titles = [f"person {i}, cosine {c:.2f} to person 0" for i, c in enumerate(likeness)]
        show.sheet(list(self.crops), ["person 0", *titles[1:]], columns=len(titles), ax=ax)


def embed(photo: Photo, faces: Faces, model: str | Path | None = None) -> Identity:
    """Crop every face to 112 x 112 pixels and turn it into a unit vector, alike for one person.

    model: an insightface model folder by name or path, or a recognition .onnx; default: ours, small
    and trained on people who do not exist. FaceError: a face lies outside the photo. ModelMissing,
    ValueError: see embed_crops. Source: Deng et al. 2019, "ArcFace".
    """
    crops = np.stack([align(photo.rgb, points) for points in faces.points])
    return Identity(crops, embed_crops(crops, model), pack_folder(model or OURS).name)


def embed_crops(
    crops: Num[np.ndarray, "N 112 112 3"], model: str | Path | None = None
) -> Float[np.ndarray, "N D"]:
    """Unit vectors of aligned crops (RGB, uint8 or in [0, 1]) by insightface's recognition.

    model: as for `embed`. A folder by name is looked for in KISSLAB_MODELS/insightface/models, in
    the packaged models and in ~/.insightface/models; buffalo_l is fetched when it is nowhere.
    zoo.ModelMissing: no such folder or file; ValueError: nothing in it recognises faces.
    """
    recognise = _recogniser(pack_folder(model or OURS))
    vectors = [recognise.get_feat(np.ascontiguousarray(c[..., ::-1])) for c in show.to_uint8(crops)]
    flat = np.concatenate(vectors)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def align(
    rgb: Num[np.ndarray, "H W 3"], points: Float[np.ndarray, "478 d"]
) -> Num[np.ndarray, "112 112 3"]:
    """The 112 x 112 crop that has the face's five points nearest to TEMPLATE; black outside.

    points: pixels (x, y, and anything after that is not used). FaceError: not in the picture.
    """
    five = five_points(points)
    height, width = rgb.shape[:2]
    if not ((five > 0) & (five < [width, height])).all(axis=1).any():
        raise FaceError(
            f"a face at {five.mean(0).round()} lies outside the picture of {width} x {height} px; "
            "give the faces that were found in this very photo"
        )
    return _warp(rgb, similarity(five, TEMPLATE))


def five_points(points: Float[np.ndarray, "*n 478 d"]) -> Float[np.ndarray, "*n 5 2"]:
    """Right eye, left eye, nose tip, right and left corner of the mouth, of the 478 points."""
    eyes = [points[..., lids, :2].mean(axis=-2) for lids in (RIGHT_EYE, LEFT_EYE)]
    others = (at.NOSE_TIP, at.MOUTH_RIGHT, at.MOUTH_LEFT)
    return np.stack([*eyes, *(points[..., k, :2] for k in others)], axis=-2)


def similarity(
    source: Float[np.ndarray, "n 2"], target: Float[np.ndarray, "n 2"]
) -> Float[np.ndarray, "2 3"]:
    """The turn, scale and shift of least squares that brings `source` to `target`.

    In complex numbers w = a z + b with a = sum(conj(z) w) / sum(|z|^2), both centred; this is
    Umeyama 1991 for two dimensions, where a mirrored solution can't be.
    """
    z, w = (points @ [1, 1j] for points in (source, target))
    centred = z - z.mean()
    a = np.vdot(centred, w - w.mean()) / np.vdot(centred, centred)
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def pack_folder(model: str | Path) -> Path:
    """The insightface model folder, or the .onnx file, that `model` names. ModelMissing."""
    places = [Path(model).expanduser(), *(root / model for root in pack_roots())]
    for place in places:
        if place.is_file() or any(place.glob("*.onnx")):
            return place
    if str(model) in (known.name for known in zoo.MODELS):
        return _unpacked(zoo.find_model(str(model)))
    looked = "".join(f"\n  {place}" for place in places)
    raise zoo.ModelMissing(
        f"{model}: neither a recognition .onnx nor an insightface model folder with one\nLooked in:"
        f"{looked}\nTo do: name a folder that is there, or leave the model out to use {OURS}."
    )


def pack_roots() -> list[Path]:
    """Where packs lie, best first: KISSLAB_MODELS, the packaged ones, insightface's own folder."""
    roots = [zoo.data_path("models/insightface"), Path.home() / ".insightface"]
    if os.environ.get("KISSLAB_MODELS"):
        roots.insert(0, Path(os.environ["KISSLAB_MODELS"]) / "insightface")
    return [root / "models" for root in roots]


def _warp(
    rgb: Num[np.ndarray, "H W 3"], matrix: Float[np.ndarray, "2 3"]
) -> Num[np.ndarray, "112 112 3"]:
    """The picture under `matrix`; a large face is averaged down first, so that nothing glitters."""
    shrink = 2 * np.hypot(*matrix[:, 0])
    if shrink < 1:
        rgb = cv2.resize(rgb, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        # Pixel centres: x' = (x + 1/2) shrink - 1/2 in the smaller picture.
        linear = matrix[:, :2] / shrink
        shift = matrix[:, 2] + linear @ np.full(2, 0.5 - 0.5 * shrink)
        matrix = np.column_stack([linear, shift])
    return cv2.warpAffine(np.ascontiguousarray(rgb), matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)


def _unpacked(path: Path) -> Path:
    """The folder beside a model's zip file, made once; under its name it is whole."""
    folder = path.with_suffix("")
    if not folder.is_dir():
        try:
            with (
                zipfile.ZipFile(path) as file,
                tempfile.TemporaryDirectory(dir=path.parent) as part,
            ):
                file.extractall(Path(part) / "whole")
                _named_once(Path(part) / "whole", folder)
        except PermissionError as error:
            raise zoo.ModelMissing(
                f"{path}: can't be unpacked beside itself; unpack it elsewhere and give the folder"
            ) from error
    return folder


def _named_once(part: Path, folder: Path) -> None:
    """Rename a folder; where another process was quicker, its folder stays."""
    try:
        part.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def load_onnx(file: Path) -> Any:
    """insightface's object for a model's file, None for a kind that it does not know.

    ValueError: damaged. insightface, onnx and onnxruntime raise errors of all kinds on such files.
    """
    from insightface.model_zoo import get_model  # a second or two: only once it is needed

    try:
        return get_model(str(file))
    except Exception as error:
        words = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{file}: can't be loaded as a model ({words}); fetch it anew") from error


@lru_cache(maxsize=4)
def _recogniser(place: Path) -> Any:
    """insightface's recognition object of a file, or of the first file of a folder that has one."""
    files = [place] if place.is_file() else sorted(place.glob("*.onnx"), reverse=True)
    for file in files:
        model = load_onnx(file)
        if model is not None and model.taskname == "recognition":
            return model
    names = ", ".join(file.name for file in files)
    raise ValueError(f"{place}: none of {names} is a recognition model (112 x 112 in, one vector)")
