"""Oracles: the studio's true parts, a mirror, and pictures put together by hand for training."""

import numpy as np
import pytest
import torch

from kisslab import zoo
from kisslab.mesh import FRAME, STRIDES
from kisslab.parts import PARTS, Parts, find_parts
from kisslab.photo import load_photo
from kisslab.studio.portraits import Truth
from kisslab.train import people as training
from kisslab.train.export import fused
from kisslab.train.scene import Convolution, parts_loss, targets

PORTRAITS = ["single_01", "single_09", "single_15", "couple_01"]


def portrait(name: str) -> tuple[np.ndarray, np.ndarray]:
    """A packaged portrait and its true parts, as indices into PARTS."""
    path = zoo.data_path(f"portraits/{name}.jpg")
    return load_photo(path).rgb, training.PART_OF[Truth.load(path.with_suffix(".truth.npz")).parts]


@pytest.mark.parametrize("name", PORTRAITS)
def test_the_matte_is_the_person_and_the_parts_are_theirs(name: str) -> None:
    rgb, truth = portrait(name)
    found = find_parts(rgb)
    assert found.shares.shape == (len(PARTS), *rgb.shape[:2])
    np.testing.assert_allclose(found.shares.sum(0), 1, atol=1e-4)
    mine, true = found.matte > 0.5, truth > 0
    assert (mine & true).sum() / (mine | true).sum() > 0.94
    assert (found.labels == truth)[mine & true].mean() > 0.85


def test_a_mirrored_picture_has_the_mirrored_parts() -> None:
    rgb, _ = portrait(PORTRAITS[0])
    mirrored = find_parts(rgb[:, ::-1].copy()).shares[..., ::-1]
    assert np.abs(mirrored - find_parts(rgb).shares).mean() < 0.02


def test_a_wall_is_nobody() -> None:
    assert find_parts(np.full((90, 150, 3), 0.6, np.float32)).matte.mean() < 0.1


def test_parts_save_themselves(tmp_path) -> None:
    found = Parts(shares=np.eye(5, dtype=np.float32).reshape(5, 5, 1))
    again = Parts.load(found.save(tmp_path / "parts.npz"))
    np.testing.assert_array_equal(again.labels, np.arange(5)[:, None])
    np.testing.assert_array_equal(again.matte[:, 0], [0, 1, 1, 1, 1])


def one_person() -> training.People:
    """A picture with a bright dot where landmark 1 is."""
    rgb = np.full((1, 256, 256, 3), 60, np.uint8)
    rgb[0, 100:103, 140:143] = 255
    points = np.random.default_rng(0).uniform(60, 200, (1, 478, 3))
    points[0, 1] = [141.5, 101.5, 5.0]  # counted from the corner of the first pixel
    labels = np.zeros((1, 256, 256), np.uint8)
    labels[0, 80:, 100:180] = 3
    return training.People(rgb, labels, points, np.ones(1, bool), np.ones(1, bool))


@pytest.mark.parametrize("mirrored", [False, True])
def test_points_move_with_their_picture(mirrored: bool) -> None:
    matrix = training.moving(np.array([128.0, 128.0]), np.array([90.0, 100.0]), 1.5, 20.0)
    moved = training.placed(one_person(), 0, matrix, 256, mirrored)
    bright = np.argwhere(moved.rgb[..., 0] > 200)[:, ::-1].mean(0) + 0.5
    np.testing.assert_allclose(moved.points[0, 1, :2], bright, atol=0.3)
    assert moved.points[0, 1, 2] == pytest.approx(7.5)  # depth is scaled as the picture is
    x, y = bright.astype(int)
    assert moved.labels[y, x] == 3


def test_mirroring_twice_changes_nothing() -> None:
    mirror = training._mirror()
    np.testing.assert_array_equal(mirror[mirror], np.arange(478))
    assert mirror[33] == 263 and mirror[61] == 291 and mirror[468] == 473


def test_a_face_behind_somebody_is_not_to_be_found() -> None:
    matrix = training.moving(np.array([128.0, 128.0]), np.array([128.0, 128.0]), 1.0, 0.0)
    head = training.placed(one_person(), 0, matrix, 256, False)
    wall = np.ones((256, 256), np.uint8)
    other = training.Placed(head.rgb, wall, head.points + 500.0, head.taught)
    rng = np.random.default_rng(0)
    assert len(training.draw([head, other], None, rng).points) == 1
    assert len(training.draw([other, head], None, rng).points) == 2


def test_targets_decode_to_the_face_they_came_from() -> None:
    face = np.random.default_rng(1).uniform(70, 130, (478, 3))
    wanted = targets([face[None]])
    score, steps = wanted["score"][0], np.concatenate([[s] * (FRAME // s) ** 2 for s in STRIDES])
    grid = np.concatenate(
        [
            np.stack(np.mgrid[: FRAME // s, : FRAME // s][::-1], -1).reshape(-1, 2) * s
            for s in STRIDES
        ]
    )
    assert (score > 0).sum() >= 1 and set(steps[score > 0]) == {16}
    for k in np.flatnonzero(score > 0):
        left, top, right, bottom = wanted["places"][0, k, :4] * steps[k]
        box = [grid[k, 0] - left, grid[k, 1] - top, grid[k, 0] + right, grid[k, 1] + bottom]
        np.testing.assert_allclose(box[:2], face[:, :2].min(0), atol=1e-3)
        np.testing.assert_allclose(box[2:], face[:, :2].max(0), atol=1e-3)
        nose = grid[k] + wanted["places"][0, k, 8:10] * steps[k]
        np.testing.assert_allclose(nose, face[1, :2], atol=1e-3)


def test_where_only_a_person_is_known_any_part_is_right() -> None:
    logits = torch.zeros(1, 5, 1, 3)
    logits[0, :, 0, 0] = torch.tensor([-9.0, 9, 9, 9, 9])  # surely a person, part open
    logits[0, :, 0, 1] = torch.tensor([9.0, -9, -9, -9, -9])  # surely background
    label = torch.tensor([[[training.SOMEBODY, 0, training.UNSURE]]], dtype=torch.uint8)
    assert float(parts_loss(logits, label)) < 1e-3
    assert float(parts_loss(logits, label.flip(2).roll(1, 2))) > 1


def test_a_fused_network_says_the_same() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(Convolution(3, 8), Convolution(8, 4)).train()
    net(torch.randn(8, 3, 16, 16) * 3 + 1)  # statistics to fuse
    x = torch.randn(2, 3, 16, 16)
    quick = fused(net)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in quick.modules())
    torch.testing.assert_close(quick(x), net.eval()(x), atol=1e-5, rtol=1e-5)
