"""Area notebooks: what runs, what fails, and what could not be asked are told apart."""

import logging

import pytest

from kisslab.bench.notebooks import browser_rows, lessons, measure

nbformat = pytest.importorskip("nbformat", reason="because nbformat comes with kisslab[lab]")
new = nbformat.v4

STUB = "# Exercise 1: twice\ndef twice(x):\n    pass"
ANSWER = "\n    ### BEGIN SOLUTION\n    return {} * x\n    ### END SOLUTION"
CHECK = 'from kisslab.classroom import check\ncheck("1", lambda: twice(4), 8)'
PASSES = "def test_moving():\n    pass\n"
FAILS = "def test_moving_too():\n    assert False\n"
SKIPS = "import pytest\ndef test_moving():\n    pytest.skip('because there is no browser')\n"


def exercise(factor=2):
    fold = f"<details>\n\n```python\n{STUB + ANSWER.format(factor)}\n```\n</details>"
    return [new.new_code_cell(STUB), new.new_code_cell(CHECK), new.new_markdown_cell(fold)]


def write(path, *cells):
    """A notebook as its author committed it: executed."""
    from kisslab.classroom import execute

    notebook = new.new_notebook(cells=[cell for part in cells for cell in part])
    execute(notebook)
    nbformat.write(notebook, path)
    return path


def code(text):
    return [new.new_code_cell(text)]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Of a good notebook, one that says other things every time, one that fails, one mis-solved."""
    folder = tmp_path_factory.mktemp("notebooks")
    write(folder / "00_good.ipynb", code("print('hello')\n6 * 7"), exercise())
    write(folder / "01_moody.ipynb", code("import os\nos.getpid()"))
    broken = nbformat.read(write(folder / "02_broken.ipynb", code("6 * 7")), as_version=4)
    broken.cells[0].source = "6 / 0"
    nbformat.write(broken, folder / "02_broken.ipynb")
    write(folder / "03_wrong.ipynb", exercise(factor=3))
    return {row.name: row for row in measure(folder, tests=folder)}


def test_only_what_runs_and_says_the_same_passes(rows) -> None:
    passed = rows["notebooks_pass"]
    assert (passed.value, passed.bound, passed.cases) == (2, "= 9", 4)  # good, and wrong as it is
    assert not passed.holds


def test_time_is_taken_of_every_notebook(rows) -> None:
    longest, total = rows["notebooks_seconds_max"], rows["notebooks_seconds_total"]
    assert 0 < longest.value < total.value < 4 * longest.value + 1e-9
    assert (longest.bound, total.bound) == ("<= 120", "<= 720")


def test_stubs_and_solutions_are_counted(rows) -> None:
    assert (rows["exercises"].value, rows["exercises"].bound) == (2, ">= 27")
    assert rows["stubs_fail"].value == 2 and rows["stubs_fail"].holds
    assert rows["solutions_pass"].value == 1 and not rows["solutions_pass"].holds


def test_no_browser_tests_no_rows(rows) -> None:
    assert set(rows) == {
        "notebooks_pass", "notebooks_seconds_max", "notebooks_seconds_total", "exercises",
        "stubs_fail", "solutions_pass",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [(PASSES, 1), (PASSES + FAILS, 1), (FAILS, 0)],
    ids=["passes", "one of two", "fails"],
)
def test_browser_tests_that_ran_are_counted(tmp_path, text: str, value: int) -> None:
    (tmp_path / "test_widgets_browser.py").write_text(text)
    (row,) = browser_rows(tmp_path)
    assert (row.name, row.value) == ("widgets_moved_in_browser", value)
    assert row.cases == text.count("def ") and not row.holds


def test_what_was_skipped_is_no_row_but_a_reason(tmp_path, caplog) -> None:
    (tmp_path / "test_widgets_browser.py").write_text(SKIPS)
    with caplog.at_level(logging.WARNING, "kisslab"):
        assert not list(browser_rows(tmp_path))
    assert "widgets_moved_in_browser is not measured" in caplog.text
    assert "because there is no browser" in caplog.text
    assert "app_clip_in_browser is not measured: there is no test_browser.py" in caplog.text


def test_a_folder_without_notebooks_is_a_plain_error(tmp_path) -> None:
    with pytest.raises(ValueError, match="no notebooks there"):
        list(lessons(tmp_path))
