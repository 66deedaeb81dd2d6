"""The bench measures and judges; it stores no figure."""

import json
from pathlib import Path

import pytest

from kisslab.bench import photo, run_areas
from kisslab.bench.rows import row


@pytest.mark.parametrize(
    ("value", "bound", "holds"),
    [(0.05, "<= 0.05", True), (0.051, "<= 0.05", False), (1, "= 1", True), (9, ">= 10", False)],
)
def test_a_row_judges_itself(value: float, bound: str, holds: bool) -> None:
    assert row("figure", value, bound=bound).holds is holds


def test_a_figure_without_a_bound_is_only_reported() -> None:
    assert row("figure", 3.0).holds


def test_motion_is_measured_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = run_areas(["motion"], tmp_path / "rows.json")
    written = {r["name"]: r for r in json.loads((tmp_path / "rows.json").read_text())["rows"]}
    wanted = {"lip_gap_planned_max", "approach_monotone", "speed_at_ends_max",
              "nose_crossings_before_contact"}  # fmt: skip
    assert wanted <= set(written) == {r.name for r in rows}
    assert written["lip_gap_planned_max"]["cases"] == 100  # 5 styles, 20 ratios of face sizes
    assert all(r.holds for r in rows), [r for r in rows if not r.holds]
    assert "lip_gap_planned_max" in capsys.readouterr().out


def test_what_a_first_use_waits_for_is_timed_beside_the_bare_import(monkeypatch) -> None:
    waits = {"import kisslab": 0.1, "from kisslab import Pipeline": 3.0}
    monkeypatch.setattr(photo, "bad_photos", lambda folder: [])
    monkeypatch.setattr(photo, "_import_seconds", waits.__getitem__)
    found = {row.name: (row.value, row.bound) for row in photo.measure()}
    assert found["import_seconds"] == (0.1, "<= 0.5")
    assert found["import_pipeline_seconds"] == (3.0, "")


def test_unknown_areas_are_named() -> None:
    with pytest.raises(ValueError, match="no area 'lips'"):
        run_areas(["lips"])
