"""Exercises of the notebooks: judged, handed out, graded.

(check, Verdict, exercises, Exercise, without_solution, student_copy, grade, Grade, with_solutions,
execute, verdicts, read_notebook)

An exercise is three cells. A code cell begins with `# Exercise 2: ...` and holds the stub; a later
one calls `check("2", ...)`; a markdown cell folds the solution away. The solution's code is the
stub plus lines between BEGIN and END, which are nbgrader's marks.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from kisslab import zoo
from kisslab.records import Result, record

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
HEAD = re.compile(r"# Exercise (\w+)")
OURS = "from kisslab.classroom import check\n"  # before each check: an answer may have another
SECONDS = 300  # that one cell may take when a notebook is graded
SIGNS = {True: ("passed", "#009E73"), False: ("not yet", "#D55E00")}  # show.PALETTE's


@record
class Verdict(Result):
    """Whether an answer holds, and if not, why."""

    exercise: str
    passed: bool
    words: str

    def __repr__(self) -> str:
        return f"exercise {self.exercise}: {SIGNS[self.passed][0]}. {self.words}"

    def _repr_html_(self) -> str:
        sign, colour = SIGNS[self.passed]
        style = f"border-left: 0.4em solid {colour}; padding: 0.3em 0.8em"
        head = f"<b>Exercise {html.escape(self.exercise)}: {sign}.</b>"
        return f'<div style="{style}">{head} {html.escape(self.words)}</div>'


@record
class Exercise(Result):
    """One exercise of a notebook, each part the text of its cell."""

    name: str
    stub: str
    check: str
    solution: str  # the code inside the folded markdown cell


@record
class Grade(Result):
    """What a graded notebook got."""

    path: str
    verdicts: tuple[Verdict, ...]

    @property
    def passed(self) -> int:
        """How many exercises hold."""
        return sum(verdict.passed for verdict in self.verdicts)


def check(
    exercise: str,
    answer: Any,
    expected: Any,
    tolerance: float = 1e-6,
    mistakes: Sequence[tuple[Any, str]] = (),
) -> Verdict:
    """Hold an answer against what is expected, and say what is wrong with it.

    answer: a value, or a function without arguments that makes it, so that what it raises is
    explained too. expected: number, array, word, or tuple of words; tolerance: absolute, for
    numbers. mistakes: (value that a usual slip leads to, a sentence about that slip).
    """
    try:
        value = answer() if callable(answer) else answer
    except Exception as error:  # whatever a learner's code raises is the message
        return Verdict(exercise, False, f"Your code raised {type(error).__name__}: {error}")
    if _same(value, expected, tolerance):
        return Verdict(exercise, True, "Well done.")
    slips = (words for wrong, words in mistakes if _same(value, wrong, tolerance))
    return Verdict(exercise, False, next(slips, None) or _difference(value, expected))


def exercises(path: str | Path) -> tuple[Exercise, ...]:
    """All exercises of a notebook. ValueError: one lacks its check or its solution."""
    cells = read_notebook(path).cells
    stubs = {name: cell.source for name, cell in _answers(cells)}
    return tuple(Exercise(name, stub, *_belonging(cells, name)) for name, stub in stubs.items())


def without_solution(code: str) -> str:
    """The code without the lines between the marks, and without the marks."""
    kept, inside = [], False
    for line in code.splitlines():
        inside = inside or line.strip() == BEGIN
        kept += [] if inside else [line]
        inside = inside and line.strip() != END
    return "\n".join(kept)


def student_copy(path: str | Path, folder: str | Path) -> Path:
    """The notebook for a class: without solutions, without outputs, under its name in `folder`.

    FileExistsError: there is one of that name already, which may hold a student's work.
    """
    import nbformat

    notebook, target = read_notebook(path), Path(folder) / Path(path).name
    if target.exists():
        raise FileExistsError(f"{target}: is there already; name another folder")
    notebook.cells = [cell for cell in notebook.cells if not _solves(cell)]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.metadata.pop("widgets", None)
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
    return target


def grade(path: str | Path, original: str | Path | None = None) -> Grade:
    """Run a handed-in notebook's answers in the notebook as it was handed out.

    Only the exercise cells are taken from `path`, so that nothing else that was changed, a check
    among them, counts. original: by default the packaged notebook of that name. Answers run with
    your rights: grade what strangers sent inside a container. They also share the checks' kernel,
    and can reach into its frames and modules to fool any check, so a person has to read them
    before a grade counts. ValueError: no such notebook.
    """
    original = Path(original) if original else zoo.data_path(Path(path).name, "notebooks")
    if not original.is_file():
        raise ValueError(f"{Path(path).name}: no notebook of kisslab has that name; rename it back")
    notebook = read_notebook(original)
    theirs = {name: cell.source for name, cell in _answers(read_notebook(path).cells)}
    for name, cell in _answers(notebook.cells):
        cell.source = theirs.get(name, cell.source)
        for checked in _checks(notebook.cells, name):
            checked.source = OURS + checked.source
    execute(notebook)
    return Grade(str(path), verdicts(notebook))


def with_solutions(path: str | Path) -> Any:
    """The notebook, each stub replaced by its solution: what a perfect student hands in."""
    notebook = read_notebook(path)
    solved = {exercise.name: exercise.solution for exercise in exercises(path)}
    for name, cell in _answers(notebook.cells):
        cell.source = solved[name]
    return notebook


def execute(notebook: Any) -> None:
    """Run every cell in a fresh kernel; one that fails is left behind, with its error.

    A cell that ends the kernel, or takes longer than SECONDS, is the last to run.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    for cell in notebook.cells:  # or those never run would show what they showed before
        if cell.cell_type == "code":
            cell.outputs = []
    client = NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", allow_errors=True)
    with suppress(CellTimeoutError, DeadKernelError):
        client.execute()


