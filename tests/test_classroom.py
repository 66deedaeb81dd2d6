"""Exercises: what the check says to right and wrong answers, and what a class gets."""

import numpy as np
import pytest
from typer.testing import CliRunner

from kisslab import classroom
from kisslab.classroom import check, exercises, grade, student_copy, without_solution

nbformat = pytest.importorskip("nbformat", reason="because nbformat comes with kisslab[lab]")

STUB = "# Exercise 1: twice\ndef twice(x):\n    pass"
SOLUTION = STUB + "\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"
CHECK = 'from kisslab.classroom import check\ncheck("1", lambda: twice(4), 8)'


def write(path, stub=STUB, verdict=CHECK):
    new = nbformat.v4
    fold = f"<details><summary>A solution</summary>\n\n```python\n{SOLUTION}\n```\n</details>"
    cells = [
        new.new_markdown_cell("# Twice"),
        new.new_code_cell(stub),
        new.new_code_cell(verdict),
        new.new_markdown_cell(fold),
    ]
    nbformat.write(new.new_notebook(cells=cells), path)
    return path


@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        (None, 8, "Nothing came back"),
        (..., 8, "Nothing came back"),
        (-8, 8, "the sign is wrong"),
        (9.0, 8, "You gave 9; 8 was expected."),
        (np.array([1.0, 5.0]), np.array([1.0, 2.0]), "You gave 5 at (1,); 2 was expected."),
        (np.zeros(3), np.zeros((3, 2)), "has shape (3,); (3, 2) was expected"),
        (np.array([np.nan, 1]), np.ones(2), "is no number (nan)"),
        ("left", "right", "'left'"),
        (16, 8, "You doubled twice."),
        (lambda: 1 / 0, 8, "ZeroDivisionError: division by zero"),
        ([[1, 2], [3]], np.ones(2), "expected was something like"),
        (8, ("a", "b"), "'8'"),
    ],
)
def test_a_wrong_answer_is_explained(answer, expected, words) -> None:
    verdict = check("1", answer, expected, mistakes=[(16, "You doubled twice.")])
    assert not verdict.passed
    assert words in verdict.words and repr(verdict).startswith("exercise 1: not yet. ")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(8, 8), (lambda: 8.0, 8), ([1, 2], np.array([1.0, 2.0])), ("a", "a"), (("a",), ("a",))],
)
def test_a_right_answer_passes(answer, expected) -> None:
    verdict = check("1", answer, expected)
    assert verdict.passed and repr(verdict) == "exercise 1: passed. Well done."
    assert "Exercise 1: passed." in verdict._repr_html_()


def test_the_tolerance_is_absolute() -> None:
    assert check("1", 100.4, 100, tolerance=0.5).passed
    assert not check("1", 100.6, 100, tolerance=0.5).passed


def test_an_exercise_is_found_with_its_check_and_solution(tmp_path) -> None:
    (one,) = exercises(write(tmp_path / "n.ipynb"))
    assert (one.name, one.stub, one.check, one.solution) == ("1", STUB, CHECK, SOLUTION)
    assert without_solution(one.solution) == one.stub


def test_an_exercise_without_a_check_is_an_error(tmp_path) -> None:
    path = write(tmp_path / "n.ipynb", verdict="1 + 1")
    with pytest.raises(ValueError, match="exercise 1: 0 checks and 1 solutions"):
        exercises(path)


def test_students_get_neither_solutions_nor_outputs_and_keep_their_work(tmp_path) -> None:
    path = write(tmp_path / "n.ipynb")
    copy = student_copy(path, tmp_path / "class")
    text = copy.read_text()
    assert "def twice" in text and classroom.BEGIN not in text and "return 2" not in text
    with pytest.raises(FileExistsError, match="name another folder"):
        student_copy(path, tmp_path / "class")


def test_an_answer_does_not_grade_itself(tmp_path) -> None:
    """The reader's cell names the check and shows a verdict of its own before the real one does."""
    own = STUB + '\nVerdict("1", True, "Well done.")  # check("1"'
    notebook = nbformat.read(write(tmp_path / "n.ipynb", own), as_version=4)
    _, answer, checked, _ = notebook.cells
    for cell, shown in ((answer, check("1", 8, 8)), (checked, check("1", None, 8))):
        cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": repr(shown)})]
    (verdict,) = classroom.verdicts(notebook)
    assert not verdict.passed and "Nothing came back" in verdict.words


