"""Trains the detector and the parts: `accelerate launch -m kisslab.train.scene`.

(SceneNet, losses, targets, scene_batch, main)
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from einops import repeat
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from kisslab.mesh import KEY_POINTS, STRIDES
from kisslab.parts import PARTS
from kisslab.train.card import Card, write_card
from kisslab.train.export import export, fused, plain, settled
from kisslab.train.loop import Batch, Recipe, fit, seconds_spent
from kisslab.train.people import (
    SIZE,
    UNSURE,
    People,
    Placed,
    draw,
    grounds,
    moving,
    placed,
    read_people,
    split,
    worn,
)
from kisslab.train.pictures import varied

ANCHORS = 2  # per place: what insightface expects; ours are twins


class SceneNet(nn.Module):
    """A U-Net over 4 x 4 pixel patches: what every pixel belongs to, and where the faces are."""

    def __init__(self, widths: tuple[int, ...] = (40, 64, 96, 96)):
        super().__init__()
        first, *_ = widths
        self.stem = nn.Sequential(nn.PixelUnshuffle(4), Convolution(48, first))
        self.down, self.up, self.side = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for fine, coarse in pairwise(widths):
            step = Convolution(fine, coarse, stride=2)
            self.down.append(nn.Sequential(step, Block(coarse), Block(coarse)))
            self.side.append(
                nn.Sequential(Convolution(coarse, fine, 1), nn.Upsample(scale_factor=2))
            )
            self.up.append(nn.Sequential(Convolution(2 * fine, fine, 1), Block(fine)))
        self.entry = Block(first)
        self.parts = nn.Sequential(
            Block(first), nn.Conv2d(first, 16 * len(PARTS), 1), nn.PixelShuffle(4)
        )
        self.heads = nn.ModuleList(
            nn.Sequential(Convolution(width, 48), nn.Conv2d(48, 1 + 4 + 10, 1))
            for width in widths[1:]
        )
        for head in self.heads:
            nn.init.constant_(head[-1].bias[0], -4.0)  # faces are rare among places

    def features(self, x: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """At strides 4, 8, 16 and 32."""
        levels = [self.entry(self.stem(x))]
        for down in self.down:
            levels.append(down(levels[-1]))
        for k in reversed(range(len(self.up))):
            levels[k] = self.up[k](torch.cat([levels[k], self.side[k](levels[k + 1])], dim=1))
        return levels

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, Tensor]:
        """(logits of the parts, B K H W; score, box and key points of every place, B N 15)."""
        fine, *coarse = self.features(x)
        found = [h(level).flatten(2) for h, level in zip(self.heads, coarse, strict=True)]
        return self.parts(fine), torch.cat(found, dim=2).transpose(1, 2)


class Detector(nn.Module):
    """The detector alone, as insightface's SCRFD expects it.

    In: (RGB - 127.5) / 128. Out: three scores, three boxes, three sets of key points, places in
    rows, distances in strides.
    """

    def __init__(self, net: SceneNet):
        super().__init__()
        self.net = net

    def forward(self, x: Float[Tensor, "1 3 H W"]) -> tuple[Tensor, ...]:
        _, *levels = self.net.features(x * (128 / 255) + 0.5)
        rows = [
            repeat(head(level), "1 c h w -> (h w twin) c", twin=ANCHORS)
            for head, level in zip(self.net.heads, levels, strict=True)
        ]
        return (
            *(r[:, :1].sigmoid() for r in rows),
            *(r[:, 1:5] for r in rows),
            *(r[:, 5:] for r in rows),
        )


class PartsOnly(nn.Module):
    """Probabilities of the parts for a picture in [0, 1]."""

    def __init__(self, net: SceneNet):
        super().__init__()
        self.net = net

    def forward(self, x: Float[Tensor, "1 3 H W"]) -> Float[Tensor, "1 K H W"]:
        return self.net.parts(self.net.features(x)[0]).softmax(dim=1)


class Convolution(nn.Sequential):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inside: int, outside: int, size: int = 3, stride: int = 1):
        super().__init__(
            nn.Conv2d(inside, outside, size, stride, size // 2, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
        )


class Block(nn.Module):
    """ReLU of x plus two convolutions (He et al. 2016)."""

    def __init__(self, width: int):
        super().__init__()
        self.one = Convolution(width, width)
        self.two = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return F.relu(x + self.two(self.one(x)))


def losses(net: SceneNet, batch: Batch) -> Batch:
    """Focal score loss (Lin et al. 2017), boxes and key points over the face's size, parts."""
    logits, found = net(batch["pictures"])
    score, wanted = found[..., 0].float(), batch["score"]
    face = (wanted > 0.5).float()
    plain = F.binary_cross_entropy_with_logits(score, wanted.clamp(min=0), reduction="none")
    wrong = (score.sigmoid() - wanted.clamp(min=0)).abs()
    counted = (wanted >= 0).float()
    count = face.sum().clamp(min=1)
    places = F.smooth_l1_loss(found[..., 1:].float(), batch["places"], reduction="none", beta=0.1)
    places = (places.mean(dim=-1) / batch["spans"] * face).sum() / count
    return {
        "score": (plain * wrong**2 * counted).sum() / count,
        "places": 4 * places,
        "parts": parts_loss(logits.float(), batch["labels"]),
    }


