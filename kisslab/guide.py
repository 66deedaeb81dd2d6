"""Stage 4: a photo, its faces and a plan in, the photo itself acting out the plan.

(draw_guide, guide_frames, Guide, GuideFrame)
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from kisslab import anatomy as at
from kisslab import show
from kisslab.contact import PROTRUSION
from kisslab.cutout import Cutout, cut_out
from kisslab.expression import Box, expression_offsets, paint
from kisslab.faces import Faces
from kisslab.head import Head, build_head
from kisslab.motion import Motion
from kisslab.photo import Photo
from kisslab.pose import anchor_point, pixel_turn
from kisslab.raster import FAR, blend, rasterize
from kisslab.records import Result, record
from kisslab.threads import thread_pool

SINGULAR = {"frames": "rgb", "layers": "layer"}  # fields of a Guide and of its frames
TRUST, FLOW = 2, slice(3, 5)  # channels that ride through the rasterizer behind the texels
LEAN = 0.85  # share of the head's travel that the shoulders make
FAR_TURN = 25.0  # degrees by which a head turns until only what the photo saw squarely is known
CONTACT_SHADE = 0.3  # darkening where the other person is close


@record
class GuideFrame(Result):
    """One frame of the guide."""

    rgb: Float[np.ndarray, "H W 3"]
    confidence: Float[np.ndarray, "H W"]  # 1 the photo's own pixel .. 0 made up
    disocclusion: Bool[np.ndarray, "H W"]  # shows what the photo did not
    layer: UInt8[np.ndarray, "H W"]  # 0 background, 1 person on the left, 2 person on the right
    depth: Float[np.ndarray, "H W"]  # pixels, away from the camera; inf for the background
    # Pixels to where this point of the head is in the next frame; what lids, lips and gaze do
    # within the face is not in it.
    flow: Float[np.ndarray, "H W 2"]


@record
class Guide(Result):
    """The photo warped along the plan. T frames; the last frame's flow is zero."""

    frames: Float[np.ndarray, "T H W 3"]
    confidence: Float[np.ndarray, "T H W"]
    disocclusion: Bool[np.ndarray, "T H W"]
    layers: UInt8[np.ndarray, "T H W"]
    depth: Float[np.ndarray, "T H W"]
    flow: Float[np.ndarray, "T H W 2"]
    fps: float

    def plot(self, ax: object | None = None) -> None:
        """Film strip."""
        show.strip(self.frames, ax=ax)


def draw_guide(photo: Photo, faces: Faces, motion: Motion, cutout: Cutout | None = None) -> Guide:
    """Warp the photo along the plan, every pixel with its confidence, layer, depth and flow.

    The face's 3-D points and a closed head around them turn about the neck; lids, lips and gaze are
    deformed in the face's own picture; a z-buffer decides who is in front; the background is filled
    behind both. cutout: from `compose` or `cut_out`; made here when not given. Cost is linear in
    frames and in pixels. The idea, a warped guide for a generator to repair, follows ViewCrafter
    (Yu et al. 2024) and Go-with-the-Flow (Burgert et al. 2025).
    """
    cutout = cut_out(photo, faces) if cutout is None else cutout
    shape = (len(motion.gap), *cutout.background.shape[:2])
    arrays = {
        "frames": np.empty((*shape, 3), np.float32),
        "confidence": np.empty(shape, np.float16),  # half precision is finer than a pixel needs
        "disocclusion": np.empty(shape, bool),
        "layers": np.empty(shape, np.uint8),
        "depth": np.empty(shape, np.float16),
        "flow": np.empty((*shape, 2), np.float16),
    }
    for t, frame in enumerate(guide_frames(photo, faces, motion, cutout)):
        for name, array in arrays.items():
            array[t] = getattr(frame, SINGULAR.get(name, name))
    return Guide(**arrays, fps=motion.fps)


def guide_frames(
    photo: Photo, faces: Faces, motion: Motion, cutout: Cutout | None = None
) -> Iterator[GuideFrame]:
    """The frames of `draw_guide`, one by one."""
    cutout = cut_out(photo, faces) if cutout is None else cutout
    with thread_pool() as pool:  # one thread a person: the heavy loops run outside the GIL
        people = list(pool.map(lambda person: _Actor(cutout, faces, motion, person), (0, 1)))
        for frame in range(len(motion.gap)):
            layers = list(pool.map(lambda actor, t=frame: actor.draw(t), people))
            yield _compose(cutout, layers)


class _Layer:
    """One person in one frame, alone: what every pixel sees of them."""

    def __init__(self, colour: np.ndarray, cover: np.ndarray, depth: np.ndarray, seen: np.ndarray):
        # A ramp one pixel inward takes the stairs off the solid outline; the fringe is soft itself.
        ramp = np.clip(2 * cv2.blur(cover, (3, 3)) - 1, 0, 1)
        self.alpha = np.where(cover == 1, ramp, cover)
        self.colour, self.known = colour, colour[..., 3] * seen[..., TRUST]
        self.depth, self.flow = depth, seen[..., FLOW]


