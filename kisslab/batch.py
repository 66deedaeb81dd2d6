"""Many pairs of photos to clips, shared by processes. (read_pairs, run_batch, Pair, Done)"""

from __future__ import annotations

import csv
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import torch
from PIL import Image

from kisslab.cluster import connect
from kisslab.photo import FORMATS, Photo
from kisslab.pipeline import Pipeline
from kisslab.plan import find_style
from kisslab.provenance import read_credential
from kisslab.records import Result, read_text, record
from kisslab.video import check_target, read_record

if TYPE_CHECKING:
    from distributed import Client, Future

COLUMNS = ("left", "right", "out", "style", "seconds", "seed")
REPORT = "report.csv"


@record
class Pair(Result):
    """What one clip is made of. None: as the pipeline's own plan has it."""

    photos: tuple[str, ...]  # paths: one of a couple, or the left and the right portrait
    out: str  # name of the clip's file
    where: str = ""  # who asked for it, "pairs.csv, line 3"
    style: str | None = None
    seconds: float | None = None
    seed: int | None = None


@record
class Done(Result):
    """How one pair ended; a row of the report."""

    path: str  # the clip
    where: str  # as in Pair
    seconds: float  # of work on it; 0 if it failed
    kept: bool  # it was there already, made from the same photos with the same settings
    error: str  # empty if the clip is there


def read_pairs(path: str | Path) -> list[Pair]:
    """The pairs of a table, or of a folder in which every photo shows a couple.

    The table is CSV or TSV (comma, semicolon or tab) with a header: `left` is needed, `right`,
    `out`, `style`, `seconds` and `seed` are optional, as columns and as cells. Without `right`,
    `left` shows a couple; without `out`, the clip is called as its photos are. Photos are looked
    up from the table's folder. ValueError names the line and what to do.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such table or folder")
    pairs = _folder_pairs(path) if path.is_dir() else list(_table_pairs(path))
    if not pairs:
        raise ValueError(
            f"{path}: no pairs in it; give a folder of photos of couples, or a table with the "
            f"columns {', '.join(COLUMNS)}"
        )
    _check_names(pairs)
    return pairs


def run_batch(
    pairs: Iterable[Pair],
    folder: str | Path,
    *,
    consent: str = "",
    pipeline: Pipeline = Pipeline(),
    scheduler: str | None = None,
    workers: int | None = None,
) -> Iterator[Done]:
    """Make a clip of every pair in `folder`, and tell of each as it ends, in any order.

    A pair that fails is told of and the others go on; what a killed process had in hand is done
    again by another. Run again, it keeps the clips that the same photos and settings made. Clips
    get their names when they are whole; `report.csv` beside them grows line by line.
    scheduler: address of a running dask cluster that sees the same files, best with one thread a
    worker; else workers: local processes, see `local_cluster`. ValueError for names that can't be.
    """
    pairs, folder = list(pairs), Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    _check_names(pairs)
    for pair in pairs:
        check_target(folder / pair.out)
    task = partial(make_pair, folder=str(folder), pipeline=pipeline, consent=consent)
    with (
        connect(scheduler, workers) as client,
        (folder / REPORT).open("w", newline="", encoding="utf-8") as file,
    ):
        report = csv.DictWriter(file, Done.__dataclass_fields__)
        report.writeheader()
        for pair, future in _ended(client, task, pairs):
            done = _told(pair, future, folder)
            report.writerow(dict(done.items()))
            file.flush()
            yield done


def make_pair(pair: Pair, folder: str, pipeline: Pipeline, consent: str) -> Done:
    """Make one clip, unless it is there. Errors are the stages', or ValueError for a file there
    that kisslab did not make."""
    torch.set_num_threads(1)  # processes share the cores, not the threads of each
    cv2.setNumThreads(1)
    start, path = time.perf_counter(), Path(folder) / pair.out
    pipeline = _planned(pipeline, pair)
    kept = path.exists() and _is_of(path, [pipeline.load(p) for p in pair.photos], pipeline)
    if not kept:
        pipeline(*pair.photos, consent=consent).save(path)
    return Done(str(path), pair.where, time.perf_counter() - start, kept, error="")


def _planned(pipeline: Pipeline, pair: Pair) -> Pipeline:
    """The pipeline with what the pair says of its plan, if it says anything."""
    wishes = {"style": pair.style, "seconds": pair.seconds, "seed": pair.seed}
    said = {name: wish for name, wish in wishes.items() if wish is not None}
    return replace(pipeline, plan=partial(pipeline.plan, **said)) if said else pipeline


def _is_of(path: Path, photos: list[Photo], pipeline: Pipeline) -> bool:
    """Whether the clip is whole, of these photos, byte for byte, and of these settings."""
    run = read_record(path)
    made_of = [photo["sha256"] for photo in run["photos"]]
    same = made_of == [p.sha256 for p in photos] and run["settings"] == pipeline.settings()
    return same and read_credential(path).whole


def _ended(client: Client, task: Any, pairs: list[Pair]) -> Iterator[tuple[Pair, Future]]:
    """Each pair as its future ends.

    When a process dies time and again, dask blames whatever it had in hand, and most of that is
    innocent. So those are tried again at the end, each alone.
    """
    from distributed import KilledWorker, as_completed, wait

    given = {client.submit(task, pair, pure=False): pair for pair in pairs}
    blamed = []
    for future in as_completed(given):
        if isinstance(future.exception(), KilledWorker):
            blamed.append(given[future])
        else:
            yield given[future], future
    for pair in blamed:
        alone = client.submit(task, pair, pure=False)
        wait(alone)
        yield pair, alone


def _told(pair: Pair, future: Future, folder: Path) -> Done:
    """What became of a pair; an error is one line."""
    from distributed import KilledWorker

    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, KilledWorker):
        words = "its process died each time; has the machine memory for it? Try fewer workers"
    elif isinstance(error, (ValueError, OSError, ImportError)):  # what a user can mend
        words = str(error)
    else:
        words = f"{type(error).__name__}: {error}"
    words = " ".join(words.split())
    return Done(str(folder / pair.out), pair.where, 0.0, kept=False, error=words)


def _check_names(pairs: list[Pair]) -> None:
    """No two clips have one name (also where big and small letters are the same)."""
    first: dict[str, Pair] = {}
    for pair in pairs:
        other = first.setdefault(pair.out.lower(), pair)
        if other is not pair:
            both = " and ".join(p.where or " + ".join(p.photos) for p in (other, pair))
            raise ValueError(f"{both} both make {pair.out}; give each another name ('out')")


def _folder_pairs(folder: Path) -> list[Pair]:
    known = {end for end, name in Image.registered_extensions().items() if name in FORMATS}
    photos = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in known and p.name[0] != "."]
    return [Pair((str(p.resolve()),), _name([p]), str(p)) for p in photos]


def _table_pairs(path: Path) -> Iterator[Pair]:
    for line, cells in _rows(path):
        where = f"{path.name}, line {line}"
        if not cells.get("left"):
            raise ValueError(f"{where}: no photo in the column 'left'; one alone goes there")
        photos = [path.resolve().parent / cells[side] for side in COLUMNS[:2] if cells.get(side)]
        try:
            yield Pair(
                photos=tuple(map(str, photos)),
                out=_file_name(cells.get("out") or _name(photos)),
                where=where,
                style=find_style(cells["style"]).name if cells.get("style") else None,
                seconds=_number(cells, "seconds", float),
                seed=_number(cells, "seed", int),
            )
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and cells of each line under the header that says anything."""
    text = read_text(path)
    header = text.partition("\n")[0]
    table = csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=header.count))
    try:
        _check_columns(path, [name.strip() for name in table.fieldnames or ()])
    except csv.Error as error:
        raise ValueError(f"{path.name}, line 1: {error}; is it a table?") from error
    table.fieldnames = [name.strip() for name in table.fieldnames or ()]
    for cells in _cells(table, path.name):
        if None in cells:
            raise ValueError(
                f"{path.name}, line {table.line_num}: more cells than columns; put a name with a "
                "comma into double quotes"
            )
        said = {name: cell.strip() for name, cell in cells.items() if cell and cell.strip()}
        if said:
            yield table.line_num, said


