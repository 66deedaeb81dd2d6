"""Oracles: clips built to score a known value; traps: frozen, blurred, swapped, jittered ones."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib import pyplot
from people import face_points

from kisslab import anatomy as at
from kisslab import metrics, zoo
from kisslab.bench import reported
from kisslab.bench.reported import (
    blurred,
    contact_rows,
    frozen,
    jittered,
    swapped,
    trap_rows,
)
from kisslab.composite import compose
from kisslab.contact import planned_points
from kisslab.faces import Faces, mesh_detector
from kisslab.likeness import follow_faces, likeness, varied
from kisslab.measure import measure, measure_clip
from kisslab.motion import Motion
from kisslab.photo import Photo
from kisslab.pipeline import Pipeline, Run
from kisslab.plan import plan_kiss
from kisslab.quality import looks
from kisslab.report import Report
from kisslab.temporal import observed_flow
from kisslab.train.lessons import Case
from kisslab.video import make_clip

OURS = (mesh_detector(),)  # packaged, so these tests need no model of others


def texture(height: int = 96, width: int = 128, seed: int = 0) -> np.ndarray:
    """Soft noise that flow can follow, in [0, 1]."""
    noise = np.random.default_rng(seed).uniform(0, 1, (height, width, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return np.clip(0.5 + (soft - soft.mean()) / (6 * soft.std()), 0, 1)


def sliding(pixels: int = 2, length: int = 6) -> np.ndarray:
    """A texture that slides to the right by so many pixels a frame; it wraps around."""
    still = texture()
    return np.stack([np.roll(still, pixels * t, axis=1) for t in range(length)])


def uniform(x: float, y: float = 0.0, steps: int = 5) -> np.ndarray:
    return np.broadcast_to(np.float32([x, y]), (steps, 96, 128, 2)).copy()


def inner(steps: int = 5, border: int = 16) -> np.ndarray:
    mask = np.zeros((steps, 96, 128), bool)
    mask[:, border:-border, border:-border] = True
    return mask


def packaged(photo: Photo, need: int = 1) -> Faces:
    return Faces.load(Path(photo.path).with_suffix(".faces.npz"))


@pytest.fixture(scope="module")
def run() -> Run:
    def plan(faces: Faces) -> Motion:
        """The approach and the first touch, at a kiss's own speed."""
        return plan_kiss(faces, "peck", seconds=1.5, fps=12.0, seed=3).pick(range(2, 13))

    pipeline = Pipeline(find=packaged, compose=partial(compose, height=160), plan=plan)
    run = pipeline(*zoo.demo_portraits())
    return replace(run, clip=make_clip(run.guide.frames, run.guide.fps))  # it keeps the plan


@pytest.fixture(scope="module")
def report(run: Run) -> Report:
    return measure(run, truth=run.clip.frames, detectors=OURS)


def floats(run: Run) -> np.ndarray:
    return run.clip.frames / np.float32(255)


def broken(run: Run, frames: np.ndarray) -> Report:
    return measure(replace(run, clip=make_clip(frames, run.clip.fps)), detectors=OURS)


# --- formulas ------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixels", [0, 2, 5])
def test_flow_and_dynamic_degree_of_a_sliding_texture(pixels: int) -> None:
    flow = observed_flow(sliding(pixels))
    median = np.median(flow[inner()], axis=0)
    np.testing.assert_allclose(median, [pixels, 0], atol=0.1)  # pixels
    away = metrics.dynamic_degree(flow[:, 16:-16, 16:-16])
    np.testing.assert_allclose(away, pixels, atol=0.4)  # the longest: errors only add


