"""Oracles: geometry of what was done to a photo, perfect and broken clips, closed forms."""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from kisslab import anatomy as at
from kisslab import assess, failures, show
from kisslab.bench import difficulty
from kisslab.faces import FaceError, Faces
from kisslab.failures import Forecast, Trial, face_errors, film_measures, load_curves, try_case
from kisslab.photo import Photo
from kisslab.plan import plan_kiss
from kisslab.records import Result
from kisslab.studio.hard import AWAY, FAR, KINDS, TILT, HardCase, hard_case, to_contact

SEED, SIZE = 970_003, 96  # small pictures: rendering is all that these tests wait for
COUPLE = tuple(kind for kind in KINDS if kind != "mismatched pair")


@pytest.fixture(scope="module")
def weak() -> dict[str, HardCase]:
    return {kind: hard_case(kind, 0.0, SEED, frames=1, size=SIZE) for kind in KINDS}


@pytest.fixture(scope="module")
def strong() -> dict[str, HardCase]:
    return {kind: hard_case(kind, 1.0, SEED, frames=2, size=SIZE) for kind in KINDS}


def who(case: HardCase) -> int:
    """Whom it concerns where only one of the two is concerned."""
    return case.seed % 2


@pytest.mark.parametrize("kind", COUPLE)
def test_nothing_is_wrong_at_strength_0(kind: str, weak: dict[str, HardCase]) -> None:
    plain = weak["profile"]
    # A tilted picture is drawn larger: its wall and grain differ, so smooth faces are compared.
    smooth = [cv2.GaussianBlur(c.photos[0].rgb, (0, 0), 2.0) for c in (weak[kind], plain)]
    for left, top, right, bottom in plain.faces.boxes.round().astype(int):
        one, other = (picture[top:bottom, left:right] for picture in smooth)
        assert np.abs(one - other).mean() < 0.01
    np.testing.assert_allclose(weak[kind].faces.points, plain.faces.points, atol=1e-6)
    np.testing.assert_allclose(weak[kind].faces.angles, plain.faces.angles, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_more_the_worse_to_look_at(kind: str, weak, strong) -> None:
    """By `assess`, whose checks were written before these photos were."""
    found = [_assessed(cases[kind]) for cases in (weak, strong)]
    assert found[1].readiness < found[0].readiness
    assert found[1].difficulty > found[0].difficulty


def _assessed(case: HardCase):
    if len(case.photos) == 1:
        return assess(case.photos[0], case.faces)
    from kisslab.assessment import assess_portraits
    from kisslab.faces import mesh_detector

    detect = mesh_detector()
    return assess_portraits(case.photos, tuple(detect(p.rgb).pick([0]) for p in case.photos))


def test_a_profile_looks_away_from_the_partner(weak, strong) -> None:
    person = who(strong["profile"])
    assert strong["profile"].faces.angles[person, 0] == pytest.approx((2 * person - 1) * AWAY)
    other = 1 - person
    before = weak["profile"].faces.angles[other]
    np.testing.assert_allclose(strong["profile"].faces.angles[other], before)


def test_a_mug_covers_the_mouth_and_nothing_else(weak, strong) -> None:
    case, plain = strong["covered mouth"], weak["covered mouth"]
    changed = np.abs(case.photos[0].rgb - plain.photos[0].rgb).max(axis=-1) > 0.05
    lips = case.faces.points[who(case), at.LIPS, :2].astype(int)
    assert changed[lips[:, 1], lips[:, 0]].all()
    eyes = case.faces.points[:, [at.RIGHT_EYE_OUTER, at.LEFT_EYE_OUTER], :2].reshape(-1, 2)
    assert not changed[tuple(eyes.astype(int).T[::-1])].any()
    assert changed.mean() < 0.15
    assert "painted" in case.note


def test_harsh_light_is_uneven(weak, strong) -> None:
    even = [
        min(c.value for c in _assessed(cases["harsh light"]).checks if c.name == "even")
        for cases in (weak, strong)
    ]
    assert even[1] < 0.5 * even[0]


def test_tiny_faces_are_as_many_times_smaller(weak, strong) -> None:
    small, plain = strong["tiny face"], weak["tiny face"]
    assert small.zoom == FAR
    points = small.faces.points[..., :2] * small.zoom + small.shift
    np.testing.assert_allclose(points, plain.faces.points[..., :2], atol=1e-6)
    np.testing.assert_allclose(small.faces.iod * FAR, plain.faces.iod, rtol=1e-6)


def test_a_tilted_camera_turns_points_heads_and_pixels_alike(weak, strong) -> None:
    tilted, plain = strong["tilted camera"], weak["tilted camera"]
    sign = 1 if SEED % 2 else -1  # counter-clockwise for odd seeds
    middle = np.array([SIZE, SIZE * 0.75]) / 2
    turn = np.exp(-1j * np.radians(sign * TILT))  # y goes down
    z = (plain.faces.points[..., :2] - middle) @ [1, 1j] * turn
    expected = np.stack([z.real, z.imag], axis=-1) + middle
    np.testing.assert_allclose(tilted.faces.points[..., :2], expected, atol=1e-6)
    rolled = tilted.faces.angles[:, 2] - plain.faces.angles[:, 2]
    np.testing.assert_allclose(rolled, sign * TILT, atol=6)  # yaw mixes a little into it
    matrix = cv2.getRotationMatrix2D((middle - 0.5).tolist(), sign * TILT, 1.0)
    high, wide = plain.photos[0].rgb.shape[:2]
    by_opencv = cv2.warpAffine(plain.photos[0].rgb, matrix, (wide, high))
    inside = cv2.warpAffine(np.ones((high, wide), np.float32), matrix, (wide, high)) > 0.99
    assert np.abs(by_opencv - tilted.photos[0].rgb)[inside].mean() < 0.02  # other grain


@pytest.mark.parametrize("kind", KINDS)
def test_the_film_is_exact(kind: str, strong) -> None:
    """Its points lie where the plan has the anchors, on people, and its flow leads along."""
    case = strong[kind]
    film, motion = case.truth, case.motion
    assert motion.phases[-1] == "contact"
    lips = film.points[-1][:, at.STOMION].mean(axis=1)
    if kind not in ("tilted camera", "tiny face"):
        planned = motion.position[-1, :, :2] * motion.unit + motion.origin
        np.testing.assert_allclose(lips, planned, atol=0.02 * motion.unit)
    gap = np.linalg.norm(lips[1] - lips[0]) / motion.unit
    assert gap == pytest.approx(motion.gap[-1], abs=0.02)
    nose = film.points[:, :, at.NOSE_TIP]
    x, y = np.floor(nose[0]).astype(int).T
    inside = (x > 1) & (y > 1) & (x < film.people.shape[2] - 2) & (y < film.people.shape[1] - 2)
    assert film.people[0, y[inside], x[inside]].all()


def test_a_plan_to_the_contact_has_an_even_pace(weak) -> None:
    motion = to_contact(weak["profile"].faces, frames=5)
    assert len(motion.gap) == 5 and motion.phases[-1] == "contact"
    assert motion.fps * 5 <= 24 * 2.5


def test_more_frames_than_there_are_until_the_contact_are_a_plain_error(weak) -> None:
    faces = weak["profile"].faces
    most = plan_kiss(faces).contact
    assert len(to_contact(faces, most).gap) == most
    for frames in (0, most + 1):
        with pytest.raises(ValueError, match=f"frames={frames}: give 1 to {most}"):
            to_contact(faces, frames)


def test_unknown_kinds_and_strengths_are_plain_errors() -> None:
    with pytest.raises(ValueError, match="kind='rain': there are profile, covered mouth"):
        hard_case("rain", 0.5, SEED)
    with pytest.raises(ValueError, match=r"strength=1\.5: give 0"):
        hard_case("profile", 1.5, SEED)
    with pytest.raises(ValueError, match="size=85: give at least 86 pixels"):
        hard_case("profile", 0.5, SEED, size=85)
    with pytest.raises(ValueError, match="kind='rain'"):
        load_curves("rain")


def test_a_perfect_clip_has_no_error(strong) -> None:
    film = strong["profile"].truth
    np.testing.assert_allclose(face_errors(film.frames, film), 0, atol=1e-6)


def test_the_error_grows_with_how_far_off_a_clip_is(strong) -> None:
    film = strong["tiny face"].truth
    off = [np.roll(film.frames, pixels, axis=2) for pixels in (0, 1, 2, 4)]
    errors = [face_errors(made, film).mean() for made in off]
    assert np.all(np.diff(errors) > 0) and errors[-1] < 1
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 2.0) for frame in film.frames])
    assert 0.05 < face_errors(blurred, film).mean() < 1


