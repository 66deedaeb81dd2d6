"""Trains kisslab-id: `accelerate launch -m kisslab.train.identity`.

(Gallery, studio_gallery, lesson_gallery, photo_gallery, turned, draw, Embedder, ArcFace, losses,
settle, export, accepted, main)
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import onnx
import torch
import typer
from einops import rearrange
from jaxtyping import Float, Int, UInt8
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from kisslab.cutout import cut_out
from kisslab.faces import Faces, face_detector
from kisslab.head import build_head
from kisslab.identity import OURS, SIDE, TEMPLATE, embed_crops, five_points, similarity
from kisslab.photo import Photo, load_photo
from kisslab.raster import rasterize
from kisslab.records import Result, record
from kisslab.studio.dataset import Views
from kisslab.train.card import Card, write_card
from kisslab.train.lessons import Lesson
from kisslab.train.loop import Batch, Recipe, fit, seconds_spent
from kisslab.train.pictures import photographs, read_views, varied

MARGIN = 16  # pixels around a stored crop, for alignment that misses
CANVAS = SIDE + 2 * MARGIN
EYES_APART = 35.2  # pixels between the eye centres of TEMPLATE
YAWS = (-36.0, -18.0, 18.0, 36.0)  # degrees by which a photographed head is turned
PATH = Path("models") / OURS / "kisslab_id.onnx"  # in an insightface root


@record
class Gallery(Result):
    """Aligned faces with their outlines, and whose they are. N pictures."""

    rgba: UInt8[np.ndarray, "N 144 144 4"]  # alpha: 255 person, 0 background
    person: Int[np.ndarray, " N"]
    yaw: Float[np.ndarray, " N"]  # degrees; NaN: unknown

    def joined(self, other: Gallery) -> Gallery:
        """Both; the other's people come after these."""
        start = self.person.max() + 1
        return Gallery(
            rgba=np.concatenate([self.rgba, other.rgba]),
            person=np.concatenate([self.person, other.person + start]),
            yaw=np.concatenate([self.yaw, other.yaw]),
        )

    @property
    def crops(self) -> UInt8[np.ndarray, "N 112 112 3"]:
        """The middle of every picture, as `identity.align` cuts it."""
        return self.rgba[:, MARGIN:-MARGIN, MARGIN:-MARGIN, :3]


def studio_gallery(people: list[Views]) -> Gallery:
    """Every view of every studio person."""
    rows = [
        (_cut(np.dstack([rgb, np.where(parts > 0, 255, 0).astype(np.uint8)]), points), k, turn[0])
        for k, views in enumerate(people)
        for rgb, parts, points, turn in zip(
            views.rgb, views.parts, views.points, views.angles, strict=True
        )
    ]
    return _gallery(rows)


def lesson_gallery(paths: list[Path], every: int = 2) -> Gallery:
    """Both people of kissing studio couples (lessons of the kiss model), every few frames."""
    rows = []
    for k, lesson in enumerate(Lesson.load(path) for path in paths):
        outlines = np.where(lesson.people, 255, 0).astype(np.uint8)[..., None]
        frames = np.concatenate([lesson.truth, outlines], axis=-1)
        for person in (0, 1):
            points = lesson.points[:, person].astype(float)
            rows += [
                (_cut(frames[t], points[t]), 2 * k + person, np.nan)
                for t in range(0, len(frames), every)
            ]
    return _gallery(rows)


def photo_gallery(folder: str | Path, cache: str | Path, *, held: bool) -> Gallery:
    """Every photograph is a person of its own, seen as it is and turned by YAWS.

    cache: a folder that keeps what is done, photograph by photograph. Photographs without a face,
    or with one that can't be cut out, are left out.
    """
    Path(cache).mkdir(parents=True, exist_ok=True)
    kept = []
    with face_detector() as detect:
        for path in photographs(folder, held=held):
            done = Path(cache) / f"{path.stem}.npz"
            if not done.exists():
                _photo_views(load_photo(path, max_side=224), detect).save(done)
            kept.append(Gallery.load(done))
    rows = [
        (rgba, k, float(yaw))
        for k, views in enumerate(views for views in kept if len(views.rgba))
        for rgba, yaw in zip(views.rgba, views.yaw, strict=True)
    ]
    return _gallery(rows)


