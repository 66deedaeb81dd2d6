"""What several test modules need: real photos and models, or a reason to skip; no windows."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
pytest_plugins = ["browser"]


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of real portraits (portraits/*.jpg, diverse/*.jpg)."""
    return _folder("KISSLAB_PHOTOS", "a folder with portraits/*.jpg and diverse/*.jpg")


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of models that others trained (face_landmarker.task, insightface/models/...)."""
    return _folder("KISSLAB_MODELS", "a folder with face_landmarker.task")


def _folder(variable: str, meaning: str) -> Path:
    path = os.environ.get(variable, "")
    if not path or not Path(path).is_dir():
        pytest.skip(f"because {variable} does not name {meaning}")
    return Path(path)