def test_measures_of_a_perfect_clip(strong) -> None:
    case = strong["harsh light"]
    values = {m.name: m.value for m in film_measures(case.truth.frames, case, _nobody)}
    assert values["identity"] == pytest.approx(1, abs=1e-5)
    assert values["SSIM"] == pytest.approx(1) and values["sharpness"] == pytest.approx(1)
    assert values["PSNR"] == np.inf and values["faces found"] == 0
    assert np.isnan(values["landmark error"]) and np.isnan(values["lip gap at contact"])
    grey = np.full_like(case.truth.frames, 128)
    worse = {m.name: m.value for m in film_measures(grey, case, _nobody)}
    assert worse["identity"] < 0.5 and worse["SSIM"] < 0.5 and worse["PSNR"] < 20
    assert worse["warping error"] == worse["flicker"] == worse["sharpness"] == 0  # the traps


def _nobody(rgb: np.ndarray) -> Faces:
    empty = np.zeros((0, 478, 3))
    return Faces(
        points=empty, boxes=np.zeros((0, 4)), angles=np.zeros((0, 3)),
        blendshapes=np.zeros((0, 52)), expressions=(), detector="", models=(), notes=(),
    )  # fmt: skip


def _blind(photo: Photo, need: int = 1) -> Faces:
    raise FaceError("couple: no face found; take another photo")