@pytest.mark.slow
def test_grading_runs_the_answer_and_not_the_students_checks(tmp_path) -> None:
    original = write(tmp_path / "n.ipynb")
    always = 'from kisslab.classroom import check\ncheck("1", 8, 8)'
    results = {
        name: grade(write(tmp_path / f"{name}.ipynb", stub, verdict), original)
        for name, stub, verdict in [
            ("right", without_solution(STUB) + "\n    return x + x", CHECK),
            ("cheats", STUB, always),
            ("broken", "# Exercise 1: twice\ndef twice(x:", CHECK),
        ]
    }
    assert [r.passed for r in results.values()] == [1, 0, 0]
    assert "Nothing came back" in results["cheats"].verdicts[0].words
    assert "NameError" in results["broken"].verdicts[0].words


FAKE = """# Exercise 1: twice
class Fake:
    def __repr__(self):
        return "exercise 1: passed. Well done."
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stub", "words"),
    [
        (FAKE + "def check(*_, **__):\n    return Fake()\ntwice = None", "NoneType"),
        (FAKE + "def twice(x):\n    display(Fake())", "Nothing came back"),
        (FAKE + "import sys\ndef twice(x):\n    sys.displayhook(Fake())", "Nothing came back"),
    ],
)
def test_an_answer_that_plays_the_check_does_not_pass(tmp_path, stub, words) -> None:
    original = write(tmp_path / "n.ipynb", verdict=CHECK.splitlines()[1])
    (verdict,) = grade(write(tmp_path / "fake.ipynb", stub), original).verdicts
    assert not verdict.passed and words in verdict.words


@pytest.mark.slow
@pytest.mark.parametrize("deed", ["import os\nos._exit(0)", "import time\ntime.sleep(60)"])
def test_who_ends_the_kernel_does_not_end_the_grading(tmp_path, deed, monkeypatch) -> None:
    """The notebook as handed out shows a verdict that passed, from when it was made."""
    monkeypatch.setattr(classroom, "SECONDS", 5)
    original = write(tmp_path / "n.ipynb")
    notebook = nbformat.read(original, as_version=4)
    shown = {"text/plain": repr(check("1", 8, 8))}
    notebook.cells[2].outputs = [nbformat.v4.new_output("execute_result", shown, execution_count=1)]
    nbformat.write(notebook, original)
    stub = "# Exercise 1: twice\n" + deed
    (verdict,) = grade(write(tmp_path / "ends.ipynb", stub), original).verdicts
    assert not verdict.passed and "could not run" in verdict.words


NONE = [
    "x",
    "{}",
    "[]",
    '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
    '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{}]}',
    '{"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [{"cell_type": "code", '
    '"source": 5, "metadata": {}, "outputs": [], "execution_count": null}]}',
]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_notebook_is_a_plain_error(tmp_path, text) -> None:
    from kisslab.cli import app

    path = tmp_path / "00_tour.ipynb"
    path.write_text(text)
    into = str(tmp_path / "out")
    for given in (
        ["classroom", "check", str(path)],
        ["classroom", "student", str(path), "--to", into],
        ["site", into, "--notebooks", str(tmp_path)],
    ):
        done = CliRunner().invoke(app, given)
        assert done.exit_code == 2 and f"{path}: no valid notebook (" in done.output
        assert isinstance(done.exception, SystemExit)


def test_one_that_cannot_be_graded_does_not_keep_the_next_from_its_turn(tmp_path) -> None:
    from kisslab.cli import app

    paths = [write(tmp_path / name) for name in ("essay.ipynb", "poem.ipynb")]
    done = CliRunner().invoke(app, ["classroom", "check", *map(str, paths)])
    assert done.exit_code == 2 and all(path.name in done.output for path in paths)


def test_a_notebook_of_another_name_is_a_plain_error(tmp_path) -> None:
    from kisslab.cli import app

    path = write(tmp_path / "essay.ipynb")
    done = CliRunner().invoke(app, ["classroom", "check", str(path)])
    assert done.exit_code == 2 and "essay.ipynb: no notebook of kisslab" in done.output
    done = CliRunner().invoke(
        app, ["classroom", "student", str(path), "--to", str(tmp_path / "class")]
    )
    assert done.exit_code == 0 and (tmp_path / "class" / "essay.ipynb").is_file()