def parts_loss(logits: Float[Tensor, "B K H W"], labels: UInt8[Tensor, "B H W"]) -> Tensor:
    """Cross entropy; where only a person is known, of any part but the background."""
    names = logits.log_softmax(dim=1)
    anybody = logits[:, 1:].logsumexp(dim=1) - logits.logsumexp(dim=1)
    told = labels != UNSURE
    index = torch.where(told, labels, 0).long()
    likely = torch.cat([names, anybody[:, None]], dim=1).gather(1, index[:, None])[:, 0]
    # Who is person matters more than which part of them.
    person = torch.where(index == 0, names[:, 0], anybody)
    return -((likely + person) * told).sum() / told.sum().clamp(min=1)


def targets(points: list[Float[np.ndarray, "F 478 3"]]) -> dict[str, np.ndarray]:
    """For every place of every picture: 1 a face, 0 none, -1 either; its box and key points.

    A face belongs to the stride that its size asks for, and there to the places near its middle.
    """
    steps = np.concatenate([np.full((SIZE // s) ** 2, s) for s in STRIDES])
    grid = np.concatenate(
        [np.stack(np.mgrid[: SIZE // s, : SIZE // s][::-1], -1).reshape(-1, 2) * s for s in STRIDES]
    )
    score = np.zeros((len(points), len(grid)), np.float32)
    places = np.zeros((*score.shape, 14), np.float32)
    spans = np.ones_like(score)
    for b, faces in enumerate(points):
        for face in faces:
            low, high = face[:, :2].min(0), face[:, :2].max(0)
            middle, span = (low + high) / 2, (high - low).max()
            own = STRIDES[int(span > 44) + int(span > 104)]
            away = np.abs(grid - middle).max(1) / steps
            score[b, (away < 1.6) & (score[b] == 0)] = -1
            near = (away < 0.9) & (steps == own)
            score[b, near] = 1
            wanted = np.stack([key - grid[near] for key in key_points(face)], 1).reshape(-1, 10)
            box = np.concatenate([grid[near] - low, high - grid[near]], 1)
            places[b, near] = np.concatenate([box, wanted], 1) / own
            spans[b, near] = span / own
    return {"score": score, "places": places, "spans": spans}


def key_points(points: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, "5 2"]:
    """Middle of the eyes, tip of the nose, corners of the mouth, the picture's left first."""
    return np.stack([points[index, :2].mean(0) for index in KEY_POINTS])


def scene_batch(people: People, places: np.ndarray, rng: np.random.Generator, count: int) -> Batch:
    """Pictures with nobody, one person or two, and all that is to be found in them."""
    drawn = [_scene(people, places, rng) for _ in range(count)]
    x = torch.from_numpy(np.stack([d.rgb for d in drawn])).permute(0, 3, 1, 2).float() / 255
    found = targets([d.points for d in drawn])
    return {
        "pictures": varied(x, rng).contiguous(memory_format=torch.channels_last),
        "labels": torch.from_numpy(np.stack([d.labels for d in drawn])),
        **{name: torch.from_numpy(value) for name, value in found.items()},
    }


def _scene(people: People, places: np.ndarray, rng: np.random.Generator) -> Placed:
    def ground() -> np.ndarray:
        picture = places[rng.integers(len(places))]
        return np.ascontiguousarray(picture[:, :: rng.choice([-1, 1])])

    draws = rng.random()
    if draws < 0.04:
        picture = ground()
        none = Placed(picture, np.zeros(picture.shape[:2], np.uint8), np.zeros((0, 478, 3)),
                      np.zeros(0, bool))  # fmt: skip
        return worn(none, ground(), rng)
    if draws < 0.3:
        one = _somewhere(people, rng, rng.uniform(0.4, 0.6), np.exp(rng.uniform(4.4, 5.3)))
        return worn(draw([one], None, rng), ground(), rng)
    if draws < 0.55:
        one = _somewhere(people, rng, rng.uniform(0.3, 0.7), np.exp(rng.uniform(3.4, 5.3)))
        return worn(draw([one], ground(), rng), ground(), rng)
    span = np.exp(rng.uniform(3.4, 4.75))
    apart = span / SIZE * rng.uniform(0.85, 1.7)
    middle = rng.uniform(0.35, 0.65)
    pair = [
        _somewhere(people, rng, middle + side * apart / 2, span * rng.uniform(0.85, 1.15))
        for side in rng.permutation([-1, 1])
    ]
    return worn(draw(pair, ground(), rng), ground(), rng)


def _somewhere(people: People, rng: np.random.Generator, x: float, span: float) -> Placed:
    """A person whose face is `span` pixels large, at x (share of the width)."""
    k = chosen(people, rng)
    low, high = people.points[k, :, :2].min(0), people.points[k, :, :2].max(0)
    mirrored = bool(rng.random() < 0.5)
    source = (low + high) / 2
    if mirrored:
        source = [SIZE, 0] + source * [-1, 1]
    target = SIZE * np.array([x, rng.uniform(0.3, 0.65)])
    degrees = float(rng.normal(0, 14))
    matrix = moving(source, target, span / (high - low).max(), degrees)
    return placed(people, k, matrix, SIZE, mirrored)


def chosen(people: People, rng: np.random.Generator, photographs: float = 0.45) -> int:
    """A studio picture, or with probability `photographs` a photograph."""
    wanted = people.studio != (rng.random() < photographs)
    return int(rng.choice(np.flatnonzero(wanted)))


@torch.no_grad()
def overlap(net: SceneNet, people: People) -> float:
    """Mean over pictures of intersection over union, person against background."""
    shares = []
    for rgb, labels in zip(people.rgb, people.labels, strict=True):
        x = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() / 255
        mine = PartsOnly(net)(x)[0, 0].numpy() < 0.5
        told, true = labels != UNSURE, labels > 0
        shares.append((mine & true & told).sum() / ((mine | true) & told).sum())
    return float(np.mean(shares))


def main(
    views: Annotated[Path, typer.Option(help="folder of person_*.npz")],
    photos: Annotated[Path, typer.Option(help="folder of folders of photographs")],
    out: Annotated[Path, typer.Option(help="folder of the finished parts model")],
    detector: Annotated[Path, typer.Option(help="file of the finished detector")],
    work: Annotated[Path, typer.Option(help="folder of checkpoints")],
    steps: int = 1200,
    pictures: int = 16,
) -> None:
    """Train detector and parts on studio people and photographs, and write their card."""
    seen, held = split(views)
    people = read_people(seen, photos, work / "teacher", held=False)
    places = grounds(people, np.random.default_rng(1))

    def batch(rng: np.random.Generator) -> Batch:
        return scene_batch(people, places, rng, pictures)

    torch.manual_seed(0)
    recipe = Recipe(steps=steps, rate=2e-3, save_every=100, average=0.997)
    trained = fit(SceneNet(), batch, losses, work, recipe)
    net = plain(SceneNet(), trained)
    net = settled(net, [batch(np.random.default_rng([2, k]))["pictures"] for k in range(24)])
    example = torch.zeros(1, 3, SIZE, SIZE)
    export(PartsOnly(fused(net)).eval(), example, out / "parts.onnx", ["shares"])
    names = [f"{what}_{s}" for what in ("score", "box", "keys") for s in STRIDES]
    export(Detector(fused(net)).eval(), example, detector, names)
    unseen = read_people(held, photos, work / "teacher", held=True)
    write_card(
        Card(
            title="kisslab parts",
            task="background, skin, hair, clothes and glasses in portraits; with the same features "
            "a face detector in the format of insightface's SCRFD",
            data=f"{people.studio.sum()} studio pictures, {(~people.studio).sum()} photographs of "
            "people who do not exist (SFHQ and SFHQ-T2I, David Beniaguev, MIT); MediaPipe's "
            "FaceLandmarker (Apache-2.0) taught where faces are, GrabCut who is person",
            recipe=recipe,
            seconds=seconds_spent(work),
            figures={
                "overlap_studio_held_out": overlap(net, unseen.pick(unseen.studio)),
                "overlap_photos_held_out_with_grabcut": overlap(net, unseen.pick(~unseen.studio)),
            },
            limits="Heads and shoulders of one or two people; hands, hats and things held are "
            "often taken for background.",
        ),
        out,
        work,
    )


if __name__ == "__main__":
    typer.run(main)
