"""Who the studio's people are. (Person, sample_person, sample_couple)"""

from __future__ import annotations

import colorsys

import numpy as np
from jaxtyping import Float

from kisslab.records import Result, record

Colour = tuple[float, float, float]  # sRGB in [0, 1]

SKINS: tuple[Colour, ...] = (
    (0.86, 0.715, 0.625),
    (0.84, 0.675, 0.57),
    (0.81, 0.62, 0.50),
    (0.72, 0.525, 0.40),
    (0.60, 0.415, 0.30),
    (0.47, 0.315, 0.225),
    (0.36, 0.24, 0.175),
)
HAIRS: dict[str, Colour] = {
    "black": (0.075, 0.062, 0.058),
    "espresso": (0.15, 0.095, 0.065),
    "brown": (0.26, 0.16, 0.095),
    "chestnut": (0.36, 0.19, 0.10),
    "auburn": (0.45, 0.18, 0.09),
    "ginger": (0.66, 0.32, 0.13),
    "dark blond": (0.50, 0.37, 0.22),
    "blond": (0.74, 0.58, 0.36),
    "platinum": (0.88, 0.80, 0.66),
    "pink": (0.80, 0.42, 0.52),
    "teal": (0.14, 0.40, 0.44),
}
IRISES: dict[str, Colour] = {
    "dark brown": (0.20, 0.11, 0.06),
    "brown": (0.36, 0.20, 0.10),
    "hazel": (0.44, 0.32, 0.14),
    "green": (0.34, 0.45, 0.28),
    "blue": (0.32, 0.50, 0.68),
    "grey": (0.46, 0.52, 0.56),
}
MASCULINE = ("crop", "side part", "quiff", "buzz", "bald", "receding", "curly", "afro", "waves")
FEMININE = ("bob", "long", "bun", "ponytail", "pixie", "long waves", "curly", "afro", "fringe")
HAIR_STYLES = tuple(dict.fromkeys(MASCULINE + FEMININE))
BEARDS = ("none", "stubble", "moustache", "goatee", "short beard", "full beard")
GLASSES = ("none", "round", "square", "thin")
GARMENTS = ("tee", "v-neck", "shirt", "turtleneck", "scoop", "blazer", "hoodie")

# Morphs of the face, in standard deviations: see head.MORPHS for what each moves.
SHAPES = (
    "face_width",
    "jaw_width",
    "jaw_corner",
    "chin_length",
    "chin_width",
    "chin_forward",
    "cheekbones",
    "cheeks",
    "brow_ridge",
    "forehead",
    "nose_length",
    "nose_width",
    "nose_projection",
    "nose_bridge",
    "nose_hump",
    "nose_upturn",
    "mouth_width",
    "mouth_height",
    "upper_lip",
    "lower_lip",
    "smile",
    "eye_size",
    "eye_tilt",
    "eye_depth",
    "eye_spacing",
)


@record
class Person(Result):
    """An adult who does not exist. Everything that stays when the head turns."""

    seed: int
    age: float  # years, 25 to 75
    femininity: float  # gender expression: 0 masculine, 1 feminine
    shape: Float[np.ndarray, "25"]  # one standard score per name in SHAPES
    tone: float  # 0 very light skin, 1 very dark
    skin: Colour
    flush: float  # redness of cheeks, nose and ears, 0 to 1
    freckles: float  # 0 none, 1 many
    lines: float  # depth of age lines, 0 to 1
    makeup: float  # 0 none, 1 lipstick, eye shadow and eyeliner
    lip_colour: Colour  # of the lipstick
    iris: Colour
    lids: float  # 0 deep-set crease, 1 single lid (no crease)
    brow_thickness: float  # 0 thin, 1 thick
    brow_arch: float  # 0 flat, 1 arched
    hair: str  # one of HAIR_STYLES
    hair_colour: Colour
    hair_volume: float  # 0 flat, 1 full
    hair_side: float  # -1 or 1: the side of the parting
    hairline: float  # 0 low, 1 high
    grey: float  # share of grey hair, 0 to 1
    beard: str  # one of BEARDS
    glasses: str  # one of GLASSES
    glasses_colour: Colour
    ears: float  # size, 1 average
    neck: float  # radius, inter-ocular distances
    shoulders: float  # half width, inter-ocular distances
    garment: str  # one of GARMENTS
    cloth: Colour
    cloth_second: Colour  # shirt under a blazer, stripes
    pattern: str  # plain, stripes, heather


