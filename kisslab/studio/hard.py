"""Photos that are hard on purpose, and what should have become of them.

(hard_case, HardCase, Film, KINDS, to_contact)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.spatial.transform import Rotation

from kisslab import anatomy as at
from kisslab import show
from kisslab.composite import SHORTEST, compose
from kisslab.faces import Faces
from kisslab.motion import Motion
from kisslab.photo import Photo, photo_from_array
from kisslab.plan import plan_kiss
from kisslab.records import Result, record
from kisslab.studio.clips import flow, motion_camera, true_faces
from kisslab.studio.person import sample_couple
from kisslab.studio.render import render
from kisslab.studio.scene import Light, Scene, couple_portrait, portrait, sample_background

# What a strength of 1 means. Each end was set where the photo just stops being of use to a person.
AWAY = 65.0  # degrees that a head looks away from the partner
MUG = 0.85  # inter-ocular distances: half the width of what is held before the mouth
FAR = 4.0  # times smaller
TILT = 45.0  # degrees that the camera leans
ABOVE = 28.0  # degrees from which one of two portraits was taken
LEAST = math.ceil(SHORTEST * 4 / 3)  # pixels of width: a couple's picture is 3/4 as high
ROOM = 1.45  # times larger a picture is drawn so that a tilted one has no empty corners


@record
class Film(Result):
    """What a camera would have seen, exactly; flow and hidden lead from a frame to the next."""

    frames: UInt8[np.ndarray, "T H W 3"]
    points: Float[np.ndarray, "T 2 478 2"]  # pixels
    people: Bool[np.ndarray, "T H W"]
    flow: Float[np.ndarray, "T-1 H W 2"]  # pixels: x right, y down
    hidden: Bool[np.ndarray, "T-1 H W"]  # not seen in the next frame

    def plot(self, ax: object | None = None) -> None:
        """Film strip."""
        show.strip(self.frames, ax=ax)


@record
class HardCase(Result):
    """A photo with one thing wrong to a known degree, its exact faces, and its exact future.

    Pixels of the truth are those of the couple's picture times `zoom` plus `shift`: small faces are
    judged as large as everybody would look at them.
    """

    kind: str  # one of KINDS
    strength: float  # 0 nothing is wrong .. 1
    seed: int  # of the people, their light and their wall
    photos: tuple[Photo, ...]  # as somebody would bring them: one of a couple, or two portraits
    faces: Faces  # exact; of two portraits, where `compose` puts them
    motion: Motion  # the plan for the exact faces, in the truth's pixels
    truth: Film
    zoom: float
    shift: Float[np.ndarray, "2"]
    note: str  # what of it is painted or assumed

    def plot(self, ax: object | None = None) -> None:
        """The photos, and the last exact frame."""
        names = [*(photo.path for photo in self.photos), "as it should become"]
        pictures = [*(photo.rgb for photo in self.photos), self.truth.frames[-1]]
        show.sheet(pictures, names, len(pictures), ax=ax)


def hard_case(
    kind: str, strength: float, seed: int, *, frames: int = 6, size: int = 256
) -> HardCase:
    """A couple who does not exist, in a photo that is hard in one way, to a known degree.

    kind: one of KINDS; strength: 0 to 1; frames: of the truth, as in `to_contact`; size: its width,
    pixels, at least LEAST. ValueError for another kind, strength, size or number of frames.
    """
    if kind not in MAKERS:
        raise ValueError(f"kind={kind!r}: there are {', '.join(KINDS)}")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength={strength}: give 0 (nothing is wrong) to 1")
    if size < LEAST:
        raise ValueError(f"size={size}: give at least {LEAST} pixels")
    case = MAKERS[kind](_couple(seed, size), float(strength), frames)
    return replace(case, kind=kind, strength=float(strength), seed=seed)


def to_contact(faces: Faces, frames: int = 6) -> Motion:
    """A tender kiss until the middle of its contact, in a few frames of even pace.

    ValueError: there are not as many frames until then.
    """
    whole = plan_kiss(faces)
    if not 1 <= frames <= whole.contact:
        raise ValueError(f"frames={frames}: give 1 to {whole.contact}, the frame of the contact")
    stride = whole.contact // frames
    chosen = [whole.contact - stride * k for k in reversed(range(frames))]
    return replace(whole.pick(chosen), fps=whole.fps / stride)


def profile(scene: Scene, strength: float, frames: int) -> HardCase:
    """One of the two looks away from the other, at last in profile."""
    who = int(scene.camera.seed % 2)
    side = (-1.0, 1.0)[who]  # away from the partner: the left one looks left
    angles = scene.poses[who].angles + np.array([side * AWAY * strength, 0, 0])
    angles[0] += strength * (0 - scene.poses[who].angles[0])
    poses = list(scene.poses)
    poses[who] = replace(poses[who], angles=angles)
    return _filmed(replace(scene, poses=tuple(poses)), frames)


def covered_mouth(scene: Scene, strength: float, frames: int) -> HardCase:
    """A mug is held before one mouth. The studio has none: it is painted over the photo."""
    case = _filmed(scene, frames)
    who = int(scene.camera.seed % 2)
    rgb = _with_mug(case.photos[0].rgb, case.faces.points[who], strength * MUG, scene.camera.seed)
    note = "the mug is painted over the photo, and nobody holds it in the exact frames"
    return replace(case, photos=(_photo(rgb, "couple"),), note=note)


def harsh_light(scene: Scene, strength: float, frames: int) -> HardCase:
    """A hard lamp from the side, and ever less light from anywhere else."""
    soft = scene.light
    rest = 1 - 0.93 * strength
    light = replace(
        soft,
        azimuth=(1 - strength) * soft.azimuth + strength * math.copysign(88.0, soft.azimuth),
        softness=soft.softness * (1 - strength),
        strength=soft.strength * (1 + 0.6 * strength),
        fill=soft.fill * rest,
        ambient=tuple(c * rest for c in soft.ambient),
    )
    return _filmed(replace(scene, light=light), frames)


def tiny_face(scene: Scene, strength: float, frames: int) -> HardCase:
    """The two stand far away; what becomes of them is looked at from near."""
    zoom = 1 + (FAR - 1) * strength
    floor = np.array([scene.camera.width / 2, scene.camera.height])  # their chests end there
    shift = floor * (1 - zoom)
    far = (np.array(scene.camera.origin) - shift) / zoom
    camera = replace(
        scene.camera, unit=scene.camera.unit / zoom, origin=(float(far[0]), float(far[1]))
    )
    small = replace(scene, camera=camera)
    near = _filmed(scene, frames, photo=small)
    return replace(near, faces=true_faces(small), zoom=zoom, shift=shift)


def mismatched_pair(scene: Scene, strength: float, frames: int) -> HardCase:
    """Two portraits: from another side, in other light, from above, small and grainy."""
    other = replace(
        scene.light,
        azimuth=scene.light.azimuth * (1 - 2 * strength),
        colour=tuple(float(c ** (1 - 6 * strength)) for c in scene.light.colour),
        strength=scene.light.strength * (1 - 0.55 * strength),
    )
    size = scene.camera.width
    sizes = (size, max(SHORTEST, 2 * round(size * (1 - 0.7 * strength) / 2)))
    alone = [
        _portrait(scene, who, light, pixels, strength * ABOVE * who)
        for who, (light, pixels) in enumerate(zip((scene.light, other), sizes, strict=True))
    ]
    photos = tuple(
        _photo(render(one).rgb, name) for one, name in zip(alone, ("left", "right"), strict=True)
    )
    exact = {p.sha256: true_faces(one) for p, one in zip(photos, alone, strict=True)}
    height = max(SHORTEST, 2 * round(0.3125 * size))
    couple = compose(*photos, height=height, find=lambda p: exact[p.sha256])
    motion = to_contact(couple.faces, frames)
    together = replace(
        scene,
        background=couple.cutout.background,
        light=(scene.light, other)[couple.background_from],
        camera=motion_camera(motion, *couple.photo.rgb.shape[1::-1]),
    )
    case = _film(together, motion, couple.faces, photos)
    note = "in the exact frames both stand in the light of the portrait that gave the background"
    return replace(case, note=note)


def tilted_camera(scene: Scene, strength: float, frames: int) -> HardCase:
    """The camera leans, and leans in the exact frames just as much."""
    wide, room = _with_room(scene)
    upright = _filmed(wide, frames)
    degrees = TILT * strength * (1 if scene.camera.seed % 2 else -1)
    size = (scene.camera.width, scene.camera.height)
    middle = np.array(size) / 2
    turn = cv2.getRotationMatrix2D((0, 0), degrees, 1.0)  # of points, from a pixel's corner
    turn[:, 2] = middle - turn[:, :2] @ (middle + room)
    rgb = np.clip(_warped(upright.photos[0].rgb, turn, size), 0, 1)
    return replace(
        upright,
        photos=(_photo(rgb, "couple"),),
        faces=_turned(upright.faces, turn, degrees),
        truth=_turned_film(upright.truth, turn, size),
        note="the plan is that of the couple as seen upright",
    )


MAKERS: dict[str, Callable[[Scene, float, int], HardCase]] = {
    "profile": profile,
    "covered mouth": covered_mouth,
    "harsh light": harsh_light,
    "tiny face": tiny_face,
    "mismatched pair": mismatched_pair,
    "tilted camera": tilted_camera,
}
KINDS = tuple(MAKERS)


def _couple(seed: int, size: int) -> Scene:
    """Two people in a good photo: soft light, upright, turned to each other a little."""
    rng = np.random.default_rng([seed, 35])
    scene = couple_portrait(
        sample_couple(seed),
        yaw=float(rng.uniform(8, 20)),
        size=size,
        light=Light(
            azimuth=float(rng.choice([-1, 1]) * rng.uniform(20, 45)),
            elevation=float(rng.uniform(25, 45)),
            softness=float(rng.uniform(0.5, 1.0)),
            fill=float(rng.uniform(0.35, 0.6)),
        ),
        background=sample_background(seed),
    )
    return replace(scene, camera=replace(scene.camera, noise=0.006, blur=1.0, seed=seed))


def _portrait(scene: Scene, who: int, light: Light, size: int, pitch: float) -> Scene:
    """One of the two alone, turned to the other's side."""
    yaw = (12.0, -12.0)[who]
    alone = portrait(
        scene.people[who], yaw=yaw, pitch=pitch, size=size, light=light, background=scene.background
    )
    noise = scene.camera.noise * scene.camera.width / size
    return replace(alone, camera=replace(alone.camera, noise=noise, seed=scene.camera.seed + who))


