"""Stage 7: a run in, a report on its clip out; no figure stands alone. (measure, measure_clip)

A frozen clip is perfectly consistent, a blurred one has hardly any warping error: so how much moves
and how sharp it is are always told as well, and `Report.warnings` says it in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float, Num, UInt8

from kisslab import show, zoo
from kisslab.contact import planned_points
from kisslab.faces import Faces, best_detector, mesh_detector
from kisslab.guide import Guide
from kisslab.identity import align, embed_crops
from kisslab.likeness import Detect, Recognise, follow_faces, likeness, varied
from kisslab.metrics import known_ways
from kisslab.motion import Motion
from kisslab.movement import movement
from kisslab.photo import Photo, load_photo
from kisslab.pipeline import Run
from kisslab.quality import looks
from kisslab.report import Report
from kisslab.video import Clip


def measure(run: Run, **options: Any) -> Report:
    """The report on a run's clip; options as in `measure_clip`."""
    given = {photo.sha256 for photo in run.photos}
    options.setdefault("strangers", _packaged_crops(frozenset(given)))
    return measure_clip(run.clip, run.photo, run.faces, run.motion, run.guide, **options)


def measure_clip(
    clip: Clip,
    photo: Photo,
    faces: Faces,
    motion: Motion,
    guide: Guide,
    *,
    truth: Num[np.ndarray, "T H W 3"] | None = None,
    again: Num[np.ndarray, "2 112 112 3"] | None = None,
    strangers: Num[np.ndarray, "_n 112 112 3"] | None = None,
    detectors: Sequence[Detect] = (),
    recognise: Recognise = embed_crops,
) -> Report:
    """The report on a clip that was made from a photo, its faces, a plan and its guide.

    truth: the frames as they should have become, where the studio knows it. again: both people's
    aligned crops from another picture, for the ceiling of likeness (default: the photo's, varied).
    strangers: crops for its floor (default: the packaged portraits). detectors: functions from
    pixels to Faces, asked in turn where the one before finds nothing (default: MediaPipe's where it
    can be had, then our own networks). recognise: crops to unit vectors (default: ours).
    ValueError if clip, guide and truth differ in size or length.
    """
    _check(clip, guide, truth)
    frames = _floats(clip.frames)
    points = _find(frames, planned_points(motion, faces), detectors)
    crops = np.stack([align(photo.rgb, face) for face in faces.points])
    again = varied(crops) if again is None else again
    strangers = _packaged_crops(frozenset()) if strangers is None else strangers
    ways = known_ways(guide.layers, guide.confidence, guide.flow[:-1])
    return Report(
        clip=clip,
        motion=motion,
        points=points,
        likeness=likeness(frames, points, crops, again, strangers, recognise),
        movement=movement(frames, points, faces, motion, guide, ways),
        looks=looks(frames, guide, ways, None if truth is None else _floats(truth)),
    )


def _find(
    frames: Float[np.ndarray, "T H W 3"],
    places: Float[np.ndarray, "T 2 478 3"],
    detectors: Sequence[Detect],
) -> Float[np.ndarray, "T 2 478 3"]:
    if detectors:
        return follow_faces(frames, places, *detectors)
    with best_detector() as first:
        return follow_faces(frames, places, first, mesh_detector())


def _check(clip: Clip, guide: Guide, truth: np.ndarray | None) -> None:
    for name, frames in (("guide", guide.frames), ("truth", truth)):
        if frames is not None and frames.shape != clip.frames.shape:
            raise ValueError(
                f"the clip is {clip.frames.shape}, its {name} {frames.shape} (frames, height, "
                "width, colours): give what belongs together"
            )


def _floats(frames: Num[np.ndarray, "T H W 3"]) -> Float[np.ndarray, "T H W 3"]:
    return show.to_uint8(frames) / np.float32(255)


@lru_cache(maxsize=4)
def _packaged_crops(without: frozenset[str]) -> UInt8[np.ndarray, "_n 112 112 3"]:
    """Faces of the packaged portraits, but for files of these sha256."""
    out = []
    for path in sorted(zoo.data_path("portraits").glob("single_*.jpg")):
        photo = load_photo(path)
        if photo.sha256 not in without:
            points = Faces.load(path.with_suffix(".faces.npz")).points[0]
            out.append(show.to_uint8(align(photo.rgb, points)))
    return np.stack(out)