def turned(
    photo: Photo, faces: Faces, yaws: tuple[float, ...] = YAWS
) -> Iterator[tuple[UInt8[np.ndarray, "H W 4"], Float[np.ndarray, "478 3"]]]:
    """The first person's head turned by each yaw (degrees): picture with alpha, and its points.

    As the guide turns heads (Head.turned), before the photo's own background. FaceError: the person
    can't be cut out.
    """
    cutout = cut_out(photo, faces)
    head = build_head(cutout, faces, 0)
    inner = slice(cutout.margin, -cutout.margin)
    for yaw in yaws:
        goal = np.clip(head.angles[0] + yaw, -50, 50)  # beyond, the photo has no texture
        turn = head.turned(np.array([goal, *head.angles[1:]]))
        placed = np.einsum("nij,nj->ni", turn[head.row], head.vertices - head.pivot) + head.pivot
        seen, _, cover = rasterize(
            placed, head.texels, head.solid, head.fringe, head.alpha, head.alpha.shape[::-1]
        )
        colour = cv2.remap(head.texture[..., :3], seen[..., 0], seen[..., 1], cv2.INTER_LINEAR)
        colour, cover = (x[inner, : head.photo_width][:, inner] for x in (colour, cover[..., None]))
        rgb = cutout.background + (colour - cutout.background) * cover
        points = (head.points - head.pivot) @ turn[0].T + head.pivot
        rgba = np.clip(np.dstack([rgb, cover]), 0, 1) * 255 + 0.5
        yield rgba.astype(np.uint8), points - [cutout.margin, cutout.margin, 0.0]


def draw(gallery: Gallery, rng: np.random.Generator, count: int) -> Batch:
    """A batch: people drawn evenly, their crops misaligned, covered, blurred, mirrored, relit."""
    starts = np.searchsorted(gallery.person, np.arange(gallery.person[-1] + 2))
    person = rng.integers(0, len(starts) - 1, count)
    picked = starts[person] + rng.integers(0, np.diff(starts)[person])
    others = rng.integers(0, len(gallery.rgba), count)
    crops = [
        _spoilt(gallery.rgba[k], gallery.rgba[other, ..., :3], rng)
        for k, other in zip(picked, others, strict=True)
    ]
    pictures = torch.from_numpy(rearrange(np.stack(crops), "b h w c -> b c h w").copy()) / 255
    # Every other one: colours are a part of identity, and the studio varies light already.
    pictures[::2] = varied(_relit(pictures[::2], rng), rng)
    return {"pictures": pictures, "person": torch.from_numpy(person)}


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
    """An embedder and a direction for each person of the training set (Deng et al. 2019)."""

    def __init__(self, people: int, size: int = 256):
        super().__init__()
        self.embedder = Embedder(size)
        self.centres = nn.Parameter(torch.randn(people, size))

    def forward(self, x: Float[Tensor, "B 3 112 112"]) -> Float[Tensor, "B N"]:
        """Cosines to everybody."""
        vectors = self.embedder(x).float()
        return F.normalize(vectors) @ F.normalize(self.centres.float()).T


class BothWays(nn.Module):
    """What is exported: unit vectors of a crop and of its mirror image, summed."""

    def __init__(self, embedder: Embedder):
        super().__init__()
        self.embedder = embedder

    def forward(self, x: Float[Tensor, "B 3 112 112"]) -> Float[Tensor, "B D"]:
        return F.normalize(self.embedder(x)) + F.normalize(self.embedder(x.flip(3)))


def losses(model: nn.Module, batch: Batch, s: float = 32.0, m: float = 0.35) -> Batch:
    """Additive angular margin, eq. 3 of Deng et al. 2019: the true angle theta counts as theta + m.

    s: scale of the cosines; m: radians.
    """
    cosine = model(batch["pictures"] * 2 - 1).float().clamp(-1 + 1e-6, 1 - 1e-6)
    true = F.one_hot(batch["person"], cosine.shape[1]).bool()
    theta = cosine.acos()
    cosine = torch.where(true, (theta + m).clamp(max=torch.pi).cos(), cosine)
    return {"margin": F.cross_entropy(s * cosine, batch["person"])}


@torch.no_grad()
def settle(
    model: nn.Module, batch: Callable[[np.random.Generator], Batch], count: int = 40
) -> nn.Module:
    """Measure the batch norms' means and variances anew: they belong to the averaged weights."""
    norms = [
        layer for layer in model.modules() if isinstance(layer, nn.modules.batchnorm._NormBase)
    ]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.train()
    for k in range(count):
        model(batch(np.random.default_rng([1, k]))["pictures"] * 2 - 1)
    return model.eval()


