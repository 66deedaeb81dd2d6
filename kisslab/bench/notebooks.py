"""Area notebooks: they run and keep their time, their exercises can be failed and solved, and what
moves moves in a browser. (measure, lessons, Lesson, browser_rows)
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock
from xml.etree import ElementTree

from kisslab import classroom, zoo
from kisslab.bench.rows import Row, row
from kisslab.classroom import Verdict
from kisslab.records import Result, record

COUNT = 9  # 00_tour to 08_failures
OFFLINE = {"KISSLAB_OFFLINE": "1", "KISSLAB_MODELS": ""}  # as they were run for the repository
# Row, unit, bound, the browser tests whose passing it counts, and which of their names.
IN_BROWSER = (
    ("widgets_moved_in_browser", "widgets", ">= 3", "test_widgets_browser.py", "moving"),
    ("app_clip_in_browser", "clips", "= 1", "test_browser.py", "makes_a_clip"),
)


@record
class Lesson(Result):
    """What running a notebook twice showed: as it is, and with every stub solved."""

    name: str
    clean: bool  # it ran to its end, and said in words what it said when it was committed
    seconds: float  # as it is, kernel and imports included
    stubs: tuple[Verdict, ...]
    solved: tuple[Verdict, ...]


def measure(folder: Path | None = None, tests: Path | None = None) -> Iterator[Row]:
    """Run the notebooks of `folder` and the browser tests in `tests`; by default, kisslab's own."""
    ran = list(lessons(folder or zoo.data_path("", "notebooks")))
    count, seconds = len(ran), [lesson.seconds for lesson in ran]
    stubs = [verdict for lesson in ran for verdict in lesson.stubs]
    solved = [verdict for lesson in ran for verdict in lesson.solved]
    fail, right = (sum(v.passed is wanted for v in said)
                   for said, wanted in ((stubs, False), (solved, True)))  # fmt: skip
    clean = sum(lesson.clean for lesson in ran)
    yield row("notebooks_pass", clean, "notebooks", f"= {COUNT}", count)
    yield row("notebooks_seconds_max", max(seconds), "s", "<= 120", count)
    yield row("notebooks_seconds_total", sum(seconds), "s", "<= 720", count)
    yield row("exercises", len(stubs), "exercises", ">= 27", count)
    yield row("stubs_fail", fail, "exercises", f"= {len(stubs)}", len(stubs))
    yield row("solutions_pass", right, "exercises", f"= {len(stubs)}", len(stubs))
    yield from browser_rows(tests or zoo.data_path("", "tests"))


def lessons(folder: Path) -> Iterator[Lesson]:
    """Each notebook of a folder, run. ValueError: there is none."""
    paths = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise ValueError(f"{folder}: no notebooks there; name a folder with NN_name.ipynb")
    with mock.patch.dict(os.environ, OFFLINE):
        os.environ.pop("MPLBACKEND", None)  # figures go into the notebook
        for path in paths:
            yield _lesson(path)


def browser_rows(tests: Path) -> Iterator[Row]:
    """A row for each kind of browser test that could run; why another could not is logged."""
    for name, unit, bound, file, chosen in IN_BROWSER:
        outcomes = _outcomes(tests / file, chosen)
        if "passed" in outcomes or "failed" in outcomes:
            yield row(name, outcomes.count("passed"), unit, bound, len(outcomes))
        else:
            reason = outcomes[0] if outcomes else f"there is no {file}"
            logging.getLogger("kisslab").warning("%s is not measured: %s", name, reason)


def _lesson(path: Path) -> Lesson:
    import nbformat  # a part of Jupyter: pip install 'kisslab[lab]'

    committed, notebook = (nbformat.read(path, as_version=4) for _ in range(2))
    start = time.perf_counter()
    classroom.execute(notebook)
    seconds = time.perf_counter() - start
    solved = classroom.with_solutions(path)
    classroom.execute(solved)
    return Lesson(
        name=path.stem,
        clean=_words(notebook) == _words(committed),
        seconds=seconds,
        stubs=classroom.verdicts(notebook),
        solved=classroom.verdicts(solved),
    )


def _words(notebook: Any) -> list[str]:
    """What each cell says: prints, values, descriptions and errors, but no picture.

    A picture may differ in a pixel from machine to machine, and so may warnings.
    """
    return ["".join(map(_said, cell.get("outputs", []))) for cell in notebook.cells]


def _said(output: Any) -> str:
    if output.output_type == "stream":
        return output.text if output.name == "stdout" else ""
    return output.get("ename", "") + output.get("data", {}).get("text/plain", "")


def _outcomes(file: Path, chosen: str) -> list[str]:
    """Of every test in `file` whose name has `chosen`: passed, failed, or why it was skipped."""
    if not file.is_file():
        return []
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = ["-m", "pytest", str(file), "-k", chosen, f"--junitxml={report}"]
        subprocess.run([sys.executable, *command], cwd=file.parents[1], capture_output=True)
        cases = ElementTree.parse(report).iter("testcase")
        return [_outcome(case) for case in cases]


def _outcome(case: ElementTree.Element) -> str:
    skipped = case.find("skipped")
    if skipped is not None:
        return skipped.get("message", "skipped")
    failed = any(case.find(kind) is not None for kind in ("failure", "error"))
    return "failed" if failed else "passed"
