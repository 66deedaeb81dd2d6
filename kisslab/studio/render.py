"""From a scene to a picture with all its truth. (Render, build, render)

Sphere tracing after Hart 1996; soft shadows and ambient occlusion after Quilez; strands after
Kajiya and Kay 1989; the tone curve is Hable's shoulder in its simplest form.
"""

from __future__ import annotations

import io
import math
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from kisslab.records import Result, record
from kisslab.studio import landmarks, skinmap
from kisslab.studio.body import Body, build_body
from kisslab.studio.figure import Figure
from kisslab.studio.head import Head, build_head
from kisslab.studio.materials import Surface, surface
from kisslab.studio.person import Person
from kisslab.studio.scene import Camera, Light, Scene
from kisslab.studio.shapes import Points, length

PART_NAMES = ("background", "skin", "lips", "eye", "hair", "brow", "clothes", "glasses")


@record
class Render(Result):
    """A picture and what is really in it."""

    rgb: Float[np.ndarray, "H W 3"]  # sRGB in [0, 1]
    depth: Float[np.ndarray, "H W"]  # along the optical axis, inter-ocular distances; inf: nothing
    normals: Float[np.ndarray, "H W 3"]  # world frame, facing out; 0 where there is nothing
    parts: UInt8[np.ndarray, "H W"]  # index into PART_NAMES
    who: Int[np.ndarray, "H W"]  # 0 or 1: index into scene.people; -1 background
    matter: Float[np.ndarray, "H W 4"]  # what is seen, see Figure.material
    shading: Float[np.ndarray, "H W"]  # light that leaves over albedo: what moves when light does
    points: Float[np.ndarray, "P 478 2"]  # MediaPipe's points per person, pixels
    points_3d: Float[np.ndarray, "P 478 3"]  # the same in the world
    visible: Bool[np.ndarray, "P 478"]  # not hidden by anything nearer
    anatomy: Float[np.ndarray, "P A 2"]  # the named points of landmarks.NAMES, pixels
    anatomy_3d: Float[np.ndarray, "P A 3"]
    anatomy_visible: Bool[np.ndarray, "P A"]


@dataclass(frozen=True, eq=False)
class Built:
    """Everything about a person that is made once."""

    head: Head
    body: Body
    skin: skinmap.SkinMap

    def to(self, device: torch.device) -> Built:
        """The same on another device."""
        if device.type == "cpu":
            return self
        head = {
            name: getattr(self.head, name).to(device) for name in ("coarse", "face", "ear", "rough")
        }
        return Built(
            replace(self.head, **head),
            replace(self.body, volume=self.body.volume.to(device)),
            skinmap.SkinMap(self.skin.values.to(device)),
        )


@lru_cache(maxsize=6)
def build(person: Person) -> Built:
    """Bake a person's fields and texture; kept for the six people used last."""
    with torch.no_grad():
        head = build_head(person)
        return Built(head, build_body(person), skinmap.draw(head))


@torch.no_grad()
def render(scene: Scene, *, antialias: int = 4, device: torch.device | str = "cpu") -> Render:
    """Draw a scene. `antialias` rays are averaged in each pixel that an edge crosses (1: none)."""
    # torch.device() as a context costs a Python call per operation: a third of the time on a CPU
    with nullcontext() if str(device) == "cpu" else torch.device(device):
        return _render(scene, antialias)


