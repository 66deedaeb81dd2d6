"""Stage 5a: what a clip is denoised from, and how it holds together from frame to frame.

(independent_noise, shared_noise, warped_noise, noise_frames, NoiseFrame)
The first three fit `sample(..., noise=)`: (shape of the latents, seed) in, white noise out;
>>> sample(told, noise=partial(warped_noise, flow=guide.flow))
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional as F

from kisslab import show
from kisslab.codec import PATCH
from kisslab.records import Result, record

Shape = tuple[int, int, int, int]  # T frames, C channels, h x w places
STRETCH = 1.5  # pixels: what misses a gap by less belongs there too, its part is stretched
LEAST = 1e-4  # of density: what is split over and over keeps a weight
TINY = 1e-12  # keeps what is replaced afterwards from being divided by zero


@record
class NoiseFrame(Result):
    """One frame of noise that moves, at the pixels that move it. White: all of it independent."""

    noise: Float[np.ndarray, "H W C"]  # of unit variance
    density: Float[np.ndarray, "H W"]  # rho of the paper: how much noise was gathered here, 1 fresh
    offset: Float[np.ndarray, "H W 2"]  # pixels (x, y) by which it should lie beside its pixel
    fresh: Bool[np.ndarray, "H W"]  # newly seen: nothing came here from the last frame

    def plot(self, ax: object | None = None) -> None:
        """Three channels as colours, grey for 0."""
        show.picture(0.5 + self.noise[..., :3] / 6, ax=ax)


def independent_noise(shape: Shape, seed: int) -> Float[Tensor, "T C h w"]:
    """Every frame on its own: nothing in the noise tells the model what belongs together."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def shared_noise(shape: Shape, seed: int) -> Float[Tensor, "T C h w"]:
    """One frame for all: texture holds still, and people move through it as behind a curtain."""
    return independent_noise((1, *shape[1:]), seed).expand(shape).clone()


def warped_noise(
    shape: Shape, seed: int, *, flow: Float[np.ndarray, "T H W 2"], renewed: float = 0.0
) -> Float[Tensor, "T C h w"]:
    """Noise that moves with the picture, every frame of it as white as if it were alone.

    flow: pixels to the next frame, of a guide (`guide.flow`) or as `clip_flows` estimates it; the
    picture's longer side spans the latents' longer side. It moves noise of PATCH x PATCH pixels a
    place, whose sums over PATCH are the latents' noise, so that a tenth of a place still counts.
    renewed: 0 keeps what moves, 1 is independent_noise (Burgert et al. 2025, gamma).
    ValueError: flow has other than T frames. Linear in T, in pixels and in channels.
    """
    if len(flow) != shape[0]:
        raise ValueError(f"flow of {len(flow)} frames for latents of {shape[0]}: give all T")
    fine = _fitted(flow, (PATCH * shape[2], PATCH * shape[3]))
    frames = [_pooled(frame.noise) for frame in noise_frames(fine, shape[1], seed)]
    own = independent_noise(shape, seed + 1) if renewed else torch.zeros(())
    mixed = (1 - renewed) * torch.stack(frames) + renewed * own
    return mixed / ((1 - renewed) ** 2 + renewed**2) ** 0.5


