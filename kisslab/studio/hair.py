"""Hair and beards: smooth volumes that are baked, strands that are added when rendering.

(Style, style, distance, flow, strands)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kisslab.studio import shapes
from kisslab.studio.person import Person
from kisslab.studio.shapes import (
    Distance,
    Points,
    Triple,
    bump,
    interpolate,
    smooth_max,
    smooth_min,
    smooth_step,
)

BURIED = -0.06  # a layer this deep under the skin is not there


@dataclass(frozen=True, eq=False)
class Style:
    """Numbers that make one head of hair. Lengths in inter-ocular distances."""

    person: Person
    width: float  # half width of the skull
    top: float  # thickness above the forehead
    side: float  # thickness above the ears
    recede: float  # how far the front hairline is moved up and back
    hang: float  # y where hanging hair ends; 0 for none
    pole: Triple  # where strands start (crown, parting) or end (bun)
    wave: float  # amplitude of waves along the strands
    curl: float  # amplitude of curls
    clump: float  # amplitude of grooves between locks
    mouth: Triple  # middle of the lips, for beards
    low: Triple  # corners of the box that holds head and hair
    high: Triple


# style: top, side, recede, hang, wave, curl, clump
_FORMS = {
    "crop": (0.12, 0.055, 0.0, 0.0, 0.0, 0.0, 0.016),
    "side part": (0.15, 0.075, 0.0, 0.0, 0.0, 0.0, 0.014),
    "quiff": (0.15, 0.045, 0.02, 0.0, 0.0, 0.0, 0.020),
    "buzz": (0.022, 0.018, 0.0, 0.0, 0.0, 0.0, 0.002),
    "bald": (BURIED, BURIED, 0.0, 0.0, 0.0, 0.0, 0.0),
    "receding": (0.050, 0.055, 0.26, 0.0, 0.0, 0.0, 0.010),
    "curly": (0.16, 0.10, 0.0, 0.0, 0.0, 0.050, 0.0),
    "afro": (0.22, 0.14, 0.0, 0.0, 0.0, 0.022, 0.0),
    "waves": (0.19, 0.12, 0.0, 0.0, 0.05, 0.0, 0.024),
    "bob": (0.14, 0.14, 0.0, -0.92, 0.0, 0.0, 0.014),
    "long": (0.13, 0.13, 0.0, -2.35, 0.015, 0.0, 0.016),
    "bun": (0.075, 0.060, 0.0, 0.0, 0.0, 0.0, 0.012),
    "ponytail": (0.085, 0.060, 0.0, 0.0, 0.0, 0.0, 0.014),
    "pixie": (0.15, 0.085, -0.03, 0.0, 0.01, 0.0, 0.020),
    "long waves": (0.17, 0.17, 0.0, -2.0, 0.045, 0.0, 0.022),
    "fringe": (0.14, 0.14, 0.0, -1.35, 0.0, 0.0, 0.013),
}


def style(person: Person, points: Float[np.ndarray, "468 3"]) -> Style:
    """The form of a person's hair."""
    top, side, recede, hang, wave, curl, clump = _FORMS[person.hair]
    full = 0.85 + 0.4 * person.hair_volume
    width = float(abs(points[:, 0]).max())
    reach = max(top, side, 0.0) * full
    lip = 0.5 * (points[13] + points[14])
    return Style(
        person=person,
        width=width,
        top=top * full if top > 0 else top,
        side=side * full if side > 0 else side,
        recede=recede + 0.10 * (person.hairline - 0.4),
        hang=hang,
        pole=_pole(person),
        wave=wave,
        curl=curl,
        clump=clump,
        mouth=tuple(float(c) for c in lip),
        low=(
            -max(1.18, width + reach + 0.2),
            min(-1.35, hang - 0.25),
            -1.75 - reach - (0.55 if person.hair in ("bun", "ponytail") else 0.0),
        ),
        high=(max(1.18, width + reach + 0.2), 1.62 + reach + 0.12, 1.05),
    )


