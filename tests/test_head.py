"""Oracles: the drawn face's own surface, and what must hold of any closed body that turns."""

import functools

import cv2
import numpy as np
import pytest
from people import ASPECT, as_faces, draw_person, face_points, surface, true_cutout
from scipy.spatial.transform import Rotation

from kisslab import anatomy as at
from kisslab.head import ROWS, Head, build_head
from kisslab.raster import FAR, rasterize

WIDTH = 90.0
CENTRE = (140.0, 120.0)
PERSON = draw_person(size=(280, 260), centre=CENTRE, width=WIDTH)


@functools.cache
def head(seed: int = 0) -> Head:
    return build_head(true_cutout(PERSON), PERSON.faces, 0, seed)


def look(angles: tuple[float, float, float], alpha: np.ndarray | None = None) -> tuple:
    """(values, depth, coverage) of the head turned about its pivot; values: texel, trust."""
    body = head()
    turn = body.turned(np.array(angles, dtype=float))
    vertices = np.einsum("nij,nj->ni", turn[body.row], body.vertices - body.pivot) + body.pivot
    values = np.column_stack([body.texels, body.trust])
    matte = np.ones_like(body.alpha) if alpha is None else alpha
    none = body.fringe[:0]
    return rasterize(vertices, values, body.solid, none, matte, PERSON.photo.rgb.shape[1::-1])


def test_the_front_has_the_depth_of_the_face() -> None:
    _, depth, _ = look((0, 0, 0))
    y, x = np.mgrid[: depth.shape[0], : depth.shape[1]]
    plane = np.stack([x - CENTRE[0], y - CENTRE[1]], -1) / WIDTH
    face = (plane[..., 0] / 0.44) ** 2 + (plane[..., 1] / (0.44 / ASPECT)) ** 2 < 1
    error = np.abs(depth / WIDTH - surface(plane))[face]
    assert np.median(error) < 0.02
    assert np.percentile(error, 95) < 0.05


def test_the_front_passes_through_the_landmarks() -> None:
    _, depth, _ = look((0, 0, 0))
    inside = np.setdiff1d(np.arange(468), at.OVAL)
    x, y = np.round(PERSON.faces.points[0, inside, :2]).astype(int).T
    error = np.abs(depth[y, x] - PERSON.faces.points[0, inside, 2]) / WIDTH
    assert np.median(error) < 0.02
    assert error.max() < 0.09


def test_the_front_and_the_back_meet_along_the_whole_rim() -> None:
    vertices, body = head().vertices, head()
    rim = []
    for row in range(ROWS):
        columns = np.unique(body.solid)[body.row[np.unique(body.solid)] == row]
        points = vertices[columns]
        ends = [points[:, 0].argmin(), points[:, 0].argmax()]
        for end in ends:
            distance = np.linalg.norm(points - points[end], axis=1)
            rim.append(np.sort(distance)[1])  # the nearest other vertex of that row
    assert max(rim) < 1e-6 * WIDTH


def test_the_body_is_closed_but_for_the_chest() -> None:
    body = head()
    _, same = np.unique(np.round(body.vertices, 6), axis=0, return_inverse=True)
    corners = same.ravel()[body.solid]
    edges = np.sort(
        np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]]), axis=1
    )
    edges = edges[edges[:, 0] != edges[:, 1]]
    kinds, count = np.unique(edges, axis=0, return_counts=True)
    rows = np.zeros(same.max() + 1, int)
    rows[same.ravel()] = body.row
    open_rows = rows[kinds[count == 1]]
    assert count.max() == 2
    assert set(np.unique(open_rows)) <= {0, ROWS - 1}  # the crown's first ring and the chest's cut
    crown = body.vertices[body.row == 0]
    assert np.ptp(crown[:, 2]) < 0.6 * WIDTH


@pytest.mark.parametrize(
    "angles", [(0, 0, 0), (35, 0, 0), (-70, 0, 15), (80, -15, -20), (20, 25, 0)]
)
def test_turned_it_has_no_holes(angles: tuple[float, float, float]) -> None:
    _, depth, _ = look(angles)
    assert holes(depth < FAR) == 0
    _, depth, _ = look(angles, head().alpha)  # with the matte: the rim lies inside the outline
    assert holes(depth < FAR) <= 0.001 * np.sum(depth < FAR)


def holes(mask: np.ndarray) -> int:
    """Pixels of background that the mask encloses."""
    ground = np.pad(~mask, 1, constant_values=True).astype(np.uint8)
    cv2.floodFill(ground, None, (0, 0), 0)
    return int(ground.sum())


def test_turned_to_where_it_is_nothing_moves() -> None:
    turn = head().turned(head().angles)
    np.testing.assert_allclose(turn, np.broadcast_to(np.eye(3), turn.shape), atol=1e-9)


