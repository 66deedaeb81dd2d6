"""Does `assess` know what will be hard? Its forecast against the error of clips.

(difficulty_rows, trials, photos)
`python -m kisslab.bench.difficulty FOLDER` keeps every trial in FOLDER, and resumes there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from kisslab.bench.rows import Row, row
from kisslab.bench.studio import HELD_OUT
from kisslab.failures import Trial, forecast, try_case
from kisslab.studio.hard import KINDS, hard_case

FIRST = HELD_OUT + 60_300  # seeds of couples; assessment.WEIGHTS were set on others
COUPLES = 10  # six photos each: couples differ more than photos of one couple do
FRAMES = 2  # on the way, and at contact


def difficulty_rows(folder: str | Path, couples: int = COUPLES) -> Iterator[Row]:
    """difficulty_rank_correlation: Spearman's, of forecast and error over studio photos.

    Photos in which no two faces are found count as hardest on both sides; the row that ends in
    "_made" leaves them out. The photos are drawn, and the clips made, in some 5 s each on one core.
    """
    found = forecast(list(trials(folder, photos(couples))))
    made, count = found.pick(~found.refused), len(found.errors)
    yield row("difficulty_rank_correlation", found.rank_correlation, "", ">= 0.7", count)
    yield row("difficulty_rank_correlation_made", made.rank_correlation, "", "", len(made.errors))
    yield row("hard_photos_refused", found.refused.sum(), "photos", "", count)


def photos(couples: int, first: int = FIRST) -> Iterator[tuple[str, float, int]]:
    """(kind, strength, seed) of the photos: every couple, spoilt in each kind, by any strength."""
    for seed in range(first, first + couples):
        rng = np.random.default_rng([seed, 37])
        for kind in KINDS:
            yield kind, float(rng.uniform()), seed


def trials(folder: str | Path, chosen: Iterator[tuple[str, float, int]]) -> Iterator[Trial]:
    """The pipeline's try at each photo, kept in `folder`: one that is there is not made again."""
    for kind, strength, seed in chosen:
        path = Path(folder) / f"trial_{seed}_{kind.replace(' ', '_')}_{strength:.3f}.npz"
        if not path.exists():
            try_case(hard_case(kind, strength, seed, frames=FRAMES)).save(path)
        yield Trial.load(path)


def main(folder: Annotated[Path, typer.Argument(help="gets a file a photo, 60 in all")]) -> None:
    """Print the rows, write forecast.npz; trials that are in the folder already are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in difficulty_rows(folder):
        typer.echo(one)
    forecast(list(trials(folder, photos(COUPLES)))).save(folder / "forecast.npz")


if __name__ == "__main__":
    typer.run(main)
