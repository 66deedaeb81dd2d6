"""What of a studio person a face shows, as numbers. (traits, standardised)"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from kisslab.studio.person import BEARDS, GLASSES, HAIR_STYLES, Person, sample_person

POPULATION = range(500)  # seeds whose mean and deviation are the scale


def traits(person: Person) -> Float[np.ndarray, " K"]:
    """Shape, colours and styles; nothing that changes with pose, light or clothes."""
    lips = person.makeup * np.array(person.lip_colour)
    frame = (person.glasses != "none") * np.array(person.glasses_colour)
    return np.concatenate(
        [
            person.shape,
            [person.age, person.femininity, person.tone, person.flush, person.freckles],
            [person.lines, person.lids, person.brow_thickness, person.brow_arch, person.makeup],
            [person.hair_volume, person.hairline, person.grey, person.ears, person.neck],
            *(person.skin, person.iris, person.hair_colour, lips, frame),
            *(np.array(kinds) == own for kinds, own in (
                (HAIR_STYLES, person.hair), (BEARDS, person.beard), (GLASSES, person.glasses)
            )),
        ]
    )  # fmt: skip


def standardised(people: Sequence[Person]) -> Float[np.ndarray, "N K"]:
    """Their traits, as deviations from the population's mean, in its standard deviations."""
    mean, deviation = _scale()
    return ((np.stack([traits(person) for person in people]) - mean) / deviation).astype(np.float32)


@lru_cache
def _scale() -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
    rows = np.stack([traits(sample_person(seed)) for seed in POPULATION])
    return rows.mean(axis=0), rows.std(axis=0)