def noise_frames(
    flow: Float[np.ndarray, "T H W 2"], channels: int, seed: int
) -> Iterator[NoiseFrame]:
    """Frame after frame of white noise that moves along `flow`, pixels to the next frame.

    Burgert et al. 2025 ("Go-with-the-Flow", algorithm 1). The flow decides where noise goes and the
    noise never does, which is why it stays white; the last frame's flow leads nowhere.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = flow.shape[1:3]
    frame = NoiseFrame(
        noise=torch.randn((*shape, channels), generator=generator).numpy(),
        density=np.ones(shape, np.float32),
        offset=np.zeros((*shape, 2), np.float32),
        fresh=np.ones(shape, bool),
    )
    yield frame
    for step in flow[:-1]:
        frame = _moved(frame, step.astype(np.float32), generator)
        yield frame


def _moved(
    frame: NoiseFrame, flow: Float[np.ndarray, "H W 2"], generator: torch.Generator
) -> NoiseFrame:
    """One step of algorithm 1: edges between the pixels of two frames, noise along the edges."""
    edges = _edges(frame.offset + flow)
    degree = torch.bincount(edges.source, minlength=flow[..., 0].size)[edges.source].float()
    parts = _split(torch.tensor(frame.noise).flatten(end_dim=1), edges.source, degree, generator)
    weight = (torch.tensor(frame.density).flatten()[edges.source] / degree)[:, None]
    density, power = edges.sums(weight), edges.sums(weight**2)
    noise = edges.sums(parts * weight) / power.clamp(min=TINY).sqrt()
    fresh = density[:, 0] == 0
    noise[fresh] = torch.randn((int(fresh.sum()), noise.shape[1]), generator=generator)
    return NoiseFrame(
        noise=edges.picture(noise),
        density=edges.picture(torch.where(fresh, 1, density[:, 0].clamp(min=LEAST))),
        offset=edges.picture(edges.sums(edges.offset * weight) / density.clamp(min=TINY)),
        fresh=edges.picture(fresh),
    )


def _split(
    noise: Float[Tensor, "P C"],
    source: Int[Tensor, " E"],
    degree: Float[Tensor, " E"],
    generator: torch.Generator,
) -> Float[Tensor, "E C"]:
    """A pixel's noise q as d independent parts of unit variance whose sum is sqrt(d) q.

    q / sqrt(d) + xi - mean(xi), xi white: what white noise on finer pixels is, given its sums.
    """
    xi = torch.randn((len(source), noise.shape[1]), generator=generator)
    mean = torch.zeros_like(noise).index_add_(0, source, xi / degree[:, None])
    return noise[source] / degree.sqrt()[:, None] + xi - mean[source]


@dataclass(frozen=True, eq=False)
class _Edges:
    """Which pixels of one frame (numbered row by row) give noise to which of the next."""

    source: Int[Tensor, " E"]
    target: Int[Tensor, " E"]
    offset: Float[Tensor, "E 2"]  # pixels: how far beside its target's centre it should arrive
    shape: tuple[int, int]

    def sums(self, values: Float[Tensor, "E K"]) -> Float[Tensor, "P K"]:
        """What arrives at each pixel, added up."""
        zeros = values.new_zeros(self.shape[0] * self.shape[1], values.shape[1])
        return zeros.index_add_(0, self.target, values)

    def picture(self, values: Shaped[Tensor, "P ..."]) -> Shaped[np.ndarray, "H W ..."]:
        """Rows and columns again."""
        return values.reshape(*self.shape, *values.shape[1:]).numpy()


def _edges(flow: Float[np.ndarray, "H W 2"]) -> _Edges:
    """Contraction: each pixel gives to the one nearest to where the flow leads; many may meet.
    Expansion: where none gives to, a pixel that nearly came there gives a part of its noise too.
    """
    high, wide = flow.shape[:2]
    goal = flow + np.stack(np.meshgrid(np.arange(wide), np.arange(high)), axis=-1)
    place = np.floor(goal + 0.5).astype(int)  # rint would send two neighbours to one pixel
    inside = np.all((place >= 0) & (place < [wide, high]), axis=-1)
    source, target = np.flatnonzero(inside), place[inside] @ [1, wide]
    near, gap = _stretched(source, target, goal)
    offset = np.concatenate([(goal - place)[inside], np.zeros((len(gap), 2))])
    return _Edges(
        source=torch.from_numpy(np.concatenate([source, near])),
        target=torch.from_numpy(np.concatenate([target, gap])),
        offset=torch.from_numpy(offset.astype(np.float32)),
        shape=(high, wide),
    )


def _stretched(
    source: Int[np.ndarray, " E"], target: Int[np.ndarray, " E"], goal: Float[np.ndarray, "H W 2"]
) -> tuple[Int[np.ndarray, " G"], Int[np.ndarray, " G"]]:
    """Source and target of the edges that fill gaps in stretched parts.

    A gap's way back is that of the nearest pixel that something came to. What lies there must have
    nearly come to the gap; if it did not, the gap is newly seen, and its noise will be fresh.
    """
    shape = goal.shape[:2]
    origin = np.full(goal[..., 0].size, -1)
    origin[target] = source
    empty = (origin < 0).reshape(shape)
    if empty.all():
        return np.empty(0, int), np.empty(0, int)
    nearest = distance_transform_edt(empty, return_distances=False, return_indices=True)
    filled = nearest[:, empty]
    gaps = np.argwhere(empty).T
    back = gaps + np.unravel_index(origin.reshape(shape)[tuple(filled)], shape) - filled
    inside = np.all((back >= 0) & (back < np.array(shape)[:, None]), axis=0)
    back, gaps = back[:, inside], gaps[:, inside]
    close = np.linalg.norm(goal[tuple(back)] - gaps[::-1].T, axis=-1) < STRETCH
    return tuple(np.ravel_multi_index(p[:, close], shape) for p in (back, gaps))


def _fitted(
    flow: Float[np.ndarray, "T H W 2"], shape: tuple[int, int]
) -> Float[np.ndarray, "T I J 2"]:
    """The flow at another size, by the nearest pixel: between two that part, none moves halfway."""
    scale = max(shape) / max(flow.shape[1:3])
    rows, columns = (
        np.clip(((np.arange(new) + 0.5) / scale).astype(int), 0, old - 1)
        for new, old in zip(shape, flow.shape[1:3], strict=True)
    )
    return flow[:, rows[:, None], columns].astype(np.float32) * np.float32(scale)


def _pooled(noise: Float[np.ndarray, "H W C"]) -> Float[Tensor, "C h w"]:
    """Sums over PATCH x PATCH pixels, divided by PATCH: again white, of unit variance."""
    planes = torch.tensor(noise).movedim(2, 0)
    return F.avg_pool2d(planes, PATCH) * PATCH
