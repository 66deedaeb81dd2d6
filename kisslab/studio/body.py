"""Neck, shoulders and clothes, in the frame of the chest. (Body, build_body)

Chest frame: equal to the head frame when the head looks straight ahead; both turn about the
same pivot, where the skull sits on the neck.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kisslab.studio import shapes
from kisslab.studio.person import Person
from kisslab.studio.shapes import (
    Distance,
    Points,
    Volume,
    bake,
    smooth_max,
    smooth_min,
    smooth_step,
)


@dataclass(frozen=True, eq=False)
class Body:
    """Channels of `volume`: skin, cloth."""

    person: Person
    volume: Volume


def build_body(person: Person) -> Body:
    """Bake shoulders and garment."""

    def both(p: Points) -> Tensor:
        form = _form(person, p)
        skin = _bones(person, p, form)
        return torch.stack([skin, _garment(person, p, skin)])

    return Body(person, bake(both, (-2.75, -4.6, -2.1), (2.75, -1.0, 0.75), 0.036))


def _form(person: Person, p: Points) -> Distance:
    """Shoulders, chest and upper arms without bones."""
    q = torch.stack([p[0].abs(), p[1], p[2]])
    s, r = person.shoulders, person.neck
    d = shapes.capsule(q, (0.0, -1.75, -0.93), (0.0, -2.1, -1.0), r, r + 0.02)
    d = smooth_min(
        d, shapes.capsule(q, (0.15, -1.75, -1.08), (s - 0.5, -2.26, -1.0), 0.22, 0.28), 0.35
    )
    d = smooth_min(d, shapes.sphere(q, (s - 0.42, -2.48, -0.95), 0.44), 0.25)
    d = smooth_min(d, shapes.ellipsoid(q, (0.0, -3.35, -0.85), (0.86 * s, 1.35, 0.80)), 0.35)
    d = smooth_min(
        d, shapes.capsule(q, (s - 0.35, -2.5, -0.95), (s - 0.1, -4.4, -0.95), 0.38, 0.32), 0.2
    )
    bust = shapes.sphere(q, (0.58, -3.55, -0.35), 0.46)
    if person.femininity > 0.5:
        d = smooth_min(d, bust, 0.30)
    return d


def _bones(person: Person, p: Points, form: Distance) -> Distance:
    """Collarbones and the pit between them."""
    q = torch.stack([p[0].abs(), p[1], p[2]])
    end = (person.shoulders - 0.65, -2.02, -0.76)
    d = smooth_min(form, shapes.capsule(q, (0.16, -2.06, -0.48), end, 0.03, 0.03), 0.20)
    return smooth_max(d, -shapes.sphere(q, (0.0, -2.00, -0.26), 0.10), 0.12)


def _garment(person: Person, p: Points, skin: Distance) -> Distance:
    x, y, z = p
    ax = x.abs()
    folds = (
        0.012
        * torch.sin(ax * 5.0 + y * 7.0 + 1.5 * torch.sin(y * 3.0))
        * smooth_step(y, -2.3, -3.2)
    )
    opening = shapes.ellipsoid(p, (0.0, -1.50, -0.72), (0.74, 0.55, 0.92))
    kind = person.garment
    if kind == "turtleneck":
        neck = shapes.capsule(
            p, (0.0, -1.22, -0.82), (0.0, -2.1, -1.0), person.neck + 0.07, person.neck + 0.12
        )
        roll = 0.014 * torch.cos(y * 26.0)
        cloth = smooth_min(skin - 0.06 - folds, smooth_max(neck + roll, y + 1.24, 0.06), 0.12)
        return cloth
    cloth = skin - 0.055 - folds
    if kind == "tee":
        return _hemmed(cloth, opening, skin)
    if kind == "v-neck":
        wedge = smooth_max(ax - 0.42 * (y + 2.95), -z - 0.8, 0.05)
        return _hemmed(cloth, smooth_min(opening, wedge, 0.05), skin)
    if kind == "scoop":
        deep = shapes.ellipsoid(p, (0.0, -1.75, -0.55), (1.05, 0.85, 1.0))
        return _hemmed(cloth, deep, skin)
    if kind == "hoodie":
        hood = _ring(p, (0.0, -1.72, -0.95), 0.80, 0.20, 0.35)
        return smooth_min(_hemmed(skin - 0.09 - 1.5 * folds, opening, skin), hood, 0.10)
    collar = _collar(person, p)
    wedge = smooth_max(ax - 0.30 * (y + 2.55), -z - 0.8, 0.05)
    if kind == "shirt":
        return torch.minimum(_hemmed(cloth, smooth_min(opening, wedge, 0.05), skin), collar)
    deep = smooth_max(ax - 0.36 * (y + 3.75), -z - 0.8, 0.05)
    jacket = smooth_max(skin - 0.13 - folds, -smooth_min(opening - 0.08, deep, 0.1), 0.02)
    shirt = torch.minimum(_hemmed(skin - 0.05, smooth_min(opening, wedge, 0.05), skin), collar)
    return torch.minimum(jacket, shirt)


def _hemmed(cloth: Distance, opening: Distance, skin: Distance) -> Distance:
    """Cut the opening and put a round hem along its edge."""
    hem = torch.sqrt((skin - 0.045) ** 2 + opening**2) - 0.050
    return smooth_min(smooth_max(cloth, -opening, 0.02), hem, 0.02)


def _ring(p: Points, centre: shapes.Triple, radius: float, tube: float, tilt: float) -> Distance:
    """A torus around the neck whose front is lower by the slope `tilt`."""
    x, y, z = p[0] - centre[0], p[1] - centre[1], p[2] - centre[2]
    around = torch.sqrt(x**2 + z**2 + 1e-9) - radius
    return torch.sqrt(around**2 + (y + tilt * z) ** 2) - tube


def _collar(person: Person, p: Points) -> Distance:
    """A folded shirt collar: a leaning cone, open at the throat."""
    x, y, z = p[0].abs(), p[1] + 1.62, p[2] + 0.86
    height = y + 0.32 * z
    lean = torch.sqrt(x**2 + z**2 + 1e-9) - (person.neck + 0.10) + 0.42 * (height - 0.12)
    slab = torch.maximum(lean.abs() - 0.035, (height - 0.0).abs() - 0.17)
    gap = smooth_max(0.10 - x - 0.55 * (height - 0.17), -z, 0.05)
    return smooth_max(slab * 0.85, gap, 0.03)
