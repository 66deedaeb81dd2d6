"""Oracles: closed forms, scipy, MediaPipe's own matrix, promises kept for any two faces, a clip
rendered from a known plan."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import people
import pytest
from matplotlib import pyplot
from numpy.polynomial import Polynomial
from scipy.spatial.transform import Rotation

from kisslab import anatomy as at
from kisslab import driving, zoo
from kisslab.composite import Composite, compose
from kisslab.contact import PROTRUSION, SOFT, nose_crossings, placed_points
from kisslab.driving import motion_from_clip
from kisslab.faces import FaceError, Faces
from kisslab.guide import draw_guide
from kisslab.keyframes import QUANTITIES, Keyframes, Track, minimum_jerk
from kisslab.motion import PHASES, TOUCH, Motion, motion_from_keyframes
from kisslab.plan import FARTHEST_TURN, STYLES, find_style, plan_kiss
from kisslab.pose import ANCHORS, anchor_point, anchor_points, head_rotation

NAMES = [style.name for style in STYLES]
NAMES = [style.name for style in STYLES]
KISSES = [style.name for style in STYLES if style.anchors == ("lips", "lips")]
RATIOS = np.geomspace(0.5, 2.0, 20)  # of the left face's size to the right one's
PAIRS = [("a_01", "a_05"), ("b_21", "a_03"), ("a_06", "b_33")]


def scaled(faces: Faces, person: int, ratio: float) -> Faces:
    """One person's points scaled about their middle."""
    points = faces.points.copy()
    middle = points[person].mean(0)
    points[person] = middle + ratio * (points[person] - middle)
    return replace(faces, points=points)


def placed(left: Faces, right: Faces, apart: float = 2.4) -> Faces:
    """Two single faces as one couple: mouths level, `apart` inter-ocular distances between them."""
    unit = left.iod[0]
    other = right.points[0] * unit / right.iod[0]
    goal = left.points[0, at.STOMION].mean(0) + np.array([apart * unit, 0, 0])
    points = np.stack([left.points[0], other + goal - other[at.STOMION].mean(0)])
    angles = np.concatenate([left.angles, right.angles])
    return replace(people.as_faces(*points), angles=angles)


@pytest.fixture(scope="module")
def drawn() -> Faces:
    return people.draw_couple((640, 400), width=140.0).faces


@pytest.fixture(scope="module")
def packaged() -> Faces:
    """The packaged portraits' points, no model needed."""
    return placed(*(Faces.load(p.with_suffix(".faces.npz")) for p in zoo.demo_portraits()))


def test_minimum_jerk_is_the_polynomial_that_rests_at_both_ends() -> None:
    polynomial = Polynomial([0, 0, 0, 10, -15, 6])  # Flash and Hogan 1985
    t = np.linspace(0, 1, 101)
    np.testing.assert_allclose(minimum_jerk(t), polynomial(t), atol=1e-12)
    for order in (1, 2):  # neither speed nor acceleration
        np.testing.assert_allclose(polynomial.deriv(order)(np.array([0.0, 1.0])), 0, atol=1e-9)
    h = 1e-4
    steps = np.array([0.0, h, 1 - h, 1.0])
    start, after, before, end = minimum_jerk(steps)
    assert max(after - start, end - before) / h < 1e-6
    np.testing.assert_array_equal(minimum_jerk(np.array([-3.0, 7.0])), [0, 1])


def test_a_track_passes_its_keys_at_rest_and_stays_between_them() -> None:
    track = Track(0, "yaw", (0.5, 1.0, 2.0), (10.0, -20.0, 5.0))
    np.testing.assert_allclose(track.at(np.array(track.times)), track.values)
    np.testing.assert_allclose(track.at(np.array([0.0, 9.0])), [10, 5])  # held before and after
    assert track.at(np.array([0.75]))[0] == pytest.approx(-5)  # half way at half time
    h = 1e-4
    for time in track.times:
        assert abs(np.diff(track.at(np.array([time - h, time + h])))[0]) / h < 1e-3
    assert np.all(np.diff(track.at(np.linspace(0.5, 1, 50))) <= 0)


