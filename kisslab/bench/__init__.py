"""Measures every figure that this project claims, area by area, afresh. (run_areas, AREAS)"""

from __future__ import annotations

import importlib
import json
import platform
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from kisslab.bench.rows import Row
from kisslab.records import atomic

AREAS = (
    "photo",
    "faces",
    "motion",
    "guide",
    "studio",
    "models",
    "temporal",
    "backends",
    "notebooks",
    "trust",
    "speed",
)


def run_areas(areas: list[str], path: Path | None = None) -> list[Row]:
    """Measure these areas (all when none is named), print a table, and write it as JSON to `path`.

    Area speed also draws how costs grow, beside it with the suffix .png. ValueError for an area
    that there is not.
    """
    from rich.console import Console

    unknown = [area for area in areas if area not in AREAS]
    if unknown:
        raise ValueError(f"no area {unknown[0]!r} to measure; there are {', '.join(AREAS)}")
    console, rows = Console(), []
    for area in areas or AREAS:
        for row in _measure(area):
            console.print(_line(row), highlight=False, soft_wrap=True)
            rows.append(row)
    if path is not None:
        _write(rows, path)
        if "speed" in (areas or AREAS):
            _measured("speed").write_plot(rows, path.with_suffix(".png"))
    return rows


def _measure(area: str) -> Iterator[Row]:
    return _measured(area).measure()


def _measured(area: str) -> ModuleType:
    return importlib.import_module(f"kisslab.bench.{area}")


def _line(row: Row) -> str:
    verdict = "[green]holds[/]" if row.holds else "[red]MISSED[/]"
    figure = f"{row.name:34} {row.value:10.4g} {row.unit:14}"
    return f"{figure} {row.bound:10} {verdict if row.bound else '':6} cases: {row.cases}"


def _write(rows: list[Row], path: Path) -> None:
    data = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "rows": [dict(row.items()) for row in rows],
    }
    with atomic(path) as part:
        part.write_text(json.dumps(data, indent=1))
