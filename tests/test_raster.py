"""Oracles: closed forms of planes, brute force over triangles in float64, and plain numpy."""

import numpy as np
import pytest

from kisslab.raster import FAR, blend, rasterize

RNG = np.random.default_rng(0)
NONE = np.zeros((0, 3), int)
OPAQUE = np.ones((4, 4), np.float32)


def quad(left: float, top: float, right: float, bottom: float, z: float = 1.0) -> np.ndarray:
    corners = [[left, top, z], [right, top, z], [right, bottom, z], [left, bottom, z]]
    return np.array(corners, dtype=float)


def two_triangles(start: int = 0) -> np.ndarray:
    return start + np.array([[0, 1, 2], [0, 2, 3]])


def test_a_slanted_plane_has_its_depth_and_its_attributes_everywhere() -> None:
    def plane(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 5 + 0.3 * x - 0.2 * y

    corners = quad(-3, -2, 40, 30)
    corners[:, 2] = plane(corners[:, 0], corners[:, 1])
    values = np.stack([corners[:, 0], corners[:, 1], 2 * corners[:, 0] - corners[:, 1]], -1)
    seen, depth, cover = rasterize(corners, values, two_triangles(), NONE, OPAQUE, (20, 16))
    y, x = np.mgrid[:16, :20]
    np.testing.assert_allclose(depth, plane(x, y), atol=1e-4)
    np.testing.assert_allclose(seen, np.stack([x, y, 2 * x - y], -1), atol=1e-4)
    assert (cover == 1).all()


def test_only_pixel_centres_inside_the_shape_are_covered() -> None:
    corners = quad(2.5, 3.5, 7.5, 5.5)
    _, depth, cover = rasterize(corners, corners[:, :2], two_triangles(), NONE, OPAQUE, (12, 9))
    expected = np.zeros((9, 12))
    expected[4:6, 3:8] = 1
    np.testing.assert_array_equal(cover, expected)
    assert (depth[expected == 0] == FAR).all()


def test_a_soup_of_triangles_shows_the_nearest_in_any_order_and_winding() -> None:
    vertices = RNG.uniform([-5, -5, 1], [35, 29, 9], (60, 3))
    triangles = np.arange(60).reshape(20, 3)
    values = np.column_stack([np.zeros((60, 2)), np.repeat(np.arange(20.0), 3)])
    expected = nearest(vertices, triangles, (30, 24))
    for order in (triangles, triangles[::-1, ::-1]):
        seen, depth, _ = rasterize(vertices, values, order, NONE, OPAQUE, (30, 24))
        agree = np.isclose(depth, expected, atol=1e-3) | (depth == FAR) & np.isinf(expected)
        assert agree.mean() > 0.995  # float32 may decide otherwise on an edge
        assert np.ptp(seen[..., 2][depth < FAR]) > 5  # many of the twenty are seen


def nearest(vertices: np.ndarray, triangles: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Depth of the nearest triangle at every pixel by solving for barycentric coordinates."""
    y, x = np.mgrid[: size[1], : size[0]]
    homogeneous = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    best = np.full(x.size, np.inf)
    for triangle in vertices[triangles]:
        weights = np.linalg.solve(np.vstack([triangle[:, :2].T, np.ones(3)]), homogeneous)
        inside = (weights >= 0).all(0)
        best = np.where(inside, np.minimum(best, triangle[:, 2] @ weights), best)
    return best.reshape(y.shape)


def test_what_the_matte_leaves_out_hides_nothing() -> None:
    alpha = np.ones((10, 10), np.float32)
    alpha[:, :5] = 0.49  # the left half of the nearer quad is cut away
    near, far = quad(-1, -1, 10, 10, z=1), quad(-1, -1, 10, 10, z=2)
    texels = np.column_stack([quad(-1, -1, 10, 10)[:, :2], np.full(4, 7.0)])
    elsewhere = np.column_stack([np.full((4, 2), 9.0), np.full(4, 8.0)])
    corners, values = np.concatenate([near, far]), np.concatenate([texels, elsewhere])
    solid = np.concatenate([two_triangles(), two_triangles(4)])
    seen, depth, cover = rasterize(corners, values, solid, NONE, alpha, (10, 10))
    np.testing.assert_allclose(depth[:, :5], 2, atol=1e-5)
    np.testing.assert_allclose(depth[:, 5:], 1, atol=1e-5)
    np.testing.assert_allclose(seen[:, :5, 2], 8, atol=1e-4)
    assert (cover == 1).all()


def test_the_fringe_fills_what_is_empty_and_covers_as_its_alpha_says() -> None:
    alpha = np.full((10, 10), 0.3, np.float32)
    alpha[:, 5:] = 1.0
    solid, fringe = quad(4.5, -1, 10, 10, z=5), quad(-1, -1, 7.5, 10, z=1)
    corners = np.concatenate([solid, fringe])
    triangles = two_triangles(), two_triangles(4)
    _, depth, cover = rasterize(corners, corners[:, :2], *triangles, alpha, (10, 10))
    np.testing.assert_allclose(depth[:, 5:], 5, atol=1e-5)  # though the fringe is nearer
    assert (cover[:, 5:] == 1).all()
    np.testing.assert_allclose(cover[:, :5], 0.3, atol=1e-6)
    np.testing.assert_allclose(depth[:, :5], 1, atol=1e-5)


def test_a_triangle_seen_edge_on_and_one_outside_draw_nothing() -> None:
    line = np.array([[1.0, 1.0, 0.0], [5.0, 5.0, 1.0], [9.0, 9.0, 2.0]])
    outside = quad(20, 20, 30, 30)
    corners = np.concatenate([line, outside])
    triangles = np.concatenate([[[0, 1, 2]], two_triangles(3)])
    _, depth, cover = rasterize(corners, corners[:, :2], triangles, NONE, OPAQUE, (10, 10))
    assert (cover == 0).all()
    assert (depth == FAR).all()


@pytest.mark.parametrize("first", [0.0, 1.0, None])
def test_blend_is_over_in_both_orders_mixed(first: float | None) -> None:
    ground, a, b = RNG.uniform(0, 1, (3, 6, 5, 3)).astype(np.float32)
    alpha_a, alpha_b, shade_a, shade_b, share = RNG.uniform(0, 1, (5, 6, 5)).astype(np.float32)
    share = share if first is None else np.full_like(share, first)
    out = blend(ground, (a, b), (alpha_a, alpha_b), (shade_a, shade_b), share)

    def over(front: np.ndarray, alpha: np.ndarray, behind: np.ndarray) -> np.ndarray:
        return front * alpha[..., None] + behind * (1 - alpha[..., None])

    a, b = a * shade_a[..., None], b * shade_b[..., None]
    a_front, b_front = (
        over(a, alpha_a, over(b, alpha_b, ground)),
        over(b, alpha_b, over(a, alpha_a, ground)),
    )
    expected = a_front * share[..., None] + b_front * (1 - share[..., None])
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_blend_stays_within_a_picture() -> None:
    bright = np.full((2, 2, 3), 1.5, np.float32)
    one = np.ones((2, 2), np.float32)
    out = blend(-bright, (bright, bright), (one, one * 0), (one, one), one)
    assert out.max() == 1
    out = blend(-bright, (bright, bright), (one * 0, one * 0), (one, one), one)
    assert out.min() == 0
