"""When it goes wrong: hard photos sent through the pipeline, and how far off the clips are.

(try_case, Trial, face_errors)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from skimage.metrics import structural_similarity

from kisslab import show
from kisslab.assessment import Assessment
from kisslab.composite import compose
from kisslab.faces import FaceError, Faces, find_faces
from kisslab.identity import align, embed_crops
from kisslab.photo import Photo
from kisslab.pipeline import Pipeline, Run
from kisslab.records import Result, record
from kisslab.studio.hard import HardCase, to_contact

CONSENT = "The studio drew these people; they do not exist."
LOST = 1.0  # the error of a clip that was not made: nothing of the face is right
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
    def difficulty(self) -> float:
        """As `assess` foretells it; 1 where it was asked in vain, for there was no face."""
        return self.assessment.difficulty if self.assessment else 1.0

    def plot(self, ax: object | None = None) -> None:
        """The photo, what was made of it, and what should have been."""
        pictures = [self.case.photos[-1].rgb, self.made[-1], self.case.truth[-1]]
        titles = ["photo", f"made, error {self.error:.2f}", "exact"]
        show.sheet(pictures, titles, columns=3, ax=ax)


def try_case(case: HardCase, find: Callable[[Photo, int], Faces] = find_small) -> Trial:
    """Send a hard photo through the whole pipeline, and hold the clip against the exact frames."""
    try:
        run = run_case(case, find)
    except FaceError as error:
        made = np.stack([_nearer(case.photos[0].rgb, case)] * len(case.truth))
        lost = np.full((len(made), 2), LOST)
        return Trial(case, None, show.to_uint8(made), lost, str(error))
    made = np.stack([_nearer(frame, case) for frame in run.clip.frames])
    return Trial(case, run.assessment, made, face_errors(made, case.truth, case.points), "")


def run_case(case: HardCase, find: Callable[[Photo, int], Faces] = find_small) -> Run:
    """Every stage's result. FaceError: the pipeline finds no two faces in it."""
    photos = {photo.path: photo for photo in case.photos}
    pipeline = Pipeline(
        load=photos.__getitem__,
        find=find,
        compose=partial(compose, height=case.truth.shape[1]),
        plan=partial(to_contact, frames=len(case.truth)),
    )
    return pipeline(*photos, consent=CONSENT)


def face_errors(
    made: UInt8[np.ndarray, "T H W 3"],
    truth: UInt8[np.ndarray, "T H W 3"],
    points: Float[np.ndarray, "T 2 478 2"],
) -> Float[np.ndarray, "T 2"]:
    """How unlike the exact one each face is, 0 to 1, in the place where it should be.

    ((1 - SSIM) + (1 - cosine)) / 2, both cut off at 0 and 1, of crops aligned to the exact points:
    structure (Wang et al. 2004) and identity (ArcFace, Deng et al. 2019) count alike, and a face
    that is elsewhere has neither.
    """
    out = np.empty(points.shape[:2])
    for t, person in np.ndindex(out.shape):
        crops = [align(frames[t], points[t, person]) for frames in (made, truth)]
        alike = structural_similarity(*crops, channel_axis=-1, data_range=255)
        cosine = np.prod(embed_crops(np.stack(crops)), axis=0).sum()
        out[t, person] = np.clip([1 - alike, 1 - cosine], 0, 1).mean()
    return out


def _nearer(rgb: np.ndarray, case: HardCase) -> np.ndarray:
    """A picture in the truth's pixels."""
    high, wide = case.truth.shape[1:3]
    shift = case.shift + (case.zoom - 1) / 2  # pixels' middles
    matrix = np.array([[case.zoom, 0, shift[0]], [0, case.zoom, shift[1]]])
    return cv2.warpAffine(
        rgb, matrix, (wide, high), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
