"""When it goes wrong: hard photos sent through the pipeline, and how far off the clips are.

(failure_curves, measure_trials, Curves, load_curves, forecast, Forecast, load_forecast, try_case,
Trial, stages_of, face_errors, film_measures)
`python -m kisslab.failures FOLDER` measures all curves anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from jaxtyping import Bool, Float, UInt8
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity

from kisslab import metrics, quality, show, zoo
from kisslab.assessment import Assessment
from kisslab.composite import compose
from kisslab.faces import Faces, best_detector, find_faces, mesh_detector
from kisslab.identity import align, embed_crops
from kisslab.likeness import Detect, follow_faces
from kisslab.photo import Photo
from kisslab.pipeline import Pipeline
from kisslab.records import Result, record
from kisslab.report import GRADIENT, Measure, mean
from kisslab.studio.hard import KINDS, Film, HardCase, hard_case, to_contact

CONSENT = "The studio drew these people; they do not exist."
LOST = 1.0  # the error of a clip that was not made: nothing of the face is right
SEED = 970_001  # of the packaged curves' couple; nothing was trained on it
WIDTH = 144  # pixels of the pictures that curves keep
find_small = partial(find_faces, min_size=0.0)  # to see what becomes of small faces


@record
class Trial(Result):
    """What the pipeline made of a hard photo. T frames of the truth's size."""

    case: HardCase
    assessment: Assessment | None  # None: no face was found to assess
    made: UInt8[np.ndarray, "T H W 3"]  # as large as the truth; the photo itself if it was refused
    errors: Float[np.ndarray, "T 2"]  # see face_errors; LOST if it was refused
    refused: str  # the pipeline's words; empty if it made a clip

    @property
    def error(self) -> float:
        """Mean error of both faces in all frames, 0 to 1."""
        return float(self.errors.mean())

    @property
    def readiness(self) -> float:
        """By `assess`; 0 where it was asked in vain, for there was no face."""
        return self.assessment.readiness if self.assessment else 0.0

    @property
    def difficulty(self) -> float:
        """As `assess` foretells it; 1 where it was asked in vain, for there was no face."""
        return self.assessment.difficulty if self.assessment else 1.0

    def plot(self, ax: object | None = None) -> None:
        """The photo, what was made of it, and what should have been."""
        pictures = [self.case.photos[-1].rgb, self.made[-1], self.case.truth.frames[-1]]
        titles = ["photo", f"made, error {self.error:.2f}", "exact"]
        show.sheet(pictures, titles, columns=3, ax=ax)


@record
class Curves(Result):
    """One kind of hard photo at S rising strengths: what was given, made, measured and foretold."""

    kind: str
    seed: int
    strengths: Float[np.ndarray, " S"]
    measures: tuple[str, ...]  # names of the M columns of `values`
    units: tuple[str, ...]
    values: Float[np.ndarray, "S M"]  # see film_measures; NaN where nothing could be measured
    errors: Float[np.ndarray, " S"]  # Trial.error
    readiness: Float[np.ndarray, " S"]  # of the photo, by `assess`
    difficulty: Float[np.ndarray, " S"]
    problems: tuple[str, ...]  # per strength: the checks that do not hold, or why it was refused
    pictures: UInt8[np.ndarray, "S 3 h w 3"]  # photo, last frame made, the exact one
    note: str  # what of it is painted or assumed
    models: tuple[str, ...]  # files and sha256 of the models that made it

    def __getitem__(self, name: str) -> Float[np.ndarray, " S"]:
        """One measure over the strengths: curves["SSIM"]. KeyError lists the names there are."""
        if name not in self.measures:
            raise KeyError(f"no measure {name!r}; there are {', '.join(self.measures)}")
        return self.values[:, self.measures.index(name)]

    def plot(self, ax: object | None = None) -> None:
        """A small diagram per measure, and what was foretold beside what came true."""
        names = [f"{n} ({u})" if u else n for n, u in zip(self.measures, self.units, strict=True)]
        panels = {name: {"": self.values[:, k]} for k, name in enumerate(names)}
        panels["error, foretold"] = {"error": self.errors, "difficulty": self.difficulty}
        show.panels(self.strengths, panels, f"strength of: {self.kind}", ax=ax)


@record
class Forecast(Result):
    """N hard photos: what was foretold of each, and what came true."""

    kinds: tuple[str, ...]
    strengths: Float[np.ndarray, " N"]
    readiness: Float[np.ndarray, " N"]  # by `assess`; 0 where no face was found
    difficulty: Float[np.ndarray, " N"]  # 1 where no face was found
    errors: Float[np.ndarray, " N"]  # Trial.error
    refused: Bool[np.ndarray, " N"]

    @property
    def rank_correlation(self) -> float:
        """Spearman's, of difficulty and error: 1 if both sort the photos alike (1904)."""
        return float(spearmanr(self.difficulty, self.errors).statistic)

    def pick(self, chosen: Bool[np.ndarray, " N"]) -> Forecast:
        """Only these photos."""
        index = np.flatnonzero(chosen)
        names = ("strengths", "readiness", "difficulty", "errors", "refused")
        arrays = {name: getattr(self, name)[index] for name in names}
        return replace(self, kinds=tuple(self.kinds[i] for i in index), **arrays)

    def plot(self, ax: object | None = None) -> None:
        """A dot a photo, each kind in its colour and shape."""
        dots = {
            kind: np.stack([self.difficulty, self.errors], axis=-1)[np.array(self.kinds) == kind]
            for kind in dict.fromkeys(self.kinds)
        }
        show.dots(dots, "difficulty, foretold", "error, measured", ax=ax)