def _filmed(scene: Scene, frames: int, photo: Scene | None = None) -> HardCase:
    """The photo of a couple (of another scene, if one is given), and its exact frames."""
    faces = true_faces(scene)
    picture = _photo(render(photo or scene).rgb, "couple")
    return _film(scene, to_contact(faces, frames), faces, (picture,))


def _film(scene: Scene, motion: Motion, faces: Faces, photos: tuple[Photo, ...]) -> HardCase:
    """The exact frames of a motion, without the photo's grain."""
    clean = replace(scene, camera=replace(scene.camera, noise=0.0))
    scenes = [clean.posed(motion, t) for t in range(len(motion.gap))]
    takes = [render(moment) for moment in scenes]
    ways = [flow(a, s, b) for a, s, b in zip(takes, scenes[1:], takes[1:], strict=False)]
    film = Film(
        frames=np.stack([show.to_uint8(take.rgb) for take in takes]),
        points=np.stack([take.points for take in takes]),
        people=np.stack([take.parts > 0 for take in takes]),
        flow=np.array([way for way, _ in ways]).reshape(-1, *takes[0].parts.shape, 2),
        hidden=np.array([hidden for _, hidden in ways], bool).reshape(-1, *takes[0].parts.shape),
    )
    return HardCase("", 0.0, 0, photos, faces, motion, film, zoom=1.0, shift=np.zeros(2), note="")