def sample_person(
    seed: int,
    *,
    femininity: float | None = None,
    tone: float | None = None,
    hair: str | None = None,
) -> Person:
    """A person drawn evenly over gender expression, skin, hair, age; `seed` decides all the rest.

    Give `femininity` (0 to 1), `tone` (0 to 1) or `hair` (one of HAIR_STYLES) to fix them.
    """
    if hair is not None and hair not in HAIR_STYLES:
        raise ValueError(f"hair={hair!r} is not a style; choose one of {HAIR_STYLES}")
    rng = np.random.default_rng([seed, 20])
    drawn_femininity = _two_humped(rng) if femininity is None else femininity
    drawn_tone = float(rng.uniform()) if tone is None else tone
    age = float(np.clip(25 + 50 * rng.beta(1.1, 1.7), 25, 75))
    style = hair or _hair_style(rng, drawn_femininity, age)
    hair_colour, grey = _hair_colour(rng, drawn_tone, age)
    feminine = drawn_femininity > 0.5
    makeup = float(rng.uniform(0.25, 1.0)) if feminine and rng.random() < 0.7 else 0.0
    cloth, second = _cloth_colours(rng)
    return Person(
        seed=seed,
        age=age,
        femininity=drawn_femininity,
        shape=_face_shape(rng, drawn_femininity),
        tone=drawn_tone,
        skin=_skin(rng, drawn_tone),
        flush=float(rng.uniform(0.2, 1.0)),
        freckles=float(max(0.0, rng.uniform(-1.2, 1.0)) if drawn_tone < 0.45 else 0.0),
        lines=float(np.clip((age - 32) / 38 + rng.normal(0, 0.1), 0, 1)),
        makeup=makeup,
        lip_colour=_pick(rng, ((0.70, 0.16, 0.20), (0.74, 0.32, 0.34), (0.55, 0.16, 0.22))),
        iris=_iris(rng, drawn_tone),
        lids=float(rng.uniform(0, 1) ** 1.5),
        brow_thickness=float(np.clip(rng.normal(0.65 - 0.35 * drawn_femininity, 0.15), 0, 1)),
        brow_arch=float(np.clip(rng.normal(0.25 + 0.35 * drawn_femininity, 0.2), 0, 1)),
        hair=style,
        hair_colour=hair_colour,
        hair_volume=float(rng.uniform()),
        hair_side=float(rng.choice([-1.0, 1.0])),
        hairline=float(np.clip(rng.normal(0.4 - 0.2 * drawn_femininity, 0.2), 0, 1)),
        grey=grey,
        beard="none" if feminine else _pick(rng, BEARDS, (0.32, 0.24, 0.08, 0.10, 0.16, 0.10)),
        glasses=_pick(rng, GLASSES, (0.74, 0.10, 0.08, 0.08)),
        glasses_colour=_pick(rng, ((0.06, 0.05, 0.05), (0.30, 0.16, 0.08), (0.62, 0.55, 0.42))),
        ears=float(rng.normal(1.0 - 0.06 * drawn_femininity, 0.06)),
        neck=float(np.clip(rng.normal(0.62 - 0.11 * drawn_femininity, 0.02), 0.47, 0.67)),
        shoulders=float(np.clip(rng.normal(2.2 - 0.35 * drawn_femininity, 0.08), 1.7, 2.4)),
        garment=_pick(rng, GARMENTS, (1, 1, 1.2, 0.8, 1.4 if feminine else 0.0, 1, 0.7)),
        cloth=cloth,
        cloth_second=second,
        pattern=_pick(rng, ("plain", "stripes", "heather"), (0.6, 0.15, 0.25)),
    )


def sample_couple(seed: int) -> tuple[Person, Person]:
    """Two adults of similar age; every combination of gender expression and skin occurs."""
    rng = np.random.default_rng([seed, 21])
    first, second = (int(s) for s in rng.integers(0, 2**31, 2))
    sides = rng.random(2) < 0.5
    ranges = [(0.55, 1.0) if side else (0.0, 0.45) for side in sides]
    a = sample_person(first, femininity=float(rng.uniform(*ranges[0])))
    for attempt in range(200):
        b = sample_person(second + attempt, femininity=float(rng.uniform(*ranges[1])))
        if abs(a.age - b.age) < 12:
            break
    return a, b


