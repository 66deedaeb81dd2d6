"""A z-buffer: triangles in, what every pixel sees out. (rasterize, blend)

Why not a graphics library: it must run on any laptop's CPU without a display, and hand back depth
and vertex attributes, not a finished picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import no_type_check

import numba
import numpy as np
from jaxtyping import Float, Int

FAR = np.float32(1e9)


def rasterize(
    vertices: Float[np.ndarray, "V 3"],
    values: Float[np.ndarray, "V K"],
    solid: Int[np.ndarray, "F 3"],
    fringe: Int[np.ndarray, "G 3"],
    alpha: Float[np.ndarray, "H W"],
    size: tuple[int, int],
) -> tuple[Float[np.ndarray, "h w K"], Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """(values, depth, coverage) at the centre of every pixel; depth FAR where nothing is.

    vertices: pixels, z away from the camera (orthographic); values: per vertex, interpolated
    linearly, the first two being texel coordinates into `alpha`; solid triangles hide what is
    behind them where alpha >= 0.5, and cover fully; fringe triangles only fill pixels that the
    solid ones left empty, and cover as their alpha says. size: (width, height). Cost is linear in
    the number of covered pixels.
    """
    width, height = size
    seen = np.zeros((height, width, values.shape[1]), np.float32)
    depth = np.full((height, width), FAR, np.float32)
    cover = np.zeros((height, width), np.float32)
    vertices, values = vertices.astype(np.float32), values.astype(np.float32)
    _fill(vertices, values, solid, alpha, seen, depth, cover, np.float32(0.5), True)
    _fill(vertices, values, fringe, alpha, seen, depth, cover, np.float32(0.02), False)
    return seen, depth, cover


def blend(
    ground: Float[np.ndarray, "h w 3"],
    colours: tuple[Float[np.ndarray, "h w C"], Float[np.ndarray, "h w C"]],
    alphas: tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]],
    shades: tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]],
    first: Float[np.ndarray, "h w"],
) -> Float[np.ndarray, "h w 3"]:
    """Two layers over a ground, where `first` says how far the first lies in front (0..1).

    Both orders of Porter and Duff's "over" (1984), mixed by `first`; shades are factors on colours.
    """
    out = np.empty_like(ground, dtype=np.float32)
    _blend(ground, *colours, *alphas, *shades, first, out)
    return out


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Compiled outside the GIL, and kept on disk where there is a place to keep it."""
    try:
        return numba.njit(function, cache=True, fastmath=True, nogil=True)
    except RuntimeError:  # a read-only installation under a read-only home
        return numba.njit(function, fastmath=True, nogil=True)


@_compiled
@no_type_check  # numba could not cache what the import hook of the tests wraps
def _blend(ground, colour, colour2, alpha, alpha2, shade, shade2, first, out):
    height, width, _ = out.shape
    for y in range(height):
        for x in range(width):
            a, b, f = alpha[y, x], alpha2[y, x], first[y, x]
            for k in range(3):
                g = ground[y, x, k]
                p, q = colour[y, x, k] * shade[y, x], colour2[y, x, k] * shade2[y, x]
                under = g + (q - g) * b
                over = g + (p - g) * a
                mixed = f * (under + (p - under) * a) + (1 - f) * (over + (q - over) * b)
                out[y, x, k] = min(max(mixed, 0.0), 1.0)


@_compiled
@no_type_check  # numba could not cache what the import hook of the tests wraps
def _fill(vertices, values, triangles, alpha, seen, depth, cover, least, is_solid):
    height, width, channels = seen.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t]
        ax, ay, az = vertices[a]
        bx, by, bz = vertices[b]
        cx, cy, cz = vertices[c]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-9:
            continue
        for y in range(
            max(int(np.ceil(min(ay, by, cy))), 0), min(int(max(ay, by, cy)), height - 1) + 1
        ):
            for x in range(
                max(int(np.ceil(min(ax, bx, cx))), 0), min(int(max(ax, bx, cx)), width - 1) + 1
            ):
                # Barycentric coordinates of the pixel's centre.
                v = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / area
                w = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / area
                u = 1 - v - w
                if u < -1e-6 or v < -1e-6 or w < -1e-6:
                    continue
                z = u * az + v * bz + w * cz
                if z >= depth[y, x] or (not is_solid and cover[y, x] == 1):
                    continue
                tx = u * values[a, 0] + v * values[b, 0] + w * values[c, 0]
                ty = u * values[a, 1] + v * values[b, 1] + w * values[c, 1]
                row = min(max(int(ty + 0.5), 0), alpha.shape[0] - 1)
                opacity = alpha[row, min(max(int(tx + 0.5), 0), alpha.shape[1] - 1)]
                if opacity < least:
                    continue
                depth[y, x] = z
                cover[y, x] = 1 if is_solid else opacity
                for k in range(channels):
                    seen[y, x, k] = u * values[a, k] + v * values[b, k] + w * values[c, k]
