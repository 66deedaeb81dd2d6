"""What speeds are measured with: the peers do the same work, and ratios are ratios."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import tiny_conditions, tiny_model

from kisslab import zoo
from kisslab.bench import peers, run_areas, speed
from kisslab.bench.inputs import small_couple
from kisslab.bench.peers import against, bare_diffusers, bare_mediapipe, piecewise_affine
from kisslab.bench.rows import row
from kisslab.bench.speed import FRAMES, _conditions, write_plot
from kisslab.contact import planned_points
from kisslab.faces import find_faces
from kisslab.kiss import LONGEST, WINDOW, load_kiss, sample
from kisslab.photo import load_photo, photo_from_array
from kisslab.plan import plan_kiss


def test_a_ratio_is_ours_over_theirs() -> None:
    ratio = against(lambda: time.sleep(0.06), lambda: time.sleep(0.03))
    assert ratio == pytest.approx(2, rel=0.2)


def test_a_ratio_is_scaled_where_theirs_is_a_part_of_the_work() -> None:
    ratio = against(lambda: time.sleep(0.06), lambda: time.sleep(0.03), scale=0.25, rounds=2)
    assert ratio == pytest.approx(0.5, rel=0.2)


def test_all_that_is_compared_ran_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def turns(ours, theirs, scale=1.0, rounds=peers.ROUNDS) -> float:
        asked.append(scale)
        return 7.0

    monkeypatch.setattr(peers, "against", turns)
    monkeypatch.setattr(peers, "best_seconds", lambda act: 0.24)
    monkeypatch.setattr(peers, "UNetSpatioTemporalConditionModel", torch.nn.Identity)
    rows = [*peers.guide_rows(), *peers.network_rows(tiny_conditions(), tiny_model())]
    found = {one.name: one.value for one in rows}
    assert found.pop("guide_frame_ms") == pytest.approx(10)
    work = found.pop("network_gflop")
    assert found == dict.fromkeys(
        ("guide_over_piecewise_affine", "guide_over_remap", "flops_of_peak", "svd_times_slower"),
        7.0,
    )
    peak = 2 * peers.PEAK**3 / 1e9
    assert asked == pytest.approx([1 / 24, 1 / 24, work / peak, 1.0])
    assert not rows[-1].bound  # a small network is faster than a large one, that is no feat


def test_growth_with_frames_is_seen_beyond_one_window() -> None:
    assert sum(frames > WINDOW for frames in FRAMES) >= 2 <= sum(n <= WINDOW for n in FRAMES)


def test_the_loop_of_diffusers_ends_where_ours_does() -> None:
    model, told = tiny_model(), tiny_conditions()
    with torch.no_grad():
        *_, last = sample(told, model, steps=peers.STEPS)
        bare = bare_diffusers(told, model)
    np.testing.assert_allclose(bare.numpy(), last.clean, atol=0.02)  # its levels are rounded


def test_the_affine_peer_brings_the_face_where_the_plan_has_it() -> None:
    photo, faces = small_couple()
    motion = plan_kiss(faces, seconds=0.5, fps=12.0)
    high, wide = photo.rgb.shape[:2]
    y, x = np.mgrid[:high, :wide].astype(np.float32)
    ruler = photo_from_array(np.stack([x / wide, y / high, 0 * x], axis=-1))  # says where it was
    warped = piecewise_affine(ruler, faces, motion)
    frame = len(motion.gap) // 2
    for person in (0, 1):
        goal = planned_points(motion, faces)[frame, person, 8 * 20, :2]
        column, line = np.round(goal).astype(int)
        was = warped[line, column, :2] * [wide, high] + goal - [column, line]
        np.testing.assert_allclose(was, faces.points[person, 8 * 20, :2], atol=2)


def test_the_bare_detector_finds_the_same_points(models: object) -> None:
    portrait = load_photo(zoo.demo_portraits()[0])
    high, wide = portrait.rgb.shape[:2]
    (found,) = bare_mediapipe(portrait).face_landmarks
    points = np.array([[p.x * wide, p.y * high] for p in found])[:468]
    np.testing.assert_allclose(points, find_faces(portrait).points[0, :468, :2], atol=2)


def test_conditions_of_a_share_of_the_pixels() -> None:
    told = _conditions(0.25, 4, load_kiss())
    assert told.guide.shape[0] == 4 and told.guide.shape[-1] == LONGEST / 8 / 2
    assert told.told.shape[-2:] == told.first.shape[-2:]


def test_the_plot_shows_the_measured_slopes(tmp_path: object) -> None:
    rows = [
        row(f"growth_{name}", 1.0, "", "", 2) for name in ("frames", "pixels", "steps", "batch")
    ]
    rows += [row(f"seconds_{name.name[7:]}_{n}", n, "s", "", 2) for name in rows for n in (1, 2)]
    assert write_plot(rows, tmp_path / "plot.png").stat().st_size > 1000


def test_the_area_draws_its_plot_beside_the_rows(tmp_path: Path, monkeypatch) -> None:
    names = "frames", "pixels", "steps", "batch"
    made = [row(f"growth_{name}", 1.0, "", "", 2) for name in names]
    made += [row(f"seconds_{name}_{n}", n, "s", "", 2) for name in names for n in (1, 2)]
    monkeypatch.setattr(speed, "measure", lambda: iter(made))
    run_areas(["speed"], tmp_path / "rows.json")
    assert (tmp_path / "rows.png").stat().st_size > 1000