class _Actor:
    """A head and its part in the plan."""

    def __init__(self, cutout: Cutout, faces: Faces, motion: Motion, person: int):
        self.head: Head = build_head(cutout, faces, person)
        self.motion, self.person = motion, person
        self.size = cutout.background.shape[1::-1]
        self.margin = np.array([cutout.margin, cutout.margin, 0.0])
        self.anchor = anchor_point(self.head.points, motion.anchors[person], person)
        self.iod = float(faces.iod[person])
        self.parting = float(faces.mouth_openness[person])
        self.texture = self.head.texture.copy()  # repainted where the expression changes
        self.painted: list[Box] = []  # where it is not the photo's own just now
        lips = self.head.vertices - self.head.points[at.STOMION].mean(0)
        self.near_lips = np.exp(-np.sum((lips / (0.3 * self.iod)) ** 2, axis=1))
        # Where the face looks in the photo: the way that lips are pushed.
        self.forward = pixel_turn(self.head.angles) @ np.array([0.0, 0.0, -1.0])

    def draw(self, frame: int) -> _Layer:
        """Vertices to their places, the expression into the texture, triangles into pixels."""
        head, last = self.head, len(self.motion.gap) - 1
        here, there = self._place(frame), self._place(min(frame + 1, last))
        values = np.column_stack([head.texels, self._trust(frame), (there - here)[:, :2]])
        seen, depth, cover = rasterize(here, values, head.solid, head.fringe, head.alpha, self.size)
        self._express(frame)
        colour = cv2.remap(self.texture, seen[..., 0], seen[..., 1], cv2.INTER_LINEAR)
        return _Layer(colour, cover, depth, seen)

    def _trust(self, frame: int) -> Float[np.ndarray, " V"]:
        """1 in the photo's own pose, whatever was seen there; less, the farther the head turned."""
        turn = self.head.turned(self.motion.angles[frame, self.person])
        cosine = (np.trace(turn, axis1=1, axis2=2) - 1) / 2
        degrees = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        share = np.clip(degrees / FAR_TURN, 0, 1)[self.head.row]
        return 1 - share * (1 - self.head.trust)

    def _place(self, frame: int) -> Float[np.ndarray, "V 3"]:
        """Every vertex in the picture's pixels: turned about the neck, the anchor on its place."""
        motion, head, person = self.motion, self.head, self.person
        turn = head.turned(motion.angles[frame, person])
        push = self.forward * PROTRUSION * self.iod * motion.pucker[frame, person]
        points = head.vertices + self.near_lips[:, None] * push - head.pivot
        turned = np.einsum("nij,nj->ni", turn[head.row], points)
        lips = motion.anchors[person] == "lips"
        anchor = turn[0] @ (self.anchor + lips * push - head.pivot)
        goal = motion.position[frame, person] * motion.unit + [*motion.origin, 0.0]
        return turned + self._shift(goal - anchor, motion.breath[frame, person])

    def _shift(self, pivot: Float[np.ndarray, "3"], breath: float) -> Float[np.ndarray, "V 3"]:
        """The head goes where its pivot goes, the shoulders only LEAN of the way, and they breathe.

        pivot: the neck's place now; at rest it is where the photo has it.
        """
        follow = self.head.follow[self.head.row]
        share = LEAN + (1 - LEAN) * follow
        rest = self.head.pivot - self.margin
        shift = rest + np.outer(share, pivot - rest)
        shift[:, 1] -= (1 - follow) * breath * self.iod
        shift[:, 2] = pivot[2]
        return shift

    def _express(self, frame: int) -> None:
        """Repaint eyes and mouth, and lower what is known of them as far as they were moved."""
        motion, p = self.motion, self.person
        parting = motion.parting[frame, p]
        regions = expression_offsets(
            self.head.points,
            (self.head.texture.shape[0], self.head.photo_width),
            float(motion.eyelids[frame, p]),
            float(motion.pucker[frame, p]),
            None if abs(parting - self.parting) < 1e-4 else float(parting),
            motion.gaze[frame, p],
        )
        for left, top, right, bottom in self.painted:
            self.texture[top:bottom, left:right] = self.head.texture[top:bottom, left:right]
        self.painted = [box for box, _ in regions]
        paint(self.texture, self.head.texture, regions)
        for (left, top, right, bottom), offsets in regions:
            moved = np.linalg.norm(offsets[..., :2], axis=-1) / (0.12 * self.iod)
            self.texture[top:bottom, left:right, 3] *= np.clip(1 - moved, 0, 1)


def _compose(cutout: Cutout, layers: list[_Layer]) -> GuideFrame:
    """Both people over the background; per pixel, whoever is nearer is in front."""
    left, right = layers
    first = (left.depth < right.depth).astype(np.float32)  # 1 where the left one is in front
    visible = [left.alpha * first, right.alpha * (1 - first)]
    rgb = blend(
        cutout.background,
        (left.colour, right.colour),
        (left.alpha, right.alpha),
        (_shade(visible[1]), _shade(visible[0])),
        cv2.blur(first, (3, 3)),
    )
    layer = _front_layer(layers, first)
    pick = [layer == 1, layer == 2]
    known = np.select(pick, [left.known, right.known], cutout.seen.astype(np.float32))
    return GuideFrame(
        rgb=rgb,
        confidence=known.astype(np.float32),
        disocclusion=known < 0.05,
        layer=layer,
        depth=np.select(pick, [left.depth, right.depth], np.float32(np.inf)),
        flow=np.select([p[..., None] for p in pick], [left.flow, right.flow], np.float32(0)),
    )


def _shade(other: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """Two faces close together keep light from each other (ambient occlusion, by a wide blur)."""
    height, width = other.shape
    small = cv2.resize(other, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    near = cv2.resize(cv2.GaussianBlur(small, (0, 0), height / 4 / 40), (width, height))
    return 1 - CONTACT_SHADE * near


def _front_layer(layers: list[_Layer], first: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    there = [(layer.alpha > 0.5) & (layer.depth < FAR) for layer in layers]
    left = there[0] & ((first > 0.5) | ~there[1])
    return np.where(left, 1, np.where(there[1], 2, 0)).astype(np.uint8)