def distance(form: Style, p: Points, skin: Distance) -> Distance:
    """Smooth hair (without strands) and beard around `skin`, the skin's distance at `p`."""
    d = skin - _thickness(form, p)
    name = form.person.hair
    if name in ("curly", "afro"):
        d = smooth_min(d, _cloud(form, p), 0.12)
    if form.hang:
        d = smooth_min(d, _curtain(form, p), 0.12)
    if name == "quiff":
        d = smooth_min(d, shapes.ellipsoid(p, (0.05, 1.36, 0.20), (0.50, 0.24, 0.36)), 0.16)
    if name == "side part":
        s = form.person.hair_side
        d = smooth_min(d, shapes.ellipsoid(p, (-0.22 * s, 1.33, 0.16), (0.52, 0.19, 0.40)), 0.14)
    if name == "pixie":
        s = form.person.hair_side
        d = smooth_min(d, _sweep(form, p, skin, s, 0.66), 0.08)
    if name == "fringe":
        d = smooth_min(d, _bangs(p, skin), 0.08)
    if name in ("bob", "long", "long waves"):
        d = smooth_min(d, _sweep(form, p, skin, form.person.hair_side, 0.78), 0.10)
    if name == "bun":
        d = smooth_min(d, shapes.ellipsoid(p, (0.0, 1.28, -1.42), (0.40, 0.36, 0.34)), 0.08)
    if name == "ponytail":
        d = smooth_min(d, _ponytail(p), 0.06)
    return torch.minimum(d, _beard(form, p, skin))


def hairline(form: Style, p: Points) -> Tensor:
    """Height above the hairline at `p`: forehead, temple, sideburn, ear, nape."""
    r, low = form.recede, 0.05 * form.person.femininity
    knots = [
        (-1.70, -0.72),
        (-1.20, -0.62),
        (-0.90, -0.10),
        (-0.74, 0.40),
        (-0.50, 0.46),
        (-0.42, 0.02 + 2 * low),
        (-0.24, 0.00 + 2 * low),
        (-0.10, 0.40 + 0.3 * r),
        (0.06, 0.66 + 1.2 * r),
        (0.32, 0.86 + 1.1 * r),
        (0.50, 0.99 + 0.9 * r),
        (0.80, 1.10 + r),
    ]
    return p[1] - interpolate(p[2], knots) + 0.02 * torch.sin(p[0] * 11.0 + 1.0)


def beard_mask(form: Style, p: Points) -> Tensor:
    """0 to 1: where this person's beard grows."""
    kind = form.person.beard
    if kind == "none":
        return torch.zeros_like(p[0])
    moustache, chin, jaw = _moustache(form, p), _chin_beard(form, p), _jaw_beard(form, p)
    if kind == "moustache":
        return moustache
    if kind == "goatee":
        return torch.maximum(moustache, chin)
    return torch.stack([moustache, chin, jaw]).amax(dim=0)


def _moustache(form: Style, p: Points) -> Tensor:
    """Between nose and upper lip, drooping to the corners."""
    x, y = p[0].abs(), p[1] - form.mouth[1]
    middle = 0.115 - 0.95 * x**2
    thick = 0.060 - 0.10 * (x - 0.12).clamp(min=0)
    body = smooth_step((y - middle).abs(), thick + 0.025, thick - 0.02)
    return body * smooth_step(x, 0.36, 0.27) * smooth_step(p[2], 0.25, 0.40)


def _chin_beard(form: Style, p: Points) -> Tensor:
    """Chin, the tuft under the lip, and the strips beside the mouth."""
    x, y = p[0].abs(), p[1] - form.mouth[1]
    chin = torch.sqrt((x / 0.30) ** 2 + ((y + 0.42) / 0.24) ** 2 + 1e-9)
    tuft = torch.sqrt((x / 0.09) ** 2 + ((y + 0.19) / 0.09) ** 2 + 1e-9)
    strip = torch.sqrt(((x - 0.315) / 0.055) ** 2 + ((y + 0.12) / 0.24) ** 2 + 1e-9)
    nearest = torch.stack([chin, tuft, strip]).amin(dim=0)
    return smooth_step(nearest, 1.20, 0.80) * smooth_step(p[2], 0.0, 0.2)


