"""What `measure` found: one table, one picture, and plain words on what is not as it seems.

(Report, Measure, Worst, mean)
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, UInt8

from kisslab import show
from kisslab.likeness import Likeness
from kisslab.motion import Motion
from kisslab.movement import Movement
from kisslab.quality import Looks
from kisslab.records import Result, record
from kisslab.video import Clip

SIDES = ("left", "right")
GRADIENT = "Subbarao et al. 1993"  # whose measure of focus our sharpness is
# Where a clip is too good, or too bad, to be true. Set on exact studio clips and on broken copies
# of them, see bench.reported.
FROZEN = 0.3  # of the planned dynamic degree
STILL_PLAN = 0.1  # inter-ocular distances a second: a plan that moves less tells nothing
SOFT = 0.5  # of the guide's gradient energy
FACING = 45.0  # degrees of planned yaw: recognition models know faces that show both eyes
SHAKY = 0.03  # inter-ocular distances per frame cubed: a shake of a quarter pixel, eyes 40 apart


@record
class Measure(Result):
    """One figure of a report."""

    name: str
    value: float
    unit: str
    good: str  # what to hold it against
    source: str  # of the formula


@record
class Worst(Result):
    """The frame that is farthest beyond what is tolerable, and in what."""

    frame: int
    why: str
    picture: UInt8[np.ndarray, "H W 3"]

    def plot(self, ax: object | None = None) -> None:
        """The frame."""
        show.picture(self.picture, f"worst frame: {self.frame}, {self.why}", ax=ax)


@record
class Report(Result):
    """What a clip is worth. Person 0 is on the left."""

    clip: Clip
    motion: Motion  # the plan
    points: Float[np.ndarray, "T 2 478 3"]  # found, pixels; NaN where no face was at its place
    likeness: Likeness
    movement: Movement
    looks: Looks

    @property
    def found(self) -> Float[np.ndarray, "2"]:
        """Share of the frames in which each face was found at its place."""
        return np.isfinite(self.points).all(axis=(2, 3)).mean(axis=0)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The table's rows; NaN where nothing could be seen or no truth was given."""
        parts = (_likeness_rows(self), _movement_rows(self.movement), _looks_rows(self.looks))
        return tuple(measure for rows in parts for measure in rows)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Plain sentences on what is broken, or looks better than it is."""
        return tuple(_traps(self))

    @property
    def worst(self) -> Worst:
        """The frame to look at first."""
        curves = _badness(self)
        table = np.nan_to_num(np.stack(list(curves.values())), nan=-1.0)
        which, frame = np.unravel_index(table.argmax(), table.shape)
        why = f"{list(curves)[which]} at {table[which, frame]:.0%} of what is tolerable"
        return Worst(int(frame), why, self.clip.frames[frame])

    def __getitem__(self, name: str) -> float:
        """The value of one measure: report["sharpness"]. KeyError lists the names there are."""
        values = {measure.name: measure.value for measure in self.measures}
        if name not in values:
            raise KeyError(f"no measure {name!r}; there are {', '.join(values)}")
        return values[name]

    def _repr_html_(self) -> str:
        rows = [(m.name, _number(m.value), m.unit, m.good, m.source) for m in self.measures]
        heads = ("measure", "value", "unit", "good is", "formula")
        return show.table("Report", rows, heads) + show.sentences(self.warnings)

    def plot(self, ax: object | None = None) -> None:
        """Likeness, sharpness and place over time; the worst frame is marked, and shown."""
        worst = self.worst
        seconds = np.arange(len(self.clip.frames)) / self.clip.fps
        title = f"worst frame: {worst.frame}\n{worst.why}"
        show.curve_and_picture(
            seconds, _curves(self), worst.picture, title, seconds[worst.frame], ax,
            self.motion.phases,
        )  # fmt: skip


def mean(values: Float[np.ndarray, "*_n"]) -> float:
    """Of what is known; NaN if nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _likeness_rows(report: Report) -> Iterator[Measure]:
    alike = report.likeness
    for p, side in enumerate(SIDES):
        bounds = f"{alike.ceiling[p]:.2f} the same person again, {alike.floor[p]:.2f} a stranger"
        arcface = "cosine, Deng et al. 2019"
        yield Measure(f"likeness {side}", mean(alike.own[:, p]), "cosine", bounds, arcface)
        yield Measure(f"likeness {side}, least", _least(alike.own[:, p]), "cosine", bounds, arcface)
        margin = mean(alike.margin[:, p])
        yield Measure(f"margin {side}", margin, "cosine", "above 0: not the other one", arcface)
        yield Measure(f"found {side}", report.found[p], "share", "what the rest rests on", "count")
    name, source = "consistency (VBench-style)", "Huang et al. 2024, section 3.1"
    yield Measure(name, _least(alike.consistency), "cosine", "high; 1 if frozen", source)


