"""The texture of a face, drawn once per person on a cylinder around the head. (SkinMap, draw)

Map coordinates of a point at rest: the angle atan2(x, z + 0.35) about the cylinder's axis, and y.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from kisslab import anatomy
from kisslab.studio import hair
from kisslab.studio.head import Head
from kisslab.studio.shapes import Points, bump, smooth_step

AXIS_Z = -0.35
ANGLE, BOTTOM, TOP = 1.9, -1.45, 1.75  # the map spans -ANGLE..ANGLE and BOTTOM..TOP
CHANNELS = ("red", "green", "blue", "gloss", "height", "lips", "brow")


@dataclass(frozen=True, eq=False)
class SkinMap:
    """`values`: linear albedo, gloss, height of wrinkles and pores, and masks of lips and brows."""

    values: Float[Tensor, "7 H W"]

    def at(self, q: Points) -> Float[Tensor, "7 N"]:
        """Values at points of the head at rest."""
        u = torch.atan2(q[0], q[2] - AXIS_Z) / ANGLE
        v = (q[1] - BOTTOM) / (TOP - BOTTOM) * 2 - 1
        grid = torch.stack([u, v], dim=-1).reshape(1, 1, -1, 2)
        return F.grid_sample(
            self.values[None], grid, align_corners=True, padding_mode="border"
        ).reshape(len(CHANNELS), -1)

    def filtered(self, pixel: float) -> SkinMap:
        """The map averaged over a pixel's width (inter-ocular distances), against aliasing."""
        texels = round(pixel * self.values.shape[1] / (TOP - BOTTOM))
        if texels < 2:
            return self
        return SkinMap(F.avg_pool2d(self.values[None], texels, ceil_mode=True)[0])


def draw(head: Head, size: int = 640) -> SkinMap:
    """Paint skin, lips, brows, make-up, freckles, stubble and lines."""
    person = head.person
    v, u = torch.meshgrid(
        torch.linspace(BOTTOM, TOP, size), torch.linspace(-ANGLE, ANGLE, size), indexing="ij"
    )
    canvas = _Canvas(head, u, v, np.random.default_rng([person.seed, 22]))
    canvas.complexion()
    canvas.age()
    canvas.stubble()
    canvas.scalp()
    canvas.make_up()
    canvas.lips()
    canvas.brows()
    return SkinMap(
        torch.stack([*canvas.colour, canvas.gloss, canvas.height, canvas.lip, canvas.brow])
    )


