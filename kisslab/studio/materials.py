"""What surfaces look like: albedo, gloss, strands, part names. (Surface, joined, surface)"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kisslab.studio import hair
from kisslab.studio.figure import Figure
from kisslab.studio.shapes import Points, bump, length, smooth_step
from kisslab.studio.skinmap import SkinMap

SKIN, LIPS, EYE, HAIR, BROW, CLOTHES, GLASSES = range(1, 8)  # 0 is the background


@dataclass(eq=False)
class Surface:
    """Linear albedo and how light behaves on it, per point."""

    albedo: Points
    normal: Points  # with wrinkles and strands
    smooth: Points  # without
    gloss: Float[Tensor, " N"]
    scatter: Float[Tensor, " N"]  # light that travels under the skin, 0 or 1
    strand: Float[Tensor, " N"]  # 1 on hair
    tangent: Points  # along the strands
    grain: Float[Tensor, " N"]  # pattern across the strands, 0 to 1
    shine: Float[Tensor, " N"]
    part: UInt8[Tensor, " N"]
    nearest: Int[Tensor, " N"]  # index in figure.PARTS


def joined(surfaces: list[Surface]) -> Surface:
    """The points of several surfaces as one."""
    return Surface(
        **{f.name: torch.cat([getattr(s, f.name) for s in surfaces], -1) for f in fields(Surface)}
    )


def surface(figure: Figure, skin: SkinMap, p: Points, normal: Points, nearest: Tensor) -> Surface:
    """Look of the points `p` on a figure's surface; `nearest` is each one's index in PARTS."""
    count = p.shape[1]
    zero = torch.zeros(count)
    out = Surface(
        albedo=torch.zeros_like(p),
        normal=normal.clone(),
        smooth=normal,
        gloss=zero.clone(),
        scatter=zero.clone(),
        strand=zero.clone(),
        tangent=torch.zeros_like(p),
        grain=zero + 0.5,
        shine=zero.clone(),
        part=torch.zeros(count, dtype=torch.uint8),
        nearest=nearest,
    )
    for k, paint in enumerate((_skin, _eye, _hair, _cloth, _glasses)):
        index = (nearest == k).nonzero()[:, 0]
        if len(index):
            paint(figure, skin, p.index_select(1, index), index, out)
    return out


def _skin(figure: Figure, skin: SkinMap, p: Points, index: Tensor, out: Surface) -> None:
    person = figure.person
    h = figure.to_head(p)
    q = figure.rest(h)
    values = skin.at(q)
    base = (torch.tensor(person.skin) ** 2.2)[:, None]
    fade = smooth_step(q[1], -1.12, -0.95)  # below the chin the map has no detail
    albedo = base + (values[:3] - base) * fade
    ears = smooth_step(q[0].abs(), figure.head.style.width, figure.head.style.width + 0.12)
    albedo = albedo * (1 - ears * (1 - torch.tensor([1.0, 0.72, 0.68]))[:, None] * (q[1] > -0.4))
    lips, brow = values[5], values[6]
    line = figure.mouth_line(h)
    albedo = albedo * (1 - 0.50 * line * torch.tensor([0.85, 1.0, 1.0])[:, None])
    albedo = _lid_colour(figure, h, albedo)
    out.albedo[:, index] = albedo
    out.gloss[index] = values[3] * fade + 0.25 * (1 - fade)
    out.scatter[index] = 1.0
    out.normal[:, index] = _bumped(figure, skin, q, out.normal[:, index])
    part = torch.full((len(index),), SKIN, dtype=torch.uint8)
    part[lips > 0.5] = LIPS
    part[brow > 0.5] = BROW
    out.part[index] = part


def _bumped(figure: Figure, skin: SkinMap, q: Points, normal: Points) -> Points:
    """Tilt normals by the slope of the map's height."""
    step = 0.006
    slopes = []
    for axis in range(3):
        shift = torch.zeros(3, 1)
        shift[axis] = step
        slopes.append((skin.at(q + shift)[4] - skin.at(q - shift)[4]) / (2 * step))
    gradient = figure.turn(torch.stack(slopes))
    gradient = gradient - (gradient * normal).sum(dim=0) * normal
    tilted = normal - gradient
    return tilted / length(tilted)