def _two_humped(rng: np.random.Generator) -> float:
    side = rng.random() < 0.5
    value = rng.beta(2.0, 1.3) * 0.5
    return float(0.5 + value if side else 0.5 - value)


def _pick(rng: np.random.Generator, options: tuple, weights: tuple | None = None):
    share = None if weights is None else np.array(weights) / np.sum(weights)
    return options[int(rng.choice(len(options), p=share))]


def _skin(rng: np.random.Generator, tone: float) -> Colour:
    """Between the neighbouring swatches, with a small shift of hue."""
    place = tone * (len(SKINS) - 1)
    k = min(int(place), len(SKINS) - 2)
    colour = np.array(SKINS[k]) + (place - k) * (np.array(SKINS[k + 1]) - np.array(SKINS[k]))
    colour = colour * (1 + rng.normal(0, 0.015, 3))
    return tuple(float(c) for c in np.clip(colour, 0, 1))


def _iris(rng: np.random.Generator, tone: float) -> Colour:
    light = max(0.0, 0.75 - 1.8 * tone)
    if rng.random() < light:
        return IRISES[_pick(rng, ("hazel", "green", "blue", "grey"))]
    return IRISES[_pick(rng, ("dark brown", "brown", "hazel"), (0.4 + tone, 1, 0.15))]


def _hair_style(rng: np.random.Generator, femininity: float, age: float) -> str:
    if femininity > 0.5:
        return _pick(rng, FEMININE, (1.2, 1.3, 1.0, 1.0, 0.7, 1.3, 0.9, 0.5, 0.8))
    old = max(0.0, (age - 35) / 40)
    return _pick(rng, MASCULINE, (1.3, 1.3, 1.2, 0.7, 0.25 + old, 0.1 + 1.5 * old, 0.9, 0.45, 0.7))


def _hair_colour(rng: np.random.Generator, tone: float, age: float) -> tuple[Colour, float]:
    dyed = rng.random() < 0.04
    if dyed:
        name = _pick(rng, ("pink", "teal"))
    elif tone > 0.55:
        name = _pick(rng, ("black", "espresso", "brown"), (6, 2, 0.6))
    elif tone > 0.3:
        name = _pick(rng, ("black", "espresso", "brown", "chestnut", "dark blond"), (3, 3, 3, 1, 1))
    else:
        name = _pick(rng, tuple(HAIRS)[:9], (1, 1.4, 1.6, 1.4, 1, 1, 1.6, 1.5, 0.6))
    grey = 0.0 if dyed else float(np.clip((age - 50) / 20 + rng.normal(0, 0.22), 0, 1))
    colour = np.array(HAIRS[name]) * (1 - grey) + np.array((0.72, 0.71, 0.70)) * grey
    return tuple(float(c) for c in colour), grey


def _cloth_colours(rng: np.random.Generator) -> tuple[Colour, Colour]:
    hue = rng.uniform()
    if rng.random() < 0.4:
        main = colorsys.hsv_to_rgb(hue, rng.uniform(0, 0.15), _pick(rng, (0.16, 0.35, 0.88)))
    else:
        main = colorsys.hsv_to_rgb(hue, rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.75))
    second = colorsys.hsv_to_rgb((hue + 0.5) % 1, rng.uniform(0, 0.2), rng.uniform(0.8, 0.95))
    return tuple(float(c) for c in main), tuple(float(c) for c in second)


def _face_shape(rng: np.random.Generator, femininity: float) -> np.ndarray:
    """Independent scores, with the few that differ between masculine and feminine faces shifted."""
    everyone = {"smile": 0.9}
    shift = {
        "jaw_width": -0.8,
        "jaw_corner": -1.0,
        "chin_length": -0.6,
        "chin_width": -0.9,
        "cheekbones": 0.5,
        "brow_ridge": -1.2,
        "forehead": 0.6,
        "nose_length": -0.4,
        "nose_width": -0.5,
        "nose_hump": -0.5,
        "nose_upturn": 0.5,
        "upper_lip": 0.7,
        "lower_lip": 0.6,
        "eye_size": 0.8,
        "eye_tilt": 0.3,
    }
    scores = np.clip(rng.normal(0, 0.85, len(SHAPES)), -2, 2)
    mean = np.array([shift.get(name, 0.0) for name in SHAPES])
    base = np.array([everyone.get(name, 0.0) for name in SHAPES])
    return np.clip(base + scores + 2.0 * (femininity - 0.5) * mean, -2.4, 2.4)
