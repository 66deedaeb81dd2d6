"""Identity by insightface packs: a real one, and folders that unzipping went wrong with."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from people import draw_couple, portrait

from kisslab import embed, zoo
from kisslab.backends import embed_with, load_pack
from kisslab.zoo import ModelMissing

DETECTOR, RECOGNISER = "det_2.5g.onnx", "mobilefacenet.onnx"


@pytest.fixture
def judge(models: Path) -> Path:
    """A whole pack that others trained."""
    return models / "insightface/models/judge"


def test_a_pack_by_name_or_folder_gives_our_identity(judge: Path) -> None:
    photo, faces = portrait("portraits/sfhq_a_14.jpg")
    ours = embed(photo, faces, model=judge)
    for pack in (load_pack("judge"), load_pack(judge)):
        theirs = embed_with(pack, photo, faces)
        np.testing.assert_allclose(theirs.embeddings, ours.embeddings, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(theirs.embeddings, axis=1), 1, atol=1e-5)
        assert theirs.model == ours.model == "judge"


def test_the_same_person_is_more_alike_than_another(judge: Path) -> None:
    pack = load_pack(judge)
    names = [f"portraits/sfhq_a_{k}.jpg" for k in ("14", "12")]
    a, b = (embed_with(pack, *portrait(name)) for name in names)
    photo, faces = portrait(names[0])
    darker = embed_with(pack, type(photo)(**{**dict(photo.items()), "rgb": photo.rgb * 0.7}), faces)
    assert a.cosine(darker)[0, 0] > 0.9 > 0.5 > a.cosine(b)[0, 0]


def _no_recogniser(judge: Path, place: Path) -> Path:
    place.mkdir()
    shutil.copy(judge / DETECTOR, place)
    return place


def _no_detector(judge: Path, place: Path) -> Path:
    place.mkdir()
    shutil.copy(judge / RECOGNISER, place)
    return place


def _nested(judge: Path, place: Path) -> Path:
    shutil.copytree(judge, place / "antelopev2")
    return place


def _cut_off(judge: Path, place: Path) -> Path:
    shutil.copytree(judge, place)
    file = place / RECOGNISER
    file.write_bytes(file.read_bytes()[:100_000])
    return place


def _empty_file(judge: Path, place: Path) -> Path:
    shutil.copytree(judge, place)
    (place / DETECTOR).write_bytes(b"")
    return place


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_no_recogniser, f"no recognition model in this pack, there is {DETECTOR}"),
        (_no_detector, f"no detection model in this pack, there is {RECOGNISER}"),
        (_nested, "lie deeper.*give .*antelopev2"),
        (_cut_off, "is damaged"),
        (_empty_file, "is damaged|no detection model"),
    ],
)
def test_half_unzipped_packs_are_named(
    spoil: Callable[[Path, Path], Path], says: str, judge: Path, tmp_path: Path
) -> None:
    place = spoil(judge, tmp_path / "pack")
    with pytest.raises(ValueError, match=says) as error:
        load_pack(place)
    assert str(error.value).startswith(str(place))


def test_a_pack_that_is_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelMissing, match="buffalo_x: neither"):
        load_pack("buffalo_x")


def test_one_model_is_no_pack(judge: Path) -> None:
    with pytest.raises(ValueError, match="is one model; a pack is the folder"):
        load_pack(judge / RECOGNISER)


def test_providers_that_are_not_there(judge: Path) -> None:
    with pytest.raises(ValueError, match=r"this onnxruntime has .*CPUExecutionProvider"):
        load_pack(judge, providers=["NoSuchExecutionProvider"])


def test_providers_are_passed_on(judge: Path) -> None:
    pack = load_pack(judge, providers=["CPUExecutionProvider"])
    sessions = [model.session for model in pack.models.values()]
    assert all(session.get_providers() == ["CPUExecutionProvider"] for session in sessions)


def test_the_licence_is_said_once(
    judge: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    zoo.say_licence.cache_clear()
    place = shutil.copytree(judge, tmp_path / "buffalo_l")
    with caplog.at_level(logging.WARNING, "kisslab"):
        load_pack(place)
        load_pack(place)
    assert [r.getMessage() for r in caplog.records if "Non-commercial" in r.getMessage()] == [
        "buffalo_l.zip: Non-commercial research only. (InsightFace model licence)"
    ]
    zoo.say_licence.cache_clear()


def test_a_face_outside_is_refused(judge: Path) -> None:
    drawing = draw_couple((96, 64), width=26)
    with pytest.raises(ValueError, match="lies outside"):
        embed_with(load_pack(judge), drawing.photo, drawing.faces.moved(1.0, np.full(2, 500.0)))
