"""People to train faces and mattes on: known points, on any ground, alone or in pairs.

(People, read_people, split, Placed, placed, moving, draw, grounds, worn)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from kisslab import anatomy as at
from kisslab.faces import Faces, face_detector, search
from kisslab.records import Result, record
from kisslab.studio.dataset import Views
from kisslab.studio.template import face_template
from kisslab.train.grabcut import person_labels
from kisslab.train.pictures import photographs, read_photographs

SIZE = 256  # pixels: every picture is a square
PART_OF = np.array([0, 1, 1, 1, 2, 1, 3, 4], np.uint8)  # from studio.PART_NAMES to parts.PARTS
SOMEBODY, UNSURE = 5, 255  # labels beside parts.PARTS: a person, part unknown; no label


@record
class People(Result):
    """N pictures of one person each."""

    rgb: UInt8[np.ndarray, "N 256 256 3"]
    labels: UInt8[np.ndarray, "N 256 256"]  # index into parts.PARTS, or SOMEBODY, or UNSURE
    points: Float[
        np.ndarray, "N 478 3"
    ]  # pixels; the teacher's, or the studio's where it sees none
    taught: Bool[np.ndarray, " N"]  # whether the teacher found the face: only then is z known
    studio: Bool[np.ndarray, " N"]  # rendered, not photographed

    def pick(self, kept: Bool[np.ndarray, " N"]) -> People:
        """Only these pictures."""
        return People(**{name: value[kept] for name, value in self.items()})


@record
class Placed(Result):
    """One picture with its one or two people. F faces."""

    rgb: UInt8[np.ndarray, "H W 3"]
    labels: UInt8[np.ndarray, "H W"]
    points: Float[np.ndarray, "F 478 3"]
    taught: Bool[np.ndarray, " F"]


def read_people(views: list[Path], photos: Path, work: Path, *, held: bool) -> People:
    """The studio people in these files of Views and the photographs that are held out, or not.

    The teacher is MediaPipe's FaceLandmarker; its points are kept in `work`, for it is asked once.
    """
    work.mkdir(parents=True, exist_ok=True)
    with _asked_once() as ask:
        parts = [_studio_person(path, work, ask) for path in views]
        parts.append(_photographed(photos, work, ask, held))
    columns = {
        name: np.concatenate([getattr(p, name) for p in parts]) for name, _ in parts[0].items()
    }
    return People(**columns)


def split(folder: Path, share: float = 0.1) -> tuple[list[Path], list[Path]]:
    """The studio people to train on, and the last of them by seed, which are held out."""
    paths = sorted(folder.glob("person_*.npz"))
    if len(paths) < 2:
        raise FileNotFoundError(
            f"{folder}: {len(paths)} person_*.npz; write them with kisslab.studio"
        )
    held = max(1, round(share * len(paths)))
    return paths[:-held], paths[-held:]


@lru_cache
def _mirror() -> Int[np.ndarray, "478"]:
    # The irises have a middle and a ring of four that starts at the picture's right.
    return np.concatenate([face_template().mirror, [473, 476, 475, 474, 477],
                           [468, 471, 470, 469, 472]])  # fmt: skip


def placed(
    people: People, k: int, matrix: Float[np.ndarray, "2 3"], size: int, mirrored: bool
) -> Placed:
    """Picture k (mirrored first), moved into a square; below its edge the chest goes on."""
    rgb, labels, points = people.rgb[k], people.labels[k], people.points[k]
    beyond = [0, SIZE, 0, 0]
    rgb = cv2.copyMakeBorder(rgb, *beyond, cv2.BORDER_REPLICATE)
    labels = cv2.copyMakeBorder(labels, *beyond, cv2.BORDER_REPLICATE)
    if mirrored:
        rgb, labels = rgb[:, ::-1], labels[:, ::-1]
        points = (points * [-1, 1, 1] + [SIZE, 0, 0])[_mirror()]
    # Points count from a pixel's corner, OpenCV from its middle.
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    rgb = cv2.warpAffine(
        np.ascontiguousarray(rgb), shifted, (size, size), borderMode=cv2.BORDER_REPLICATE
    )
    labels = cv2.warpAffine(
        np.ascontiguousarray(labels), shifted, (size, size), flags=cv2.INTER_NEAREST
    )
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    plane = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    points = np.concatenate([plane, points[:, 2:] * scale], axis=1)
    return Placed(rgb, labels, points[None], people.taught[k : k + 1])


def moving(
    source: Float[np.ndarray, "2"], target: Float[np.ndarray, "2"], scale: float, degrees: float
) -> Float[np.ndarray, "2 3"]:
    """The matrix that scales, turns (clockwise in the picture) and brings source to target."""
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    turn = np.array([[c, -s], [s, c]])
    return np.column_stack([turn, target - turn @ source])


def draw(
    layers: list[Placed], ground: UInt8[np.ndarray, "H W 3"] | None, rng: np.random.Generator
) -> Placed:
    """The layers, last in front, on `ground`; without one, on the first picture's own ground."""
    rgb = layers[0].rgb.copy() if ground is None else ground.copy()
    labels = layers[0].labels.copy() if ground is None else np.zeros(ground.shape[:2], np.uint8)
    for layer in layers[1:] if ground is None else layers:
        person = (layer.labels != 0) & (layer.labels != UNSURE)
        alpha = cv2.GaussianBlur(person.astype(np.float32), (0, 0), rng.uniform(0.4, 1.0))
        alpha = alpha[..., None]
        rgb = (rgb + (layer.rgb.astype(np.float32) - rgb) * alpha).astype(np.uint8)
        labels = np.where(person, layer.labels, labels)
    seen = [k for k, layer in enumerate(layers) if _seen(layer, layers[k + 1 :])]
    points = np.concatenate([layers[k].points for k in seen])
    return Placed(rgb, labels, points, np.concatenate([layers[k].taught for k in seen]))