def _render(scene: Scene, antialias: int) -> Render:
    device = torch.get_default_device()
    built = [build(person).to(device) for person in scene.people]
    pixel = 1.0 / scene.camera.unit
    figures = [
        Figure(b.head, b.body, pose, device, pixel)
        for b, pose in zip(built, scene.poses, strict=True)
    ]
    skins = [b.skin.filtered(pixel) for b in built]
    camera = scene.camera
    wall = _background(scene)
    jj, ii = torch.meshgrid(
        torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij"
    )
    pixels = torch.stack([ii.reshape(-1), jj.reshape(-1)])
    starts = [_starts(figure, camera) for figure in figures]
    hits = _trace(figures, camera, pixels, starts)
    colour = _shade(scene, figures, skins, camera, pixels, hits, wall)
    if antialias > 1:
        colour = _smooth_edges(scene, figures, skins, pixels, hits, wall, colour, antialias)
    picture = colour.reshape(3, camera.height, camera.width)
    shape = (camera.height, camera.width)
    depth = hits.depth.reshape(shape).cpu().numpy()
    points = np.stack([f.landmarks() for f in figures])
    named = np.stack([landmarks.named_points(f) for f in figures])
    return Render(
        rgb=_photograph(picture, hits.depth.reshape(shape), camera),
        depth=depth,
        normals=hits.normals.T.reshape(*shape, 3).contiguous().cpu().numpy(),
        parts=hits.parts.reshape(shape).cpu().numpy(),
        who=hits.who.reshape(shape).cpu().numpy(),
        matter=hits.matter.T.reshape(*shape, 4).contiguous().cpu().numpy(),
        shading=hits.shading.reshape(shape).cpu().numpy(),
        points=camera.project(points),
        points_3d=points,
        visible=landmarks.visible(points, depth, camera),
        anatomy=camera.project(named),
        anatomy_3d=named,
        anatomy_visible=landmarks.visible(named, depth, camera),
    )


@dataclass(eq=False)
class _Hits:
    """What each ray met: world points, depth, figure; filled by shading: normals and parts."""

    points: Points
    depth: Float[Tensor, " N"]
    who: Int[Tensor, " N"]
    normals: Points
    parts: UInt8[Tensor, " N"]
    matter: Float[Tensor, "4 N"]
    shading: Float[Tensor, " N"]


def _rays(camera: Camera, pixels: Float[Tensor, "2 N"]) -> tuple[Tensor, Points]:
    """The camera's place and unit directions."""
    x = (pixels[0] - camera.origin[0]) / (camera.unit * camera.distance)
    y = -(pixels[1] - camera.origin[1]) / (camera.unit * camera.distance)
    d = torch.stack([x, y, -torch.ones_like(x)])
    return torch.tensor([0.0, 0.0, camera.distance]), d / length(d)


def _trace(figures: list[Figure], camera: Camera, pixels: Tensor, starts: list[Tensor]) -> _Hits:
    eye, directions = _rays(camera, pixels)
    count = pixels.shape[1]
    best = torch.full((count,), math.inf)
    who = torch.full((count,), -1, dtype=torch.int64)
    for k, figure in enumerate(figures):
        others = [f for f in figures if f is not figure]
        index, t = _march(figure, others, eye, directions, starts[k], 0.6 / camera.unit)
        closer = t < best[index]
        best[index[closer]] = t[closer]
        who[index[closer]] = k
    hit = who >= 0
    points = eye[:, None] + directions * torch.where(hit, best, torch.zeros_like(best))
    depth = torch.where(hit, camera.distance - points[2], torch.full_like(best, math.inf))
    return _Hits(
        points=points,
        depth=depth,
        who=who,
        normals=torch.zeros_like(points),
        parts=torch.zeros(count, dtype=torch.uint8),
        matter=torch.zeros(4, count),
        shading=torch.ones(count),
    )