def test_head_rotation_is_the_product_of_three_turns() -> None:
    angles = np.random.default_rng(0).uniform(-80, 80, (20, 3))
    yaw, pitch, roll = np.radians(angles).T
    zero = np.zeros(20)
    turns = [Rotation.from_rotvec(np.stack(v, -1)).as_matrix()
             for v in ((zero, yaw, zero), (pitch, zero, zero), (zero, zero, roll))]  # fmt: skip
    np.testing.assert_allclose(head_rotation(angles), turns[0] @ turns[1] @ turns[2], atol=1e-12)
    assert head_rotation(angles.reshape(4, 5, 3)).shape == (4, 5, 3, 3)


def test_signs_of_head_rotation_are_as_documented() -> None:
    """In the frame x right, y up, z to the camera: the nose points along z, the crown along y."""
    ahead, up = np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])
    assert (head_rotation(np.array([30.0, 0, 0])) @ ahead)[0] > 0.4  # looks to the right
    assert (head_rotation(np.array([0, 30.0, 0])) @ ahead)[1] < -0.4  # looks down
    assert (head_rotation(np.array([0, 0, 30.0])) @ up)[0] < -0.4  # leans to the left


@pytest.mark.parametrize("name", ["portraits/sfhq_a_01.jpg", "diverse/facial_hair_36.jpg"])
def test_head_rotation_gives_back_mediapipes_matrix(name: str, models: Path) -> None:
    from mediapipe import Image, ImageFormat
    from mediapipe.tasks.python import BaseOptions, vision

    photo, faces = people.portrait(name)
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(models / "face_landmarker.task")),
        output_facial_transformation_matrixes=True,
    )
    data = (photo.rgb * 255 + 0.5).astype(np.uint8)
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        answer = landmarker.detect(Image(image_format=ImageFormat.SRGB, data=data))
    matrix = np.array(answer.facial_transformation_matrixes[0])[:3, :3]
    np.testing.assert_allclose(head_rotation(faces.angles[0]), matrix, atol=2e-3)


def test_anchors_are_the_places_that_their_names_say(drawn: Faces) -> None:
    left, right = drawn.points
    np.testing.assert_allclose(
        anchor_point(left, "lips", 0), (left[13] + left[14]) / 2  # where the lips meet
    )  # fmt: skip
    for person, points in enumerate(drawn.points):
        brows = points[np.r_[at.LEFT_BROW, at.RIGHT_BROW]]
        forehead, cheek = (anchor_point(points, name, person) for name in ("forehead", "cheek"))
        assert forehead[1] < brows[:, 1].min() and abs(forehead[0] - points[1, 0]) < 1e-9
        assert points[at.NOSE_TIP, 1] < cheek[1] + 20 < points[at.CHIN, 1]
    assert anchor_point(left, "cheek", 0)[0] > left[at.NOSE_TIP, 0]  # the partner's side
    assert anchor_point(right, "cheek", 1)[0] < right[at.NOSE_TIP, 0]
    with pytest.raises(ValueError, match="anchor 'ear' is not known; choose one of lips, foreh"):
        anchor_point(left, "ear", 0)


@pytest.mark.parametrize("style", NAMES)
def test_promises_hold_for_any_two_face_sizes(style: str, drawn: Faces) -> None:
    for ratio in RATIOS:
        motion = plan_kiss(scaled(drawn, 0, float(ratio)), style)
        check_promises(motion)


@pytest.mark.parametrize("style", NAMES)
@pytest.mark.parametrize("seconds", [0.5, 1.0, 6.0])
def test_promises_hold_for_any_length(style: str, seconds: float, packaged: Faces) -> None:
    motion = plan_kiss(packaged, style, seconds=seconds, fps=48.0)
    assert len(motion.gap) == round(seconds * 48)
    check_promises(motion, slow=seconds >= 2.5)


