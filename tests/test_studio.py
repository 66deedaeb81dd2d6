"""The studio against what is known about it: geometry, flow, contact, determinism, files."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kisslab import anatomy
from kisslab.bench import studio as figures
from kisslab.plan import plan_kiss
from kisslab.studio import (
    PART_NAMES,
    Pose,
    couple_portrait,
    photographed,
    portrait,
    render,
    render_clip,
    sample_couple,
    sample_person,
    true_faces,
    write_dataset,
)
from kisslab.studio.built import build
from kisslab.studio.clips import render_pool
from kisslab.studio.dataset import Shard, write_shard
from kisslab.studio.figure import Figure
from kisslab.studio.landmarks import NAMES
from kisslab.studio.person import HAIR_STYLES
from kisslab.studio.shapes import bake, ellipsoid, sphere
from kisslab.studio.template import face_template, subdivision
from kisslab.studio.trace import solid


@pytest.fixture(scope="module")
def person():
    return sample_person(2)


@pytest.fixture(scope="module")
def picture(person):
    return render(portrait(person, size=128))


@pytest.fixture(scope="module")
def couple():
    return couple_portrait(sample_couple(1), size=128)


def test_person_is_decided_by_the_seed():
    assert repr(sample_person(5)) == repr(sample_person(5))
    assert repr(sample_person(5)) != repr(sample_person(6))


def test_people_are_adults_of_every_kind():
    people = [sample_person(seed) for seed in range(300)]
    assert min(p.age for p in people) >= 25 and max(p.age for p in people) <= 75
    assert {p.hair for p in people} == set(HAIR_STYLES)
    tones = np.histogram([p.tone for p in people], 5, (0, 1))[0]
    assert tones.min() > 0.6 * len(people) / 5


def test_couples_come_in_every_combination():
    pairs = [sample_couple(seed) for seed in range(60)]
    kinds = {tuple(p.femininity > 0.5 for p in pair) for pair in pairs}
    assert len(kinds) == 4
    assert all(abs(a.age - b.age) < 12 for a, b in pairs)


def test_unknown_hair_names_the_choices():
    with pytest.raises(ValueError, match=r"'mohawk'.*bob"):
        sample_person(1, hair="mohawk")


def test_subdivision_keeps_planes():
    """Loop's masks sum to 1, so a plane stays a plane."""
    matrix, triangles = subdivision()
    points = face_template().points.copy()
    points[:, 2] = 1.0 + 2.0 * points[:, 0] - 3.0 * points[:, 1]
    fine = matrix @ points
    np.testing.assert_allclose(fine[:, 2], 1 + 2 * fine[:, 0] - 3 * fine[:, 1], atol=1e-9)
    assert len(triangles) == 16 * 898


def test_baked_sphere_has_its_radius():
    volume = bake(
        lambda p: sphere(p, (0.0, 0.1, 0.0), 0.5)[None], (-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), 0.05
    )
    turn = torch.randn(3, 200, generator=torch.Generator().manual_seed(0))
    points = 0.5 * turn / turn.norm(dim=0) + torch.tensor([[0.0], [0.1], [0.0]])
    assert volume.at(points).abs().max() < 0.003


def test_ellipsoid_is_zero_on_its_surface():
    p = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.5]]).T.contiguous()
    torch.testing.assert_close(ellipsoid(p, (0.0, 0.0, 0.0), (2.0, 1.0, 0.5)), torch.zeros(3))


def test_render_is_deterministic(person, picture):
    again = render(portrait(person, size=128))
    np.testing.assert_array_equal(picture.rgb, again.rgb)


def test_picture_has_a_face(picture):
    seen = {PART_NAMES[k] for k in np.unique(picture.parts)}
    assert seen >= {"background", "skin", "lips", "eye", "hair", "brow", "clothes"}
    assert ((picture.who >= 0) == np.isfinite(picture.depth)).all()
    assert ((picture.parts > 0) == (picture.who == 0)).all()


def test_normals_agree_with_depth(person):
    scene = portrait(person, size=256)
    assert figures.normals_from_depth(render(scene, antialias=1), scene.camera) <= 5.0


def test_landmarks_lie_on_the_surface_that_is_seen(picture):
    """The nose tip's depth is the depth map's at its pixel."""
    x, y = picture.points[0, anatomy.NOSE_TIP].astype(int)
    depth = 9.0 - picture.points_3d[0, anatomy.NOSE_TIP, 2]
    assert abs(depth - picture.depth[y, x]) < 0.03
    assert picture.visible[0, anatomy.NOSE_TIP]


def test_nobody_in_view_leaves_the_wall(person):
    scene = portrait(person, size=32)
    away = render(replace(scene, camera=replace(scene.camera, origin=(-900.0, -900.0))))
    assert (away.who == -1).all() and (away.parts == 0).all()
    assert np.isfinite(away.rgb).all()


def test_a_turned_head_hides_its_far_ear(person):
    names = list(NAMES)
    seen = render(portrait(person, yaw=60.0, size=96), antialias=1).anatomy_visible[0]
    assert not seen[names.index("left jaw corner")]
    assert seen[names.index("right jaw corner")]


def test_lips_are_where_the_pose_says(person):
    """Position is the middle of the lips, whatever the angles and the expression."""
    built = build(person)
    place = np.array([0.3, -0.2, 0.5])
    for angles in ([0, 0, 0], [60, -5, 20], [-40, 10, -15]):
        pose = Pose(place, np.array(angles, dtype=float), pucker=0.8)
        lips = Figure(built.head, built.body, pose).landmarks()[anatomy.STOMION].mean(axis=0)
        np.testing.assert_allclose(lips, place * [1, -1, -1], atol=0.01)