def _photo(rgb: Float[np.ndarray, "H W 3"], name: str) -> Photo:
    return photo_from_array(show.to_uint8(rgb), name)


def _turned(faces: Faces, turn: Float[np.ndarray, "2 3"], degrees: float) -> Faces:
    """Faces in a turned picture. degrees: counter-clockwise."""
    points = faces.points.copy()
    points[..., :2] = points[..., :2] @ turn[:, :2].T + turn[:, 2]
    heads = Rotation.from_euler("YXZ", faces.angles, degrees=True)
    angles = (Rotation.from_euler("Z", degrees, degrees=True) * heads).as_euler("YXZ", degrees=True)
    boxes = np.concatenate([points[..., :2].min(1), points[..., :2].max(1)], axis=-1)
    return replace(faces, points=points, angles=angles, boxes=boxes)


def _with_room(scene: Scene) -> tuple[Scene, Float[np.ndarray, "2"]]:
    """The same scene in a larger picture, and by how many pixels on the left and above."""
    camera = scene.camera
    more = np.ceil(np.array([camera.width, camera.height]) * (ROOM - 1) / 2)
    larger = replace(
        camera,
        width=int(camera.width + 2 * more[0]),
        height=int(camera.height + 2 * more[1]),
        origin=(camera.origin[0] + float(more[0]), camera.origin[1] + float(more[1])),
    )
    return replace(scene, camera=larger), more