class _Canvas:
    """One map in the making. Colours are linear; `x` is arc length so that distances are true."""

    def __init__(self, head: Head, u: Tensor, v: Tensor, rng: np.random.Generator):
        self.head, self.person, self.rng = head, head.person, rng
        self.u, self.x, self.y = u, u * 0.98, v
        skin = torch.tensor(self.person.skin) ** 2.2
        self.skin = skin
        self.colour = skin[:, None, None].expand(3, *u.shape).clone()
        self.gloss = torch.full_like(u, 0.30)
        self.height = torch.zeros_like(u)
        self.lip = torch.zeros_like(u)
        self.brow = torch.zeros_like(u)
        self.flat = self._flatten(head.points)

    def _flatten(self, points: np.ndarray) -> np.ndarray:
        angle = np.arctan2(points[:, 0], points[:, 2] - AXIS_Z)
        return np.stack([0.98 * angle, points[:, 1]], axis=1)

    def noise(self, cells: int) -> Tensor:
        """Smooth noise with unit variance."""
        grid = torch.tensor(self.rng.normal(size=(1, 1, cells, cells)), dtype=torch.float32)
        return F.interpolate(grid, self.u.shape, mode="bicubic", align_corners=True)[0, 0]

    def mix(self, colour: Tensor, amount: Tensor) -> None:
        """Blend the canvas towards a linear colour."""
        self.colour += (colour[:, None, None] - self.colour) * amount.clamp(0, 1)

    def spot(self, index: int, reach: float, shift: tuple[float, float] = (0.0, 0.0)) -> Tensor:
        """A Gaussian around a landmark, on both sides of the face."""
        x, y = abs(self.flat[index, 0]) + shift[0], self.flat[index, 1] + shift[1]
        return torch.exp(-(((self.x.abs() - x) / reach) ** 2) - ((self.y - y) / reach) ** 2)

    def away(self, path: np.ndarray) -> tuple[Tensor, Tensor]:
        """Distance to a polyline and the place along it, 0 to 1."""
        best, place = torch.full_like(self.x, 9.0), torch.zeros_like(self.x)
        rows, columns = self._window(path)
        x, y = self.x[rows, columns], self.y[rows, columns]
        near, where = best[rows, columns], place[rows, columns]
        count = len(path) - 1
        for k in range(count):
            (ax, ay), (bx, by) = (map(float, path[k]), map(float, path[k + 1]))
            dx, dy = bx - ax, by - ay
            t = ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy + 1e-9)
            t = t.clamp(0, 1)
            d = torch.sqrt((x - ax - t * dx) ** 2 + (y - ay - t * dy) ** 2)
            closer = d < near
            near = torch.where(closer, d, near)
            where = torch.where(closer, (k + t) / count, where)
        best[rows, columns], place[rows, columns] = near, where
        return best, place

    def _window(self, path: np.ndarray, margin: float = 0.12) -> tuple[slice, slice]:
        """Rows and columns of the map around a path."""
        (left, low), (right, high) = path.min(0) - margin, path.max(0) + margin
        n, wide = self.u.shape[0], 0.98 * ANGLE
        rows = ((low - BOTTOM) / (TOP - BOTTOM) * n, (high - BOTTOM) / (TOP - BOTTOM) * n + 1)
        columns = ((left + wide) / (2 * wide) * n, (right + wide) / (2 * wide) * n + 1)
        return slice(*(int(np.clip(r, 0, n)) for r in rows)), slice(
            *(int(np.clip(c, 0, n)) for c in columns)
        )

    def complexion(self) -> None:
        """Warm cheeks, nose, chin and ears; yellower forehead; mottling and pores."""
        person = self.person
        red = self.skin * torch.tensor([1.02, 0.62, 0.58])
        amount = 0.55 * self.spot(50, 0.19) + 0.45 * self.spot(anatomy.NOSE_TIP, 0.14)
        amount = amount + 0.25 * self.spot(anatomy.CHIN, 0.16, (0.0, 0.1))
        amount = amount + 0.6 * smooth_step(self.u.abs(), 1.72, 1.85) * bump(self.y - 0.1, 0.45)
        self.mix(red, amount * (0.35 + 0.65 * person.flush))
        under = self.spot(145, 0.10, (0.0, -0.075))
        self.mix(self.skin * torch.tensor([0.72, 0.58, 0.60]), (0.25 + 0.3 * person.lines) * under)
        socket = self.spot(159, 0.14, (0.0, 0.07))
        self.mix(self.skin * torch.tensor([0.80, 0.66, 0.62]), 0.30 * socket)
        self.colour *= 1 + 0.030 * self.noise(24) + 0.025 * self.noise(70)
        self.colour[0] *= 1 + 0.02 * self.noise(40)
        self.height += 0.0003 * self.noise(260)
        self.gloss += 0.12 * self.spot(anatomy.NOSE_TIP, 0.16) + 0.08 * self.spot(10, 0.4)
        if person.freckles > 0:
            dots = (self.noise(150).clamp(min=0.9) - 0.9) * 2.2
            where = self.spot(50, 0.30) + self.spot(5, 0.25) + 0.3 * self.spot(9, 0.4)
            self.mix(
                self.skin * torch.tensor([0.62, 0.42, 0.30]), 0.7 * person.freckles * dots * where
            )
        for _ in range(int(self.rng.integers(0, 3))):  # a mole or two
            x, y = self.rng.uniform(-0.7, 0.7), self.rng.uniform(-0.9, 0.2)
            mole = torch.exp(-(((self.x - x) ** 2 + (self.y - y) ** 2) / 0.011**2))
            self.mix(self.skin * torch.tensor([0.35, 0.22, 0.16]), 0.8 * mole)

    def line(self, path: np.ndarray, depth: float, width: float) -> None:
        """A fold: a soft groove that fades at its ends."""
        for sign in (1.0, -1.0):
            d, place = self.away(path * [sign, 1.0])
            profile = bump(d, width) * (4 * place * (1 - place)).clamp(min=0).sqrt()
            self.height -= depth * profile
            self.mix(self.skin * torch.tensor([0.66, 0.48, 0.45]), 9.0 * depth * profile)

    def age(self) -> None:
        """Nasolabial folds, forehead lines, crow's feet and lines under the eyes."""
        deep, f = self.person.lines, self.flat
        smile = f[[358, 423, 426, 436, 432]] + [
            [0.02, 0.0],
            [0.0, 0.0],
            [0.0, 0.0],
            [0.02, 0],
            [0.02, -0.04],
        ]
        self.line(smile, 0.003 + 0.020 * deep, 0.030)
        bag = f[[362, 453, 451, 449, 448]] + [0.0, -0.035]
        self.line(bag, 0.003 + 0.012 * deep, 0.022)
        if deep < 0.12:
            return
        for k in range(3):
            y = 0.66 + 0.09 * k + float(self.rng.normal(0, 0.008))
            x = np.linspace(0.0, 0.50 - 0.05 * k, 8)
            self.line(
                np.stack([x, y + 0.05 * np.sin(x * 4) - 0.1 * x**2], axis=1), 0.012 * deep, 0.014
            )
        corner = f[263]
        for slope in (0.25, -0.1, -0.45):
            path = corner + np.array(
                [[0.05, 0.04 * slope], [0.13, 0.10 * slope], [0.21, 0.2 * slope]]
            )
            self.line(path, 0.010 * deep, 0.010)
        frown = np.array([[0.06, 0.46], [0.055, 0.54], [0.07, 0.62]])
        self.line(frown, 0.009 * deep, 0.012)
        marionette = f[[291]] + np.array([[0.03, -0.05], [0.05, -0.14], [0.04, -0.24]])
        self.line(marionette, 0.012 * deep, 0.022)

    def stubble(self) -> None:
        """The shadow of a shaved or short beard."""
        person = self.person
        if person.femininity > 0.5:
            return
        amount = {"none": 0.16, "stubble": 0.62, "moustache": 0.25, "goatee": 0.3}.get(
            person.beard, 0.8
        )
        rest = _on_head(self)
        form = self.head.style
        mask = hair.beard_mask(_with_beard(form, "full beard"), rest).reshape(self.u.shape)
        if person.beard in ("short beard", "full beard", "goatee", "moustache"):
            own = hair.beard_mask(form, rest).reshape(self.u.shape)
            mask = torch.maximum(mask * (0.25 / amount), own)
        grain = (0.75 + 0.35 * self.noise(380)).clamp(0.2, 1.4)
        hairs = torch.tensor(person.hair_colour) ** 2.2
        self.mix(
            0.7 * hairs + 0.3 * self.skin * torch.tensor([0.6, 0.62, 0.66]), amount * mask * grain
        )
        self.gloss -= 0.15 * amount * mask

    def scalp(self) -> None:
        """Hair roots that soften the hairline."""
        if self.person.hair == "bald":
            return
        height = hair.hairline(self.head.style, _on_head(self)).reshape(self.u.shape)
        grain = (0.8 + 0.3 * self.noise(380)).clamp(0.1, 1.3)
        roots = smooth_step(height + 0.02 * self.noise(90), -0.035, 0.05)
        colour = torch.tensor(self.person.hair_colour) ** 2.2
        self.mix(0.8 * colour + 0.1 * self.skin, 0.9 * roots * grain)

    def make_up(self) -> None:
        """Eye shadow and blush."""
        m = self.person.makeup
        if m == 0:
            return
        shade = self.spot(159, 0.085, (0.02, 0.045))
        tint = torch.tensor(self.person.lip_colour) ** 2.2 * 0.5 + self.skin * 0.2
        self.mix(tint, 0.40 * m * shade)
        self.mix(
            self.skin * torch.tensor([1.0, 0.55, 0.56]),
            0.25 * m * self.spot(50, 0.17, (0.08, 0.05)),
        )

    def lips(self) -> None:
        """Colour inside the lips' border, soft at the edge, darker at the mouth line."""
        outer = np.concatenate([anatomy.UPPER_LIP_OUTER, anatomy.LOWER_LIP_OUTER[-2:0:-1]])
        path = _smooth_loop(self.flat[outer])
        d, _ = self.away(np.vstack([path, path[:1]]))
        inside = _inside(path, self.x, self.y)
        signed = torch.where(inside, -d, d)
        soft = 0.012 + 0.010 * (1 - self.person.makeup)
        self.lip = smooth_step(signed, soft, -soft)
        natural = self.skin * torch.tensor([0.80, 0.44, 0.45]) + torch.tensor([0.015, 0.004, 0.005])
        painted = torch.tensor(self.person.lip_colour) ** 2.2
        mix = 0.75 * self.person.makeup
        amount = self.lip * (0.62 + 0.25 * self.person.femininity)
        self.mix(natural * (1 - mix) + painted * mix, amount)
        creases = torch.sin(self.x * 150 + 3 * self.noise(60))
        self.height += 0.0006 * creases * self.lip
        self.gloss += self.lip * (0.22 + 0.3 * self.person.makeup)

    def brows(self) -> None:
        """Hairs that fan out from the inner end, dense in the middle."""
        person, f = self.person, self.flat
        top, low = f[[336, 296, 334, 293, 300]], f[[285, 295, 282, 283, 276]]
        middle = 0.42 * top + 0.58 * low
        middle[:, 1] += 0.02 * person.brow_arch * np.array([-0.8, 0.3, 1.4, 0.9, -1.0]) - 0.012
        middle = _smooth_path(middle)
        thick = 0.026 + 0.026 * person.brow_thickness
        colour = torch.tensor(person.hair_colour) ** 2.2
        dark = colour * 0.75 + self.skin * 0.04
        if float(colour.mean()) > 0.25:
            dark = colour * 0.45 + self.skin * torch.tensor([0.25, 0.16, 0.10])
        for sign in (1.0, -1.0):
            d, place = self.away(middle * [sign, 1.0])
            width = thick * (
                0.75
                + 0.55 * place.clamp(max=0.35) / 0.35 * 0.45
                - 0.75 * (place - 0.55).clamp(min=0) / 0.45
            )
            body = smooth_step(d / width, 1.15, 0.45)
            ends = smooth_step(place, 0.0, 0.10) * smooth_step(place, 1.0, 0.90)
            stroke = torch.sin(
                (self.x * sign * 1.0) * 125
                - (self.y * 95) * (1 - 0.7 * place)
                + 2.5 * self.noise(70)
            )
            hairs = (0.74 + 0.30 * stroke).clamp(0, 1)
            amount = (
                body * ends.clamp(min=0.0) * hairs * (0.70 + 0.3 * person.brow_thickness)
            ).clamp(0, 1)
            self.mix(dark, amount)
            self.brow = torch.maximum(self.brow, body * ends)
            self.height += 0.006 * amount


