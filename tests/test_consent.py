"""Who may be pictured. The age model is a stand-in whose guess is known: the face's brightness."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kisslab import zoo
from kisslab.bench.batched import known_faces
from kisslab.consent import ConsentError, check_ages, check_consent, find_age_model
from kisslab.faces import Faces
from kisslab.photo import Photo, load_photo
from kisslab.pipeline import Pipeline

COUPLE = zoo.data_path("portraits/couple_01.jpg")


@pytest.fixture(scope="module")
def age_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As insightface's in its inputs and outputs: age / 100 is the mean of the pixels / 255."""
    path = tmp_path_factory.mktemp("models") / "insightface/models/pack/genderage.onnx"
    path.parent.mkdir(parents=True)
    constants = {"zero": [0.0], "scale": [1 / 255], "sex": [[0.0, 1.0]]}
    given = [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in constants.items()]
    given.append(numpy_helper.from_array(np.array([1, 1]), "shape"))
    nodes = [
        helper.make_node("Sub", ["data", "zero"], ["a"], name="Sub_0"),  # says: pixels as they are
        helper.make_node("Mul", ["a", "scale"], ["b"], name="Mul_0"),
        helper.make_node("ReduceMean", ["b"], ["c"], keepdims=0),
        helper.make_node("Reshape", ["c", "shape"], ["age"]),
        helper.make_node("Concat", ["sex", "age"], ["fc1"], axis=1),
    ]
    data = helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, 96, 96])
    out = helper.make_tensor_value_info("fc1", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph(nodes, "age", [data], [out], given)
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def lit(left: float, right: float) -> tuple[Photo, Faces]:
    """Somebody's photo: each half as bright as given."""
    photo = load_photo(COUPLE)
    middle = photo.rgb.shape[1] // 2
    rgb = np.full_like(photo.rgb, left)
    rgb[:, middle:] = right
    return replace(photo, rgb=rgb, sha256="of others", path="us.jpg"), known_faces(photo, 2)


def test_a_face_that_looks_young_stops_the_run_with_the_reason(age_model: Path) -> None:
    photo, faces = lit(0.5, 0.2)
    with pytest.raises(ConsentError, match=r"us\.jpg.*look \d\d and \d\d .*under 25") as error:
        check_ages([photo], photo, faces, age_model)
    assert "pack's genderage.onnx" in str(error.value) and "errs by years" in str(error.value)
    assert "\n" not in str(error.value)


def test_adults_pass_and_it_is_recorded(age_model: Path) -> None:
    photo, faces = lit(0.5, 0.5)
    said = check_ages([photo], photo, faces, age_model)
    assert said == "look 50 and 50 years old to pack's genderage.onnx"


@pytest.mark.parametrize(("level", "passes"), [(0.24, False), (0.25, True)])
def test_the_limit(level: float, passes: bool, age_model: Path) -> None:
    photo, faces = lit(level, level)
    if passes:
        assert "look 25 and 25" in check_ages([photo], photo, faces, age_model)
    else:
        with pytest.raises(ConsentError):
            check_ages([photo], photo, faces, age_model)


def test_a_pack_is_found_where_packs_lie_and_never_fetched(
    age_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KISSLAB_MODELS", str(tmp_path))
    assert find_age_model() is None
    photo, faces = lit(0.1, 0.1)
    assert check_ages([photo], photo, faces).startswith("not guessed")
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("KISSLAB_MODELS", str(age_model.parents[3]))
    assert find_age_model() == age_model
    with pytest.raises(ConsentError):
        check_ages([photo], photo, faces)


def test_another_model_of_that_name_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "genderage.onnx"
    other.write_bytes(b"no model")
    photo, faces = lit(0.5, 0.5)
    with pytest.raises(ValueError, match="can't be loaded as a model"):
        check_ages([photo], photo, faces, other)


def test_packaged_people_are_not_looked_at(age_model: Path) -> None:
    photo = load_photo(COUPLE)
    assert "packaged" in check_ages([photo], photo, known_faces(photo, 2), age_model)


def test_the_pipeline_stops_before_it_draws(age_model: Path) -> None:
    photo, faces = lit(0.1, 0.5)
    pipeline = Pipeline(
        load=lambda path: photo, find=lambda photo, need: faces,
        ages=partial(check_ages, model=age_model),
    )  # fmt: skip
    seen = []
    with pytest.raises(ConsentError, match="under 25"):
        for name, _ in pipeline.stages("us.jpg", consent="We agreed."):
            seen.append(name)
    assert seen[-1] == "faces" and "guide" not in seen


def test_a_statement_does_not_help_a_child(age_model: Path) -> None:
    photo, faces = lit(0.1, 0.1)
    assert check_consent([photo], "We agreed.") == "We agreed."
    with pytest.raises(ConsentError):
        check_ages([photo], photo, faces, age_model)
