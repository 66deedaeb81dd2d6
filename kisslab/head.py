"""Stage 4b: a cut-out person in, a closed textured head that can turn out. (build_head, Head)

The face's depth comes from the landmarks. Around it stands a closed body of elliptic rows: the
outline of the cut-out gives each row's width, the face its front, the proportions of a head its
back. What the photo never saw (the back, and the steep sides) gets a completed texture and a low
confidence. Proportions: Farkas, "Anthropometry of the Head and Face", 1994, as shares of the face
width between the tragi.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from kisslab import anatomy as at
from kisslab import show
from kisslab.cutout import Cutout
from kisslab.faces import Faces
from kisslab.records import Result, record

ROWS, FRONT, BACK = 128, 60, 22  # mesh rows, columns of the front and of the back
BACK_TEXELS = 256  # width of the completed texture, from the right rim round to the left
FRINGE = np.array([0.0, 0.006, 0.016, 0.032, 0.06])  # soft hair beyond the rim, shares of the width
INSET = 0.012  # the closed body ends this far inside the outline, whose pixels are half background
EAR_DEPTH = 0.20  # head's widest section behind the oval's side points, face widths
BACK_DEPTH = 0.52  # back of the skull behind that section, face widths
NECK_DEPTH = 0.34
Y_DOWN = np.diag([1.0, -1.0, -1.0])  # between head_rotation's frame (y up, z near) and pixels


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
    texture: Float[np.ndarray, "H W 4"]  # the extended photo, the completed back to its right; RGB
    # and, as fourth channel, 1 where the photo knows the colour, 0 where it was completed
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
        body = Rotation.from_euler("Y", 0.3 * (angles[0] - self.angles[0]), degrees=True)
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
    rows = _Rows(alpha, points)
    front, back = _front(rows, points), _back(rows, points)
    edges = [_fringe(rows, side) for side in (-1, 1)]
    grids = [front, back, *edges]
    back_texture = _complete(rows, colour, alpha, points, seed)
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
        follow=1 - _ease((rows.y - rows.chin - 0.06 * rows.height) / (0.55 * rows.height)),
        pivot=np.array([rows.middle, rows.chin + 0.1 * rows.height, rows.rim + 0.08 * rows.width]),
        width=rows.width,
        photo_width=photo_width,
    )


class _Rows:
    """The outline of a person, row by row, and the few lengths that everything is measured in."""

    def __init__(self, alpha: Float[np.ndarray, "H W"], points: Float[np.ndarray, "478 3"]):
        right, left = points[at.RIGHT_TRAGUS], points[at.LEFT_TRAGUS]
        self.width = float(np.linalg.norm(left - right))
        self.height = float(np.linalg.norm(points[at.FOREHEAD, :2] - points[at.CHIN, :2]))
        self.middle = float((left[0] + right[0]) / 2)
        self.forehead, self.chin = float(points[at.FOREHEAD, 1]), float(points[at.CHIN, 1])
        self.rim = float((left[2] + right[2]) / 2 + EAR_DEPTH * self.width)
        solid = self._piece(alpha > 0.8, points[at.NOSE_TIP])
        filled = np.flatnonzero(solid.any(1))
        bottom = min(filled[-1], self.chin + 1.1 * self.height)
        self.y = np.linspace(filled[0] + 1, bottom, ROWS)
        lines = solid[self.y.astype(int)]
        inset = INSET * self.width
        left_edge = gaussian_filter1d(lines.argmax(1).astype(float), 1.2) + inset
        right_edge = solid.shape[1] - 1 - lines[:, ::-1].argmax(1)
        right_edge = gaussian_filter1d(right_edge.astype(float), 1.2) - inset
        self.centre = (left_edge + right_edge) / 2
        self.half = np.maximum((right_edge - left_edge) / 2, 1.0)
        head = (self.y > self.forehead) & (self.y < self.forehead + 0.5 * self.height)
        self.head_half = float(np.percentile(self.half[head], 70))

    @staticmethod
    def _piece(mask: Bool[np.ndarray, "H W"], inside: Float[np.ndarray, "3"]) -> np.ndarray:
        _, labels = cv2.connectedComponents(mask.astype(np.uint8))
        return labels == labels[int(inside[1]), int(inside[0])]

    def across(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """-1 at the left outline, 1 at the right one."""
        centre, half = np.interp(y, self.y, self.centre), np.interp(y, self.y, self.half)
        return np.clip((x - centre) / half, -1, 1)

    def round_top(self, start: float) -> Float[np.ndarray, " R"]:
        """1 below `start`, falling as a circle does to 0 at the crown."""
        up = np.clip((start - self.y) / (start - self.y[0] + 1), 0, 1)
        return np.sqrt(1 - up**2)


def _front(rows: _Rows, points: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, "R C 3"]:
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
    rows: _Rows, points: Float[np.ndarray, "478 3"]
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
            bulge.append([0.3 * rows.width] * 5)
    return np.concatenate(where), np.concatenate(bulge)


def _back(rows: _Rows, points: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, "R B 3"]:
    """Half ellipses behind the outline: as deep as a skull with its hair, then as a neck."""
    hair = 0.6 * max(rows.head_half - 0.52 * rows.width, 0)
    skull = (BACK_DEPTH * rows.width + hair) * rows.round_top(rows.forehead + 0.12 * rows.height)
    nape = _ease((rows.y - rows.chin + 0.5 * rows.height) / (0.45 * rows.height))
    depth = skull * (1 - nape) + NECK_DEPTH * rows.width * nape
    depth = np.minimum(depth, 1.5 * rows.half + 0.05 * rows.width)
    turn = np.pi * np.linspace(0, 1, BACK)
    x = rows.centre[:, None] + rows.half[:, None] * np.cos(turn)
    z = rows.rim + depth[:, None] * np.sin(turn)
    return np.stack([x, np.broadcast_to(rows.y[:, None], x.shape), z], -1)


def _fringe(rows: _Rows, side: int) -> Float[np.ndarray, "R 5 3"]:
    """A flat strip outside the outline that carries the matte's soft hair."""
    x = rows.centre[:, None] + side * (rows.half[:, None] + FRINGE * 2 * rows.width)
    y = np.broadcast_to(rows.y[:, None], x.shape)
    return np.stack([x, y, np.full_like(x, rows.rim)], -1)