def _jaw_beard(form: Style, p: Points) -> Tensor:
    """From the sideburns along the jaw and over the cheeks, leaving the lips free."""
    x, y = p[0].abs(), p[1] - form.mouth[1]
    cheek = interpolate(p[2], [(-0.40, 0.62), (-0.15, 0.36), (0.12, 0.06), (0.40, 0.02)])
    out = smooth_step(y - cheek, 0.04, -0.10) * smooth_step(y, -0.84, -0.62)
    lips = torch.sqrt((x / 0.33) ** 2 + ((y + 0.01) / 0.13) ** 2 + 1e-9)
    return out * smooth_step(p[2], -0.46, -0.32) * smooth_step(lips, 0.95, 1.25)


def flow(form: Style, p: Points) -> tuple[Tensor, Points]:
    """Strand coordinate `u` (constant along a strand) and the direction in which strands run."""
    pole = torch.tensor(form.pole, dtype=p.dtype, device=p.device)
    away = p - pole[:, None]
    if form.person.hair in ("bun", "ponytail"):  # tied back: strands run to the tie
        u = 0.95 * torch.atan2(away[0], 0.916 * away[1] + 0.4 * away[2])
        away = -away
    elif form.person.hair == "quiff":  # brushed up and back
        u = 0.9 * torch.atan2(away[0], 0.9 * away[1] - 0.4 * away[2])
    else:  # away from the crown or the parting, down at the sides
        u = 0.95 * torch.atan2(away[0], away[2] + 1e-6)
    if form.hang:
        fall = smooth_step(p[1], 0.9, 0.2)
        down = torch.tensor([0.0, -1.0, 0.0])[:, None]
        away = away * (1 - fall) + down * fall
    return u, away / shapes.length(away).clamp(min=1e-4)


def strands(form: Style, p: Points) -> tuple[Distance, Tensor]:
    """Displacement of the smooth surface, and a 0..1 pattern for the colour of strands."""
    u, _ = flow(form, p)
    along = p[1] + 0.6 * p[2]
    if form.curl:
        return _curls(form, p)
    bend = form.wave * torch.sin(along * 7.5 + 2.0 * torch.sin(u * 2.0))
    u = u + 0.7 * bend
    lock = torch.sin(u * 17.0 + 1.3 * torch.sin(u * 5.0) + 0.8 * torch.sin(along * 2.0))
    thin = torch.sin(u * 47.0 + 2.0 * torch.sin(u * 9.0) + along * 1.5)
    hairs = torch.sin(u * 121.0 + 3.0 * torch.sin(u * 31.0) + 2.0 * along)
    groove = (1.0 - lock.abs()) ** 2
    d = form.clump * (groove - 0.35 * thin * 0.5 - 0.1 * hairs) - 0.5 * bend * form.clump / 0.02
    colour = 0.5 + 0.22 * thin + 0.20 * hairs - 0.22 * groove + 0.1 * lock
    x, y, z = (p[k] - form.pole[k] for k in range(3))
    calm = smooth_step(torch.sqrt(x * x + y * y + z * z), 0.05, 0.45)  # strands meet at the pole
    edge = smooth_step(hairline(form, p), 0.24, 0.0) * smooth_step(p[1], 0.35, 0.60)
    if not form.hang:
        calm = calm * smooth_step(hairline(form, p), -0.12, 0.22)
    fine = torch.sin(u * 83.0 + 2.0 * torch.sin(u * 23.0))
    d = d * calm + 0.007 * edge * (fine + hairs)  # single strands at the hairline
    return d, 0.5 + (colour - 0.5) * calm


