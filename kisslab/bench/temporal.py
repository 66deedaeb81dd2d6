"""Area temporal: what keeps clips together, and whether the report can be fooled. (measure)"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from kisslab.bench.difficulty import difficulty_rows
from kisslab.bench.made import studio_cases
from kisslab.bench.reported import contact_rows, trap_rows
from kisslab.bench.rows import Row
from kisslab.bench.steadied import noise_error_rows, noise_rows, steady_rows
from kisslab.kiss import load_kiss

CLIPS = 20  # held-out studio kisses


def measure(clips: int = CLIPS) -> Iterator[Row]:
    """Noise that moves, steadying, traps, contacts and hard photos; clips take most of the time."""
    yield from noise_rows()
    yield from trap_rows()
    yield from contact_rows()
    with tempfile.TemporaryDirectory() as work:
        cases = studio_cases(work, clips)
        model = load_kiss()
        yield from noise_error_rows(model, cases)
        yield from steady_rows(model, cases)
        yield from difficulty_rows(work)
