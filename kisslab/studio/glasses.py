"""Spectacles. (glasses)"""

from __future__ import annotations

import torch

from kisslab.studio import shapes
from kisslab.studio.head import Head
from kisslab.studio.shapes import Distance, Points


def glasses(head: Head, h: Points) -> Distance:
    """Distance to the glasses of a head; 9 where there are none."""
    d = torch.full_like(h[0], 9.0)
    if head.person.glasses == "none":
        return d
    near = ((h[1] - 0.3).abs() < 0.45).nonzero()[:, 0]
    if len(near):
        d = d.index_copy(0, near, _frame(head, h[:, near]))
    return d


def _frame(head: Head, h: Points) -> Distance:
    """Rims, bridge and temples of the glasses."""
    kind = head.person.glasses
    tube = 0.013 if kind == "thin" else 0.024
    x, y, z = h[0].abs(), h[1], h[2]
    front = float(head.points[168, 2]) + 0.12
    bend = z - front + 0.16 * x**2
    u, v = x - 0.365, y - 0.255
    if kind == "square":
        du, dv = u.abs() - 0.17, v.abs() - 0.10
        flat = torch.sqrt(du.clamp(min=0) ** 2 + dv.clamp(min=0) ** 2 + 1e-9) - 0.085
        flat = flat + torch.minimum(torch.maximum(du, dv), torch.zeros_like(du))
    else:
        flat = torch.sqrt(u**2 + (v * 1.08) ** 2 + 1e-9) - 0.245
    rim = torch.sqrt(flat**2 + bend**2 + 1e-9) - tube
    arc = v - 0.085 + 0.5 * x**2
    bridge = torch.sqrt(arc**2 + bend**2 + (x - 0.15).clamp(min=0) ** 2) - tube
    hinge = (0.60, 0.33, front - 0.06)
    side = float(head.style.width) + 0.035
    mirrored = torch.stack([x, y, z])
    temple = shapes.capsule(mirrored, hinge, (side, 0.33, -0.10), tube, tube)
    temple = torch.minimum(
        temple, shapes.capsule(mirrored, (side, 0.33, -0.10), (side, 0.34, -0.62), tube, tube)
    )
    return torch.stack([rim, bridge, temple]).amin(dim=0)