def forecast(trials: Sequence[Trial]) -> Forecast:
    """What was foretold of these photos beside what came true."""
    return Forecast(
        kinds=tuple(trial.case.kind for trial in trials),
        strengths=np.array([trial.case.strength for trial in trials]),
        readiness=np.array([trial.readiness for trial in trials]),
        difficulty=np.array([trial.difficulty for trial in trials]),
        errors=np.array([trial.error for trial in trials]),
        refused=np.array([bool(trial.refused) for trial in trials]),
    )


def load_forecast() -> Forecast:
    """The packaged forecast: over the photos of `kisslab bench temporal`, ten couples."""
    return Forecast.load(zoo.data_path("failures/forecast.npz"))


def failure_curves(
    kind: str, seed: int = SEED, *, steps: int = 5, frames: int = 3, size: int = 256
) -> Curves:
    """Make one thing about a photo worse and worse, and measure what becomes of the clip.

    kind: one of studio.hard.KINDS; steps: strengths from 0 to 1; frames, size: as in `hard_case`.
    Some 10 s a step on one core.
    """
    strengths = np.linspace(0, 1, steps).tolist()
    cases = [hard_case(kind, s, seed, frames=frames, size=size) for s in strengths]
    return measure_trials([try_case(case) for case in cases])


def measure_trials(trials: Sequence[Trial]) -> Curves:
    """What is measured on trials of one kind, from the weakest to the strongest."""
    with best_detector() as detect:
        tables = [film_measures(t.made, t.case, detect, mesh_detector()) for t in trials]
    told, last = forecast(trials), trials[-1].case
    values = np.array([[m.value for m in table] for table in tables])
    return Curves(
        kind=last.kind,
        seed=last.seed,
        strengths=told.strengths,
        measures=tuple(m.name for m in tables[0]),
        units=tuple(m.unit for m in tables[0]),
        values=np.where(told.refused[:, None], np.nan, values),
        errors=told.errors,
        readiness=told.readiness,
        difficulty=told.difficulty,
        problems=tuple(_words(trial) for trial in trials),
        pictures=np.stack([_thumbnails(trial) for trial in trials]),
        note=last.note,
        models=tuple(f"{file} {digest}" for file, digest in zoo.shipped_models().items()),
    )


def load_curves(kind: str) -> Curves:
    """The packaged curves of one kind. ValueError: there is no such kind."""
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}: there are {', '.join(KINDS)}")
    return Curves.load(zoo.data_path(f"failures/{_file_name(kind)}"))


def try_case(case: HardCase, find: Callable[[Photo, int], Faces] = find_small) -> Trial:
    """Send a hard photo through the whole pipeline, and hold the clip against the exact frames.

    A ValueError of any stage (no face was found, say) is a refusal; what `assess` said before it
    is kept.
    """
    done: dict[str, Any] = {}
    refused = ""
    try:
        for name, result in stages_of(case, find):
            done[name] = result
    except ValueError as error:
        refused = str(error)
    frames = [case.photos[0].rgb] * len(case.truth.frames) if refused else done["clip"].frames
    made = show.to_uint8(np.stack([_nearer(frame, case) for frame in frames]))
    lost = np.full((len(made), 2), LOST)
    errors = lost if refused else face_errors(made, case.truth)
    return Trial(case, done.get("assessment"), made, errors, refused)


def stages_of(
    case: HardCase, find: Callable[[Photo, int], Faces] = find_small
) -> Iterator[tuple[str, Any]]:
    """(name, result) as each stage of the pipeline ends."""
    photos = {photo.path: photo for photo in case.photos}
    pipeline = Pipeline(
        load=photos.__getitem__,
        find=find,
        compose=partial(compose, height=case.truth.frames.shape[1]),
        plan=partial(to_contact, frames=len(case.truth.frames)),
    )
    return pipeline.stages(*photos, consent=CONSENT)


def face_errors(made: UInt8[np.ndarray, "T H W 3"], truth: Film) -> Float[np.ndarray, "T 2"]:
    """How unlike the exact one each face is, 0 to 1, in the place where it should be.

    ((1 - SSIM) + (1 - cosine)) / 2, both cut off at 0 and 1, of crops aligned to the exact points:
    structure (Wang et al. 2004; at a quarter of the crop's size, where a nose that is two pixels
    off is still a nose) and identity (ArcFace, Deng et al. 2019) count alike, and a face that is
    elsewhere has neither.
    """
    out = np.empty(truth.points.shape[:2])
    for t, person in np.ndindex(out.shape):
        points = truth.points[t, person]
        crops = np.stack([align(frames[t], points) for frames in (made, truth.frames)])
        small = [cv2.resize(c, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA) for c in crops]
        alike = structural_similarity(*small, channel_axis=-1, data_range=255)
        cosine = np.prod(embed_crops(crops), axis=0).sum()
        out[t, person] = np.clip([1 - alike, 1 - cosine], 0, 1).mean()
    return out