def grounds(
    people: People, rng: np.random.Generator, count: int = 160, size: int = SIZE
) -> UInt8[np.ndarray, "N H W 3"]:
    """Backgrounds of every kind: clouds, slopes, stripes, and shuffled pieces of pictures."""
    makers = (_clouds, _slope, _stripes, _shuffled, _shuffled, _clouds)
    return np.stack([makers[k % len(makers)](people, rng, size) for k in range(count)])


def worn(picture: Placed, ground: UInt8[np.ndarray, "H W 3"], rng: np.random.Generator) -> Placed:
    """What happens to pictures: something before the lens, few pixels, soft focus, JPEG."""
    rgb, labels = picture.rgb.copy(), picture.labels.copy()
    size = len(rgb)
    if rng.random() < 0.25:
        cover = np.zeros((size, size), np.uint8)
        centre = tuple(int(v) for v in rng.uniform(0, size, 2))
        axes = tuple(int(v) for v in rng.uniform(0.03, 0.16, 2) * size)
        cv2.ellipse(cover, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        rgb[cover > 0], labels[cover > 0] = ground[cover > 0], UNSURE
    if rng.random() < 0.3:
        small = int(size * rng.uniform(0.3, 0.8))
        rgb = cv2.resize(rgb, (small, small), interpolation=cv2.INTER_AREA)
        rgb = cv2.resize(rgb, (size, size), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.3:
        quality = int(rng.uniform(15, 80))
        _, code = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])
        rgb = cv2.imdecode(code, cv2.IMREAD_COLOR)
    return Placed(rgb, labels, picture.points, picture.taught)


def _seen(layer: Placed, before: list[Placed], share: float = 0.5) -> bool:
    """Whether at least this share of a face's points is not behind the people before it."""
    x, y = np.clip(layer.points[0, :, :2], 0, len(layer.rgb) - 1).astype(int).T
    hidden = np.zeros(len(x), bool)
    for other in before:
        hidden |= (other.labels != 0)[y, x]
    return bool(hidden.mean() < 1 - share)


Ask = Callable[[Path, UInt8[np.ndarray, "N H W 3"]], list[np.ndarray | None]]


@contextmanager
def _asked_once() -> Iterator[Ask]:
    """A function from (file, pictures) to the teacher's points in each, None where it sees none."""
    with face_detector() as detect:

        def ask(path: Path, pictures: np.ndarray) -> list[np.ndarray | None]:
            if not path.exists():
                found = [search(p.astype(np.float32) / 255, 1, detect) for p in pictures]
                points = np.stack([_largest(f) for f in found])
                np.save(path, points.astype(np.float32))
            stored = np.load(path)
            return [None if np.isnan(p).any() else p.astype(float) for p in stored]

        yield ask


def _largest(found: Faces) -> Float[np.ndarray, "478 3"]:
    if not len(found.points):
        return np.full((at.POINTS, 3), np.nan)
    return found.points[int(np.argmax(found.iod))]