def _facing(grid: Float[np.ndarray, "R C 3"]) -> Float[np.ndarray, "R C"]:
    """How squarely the photo saw the surface: |cosine| of normal and view, eased from 0.2 to 0.6."""
    down, along = np.gradient(grid, axis=(0, 1))
    normal = np.cross(along, down)
    cosine = np.abs(normal[..., 2]) / np.maximum(np.linalg.norm(normal, axis=-1), 1e-9)
    return _ease((cosine - 0.2) / 0.4)


def _back_texels(back: Float[np.ndarray, "R B 3"], start: int) -> Float[np.ndarray, "R B 2"]:
    u = start + np.linspace(1, BACK_TEXELS - 2, back.shape[1])
    return np.stack([np.broadcast_to(u, back.shape[:2]), back[..., 1]], -1)


def _complete(
    rows: _Rows,
    colour: Float[np.ndarray, "H W 3"],
    alpha: Float[np.ndarray, "H W"],
    points: Float[np.ndarray, "478 3"],
    seed: int,
) -> Float[np.ndarray, "H B 3"]:
    """Colour of what the photo never saw: the hair (or skin) of each rim carried round the back."""
    y = np.arange(len(alpha))
    hair, skin, contrast = _hair_and_skin(rows, colour, alpha, points)
    rims = [_rim_colour(rows, colour, side) for side in (1, -1)]
    bases = [_base_colour(rows, rim, hair, skin, y) for rim in rims]
    alike = [np.exp(-np.sum((b - r) ** 2, -1) / 0.01) for b, r in zip(bases, rims, strict=True)]
    u = np.linspace(0, 1, BACK_TEXELS)[None, :, None]
    base = bases[0][:, None] * (1 - _ease(u)) + bases[1][:, None] * _ease(u)
    for rim, like, distance in zip(rims, alike, (u, 1 - u), strict=True):
        # The rim fades into it: slowly where both are hair, at once behind an ear or a cheek.
        reach = (0.02 + 0.15 * like)[:, None, None]
        weight = np.exp(-((distance / reach) ** 2))
        base = base * (1 - weight) + rim[:, None] * weight
    strands = _strands((len(alpha), BACK_TEXELS), rows.width, seed)
    covered = 1 - _ease((y - rows.forehead - 0.62 * rows.height) / (0.08 * rows.height))
    is_hair = np.exp(-np.sum((base - hair) ** 2, -1) / 0.005)
    amount = 0.6 * contrast * np.maximum(covered[:, None], is_hair)
    return np.clip(base * (1 + (amount * strands)[..., None]), 0, 1).astype(np.float32)


