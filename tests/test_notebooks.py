"""The notebooks: in step with their .py pairs, run top to bottom, small, described, solvable."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import kisslab
from kisslab import classroom

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST = 300_000  # bytes
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_of(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


def outputs_of(path: Path) -> list[dict]:
    cells = nbformat.read(path, as_version=4).cells
    return [output for cell in cells for output in cell.get("outputs", [])]


def prose_of(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def test_there_are_notebooks() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{i:02d}" for i in range(len(NOTEBOOKS))]
    assert NOTEBOOKS


@each
def test_the_pair_is_in_step(path: Path) -> None:
    command = ["-m", "jupytext", "--to", "py:percent", "--output", "-", str(path)]
    text = subprocess.check_output([sys.executable, *command], text=True, cwd=FOLDER)
    assert text == path.with_suffix(".py").read_text()


@each
def test_it_runs_top_to_bottom_to_the_committed_outputs(path: Path, tmp_path: Path) -> None:
    """Pictures may differ in a pixel from machine to machine; what is said about them may not."""
    pictures = tmp_path / "pictures.cfg"
    pictures.write_text('[pictures]\nregex: data:image/[a-z]+;base64,[^"]+\nreplace: PICTURE\n')
    command = ["-m", "pytest", "-p", "no:jaxtyping", "-o", "addopts=", "--nbval", str(path)]
    command += ["--nbval-sanitize-with", str(pictures)]
    own = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}  # figures go inline
    own |= {"KISSLAB_OFFLINE": "1", "KISSLAB_MODELS": ""}  # as committed: with packaged points
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=FOLDER, env=own
    )
    assert done.returncode == 0, done.stdout[-3000:]


@each
def test_it_is_small(path: Path) -> None:
    assert path.stat().st_size <= LARGEST


@each
def test_local_links_resolve(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", prose_of(path))
    missing = [t for t in targets if "://" not in t and not (FOLDER / t).exists()]
    assert not missing


@each
def test_no_name_of_the_library_is_redefined(path: Path) -> None:
    """Functions and classes of a notebook are its own; what it imports stays what it was."""
    tree = ast.parse(code_of(path))
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kisslab")
        for alias in node.names
    }
    defined = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    stored = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    assert not defined & set(kisslab.__all__)
    assert not (defined | stored) & imported


@each
def test_every_picture_is_described(path: Path) -> None:
    for output in outputs_of(path):
        data = output.get("data", {})
        assert not {"image/png", "image/jpeg"} & set(data), "show.snapshot(alt) describes a figure"
        for tag in re.findall(r"<img [^>]*>", data.get("text/html", "")):
            assert re.search(r'alt="[^"]{20,}"', tag), tag[-200:]


@each
def test_it_teaches_by_moving_asking_and_answering(path: Path) -> None:
    prose = prose_of(path)
    widget = "application/vnd.jupyter.widget-view+json"
    moved = [o for o in outputs_of(path) if widget in o.get("data", {})]
    assert len(moved) >= 2
    assert all("text/html" in o["data"] for o in moved), "a plain viewer needs a picture"
    assert len(classroom.exercises(path)) >= 3
    assert prose.count("<details><summary>Answer</summary>") == 3
    assert "The question of this notebook" in prose and "What fails, honestly" in prose
    assert "Read next" in prose and prose.count("](https://") >= 3


@each
def test_the_saved_state_of_its_widgets_is_whole(path: Path) -> None:
    """Without it JupyterLab shows an error in a picture's place until everything is run."""
    metadata = nbformat.read(path, as_version=4).metadata
    state = metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    referred = set(re.findall(r"IPY_MODEL_(\w+)", str(state)))
    shown = {
        output["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]
        for output in outputs_of(path)
        if "application/vnd.jupyter.widget-view+json" in output.get("data", {})
    }
    assert referred and shown and (referred | shown) <= set(state)


@each
def test_stubs_are_solutions_without_the_marked_lines(path: Path) -> None:
    for exercise in classroom.exercises(path):
        assert classroom.without_solution(exercise.solution) == exercise.stub


@each
def test_every_stub_fails_its_check(path: Path) -> None:
    """As committed; that the outputs are what the code gives is nbval's to say."""
    said = [o.get("data", {}).get("text/plain", "") for o in outputs_of(path)]
    for exercise in classroom.exercises(path):
        assert any(text.startswith(f"exercise {exercise.name}: not yet. ") for text in said)


@each
@pytest.mark.slow
def test_every_solution_passes_its_check(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KISSLAB_OFFLINE", "1")
    monkeypatch.setenv("KISSLAB_MODELS", "")
    solved = tmp_path / path.name
    nbformat.write(classroom.with_solutions(path), solved)
    verdicts = classroom.grade(solved, path).verdicts
    assert all(verdict.passed for verdict in verdicts), verdicts
