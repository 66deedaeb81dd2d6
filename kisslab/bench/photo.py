"""Area photo: bad files are told apart, nothing is written, importing costs little. (measure)"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from typer.testing import CliRunner

from kisslab.bench.bad_inputs import bad_photos
from kisslab.bench.rows import Row, row
from kisslab.cli import app


def measure() -> Iterator[Row]:
    """bad_inputs_clear, bad_inputs_wrote_files, import_seconds, import_pipeline_seconds.

    The package loads its parts when they are asked for: who waits, waits for the second import.
    """
    with tempfile.TemporaryDirectory() as folder:
        bad = bad_photos(Path(folder))
        before = _listing(folder)
        clear = sum(_is_clear(path, words, Path(folder) / "out.mp4") for path, words in bad)
        wrote = len(_listing(folder) ^ before)
    yield row("bad_inputs_clear", clear, "files", f"= {len(bad)}", len(bad))
    yield row("bad_inputs_wrote_files", wrote, "files", "= 0", len(bad))
    yield row("import_seconds", _import_seconds("import kisslab"), "s", "<= 0.5", 5)
    spent = _import_seconds("from kisslab import Pipeline")
    yield row("import_pipeline_seconds", spent, "s", "", 5)


def _is_clear(path: Path, words: str, out: Path) -> bool:
    """Whether `kisslab make` refuses the file in those words, without a traceback."""
    done = CliRunner().invoke(app, ["make", str(path), "-o", str(out), "--consent"])
    return done.exit_code == 2 and words in done.output


def _listing(folder: str) -> set[str]:
    return {os.path.join(top, name) for top, _, names in os.walk(folder) for name in names}


def _import_seconds(line: str, times: int = 5) -> float:
    """Median of fresh interpreters: what an import adds."""
    code = f"import time; t = time.perf_counter(); {line}; print(time.perf_counter() - t)"
    runs = [subprocess.check_output([sys.executable, "-c", code]) for _ in range(times)]
    return sorted(float(run) for run in runs)[times // 2]