def beard_strands(p: Points) -> tuple[Distance, Tensor]:
    """Short hairs that fall from the cheeks to the chin."""
    u = torch.atan2(p[0], p[2] + 0.35) + 0.12 * torch.sin(p[1] * 9.0 + p[0] * 4.0)
    tuft = torch.sin(u * 26.0 + 2.0 * torch.sin(p[1] * 11.0 + 3.0 * p[0]))
    hairs = torch.sin(u * 83.0 + 3.0 * torch.sin(p[1] * 17.0))
    return 0.007 * (tuft.abs() - 0.6) - 0.003 * hairs, 0.5 + 0.2 * hairs + 0.15 * tuft


def _curls(form: Style, p: Points) -> tuple[Distance, Tensor]:
    """Springy lumps: warped products of sines, finer for tight curls."""
    f = 13.0 if form.curl > 0.03 else 27.0
    x = p[0] + 0.05 * torch.sin(p[1] * 9.0)
    y = p[1] + 0.05 * torch.sin(p[2] * 8.0 + 1.0)
    z = p[2] + 0.05 * torch.sin(p[0] * 9.0 + 2.0)
    a = torch.sin(x * f) * torch.sin(y * f + 1.1) * torch.sin(z * f + 0.6)
    ring = torch.sin(3.0 * a + (x + y) * f * 1.7)
    fine = torch.sin(x * 3.1 * f + 2 * a) * torch.sin(y * 2.9 * f) * torch.sin(z * 3.0 * f)
    d = -form.curl * (a + 0.22 * ring + 0.16 * fine)
    return d, 0.5 + 0.25 * a + 0.25 * ring + 0.25 * fine


def _pole(person: Person) -> Triple:
    s = person.hair_side
    if person.hair in ("bun", "ponytail"):
        return (0.0, 1.05, -1.60)
    if person.hair == "quiff":
        return (0.0, 0.9, 0.62)
    if person.hair in ("side part", "pixie"):
        return (0.36 * s, 1.40, -0.30)
    if person.hair in ("bob", "long", "long waves", "fringe"):
        return (0.12 * s, 1.45, -0.35)
    return (0.05 * s, 1.42, -0.95)


def _thickness(form: Style, p: Points) -> Tensor:
    """How thick hair lies on the scalp; buried below the hairline."""
    height = hairline(form, p)
    full = form.side + (form.top - form.side) * smooth_step(p[1], 0.45, 1.15)
    if form.person.hair == "receding":  # thin on top
        full = full - 0.12 * smooth_step(p[1], 0.95, 1.25) * smooth_step(p[2], -1.3, -0.9)
    s = form.person.hair_side
    if form.person.hair in ("side part", "bob", "pixie", "long", "long waves"):
        place = 0.15 * s if form.hang < -1.5 else 0.34 * s
        groove = bump(p[0] - place, 0.035) * smooth_step(p[1], 0.95, 1.15)
        full = full - 0.32 * full * groove * smooth_step(p[2], -0.9, -0.6)
    ramp = smooth_step(height, -0.09, 0.10 + 1.2 * max(form.top, 0.0))
    deep = 0.5 * (-0.09 - height).clamp(min=0.0, max=0.5)  # nowhere near eyes and mouth
    return 0.4 * BURIED + (full - 0.4 * BURIED) * ramp - deep