def check_promises(motion: Motion, slow: bool = True) -> None:
    between = np.linalg.norm(motion.position[:, 1] - motion.position[:, 0], axis=-1)
    np.testing.assert_allclose(between, motion.gap, atol=1e-9)
    contact = motion.phases.index("contact")
    assert motion.gap[motion.contact] <= TOUCH
    assert np.all(motion.gap[np.array(motion.phases) == "contact"] <= 0.05)
    assert np.all(np.diff(motion.gap[: contact + 1]) <= 1e-12)
    steps = np.linalg.norm(np.diff(motion.position, axis=0), axis=-1)
    if slow:
        assert max(steps[0].max(), steps[-1].max()) <= 0.01
    order = [PHASES.index(phase) for phase in motion.phases]
    assert order == sorted(order)  # apart, approach, near, contact, release


def test_the_first_frame_is_the_photo(packaged: Faces) -> None:
    for style in NAMES:
        motion = plan_kiss(packaged, style)
        anchors = anchor_points(packaged, motion.anchors)
        place = motion.position[0, :, :2] * motion.unit + motion.origin
        np.testing.assert_allclose(place, anchors[:, :2], atol=1e-6)
        np.testing.assert_allclose(motion.angles[0], packaged.angles, atol=1e-9)
        np.testing.assert_allclose(motion.parting[0], packaged.mouth_openness, atol=1e-9)
        assert motion.eyelids[0].max() == motion.pucker[0].max() == 0
        points = placed_points(motion, packaged, 0)[..., :2] * motion.unit + motion.origin
        np.testing.assert_allclose(points, packaged.points[..., :2], atol=1e-6)


