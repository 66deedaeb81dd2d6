"""Oracles: insightface's own alignment and recognition; two renders of one person; the errors."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from insightface.app import FaceAnalysis
from insightface.model_zoo import get_model
from insightface.utils import face_align

from kisslab import zoo
from kisslab.faces import FaceError, Faces
from kisslab.identity import TEMPLATE, Identity, align, embed, embed_crops, five_points, similarity
from kisslab.photo import Photo, load_photo, photo_from_array
from kisslab.studio import portrait, render, sample_person
from kisslab.studio.portraits import SINGLES

ROOT = zoo.data_path("models/insightface")
PACK = ROOT / "models" / "kisslab"
RECOGNITION = PACK / "kisslab_id.onnx"


def packaged(name: str) -> tuple[Photo, Faces]:
    """A sample portrait and the faces found in it."""
    path = zoo.data_path(f"portraits/{name}.jpg")
    return load_photo(path), Faces.load(path.with_suffix(".faces.npz"))


def again(number: int, faces: Faces) -> Identity:
    """Sample single `number` rendered anew: another yaw, plain light and background."""
    picture = render(portrait(sample_person(SINGLES[number - 1]), yaw=-12.0, size=160))
    points = np.concatenate([picture.points[:1], np.zeros((1, 478, 1))], axis=-1)
    return embed(photo_from_array(picture.rgb), replace(faces, points=points))


def test_crops_are_aligned_as_insightface_does():
    photo, faces = packaged("single_01")
    five = five_points(faces.points[0])
    assert np.allclose(face_align.arcface_dst, TEMPLATE, atol=1e-4)
    expected = face_align.estimate_norm(five, 112)
    assert np.allclose(similarity(five, TEMPLATE), expected, atol=1e-3)
    small = photo.rgb[::4, ::4]  # about the size of a crop: nothing is averaged
    points = faces.points[0] / 4
    theirs = face_align.norm_crop(small, five_points(points))
    assert np.abs(align(small, points) - theirs).max() < 0.02


def test_large_faces_are_averaged_not_sampled():
    photo, faces = packaged("single_01")
    squares = np.indices(photo.rgb.shape[:2]).sum(0) % 2  # a chessboard of single pixels
    fine = np.repeat(squares[..., None], 3, axis=-1).astype(np.float32)
    doubled = faces.points[0] * 2
    crop = align(np.tile(fine, (2, 2, 1)), doubled)
    inside = crop[20:-20, 20:-20]
    assert np.abs(inside - 0.5).max() < 0.05


def test_embeddings_are_what_insightface_computes():
    photo, faces = packaged("couple_01")
    identity = embed(photo, faces)
    theirs = get_model(str(RECOGNITION))
    for crop, vector in zip(identity.crops, identity.embeddings, strict=True):
        bgr = (crop[..., ::-1] * 255 + 0.5).astype(np.uint8)
        expected = theirs.get_feat(bgr)[0]
        assert np.allclose(vector, expected / np.linalg.norm(expected), atol=1e-5)
    assert np.allclose(np.linalg.norm(identity.embeddings, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("number", [1, 2])
def test_one_person_is_liker_to_themselves_than_to_another(number: int):
    anew = again(number, packaged("single_01")[1])
    cosines = [anew.cosine(embed(*packaged(f"single_{k:02d}")))[0, 0] for k in (1, 2, 3, 4)]
    assert int(np.argmax(cosines)) == number - 1, cosines


def test_the_pack_loads_as_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)  # insightface takes a folder of that name here before any root
    analysis = FaceAnalysis(name="kisslab", root=str(ROOT), providers=["CPUExecutionProvider"])
    analysis.prepare(ctx_id=-1, det_size=(320, 320))
    (found,) = analysis.get((packaged("single_01")[0].rgb[..., ::-1] * 255).astype(np.uint8))
    names = [f"single_{k:02d}" for k in (1, 2, 3, 4)]
    cosines = [embed(*packaged(name)).embeddings[0] @ found.normed_embedding for name in names]
    assert int(np.argmax(cosines)) == 0, cosines


@pytest.mark.parametrize("model", [PACK, str(RECOGNITION), "kisslab"])
def test_a_model_has_a_name_a_folder_or_a_file(model: str | Path):
    crops = np.random.default_rng(0).integers(0, 255, (2, 112, 112, 3), dtype=np.uint8)
    assert np.array_equal(embed_crops(crops, model), embed_crops(crops))


def test_a_missing_model_is_named():
    photo, faces = packaged("single_01")
    with pytest.raises(zoo.ModelMissing, match=r"no_such_pack.*\n.*insightface"):
        embed(photo, faces, model="no_such_pack")


def test_what_does_not_recognise_is_refused(models: Path):
    detector = models / "insightface/models/judge/det_2.5g.onnx"
    with pytest.raises(ValueError, match=r"det_2\.5g\.onnx.* is a recognition model"):
        embed_crops(np.zeros((1, 112, 112, 3), np.uint8), detector)


def test_faces_of_another_photo_are_refused():
    photo, faces = packaged("single_01")
    with pytest.raises(FaceError, match=r"outside the picture of 512 x"):
        embed(photo, faces.moved(1.0, np.array([900.0, 0.0])))


def test_models_are_not_mixed():
    identity = embed(*packaged("single_01"))
    with pytest.raises(ValueError, match="kisslab and of other"):
        identity.cosine(replace(identity, model="other"))


def test_a_plot_shows_everybody():
    from matplotlib import pyplot

    embed(*packaged("couple_01")).plot()
    titles = [text.get_text() for text in pyplot.gca().texts]
    pyplot.close("all")
    assert titles[0] == "person 0" and titles[1].startswith("person 1, cosine")