@pytest.mark.parametrize("kind", ["harsh light", "mismatched pair"])
def test_a_photo_that_is_refused_counts_as_lost(kind: str, strong, tmp_path) -> None:
    trial = try_case(strong[kind], find=_blind)
    assert trial.error == trial.difficulty == 1 and trial.readiness == 0
    assert trial.refused.startswith("couple: no face found")
    again = Trial.load(trial.save(tmp_path / "trial.npz"))
    assert again.assessment is None and again.case.kind == kind
    np.testing.assert_array_equal(again.made, trial.made)
    assert trial.made.shape == strong[kind].truth.frames.shape


@pytest.mark.slow
def test_an_easy_photo_becomes_a_better_clip_than_a_hard_one() -> None:
    """The whole way, with the exact points in a detector's place."""
    errors = []
    for strength in (0.0, 1.0):
        case = hard_case("tilted camera", strength, SEED, frames=2, size=192)
        trial = try_case(case, find=lambda photo, need=1, faces=case.faces: faces)
        assert not trial.refused and trial.made.shape == case.truth.frames.shape
        errors.append(trial.error)
    assert errors[0] < errors[1] < 1


def test_rank_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(3)
    told, came = rng.random(40), rng.random(40)
    found = _forecast(told, 0.5 * told + came)
    d = rankdata(found.difficulty) - rankdata(found.errors)
    by_hand = 1 - 6 * np.sum(d**2) / (40 * (40**2 - 1))  # Spearman 1904, without ties
    assert found.rank_correlation == pytest.approx(by_hand)
    half = found.pick(np.arange(40) < 20)
    assert len(half.kinds) == len(half.errors) == 20
    found.plot()


def _forecast(difficulty: np.ndarray, errors: np.ndarray) -> Forecast:
    count = len(errors)
    return Forecast(
        kinds=tuple(KINDS[i % len(KINDS)] for i in range(count)),
        strengths=np.linspace(0, 1, count),
        readiness=1 - difficulty,
        difficulty=difficulty,
        errors=errors,
        refused=np.zeros(count, bool),
    )


def test_the_bench_resumes_where_it_was(strong, tmp_path, monkeypatch) -> None:
    made: list[str] = []

    def once(case: HardCase) -> Result:
        made.append(case.kind)
        return replace(failures.try_case(case, find=_blind), refused="")

    def quick(kind: str, strength: float, seed: int, frames: int) -> HardCase:
        return replace(strong[kind], strength=strength, seed=seed)

    monkeypatch.setattr(difficulty, "try_case", once)
    monkeypatch.setattr(difficulty, "hard_case", quick)
    chosen = list(difficulty.photos(1))
    assert [kind for kind, _, _ in chosen] == list(KINDS)
    assert len({strength for _, strength, _ in chosen}) == len(KINDS)
    _take(difficulty.trials(tmp_path, iter(chosen)), 4)  # killed in the fifth
    again = list(difficulty.trials(tmp_path, iter(chosen)))
    assert made == [kind for kind, _, _ in chosen] and len(again) == len(chosen)
    assert [trial.case.strength for trial in again] == [strength for _, strength, _ in chosen]


def _take(source: Iterator[Trial], count: int) -> None:
    for _ in range(count):
        next(source)


@pytest.mark.parametrize("kind", KINDS)
def test_packaged_curves_get_worse(kind: str) -> None:
    curves = load_curves(kind)
    assert curves.kind == kind and curves.pictures.shape[:2] == (len(curves.strengths), 3)
    assert curves.errors[-1] > curves.errors[0]
    assert curves.difficulty[-1] > curves.difficulty[0]
    assert spearmanr(curves.strengths, curves.difficulty).statistic >= 0.8  # one exchange of five
    assert spearmanr(curves.strengths, curves.errors).statistic >= 0.6
    assert curves["SSIM"].shape == curves.strengths.shape
    with pytest.raises(KeyError, match="no measure 'beauty'; there are identity"):
        curves["beauty"]
    curves.plot()


def test_the_packaged_forecast_ranks_as_it_must() -> None:
    told = failures.load_forecast()
    assert set(told.kinds) == set(KINDS)
    found = spearmanr(told.difficulty, told.errors)
    assert found.statistic >= 0.7 and found.pvalue < 0.001
    assert told.rank_correlation == pytest.approx(found.statistic)


def test_panels_and_dots_draw_what_they_are_given() -> None:
    from matplotlib import pyplot

    show.panels(np.arange(3), {"a (px)": {"": np.ones(3)}, "b": {"x": np.ones(3)}}, "strength")
    inner = pyplot.gca().child_axes
    assert [ax.get_title() for ax in inner] == ["a (px)", "b"]
    assert inner[0].get_legend() is None and inner[1].get_legend() is not None
    show.dots({"one": np.ones((2, 2)), "two": np.zeros((1, 2))}, "x", "y")
    assert len(pyplot.gca().collections) == 2
    pyplot.close("all")
