"""The whole way from two portraits to a clip, and who may take it."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kisslab import zoo
from kisslab.consent import ConsentError, check_consent
from kisslab.guide import Guide, draw_guide
from kisslab.kiss import Conditions
from kisslab.painting import Painted
from kisslab.photo import load_photo, photo_from_array
from kisslab.pipeline import KEPT, Pipeline, Run
from kisslab.plan import plan_kiss
from kisslab.samplers import Step
from kisslab.temporal import steady
from kisslab.video import load_clip, read_record

LEFT, RIGHT = zoo.demo_portraits()
QUICK = Pipeline(plan=partial(plan_kiss, style="peck", seconds=0.5, seed=3))


@pytest.fixture(scope="module")
def run() -> Run:
    return QUICK(LEFT, RIGHT)


def test_stages_come_in_the_order_of_the_fields_and_one_by_one(run: Run) -> None:
    stages = QUICK.stages(LEFT, RIGHT)
    seen = [next(stages)[0] for _ in range(4)]
    stages.close()  # the caller may stop at any stage
    assert seen == ["consent", "photos", "composite", "photo"]
    assert [name for name, _ in run.items()][:4] == seen


def test_a_run_holds_every_stage_of_one_couple(run: Run) -> None:
    assert len(run.faces.points) == 2
    assert len(run.guide.frames) == len(run.motion.gap) == len(run.clip.frames) == 12
    assert run.clip.frames.shape[1:3] == run.photo.rgb.shape[:2]
    np.testing.assert_allclose(run.clip.frames / 255, run.steadied.frames, atol=0.51 / 255)
    np.testing.assert_array_equal(run.steadied.before, run.painted.frames)
    assert run.steps[-1].clean.shape == run.conditions.guide.shape


def test_a_clip_that_memory_cannot_hold_is_refused_before_it_is_drawn(
    run: Run, monkeypatch
) -> None:
    arrays = {id(a): a.nbytes for name in ("guide", "painted", "steadied", "clip")
              for _, a in getattr(run, name).items() if isinstance(a, np.ndarray)}  # fmt: skip
    assert 0.7 * KEPT < sum(arrays.values()) / run.guide.layers.size < KEPT
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=10_000_000))
    stages = QUICK.stages(LEFT, RIGHT)
    with pytest.raises(MemoryError, match=r"12 frames of \d+ x \d+ pixels take 0\.\d GB"):
        next(result for name, result in stages if name == "motion")


def test_the_model_keeps_what_the_photo_shows_and_repaints_the_rest(run: Run) -> None:
    change = np.abs(run.painted.frames - run.guide.frames).mean(axis=-1)
    sure = run.guide.confidence.astype(float) > 0.9
    assert change[~sure].mean() > 2 * change[sure].mean()


def test_the_stages_after_the_guide_can_be_left_out(run: Run) -> None:
    def as_drawn(guide: Guide, conditions: Conditions, last: Step) -> Painted:
        return Painted(guide.frames, np.zeros_like(guide.frames), np.zeros(guide.frames.shape[:3]))

    bare = Pipeline(plan=QUICK.plan, paint=as_drawn, steady=partial(steady, radius=0))(LEFT, RIGHT)
    np.testing.assert_allclose(bare.clip.frames / 255, run.guide.frames, atol=0.51 / 255)


def test_the_first_frame_is_the_photo(run: Run) -> None:
    difference = run.guide.frames[0] - run.photo.rgb
    assert 10 * np.log10(1 / np.mean(difference**2)) > 28  # dB; hair's rim is redrawn


def test_the_same_run_twice_gives_the_same_bytes(run: Run) -> None:
    again = QUICK(LEFT, RIGHT)
    np.testing.assert_array_equal(run.clip.frames, again.clip.frames)


def test_a_couple_in_one_photo_needs_no_composing(run: Run, tmp_path: Path) -> None:
    photo = run.photo
    found = run.faces
    pipeline = Pipeline(load=lambda path: photo, find=lambda photo, need: found, plan=QUICK.plan)
    one = pipeline("couple.jpg", consent="They are drawn.")
    assert one.composite is None and one.consent == "They are drawn."
    assert len(one.cutout.alpha) == 2 and one.cutout.alpha.max() > 0.9


def test_a_stage_is_swapped_by_passing_another_function() -> None:
    calls = []

    def still(photo, faces, motion, cutout):
        calls.append(motion.style)
        return draw_guide(photo, faces, motion, cutout)

    run = Pipeline(plan=QUICK.plan, draw=still)(LEFT, RIGHT)
    assert calls == ["peck"] and "draw=still" in run.settings
    assert "plan_kiss(style='peck', seconds=0.5, seed=3)" in run.settings


def test_the_file_carries_what_made_it(run: Run, tmp_path: Path) -> None:
    path = run.save(tmp_path / "kiss.mp4")
    record = read_record(path)
    assert record["style"] == "peck" and record["frames"] == 12
    assert [p["name"] for p in record["photos"]] == [LEFT.name, RIGHT.name]
    assert record["photos"][0]["sha256"] == run.photos[0].sha256
    assert len(load_clip(path).frames) == 12


def test_a_whole_run_can_be_kept_and_read_again(run: Run, tmp_path: Path) -> None:
    again = Run.load(run.save(tmp_path / "run.npz"))
    np.testing.assert_array_equal(again.guide.flow, run.guide.flow)
    assert again.motion.keyframes.names() == run.motion.keyframes.names()
    assert again.settings == run.settings


def test_other_peoples_photos_need_their_consent(tmp_path: Path) -> None:
    own = photo_from_array(np.zeros((64, 64, 3)), name="holiday.jpg")
    with pytest.raises(ConsentError, match=r"holiday\.jpg.*adult.*--consent"):
        check_consent([own], "  ")
    assert check_consent([own], "We agreed.") == "We agreed."
    assert "no consent is needed" in check_consent([load_photo(LEFT), load_photo(RIGHT)], "")


def test_a_packaged_portrait_that_was_changed_is_nobody_known(tmp_path: Path) -> None:
    changed = tmp_path / LEFT.name
    changed.write_bytes(LEFT.read_bytes() + b"\0")
    with pytest.raises(ConsentError):
        check_consent([load_photo(changed)], "")


@pytest.mark.parametrize("count", [0, 3])
def test_one_couple_or_two_portraits(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} photos given"):
        QUICK(*[LEFT] * count)
