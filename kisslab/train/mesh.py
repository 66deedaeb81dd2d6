"""Trains the mesh: `accelerate launch -m kisslab.train.mesh`.

(MeshNet, losses, mesh_batch, error, main)
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from jaxtyping import Float
from torch import Tensor, nn

from kisslab import anatomy as at
from kisslab.mesh import CROP, SHARE, upright
from kisslab.train.card import Card, write_card
from kisslab.train.export import export, fused, plain, settled
from kisslab.train.loop import Batch, Recipe, fit, seconds_spent
from kisslab.train.people import (
    SIZE,
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
from kisslab.train.scene import Block, Convolution, chosen

COMPONENTS = 96


class MeshNet(nn.Module):
    """A crop around a head to 478 points (crop sides from its middle) and whether it is a face.

    Points are a mean shape plus principal components of the teacher's, in every pose.
    """

    def __init__(self, widths: tuple[int, ...] = (48, 80, 112)):
        super().__init__()
        layers = [
            nn.PixelUnshuffle(4),
            Convolution(48, widths[0]),
            Block(widths[0]),
            Block(widths[0]),
        ]
        for fine, coarse in pairwise(widths):
            layers += [Convolution(fine, coarse, stride=2), Block(coarse), Block(coarse)]
        layers += [Convolution(widths[-1], widths[-1], stride=2), nn.Flatten()]
        self.see = nn.Sequential(*layers)
        self.think = nn.Sequential(nn.Linear(16 * widths[-1], 192), nn.ReLU(inplace=True))
        self.say = nn.Linear(192, COMPONENTS + 1)
        self.register_buffer("mean", torch.zeros(478 * 3))
        self.register_buffer("basis", torch.zeros(COMPONENTS, 478 * 3))

    def forward(self, x: Float[Tensor, "B 3 S S"]) -> tuple[Tensor, Tensor]:
        """(points, B 478 3; logit of being a face, B)."""
        said = self.say(self.think(self.see(x))).float()
        points = self.mean + said[:, :-1] @ self.basis
        return points.unflatten(1, (478, 3)), said[:, -1]


class Shipped(nn.Module):
    """The same with a probability in place of the logit."""

    def __init__(self, net: MeshNet):
        super().__init__()
        self.net = net

    def forward(self, x: Float[Tensor, "1 3 S S"]) -> tuple[Tensor, Tensor]:
        points, face = self.net(x)
        return points, face.sigmoid()


def learn_shapes(net: MeshNet, points: Float[np.ndarray, "N 478 3"]) -> None:
    """Set mean and basis to the principal components of shapes; coefficients have deviation 1."""
    rows = torch.from_numpy(points.reshape(len(points), -1)).float()
    net.mean.copy_(rows.mean(dim=0))
    _, deviation, basis = torch.linalg.svd(rows - net.mean, full_matrices=False)
    scale = deviation[:COMPONENTS, None] / len(rows) ** 0.5
    net.basis.copy_(basis[:COMPONENTS] * scale)


def losses(net: MeshNet, batch: Batch) -> Batch:
    """Mean distance of the points over the head's size, depth where it is known, face or none."""
    points, face = net(batch["pictures"])
    wanted, here = batch["points"], batch["face"]
    away = (points - wanted) / SHARE
    plane = (away[..., :2].square().sum(dim=-1) + 1e-6).sqrt().mean(dim=1)
    deep = away[..., 2].abs().mean(dim=1)
    found = nn.functional.binary_cross_entropy_with_logits(face, here)
    count = here.sum().clamp(min=1)
    return {
        "plane": 10 * (plane * here).sum() / count,
        "depth": 3 * (deep * batch["taught"]).sum() / batch["taught"].sum().clamp(min=1),
        "face": 0.1 * found,
    }


def mesh_batch(people: People, places: np.ndarray, rng: np.random.Generator, count: int) -> Batch:
    """Crops around heads, some beside them."""
    drawn = [_crop(people, places, rng) for _ in range(count)]
    x = torch.from_numpy(np.stack([d.rgb for d in drawn])).permute(0, 3, 1, 2).float() / 255
    points = np.stack([d.points[0] for d in drawn]) / CROP - [0.5, 0.5, 0]
    middle = (points[..., :2].min(1) + points[..., :2].max(1)) / 2
    span = np.ptp(points[..., :2], axis=1).max(1)
    here = (np.abs(middle).max(1) < 0.25) & (span > 0.6 * SHARE) & (span < 1.6 * SHARE)
    taught = here & np.array([d.taught[0] for d in drawn])
    return {
        "pictures": varied(x, rng).contiguous(memory_format=torch.channels_last),
        "points": torch.from_numpy(points).float(),
        "face": torch.from_numpy(here).float(),
        "taught": torch.from_numpy(taught).float(),
    }