def film_measures(
    made: UInt8[np.ndarray, "T H W 3"], case: HardCase, *detectors: Detect
) -> tuple[Measure, ...]:
    """The formulas of `measure` with the exact frames in the place of photo, plan and guide.

    detectors: as in `likeness.follow_faces`.
    """
    truth, clip = case.truth, made / np.float32(255)
    exact = truth.frames / np.float32(255)
    depth = np.zeros((*truth.points.shape[:3], 1))
    found = follow_faces(clip, np.concatenate([truth.points, depth], axis=-1), *detectors)
    iod = case.faces.iod * case.zoom
    wall = quality.background(truth.people)
    valid = truth.people[:-1] & ~truth.hidden
    off = metrics.landmark_error(found[..., :2], truth.points, iod)
    gap = metrics.lip_gap(found[-1:], case.motion.anchors, float(iod.mean()))[0]
    seen = np.isfinite(found).all(axis=(1, 2, 3)).mean()
    return (
        Measure("identity", _cosine(made, truth), "cosine", "1", "Deng et al. 2019"),
        Measure("faces found", float(seen), "share", "1", "count"),
        Measure("landmark error", mean(off), "iod", "0", "Sagonas et al. 2013"),
        Measure("lip gap at contact", float(gap), "iod", "0", "distance of lips"),
        Measure("PSNR", quality.psnr(clip, exact, truth.people), "dB", "high", "people only"),
        Measure("SSIM", quality.ssim(clip, exact, truth.people), "", "1", "Wang et al. 2004"),
        Measure("sharpness", quality.sharpness(clip, exact, truth.people), "", "1", GRADIENT),
        Measure(
            "warping error", 1e3 * mean(metrics.warping_error(clip, truth.flow, valid)), "0.001",
            "low", "Lai et al. 2018",
        ),
        Measure(
            "flicker", mean(metrics.flicker(clip, wall)), "levels", "low",
            "Huang et al. 2024",
        ),
    )  # fmt: skip


def main(folder: Annotated[Path, typer.Argument(help="gets one .npz a kind")]) -> None:
    """Measure the curves of all kinds; those that are there already are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        path = folder / _file_name(kind)
        if not path.exists():
            failure_curves(kind).save(path)
        typer.echo(path.name)


def _cosine(made: UInt8[np.ndarray, "T H W 3"], truth: Film) -> float:
    """Mean likeness of each face to the exact one, in the place where it should be."""
    places = list(np.ndindex(truth.points.shape[:2]))
    crops = [
        np.stack([align(frames[t], truth.points[t, p]) for t, p in places])
        for frames in (made, truth.frames)
    ]
    return float(np.sum(embed_crops(crops[0]) * embed_crops(crops[1]), axis=1).mean())


def _words(trial: Trial) -> str:
    """What `assess` finds wrong, each once, worst first; or why there is no clip."""
    if trial.refused or trial.assessment is None:
        return f"refused: {trial.refused.partition(';')[0]}"
    return ", ".join(dict.fromkeys(check.name for check in trial.assessment.problems)) or "none"


def _thumbnails(trial: Trial) -> UInt8[np.ndarray, "3 _h _w 3"]:
    """Photo, last frame made and last exact frame, all of the size that the exact one gets."""
    exact = trial.case.truth.frames[-1]
    size = (WIDTH, round(WIDTH * exact.shape[0] / exact.shape[1]))
    photo = show.to_uint8(trial.case.photos[-1].rgb)
    out = [cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in (trial.made[-1], exact)]
    return np.stack([_fitted(photo, size), *out])


def _fitted(rgb: UInt8[np.ndarray, "_h _w 3"], size: tuple[int, int]) -> np.ndarray:
    """A picture of any shape, whole, on white."""
    scale = min(size[0] / rgb.shape[1], size[1] / rgb.shape[0])
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    page = np.full((size[1], size[0], 3), 255, np.uint8)
    top, left = (size[1] - small.shape[0]) // 2, (size[0] - small.shape[1]) // 2
    page[top : top + small.shape[0], left : left + small.shape[1]] = small[: size[1], : size[0]]
    return page


def _file_name(kind: str) -> str:
    return f"{kind.replace(' ', '_')}.npz"


def _nearer(rgb: np.ndarray, case: HardCase) -> np.ndarray:
    """A picture in the truth's pixels."""
    high, wide = case.truth.frames.shape[1:3]
    shift = case.shift + (case.zoom - 1) / 2  # pixels' middles
    matrix = np.array([[case.zoom, 0, shift[0]], [0, case.zoom, shift[1]]])
    return cv2.warpAffine(
        rgb, matrix, (wide, high), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


if __name__ == "__main__":
    typer.run(main)
