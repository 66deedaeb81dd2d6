"""How much light a surface gets, and how much of it goes to the camera. (arriving, lit)

Soft shadows and ambient occlusion after Quilez; strands after Kajiya and Kay 1989.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from kisslab.studio.figure import Figure
from kisslab.studio.materials import Surface
from kisslab.studio.scene import Light
from kisslab.studio.shapes import Points, length


def arriving(light: Light, figures: list[Figure], p: Points, normal: Points) -> Tensor:
    """Shares of the room's light (row 0) and of the key light (row 1) that reach points."""
    key = _direction(light.azimuth, light.elevation)
    shadow = _shadow(figures, p, normal, key, light.softness)
    return torch.stack([_occlusion(figures, p, normal), shadow])


def lit(light: Light, view: Points, look: Surface, arrived: Float[Tensor, "2 N"]) -> Points:
    """Key with soft shadow and warm terminator, fill, rim, room light, gloss and strands."""
    key = _direction(light.azimuth, light.elevation)
    key_colour = 1.75 * light.strength * torch.tensor(light.colour)[:, None]
    out = look.albedo * _diffuse(light, key, key_colour, look, arrived)
    out = out + _highlights(light, key, view, look, arrived[1], key_colour)
    return out + _grazing(light, view, look, arrived[0])


def _diffuse(
    light: Light, key: Tensor, key_colour: Tensor, look: Surface, arrived: Float[Tensor, "2 N"]
) -> Points:
    """Light that the albedo colours; redder where it travels under the skin."""
    n, soft = look.normal, look.scatter
    occlusion, shadow = arrived
    fill = _direction(-0.7 * light.azimuth - math.copysign(40.0, light.azimuth), 8.0)
    facing = (n * key[:, None]).sum(dim=0)
    wrap = soft * 0.28 + 0.10 * light.softness
    base = ((facing + wrap) / (1 + wrap)).clamp(min=0.0)
    shadow3 = torch.stack([shadow ** (1 - 0.35 * soft), shadow, shadow])
    base3 = torch.stack(
        [base ** (1 - 0.14 * soft), base ** (1 + 0.02 * soft), base ** (1 + 0.06 * soft)]
    )
    dark3 = torch.stack([occlusion ** (1 - 0.3 * soft), occlusion, occlusion ** (1 + 0.1 * soft)])
    room = torch.tensor(light.ambient)[:, None]
    sky = 0.5 + 0.5 * n[1]
    hemisphere = sky * room + (1 - sky) * room * torch.tensor([0.85, 0.68, 0.58])[:, None]
    towards_fill = ((n * fill[:, None]).sum(dim=0) * 0.5 + 0.5) ** 2
    diffuse = base3 * shadow3 * key_colour * (1 - 0.4 * look.strand)
    return diffuse + dark3 * (0.62 * hemisphere + 0.8 * light.fill * towards_fill * room)


def _grazing(light: Light, view: Points, look: Surface, occlusion: Tensor) -> Points:
    """The rim light, and the room's reflection, on surfaces seen from the side."""
    rim = _direction(180.0 - 0.6 * light.azimuth, 40.0)
    room = torch.tensor(light.ambient)[:, None]
    grazing = 1 - (look.normal * view).sum(dim=0).clamp(0, 1)
    behind = (look.normal * rim[:, None]).sum(dim=0).clamp(min=0) * grazing**2
    edge = 0.9 * light.rim * behind * occlusion * torch.tensor(light.colour)[:, None]
    edge = edge * (0.12 + 0.88 * look.albedo)
    return edge + 0.05 * grazing**4 * occlusion * room * (1 - 0.5 * look.strand)


def _highlights(light: Light, key, view: Points, look: Surface, shadow, key_colour) -> Points:
    """Two lobes on skin, cloth and eyes; Kajiya-Kay's two shifted ones on hair."""
    half = key[:, None] + view
    half = half / length(half)
    facing = (look.normal * half).sum(dim=0).clamp(min=0)
    broad = 0.10 * facing**14
    sharp = 0.55 * look.gloss * facing ** (60 - 25 * light.softness)
    lit = (look.normal * key[:, None]).sum(dim=0).clamp(0, 1) ** 0.5
    skin = look.gloss * (broad + 0.35 * sharp) * lit
    hair = torch.zeros_like(skin)
    for shift, power, weight in ((0.06, 70.0, 0.20), (-0.14, 16.0, 0.16)):
        tangent = look.tangent + shift * look.normal + 0.10 * (look.grain - 0.5) * look.normal
        tangent = tangent / length(tangent).clamp(min=1e-6)
        along = (tangent * half).sum(dim=0)
        hair = hair + weight * (1 - along**2).clamp(min=0) ** (power / 2)
    hair = hair * lit * look.shine
    tint = 0.35 + 0.65 * look.albedo / look.albedo.amax(dim=0).clamp(min=0.02)
    return key_colour * shadow * (skin * (1 - look.strand) + hair * look.strand * tint)


def _direction(azimuth: float, elevation: float) -> Tensor:
    a, e = math.radians(azimuth), math.radians(elevation)
    return torch.tensor([math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)])


def _nearest(figures: list[Figure], p: Points) -> Tensor:
    d = figures[0].rough(p)
    for other in figures[1:]:
        d = torch.minimum(d, other.rough(p))
    return d


def _occlusion(figures: list[Figure], p: Points, normal: Points) -> Tensor:
    total = torch.zeros_like(p[0])
    for reach, weight in ((0.10, 0.55), (0.24, 0.60), (0.50, 0.45)):
        d = _nearest(figures, p + normal * reach)
        total = total + weight * ((reach - d).clamp(min=0) / reach).clamp(max=1.2)
    return torch.exp(-0.85 * total)


def _shadow(
    figures: list[Figure], p: Points, normal: Points, key: Tensor, softness: float
) -> Tensor:
    """Share of the key light that arrives: the narrowest cone along the way to it."""
    out = torch.ones_like(p[0])
    index = ((normal * key[:, None]).sum(dim=0) > -0.25).nonzero()[:, 0]
    start = p[:, index] + 0.08 * normal[:, index]
    t = torch.full((len(index),), 0.05)
    share = torch.ones_like(t)
    spread = 0.05 + 0.22 * softness
    for _ in range(12):
        d = _nearest(figures, start + key[:, None] * t)
        share = torch.minimum(share, 0.5 + 0.5 * d / (spread * t + 0.03))
        t = t + d.clamp(0.05, 0.35)
    share = share.clamp(0, 1)
    out[index] = share * share * (3 - 2 * share)
    return out