def _on_head(canvas: _Canvas) -> Points:
    """The map's points laid on the head: radii taken from the landmarks' mean per height."""
    radius = 1.0 - 0.12 * (canvas.y + 0.2).clamp(min=0) ** 2
    x, z = radius * torch.sin(canvas.u), AXIS_Z + radius * torch.cos(canvas.u)
    return torch.stack([x.reshape(-1), canvas.y.reshape(-1), z.reshape(-1)])


def _with_beard(form: hair.Style, beard: str) -> hair.Style:
    return replace(form, person=replace(form.person, beard=beard))


def _smooth_path(path: np.ndarray, per_segment: int = 4) -> np.ndarray:
    """Catmull-Rom spline through the points of an open path."""
    ends = np.vstack([2 * path[0] - path[1], path, 2 * path[-1] - path[-2]])
    t = np.linspace(0, 1, per_segment, endpoint=False)[:, None]
    pieces = [
        0.5
        * (
            2 * b
            + (c - a) * t
            + (2 * a - 5 * b + 4 * c - d) * t**2
            + (3 * b - a - 3 * c + d) * t**3
        )
        for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:], strict=False)
    ]
    return np.vstack([*pieces, path[-1:]])


def _smooth_loop(path: np.ndarray) -> np.ndarray:
    long = _smooth_path(np.vstack([path[-2:], path, path[:2]]), 3)
    return long[6:-7]


def _inside(path: np.ndarray, x: Tensor, y: Tensor) -> Tensor:
    """Even-odd rule."""
    out = torch.zeros_like(x, dtype=torch.bool)
    for (ax, ay), (bx, by) in zip(path, np.roll(path, -1, axis=0), strict=True):
        crosses = (float(ay) > y) != (float(by) > y)
        at = float(ax) + (y - float(ay)) * (float(bx - ax) / float(by - ay + 1e-12))
        out ^= crosses & (x < at)
    return out