@pytest.mark.parametrize("angles", [(50.0, 0.0, 0.0), (-60.0, 10.0, 20.0)])
def test_head_turns_wholly_and_shoulders_by_a_third(angles: tuple[float, float, float]) -> None:
    turn = head().turned(np.array(angles))
    # The photo's face looks at the camera: out of the picture, along -z in pixels.
    yaw, pitch, roll = np.radians(angles)
    gaze = turn[0] @ [0, 0, -1]
    forward = [np.sin(yaw) * np.cos(pitch), np.sin(pitch), -np.cos(yaw) * np.cos(pitch)]
    np.testing.assert_allclose(gaze, forward, atol=1e-9)
    above = turn[0] @ [0, -1, 0]
    assert np.sign(above @ [np.cos(yaw), 0, np.sin(yaw)]) == -np.sign(roll)
    body = Rotation.from_matrix(turn[-1]).as_rotvec(degrees=True)
    np.testing.assert_allclose(body, [0, -0.3 * angles[0], 0], atol=1e-6)
    amounts = Rotation.from_matrix(turn).magnitude()
    assert (np.diff(amounts) <= 1e-9).all()  # from the chin down it fades, row by row


def test_a_photographed_turn_is_where_turning_starts_from() -> None:
    faces = as_faces(face_points(CENTRE, WIDTH))
    faces = type(faces)(**{**dict(faces.items()), "angles": np.array([[25.0, -5.0, 8.0]])})
    body = build_head(true_cutout(PERSON), faces, 0)
    np.testing.assert_allclose(body.turned(faces.angles[0])[0], np.eye(3), atol=1e-9)
    step = Rotation.from_matrix(body.turned(np.array([40.0, -5.0, 8.0]))[0])
    assert np.degrees(step.magnitude()) == pytest.approx(15.0, abs=1e-6)


def test_trust_is_a_share_and_the_back_has_none() -> None:
    body = head()
    assert body.trust.min() >= 0 and body.trust.max() <= 1
    back = body.vertices[:, 2] > body.vertices[body.trust > 0, 2].max() + 1e-6
    assert back.sum() > 1000
    assert (body.trust[back] == 0).all()
    values, depth, _ = look((0, 0, 0))
    x, y = np.round(PERSON.faces.points[0, [at.NOSE_TIP, at.FOREHEAD, 50, 280], :2]).astype(int).T
    assert values[y[2:], x[2:], 2].min() > 0.8  # cheeks look at the camera
    values, depth, _ = look((180, 0, 0))
    seen = (depth < FAR) & (np.arange(260)[:, None] < CENTRE[1])
    assert values[seen, 2].mean() < 0.02


def test_the_face_looks_its_colours_up_in_the_photo() -> None:
    values, depth, _ = look((0, 0, 0))
    y, x = np.mgrid[: depth.shape[0], : depth.shape[1]]
    error = np.abs(values[..., :2] - np.stack([x, y], -1))[depth < FAR]
    assert error.max() < 0.02


def test_the_texture_is_the_photo_and_a_back_of_hair_and_skin() -> None:
    body = head()
    assert body.photo_width == PERSON.photo.rgb.shape[1]
    np.testing.assert_array_equal(body.texture[:, : body.photo_width, :3], PERSON.photo.rgb)
    assert (body.texture[:, : body.photo_width, 3] == 1).all()
    assert (body.texture[:, body.photo_width :, 3] == 0).all()
    back = body.texture[int(CENTRE[1] - 0.4 * WIDTH), body.photo_width :, :3]
    hair = PERSON.photo.rgb[int(CENTRE[1] - 0.7 * WIDTH), int(CENTRE[0])]
    np.testing.assert_allclose(np.median(back, axis=0), hair, atol=0.08)


def test_the_seed_is_for_the_strands_of_the_back_only() -> None:
    same = build_head(true_cutout(PERSON), PERSON.faces, 0, seed=0)
    other = build_head(true_cutout(PERSON), PERSON.faces, 0, seed=1)
    np.testing.assert_array_equal(same.texture, head().texture)
    changed = np.abs(other.texture - head().texture).max(-1) > 0
    assert changed[:, head().photo_width :].any()
    assert not changed[:, : head().photo_width].any()
    np.testing.assert_array_equal(other.vertices, head().vertices)


def test_a_face_of_a_few_pixels_has_a_colour_too() -> None:
    """Its inside must not vanish with its rim: once all of the head became NaN."""
    small = draw_person(size=(64, 64), centre=(32.0, 27.0), width=13.0)
    body = build_head(true_cutout(small), small.faces, 0)
    assert np.isfinite(body.texture).all() and np.isfinite(body.vertices).all()