def _with_known(
    colour: Float[np.ndarray, "H W 3"], known: Bool[np.ndarray, "H w"]
) -> Float[np.ndarray, "H W 4"]:
    share = np.zeros((*colour.shape[:2], 1), np.float32)
    share[:, : known.shape[1], 0] = known
    return np.concatenate([colour, share], axis=-1)


def _hair_and_skin(
    rows: _Rows, colour: np.ndarray, alpha: np.ndarray, points: np.ndarray
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"], float]:
    """(hair colour, skin colour, contrast of the hair's strands), measured above and inside the face."""
    hull = cv2.convexHull(points[at.OVAL, :2].astype(np.int32))
    face = cv2.fillConvexPoly(np.zeros(alpha.shape, np.uint8), hull, 1)
    skin = np.median(colour[cv2.erode(face, np.ones((15, 15))) > 0], axis=0)
    y, x = np.ogrid[: alpha.shape[0], : alpha.shape[1]]
    above = (y < rows.forehead - 0.06 * rows.height) & (np.abs(x - rows.middle) < 0.4 * rows.width)
    above = above & (alpha > 0.9) & (face == 0) & (y > rows.y[0] + 0.02 * rows.height)
    if above.sum() < 50:
        return skin, skin, 0.0
    grey = colour[above].mean(-1)
    local = cv2.GaussianBlur(colour, (0, 0), 0.03 * rows.width)[above].mean(-1)
    contrast = float(np.clip(np.std(grey - local) / max(grey.mean(), 0.05), 0, 0.35))
    return np.median(colour[above], axis=0), skin, contrast


def _rim_colour(rows: _Rows, colour: np.ndarray, side: int) -> Float[np.ndarray, "H 3"]:
    """Colour just inside the outline, for every line of the picture."""
    y = np.arange(len(colour))
    half = np.interp(y, rows.y, rows.half)
    inset = np.minimum(0.06 * rows.width, 0.3 * half)
    lines = []
    for depth in np.linspace(0.25, 1.0, 5):
        x = np.interp(y, rows.y, rows.centre) + side * (half - depth * inset)
        lines.append(colour[y, np.clip(x, 0, colour.shape[1] - 1).astype(int)])
    return gaussian_filter1d(np.median(lines, axis=0), 0.01 * rows.height + 0.5, axis=0)


def _base_colour(
    rows: _Rows,
    rim: Float[np.ndarray, "H 3"],
    hair: Float[np.ndarray, "3"],
    skin: Float[np.ndarray, "3"],
    y: Int[np.ndarray, " H"],
) -> Float[np.ndarray, "H 3"]:
    """The rim's colour where it is hair; beside ears and cheeks the hair's, down to the nape."""
    down = (y - rows.forehead) / rows.height  # 0 hairline .. 1 chin
    off = np.linalg.norm(rim - hair, axis=1) / (np.linalg.norm(rim - skin, axis=1) + 1e-6)
    long_hair = np.mean(off[(down > 0.3) & (down < 0.6)] < 0.5) > 0.5  # it covers the ears
    use_rim = (off < 0.6) & (long_hair | (down < 0.2)) | (down > 1.05)
    behind = np.where((down < 0.62)[:, None], hair * 0.9, skin * 0.75)  # the nape, then the neck
    base = np.where(use_rim[:, None], rim, behind)
    return gaussian_filter1d(base, 0.02 * rows.height, axis=0)


def _strands(shape: tuple[int, int], width: float, seed: int) -> Float[np.ndarray, "H B"]:
    """Noise drawn out downward, as hair is: zero mean, unit deviation."""
    noise = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    fine = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.8, sigmaY=0.10 * width)
    coarse = cv2.GaussianBlur(noise[::-1], (0, 0), sigmaX=3.5, sigmaY=0.25 * width)
    return (fine / fine.std() + 0.7 * coarse / coarse.std()) / np.hypot(1, 0.7)


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


def _ease(t: np.ndarray) -> np.ndarray:
    """Smoothstep, 3t^2 - 2t^3, clamped to 0..1."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)
