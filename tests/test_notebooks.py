"""The notebooks: in step with their .py pairs, run top to bottom, small."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST = 400_000  # bytes, a moving clip included


def test_there_are_notebooks() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{i:02d}" for i in range(len(NOTEBOOKS))]
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_pair_is_in_step(path: Path) -> None:
    command = ["-m", "jupytext", "--to", "py:percent", "--output", "-", str(path)]
    text = subprocess.check_output([sys.executable, *command], text=True, cwd=FOLDER)
    assert text == path.with_suffix(".py").read_text()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_top_to_bottom_to_the_committed_outputs(path: Path) -> None:
    command = ["-m", "pytest", "-p", "no:jaxtyping", "-o", "addopts=", "--nbval", str(path)]
    own = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}  # figures go inline
    own |= {"KISSLAB_OFFLINE": "1", "KISSLAB_MODELS": ""}  # as committed: with packaged points
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=FOLDER, env=own
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_small(path: Path) -> None:
    assert path.stat().st_size < LARGEST