def verdicts(notebook: Any) -> tuple[Verdict, ...]:
    """What the checks of an executed notebook say, exercise by exercise."""
    return tuple(_verdict(notebook.cells, name) for name, _ in _answers(notebook.cells))


def read_notebook(path: str | Path) -> Any:
    """The notebook as nbformat has it, version 4. ValueError: the file holds no valid one."""
    import nbformat  # a part of Jupyter: pip install 'kisslab[lab]'

    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)  # reading only logs what is wrong
    except (nbformat.ValidationError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0][:150]
        raise ValueError(f"{path}: no valid notebook ({reason})") from error
    return notebook


def _same(value: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, str | tuple):
        return type(value) is type(expected) and value == expected
    if not _numeric(value) or np.shape(value) != np.shape(expected):
        return False
    return bool(np.allclose(value, expected, rtol=0, atol=tolerance))


def _numeric(value: Any) -> bool:
    try:
        return np.asarray(value).dtype.kind in "biuf"
    except ValueError:  # ragged lists
        return False


def _difference(value: Any, expected: Any) -> str:
    """A sentence on how the two differ."""
    if value is None or value is ...:
        return "Nothing came back yet: write the missing lines, and return what they find."
    if isinstance(expected, str | tuple) or not _numeric(value):
        return f"You gave {str(value)[:60]!r}; expected was something like {str(expected)[:60]!r}."
    if np.shape(value) != np.shape(expected):
        return f"Your answer has shape {np.shape(value)}; {np.shape(expected)} was expected."
    if not np.isfinite(np.asarray(value, float)).all():
        return "Something in your answer is no number (nan): is a value missing, or divided by 0?"
    if np.allclose(value, -np.asarray(expected, float), rtol=1e-3):
        return "The size is right, the sign is wrong."
    apart = np.abs(np.asarray(value, float) - np.asarray(expected, float))
    worst = np.unravel_index(apart.argmax(), apart.shape)
    place = f" at {tuple(int(i) for i in worst)}" if worst else ""
    given, right = (float(np.asarray(v)[worst]) for v in (value, expected))
    return f"You gave {given:.4g}{place}; {right:.4g} was expected."


def _answers(cells: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """(name, cell) of every cell that a reader is to fill."""
    for cell in cells:
        if cell.cell_type == "code" and (match := HEAD.match(cell.source)):
            yield match[1], cell


def _belonging(cells: Sequence[Any], name: str) -> tuple[str, str]:
    """The check and the solution of an exercise."""
    checks = [cell.source for cell in _checks(cells, name)]
    fences = [code for cell in cells if _solves(cell) for code in _fenced(cell.source)]
    solutions = [code for code in fences if (m := HEAD.match(code)) and m[1] == name]
    if len(checks) != 1 or len(solutions) != 1:
        raise ValueError(
            f"exercise {name}: {len(checks)} checks and {len(solutions)} solutions; write one each"
        )
    return checks[0], solutions[0]


def _checks(cells: Sequence[Any], name: str) -> Iterator[Any]:
    """The cells that check an exercise; a reader's own cell is none, whatever it says."""
    for cell in cells:
        checks = cell.cell_type == "code" and f'check("{name}"' in cell.source
        if checks and not HEAD.match(cell.source):
            yield cell


def _solves(cell: Any) -> bool:
    return cell.cell_type == "markdown" and BEGIN in cell.source


def _fenced(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)\n```", text, re.DOTALL)


def _verdict(cells: Sequence[Any], name: str) -> Verdict:
    """What the check's cell returned, or that it did not come so far.

    Only the result that came last is the check's own: an answer may have shown others.
    """
    head = f"exercise {name}: "
    for cell in _checks(cells, name):
        results = [out for out in cell.outputs if out.output_type == "execute_result"]
        text = results[-1].data.get("text/plain", "") if results else ""
        if text.startswith(head):
            sign, _, words = text.removeprefix(head).partition(". ")
            return Verdict(name, sign == SIGNS[True][0], words)
    return Verdict(name, False, "The check could not run; see what its cell shows.")
