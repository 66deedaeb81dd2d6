"""The command line as a user meets it: processes, exit codes, messages, files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kisslab import zoo
from kisslab.cli import _copies
from kisslab.video import load_clip, read_record

LEFT, RIGHT = map(str, zoo.demo_portraits())


def kisslab(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kisslab.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


def test_demo_makes_a_clip_of_packaged_people_without_any_model(tmp_path: Path) -> None:
    nowhere = {
        "KISSLAB_MODELS": str(tmp_path),
        "KISSLAB_CACHE": str(tmp_path),
        "KISSLAB_OFFLINE": "1",
    }
    out = tmp_path / "kiss.mp4"
    done = kisslab("demo", "-o", str(out), "--style", "peck", **nowhere)
    assert done.returncode == 0, done.stderr
    assert "the points packaged beside this portrait are used" in done.stdout
    assert len(load_clip(out).frames) == 60
    assert read_record(out)["faces_by"] == "packaged beside the portrait"


def test_make_refuses_other_photos_without_consent_and_writes_nothing(tmp_path: Path) -> None:
    photo = tmp_path / "us.jpg"
    photo.write_bytes(Path(LEFT).read_bytes() + b"\0")  # no longer the packaged file
    done = kisslab("make", str(photo), RIGHT, "-o", str(tmp_path / "kiss.mp4"))
    assert done.returncode == 2
    assert "--consent" in done.stderr and "us.jpg" in done.stderr and "Traceback" not in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["us.jpg"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("make", "missing.jpg"), "missing.jpg"),
        (("make", LEFT, RIGHT, "--style", "waltz"), "choose one of peck, tender"),
        (("make", LEFT, RIGHT, "--seconds", "0.1"), "0.5"),
        (("make", LEFT, RIGHT, LEFT), "3 photos given"),
        (("make", LEFT, RIGHT, "-o", "kiss.xyz"), "name it so"),
        (("bench", "weather"), "no area 'weather'"),
    ],
)
def test_mistakes_are_one_plain_line(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kisslab.cli", *words], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_clip_never_takes_a_photo_s_place(tmp_path: Path) -> None:
    photo = tmp_path / "us.png"
    photo.write_bytes(Path(LEFT).read_bytes())
    before = photo.read_bytes()
    done = kisslab("make", LEFT, str(photo), "--consent", "-o", str(tmp_path / "." / "us.png"))
    assert done.returncode == 2 and "is the photo itself" in done.stderr
    assert photo.read_bytes() == before


def test_models_in_a_folder_that_cannot_be_are_at_most_one_line_of_complaint() -> None:
    done = kisslab("models", KISSLAB_MODELS="/tmp/" + "a" * 300)
    assert done.returncode in (0, 2)  # some versions of Python find such a name not there
    assert done.stderr.count("\n") <= 1 and "Traceback" not in done.stderr


def test_models_are_listed_with_licence_and_place() -> None:
    done = kisslab("models", COLUMNS="250")
    assert done.returncode == 0
    assert "face_landmarker.task" in done.stdout and "Apache-2.0" in done.stdout
    assert "Non-commercial" in done.stdout


def test_lab_copies_notebooks_and_never_overwrites(tmp_path: Path) -> None:
    source, own = tmp_path / "source", tmp_path / "own"
    source.mkdir()
    (source / "00_tour.ipynb").write_text("new")
    (source / "01_faces.ipynb").write_text("new")
    own.mkdir()
    (own / "00_tour.ipynb").write_text("mine")
    assert [p.name for p in _copies(source, own)] == ["01_faces.ipynb"]
    assert (own / "00_tour.ipynb").read_text() == "mine"