def test_placed_points_are_rigid_and_turned_by_the_plan(packaged: Faces) -> None:
    motion = plan_kiss(packaged, "tender")
    t = motion.contact
    for person in (0, 1):
        before = packaged.points[person] / motion.unit
        after = placed_points(motion, packaged, t)[person]
        turn, _ = Rotation.align_vectors(after - after.mean(0), before - before.mean(0))
        np.testing.assert_allclose(
            turn.apply(before - before.mean(0)), after - after.mean(0), atol=1e-6
        )
        down = np.diag([1.0, -1.0, -1.0])
        expected = (
            down
            @ head_rotation(motion.angles[t, person])
            @ head_rotation(packaged.angles[person]).T
            @ down
        )
        np.testing.assert_allclose(turn.as_matrix(), expected, atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("style", NAMES)
def test_no_nose_enters_the_partner_before_contact(style: str, packaged: Faces) -> None:
    motion = plan_kiss(packaged, style)
    contact = motion.phases.index("contact")
    assert nose_crossings(motion, packaged)[:contact].sum() == 0
    straight = motion_from_keyframes(level(motion.keyframes), packaged)
    if style in KISSES:  # without the tilt they do
        assert nose_crossings(straight, packaged)[:contact].sum() > 0


@pytest.mark.parametrize("style", NAMES)
@pytest.mark.parametrize("names", PAIRS)
def test_no_nose_of_real_portraits_enters_the_partner(style: str, names: tuple[str, str]) -> None:
    faces = placed(*(people.portrait(f"portraits/sfhq_{name}.jpg")[1] for name in names))
    motion = plan_kiss(faces, style)
    contact = motion.phases.index("contact")
    assert nose_crossings(motion, faces)[:contact].sum() == 0


def level(plan: Keyframes) -> Keyframes:
    """The same plan without tilt and chin."""
    tracks = [
        replace(t, values=tuple(0.0 for _ in t.values)) if t.quantity in ("pitch", "roll") else t
        for t in plan.tracks
    ]
    return replace(plan, tracks=tuple(tracks))


def still(gap: float, **values: tuple[float, float]) -> Keyframes:
    """A plan in which nothing moves; what is not named is zero."""
    tracks = [Track(-1, "gap", (0.0,), (gap,))]
    for person in (0, 1):
        for name in QUANTITIES:
            tracks.append(Track(person, name, (0.0,), (values.get(name, (0.0, 0.0))[person],)))
    return Keyframes("still", 0.5, 4.0, ("lips", "lips"), tuple(tracks))


def test_noses_cross_exactly_when_their_lengths_exceed_the_gap(drawn: Faces) -> None:
    """Two mirror images face to face: noses meet tip to tip when gap = 2 (nose - lips)."""
    points = drawn.points[0]
    lips = points[at.STOMION, 2].mean()
    nose = (lips - points[at.NOSE, 2].min()) / drawn.iod.mean()
    for spare, crosses in ((0.03, False), (-0.03, True)):
        for pucker in (0.0, 1.0):  # puckered lips keep the faces farther apart
            gap = 2 * nose - SOFT - 2 * PROTRUSION * pucker + spare
            plan = still(gap, yaw=(90.0, -90.0), pucker=(pucker, pucker))
            count = nose_crossings(motion_from_keyframes(plan, drawn), drawn)
            assert np.all((count > 0) == crosses), (spare, pucker)
    apart = motion_from_keyframes(still(2.4), drawn)
    assert nose_crossings(apart, drawn).sum() == 0


@pytest.mark.parametrize("style", NAMES)
def test_heads_turn_toward_each_other_and_tilt_in_opposite_senses(style: str, drawn: Faces) -> None:
    motion = plan_kiss(drawn, style)
    t = motion.contact
    assert motion.angles[t, 0, 0] > 0 > motion.angles[t, 1, 0]
    if style in KISSES:
        assert motion.angles[t, 0, 0] >= 60 and motion.angles[t, 1, 0] <= -60
        # Face to face, two who both lean to their own right lean in opposite senses.
        assert np.all(motion.angles[t, :, 2] >= 7)
        assert np.all(motion.angles[t, :, 1] <= 0)


@pytest.mark.parametrize("yaw", [-60.0, -30.0, 0.0, 40.0])
def test_no_head_turns_farther_than_its_photo_allows(yaw: float, drawn: Faces) -> None:
    for person, side in ((0, 1.0), (1, -1.0)):
        angles = np.zeros((2, 3))
        angles[person, 0] = side * yaw
        motion = plan_kiss(replace(drawn, angles=angles), "tender")
        turned = side * (motion.angles[motion.contact, person, 0] - angles[person, 0])
        assert turned <= FARTHEST_TURN + 1


@pytest.mark.parametrize("style", NAMES)
def test_eyes_close_and_lips_pucker_before_contact(style: str, drawn: Faces) -> None:
    motion = plan_kiss(drawn, style)
    chosen, first = find_style(style), motion.phases.index("contact")
    kisser = motion.anchors.index("lips") if set(motion.anchors) != {"lips"} else 0
    for person, role in ((kisser, 0), (1 - kisser, 1)):
        assert motion.eyelids[first, person] >= 0.95 * chosen.eyelids[role]
        puckers = chosen.pucker if motion.anchors[person] == "lips" else 0.0
        assert motion.pucker[first, person] == pytest.approx(puckers, rel=0.1)
    assert motion.eyelids.min() >= 0 and motion.eyelids.max() <= 1
    blink = motion.eyelids[: first // 2]
    assert blink.max() > 0.5  # each blinks once while they are apart


def test_the_taller_one_kisses_the_forehead(drawn: Faces) -> None:
    for person, expected in ((0, ("lips", "forehead")), (1, ("forehead", "lips"))):
        points = drawn.points.copy()
        points[person, :, 1] -= 40
        assert plan_kiss(replace(drawn, points=points), "forehead").anchors == expected


def test_parting_styles_release_and_others_hold(drawn: Faces) -> None:
    for style in STYLES:
        motion = plan_kiss(drawn, style.name)
        if style.leave < 1:
            assert motion.phases[-1] == "release" and motion.gap[-1] > 0.5
        else:
            assert motion.phases[-1] == "contact" and motion.gap[-1] <= TOUCH


@pytest.mark.parametrize("frames", [4, 5, 5.5, 6])
def test_parting_takes_no_more_than_four_frames(frames: float, drawn: Faces) -> None:
    motion = plan_kiss(drawn, "cheek", seconds=frames / 8, fps=8.0)
    assert motion.phases[-2:] in [("contact", "release"), ("release", "release")]
    assert motion.phases.count("contact") >= 1 and motion.gap[-1] > 0.5
    for track in motion.keyframes.tracks:
        assert track.times[-1] <= motion.keyframes.seconds


def test_french_sways_while_touching_and_the_others_less(drawn: Faces) -> None:
    def sway(style: str) -> float:
        motion = plan_kiss(drawn, style)
        touching = np.flatnonzero(np.array(motion.phases) == "contact")
        return float(np.ptp(motion.angles[touching[len(touching) // 3 :], 0, 2]))

    assert sway("french") > 4 > sway("tender")


def test_seeds_are_reproducible_and_differ(drawn: Faces) -> None:
    one, same, other = (plan_kiss(drawn, seed=seed) for seed in (7, 7, 8))
    for (name, a), (_, b), (_, c) in zip(one.items(), same.items(), other.items(), strict=True):
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)
            if name in ("eyelids", "gaze"):
                assert not np.array_equal(a, c), name
            if name in ("gap", "position"):
                np.testing.assert_array_equal(a, c)


def test_what_cannot_be_planned_is_refused_in_words(drawn: Faces) -> None:
    with pytest.raises(ValueError, match="style='shy' is not known; choose one of peck, tender"):
        plan_kiss(drawn, "shy")
    with pytest.raises(FaceError, match=r"takes two faces, not 1; see find_faces\(need=2\)"):
        plan_kiss(drawn.pick([0]))
    with pytest.raises(ValueError, match=r"seconds=0.2, fps=24.0: plan at least 0.5 s"):
        plan_kiss(drawn, seconds=0.2)
    with pytest.raises(ValueError, match=r"fps=1.0"):
        plan_kiss(drawn, fps=1.0)


def test_a_plan_shows_itself(drawn: Faces) -> None:
    motion = plan_kiss(drawn)
    motion.plot()
    words = {text.get_text() for text in pyplot.gca().texts}
    assert set(motion.phases) <= words
    pyplot.close("all")


def test_json_round_trip(drawn: Faces, tmp_path: Path) -> None:
    motion = plan_kiss(drawn, "forehead", seed=5)
    plan = Keyframes.from_json(motion.keyframes.to_json(tmp_path / "plan.json"))
    assert [dict(t.items()) for t in plan.tracks] == [
        dict(t.items()) for t in motion.keyframes.tracks
    ]
    again = motion_from_keyframes(plan, drawn)
    for (name, a), (_, b) in zip(motion.items(), again.items(), strict=True):
        if name != "keyframes":
            np.testing.assert_array_equal(a, b)
    assert [p.name for p in tmp_path.iterdir()] == ["plan.json"]


def edited(change: object) -> object:
    """A bad file made from a good one."""

    def make(data: dict) -> str:
        change(data)
        return json.dumps(data)

    return make


BAD_PLANS = {
    "not JSON": (lambda data: "kiss me", r"not JSON \(.*\); save a plan with to_json"),
    "bytes": (lambda data: b"\xff\xfe\x00", r"not JSON"),
    "a list": (lambda data: "[]", r"\$: \[\] is not of type 'object'"),
    "nothing in it": (lambda data: "{}", r"'kisslab' is a required property"),
    "another kind": (edited(lambda d: d.update(kisslab="clip")), r"\$.kisslab: 'keyframes' was"),
    "no seconds": (edited(lambda d: d.pop("seconds")), r"'seconds' is a required property"),
    "too long": (edited(lambda d: d.update(seconds=1e6)), r"\$.seconds: 1000000.0 is greater"),
    "too slow": (edited(lambda d: d.update(fps=0)), r"\$.fps: 0.0 is less than the minimum of 1"),
    "words for numbers": (edited(lambda d: d.update(fps="24")), r"\$.fps: '24' is not of type"),
    "unknown field": (edited(lambda d: d.update(mood="shy")), r"'mood' was unexpected"),
    "unknown anchor": (edited(lambda d: d.update(anchors=["lips", "ear"])), r"\$.anchors\[1\]"),
    "third person": (edited(lambda d: d["tracks"][1].update(person=2)), r"person: 2.0 is not"),
    "unknown track": (edited(lambda d: d["tracks"][1].update(quantity="ears")), r"'ears' is not"),
    "missing track": (edited(lambda d: d["tracks"].pop(0)), r"are missing: \['-1 gap'\]"),
    "a track twice": (
        edited(lambda d: d["tracks"].__setitem__(0, d["tracks"][1])), r"are missing: \['-1 gap'\]"
    ),
    "no keys": (edited(lambda d: d["tracks"][0].update(times=[])), r"\[0\].times: \[\] "),
    "not a number": (
        edited(lambda d: d["tracks"][0]["values"].__setitem__(0, math.nan)), r"NaN is no number"
    ),
    "infinite": (
        edited(lambda d: d["tracks"][0]["values"].__setitem__(0, math.inf)), r"Infinity is no"
    ),
    "fewer values": (
        edited(lambda d: d["tracks"][0]["values"].pop()), r"track 'gap' of person -1: times must"
    ),
    "backwards": (
        edited(lambda d: d["tracks"][0]["times"].reverse()), r"track 'gap' of person -1: times must"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_PLANS)
def test_a_bad_plan_is_one_clear_error(case: str, drawn: Faces, tmp_path: Path) -> None:
    make, words = BAD_PLANS[case]
    path = plan_kiss(drawn).keyframes.to_json(tmp_path / "plan.json")
    content = make(json.loads(path.read_text()))
    path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content)
    with pytest.raises(ValueError, match=r"^plan\.json: ") as error:
        Keyframes.from_json(path)
    assert error.match(words)


def test_whole_numbers_in_a_plan_are_numbers(drawn: Faces, tmp_path: Path) -> None:
    path = plan_kiss(drawn).keyframes.to_json(tmp_path / "plan.json")
    data = json.loads(path.read_text())
    data.update(seconds=2, fps=12)
    data["tracks"][0].update(times=[0, 1, 2], values=[3, 0, 0])
    path.write_text(json.dumps(data))
    plan = Keyframes.from_json(path)
    assert all(type(v) is float for v in (plan.seconds, plan.fps, *plan.tracks[0].times))
    np.testing.assert_allclose(motion_from_keyframes(plan, drawn).gap[[0, 12, 23]], [3, 0, 0])


def test_a_key_is_set_replaced_and_refused(drawn: Faces) -> None:
    plan = plan_kiss(drawn, "tender").keyframes
    before = plan.track(0, "pucker")
    more = plan.with_key(0, "pucker", 0.3, 0.8)
    assert len(more.track(0, "pucker").times) == len(before.times) + 1
    again = more.with_key(0, "pucker", 0.3 + 0.4 / plan.fps, 0.5)
    assert len(again.track(0, "pucker").times) == len(more.track(0, "pucker").times)
    time = np.array([0.3 + 0.4 / plan.fps])
    assert again.track(0, "pucker").at(time)[0] == pytest.approx(0.5)
    assert plan.track(0, "pucker").times == before.times  # the plan itself is as it was
    assert again.track(1, "pucker").values == plan.track(1, "pucker").values
    assert motion_from_keyframes(again, drawn).pucker[7, 0] == pytest.approx(0.5, abs=0.05)
    with pytest.raises(ValueError, match=r"no track 'ears' of person 0; tracks:.*'1 gaze_y'"):
        plan.with_key(0, "ears", 0.3, 1.0)


def test_every_style_says_how_and_where() -> None:
    for style in STYLES:
        assert find_style(style.name) is style
        assert set(style.anchors) <= set(ANCHORS) and 0 < style.arrive < style.leave <= 1


def test_faces_lost_on_their_way_together_touch_and_part_again(
    drawn: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawn faces that go together and apart at one speed, and are not seen below a gap of 1."""
    t = np.arange(49)
    gap = np.clip(np.abs(t - 24) - 4, 0, None) / 8  # 2.5 .. 0 for nine frames .. 2.5
    tracked = [at_gap(drawn, float(g)) if g >= 1 else None for g in gap]
    monkeypatch.setattr(driving, "track_faces", lambda frames, model: iter(tracked))
    blank = [np.zeros((8, 8, 3), np.float32)]  # the tracker above looks at no pixel
    found = motion_from_clip(blank)
    np.testing.assert_allclose(found.gap, gap, atol=0.08)
    contact = np.flatnonzero(np.array(found.phases) == "contact")
    assert contact[0] == pytest.approx(20, abs=1) and contact[-1] == pytest.approx(28, abs=1)
    # Lost while they stand far apart, they are not taken to touch.
    tracked[:] = [at_gap(drawn, 2.5) if t % 8 < 5 else None for t in range(32)]
    assert np.ptp(motion_from_clip(blank).gap) < 1e-6


def at_gap(faces: Faces, gap: float) -> Faces:
    """The same two with their lips `gap` inter-ocular distances apart, level."""
    points = faces.points.copy()
    points[1] = points[0] + [gap * faces.iod[0], 0, 0]
    return replace(faces, points=points, expressions=("mouthPucker", *faces.expressions[1:]))


@pytest.fixture(scope="module")
def couple(photos: Path, models: Path) -> Composite:
    one, two = (people.portrait(f"portraits/sfhq_{name}.jpg")[0] for name in ("a_01", "a_05"))
    return compose(one, two, height=400)


def test_a_rendered_plan_is_recovered_from_its_clip(couple: Composite) -> None:
    """Compared while both faces are seen; nearer than that one hides the other."""
    plan = plan_kiss(couple.faces, "tender", seconds=1.5, fps=16.0)
    guide = draw_guide(couple.photo, couple.faces, plan, couple.cutout)
    found = motion_from_clip(list(guide.frames), fps=16.0)
    assert len(found.gap) == len(plan.gap) and found.style == "driven"
    seen = plan.gap > 1.5  # heads turn first: nearer than this one of them hides the other
    assert np.corrcoef(found.gap[seen], plan.gap[seen])[0, 1] > 0.99
    assert np.abs(found.gap[seen] - plan.gap[seen]).max() < 0.15
    for person in (0, 1):
        for quantity in (0, 2):  # yaw and roll
            turn, known = (m.angles[seen, person, quantity] for m in (found, plan))
            assert np.corrcoef(turn, known)[0, 1] > 0.98
            assert np.median(np.abs((turn - turn[0]) - (known - known[0]))) < 6
    # They are lost from sight before they touch, and still the recovered plan has them touch.
    assert abs(found.phases.index("contact") - plan.phases.index("contact")) <= 3
    assert found.phases[-1] == "contact" and found.gap.min() > 0


def test_a_clip_without_two_faces_cannot_drive(couple: Composite) -> None:
    grey = np.full_like(couple.photo.rgb, 0.5)
    frames = [couple.photo.rgb, grey, grey, grey, grey]
    with pytest.raises(FaceError, match=r"two faces were found in 1 of 5 frames; .* a third"):
        motion_from_clip(frames)