def _studio_person(path: Path, work: Path, ask: Ask) -> People:
    """The teacher's points, where they agree roughly with the truth; else the truth."""
    person = Views.load(path)
    asked = ask(work / f"{path.stem}.npy", person.rgb)
    points, taught = [], []
    for truth, teacher in zip(person.points, asked, strict=True):
        span = np.ptp(truth, axis=0).max()
        near = teacher is not None and bool(
            np.linalg.norm(teacher[:, :2] - truth, axis=1).mean() < 0.15 * span
        )
        points.append(teacher if near else np.column_stack([truth, np.zeros(len(truth))]))
        taught.append(near)
    return People(
        rgb=person.rgb,
        labels=PART_OF[person.parts],
        points=np.stack(points),
        taught=np.array(taught),
        studio=np.ones(len(taught), bool),
    )


def _photographed(folder: Path, work: Path, ask: Ask, held: bool) -> People:
    """The photographs in which the teacher finds a face; GrabCut says who is person."""
    pictures = read_photographs(folder, size=SIZE, held=held)
    asked = ask(work / f"photographs_{'held' if held else 'seen'}.npy", pictures)
    names = [path.stem for path in photographs(folder, held=held)]
    kept = [k for k, points in enumerate(asked) if points is not None]
    labels = []
    for k in kept:
        cached = work / f"{names[k]}_labels.npy"
        if not cached.exists():
            np.save(cached, person_labels(pictures[k], asked[k]))
        labels.append(np.load(cached))
    label_of = np.array([0, SOMEBODY, UNSURE], np.uint8)
    return People(
        rgb=pictures[kept],
        labels=label_of[np.stack(labels)],
        points=np.stack([asked[k] for k in kept]),
        taught=np.ones(len(kept), bool),
        studio=np.zeros(len(kept), bool),
    )


def _clouds(people: People, rng: np.random.Generator, size: int) -> UInt8[np.ndarray, "H W 3"]:
    """Noise of a random spectrum, 1 / f^b, in three correlated colours."""
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij"))
    spectrum = 1 / np.maximum(f, 1 / size) ** rng.uniform(0.4, 2.2)
    noise = [np.fft.irfft2(spectrum * np.fft.rfft2(rng.normal(size=(size, size)))) for _ in "rgb"]
    stack = np.stack([n / n.std() for n in noise], -1) @ rng.normal(size=(3, 3))
    rgb = rng.uniform(0.1, 0.9, 3) + stack * rng.uniform(0.02, 0.2)
    return (np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def _slope(people: People, rng: np.random.Generator, size: int) -> UInt8[np.ndarray, "H W 3"]:
    """From one colour to another."""
    y, x = np.mgrid[:size, :size] / size
    angle = rng.uniform(0, 2 * np.pi)
    t = np.clip((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle) + 0.5, 0, 1)[..., None]
    a, b = rng.uniform(0, 1, (2, 3))
    return ((a + (b - a) * t) * 255).astype(np.uint8)


def _stripes(people: People, rng: np.random.Generator, size: int) -> UInt8[np.ndarray, "H W 3"]:
    """Boards, bricks, blinds: bands of a few colours across each other."""
    colours = rng.uniform(0, 1, (5, 3))
    y, x = np.mgrid[:size, :size].astype(float)
    angle = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)])
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    wide, high = rng.uniform(6, 70), rng.choice([1e6, rng.uniform(10, 90)])
    index = (np.floor(u / wide) + 2 * np.floor(v / high)).astype(int) % len(colours)
    rgb = cv2.GaussianBlur(colours[index], (0, 0), rng.uniform(0.3, 6))
    return (np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def _shuffled(people: People, rng: np.random.Generator, size: int) -> UInt8[np.ndarray, "H W 3"]:
    """Pieces of a picture's surroundings in another order: real matter, no person's shape."""
    k = int(rng.integers(len(people.rgb)))
    tile = int(rng.choice([32, 48, 64]))
    rgb = np.empty((size, size, 3), np.uint8)
    for top in range(0, size, tile):
        for left in range(0, size, tile):
            y, x = rng.integers(0, SIZE - tile, 2)
            piece = people.rgb[k, y : y + tile, x : x + tile]
            rgb[top : top + tile, left : left + tile] = piece[: size - top, : size - left]
    return cv2.GaussianBlur(rgb, (0, 0), float(rng.choice([0.5, 2, 5, 9])))
