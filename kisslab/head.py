"""Stage 4b: a cut-out person in, a closed textured head that can turn out. (build_head, Head)

The face's depth comes from the landmarks. Around it stands a closed body of elliptic rows: the
outline of the cut-out gives each row's width, the face its front, the proportions of a head its
back. What the photo never saw (the back, and the steep sides) gets a completed texture and a low
confidence.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.interpolate import RBFInterpolator
from scipy.spatial.transform import Rotation

from kisslab import anatomy as at
from kisslab import show
from kisslab.completion import BACK_TEXELS, complete_back
from kisslab.cutout import Cutout
from kisslab.faces import Faces
from kisslab.outline import ROWS, Outline, smoothstep
from kisslab.pose import Y_DOWN
from kisslab.records import Result, record

FRONT, BACK = 60, 22  # columns of the mesh's front and of its back
FRINGE = np.array([0.0, 0.006, 0.016, 0.032, 0.06])  # soft hair beyond the rim, shares of the width
# Fitted, with EAR_DEPTH and LEAN, to the outlines of turned studio heads.
BACK_DEPTH = 0.68  # back of the skull behind that section, face widths
HAIR_DEPTH = 0.4  # of hair behind the skull, shares of that beside it
NECK_DEPTH = 0.6
NECK_FRONT = 0.2  # throat before that section, face widths
SHOULDERS = 0.3  # share of the head's yaw that they make


@record
class Head(Result):
    """A closed, textured mesh of one person in the pixels of the (extended) photo.

    V vertices in rows from the crown down: the front, the back, then two soft fringes of hair.
    """

    vertices: Float[np.ndarray, "V 3"]  # x right, y down, z away
    texels: Float[np.ndarray, "V 2"]  # where each vertex looks its colour up in `texture`
    trust: Float[np.ndarray, " V"]  # 1 seen squarely in the photo .. 0 completed
    row: Int[np.ndarray, " V"]  # mesh row of each vertex
    solid: Int[np.ndarray, "F 3"]  # triangles of the closed body
    fringe: Int[np.ndarray, "G 3"]  # triangles of the soft edge
    # The extended photo and, to its right, the completed back: red, green, blue, and 1 where the
    # photo knows the colour or 0 where it was continued.
    texture: Float[np.ndarray, "H W 4"]
    alpha: Float[np.ndarray, "H W"]
    points: Float[np.ndarray, "478 3"]  # the face's landmarks in the same pixels
    angles: Float[np.ndarray, "3"]  # yaw, pitch, roll in the photo
    follow: Float[np.ndarray, " R"]  # per row: 1 turns with the head .. 0 stays with the shoulders
    pivot: Float[np.ndarray, "3"]  # where the head turns on the neck
    width: float  # face width between the tragi, pixels
    photo_width: int  # columns of `texture` that are the photo

    def turned(self, angles: Float[np.ndarray, "3"]) -> Float[np.ndarray, "R 3 3"]:
        """One rotation per row (pixel frame) that brings the head to `angles` (degrees).

        The head turns wholly, the shoulders by 0.3 of its yaw, the neck in between: a twist, so
        that nothing shrinks as it would if positions were mixed.
        """
        source = Rotation.from_euler("YXZ", self.angles, degrees=True)
        whole = Rotation.from_euler("YXZ", angles, degrees=True) * source.inv()
        body = Rotation.from_euler("Y", SHOULDERS * (angles[0] - self.angles[0]), degrees=True)
        twist = (body.inv() * whole).as_rotvec()
        rows = body * Rotation.from_rotvec(twist * self.follow[:, None])
        return Y_DOWN @ rows.as_matrix() @ Y_DOWN

    def plot(self, ax: object | None = None) -> None:
        """The texture: the photo's part and the completed back."""
        show.picture(self.texture[..., :3], "photo | completed back", ax=ax)


def build_head(cutout: Cutout, faces: Faces, person: int, seed: int = 0) -> Head:
    """The closed head of one person (0 left, 1 right). seed: for the strands of completed hair."""
    alpha, colour = cutout.alpha[person], cutout.colour[person]
    points = faces.points[person] + np.array([cutout.margin, cutout.margin, 0.0])
    rows = Outline(alpha, points)
    front, back = _front(rows, points), _back(rows, points)
    edges = [_fringe(rows, side) for side in (-1, 1)]
    grids = [front, back, *edges]
    back_texture = complete_back(rows, colour, alpha, points, seed)
    triangles, vertices = _triangulate([g.shape[:2] for g in grids])
    photo_width = alpha.shape[1]
    texels = [g[..., :2] for g in grids]
    texels[1] = _back_texels(back, photo_width)
    return Head(
        vertices=np.concatenate([g.reshape(-1, 3) for g in grids]),
        texels=np.concatenate([t.reshape(-1, 2) for t in texels]),
        trust=np.concatenate([_facing(front).ravel(), np.zeros(vertices - front[..., 0].size)]),
        row=np.concatenate([np.repeat(np.arange(ROWS), g.shape[1]) for g in grids]),
        solid=np.concatenate(triangles[:2]),
        fringe=np.concatenate(triangles[2:]),
        texture=_with_known(np.concatenate([colour, back_texture], axis=1), cutout.known[person]),
        alpha=np.concatenate([alpha, np.ones(back_texture.shape[:2], np.float32)], axis=1),
        points=points,
        angles=faces.angles[person],
        follow=1 - smoothstep((rows.y - rows.chin) / (0.55 * rows.height)),
        pivot=np.array([rows.middle, rows.chin, rows.rim]),
        width=rows.width,
        photo_width=photo_width,
    )


