"""What a camera makes of linear light. (background, display, undisplay, photograph)

The tone curve is Hable's shoulder in its simplest form.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from kisslab.studio.scene import Camera, Scene


def background(scene: Scene) -> Callable[[Tensor], Tensor]:
    """A function from pixels to the linear colour of the wall behind, scaled to fill."""
    camera = scene.camera
    picture = torch.tensor(np.array(scene.background), dtype=torch.float32).permute(2, 0, 1)
    _, high, wide = picture.shape
    scale = min(wide / camera.width, high / camera.height)

    def wall(pixels: Tensor) -> Tensor:
        x = (pixels[0] - camera.width / 2) * scale / (wide / 2)
        y = (pixels[1] - camera.height / 2) * scale / (high / 2)
        grid = torch.stack([x, y], dim=-1).reshape(1, 1, -1, 2)
        out = F.grid_sample(picture[None], grid, padding_mode="border", align_corners=False)
        return undisplay(out.reshape(3, -1))

    return wall


def display(linear: Tensor) -> Tensor:
    """Linear to sRGB in [0, 1]: a soft shoulder, then gamma."""
    x = linear.clamp(min=0)
    return (x * (1 + 0.12 * x) / (1 + 0.36 * x) * 1.10).clamp(0, 1) ** (1 / 2.2)


def undisplay(shown: Tensor) -> Tensor:
    """Inverse of `display`."""
    y = shown.clamp(0, 1) ** 2.2 / 1.10
    b = 1 - 0.36 * y
    return (-b + torch.sqrt(b * b + 0.48 * y)) / 0.24


def photograph(picture: Float[Tensor, "3 H W"], depth: Tensor, camera: Camera) -> np.ndarray:
    """Depth of field, display curve, sensor noise, JPEG."""
    shown = display(picture)
    if camera.blur > 0:
        shown = _defocus(shown, depth, camera)
    out = shown.permute(1, 2, 0).contiguous().cpu().numpy()
    if camera.noise > 0:
        rng = np.random.default_rng([camera.seed, 25])
        grain = rng.normal(size=out.shape) * camera.noise * (0.4 + 1.2 * np.sqrt(out))
        out = np.clip(out + grain, 0, 1).astype(np.float32)
    if camera.jpeg > 0:
        file = io.BytesIO()
        Image.fromarray((out * 255 + 0.5).astype(np.uint8)).save(file, "JPEG", quality=camera.jpeg)
        out = np.asarray(Image.open(file), dtype=np.float32) / 255
    return out


def _defocus(shown: Tensor, depth: Tensor, camera: Camera) -> Tensor:
    """Blur what lies behind the people, without letting them bleed into it."""
    inside = torch.isfinite(depth).float()
    radius = camera.blur * 3.0
    sigma = max(radius / 2, 0.3)
    reach = int(3 * sigma) | 1
    x = torch.arange(-reach, reach + 1).float()
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = kernel / kernel.sum()
    weight = (1 - inside)[None]
    stack = torch.cat([shown * weight, weight])[None]
    stack = F.conv2d(
        F.pad(stack, (reach, reach, 0, 0), mode="replicate"),
        kernel.reshape(1, 1, 1, -1).expand(4, 1, 1, -1),
        groups=4,
    )
    stack = F.conv2d(
        F.pad(stack, (0, 0, reach, reach), mode="replicate"),
        kernel.reshape(1, 1, -1, 1).expand(4, 1, -1, 1),
        groups=4,
    )[0]
    return torch.where(inside > 0, shown, stack[:3] / stack[3:].clamp(min=1e-4))