def _turned_film(film: Film, turn: Float[np.ndarray, "2 3"], size: tuple[int, int]) -> Film:
    """A film in a turned picture."""

    def turned(mask: Bool[np.ndarray, "_t _h _w"]) -> Bool[np.ndarray, "_t h w"]:
        stack = [_warped(m.astype(np.float32), turn, size) > 0.5 for m in mask]
        return np.array(stack, bool).reshape(-1, size[1], size[0])

    ways = [_warped(way, turn, size) @ turn[:, :2].T for way in film.flow]
    return Film(
        frames=np.stack([_warped(frame, turn, size) for frame in film.frames]),
        points=film.points @ turn[:, :2].T + turn[:, 2],
        people=turned(film.people),
        flow=np.array(ways, np.float32).reshape(-1, size[1], size[0], 2),
        hidden=turned(film.hidden),
    )


def _warped(image: np.ndarray, turn: Float[np.ndarray, "2 3"], size: tuple[int, int]) -> np.ndarray:
    """An image under a turn of points; OpenCV counts from the pixels' middles."""
    matrix = turn.copy()
    matrix[:, 2] += turn[:, :2] @ [0.5, 0.5] - 0.5
    return cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE)


def _with_mug(
    rgb: Float[np.ndarray, "H W 3"], points: Float[np.ndarray, "478 3"], half: float, seed: int
) -> Float[np.ndarray, "H W 3"]:
    """An opaque mug, shaded as a cylinder, whose rim is just above the lips.

    half: of its width, inter-ocular distances.
    """
    iod = float(np.linalg.norm(points[at.LEFT_EYE_OUTER] - points[at.RIGHT_EYE_OUTER]))
    half, (x, y) = max(half * iod, 1e-6), points[at.STOMION, :2].mean(axis=0)
    across = (np.arange(rgb.shape[1]) + 0.5 - x) / half
    down = (np.arange(rgb.shape[0]) + 0.5 - y) / half
    inside = np.clip((1 - np.abs(across)) * half, 0, 1) * np.clip(
        (1.15 - np.abs(down - 0.45)) * half, 0, 1
    ).reshape(-1, 1)
    paint = np.random.default_rng([seed, 36]).uniform(0.15, 0.9, 3)
    shade = 0.45 + 0.55 * np.sqrt(np.clip(1 - (across + 0.3) ** 2 / 1.7, 0, 1))
    colour = shade[:, None] * paint
    return (rgb + (colour - rgb) * inside[..., None]).astype(np.float32)
