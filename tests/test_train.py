"""The training loop resumes exactly; lessons are what they say; cards carry the facts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from kisslab.contact import planned_points
from kisslab.identity import TEMPLATE, embed_crops
from kisslab.mesh import KEY_POINTS
from kisslab.studio.person import sample_person
from kisslab.train.card import Card, write_card
from kisslab.train.gallery import Gallery, lesson_gallery
from kisslab.train.identity import RISE, ArcFace, Embedder, export, losses, turn_to
from kisslab.train.lessons import Lesson, photograph_case, photograph_stills, studio_case
from kisslab.train.loop import Recipe, fit, seconds_spent
from kisslab.train.pictures import crops, held_out, photographs, varied
from kisslab.train.traits import standardised, traits

RECIPE = Recipe(steps=24, rate=0.05, warmup=2, average=0.5, save_every=4, precision="no")


def line(rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """Points on y = 3 x - 1."""
    x = torch.from_numpy(rng.uniform(-1, 1, (16, 1)).astype(np.float32))
    return {"x": x, "y": 3 * x - 1}


def square(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {"square": ((model(batch["x"]) - batch["y"]) ** 2).mean()}


def model() -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(1, 1)


def weights(trained: torch.nn.Module) -> list[float]:
    return [float(p.detach()) for p in trained.parameters()]


def test_training_finds_the_line(tmp_path: Path) -> None:
    longer = replace(RECIPE, steps=400)
    slope, offset = weights(fit(model(), line, square, tmp_path, longer))
    assert abs(slope - 3) < 0.05 and abs(offset + 1) < 0.05


def test_a_killed_training_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = weights(fit(model(), line, square, tmp_path / "whole", RECIPE))
    calls = []

    def killed(rng: np.random.Generator) -> dict[str, torch.Tensor]:
        calls.append(rng)
        if len(calls) == 15:
            raise KeyboardInterrupt
        return line(rng)

    with pytest.raises(KeyboardInterrupt):
        fit(model(), killed, square, tmp_path / "killed", RECIPE)
    states = list((tmp_path / "killed").glob("state_*"))
    assert [s.name for s in states] == ["state_0000012"]
    (tmp_path / "killed" / "state_0000016.part").mkdir()  # as a kill while saving leaves it
    again = weights(fit(model(), line, square, tmp_path / "killed", RECIPE))
    np.testing.assert_allclose(again, whole, rtol=1e-6)


def test_cards_say_what_was_done(tmp_path: Path) -> None:
    fit(model(), line, square, tmp_path / "work", RECIPE)
    card = Card(
        title="a line",
        task="a straight line",
        data="48 points",
        recipe=RECIPE,
        seconds=seconds_spent(tmp_path / "work"),
        figures={"slope": 3.0},
        limits="Only lines.",
    )
    text = write_card(card, tmp_path / "out", tmp_path / "work").read_text()
    assert "| slope | 3 |" in text and "steps 24" in text and "license: apache-2.0" in text
    assert (tmp_path / "out" / "curve.csv").read_text().startswith("step,seconds,square")


def test_crops_and_variations_stay_pictures() -> None:
    rng = np.random.default_rng(0)
    stack = np.random.default_rng(1).integers(0, 256, (3, 40, 50, 3), dtype=np.uint8)
    x = crops(stack, rng, 5, 32)
    assert x.shape == (5, 3, 32, 32)
    y = varied(x, rng)
    assert y.shape == x.shape and float(y.min()) >= 0 and float(y.max()) <= 1
    assert float((y - x).abs().mean()) > 0.02


def test_a_quarter_of_the_photographs_is_held_out(photos: Path) -> None:
    held, kept = (photographs(photos, held=h) for h in (True, False))
    assert not set(held) & set(kept) and all(map(held_out, held))
    assert 0.15 < len(held) / (len(held) + len(kept)) < 0.35


@pytest.mark.slow
def test_a_studio_case_is_planned_where_the_people_really_are() -> None:
    case = studio_case(910_001, frames=2)
    planned = planned_points(case.motion, case.faces)[..., :2]
    sure = case.guide.confidence.astype(float) > 0.95
    face = sure & (case.guide.layers > 0) & case.people
    error = np.abs(case.guide.frames - case.truth / 255.0)[face]
    assert face.mean() > 0.01 and error.mean() < 0.12
    height, width = case.truth.shape[1:3]
    inside = (planned > 0) & (planned < [width, height])
    assert inside.mean() > 0.95


@pytest.mark.slow
def test_a_photograph_comes_back_where_it_was(photos: Path, models: Path) -> None:
    case = photograph_case(3, str(photos), held=False, frames=6)
    last = case.guide.frames[-1]
    sure = case.guide.confidence[-1].astype(float) > 0.9
    face = sure & (case.guide.layers[-1] > 0)
    off = np.abs(last - case.truth[-1] / 255.0)[face].mean()
    moved = np.abs(np.roll(last, 6, axis=1) - case.truth[-1] / 255.0)[face].mean()
    assert case.graded[-1] and face.mean() > 0.01 and off < 0.7 * moved


@pytest.mark.slow
def test_stills_differ_in_where_they_come_from_and_not_in_what_they_show(
    photos: Path, models: Path
) -> None:
    one, two = photograph_stills(7, str(photos), count=2)
    assert one.graded.tolist() == two.graded.tolist() == [True]
    np.testing.assert_array_equal(one.truth, two.truth)
    assert np.abs(one.photo.rgb - two.photo.rgb).mean() > 1e-3
    for case in (one, two):
        sure = case.guide.confidence[0].astype(float) > 0.9
        off = np.abs(case.guide.frames[0] - case.truth[0] / 255.0)[sure].mean()
        assert sure.mean() > 0.1 and off < 0.05


def test_both_people_of_a_lesson_are_cut_out_by_their_own_points(tmp_path: Path) -> None:
    middles = np.array([[60.0, 90.0], [180.0, 90.0]])
    face = 60 * np.random.default_rng(0).uniform(-0.5, 0.5, (478, 2))
    template = TEMPLATE - TEMPLATE.mean(axis=0)
    for key, place in zip(KEY_POINTS, template, strict=True):
        face[key] = place  # so that all faces are upright and as large as the template
    truth = np.zeros((3, 192, 256, 3), np.uint8)
    for colour, (x, y) in zip((80, 200), middles.astype(int), strict=True):
        truth[:, y - 20 : y + 20, x - 20 : x + 20] = colour
    lesson = Lesson(
        source=truth[0],
        guide=truth,
        confidence=truth[..., 0],
        truth=truth,
        people=truth[..., 0] > 0,
        points=np.broadcast_to(middles[:, None] + face, (3, 2, 478, 2)).astype(np.float16),
        crops=np.zeros((2, 112, 112, 3), np.uint8),
        graded=np.ones(3, bool),
    )
    gallery = lesson_gallery([lesson.save(tmp_path / "studio_00000000.npz")], every=2)
    assert gallery.person.tolist() == [0, 0, 1, 1]
    centres = gallery.rgba[:, 66:78, 66:78]
    assert (centres[:2] == [80, 80, 80, 255]).all() and (centres[2:] == [200, 200, 200, 255]).all()


def test_vectors_are_turned_to_older_ones_and_cosines_stay() -> None:
    rng = np.random.default_rng(4)
    old, turn = rng.normal(size=(60, 8)), np.linalg.qr(rng.normal(size=(8, 8)))[0]
    new = old @ turn
    found = turn_to(old, new)
    np.testing.assert_allclose(new @ found, old, atol=1e-10)
    np.testing.assert_allclose(found @ found.T, np.eye(8), atol=1e-10)


def test_the_exported_network_gives_turned_vectors(tmp_path: Path) -> None:
    torch.manual_seed(1)
    embedder = Embedder(16).eval()
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(16, 16)))[0]
    crops = np.random.default_rng(6).integers(0, 255, (3, 112, 112, 3), np.uint8)
    plain, turned = (
        embed_crops(crops, export(embedder, tmp_path / name, by))
        for name, by in (("plain", None), ("turned", turn))
    )
    np.testing.assert_allclose(plain @ turn, turned, atol=5e-3)  # weights in half precision


def test_traits_are_what_stays_and_are_scaled_by_the_population() -> None:
    person = sample_person(7)
    dressed = replace(person, garment="hoodie", cloth=(0.0, 0.0, 0.0), pattern="plain")
    assert (traits(dressed) == traits(person)).all()
    assert (traits(replace(person, hair="bald")) != traits(person)).any()
    rows = standardised([sample_person(seed) for seed in range(300)])
    assert np.isfinite(rows).all()
    assert np.abs(rows.mean(axis=0)).max() < 0.15 and np.abs(rows.std(axis=0) - 1).max() < 0.4


def test_photographs_without_traits_teach_only_who_they_are() -> None:
    torch.manual_seed(2)
    known = standardised([sample_person(1), sample_person(2)])
    model = ArcFace(np.concatenate([known, np.full((1, known.shape[1]), np.nan)]), size=16)
    batch = {"pictures": torch.rand(3, 3, 112, 112), "person": torch.tensor([0, 1, 2])}
    sum(losses(model, batch).values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert float(losses(model, batch)["traits"].detach()) > 0
    photographs_ = {**batch, "person": torch.tensor([2, 2, 2])}
    assert float(losses(model, photographs_)["traits"].detach()) == 0


def test_the_margin_grows() -> None:
    torch.manual_seed(3)
    model = ArcFace(np.full((5, 4), np.nan), size=16)
    model.embedder.eval()  # no dropout
    batch = {"pictures": torch.rand(8, 3, 112, 112), "person": torch.arange(8) % 5}
    first = float(losses(model, batch)["margin"].detach())
    model.seen.fill_(RISE / 2)
    middle = float(losses(model, batch)["margin"].detach())
    model.seen.fill_(10 * RISE)
    last, again = (float(losses(model, batch)["margin"].detach()) for _ in range(2))
    assert first + 1 < middle < last - 1
    assert last == again


def test_training_goes_on_with_other_people(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    old = ArcFace(np.zeros((3, 4)), size=16)
    save_file(old.state_dict(), tmp_path / "model.safetensors")
    gallery = Gallery(
        rgba=rng.integers(0, 255, (70, 144, 144, 4), np.uint8),  # more than a batch
        person=np.sort(rng.integers(0, 5, 70)),
        yaw=np.zeros(70),
    )
    new = ArcFace(np.zeros((5, 4)), size=16)
    new.go_on_from(tmp_path / "model.safetensors", gallery)
    torch.testing.assert_close(new.guess.weight, old.guess.weight)
    x = torch.from_numpy(gallery.crops.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1
    vectors = torch.nn.functional.normalize(old.eval().embedder(x)).detach()
    own = vectors[torch.from_numpy(gallery.person == 2)].mean(dim=0)
    assert torch.cosine_similarity(new.centres[2].detach(), own, dim=0) > 0.999
    assert new.training and float(new.seen) == RISE
    save_file({"weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    save_file(ArcFace(np.zeros((3, 4)), size=32).state_dict(), tmp_path / "larger.safetensors")
    for name in ("other", "larger"):
        with pytest.raises(ValueError, match="no checkpoint of kisslab-id"):
            new.go_on_from(tmp_path / f"{name}.safetensors", gallery)
