"""The command line: make, verify, batch, demo, models, lab, site, classroom, bench.

(app, classroom)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kisslab.batch import Done

app = typer.Typer(
    help="How AI kiss-video generators work: photos in, a short clip out, every stage open.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
classroom = typer.Typer(help="For teachers: hand out the notebooks' exercises, and grade them.")
app.add_typer(classroom, name="classroom")
Photos = Annotated[list[Path], typer.Argument(help="One photo of a couple, or two portraits.")]
Out = Annotated[Path, typer.Option("--output", "-o", help="An .mp4, .gif, .webp or .png.")]
Style = Annotated[str, typer.Option(help="peck, tender, french, forehead or cheek.")]
Seconds = Annotated[float, typer.Option(min=0.5, max=60, help="Length of the clip.")]
Seed = Annotated[int, typer.Option(min=0, help="Chooses blinks, breath and gaze.")]
Agreed = Annotated[
    bool, typer.Option("--consent", help="Everyone pictured is an adult and has agreed.")
]


@app.command()
def make(
    photos: Photos,
    output: Out = Path("kiss.mp4"),
    style: Style = "tender",
    seconds: Seconds = 2.5,
    seed: Seed = 0,
    consent: Agreed = False,
) -> None:
    """Make a kiss clip from one photo of a couple, or from two portraits."""
    _make(photos, output, style, seconds, seed, consent)


@app.command()
def verify(
    files: Annotated[list[Path], typer.Argument(help="Clips or pictures.")],
    trust: Annotated[
        Path | None, typer.Option(help="A PEM file of certificates to trust, beside your own.")
    ] = None,
) -> None:
    """Say what files tell of their origin, and what is missing.

    Exit code 1: not all is there; 2: some can't be read.
    """
    from kisslab.verify import verify as look

    def tell(path: Path) -> int:
        one = look(path, trust)
        typer.echo(f"{one.path}: {one.verdict}")
        for finding in one.findings:
            typer.echo(f"  {finding.name:13} {finding.state:8} {finding.sentence}")
        return 0 if one.whole else 1

    raise typer.Exit(_worst(files, tell))


@app.command()
def batch(
    pairs: Annotated[
        Path,
        typer.Argument(
            help="A .csv or .tsv with the columns left, right, out, style, seconds and seed (all "
            "but left optional), or a folder of photos of couples."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the clips and report.csv.")
    ] = Path("clips"),
    style: Style = "tender",
    seconds: Seconds = 2.5,
    seed: Seed = 0,
    consent: Agreed = False,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a dask cluster, tcp://host:8786.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes here; by default one per GPU, or per core."),
    ] = None,
) -> None:
    """Make a clip of each pair of a table or folder; run again to resume. Exit code 1: some failed.

    The table's style, seconds and seed come before the options.
    """
    from kisslab.batch import REPORT, read_pairs, run_batch
    from kisslab.consent import STATEMENT
    from kisslab.pipeline import Pipeline
    from kisslab.plan import find_style, plan_kiss

    with _plain_errors():
        find_style(style)
        chosen = read_pairs(pairs)
        pipeline = Pipeline(plan=partial(plan_kiss, style=style, seconds=seconds, seed=seed))
        statement = STATEMENT if consent else ""
        ends = run_batch(
            chosen, output, consent=statement, pipeline=pipeline, scheduler=scheduler,
            workers=workers,
        )  # fmt: skip
        failed = [done for done in _counted(ends, len(chosen)) if done.error]
    typer.echo(
        f"{len(chosen) - len(failed)} of {len(chosen)} clips are in {output}; {REPORT} there"
    )
    if failed:
        _say_failed(failed)
        raise typer.Exit(1)


@app.command()
def demo(output: Out = Path("kiss.mp4"), style: Style = "tender", seed: Seed = 0) -> None:
    """Make a clip of two packaged people, who do not exist."""
    from kisslab import zoo

    _make(list(zoo.demo_portraits()), output, style, 2.5, seed, consent=False)


@app.command()
def models() -> None:
    """List the models: what they are, their licences, and whether they are here."""
    from rich.console import Console
    from rich.table import Table

    from kisslab import zoo

    table = Table("name", "file", "size", "licence", "permits", "where")
    with _plain_errors():
        for row in zoo.models_table():
            table.add_row(row.name, row.file, row.size, row.licence, row.permits, row.place)
    Console().print(table)


@app.command()
def lab(
    folder: Annotated[Path, typer.Argument(help="Where your copies go.")] = Path(
        "kisslab-notebooks"
    ),
) -> None:
    """Copy the notebooks into a folder of yours, overwriting nothing, and open JupyterLab."""
    import subprocess

    from kisslab import zoo

    with _plain_errors():
        for path in _copies(zoo.data_path("", "notebooks"), folder):
            typer.echo(f"new: {path}")
        if find_spec("jupyterlab") is None:
            raise ModuleNotFoundError("JupyterLab is not here: pip install 'kisslab[lab]'")
        raise typer.Exit(subprocess.call([sys.executable, "-m", "jupyter", "lab", str(folder)]))


@app.command()
def site(
    folder: Annotated[Path, typer.Argument(help="Where the pages go.")],
    notebooks: Annotated[
        Path | None, typer.Option(help="A folder of executed notebooks; by default kisslab's own.")
    ] = None,
) -> None:
    """Write the executed notebooks as a static site: pages that open without Jupyter."""
    from kisslab.site import write_site

    with _plain_errors():
        typer.echo(f"open {write_site(folder, notebooks)}")


@classroom.command()
def student(
    notebooks: Annotated[list[Path], typer.Argument(help="Notebooks of kisslab, .ipynb.")],
    to: Annotated[Path, typer.Option(help="The folder for the copies.")] = Path("students"),
) -> None:
    """Copy notebooks without solutions and outputs, to be handed out."""
    from kisslab.classroom import student_copy

    with _plain_errors():
        for path in notebooks:
            typer.echo(student_copy(path, to))


@classroom.command()
def check(
    notebooks: Annotated[list[Path], typer.Argument(help="Notebooks that were handed in.")],
) -> None:
    """Run the answers of notebooks and say which hold. This runs what students wrote."""
    from kisslab.classroom import grade

    def tell(path: Path) -> int:
        result = grade(path)
        typer.echo(f"{path}: {result.passed} of {len(result.verdicts)}")
        for verdict in result.verdicts:
            typer.echo(f"  {verdict!r}")
        return 0

    raise typer.Exit(_worst(notebooks, tell))


@app.command()
def bench(
    areas: Annotated[
        list[str] | None, typer.Argument(help="photo, faces, motion, guide, ...")
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the rows here as JSON.")
    ] = None,
) -> None:
    """Measure every figure that this project claims; exit code 1 if a bound does not hold."""
    from kisslab.bench import run_areas

    with _plain_errors():
        rows = run_areas(areas or [], json)
    raise typer.Exit(0 if all(row.holds for row in rows) else 1)


def _make(
    photos: list[Path], output: Path, style: str, seconds: float, seed: int, consent: bool
) -> None:
    from kisslab.consent import STATEMENT
    from kisslab.pipeline import Pipeline, Run
    from kisslab.plan import find_style, plan_kiss
    from kisslab.video import check_target

    with _plain_errors():
        check_target(output)
        _check_other(output, photos)
        find_style(style)
        pipeline = Pipeline(plan=partial(plan_kiss, style=style, seconds=seconds, seed=seed))
        stages = pipeline.stages(*photos, consent=STATEMENT if consent else "")
        run = Run(**dict(_shown(stages)))
        run.save(output)
    for note in run.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"{output}: {len(run.clip.frames)} frames, {run.motion.style}, marked AI-generated")


def _check_other(output: Path, photos: list[Path]) -> None:
    """ValueError if the clip would take a photo's place."""
    for photo in photos:
        if output.exists() and photo.exists() and output.samefile(photo):
            raise ValueError(f"{output}: is the photo itself; name another file with -o")