def _lid_colour(figure: Figure, h: Points, albedo: Points) -> Points:
    """Lashes, lash line, rims of the lids."""
    near = figure.eyes.near(h).nonzero()[:, 0]
    if not len(near):
        return albedo
    person = figure.person
    along, height, upper, lower = figure.eyes.lids(h[:, near])
    within = smooth_step(along.abs(), 1.10, 0.96)
    liner = 0.5 * person.makeup + 0.15 * person.femininity
    lash = bump(height - upper - 0.002, 0.013 + 0.006 * liner) * within
    lash = lash * (0.80 + 0.2 * liner) * smooth_step(along, -1.1, -0.55)
    wing = bump(height - upper - 0.01 - 0.05 * (along - 0.95).clamp(min=0), 0.012)
    wing = wing * smooth_step(along, 0.80, 1.0) * smooth_step(along, 1.30, 1.1)
    lash = torch.maximum(lash, wing * liner)
    below = bump(height - lower + 0.004, 0.008) * within * (0.30 + 0.3 * liner)
    below = below * smooth_step(along, -0.7, 0.3)
    dark = torch.tensor([0.012, 0.008, 0.006])[:, None]
    amount = torch.maximum(lash, below).clamp(0, 1)
    eye = figure.head.eye
    fold = bump(height - upper - eye.crease, 0.014) * within * 0.35 * (1 - eye.hood)
    local = albedo[:, near] * (1 - fold * torch.tensor([0.7, 1.0, 1.0])[:, None])
    local = local + (dark - local) * amount
    return albedo.index_copy(1, near, local)


def _eye(figure: Figure, skin: SkinMap, p: Points, index: Tensor, out: Surface) -> None:
    """Sclera, iris with fibres and a dark rim, pupil, the lid's shadow, a window's reflection."""
    h = figure.to_head(p)
    eye, person = figure.head.eye, figure.person
    side = torch.sign(h[0])
    centre = torch.tensor(eye.centre, dtype=torch.float32)
    local = torch.stack([h[0] - side * centre[0], h[1] - centre[1], h[2] - centre[2]])
    gaze = figure.eyes.gaze_in_head(side)
    cosine = ((local * gaze).sum(dim=0) / eye.radius).clamp(-1, 1)
    angle = torch.acos(cosine) * eye.radius
    flat = local - cosine * eye.radius * gaze
    iris_radius, pupil = 0.075, 0.031
    turn = torch.atan2(flat[1], flat[0])
    iris = (torch.tensor(person.iris) ** 2.2)[:, None]
    fibre = 1 + 0.16 * torch.sin(turn * 19 + 3 * torch.sin(turn * 7)) + 0.08 * torch.sin(turn * 41)
    glow = 1.15 + 1.1 * (-flat[1] / iris_radius).clamp(-0.4, 1) * (angle > pupil)
    ring = 1 - 0.75 * smooth_step(angle, 0.80 * iris_radius, iris_radius)
    inner = 1 + 0.5 * bump(angle - 1.25 * pupil, 0.014)
    coloured = iris * fibre * glow * ring * inner
    white = torch.tensor([0.80, 0.77, 0.75])[:, None] * torch.ones_like(angle)
    along, height, upper, _ = figure.eyes.lids(h)
    pink = smooth_step(along.abs(), 0.55, 1.0)
    white = white * (1 - pink * torch.tensor([0.12, 0.38, 0.38])[:, None])
    albedo = white + (coloured - white) * smooth_step(
        angle, iris_radius + 0.005, iris_radius - 0.004
    )
    albedo = albedo * (1 - 0.97 * smooth_step(angle, pupil + 0.004, pupil - 0.003))
    albedo = albedo * (1 - 0.62 * torch.exp(-(upper - height).clamp(min=0) / 0.024))
    corner = smooth_step(along, -0.80, -0.96)
    flesh = (torch.tensor(person.skin) ** 2.2 * torch.tensor([0.9, 0.5, 0.48]))[:, None]
    albedo = albedo + (flesh - albedo) * corner
    spot = _spot(flat)
    out.albedo[:, index] = albedo + 0.85 * spot * (cosine > 0)
    out.gloss[index] = 0.7
    out.part[index] = EYE


def _spot(flat: Points) -> Tensor:
    """Catch light: a soft round window, upper left of the pupil."""
    big = smooth_step(torch.sqrt((flat[0] + 0.022) ** 2 + (flat[1] - 0.026) ** 2), 0.019, 0.010)
    small = smooth_step(torch.sqrt((flat[0] - 0.026) ** 2 + (flat[1] + 0.028) ** 2), 0.012, 0.005)
    return torch.maximum(big, 0.35 * small)