def _cells(table: csv.DictReader[str], name: str) -> Iterator[dict[str, str]]:
    """The table's lines; what csv can't read is a ValueError with its line."""
    try:
        yield from table
    except csv.Error as error:
        where = f"{name}, line {table.line_num}"
        raise ValueError(f"{where}: {error}; is a quote left open?") from error


def _check_columns(path: Path, names: list[str]) -> None:
    times = Counter(names)
    wrong = [f"unknown column {name!r}" for name in times if name not in COLUMNS]
    wrong += [f"column {name!r} stands there twice" for name in times if times[name] > 1]
    wrong += ["no column 'left'"] if "left" not in times else []
    if wrong:
        raise ValueError(
            f"{path.name}, line 1: {wrong[0]}; the first line names columns, out of "
            f"{', '.join(COLUMNS)}"
        )


def _number(cells: dict[str, str], name: str, kind: type[Any]) -> Any:
    """A cell as a number that is not negative, or None where it is empty."""
    cell = cells.get(name)
    try:
        number = None if cell is None else kind(cell)
    except ValueError:
        number = -1
    if number is not None and not 0 <= number < math.inf:
        what = "a whole number from 0" if kind is int else "a number of seconds, 2.5 for example"
        raise ValueError(f"{name}={cell!r} is not {what}")
    return number


def _name(photos: list[Path]) -> str:
    """ana.jpg and bo.jpg make ana-bo.mp4."""
    return "-".join(photo.stem for photo in photos) + ".mp4"


def _file_name(out: str) -> str:
    if Path(out).name != out:
        raise ValueError(f"out={out!r} is not a file's name alone; folders are not made for it")
    return out