def _shown(stages: Iterator[tuple[str, object]]) -> Iterator[tuple[str, object]]:
    """The same stages, with a bar on standard error that names the one at work."""
    from dataclasses import fields

    from tqdm import tqdm

    from kisslab.pipeline import Run

    names = [field.name for field in fields(Run)]
    with tqdm(stages, total=len(names), unit="stage", leave=False, desc=names[0]) as bar:
        for done, (name, result) in enumerate(bar, 1):
            bar.set_description(names[min(done, len(names) - 1)])
            yield name, result


def _counted(ends: Iterator[Done], total: int) -> Iterator[Done]:
    """The same ends, with a bar on standard error that counts them and the failures."""
    from tqdm import tqdm

    failed = 0
    with tqdm(ends, total=total, unit="clip") as bar:
        for done in bar:
            failed += bool(done.error)
            bar.set_postfix(failed=failed)
            yield done


def _say_failed(failed: list[Done]) -> None:
    """A table on standard error: which clips are missing, who asked for them, and why."""
    from rich.console import Console
    from rich.table import Table

    table = Table("clip", "asked for in", "why it failed", title=f"{len(failed)} failed")
    for done in failed:
        table.add_row(Path(done.path).name, done.where, done.error)
    Console(stderr=True).print(table)


def _worst(paths: list[Path], tell: Callable[[Path], int]) -> int:
    """The worst exit code of telling of each; who can't be told of does not hide the others."""
    codes = [0]
    for path in paths:
        try:
            with _plain_errors():
                codes.append(tell(path))
        except typer.Exit as stop:
            codes.append(stop.exit_code)
    return max(codes)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """What a user can mend is one line, not a traceback."""
    try:
        yield
    except (ValueError, OSError, ImportError, MemoryError) as error:
        typer.secho(f"kisslab: {error}", fg="red", err=True)
        raise typer.Exit(2) from error


def _copies(source: Path, folder: Path) -> Iterator[Path]:
    """Copy notebooks that are not there yet; what the user changed stays."""
    import shutil

    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.ipynb")):
        if not (folder / path.name).exists():
            yield Path(shutil.copy(path, folder / path.name))


if __name__ == "__main__":
    app()