def _hair(figure: Figure, skin: SkinMap, p: Points, index: Tensor, out: Surface) -> None:
    person, form = figure.person, figure.head.style
    q = figure.rest(figure.to_head(p))
    _, direction = hair.flow(form, q)
    _, colour = figure.hair_pattern(q)
    beard = (
        figure.in_beard(q) if person.beard not in ("none", "stubble") else torch.zeros_like(q[0])
    )
    direction = direction * (1 - beard) + beard * torch.tensor([0.0, -1.0, 0.0])[:, None]
    base = (torch.tensor(person.hair_colour) ** 2.2)[:, None]
    tip = smooth_step(q[1], 0.6, -1.2) * (0.35 if form.hang else 0.1)
    albedo = base * (0.62 + 0.76 * colour) * (1 + tip)
    if 0.05 < person.grey < 0.9:  # salt and pepper: single strands are white
        white = smooth_step(colour, 0.62, 0.85) * (0.4 + 0.5 * person.grey)
        albedo = albedo + (torch.tensor([0.50, 0.49, 0.48])[:, None] - albedo) * 0.5 * white
    scalp = (torch.tensor(person.skin) ** 2.2)[:, None]
    if person.hair == "buzz":
        albedo = albedo * 0.62 + scalp * 0.22
    n = out.normal[:, index]
    tangent = figure.turn(direction)
    tangent = tangent - (tangent * n).sum(dim=0) * n
    out.albedo[:, index] = albedo
    out.tangent[:, index] = tangent / length(tangent).clamp(min=1e-4)
    out.grain[index] = colour
    out.strand[index] = 1.0
    out.shine[index] = (0.25 if form.curl or person.hair == "buzz" else 1.0) * (1 - 0.7 * beard)
    out.shine[index] *= 0.15 + 0.85 * smooth_step(hair.hairline(form, q), 0.06, 0.42)
    out.part[index] = HAIR


def _cloth(figure: Figure, skin: SkinMap, p: Points, index: Tensor, out: Surface) -> None:
    """Woven or knitted cloth, plain, striped or heather; a shirt under a blazer."""
    person = figure.person
    x, y, z = figure.to_chest(p)
    main = (torch.tensor(person.cloth) ** 2.2)[:, None].expand(3, len(x)).clone()
    second = (torch.tensor(person.cloth_second) ** 2.2)[:, None]
    if person.pattern == "stripes" and person.garment in ("tee", "scoop", "turtleneck"):
        stripe = smooth_step(torch.sin(y * 24 + 3 * z), -0.25, 0.25)
        main = main + (second - main) * stripe * 0.85
    if person.pattern == "heather":
        speck = torch.sin(x * 97 + 3 * torch.sin(y * 61)) * torch.sin(
            y * 89 + 2 * torch.sin(z * 71)
        )
        main = main * (1 + 0.16 * _seen(figure, 170.0) * speck)
    if person.garment == "blazer":
        inner = smooth_step(x.abs() - 0.36 * (y + 3.75), 0.0, -0.02)
        near_neck = smooth_step(
            torch.sqrt(x**2 + (z + 0.85) ** 2), person.neck + 0.26, person.neck + 0.18
        )
        inner = torch.maximum(inner * (z > -0.8), near_neck * (y > -1.95))
        main = main * 0.55 + (second - main * 0.55) * inner
    weave = 1 + 0.035 * _seen(figure, 175.0) * torch.sin(x * 150) * torch.sin(y * 150 + z * 90)
    out.albedo[:, index] = main * weave
    out.gloss[index] = 0.04
    out.scatter[index] = 0.15
    out.part[index] = CLOTHES


def _seen(figure: Figure, frequency: float) -> float:
    """How much of a wave (radians per inter-ocular distance) pixels can show: 0 below 2.5 each."""
    wave = 2 * math.pi / (frequency * max(figure.pixel, 1e-6))
    return min(max((wave - 2.5) / 3.0, 0.0), 1.0)


def _glasses(figure: Figure, skin: SkinMap, p: Points, index: Tensor, out: Surface) -> None:
    colour = torch.tensor(figure.person.glasses_colour) ** 2.2
    out.albedo[:, index] = colour[:, None]
    out.gloss[index] = 0.9
    out.part[index] = GLASSES