def _movement_rows(moves: Movement) -> Iterator[Measure]:
    planned = mean(moves.planned_dynamic)
    yield Measure(
        "dynamic degree (VBench-style)", mean(moves.dynamic), "iod/s", f"planned {planned:.3g}",
        "Huang et al. 2024, flow of Kroeger et al. 2016",
    )  # fmt: skip
    yield Measure(
        "motion smoothness (VBench-style)", mean(moves.smoothness), "1 - MAE", "high; 1 if frozen",
        "Huang et al. 2024, interpolation of Baker et al. 2011",
    )  # fmt: skip
    planned = _rms(moves.planned_jerk)
    yield Measure("jerk", _rms(moves.jerk), "iod/s³", f"planned {planned:.3g}", "Flash, Hogan 1985")
    planned = mean(moves.planned_gap[moves.touching])
    yield Measure(
        "gap at contact", moves.gap_at_contact, "iod", f"planned {planned:.2g}", "distance of lips"
    )
    yield Measure("setback", moves.setback, "iod", "0: a monotone approach", "max rise of the gap")
    yield Measure(
        "landmark error", mean(moves.landmark_error), "iod", "low", "Sagonas et al. 2013, 300-W"
    )


def _looks_rows(seen: Looks) -> Iterator[Measure]:
    guide = 1e3 * mean(seen.guide_warping)
    yield Measure(
        "warping error", 1e3 * mean(seen.warping), "0.001", f"low; the guide's {guide:.2g}",
        "Lai et al. 2018, section 4.2",
    )  # fmt: skip
    yield Measure(
        "flicker (VBench-style)", mean(seen.flicker), "levels of 255", "low; 0 if frozen",
        "Huang et al. 2024, temporal flickering",
    )  # fmt: skip
    sharp = _middle(seen.sharpness)
    yield Measure("sharpness", sharp, "of the guide's", "1; above it is noise", GRADIENT)
    if np.isfinite(seen.ssim):
        yield Measure("PSNR", seen.psnr, "dB", "high", "10 log10(1 / MSE), people only")
        yield Measure("SSIM", seen.ssim, "", "1", "Wang et al. 2004, people only")


def _traps(report: Report) -> Iterator[str]:
    moves, seen, alike = report.movement, report.looks, report.likeness
    moved, planned = mean(moves.dynamic), mean(moves.planned_dynamic)
    if planned > STILL_PLAN and moved < FROZEN * planned:
        yield (
            f"Frozen: what moves does so at {moved:.2g} inter-ocular distances a second where "
            f"{planned:.2g} were planned; consistency, smoothness and flicker are good only "
            "because nothing happens."
        )
    sharp = _middle(seen.sharpness)
    if sharp < SOFT:
        yield (
            f"Blurred: {sharp:.0%} of the guide's sharpness is left; warping error, smoothness and "
            "flicker are good only because there is little to see."
        )
    facing = np.abs(report.motion.angles[..., 0]) <= FACING
    for p, side in enumerate(SIDES):
        margin = mean(alike.margin[facing[:, p], p])
        if margin < 0:
            yield (
                f"Swapped: the {side} face is more like the other person's photo than like its "
                f"own, by a cosine of {-margin:.2f}."
            )
        if not report.found[p]:
            yield f"Not found: the {side} face is nowhere at its place; nothing is known of it."
    jerk, smooth = _rms(moves.jerk), _rms(moves.planned_jerk)
    shake = SHAKY * report.clip.fps**3
    # What is independent adds up in squares; a plan that is jerky itself hides a small shake.
    if jerk > np.hypot(1.25 * smooth, shake):
        yield (
            f"Jittered: the people's jerk is {jerk:.3g} inter-ocular distances/s³ where "
            f"{smooth:.3g} were planned."
        )


def _badness(report: Report) -> dict[str, Float[np.ndarray, " T"]]:
    """Per frame: 1 is the most that is tolerable, NaN unknown."""
    alike, seen = report.likeness, report.looks
    short = (alike.ceiling - alike.own) / (alike.ceiling - alike.floor)  # 1: like a stranger
    out = {f"likeness {side}": short[:, p] for p, side in enumerate(SIDES)}
    for p, side in enumerate(SIDES):
        out[f"landmark error {side}"] = report.movement.landmark_error[:, p] / 0.25
    out["softness"] = (1 - seen.sharpness) / (1 - SOFT)
    out["warping error"] = np.r_[np.nan, seen.warping] / 0.01  # a shake of a pixel or two
    out["flicker"] = np.r_[np.nan, seen.flicker] / 3.0  # levels; less is hardly seen
    return out


def _curves(report: Report) -> dict[str, Float[np.ndarray, " T"]]:
    """Those that share an axis from 0 to about 1."""
    alike = report.likeness
    out = {f"likeness {side}": alike.own[:, p] for p, side in enumerate(SIDES)}
    out |= {f"{side}, to the other's photo": alike.other[:, p] for p, side in enumerate(SIDES)}
    out["landmark error (iod)"] = np.nanmax(
        np.nan_to_num(report.movement.landmark_error, nan=-np.inf), axis=1
    )
    out["sharpness / guide's"] = report.looks.sharpness
    return {name: np.where(np.isfinite(curve), curve, np.nan) for name, curve in out.items()}


def _number(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else "not seen"


def _least(values: Float[np.ndarray, "*_n"]) -> float:
    known = values[np.isfinite(values)]
    return float(known.min()) if known.size else float("nan")


def _middle(values: Float[np.ndarray, "*_n"]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")


def _rms(values: Float[np.ndarray, "*_n"]) -> float:
    return float(np.sqrt(mean(np.square(values))))