def _crop(people: People, places: np.ndarray, rng: np.random.Generator) -> Placed:
    k, mirrored = chosen(people, rng, 0.4), bool(rng.random() < 0.5)
    beside = rng.random() < 0.1
    target = np.array([CROP, CROP]) * (0.5 + rng.normal(0, 0.3 if beside else 0.035, 2))
    head = _toward(people, k, mirrored, target, float(np.exp(rng.normal(0, 0.09))), rng, CROP)
    top, left = rng.integers(0, SIZE - CROP + 1, 2)
    ground = places[rng.integers(len(places)), top : top + CROP, left : left + CROP]
    layers = [head]
    if rng.random() < 0.25:  # somebody close by, behind the head or before it
        side = np.array([rng.choice([-1, 1]) * rng.uniform(0.55, 0.9), rng.normal(0, 0.1)])
        other = _toward(people, chosen(people, rng), rng.random() < 0.5,
                        target + CROP * side, float(rng.uniform(0.85, 1.2)), rng, CROP)  # fmt: skip
        layers = [head, other] if np.abs(side[0]) > 0.75 else [other, head]
    own = layers[0] is head and rng.random() < 0.5
    picture = draw(layers, None if own else ground, rng)
    picture = Placed(picture.rgb, picture.labels, head.points, head.taught)
    return worn(picture, ground, rng)


def _toward(
    people: People, k: int, mirrored: bool, target: np.ndarray, scale: float,
    rng: np.random.Generator, size: int,
) -> Placed:  # fmt: skip
    """Picture k, its head upright and of the usual size, but for some error."""
    plane = people.points[k, :, :2]
    degrees, middle, span = upright(plane)
    if mirrored:
        degrees, middle = -degrees, [SIZE, 0] + middle * [-1, 1]
    turn = float(rng.normal(0, 9)) - degrees
    matrix = moving(middle, target, scale * SHARE * size / span, turn)
    return placed(people, k, matrix, size, mirrored)


@torch.no_grad()
def error(net: MeshNet, people: People) -> float:
    """Mean distance in the picture from the teacher's points, inter-ocular distances."""
    net.eval()
    rng, out = np.random.default_rng(3), []
    for k in np.flatnonzero(people.taught):
        crop = _toward(people, int(k), False, np.array([CROP, CROP]) / 2, 1.0, rng, CROP)
        x = torch.from_numpy(crop.rgb).permute(2, 0, 1)[None].float() / 255
        found = (net(x)[0][0, :, :2].numpy() + 0.5) * CROP
        eyes = crop.points[0, [at.RIGHT_EYE_OUTER, at.LEFT_EYE_OUTER]]
        away = np.linalg.norm(found - crop.points[0, :, :2], axis=1).mean()
        out.append(away / np.linalg.norm(eyes[1] - eyes[0]))
    return float(np.mean(out))


def main(
    views: Annotated[Path, typer.Option(help="folder of person_*.npz")],
    photos: Annotated[Path, typer.Option(help="folder of folders of photographs")],
    out: Annotated[Path, typer.Option(help="folder of the finished model")],
    work: Annotated[Path, typer.Option(help="folder of checkpoints")],
    steps: int = 1000,
    pictures: int = 48,
) -> None:
    """Train the mesh on studio people and photographs, and write its card."""
    seen, held = split(views)
    people = read_people(seen, photos, work / "teacher", held=False)
    places = grounds(people, np.random.default_rng(1))

    def batch(rng: np.random.Generator) -> Batch:
        return mesh_batch(people, places, rng, pictures)

    torch.manual_seed(0)
    net = MeshNet()
    learn_shapes(net, _shapes(people, 3000))
    recipe = Recipe(steps=steps, rate=2e-3, save_every=100, average=0.997)
    trained = fit(net, batch, losses, work, recipe)
    net = plain(MeshNet(), trained)
    net = settled(net, [batch(np.random.default_rng([2, k]))["pictures"] for k in range(24)])
    example = torch.zeros(1, 3, CROP, CROP)
    export(Shipped(fused(net)).eval(), example, out / "mesh.onnx", ["points", "score"])
    unseen = read_people(held, photos, work / "teacher", held=True)
    write_card(
        Card(
            title="kisslab mesh",
            task="478 face points in MediaPipe's order from a crop around a head",
            data=f"{people.studio.sum()} studio pictures, {(~people.studio).sum()} photographs of "
            "people who do not exist (SFHQ and SFHQ-T2I, David Beniaguev, MIT); MediaPipe's "
            "FaceLandmarker (Apache-2.0) was the teacher",
            recipe=recipe,
            seconds=seconds_spent(work),
            figures={
                "crop_error_studio_held_out": error(net, unseen.pick(unseen.studio)),
                "crop_error_photos_held_out": error(net, unseen.pick(~unseen.studio)),
            },
            limits="Less exact than its teacher, most of all round the lips and eyelids; depth is "
            "the teacher's guess. No blendshapes.",
        ),
        out,
        work,
    )


def _shapes(people: People, count: int) -> Float[np.ndarray, "N 478 3"]:
    """Shapes as the batches show them, in crop sides; depth only as the teacher knows it."""
    rng, known = np.random.default_rng(4), people.pick(people.taught)
    shapes = []
    for k in rng.integers(0, len(known.rgb), count):
        middle = np.array([CROP, CROP]) * (0.5 + rng.normal(0, 0.035, 2))
        scale, mirrored = float(np.exp(rng.normal(0, 0.09))), bool(rng.random() < 0.5)
        shapes.append(_toward(known, int(k), mirrored, middle, scale, rng, CROP).points[0])
    return np.stack(shapes) / CROP - [0.5, 0.5, 0]


if __name__ == "__main__":
    typer.run(main)