def export(embedder: Embedder, root: str | Path) -> Path:
    """Write PATH under `root` as insightface's ArcFaceONNX wants it, weights in half precision."""
    path = Path(root) / PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    some = torch.zeros(2, 3, SIDE, SIDE)
    program = torch.onnx.export(
        BothWays(embedder).eval(),
        (some,),
        input_names=["input.1"],  # insightface's own models call it so
        output_names=["embedding"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
    )
    onnx.save(_halved(program.model_proto), path)
    return path


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
        Path | None, typer.Option(help="folder of studio_*.npz, more people")
    ] = None,
    steps: int = 4000,
) -> None:
    """Train kisslab-id on studio people and photographs, pack it, and write its card."""
    people = read_views(views)
    unseen = max(1, len(people) // 10)
    studio = studio_gallery(people[:-unseen])
    if lessons:
        studio = studio.joined(lesson_gallery(sorted(lessons.glob("studio_*.npz"))))
    gallery = studio.joined(photo_gallery(photos, work / "photos", held=False))

    def batch(rng: np.random.Generator) -> Batch:
        return draw(gallery, rng, 64)

    recipe = Recipe(steps=steps, rate=2e-3, decay=0.05)
    model = ArcFace(int(gallery.person[-1]) + 1)
    model = settle(fit(model, batch, losses, work, recipe).float().cpu(), batch)
    path = export(model.embedder, out)
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
            "each one person, also turned (SFHQ and SFHQ-T2I, David Beniaguev, MIT)",
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


def _gallery(rows: list[tuple[np.ndarray, int, float]]) -> Gallery:
    rgba, person, yaw = zip(*rows, strict=True)
    return Gallery(np.stack(rgba), np.array(person), np.array(yaw, dtype=float))


def _cut(
    rgba: UInt8[np.ndarray, "H W 4"], points: Float[np.ndarray, "478 _d"]
) -> UInt8[np.ndarray, "144 144 4"]:
    """The aligned crop with a margin."""
    matrix = similarity(five_points(points), TEMPLATE + MARGIN)
    return cv2.warpAffine(rgba, matrix, (CANVAS, CANVAS), borderMode=cv2.BORDER_REPLICATE)


def _photo_views(photo: Photo, detect: Callable[[np.ndarray], Faces]) -> Gallery:
    """The photograph as it is, then turned; nothing if it has no face that can be cut out."""
    faces = detect(photo.rgb)
    try:
        views = list(turned(photo, faces.pick([0]), (0.0, *YAWS))) if len(faces.points) else []
    except ValueError:  # FaceError, or a matte without any background: the face fills the picture
        views = []
    if not views:
        return Gallery(np.zeros((0, CANVAS, CANVAS, 4), np.uint8), np.zeros(0, int), np.zeros(0))
    own = views[0][0].copy()  # outline of the head as it is, pixels of the photograph
    own[..., :3] = photo.rgb * 255 + 0.5
    cuts = [_cut(own, faces.points[0]), *(_cut(rgba, points) for rgba, points in views[1:])]
    yaw = faces.angles[0, 0] + np.array([0.0, *YAWS])
    return Gallery(np.stack(cuts), np.zeros(len(cuts), int), np.clip(yaw, -50, 50))


def _spoilt(
    rgba: UInt8[np.ndarray, "144 144 4"],
    other: UInt8[np.ndarray, "144 144 3"],
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "112 112 3"]:
    """What detectors, cameras and other people do to a crop."""
    rgb = rgba[..., :3]
    if rng.random() < 0.5:  # another background, so that it tells nothing about the person
        alpha = rgba[..., 3:] / np.float32(255)
        rgb = rgb * alpha + cv2.blur(other, (25, 25)) * (1 - alpha)
    elif rng.random() < 0.3:  # someone else's face in front, as in a kiss
        edge = int(rng.integers(MARGIN, CANVAS // 3))
        rgb = rgb.copy()
        rgb[:, :edge] = other[:, CANVAS // 2 : CANVAS // 2 + edge]
    missed = TEMPLATE + MARGIN + rng.normal(0, EYES_APART * rng.uniform(0.02, 0.04), (5, 2))
    crop = cv2.warpAffine(rgb.astype(np.uint8), similarity(missed, TEMPLATE), (SIDE, SIDE))
    if rng.random() < 0.4:  # a small face, enlarged
        side = int(rng.integers(32, SIDE))
        small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
        crop = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def _relit(x: Float[Tensor, "B 3 H W"], rng: np.random.Generator) -> Float[Tensor, "B 3 H W"]:
    """A ramp of light across each picture, in any direction."""
    slope = torch.from_numpy(rng.normal(0, 0.3, (2, len(x), 1, 1, 1)).astype(np.float32))
    down = torch.linspace(-1, 1, x.shape[2])[:, None]
    across = torch.linspace(-1, 1, x.shape[3])
    return (x * (1 + slope[0] * down + slope[1] * across).clamp(0.3, 1.7)).clamp(0, 1)


def _step(width: int, out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(width, out, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU())


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Large weights as float16 with a Cast to float32, which runtimes fold when they load it."""
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < 1024:
            continue
        name, values = tensor.name, numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        cast = onnx.helper.make_node(
            "Cast", [f"{name}.half"], [name], f"widen.{name}", to=onnx.TensorProto.FLOAT
        )
        model.graph.node.insert(0, cast)
    return model


if __name__ == "__main__":
    typer.run(main)