def _curtain(form: Style, p: Points) -> Distance:
    """Hair that hangs around the neck, open in front."""
    x, y, z = p
    t = form.side
    width = interpolate(
        y,
        [
            (form.hang, form.width + 0.6 * t - 0.02),
            (-0.7, form.width + t + 0.06),
            (0.1, form.width + t + 0.15),
            (0.65, form.width + t),
            (1.1, 0.5),
        ],
    )
    depth = interpolate(y, [(-1.6, 0.86), (-0.6, 0.98 + 0.5 * t), (0.6, 1.08 + 0.7 * t)])
    k = torch.sqrt((x / width) ** 2 + ((z + 0.58) / depth) ** 2 + 1e-9)
    d = (k - 1.0) * torch.minimum(width, depth)
    d = smooth_max(d, y - 0.95, 0.10)
    ragged = 0.05 * torch.sin(x * 6.0) + 0.03 * torch.sin(x * 17.0 + z * 9.0)
    d = smooth_max(d, form.hang + ragged - y, 0.14)
    front = interpolate(y, [(-2.0, 0.02), (-0.9, -0.12), (0.0, -0.16), (0.7, 0.05), (0.9, 0.16)])
    d = smooth_max(d, z - front, 0.14)
    neck = torch.sqrt(x**2 + (z + 0.55) ** 2) - (form.person.neck + 0.10)
    hollow = smooth_max(neck, -0.55 - z, 0.1)
    return smooth_max(d, -smooth_max(hollow, y + 0.1, 0.2), 0.08)


def _cloud(form: Style, p: Points) -> Distance:
    """A round mass of curls, open over the face and above the nape."""
    grow = (0.16 if form.person.hair == "curly" else 0.36) * (0.8 + 0.4 * form.person.hair_volume)
    ball = shapes.ellipsoid(
        p, (0.0, 0.66, -0.60), (form.width + 0.06 + grow, 0.92 + grow, 1.06 + grow)
    )
    edge = interpolate(p[2], [(-1.2, -0.55), (-0.7, 0.15), (-0.3, 0.30), (0.1, 0.78), (0.5, 1.02)])
    return smooth_max(ball, 0.9 * (edge - p[1]), 0.22)


def _sweep(form: Style, p: Points, skin: Distance, side: float, low: float) -> Distance:
    """Front hair swept from the parting over the forehead's corner to the other side."""
    x = p[0] * side
    edge = low + 0.34 * smooth_step(x, -0.75, 0.40)
    layer = skin - 0.085 * smooth_step(p[1] - edge, -0.02, 0.22) + 0.02
    layer = smooth_max(layer, edge - p[1], 0.05)
    layer = smooth_max(layer, x - 0.42, 0.1)
    return smooth_max(layer, -0.05 - p[2], 0.1)


def _bangs(p: Points, skin: Distance) -> Distance:
    """A straight fringe down to the brows."""
    edge = 0.66 - 0.05 * (p[0] / 0.6) ** 2 + 0.012 * torch.sin(p[0] * 40.0)
    layer = skin - 0.05 - 0.05 * smooth_step(p[1], 0.6, 1.1)
    layer = smooth_max(layer, edge - p[1], 0.03)
    return smooth_max(layer, -0.15 - p[2], 0.1)


def _ponytail(p: Points) -> Distance:
    tie = shapes.sphere(p, (0.0, 1.02, -1.72), 0.15)
    upper = shapes.capsule(p, (0.0, 1.02, -1.74), (0.0, 0.55, -2.02), 0.13, 0.21)
    lower = shapes.capsule(p, (0.0, 0.55, -2.02), (0.05, -0.95, -1.85), 0.21, 0.10)
    return smooth_min(tie, smooth_min(upper, lower, 0.1), 0.05)


def _beard(form: Style, p: Points, skin: Distance) -> Distance:
    """A layer on the skin, thicker at the chin; nothing for stubble, which is only painted."""
    thick = {"short beard": 0.022, "full beard": 0.11, "goatee": 0.020, "moustache": 0.018}
    if form.person.beard not in thick:
        return torch.full_like(skin, 9.0)
    full = thick[form.person.beard]
    if form.person.beard == "full beard":
        full = 0.045 + (full - 0.045) * smooth_step(p[1] - form.mouth[1], -0.05, -0.45)
    return skin - (-0.07 + (full + 0.07) * torch.sqrt(beard_mask(form, p) + 1e-6))
