"""What an installation must hold for the library to work."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import cv2

from kisslab import zoo


def test_both_opencvs_are_of_one_version_and_contrib_is_whole() -> None:
    """MediaPipe wants one, insightface the other; both write the same cv2 folder."""
    assert metadata.version("opencv-python") == metadata.version("opencv-contrib-python")
    assert cv2.ximgproc.guidedFilter is not None


def test_importing_kisslab_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'cv2', 'numba', 'mediapipe', 'scipy', 'matplotlib', 'numpy'}"
    code = f"import sys, kisslab; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_every_public_name_can_be_loaded() -> None:
    import kisslab

    for name in kisslab.__all__:
        assert getattr(kisslab, name) is not None, name
    assert callable(kisslab.compose) and callable(kisslab.assess)


def test_packaged_files_are_those_of_the_manifest() -> None:
    import csv
    import hashlib

    folder = zoo.data_path("portraits")
    rows = list(csv.DictReader((folder / "MANIFEST.csv").open(newline="")))
    assert {row["file"] for row in rows} == {p.name for p in folder.iterdir()} - {"MANIFEST.csv"}
    for row in rows:
        assert hashlib.sha256(Path(folder / row["file"]).read_bytes()).hexdigest() == row["sha256"]
