"""The average face that every studio face is a morph of. (face_template, subdivision, normals)

`template.npz` holds the 468 points and 898 triangles of MediaPipe's canonical face model
(github.com/google-ai-edge/mediapipe, modules/face_geometry, Apache-2.0), so the studio's points
are MediaPipe's points, in its order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from kisslab import anatomy


@dataclass(frozen=True, eq=False)
class Template:
    """Points in inter-ocular distances: x to the picture's right, y up, z to the camera."""

    points: Float[np.ndarray, "468 3"]
    triangles: Int[np.ndarray, "898 3"]
    mirror: Int[np.ndarray, "468"]  # the index of each point's mirror image


@lru_cache(maxsize=1)
def face_template() -> Template:
    """The canonical face, scaled so that its outer eye corners are 1 apart."""
    with resources.files("kisslab.studio").joinpath("template.npz").open("rb") as file:
        stored = np.load(file)
        points, triangles = stored["points"].astype(float), stored["triangles"].astype(int)
    points /= points[anatomy.LEFT_EYE_OUTER, 0] - points[anatomy.RIGHT_EYE_OUTER, 0]
    flipped = points * [-1.0, 1.0, 1.0]
    mirror = np.array([int(np.argmin(((points - p) ** 2).sum(1))) for p in flipped])
    symmetric = 0.5 * (points + points[mirror] * [-1.0, 1.0, 1.0])
    return Template(symmetric, triangles, mirror)


@lru_cache(maxsize=1)
def subdivision(levels: int = 2) -> tuple[sparse.csr_matrix, Int[np.ndarray, "M 3"]]:
    """Loop subdivision (Loop 1987) as one matrix: fine points = matrix @ 468 points."""
    template = face_template()
    matrix, triangles = sparse.identity(len(template.points), format="csr"), template.triangles
    for _ in range(levels):
        step, triangles = _loop_step(matrix.shape[0], triangles)
        matrix = step @ matrix
    return matrix.tocsr(), triangles


def normals(points: Float[np.ndarray, "N 3"], triangles: Int[np.ndarray, "M 3"]) -> np.ndarray:
    """Area-weighted unit normals of a mesh's points, facing out."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    faces = np.cross(b - a, c - a)
    out = np.zeros_like(points)
    for k in range(3):
        np.add.at(out, triangles[:, k], faces)
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    return out if out[anatomy.NOSE_TIP, 2] > 0 else -out


def _loop_step(count: int, triangles: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Loop's masks: 3/8 3/8 1/8 1/8 on an edge, 1/2 1/2 on a border; Warren's weights on points."""
    opposite: dict[tuple[int, int], list[int]] = {}
    for t in triangles:
        for k in range(3):
            edge = tuple(sorted((int(t[k]), int(t[(k + 1) % 3]))))
            opposite.setdefault(edge, []).append(int(t[(k + 2) % 3]))
    number = {edge: count + k for k, edge in enumerate(opposite)}
    rows: list[tuple[int, int, float]] = []
    neighbours: dict[int, list[int]] = {}
    border: dict[int, list[int]] = {}
    for (a, b), wings in opposite.items():
        inner = len(wings) == 2
        masks = [(a, 0.375 if inner else 0.5), (b, 0.375 if inner else 0.5)]
        masks += [(w, 0.125) for w in wings] if inner else []
        rows += [(number[(a, b)], k, w) for k, w in masks]
        for p, q in ((a, b), (b, a)):
            neighbours.setdefault(p, []).append(q)
            if not inner:
                border.setdefault(p, []).append(q)
    for p in range(count):
        ring = border.get(p, neighbours[p])
        share = 0.125 if p in border else (3 / 16 if len(ring) == 3 else 3 / (8 * len(ring)))
        rows += [(p, q, share) for q in ring] + [(p, p, 1.0 - share * len(ring))]
    i, j, w = zip(*rows, strict=True)
    step = sparse.csr_matrix((w, (i, j)), shape=(count + len(number), count))
    fine = []
    for a, b, c in triangles:
        ab, bc, ca = (number[tuple(sorted((int(p), int(q))))] for p, q in ((a, b), (b, c), (c, a)))
        fine += [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
    return step, np.array(fine)