def test_dynamic_degree_is_that_of_the_fastest_twentieth() -> None:
    flow = uniform(0, 0, 1)
    flow.reshape(-1, 2)[: 96 * 128 // 20] = [3, 4]
    np.testing.assert_allclose(metrics.dynamic_degree(flow), 5.0, rtol=1e-3)


def test_smoothness_of_even_motion_of_flashes_and_of_shaking() -> None:
    even = metrics.smoothness(sliding(2))
    assert even.min() > 0.985  # the wrapped edge is the rest
    flash = np.repeat(texture()[None] * np.float32(0.8), 6, axis=0)
    flash[1::2] += 0.1  # neighbours of a frame are alike, and 0.1 brighter or darker than it
    np.testing.assert_allclose(metrics.smoothness(flash), 0.9, atol=1e-3)
    assert metrics.smoothness(jittered(sliding(2))).mean() < even.mean() - 0.005
    np.testing.assert_array_equal(metrics.smoothness(frozen(sliding(2))), 1.0)  # the trap


def test_warping_error_is_zero_along_the_flow_and_a_step_of_light_squared() -> None:
    clip, flow = sliding(3), uniform(3)
    np.testing.assert_allclose(metrics.warping_error(clip, flow, inner()), 0, atol=1e-9)
    lighter = clip * np.float32(0.5)
    lighter[1::2] += 0.1
    expected = 3 * 0.1**2  # the norm over three colours
    np.testing.assert_allclose(metrics.warping_error(lighter, flow, inner()), expected, rtol=1e-3)
    assert np.isnan(metrics.warping_error(clip, flow, np.zeros_like(inner()))).all()


def test_blur_wins_warping_error_and_freezing_loses_it_only_where_something_should_move() -> None:
    clip = np.clip(sliding(3) + np.random.default_rng(1).normal(0, 0.02, (6, 96, 128, 3)), 0, 1)
    clip = clip.astype(np.float32)
    honest = metrics.warping_error(clip, uniform(3), inner()).mean()
    assert metrics.warping_error(blurred(clip), uniform(3), inner()).mean() < 0.2 * honest
    assert metrics.warping_error(frozen(clip), uniform(3), inner()).mean() > 2 * honest
    assert metrics.warping_error(frozen(clip), uniform(0), inner()).max() == 0


def test_flicker_counts_levels_where_all_should_rest() -> None:
    clip = np.repeat(texture()[None] * np.float32(0.5), 6, axis=0)
    clip[1::2] += np.float32(2 / 255)
    still = np.zeros((96, 128), bool)
    still[:, :64] = True
    clip[:, :, 64:] = sliding(5)[:, :, 64:]  # what may move does not count
    np.testing.assert_allclose(metrics.flicker(clip, still), 2.0, atol=1e-3)
    assert np.isnan(metrics.flicker(clip, ~np.ones_like(still))).all()


def test_known_ways_end_on_the_same_layer_inside_the_picture() -> None:
    layers = np.zeros((2, 40, 60), np.uint8)
    layers[0, 10:30, 10:30], layers[1, 10:30, 20:40] = 1, 1  # a square moves right by 10
    flow = np.where(layers[:1, ..., None] == 1, np.float32([10, 0]), np.float32(0))
    sure = np.ones((2, 40, 60), np.float16)
    ways = metrics.known_ways(layers, sure, flow)[0]
    assert ways[20, 20] and ways[2, 5]  # inside the square; background that stays
    assert not ways[20, 35]  # background that the square comes to cover
    assert not ways[20, 10] and not ways[20, 31]  # outlines on either side
    assert not metrics.known_ways(layers, sure * np.float16(0.2), flow).any()
    out = np.full((1, 40, 60, 2), np.float32(30))
    assert not metrics.known_ways(np.zeros_like(layers), sure, out)[0, :, 31:].any()


def test_jerk_is_the_third_derivative() -> None:
    t = np.arange(8.0)
    cubic = np.diff(np.stack([t**3, 0 * t], axis=-1), axis=0)
    np.testing.assert_allclose(metrics.jerk(cubic, fps=2.0), 6 * 2**3)
    falling = np.diff(np.stack([t, t**2], axis=-1), axis=0)
    np.testing.assert_allclose(metrics.jerk(falling, fps=24.0), 0, atol=1e-9)


def test_velocity_is_the_mean_flow_of_the_valid() -> None:
    flow, mask = uniform(4, -1), inner()
    flow[~mask] = 100
    mask[2] = False
    velocity = metrics.velocity(flow, mask)
    np.testing.assert_allclose(velocity[[0, 1, 3, 4]], [[4, -1]] * 4)
    assert np.isnan(velocity[2]).all()


def test_setback_is_how_far_a_gap_opens_again() -> None:
    assert metrics.setback(np.array([3.0, 2.0, np.nan, 1.0, 0.5])) == 0
    assert metrics.setback(np.array([3.0, 1.0, np.nan, 1.4, 0.5])) == pytest.approx(0.4)
    assert np.isnan(metrics.setback(np.array([3.0, np.nan])))


def couple(apart: float, length: int = 2) -> np.ndarray:
    """Two drawn faces, so many pixels between their middles."""
    faces = [face_points((x, 90.0), width=80.0) for x in (100.0, 100.0 + apart)]
    return np.repeat(np.stack(faces)[None], length, axis=0)


def test_the_lip_gap_is_the_distance_of_what_touches() -> None:
    gap = metrics.lip_gap(couple(120.0), ("lips", "lips"), iod=60.0)
    np.testing.assert_allclose(gap, 2.0)
    cheek = couple(120.0)
    expected = np.linalg.norm(cheek[0, 1, at.RIGHT_CHEEK, :2] - cheek[0, 0, at.STOMION, :2].mean(0))
    np.testing.assert_allclose(metrics.lip_gap(cheek, ("lips", "cheek"), iod=1.0), expected)


def test_landmark_error_is_the_mean_distance_over_each_persons_own_iod() -> None:
    planned = couple(120.0)
    found = planned + np.array([3.0, 4.0, 99.0])  # depth does not count
    found[1, 1] = np.nan
    error = metrics.landmark_error(found, planned, np.array([50.0, 25.0]))
    np.testing.assert_allclose(error, [[0.1, 0.2], [0.1, np.nan]])
    lips = planned.copy()
    lips[:, :, at.LIPS] += 9.0  # lips and lids move by themselves
    np.testing.assert_allclose(metrics.landmark_error(lips, planned, np.ones(2)), 0)


def test_consistency_is_1_for_whoever_stays_the_same() -> None:
    x, y, gone = np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.full(2, np.nan)
    assert metrics.consistency(np.stack([x, gone, x, x])) == 1
    # To the first and to the last: (0 + 0) / 2, then (0 + 1) / 2.
    assert metrics.consistency(np.stack([x, y, y])) == pytest.approx(0.25)
    assert np.isnan(metrics.consistency(np.stack([x, gone])))


# --- faces ---------------------------------------------------------------------------------------


def finds_dots(view: np.ndarray) -> Faces:
    """A detector that sees a face around every white dot."""
    spots = cv2.connectedComponentsWithStats((view.min(axis=2) > 0.6).astype(np.uint8))[3][1:]
    points = np.array([face_points((x + 0.5, y + 0.5), width=90.0) for x, y in spots])
    points = points.reshape(-1, 478, 3)
    flat = points[..., :2]
    return Faces(
        points=points,
        boxes=np.concatenate([flat.min(1), flat.max(1)], axis=-1),
        angles=np.zeros((len(points), 3)),
        blendshapes=np.zeros((len(points), 52)),
        expressions=("",) * 52,
        detector="dots",
        models=(),
        notes=(),
    )


def dots(*places: tuple[float, float]) -> np.ndarray:
    frame = np.zeros((1, 180, 320, 3), np.float32)
    for x, y in places:
        cv2.circle(frame[0], (round(x), round(y)), 3, (1.0, 1.0, 1.0), -1)
    return frame


def middle(points: np.ndarray) -> np.ndarray:
    return points[..., metrics.RIGID, :2].mean(axis=-2)


def test_faces_are_found_where_they_are_in_the_whole_picture() -> None:
    places = couple(120.0, 1)
    centre = face_points(width=90.0)  # where a face's middle lies beside its dot, in the cut-out
    found = follow_faces(dots((104, 95), (213, 86)), places, finds_dots)
    scale = 1.5 * np.ptp(places[0, 0, :, 1]) / 256
    shift = scale * middle(centre)
    np.testing.assert_allclose(middle(found[0]) - shift, [[104.5, 95.5], [213.5, 86.5]], atol=0.5)


def test_a_face_far_from_its_place_or_at_the_others_is_not_found() -> None:
    places = couple(120.0, 1)
    assert np.isnan(follow_faces(dots(), places, finds_dots)).all()
    found = follow_faces(dots((220, 90)), places, finds_dots)[0]
    assert np.isnan(found[0]).all() and np.isfinite(found[1]).all()
    asked = follow_faces(dots((220, 90)), places, lambda view: finds_dots(0 * view), finds_dots)
    np.testing.assert_array_equal(asked[0], found)


def test_near_the_other_a_face_counts_for_whom_it_is_nearer_to() -> None:
    places = couple(50.0, 1)
    found = follow_faces(dots((148, 90)), places, finds_dots)[0]
    assert np.isnan(found[0]).all() and np.isfinite(found[1]).all()


def mean_colours(crops: np.ndarray) -> np.ndarray:
    """A recogniser of colours: unit vectors of the mean."""
    means = np.asarray(crops, float).mean(axis=(1, 2))
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def test_likeness_of_faces_whose_colour_is_who_they_are() -> None:
    places = couple(120.0)
    frames = np.zeros((2, 180, 320, 3), np.float32)
    frames[..., :160, 0], frames[..., 160:, 1] = 1, 1  # the left one is red, the right one green
    red, green, blue = np.eye(3)[:, None, None] * np.ones((112, 112, 3))
    points = places.copy()
    points[1, 0] = np.nan
    bounds = np.stack([red, green]), np.stack([(red + blue) / 2, green]), blue[None]
    alike = likeness(frames, points, *bounds, mean_colours)
    np.testing.assert_allclose(alike.own, [[1, 1], [np.nan, 1]], atol=1e-6)
    np.testing.assert_allclose(alike.other, [[0, 0], [np.nan, 0]], atol=1e-6)
    np.testing.assert_allclose(alike.ceiling, [np.sqrt(0.5), 1], atol=1e-6)
    np.testing.assert_allclose(alike.floor, [0, 0], atol=1e-6)
    turned = likeness(frames[:, :, ::-1], points, *bounds, mean_colours)
    np.testing.assert_allclose(turned.margin, [[-1, -1], [np.nan, -1]], atol=1e-6)


def test_the_varied_picture_is_mirrored_softer_and_darker() -> None:
    crops = np.stack([texture(112, 112, seed) for seed in (0, 1)])
    other = varied(crops)
    assert other.shape == crops.shape
    np.testing.assert_allclose(other.mean(), crops.mean() * 5 / 6, rtol=1e-2)
    assert np.corrcoef(other[0].ravel(), crops[0, :, ::-1].ravel())[0, 1] > 0.95


# --- reports -------------------------------------------------------------------------------------


def test_a_clip_that_keeps_its_plan_is_not_flagged(report: Report) -> None:
    assert report.warnings == ()
    assert report.found.min() > 0.3
    assert report["sharpness"] == pytest.approx(1, abs=0.02)
    assert report["PSNR"] == float("inf") and report["SSIM"] == pytest.approx(1)
    assert report["dynamic degree (VBench-style)"] == pytest.approx(
        report.movement.planned_dynamic.mean(), rel=0.15
    )
    assert report["jerk"] == pytest.approx(
        np.sqrt(np.nanmean(report.movement.planned_jerk**2)), rel=0.3
    )
    error = report.movement.landmark_error[:3]  # the heads have hardly turned
    assert np.nanmax(error) < 0.1


def test_likeness_lies_between_a_stranger_and_the_same_person_again(report: Report) -> None:
    alike = report.likeness
    assert (alike.floor < alike.own[0]).all() and (alike.floor < 0.4).all()
    assert (alike.ceiling > 0.8).all()
    assert (alike.margin[0] > 0.3).all()


def test_a_frozen_clip_is_consistent_and_caught(run: Run) -> None:
    still = broken(run, frozen(floats(run)))
    assert [w.split(":")[0] for w in still.warnings] == ["Frozen"]
    assert still["consistency (VBench-style)"] > 0.999
    assert still["motion smoothness (VBench-style)"] == 1 and still["flicker (VBench-style)"] == 0


def test_a_blurred_clip_wins_warping_error_and_is_caught(run: Run, report: Report) -> None:
    soft = broken(run, blurred(floats(run)))
    assert [w.split(":")[0] for w in soft.warnings] == ["Blurred"]
    assert soft["warping error"] < report["warping error"]


def test_a_jittered_clip_is_caught(run: Run, report: Report) -> None:
    shaken = broken(run, jittered(floats(run)))
    assert [w.split(":")[0] for w in shaken.warnings] == ["Jittered"]
    assert shaken["jerk"] > 1.5 * report["jerk"]


def test_swapped_faces_are_caught(run: Run) -> None:
    places = planned_points(run.motion, run.faces)
    other = broken(run, swapped(floats(run), places))
    assert {w.split(":")[0] for w in other.warnings} == {"Swapped"}
    assert other["margin left"] < 0 and other["margin right"] < 0


def test_faces_that_are_nowhere_are_said_to_be(run: Run) -> None:
    grey = np.full_like(floats(run), 0.5)
    empty = broken(run, grey)
    assert sum(w.startswith("Not found") for w in empty.warnings) == 2
    assert np.isnan(empty["likeness left"]) and "not seen" in empty._repr_html_()


def test_the_worst_frame_is_the_one_that_was_spoilt(run: Run) -> None:
    frames = run.clip.frames.copy()
    frames[5] = 255 - frames[5]
    spoilt = broken(run, frames).worst
    assert spoilt.frame in (5, 6)  # a change belongs to the frame after it
    np.testing.assert_array_equal(spoilt.picture, frames[spoilt.frame])


def test_the_table_names_every_measure_with_its_source(report: Report) -> None:
    page = report._repr_html_()
    for measure_ in report.measures:
        assert f"<code>{measure_.name}</code>" in page and measure_.source
    assert "a stranger" in page and "VBench-style" in page and "Lai et al. 2018" in page
    with pytest.raises(KeyError, match="beauty"):
        report["beauty"]


def test_the_picture_shows_the_worst_frame_and_marks_it(report: Report) -> None:
    report.plot()
    left, right = pyplot.gca().child_axes
    worst = report.worst
    np.testing.assert_array_equal(right.images[0].get_array(), worst.picture)
    assert f"worst frame: {worst.frame}" in right.get_title()
    assert left.lines[-1].get_xdata()[0] == pytest.approx(worst.frame / report.clip.fps)
    for part in (report.likeness, report.movement, report.looks, worst):
        part.plot()
    pyplot.close("all")


def test_a_report_can_be_kept(report: Report, tmp_path: Path) -> None:
    again = Report.load(report.save(tmp_path / "report.npz"))
    np.testing.assert_array_equal(again.likeness.own, report.likeness.own)
    assert again.warnings == report.warnings and again.worst.why == report.worst.why


def test_the_people_themselves_are_no_strangers(run: Run, report: Report) -> None:
    everyone = measure_clip(
        run.clip, run.photo, run.faces, run.motion, run.guide, detectors=[finds_dots]
    )
    assert (everyone.likeness.floor > report.likeness.floor + 0.02).all()  # one of 24 is they


def test_what_does_not_belong_together_is_refused(run: Run) -> None:
    with pytest.raises(ValueError, match=r"its truth \(3, "):
        measure(run, truth=run.clip.frames[:3])


def test_pixels_that_rest_are_those_that_nobody_comes_near(run: Run) -> None:
    seen = looks(floats(run), run.guide, np.zeros(run.guide.flow.shape[:3], bool)[:-1], None)
    assert 0 < seen.still.mean() < 0.9 and np.isnan(seen.psnr)
    assert not (run.guide.layers > 0).any(axis=0)[seen.still].any()


# --- bench ---------------------------------------------------------------------------------------


def test_the_bench_counts_the_traps_that_are_caught(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(
        photo=run.photo,
        portrait=run.photo,
        faces=run.faces,
        motion=run.motion,
        guide=run.guide,
        truth=run.clip.frames,
        people=run.guide.layers > 0,
        graded=np.ones(len(run.clip.frames), bool),
    )
    caught, flagged = trap_rows([case])
    assert (caught.value, caught.cases, flagged.value) == (1, 4, 0)
    monkeypatch.setattr(reported, "_warnings", lambda case, frames: ("Frozen: always",))
    caught, flagged = trap_rows([case])
    assert caught.value == 0 and flagged.value == 1  # who cries wolf catches nothing


def test_the_gap_at_exact_contacts_is_what_was_planned() -> None:
    rows = {row.name: row for row in contact_rows(couples=1, styles=("tender",), size=128)}
    assert rows["lip_gap_true"].holds and rows["lip_gap_true"].cases == 1
    assert 0 <= rows["lip_gap_seen"].value <= 1