def _front(rows: Outline, points: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, "R C 3"]:
    """Depth = rim - ellipse(across) * bulge, the bulge smooth through face, hair and neck.

    Writing depth this way meets the face's points exactly and the outline vertically, as a closed
    body must; a height field that merely interpolates would tear or spike at the face's edge.
    """
    where, bulge = _bulge_samples(rows, points)
    smooth = RBFInterpolator(where, bulge, kernel="linear", smoothing=2, neighbors=40)
    s = np.sin(np.linspace(-1, 1, FRONT) * np.pi / 2 * 0.92) / np.sin(np.pi / 2 * 0.92)
    x = rows.centre[:, None] + rows.half[:, None] * s  # denser toward the rim, where depth is steep
    y = np.broadcast_to(rows.y[:, None], x.shape)
    depth = smooth(np.stack([x.ravel(), y.ravel()], 1)).reshape(x.shape)
    depth = cv2.GaussianBlur(depth, (0, 0), 1.0)
    return np.stack([x, y, rows.rim - _ellipse(s) * depth], -1)


def _bulge_samples(
    rows: Outline, points: Float[np.ndarray, "478 3"]
) -> tuple[Float[np.ndarray, "N 2"], Float[np.ndarray, " N"]]:
    """Where the front's bulge is known: at the face's points, above them, and at the neck."""
    face = points[np.unique(np.r_[at.OVAL, np.arange(0, 468, 2)])]
    s = rows.across(face[:, 0], face[:, 1])
    inner = np.abs(s) < 0.93  # nearer to the rim the division below only amplifies noise
    where = [face[inner, :2]]
    bulge = [(rows.rim - face[inner, 2]) / np.maximum(_ellipse(s[inner]), 0.35)]
    brow = np.median(rows.rim - points[[10, 338, 109], 2])
    for y, centre, half, top in zip(
        rows.y, rows.centre, rows.half, rows.round_top(rows.forehead), strict=True
    ):
        if y < rows.forehead - 0.06 * rows.height:
            where.append([[centre + t * half, y] for t in (-0.6, 0, 0.6)])
            bulge.append([1.02 * brow * max(top, 0.05)] * 3)
        if y > rows.chin + 0.12 * rows.height:
            reach = min(half, 0.6 * rows.width)
            where.append([[centre + t * reach, y] for t in (-0.8, -0.4, 0, 0.4, 0.8)])
            bulge.append([NECK_FRONT * rows.width] * 5)
    return np.concatenate(where), np.concatenate(bulge)


def _back(rows: Outline, points: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, "R B 3"]:
    """Half ellipses behind the outline: as deep as a skull with its hair, then as a neck."""
    hair = HAIR_DEPTH * max(rows.head_half - 0.52 * rows.width, 0)
    skull = (BACK_DEPTH * rows.width + hair) * rows.round_top(rows.forehead + 0.12 * rows.height)
    nape = smoothstep((rows.y - rows.chin + 0.5 * rows.height) / (0.45 * rows.height))
    depth = skull * (1 - nape) + NECK_DEPTH * rows.width * nape
    depth = np.minimum(depth, 1.5 * rows.half + 0.05 * rows.width)
    turn = np.pi * np.linspace(0, 1, BACK)
    x = rows.centre[:, None] + rows.half[:, None] * np.cos(turn)
    z = rows.rim + depth[:, None] * np.sin(turn)
    return np.stack([x, np.broadcast_to(rows.y[:, None], x.shape), z], -1)


def _fringe(rows: Outline, side: int) -> Float[np.ndarray, "R 5 3"]:
    """A flat strip outside the outline that carries the matte's soft hair."""
    x = rows.centre[:, None] + side * (rows.half[:, None] + FRINGE * 2 * rows.width)
    y = np.broadcast_to(rows.y[:, None], x.shape)
    return np.stack([x, y, np.full_like(x, rows.rim)], -1)


def _facing(grid: Float[np.ndarray, "R C 3"]) -> Float[np.ndarray, "R C"]:
    """How squarely the photo saw the surface: |cosine| of normal and view, from 0.2 to 0.6."""
    down, along = np.gradient(grid, axis=(0, 1))
    normal = np.cross(along, down)
    cosine = np.abs(normal[..., 2]) / np.maximum(np.linalg.norm(normal, axis=-1), 1e-9)
    return smoothstep((cosine - 0.2) / 0.4)


def _back_texels(back: Float[np.ndarray, "R B 3"], start: int) -> Float[np.ndarray, "R B 2"]:
    u = start + np.linspace(1, BACK_TEXELS - 2, back.shape[1])
    return np.stack([np.broadcast_to(u, back.shape[:2]), back[..., 1]], -1)


def _with_known(
    colour: Float[np.ndarray, "H W 3"], known: Bool[np.ndarray, "H w"]
) -> Float[np.ndarray, "H W 4"]:
    share = np.zeros((*colour.shape[:2], 1), np.float32)
    share[:, : known.shape[1], 0] = known
    return np.concatenate([colour, share], axis=-1)


def _triangulate(shapes: list[tuple[int, int]]) -> tuple[list[Int[np.ndarray, "F 3"]], int]:
    """Two triangles per cell of each grid, and the number of vertices in all."""
    start, triangles = 0, []
    for rows, columns in shapes:
        i = start + np.arange(rows * columns).reshape(rows, columns)
        upper = np.stack([i[:-1, :-1], i[:-1, 1:], i[1:, :-1]], -1)
        lower = np.stack([i[1:, 1:], i[1:, :-1], i[:-1, 1:]], -1)
        triangles.append(np.concatenate([upper.reshape(-1, 3), lower.reshape(-1, 3)]))
        start += rows * columns
    return triangles, start


def _ellipse(s: np.ndarray) -> np.ndarray:
    return np.sqrt(np.clip(1 - s**2, 0, 1))
