"""Named anatomical points of studio people, and what hides them. (NAMES, named_points, visible)"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float

from kisslab.studio.figure import Figure
from kisslab.studio.scene import Camera

# Points that MediaPipe's mesh has too (its index), "right" is the person's own.
_MESH = {
    "right eye outer corner": 33,
    "right eye inner corner": 133,
    "left eye inner corner": 362,
    "left eye outer corner": 263,
    "right upper lid": 159,
    "right lower lid": 145,
    "left upper lid": 386,
    "left lower lid": 374,
    "right brow inner end": 55,
    "right brow peak": 105,
    "right brow outer end": 46,
    "left brow inner end": 285,
    "left brow peak": 334,
    "left brow outer end": 276,
    "nasion": 168,
    "nose bridge": 197,
    "nose tip": 1,
    "nose base": 2,
    "right nostril wing": 129,
    "left nostril wing": 358,
    "right mouth corner": 61,
    "left mouth corner": 291,
    "upper lip top": 0,
    "upper lip right peak": 37,
    "upper lip left peak": 267,
    "upper lip inner": 13,
    "lower lip inner": 14,
    "lower lip bottom": 17,
    "chin fold": 200,
    "chin": 152,
    "right jaw": 172,
    "left jaw": 397,
    "right cheek": 205,
    "left cheek": 425,
    "right cheekbone": 50,
    "left cheekbone": 280,
    "forehead": 151,
    "hairline": 10,
    "glabella": 9,
    "right temple": 127,
    "left temple": 356,
    "right iris": 468,
    "left iris": 473,
}
# Points on the rest of head and chest: frame, and a direction or place to reach the skin from.
_HEAD = {
    "crown": (0.0, 1.49, -0.55),
    "back of the head": (0.0, 0.45, -1.62),
    "right tragus": (-0.80, 0.06, -0.42),
    "left tragus": (0.80, 0.06, -0.42),
    "right ear top": (-0.93, 0.40, -0.68),
    "left ear top": (0.93, 0.40, -0.68),
    "right ear lobe": (-0.84, -0.22, -0.48),
    "left ear lobe": (0.84, -0.22, -0.48),
    "right jaw corner": (-0.72, -0.52, -0.42),
    "left jaw corner": (0.72, -0.52, -0.42),
    "throat": (0.0, -1.10, -0.12),
    "nape": (0.0, -0.90, -1.38),
}
_CHEST = {
    "collar pit": (0.0, -2.00, -0.42),
    "right collarbone": (-0.90, -2.02, -0.62),
    "left collarbone": (0.90, -2.02, -0.62),
    "right shoulder": (-1.75, -2.10, -0.95),
    "left shoulder": (1.75, -2.10, -0.95),
}
NAMES = (*_MESH, *_HEAD, *_CHEST)


def named_points(figure: Figure) -> Float[np.ndarray, "A 3"]:
    """World places of NAMES, on the skin."""
    mesh = figure.landmarks()[list(_MESH.values())]
    head = figure.from_head(np.array(list(_HEAD.values())))
    chest = figure.from_chest(np.array(list(_CHEST.values())))
    return np.concatenate([mesh, _on_skin(figure, np.concatenate([head, chest]))])


def visible(
    points: Float[np.ndarray, "P N 3"], depth: Float[np.ndarray, "H W"], camera: Camera
) -> Bool[np.ndarray, "P N"]:
    """Which points are in the picture with nothing more than 0.09 inter-ocular distances before
    them: points of the smooth mesh lie up to that far under hair, lids and glasses."""
    pixels = np.floor(camera.project(points)).astype(int)
    x, y = pixels[..., 0], pixels[..., 1]
    inside = (x >= 0) & (y >= 0) & (x < depth.shape[1]) & (y < depth.shape[0])
    seen = depth[np.where(inside, y, 0), np.where(inside, x, 0)]
    return inside & (camera.distance - points[..., 2] < seen + 0.09)


def _on_skin(figure: Figure, points: np.ndarray) -> np.ndarray:
    """Move points along the skin's distance gradient until they lie on the skin."""
    p = torch.tensor(points.T, dtype=torch.float32)
    corners = torch.cat([torch.zeros(3, 1), 0.02 * torch.eye(3)], dim=1)
    for _ in range(12):
        around = (p[:, None] + corners[:, :, None]).reshape(3, -1)
        here, *ahead = figure.parts(around)[0].reshape(4, -1)
        slope = (torch.stack(ahead) - here) / 0.02
        p = p - 0.8 * here * slope / (slope * slope).sum(dim=0).clamp(min=0.25)
    return p.T.cpu().numpy().astype(float)
