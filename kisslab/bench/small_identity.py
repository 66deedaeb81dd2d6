"""Area small models, identity: who is taken for whom. (identity_rows, studio_row, photos_row)"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from kisslab.bench.rows import Row, row
from kisslab.bench.studio import HELD_OUT
from kisslab.identity import OURS, embed_crops
from kisslab.studio.dataset import Views, write_views
from kisslab.train.gallery import photo_gallery, studio_gallery
from kisslab.train.identity import accepted

UNSEEN = range(HELD_OUT, HELD_OUT + 64)


def identity_rows(
    photos: str | Path, work: str | Path, model: str | Path = OURS, seeds: Sequence[int] = UNSEEN
) -> Iterator[Row]:
    """Both figures of a recognition model.

    photos: folder of folders of photographs; work: a folder that keeps what is drawn for this, so
    that a second call, perhaps with another model, takes seconds; seeds: of studio people on whom
    nothing was trained.
    """
    yield studio_row(work, model, seeds)
    yield photos_row(photos, work, model)


def studio_row(
    work: str | Path, model: str | Path = OURS, seeds: Sequence[int] = UNSEEN, most_yaw: float = 40
) -> Row:
    """Share of pairs of views of one unseen studio person that are accepted.

    At the cosine that one in a thousand pairs of two people reaches. Views differ in pose (up to
    `most_yaw` degrees of yaw), expression, light, background, size and sharpness; crops are aligned
    by the exact points. Cases: pairs of one person.
    """
    people = [Views.load(path) for path in write_views(work, seeds, views=4)]
    gallery = studio_gallery(people)
    near = np.abs(gallery.yaw) <= most_yaw
    share, pairs = accepted(embed_crops(gallery.crops[near], model), gallery.person[near])
    return row("id_tar_at_far_1e3", share, "share", ">= 0.95", pairs)


def photos_row(photos: str | Path, work: str | Path, model: str | Path = OURS) -> Row:
    """The same for held-out photographs, of which there is only one per person.

    So a pair of one person is never two photographs: it is two of the photograph itself, the head
    turned to four sides by the guide's own warp, mirrored, relit, and blurred. That flatters every
    model: hair, age, expression and camera are the same in all of them; and ours most, for to it a
    mirror image is the same picture. Cases: pairs of one person.
    """
    gallery = photo_gallery(photos, Path(work) / "photos_held", held=True)
    first = np.flatnonzero(np.diff(gallery.person, prepend=-1))
    changed = [
        [change(c) for c in gallery.crops[first]] for change in (_mirrored, _relit, _blurred)
    ]
    crops = np.concatenate([gallery.crops, *changed])
    person = np.concatenate([gallery.person, *[gallery.person[first]] * len(changed)])
    share, pairs = accepted(embed_crops(crops, model), person)
    return row("id_tar_photos", share, "share", "", pairs)


def _mirrored(crop: UInt8[np.ndarray, "112 112 3"]) -> UInt8[np.ndarray, "112 112 3"]:
    return crop[:, ::-1]


def _relit(crop: UInt8[np.ndarray, "112 112 3"]) -> UInt8[np.ndarray, "112 112 3"]:
    """Darker and warmer, and half as bright on one side as on the other."""
    ramp = np.linspace(1.3, 0.65, crop.shape[1])[:, None]
    light = (crop / 255) ** 1.3 * ramp * [1.1, 1.0, 0.85]
    return (np.clip(light, 0, 1) * 255 + 0.5).astype(np.uint8)


def _blurred(crop: UInt8[np.ndarray, "112 112 3"]) -> UInt8[np.ndarray, "112 112 3"]:
    """As a face with 18 pixels between the eyes."""
    small = cv2.resize(crop, (56, 56), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, crop.shape[:2], interpolation=cv2.INTER_LINEAR)
