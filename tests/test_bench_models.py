"""Figures of the models on clips whose figures are known, and the tools that measure them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import people
import pytest
import torch
from insightface.app import FaceAnalysis
from tiny import tiny_conditions, tiny_model

from kisslab import zoo
from kisslab.bench import judged, models
from kisslab.bench.judged import face_print, found
from kisslab.bench.made import FRAMES, Attempt, Kiss, attempt, kiss
from kisslab.bench.models import (
    bare,
    judge_rows,
    spatial_only,
    step_rows,
    studio_rows,
    unguarded_row,
    weight_rows,
)
from kisslab.bench.studio import judge
from kisslab.composite import Composite
from kisslab.faces import Faces
from kisslab.guide import Guide
from kisslab.kiss import Denoiser, sample
from kisslab.likeness import cut_face
from kisslab.photo import load_photo
from kisslab.plan import plan_kiss
from kisslab.quality import background, psnr, sharpness, ssim
from kisslab.train.lessons import Case

EVERYWHERE = np.ones((3, 40, 48), bool)


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    """The type checker's wrapper hides from torch.no_grad that samplers are generators."""
    with torch.no_grad():
        yield


def clip(shape: tuple[int, ...] = EVERYWHERE.shape, seed: int = 0) -> np.ndarray:
    """Fine noise around mid grey."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0.3, 0.7, (*shape, 3)).astype(np.float32)


def test_psnr_of_a_known_error() -> None:
    truth = clip()
    assert psnr(truth + np.float32(0.1), truth, EVERYWHERE) == pytest.approx(20, abs=1e-3)
    assert psnr(truth, truth, EVERYWHERE) == float("inf")
    half = EVERYWHERE.copy()
    half[:, :, 24:] = False
    wrong = truth.copy()
    wrong[:, :, 24:] = 0  # what the mask leaves out does not count
    assert psnr(wrong, truth, half) == float("inf")


def test_ssim_is_1_for_equal_clips_and_that_of_flat_ones_follows_the_formula() -> None:
    truth = clip()
    assert ssim(truth, truth, EVERYWHERE) == pytest.approx(1)
    assert ssim(clip(seed=1), truth, EVERYWHERE) < 0.3
    flat = np.full_like(truth, 0.4), np.full_like(truth, 0.6)
    expected = (2 * 0.4 * 0.6 + 1e-4) / (0.4**2 + 0.6**2 + 1e-4)  # eq. 13 without variances
    assert ssim(*flat, EVERYWHERE) == pytest.approx(expected, abs=1e-4)


def test_sharpness_falls_with_blur_and_grows_as_contrast_squared() -> None:
    truth = clip()
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 1.0) for frame in truth])
    assert sharpness(truth, truth, EVERYWHERE) == 1
    assert sharpness(blurred, truth, EVERYWHERE) < 0.5
    assert sharpness(2 * truth, truth, EVERYWHERE) == pytest.approx(4, rel=1e-4)


def test_background_is_wall_in_all_frames_and_away_from_people() -> None:
    someone = np.zeros((2, 40, 48), bool)
    someone[0, 20, 20] = someone[1, 20, 30] = True
    y, x = np.mgrid[:40, :48]
    near = (np.abs(y - 20) <= 4) & ((np.abs(x - 20) <= 4) | (np.abs(x - 30) <= 4))
    np.testing.assert_array_equal(background(someone), ~near)


def test_without_its_layers_of_time_a_network_sees_one_frame() -> None:
    model, conditions = tiny_model(), tiny_conditions()
    x = torch.randn(conditions.guide.shape, generator=torch.Generator().manual_seed(1))
    later = x.clone()
    later[2] += 1

    def first(noisy: torch.Tensor) -> torch.Tensor:
        return Denoiser(model, conditions)(noisy, 0.7)[0]

    before = first(x)
    assert (first(later) - before).abs().max() > 1e-3
    with pytest.raises(KeyboardInterrupt), spatial_only(model.unet):
        torch.testing.assert_close(first(later), first(x), atol=1e-6, rtol=0)
        raise KeyboardInterrupt  # whatever happens inside, the network is whole again
    torch.testing.assert_close(first(x), before, atol=0, rtol=0)


def test_the_bare_loop_ends_where_sampling_ends() -> None:
    model, conditions = tiny_model(), tiny_conditions()
    *_, last = sample(conditions, model, steps=4)
    np.testing.assert_allclose(bare(conditions, model, 4), last.clean, atol=1e-4)


def test_weights_are_weighed_and_other_files_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "codec").mkdir()
    (tmp_path / "codec" / "model.safetensors").write_bytes(bytes(3_000_000))
    (tmp_path / "curve.csv").write_bytes(bytes(1_000_000))
    figures = {row.name: row for row in weight_rows(tmp_path)}
    assert figures["weights_total_mb"].value == pytest.approx(4)
    assert figures["weights_only_safe"].holds
    (tmp_path / "codec" / "model.bin").write_bytes(b"pickle")
    figures = {row.name: row for row in weight_rows(tmp_path)}
    assert not figures["weights_only_safe"].holds


def drawn_case() -> Case:
    """Two drawn people of whom the guide is 0.1 too bright; the last frames are a contact."""
    drawing = people.draw_couple(size=(256, 160), width=56)
    motion = plan_kiss(drawing.faces, seconds=0.5).pick([0, 5, 10, 11])
    shape = (4, 160, 256)
    truth = np.random.default_rng(3).integers(60, 190, (*shape, 3), dtype=np.uint8)
    guide = Guide(
        frames=truth / np.float32(255) + np.float32(0.1),
        confidence=np.zeros(shape, np.float32),
        disocclusion=np.zeros(shape, bool),
        layers=np.ones(shape, np.uint8),
        depth=np.zeros(shape, np.float32),
        flow=np.zeros((*shape, 2), np.float32),
        fps=24.0,
    )
    return Case(
        photo=drawing.photo,
        portrait=drawing.photo,
        faces=drawing.faces,
        motion=motion,
        guide=guide,
        truth=truth,
        people=np.ones(shape, bool),
        graded=np.ones(4, bool),
    )


def test_studio_figures_of_a_clip_with_a_known_error() -> None:
    case = drawn_case()
    better = case.truth / np.float32(255) + np.float32(0.01)
    made = Attempt(case, tiny_conditions(4), better)
    figures = {row.name: row for row in studio_rows([made])}
    assert figures["psnr_in_mask"].value == pytest.approx(40, abs=1e-2)
    assert figures["psnr_guide"].value == pytest.approx(20, abs=1e-2)
    assert figures["psnr_gain_over_guide"].value == pytest.approx(20, abs=1e-2)
    assert figures["psnr_gain_over_guide_contact"].value == pytest.approx(20, abs=1e-2)
    assert figures["psnr_gain_over_guide_contact"].cases == 1
    assert figures["sharpness_vs_truth"].value == pytest.approx(1, abs=1e-3)
    assert figures["ssim_gain_over_guide"].holds
    assert figures["psnr_cross_dissolve"].value < 20


def test_few_steps_are_held_to_what_many_gain_over_the_guide(monkeypatch) -> None:
    """Clips between guide and truth: SSIM alone calls a single step nearly as good as 32."""
    case = drawn_case()
    truth, guide = case.truth / np.float32(255), case.guide.frames

    def painted(guide_, conditions, model, steps: int) -> np.ndarray:
        return truth + (guide - truth) * np.float32(2.0**-steps)

    default = Attempt(case, tiny_conditions(4), painted(None, None, None, 4))
    monkeypatch.setattr(models, "repaint", painted)
    figures = {row.name: row for row in step_rows([default], tiny_model())}
    values = {name: row.value for name, row in figures.items()}
    gains = {n: values[f"ssim_steps_{n}"] - ssim(guide, truth, case.people) for n in (1, 4, 32)}
    assert values["steps4_over_steps32_gain"] == pytest.approx(gains[4] / gains[32])
    assert values["steps1_over_steps32_gain"] == pytest.approx(gains[1] / gains[32])
    assert values["steps1_over_steps32_gain"] < 0.97 < values["steps4_over_steps32_gain"]
    assert figures["steps4_over_steps32_gain"].bound == ">= 0.97"
    away = {n: 0.1 * (2.0**-n - 2.0**-32) for n in (1, 4)}  # the guide is 0.1 too bright
    for steps, by in away.items():
        found = values[f"steps{steps}_to_steps32_psnr"]
        assert found == pytest.approx(-20 * np.log10(by), abs=1e-2)


def test_what_gains_nothing_is_no_measure_of_few_steps(monkeypatch) -> None:
    case = drawn_case()
    monkeypatch.setattr(models, "repaint", lambda guide, told, model, steps: guide.frames)
    made = Attempt(case, tiny_conditions(4), case.truth / np.float32(255))
    figures = {row.name: row for row in step_rows([made], tiny_model())}
    assert not figures["steps4_over_steps32_gain"].holds


def test_unguarded_means_that_every_change_is_taken(monkeypatch) -> None:
    case = drawn_case()
    truth = case.truth / np.float32(255)

    def painted(guide, conditions, last, model, **guards: float) -> SimpleNamespace:
        assert guards == {"noise": 0, "sure": 0, "background": 0}
        return SimpleNamespace(frames=truth + np.float32(0.01))

    monkeypatch.setattr(models, "paint", painted)
    made = Attempt(case, tiny_conditions(4), truth)
    assert unguarded_row([made], tiny_model()).value == pytest.approx(20, abs=1e-2)


def test_only_where_the_truth_is_known_counts() -> None:
    case = drawn_case()
    case = replace(case, graded=np.array([False, True, True, True]))
    wrong = case.truth / np.float32(255)
    wrong[0] = 0
    assert Attempt(case, tiny_conditions(4), wrong).psnr(wrong) == float("inf")


def test_a_case_is_kept_as_it_is(tmp_path: Path) -> None:
    case = drawn_case()
    again = Case.load(case.save(tmp_path / "case.npz"))
    np.testing.assert_array_equal(again.truth, case.truth)
    np.testing.assert_array_equal(again.motion.angles, case.motion.angles)
    assert again.motion.phases == case.motion.phases


def test_an_attempt_paints_the_case() -> None:
    model, case = tiny_model(identity=256), drawn_case()
    made = attempt(case, model)
    assert made.frames.shape == case.truth.shape
    assert np.isfinite(made.psnr(made.frames))


def drawn_kiss() -> Kiss:
    drawing = people.draw_couple(size=(256, 160), width=56)
    cutout = people.true_cutout(drawing)
    couple = Composite(
        photo=drawing.photo,
        faces=drawing.faces,
        cutout=cutout,
        sources=(drawing.photo, drawing.photo),
        source_faces=(drawing.faces.pick([0]), drawing.faces.pick([1])),
        source_cutouts=(cutout, cutout),
        scales=np.ones(2),
        shifts=np.zeros((2, 2)),
        gains=np.ones((2, 3)),
        background_from=0,
        notes=(),
    )
    return kiss(couple, tiny_model(identity=256))


def test_a_kiss_of_two_photographs_and_the_faces_looked_for_in_it() -> None:
    pair = drawn_kiss()
    assert pair.frames.shape == pair.guide.frames.shape == (FRAMES, 160, 256, 3)
    due = np.abs(pair.motion.angles[..., 0]) <= 45

    def finds(x: float, y: float):
        def detect(rgb: np.ndarray) -> Faces:
            assert rgb.shape == (256, 256, 3)
            return people.as_faces(people.face_points((x, y), 100))

        return detect

    assert found(pair, finds(128, 128), most_yaw=45) == [True] * due.sum()
    assert found(pair, finds(20, 128), most_yaw=45) == [False] * due.sum()  # the partner's face
    none = people.as_faces(people.face_points((128, 128), 100)).pick([])
    assert not any(found(pair, lambda rgb: none, most_yaw=45))
    assert 0 < due.sum() < due.size


def test_turned_faces_are_judged_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second turned face is not found, and the others are less like their source."""
    pair = drawn_kiss()
    facing = (np.abs(pair.motion.angles[..., 0]) <= 30).ravel()
    given = np.where(facing, 0.9, 0.5)
    given[np.flatnonzero(~facing)[1::2]] = np.nan
    cosines = iter([1.0, 1.0, *given])  # both sources, then face after face
    prints = (None if np.isnan(c) else np.array([c, 0.0]) for c in cosines)
    monkeypatch.setattr(judged, "face_print", lambda *_: next(prints))
    monkeypatch.setattr(models, "judge", lambda: object.__new__(FaceAnalysis))
    monkeypatch.setattr(models, "attempt_likeness", lambda *_: np.ones((1, 2)))
    made = Attempt(drawn_case(), tiny_conditions(4), pair.frames[:4])
    figures = {row.name: row for row in judge_rows([made], [pair])}
    turned = (~facing).sum()
    assert 1 < turned < facing.size and figures["judge_found_turned"].cases == turned
    assert figures["judge_found_turned"].value == pytest.approx((turned - turned // 2) / turned)
    assert figures["judge_identity_mean_turned"].value == pytest.approx(0.5)
    assert figures["judge_identity_mean"].value == pytest.approx(0.9)
    assert figures["judge_identity_min"].value == pytest.approx(0.9)
    assert not figures["judge_identity_mean_turned"].bound


def test_an_enlarged_face_lies_in_the_middle_with_a_border() -> None:
    rgb = np.zeros((90, 120, 3), np.float32)
    rgb[30:70, 10:50] = 1
    points = people.face_points((30, 50), 40)[:, :2]
    points = np.clip(points, [10, 30], [50, 70])
    crop = cut_face(rgb, points)
    inside = np.argwhere(crop[..., 0] > 0.5)
    np.testing.assert_allclose(inside.min(0), 256 * 0.25 / 1.5, atol=2)  # 0.25 + 1 + 0.25
    np.testing.assert_allclose(inside.max(0), 256 * 1.25 / 1.5, atol=2)
    beside = cut_face(rgb, points - np.array([30, 0]))  # beyond the picture its edge goes on
    assert beside.shape == (256, 256, 3) and np.isfinite(beside).all()


def test_a_cut_out_face_is_not_shifted() -> None:
    """Of a picture that says where its pixels were, in a square that is not resized."""
    y, x = np.mgrid[:400, :400] + 0.5
    ruler = (np.stack([x, y, 0 * x], axis=-1) / 400).astype(np.float32)
    points = np.zeros((478, 2)) + 200
    points[:2] = [[200 - 256 / 3, 200], [200 + 256 / 3, 200]]  # with borders 256 wide
    middle = cut_face(ruler, points)[..., :2].mean(axis=(0, 1)) * 400
    np.testing.assert_allclose(middle, 200, atol=0.01)


def test_the_judge_knows_a_face_at_its_place(models: Path) -> None:
    path = zoo.data_path("portraits/couple_01.jpg")
    photo, faces = load_photo(path), Faces.load(path.with_suffix(".faces.npz"))
    analysis = judge()
    left, right = (face_print(analysis, photo.rgb, points) for points in faces.points)
    shifted = np.roll(photo.rgb, 7, axis=1)
    again = face_print(analysis, shifted, faces.moved(1.0, np.array([7.0, 0.0])).points[0])
    assert left @ again > 0.95 > left @ right
    corner = faces.points[0] - faces.points[0].min(axis=0)
    assert face_print(analysis, photo.rgb, corner * 0.3) is None