def test_closed_lids_cover_the_eyes(person):
    scene = portrait(person, size=192)
    shut = render(replace(scene, poses=(replace(scene.poses[0], eyelids=1.0),)), antialias=1)
    eye = PART_NAMES.index("eye")
    assert (render(scene, antialias=1).parts == eye).sum() > 20
    assert (shut.parts == eye).sum() == 0


def test_parting_opens_the_lips(person):
    scene = portrait(person, size=64)
    parted = replace(scene, poses=(replace(scene.poses[0], parting=0.1),))
    a, b = (render(s, antialias=1).points_3d[0][anatomy.STOMION] for s in (scene, parted))
    opened = np.linalg.norm(b[0] - b[1]) - np.linalg.norm(a[0] - a[1])
    np.testing.assert_allclose(opened, 0.1, atol=0.02)


def test_lips_touch_without_passing_through(couple):
    """At contact no point is inside both people, and the two are not far from each other."""
    motion = plan_kiss(true_faces(couple), "tender", seconds=0.5, fps=8.0)
    scene = couple.posed(motion, len(motion.gap) - 1)
    one, two = (
        Figure(build(p).head, build(p).body, pose)
        for p, pose in zip(scene.people, scene.poses, strict=True)
    )
    middle = torch.tensor(motion.position[-1].mean(0) * [1, -1, -1], dtype=torch.float32)
    cloud = middle[:, None] + 0.3 * torch.randn(3, 4000, generator=torch.Generator().manual_seed(1))
    a, b = solid(one, [two], cloud), solid(two, [one], cloud)
    assert ((a < -1e-4) & (b < -1e-4)).sum() == 0
    assert (
        float((one.distance(middle[:, None]) + two.distance(middle[:, None]))[0])
        < motion.gap[-1] + 0.03
    )


def test_flow_moves_pixels_to_where_their_matter_is(couple):
    motion = plan_kiss(true_faces(couple), "tender", seconds=2.0, fps=24.0)
    arrays = {n: v[12:14] for n, v in motion.items() if isinstance(v, np.ndarray) and len(v) == 48}
    short = replace(motion, **arrays, phases=motion.phases[12:14])
    take = render_clip(couple, short, antialias=4)
    assert np.abs(take.flow).max() > 0.5
    assert figures.flow_residual(take) <= 1 / 255


def test_photographed_keeps_the_people_and_changes_the_picture(person):
    scene = portrait(person, size=64)
    changed = photographed(scene, 3)
    a, b = render(scene, antialias=1), render(changed, antialias=1)
    assert changed.people == scene.people
    assert np.abs(a.rgb - b.rgb).mean() > 0.02


@pytest.mark.slow
def test_a_pool_draws_the_same_frames():
    small = couple_portrait(sample_couple(1), size=32)
    motion = plan_kiss(true_faces(small), "tender", seconds=0.5, fps=8.0)
    alone = render_clip(small, motion, antialias=2)
    with render_pool(2) as pool:
        shared = render_clip(small, motion, antialias=2, pool=pool)
    for a, b in zip(alone.frames, shared.frames, strict=True):
        np.testing.assert_allclose(a.rgb, b.rgb, atol=1e-5)


@pytest.mark.slow
def test_dataset_resumes_after_a_kill(tmp_path):
    """A whole run that dies loses at most the clip in hand; the next call completes the set."""
    kept = tmp_path / "clip_00000003.npz"
    write_shard(str(kept), 3, frames=4, size=32)
    before = kept.read_bytes()
    work = [(str(tmp_path / f"clip_{seed:08d}.npz"), seed) for seed in range(4, 10)]
    child = multiprocessing.get_context("spawn").Process(target=_write_shards, args=(work,))
    child.start()
    _wait_for(Path(work[0][0]))
    child.kill()
    child.join()
    assert not Path(work[-1][0]).exists()
    paths = write_dataset(tmp_path, (3, 4, 5), frames=4, size=32, workers=1)
    assert [p.exists() for p in paths] == [True, True, True]
    assert kept.read_bytes() == before
    assert Shard.load(paths[2]).rgb.shape == (4, 24, 32, 3)


def _write_shards(work: list[tuple[str, int]]) -> None:
    """More shards than a test waits for."""
    for path, seed in work:
        write_shard(path, seed, frames=4, size=32)


def _wait_for(path: Path, patience: float = 240.0) -> None:
    end = time.monotonic() + patience
    while not path.exists():
        assert time.monotonic() < end, f"no {path.name} within {patience} s"
        time.sleep(0.02)


@pytest.mark.slow
def test_shards_are_decided_by_the_seed(tmp_path):
    one, two = tmp_path / "one.npz", tmp_path / "two.npz"
    write_shard(str(one), 5, frames=4, size=32)
    write_shard(str(two), 5, frames=4, size=32)
    assert one.read_bytes() == two.read_bytes()


def test_mediapipe_agrees_with_the_landmarks():
    models = os.environ.get("KISSLAB_MODELS")
    if not models or not (Path(models) / "face_landmarker.task").exists():
        pytest.skip("set KISSLAB_MODELS to a folder with face_landmarker.task")
    errors = [figures.agreement(sample_person(seed)) for seed in (101, 104)]
    assert np.mean(errors) <= 0.05


def test_a_copy_of_a_person_is_not_baked_again() -> None:
    person = sample_person(7)
    assert build(pickle.loads(pickle.dumps(person))) is build(person)
    assert build(sample_person(8)) is not build(person)