def _starts(figure: Figure, camera: Camera, stride: int = 6) -> Float[Tensor, " N"]:
    """How far every ray may go unchecked: one thin ray in stride x stride, in the rough field."""
    high, wide = -(-camera.height // stride), -(-camera.width // stride)
    jj, ii = torch.meshgrid(torch.arange(high) + 0.5, torch.arange(wide) + 0.5, indexing="ij")
    eye, directions = _rays(camera, stride * torch.stack([ii.reshape(-1), jj.reshape(-1)]))
    margin = 0.09 + 0.75 * stride / camera.unit  # the rough field's error, half a cell's diagonal
    middle = float(figure.pivot[2])
    t = (camera.distance - middle - 2.1) / -directions[2]
    end = (camera.distance - middle + 2.4) / -directions[2]
    for _ in range(40):
        d = figure.bound(eye[:, None] + directions * t) - margin
        t = torch.where(t < end, t + d.clamp(min=0.0), t)
    t = torch.where(t < end, t, torch.full_like(t, math.inf)).reshape(1, 1, high, wide)
    near = -F.max_pool2d(-t, 3, 1, 1)
    full = near.repeat_interleave(stride, 2).repeat_interleave(stride, 3)
    return full[0, 0, : camera.height, : camera.width].reshape(-1)


def solid(figure: Figure, others: list[Figure], p: Points) -> Float[Tensor, " N"]:
    """Distance to a figure that gives way where another presses: max(a, (a - b) / 2)."""
    d = figure.distance(p)
    for other in others:
        near = (d < 0.12).nonzero()[:, 0]
        near = near[other.rough(p[:, near]) < 0.25]
        if len(near):
            a, b = d[near], other.distance(p[:, near])
            d = d.index_copy(0, near, torch.maximum(a, 0.5 * (a - b)))
    return d


def _march(
    figure: Figure,
    others: list[Figure],
    eye: Tensor,
    directions: Points,
    start: Tensor,
    pixel: float,
) -> tuple[Tensor, Tensor]:
    """Sphere tracing from `start`: which rays hit, and where along them."""
    index = torch.isfinite(start).nonzero()[:, 0]
    t, along = start[index], directions[:, index]
    end = t.max() + 4.5 if len(t) else 0.0
    t = _approach(figure, eye, along, t, end)
    index, along, t = (x[..., t < end] for x in (index, along, t))
    ray = _Ray(t, torch.full_like(t, 1.0), torch.zeros_like(t), torch.full_like(t, -1.0))
    found, distance = [], []
    for step in range(48):
        if not len(index):
            break
        d = solid(figure, others, eye[:, None] + along * ray.t)
        hit = ray.advance(d, pixel, late=step > 32) | ((d < 0.03) & (step == 47))
        keep = ~hit & (ray.t < end)
        if not keep.all():
            found.append(index[hit])
            distance.append(ray.t[hit])
            index, along = index[keep], along[:, keep]
            ray = ray.kept(keep)
    if not found:
        return torch.zeros(0, dtype=torch.int64), torch.zeros(0)
    return torch.cat(found), torch.cat(distance)


def _approach(figure: Figure, eye: Tensor, along: Points, t: Tensor, end: Tensor) -> Tensor:
    """Go on in the rough field, whose error is below 0.09, as far as that is safe."""
    for _ in range(7):
        t = t + (figure.bound(eye[:, None] + along * t) - 0.09).clamp(min=0.0)
    return t


@dataclass(eq=False)
class _Ray:
    """Where rays are and what they know: auto-relaxed sphere tracing, Balint and Valasek 2023."""

    t: Float[Tensor, " N"]
    last: Float[Tensor, " N"]  # distance one step before
    step: Float[Tensor, " N"]  # the step that led here
    slope: Float[Tensor, " N"]  # of the distance along the ray, smoothed

    def advance(self, d: Tensor, pixel: float, late: bool) -> Tensor:
        """Step on from distances `d`; which rays hit (their t is then on the surface)."""
        too_far = self.step > self.last + d.abs()  # the two empty spheres do not touch: go back
        fresh = ((d - self.last) / self.step.clamp(min=1e-6)).clamp(-1.0, 0.95)
        fresh = torch.where(self.step > 0, fresh, self.slope)
        slope = torch.where(too_far, -torch.ones_like(d), 0.5 * (self.slope + fresh))
        eps = min(0.12 * pixel, 0.002)
        # certain to land within two pixels: go there in one secant step
        steep = (fresh < -0.2) & (d < 0.5 * pixel) & (d < -1.5 * pixel * fresh)
        hit = ((d < eps) | steep | ((d < 8 * eps) & late)) & ~too_far
        landing = d / (-fresh).clamp(min=0.2)
        onward = 0.88 * d * (2.0 / (1.0 - slope)).clamp(max=4.0)
        back = 0.88 * self.last - self.step
        move = torch.where(too_far, back, onward)
        self.t = self.t + torch.where(hit, torch.where(steep, landing, torch.zeros_like(d)), move)
        self.step = torch.where(too_far, 0.88 * self.last, onward)
        self.last = torch.where(too_far, self.last, d)
        self.slope = slope
        return hit

    def kept(self, keep: Tensor) -> _Ray:
        """Only some of the rays."""
        return _Ray(self.t[keep], self.last[keep], self.step[keep], self.slope[keep])


def _normals(figure: Figure, others: list[Figure], p: Points, h: Tensor) -> Points:
    """Gradient by four samples on a tetrahedron."""
    out = torch.zeros_like(p)
    for corner in ((1.0, -1.0, -1.0), (-1.0, -1.0, 1.0), (-1.0, 1.0, -1.0), (1.0, 1.0, 1.0)):
        k = torch.tensor(corner)[:, None]
        out += k * solid(figure, others, p + h * k)
    return out / length(out).clamp(min=1e-8)


def _shade(scene, figures, skins, camera, pixels, hits, wall) -> Float[Tensor, "3 N"]:
    """Linear colour of every ray; fills hits.normals and hits.parts."""
    colour = wall(pixels)
    _, directions = _rays(camera, pixels)
    for k, figure in enumerate(figures):
        index = (hits.who == k).nonzero()[:, 0]
        if not len(index):
            continue
        others = [f for f in figures if f is not figure]
        p, view = hits.points[:, index], -directions[:, index]
        nearest = figure.parts(p).argmin(dim=0)
        normal = _normals(figure, others, p, figure.grain(p, nearest))
        look = surface(figure, skins[k], p, normal, nearest)
        hits.normals[:, index] = normal
        hits.parts[index] = look.part
        light = _lit(scene.light, figures, p, view, look)
        colour[:, index] = light
        hits.matter[:, index] = figure.material(p, nearest)
        hits.shading[index] = light.mean(dim=0) / look.albedo.mean(dim=0).clamp(min=0.01)
    return colour * camera.exposure


def _lit(light: Light, figures: list[Figure], p: Points, view: Points, look: Surface) -> Points:
    """Key with soft shadow and warm terminator, fill, rim, room light, gloss and strands."""
    key = _direction(light.azimuth, light.elevation)
    fill = _direction(-0.7 * light.azimuth - math.copysign(40.0, light.azimuth), 8.0)
    rim = _direction(180.0 - 0.6 * light.azimuth, 40.0)
    n = look.normal
    occlusion = _occlusion(figures, p, look.smooth)
    shadow = _shadow(figures, p, look.smooth, key, light.softness)
    facing = (n * key[:, None]).sum(dim=0)
    wrap = look.scatter * 0.28 + 0.10 * light.softness
    base = ((facing + wrap) / (1 + wrap)).clamp(min=0.0)
    soft = look.scatter
    shadow3 = torch.stack([shadow ** (1 - 0.35 * soft), shadow, shadow])
    base3 = torch.stack(
        [base ** (1 - 0.14 * soft), base ** (1 + 0.02 * soft), base ** (1 + 0.06 * soft)]
    )
    dark3 = torch.stack([occlusion ** (1 - 0.3 * soft), occlusion, occlusion ** (1 + 0.1 * soft)])
    key_colour = 1.75 * light.strength * torch.tensor(light.colour)[:, None]
    room = torch.tensor(light.ambient)[:, None]
    sky = 0.5 + 0.5 * n[1]
    hemisphere = sky * room + (1 - sky) * room * torch.tensor([0.85, 0.68, 0.58])[:, None]
    towards_fill = ((n * fill[:, None]).sum(dim=0) * 0.5 + 0.5) ** 2
    diffuse = base3 * shadow3 * key_colour * (1 - 0.4 * look.strand)
    diffuse = diffuse + dark3 * (0.62 * hemisphere + 0.8 * light.fill * towards_fill * room)
    out = look.albedo * diffuse
    out = out + _highlights(light, key, view, look, shadow, key_colour)
    grazing = 1 - (n * view).sum(dim=0).clamp(0, 1)
    behind = (n * rim[:, None]).sum(dim=0).clamp(min=0) * grazing**2
    edge = 0.9 * light.rim * behind * occlusion * torch.tensor(light.colour)[:, None]
    out = out + edge * (0.12 + 0.88 * look.albedo)
    return out + 0.05 * grazing**4 * occlusion * room * (1 - 0.5 * look.strand)


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


def _smooth_edges(scene, figures, skins, pixels, hits, wall, colour, rays: int) -> Tensor:
    """Average several rays where depth, part or brightness jumps between neighbours."""
    camera = scene.camera
    shape = (camera.height, camera.width)
    depth = torch.nan_to_num(hits.depth.reshape(shape), posinf=99.0)
    grey = colour.clamp(0, 1).sqrt().mean(dim=0).reshape(shape)
    label = hits.parts.reshape(shape).float() + 20 * hits.who.reshape(shape).float()
    edges = _jumps(depth, 0.10) | _jumps(grey, 0.10) | _jumps(label, 0.5)
    index = edges.reshape(-1).nonzero()[:, 0]
    if not len(index):
        return colour
    more = rays - 1  # the first ray is the pixel's own
    turns = 2 * math.pi * (torch.arange(more) + 0.3) / more
    offsets = 0.42 * torch.stack([torch.cos(turns), torch.sin(turns)])
    moved = (pixels[:, index, None] + offsets[:, None]).reshape(2, -1)
    starts = [_restart(hits, k, shape)[index].repeat_interleave(more) for k in range(len(figures))]
    sub = _trace(figures, camera, moved, starts)
    total = _display(_shade(scene, figures, skins, camera, moved, sub, wall))
    total = total.reshape(3, -1, more).sum(dim=2) + _display(colour[:, index])
    out = colour.clone()
    out[:, index] = _undisplay(total / rays)
    return out


def _restart(hits: _Hits, who: int, shape: tuple[int, int]) -> Float[Tensor, " N"]:
    """Just before the nearest hit of one figure among a pixel and its neighbours; inf: none."""
    t = torch.where(hits.who == who, hits.depth, torch.full_like(hits.depth, math.inf))
    near = -F.max_pool2d(-t.reshape(1, 1, *shape), 3, 1, 1)
    return near.reshape(-1) - 0.06


def _jumps(values: Tensor, limit: float) -> Tensor:
    out = torch.zeros_like(values, dtype=torch.bool)
    for axis in (0, 1):
        step = values.diff(dim=axis).abs() > limit
        first, last = (step, step)
        pad = (0, 0, 0, 1) if axis == 0 else (0, 1, 0, 0)
        out |= F.pad(first.float(), pad).bool()
        pad = (0, 0, 1, 0) if axis == 0 else (1, 0, 0, 0)
        out |= F.pad(last.float(), pad).bool()
    return out


def _background(scene: Scene):
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
        return _undisplay(out.reshape(3, -1))

    return wall


def _display(linear: Tensor) -> Tensor:
    """Linear to sRGB in [0, 1]: a soft shoulder, then gamma."""
    x = linear.clamp(min=0)
    return (x * (1 + 0.12 * x) / (1 + 0.36 * x) * 1.10).clamp(0, 1) ** (1 / 2.2)


def _undisplay(shown: Tensor) -> Tensor:
    """Inverse of `_display`."""
    y = shown.clamp(0, 1) ** 2.2 / 1.10
    b = 1 - 0.36 * y
    return (-b + torch.sqrt(b * b + 0.48 * y)) / 0.24


def _photograph(picture: Float[Tensor, "3 H W"], depth: Tensor, camera: Camera) -> np.ndarray:
    """Depth of field, display curve, sensor noise, JPEG."""
    shown = _display(picture)
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
