"""Trains kisslab-id: `accelerate launch -m kisslab.train.identity`.

(Embedder, ArcFace, margin_loss, losses, export, turn_to, accepted, main)
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import torch
import typer
from einops import rearrange
from jaxtyping import Float, Int, UInt8
from safetensors.torch import load_file
from scipy.linalg import orthogonal_procrustes
from torch import Tensor, nn
from torch.nn import functional as F

from kisslab.identity import OURS, SIDE, embed_crops
from kisslab.studio.dataset import Views
from kisslab.studio.person import sample_couple, sample_person
from kisslab.train.card import Card, write_card
from kisslab.train.export import halved, settled
from kisslab.train.gallery import Gallery, draw, lesson_gallery, photo_gallery, studio_gallery
from kisslab.train.lessons import seed_of
from kisslab.train.loop import Batch, Recipe, fit, seconds_spent
from kisslab.train.pictures import read_views
from kisslab.train.traits import standardised

BATCH = 64
MARGIN = 0.35  # radians
GUESS = 4.0  # weight of the traits' error, so that neither loss drowns the other
RISE = 1500  # batches until the margin has its full width
UNSEEN = 24  # studio people of the training set on whom the card's figures are measured
PATH = Path("models") / OURS / "kisslab_id.onnx"  # in an insightface root


class Embedder(nn.Module):
    """Crops in [-1, 1] to vectors: convolutions, then one weight per place (MobileFaceNet's end).

    All work is at a quarter of the resolution and below: a CPU runs it in a few milliseconds.
    """

    def __init__(self, size: int = 256):
        super().__init__()
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(4),
            _step(48, 48),
            _step(48, 128, stride=2),
            Residual(128, 64),
            Residual(128, 64),
            _step(128, 256, stride=2),
            Residual(256, 128),
            Residual(256, 128),
            Residual(256, 128),
            nn.Conv2d(256, 256, SIDE // 16, groups=256, bias=False),
            nn.BatchNorm2d(256),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(256, size, bias=False),
            nn.BatchNorm1d(size),
        )

    def forward(self, x: Float[Tensor, "B 3 112 112"]) -> Float[Tensor, "B D"]:
        return self.layers(x)


class Residual(nn.Module):
    """x + a 3 x 3 convolution of fewer channels (He et al. 2016, fig. 5)."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        last = nn.Conv2d(inner, width, 1, bias=False)
        self.layers = nn.Sequential(
            _step(width, inner, kernel=1), _step(inner, inner), last, nn.BatchNorm2d(width)
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return x + self.layers(x)


class ArcFace(nn.Module):
    """An embedder and a direction for each person of the training set (Deng et al. 2019).

    And a guess of the traits of studio people, which tells a network of few people what to look at.
    """

    def __init__(self, traits: Float[np.ndarray, "N K"], size: int = 256):
        """traits: of each person, standardised; NaN: unknown."""
        super().__init__()
        self.embedder = Embedder(size)
        self.centres = nn.Parameter(torch.randn(len(traits), size))
        self.guess = nn.Linear(size, traits.shape[1])
        self.register_buffer("traits", torch.from_numpy(traits).float())
        self.register_buffer("seen", torch.zeros(()))  # batches so far

    def forward(
        self, x: Float[Tensor, "B 3 112 112"], person: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B N"], Float[Tensor, ""], Float[Tensor, ""]]:
        """Cosines to everybody, mean square error of the guess, and the margin's width so far.

        The error is 0 where nobody's traits are known. person: whose picture it is.
        """
        self.seen += self.training
        vectors = self.embedder(x).float()
        goal = self.traits[person]
        known = goal.isfinite()
        error = (self.guess(vectors).float() - goal.nan_to_num()) ** 2 * known
        cosine = F.normalize(vectors) @ F.normalize(self.centres.float()).T
        margin = MARGIN * (self.seen / RISE).clamp(max=1)
        return cosine, error.sum() / known.sum().clamp(min=1), margin

    @torch.no_grad()
    def go_on_from(self, path: str | Path, gallery: Gallery) -> None:
        """Take over what a checkpoint learned, perhaps of other people than the gallery's.

        ValueError: another network's, or one of another size.
        """
        old = load_file(path)
        guess = {"guess.weight", "guess.bias"}
        own = {name: x for name, x in old.items() if name.startswith("embedder.") or name in guess}
        shapes = {name: x.shape for name, x in self.state_dict().items()}
        if own.keys() != shapes.keys() - {"centres", "traits", "seen"} or any(
            x.shape != shapes[name] for name, x in own.items()
        ):
            raise ValueError(f"{path}: no checkpoint of kisslab-id, or one of another size")
        self.load_state_dict(own, strict=False)
        self.eval()
        person = torch.tensor(gallery.person)
        sums = torch.zeros_like(self.centres)
        for crops, owner in zip(_batches(gallery.crops), person.split(BATCH), strict=True):
            sums.index_add_(0, owner, F.normalize(self.embedder(crops)))
        self.centres.copy_(F.normalize(sums))
        self.seen.fill_(RISE)
        self.train()


class BothWays(nn.Module):
    """What is exported: unit vectors of a crop and of its mirror image, summed, then turned."""

    def __init__(self, embedder: Embedder, turn: Float[Tensor, "D D"]):
        super().__init__()
        self.embedder = embedder
        self.register_buffer("turn", turn)

    def forward(self, x: Float[Tensor, "B 3 112 112"]) -> Float[Tensor, "B D"]:
        both = F.normalize(self.embedder(x)) + F.normalize(self.embedder(x.flip(3)))
        return both @ self.turn


def margin_loss(
    cosine: Float[Tensor, "B N"],
    person: Int[Tensor, " B"],
    s: float = 32.0,
    m: float | Float[Tensor, ""] = 0.35,
) -> Float[Tensor, ""]:
    """Additive angular margin, eq. 3 of Deng et al. 2019: the true angle theta counts as theta + m.

    cosine: to each of N people; person: whose picture it is; s: scale of the cosines; m: radians.
    """
    cosine = cosine.float().clamp(-1 + 1e-6, 1 - 1e-6)
    true = F.one_hot(person, cosine.shape[1]).bool()
    moved = (cosine.acos() + m).clamp(max=torch.pi).cos()
    return F.cross_entropy(s * torch.where(true, moved, cosine), person)


def losses(model: nn.Module, batch: Batch) -> Batch:
    """The margin loss, and the square error of the guessed traits where they are known.

    model: an ArcFace, perhaps wrapped for several processes. The margin has its full width after
    RISE batches: from the start on, it keeps a small network of a thousand people where it began.
    """
    cosine, error, margin = model(batch["pictures"] * 2 - 1, batch["person"])
    return {"margin": margin_loss(cosine, batch["person"], m=margin), "traits": GUESS * error}


def export(
    embedder: Embedder, root: str | Path, turn: Float[np.ndarray, "D D"] | None = None
) -> Path:
    """Write PATH under `root` as insightface's ArcFaceONNX wants it, weights in half precision.

    turn: a rotation of the vectors, which no cosine between them notices; none by default.
    """
    path = Path(root) / PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    some = torch.zeros(2, 3, SIDE, SIDE)
    size = embedder.layers[-1].num_features
    turned = torch.eye(size) if turn is None else torch.from_numpy(turn).float()
    program = torch.onnx.export(
        BothWays(embedder, turned).eval(),
        (some,),
        input_names=["input.1"],  # insightface's own models call it so
        output_names=["embedding"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
    )
    onnx.save(halved(program.model_proto), path)
    return path


def turn_to(
    old: Float[np.ndarray, "N D"], new: Float[np.ndarray, "N D"]
) -> Float[np.ndarray, "D D"]:
    """The rotation R for which new @ R is nearest to old (Schoenemann 1966).

    So that networks that were told of people in the old vectors understand the new ones.
    """
    return orthogonal_procrustes(new, old)[0]


def accepted(
    vectors: Float[np.ndarray, "N D"], person: Int[np.ndarray, " N"], far: float = 1e-3
) -> tuple[float, int]:
    """Share of pairs of one person above the cosine that `far` of the pairs of two people reach.

    And the number of pairs of one person.
    """
    cosine = vectors @ vectors.T
    pairs = np.triu(np.ones(cosine.shape, bool), 1)
    same = person[:, None] == person
    threshold = np.quantile(cosine[pairs & ~same], 1 - far)
    genuine = cosine[pairs & same]
    return float((genuine > threshold).mean()), len(genuine)


def main(
    views: Annotated[Path, typer.Option(help="folder of person_*.npz")],
    photos: Annotated[Path, typer.Option(help="folder of folders of photographs")],
    out: Annotated[Path, typer.Option(help="insightface root of the finished model folder")],
    work: Annotated[Path, typer.Option(help="folder of checkpoints")],
    detector: Annotated[Path | None, typer.Option(help="det.onnx that completes it")] = None,
    lessons: Annotated[
        Path | None, typer.Option(help="folder of studio_*.npz and takes_*.npz, more people")
    ] = None,
    like: Annotated[
        Path | None, typer.Option(help="older kisslab_id.onnx, to which vectors are turned")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="model.safetensors of a checkpoint to go on from")
    ] = None,
    steps: int = 5000,
    rate: float = 2e-3,
) -> None:
    """Train kisslab-id on studio people and photographs, pack it, and write its card."""
    people = read_views(views)
    unseen = max(1, min(UNSEEN, len(people) // 10))
    studio, known = _studio(people[:-unseen], lessons)
    gallery = studio.joined(photo_gallery(photos, work / "photos", held=False))
    strangers = int(gallery.person[-1]) + 1 - len(known)
    traits = np.pad(known, ((0, strangers), (0, 0)), constant_values=np.nan)

    def batch(rng: np.random.Generator) -> Batch:
        return draw(gallery, rng, BATCH)

    recipe = Recipe(steps=steps, rate=rate, decay=0.05)
    model = ArcFace(traits)
    if start:
        model.go_on_from(start, gallery)
    trained = fit(model, batch, losses, work, recipe).float().cpu()
    some = [batch(np.random.default_rng([1, k]))["pictures"] * 2 - 1 for k in range(40)]
    embedder = settled(trained.embedder, some)
    path = export(embedder, out)
    if like:
        old, new = (embed_crops(gallery.crops, file) for file in (like, path))
        path = export(embedder, out, turn_to(old, new))
    if detector:
        shutil.copyfile(detector, path.with_name("det.onnx"))
    held = studio_gallery(people[-unseen:])
    near = np.abs(held.yaw) <= 40
    turns = photo_gallery(photos, work / "photos_held", held=True)
    write_card(
        Card(
            title="kisslab-id",
            task="face recognition: an aligned 112 x 112 crop to 256 numbers, insightface format",
            data=f"{studio.person[-1] + 1} studio people in {len(studio.rgba)} pictures; "
            f"{gallery.person[-1] - studio.person[-1]} photographs of people who do not exist, "
            "each one person, also turned (SFHQ and SFHQ-T2I, David Beniaguev, MIT)"
            + (". It went on from a checkpoint of an earlier round" if start else ""),
            recipe=recipe,
            seconds=seconds_spent(work),
            figures={
                "tar_at_far_1e-3_studio_unseen": accepted(
                    embed_crops(held.crops[near], path), held.person[near]
                )[0],
                "tar_at_far_1e-3_photos_turned_unseen": accepted(
                    embed_crops(turns.crops, path), turns.person
                )[0],
            },
            limits="Few people, one picture of each photographed one: good for telling the people "
            "of one clip apart, not for finding a person among thousands. Never use it to identify "
            "anyone.",
        ),
        path.parent,
        work,
    )


def _studio(people: list[Views], lessons: Path | None) -> tuple[Gallery, Float[np.ndarray, "N K"]]:
    """The studio's people, of the views and of the lessons, and the traits of each."""
    gallery, seen = studio_gallery(people), [sample_person(views.seed) for views in people]
    if lessons:
        paths = sorted(lessons.glob("studio_*.npz")) + sorted(lessons.glob("takes_*.npz"))
        gallery = gallery.joined(lesson_gallery(paths))
        seen += [person for path in paths for person in sample_couple(seed_of(path))]
    return gallery, standardised(seen)


def _batches(crops: UInt8[np.ndarray, "N 112 112 3"]) -> Iterator[Float[Tensor, "B 3 112 112"]]:
    for start in range(0, len(crops), BATCH):
        part = torch.from_numpy(crops[start : start + BATCH].copy())
        yield rearrange(part, "b h w c -> b c h w").float() / 127.5 - 1


def _step(width: int, out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(width, out, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU())


if __name__ == "__main__":
    typer.run(main)
