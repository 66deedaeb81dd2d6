"""Stage 3: two faces in, a plan of how they kiss out. (plan_kiss, find_style, Style, STYLES)"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from kisslab import anatomy as at
from kisslab.contact import clear_poses
from kisslab.faces import FaceError, Faces
from kisslab.keyframes import QUANTITIES, Keyframes, Track
from kisslab.motion import REST, TOUCH, Motion, motion_from_keyframes
from kisslab.pose import anchor_points
from kisslab.records import Result, record

FARTHEST_TURN = 76.0  # degrees from the photo's own yaw: beyond, hardly a texel of the face remains


@record
class Style(Result):
    """How a kiss is meant. Angles in degrees at contact; times as shares of the clip."""

    name: str
    anchors: tuple[str, str]  # of the kisser and of the kissed
    yaw: tuple[float, float]  # toward each other: kisser, kissed
    pitch: tuple[float, float]
    arrive: float  # when they touch
    leave: float  # when they part again; 1 holds to the end
    part_to: float  # gap at the end when they part, as a share of the first gap
    pucker: float
    parting: float  # of the lips at contact, inter-ocular distances
    eyelids: tuple[float, float]
    sway: float  # degrees, while touching


PECK = Style(
    name="peck",
    anchors=("lips", "lips"),
    yaw=(64.0, 64.0),
    pitch=(0.0, 0.0),
    arrive=0.52,
    leave=0.66,
    part_to=0.45,
    pucker=1.0,
    parting=0.0,
    eyelids=(0.9, 0.9),
    sway=0.0,
)
TENDER = replace(
    PECK,
    name="tender",
    yaw=(68.0, 68.0),
    arrive=0.66,
    leave=1.0,
    pucker=0.7,
    eyelids=(1.0, 1.0),
    sway=1.0,
)
FRENCH = replace(
    TENDER, name="french", yaw=(70.0, 70.0), arrive=0.5, pucker=0.45, parting=0.05, sway=4.0
)
FOREHEAD = replace(
    TENDER,
    name="forehead",
    anchors=("lips", "forehead"),
    yaw=(66.0, 46.0),
    pitch=(-2.0, 16.0),
    arrive=0.6,
    pucker=0.8,
    sway=0.6,
)
CHEEK = replace(
    PECK,
    name="cheek",
    anchors=("lips", "cheek"),
    yaw=(66.0, 8.0),
    arrive=0.55,
    leave=0.78,
    part_to=0.4,
    pucker=0.9,
    eyelids=(1.0, 0.25),
)
STYLES = (PECK, TENDER, FRENCH, FOREHEAD, CHEEK)


def plan_kiss(
    faces: Faces,
    style: str = "tender",
    seconds: float = 2.5,
    fps: float = 24.0,
    seed: int = 0,
) -> Motion:
    """Plan how two people kiss: keyframes first, then every frame.

    faces: two, left and right; style: a name in STYLES; seconds: at least 0.5; seed: blinks, breath
    and gaze. The tilt of the heads is the least at which no nose enters the partner's face. Each
    head turns as far as its photo allows. ValueError for an unknown style or a length out of range,
    FaceError for other than two faces, or two that touch already.
    """
    chosen = find_style(style)
    if len(faces.points) != 2:
        raise FaceError(f"a kiss takes two faces, not {len(faces.points)}; see find_faces(need=2)")
    if not (0.5 <= seconds <= 60 and 4 <= fps <= 120 and seconds * fps >= 4):
        raise ValueError(
            f"seconds={seconds}, fps={fps}: plan at least 0.5 s and 4 frames, at most 60 s, at 4 "
            "to 120 frames/s"
        )
    kisser = 0 if chosen.anchors[0] == chosen.anchors[1] else _taller(faces)
    poses = _contact_poses(faces, chosen, kisser)
    keyframes = _keyframes(faces, chosen, kisser, poses, seconds, fps, seed)
    return motion_from_keyframes(keyframes, faces)


def find_style(name: str) -> Style:
    """The style of that name; ValueError lists the names there are."""
    for style in STYLES:
        if style.name == name:
            return style
    names = ", ".join(s.name for s in STYLES)
    raise ValueError(f"style={name!r} is not known; choose one of {names}")


def _contact_poses(faces: Faces, style: Style, kisser: int) -> Float[np.ndarray, "2 3"]:
    """Yaw, pitch, roll of both at contact: the style's, within what each photo can show."""
    roles = (0, 1) if kisser == 0 else (1, 0)
    farthest = FARTHEST_TURN + np.array([1.0, -1.0]) * faces.angles[:, 0]
    yaw = np.minimum([style.yaw[r] for r in roles], farthest)
    anchors = (style.anchors[roles[0]], style.anchors[roles[1]])
    pitch = np.array([style.pitch[r] for r in roles])
    pucker = np.array([style.pucker * _uses_lips(style, r) for r in roles])
    return clear_poses(faces, anchors, yaw, pitch, farthest, pucker)


def _taller(faces: Faces) -> int:
    """Whose eyes are higher in the picture: that one can reach the other's forehead."""
    return int(np.argmin(faces.points[:, [at.RIGHT_EYE_OUTER, at.LEFT_EYE_OUTER], 1].mean(1)))


def _keyframes(
    faces: Faces,
    style: Style,
    kisser: int,
    poses: np.ndarray,
    seconds: float,
    fps: float,
    seed: int,
) -> Keyframes:
    order = (0, 1) if kisser == 0 else (1, 0)
    anchors = tuple(style.anchors[order.index(p)] for p in (0, 1))
    places = anchor_points(faces, anchors)
    first = (places[1, :2] - places[0, :2]) / faces.iod.mean()
    _check_apart(first)
    random = np.random.default_rng(seed)
    clock = _Clock(seconds - 1 / fps, max(0.04, 1 / (seconds * fps - 1)))
    tracks = [_gap_track(style, float(np.linalg.norm(first)), clock)]
    for person in (0, 1):
        role = order.index(person)
        tracks += _person_tracks(faces, style, person, role, poses[person], clock, random)
    return Keyframes(style.name, float(seconds), float(fps), anchors, tuple(tracks))


def _check_apart(first: Float[np.ndarray, "2"]) -> None:
    """Only people who are apart, the left one on the left, have a way to go."""
    if np.linalg.norm(first) < 2 * TOUCH or first[0] <= 0:
        raise FaceError(
            f"the second face's lips lie {first[0]:+.2f} x {first[1]:+.2f} eye distances from the "
            "first's: take a photo where the two are side by side and not kissing yet"
        )


@record
class _Clock(Result):
    """Keys are set as shares of the clip, from its first frame to its last."""

    seconds: float  # between the first and the last frame
    still: float  # share at both ends in which nothing travels: one frame at least


def _gap_track(style: Style, first: float, clock: _Clock) -> Track:
    keys = [(clock.still, first), (style.arrive, REST)]
    if style.leave < 1:
        keys += [(style.leave, REST), (_parted(style, clock), style.part_to * first)]
    return _track(-1, "gap", keys, clock)


def _person_tracks(
    faces: Faces,
    style: Style,
    person: int,
    role: int,
    pose: Float[np.ndarray, "3"],
    clock: _Clock,
    random: np.random.Generator,
) -> list[Track]:
    """role: 0 kisses, 1 is kissed. Heads turn and tilt first, then come close: so noses pass."""
    side = 1.0 if person == 0 else -1.0
    parting = style.parting if _uses_lips(style, role) else 0.0
    look = [(0.0, 0.0), (0.14, side * random.uniform(10, 16)), (style.arrive, 0.0)]
    glance = [(0.0, 0.0), (0.14, random.uniform(-3, 3)), (style.arrive, -4.0)]
    keys = {
        "eyelids": _lid_keys(style, role, random.uniform(0.06, 0.12), clock),
        "pucker": _lip_keys(0.0, style.pucker if _uses_lips(style, role) else 0.0, style),
        "parting": _lip_keys(float(faces.mouth_openness[person]), parting, style),
        "gaze_x": look,
        "gaze_y": glance,
        "breath": _breath_keys(clock.seconds, random.uniform(0.2, 0.5)),
    }
    for i, name in enumerate(("yaw", "pitch", "roll")):
        keys[name] = _turn_keys(
            style, name, float(faces.angles[person, i]), float(pose[i]), side, clock
        )
    return [_track(person, name, keys[name], clock) for name in QUANTITIES]


def _turn_keys(
    style: Style, name: str, own: float, there: float, side: float, clock: _Clock
) -> list[tuple[float, float]]:
    keys = [(clock.still, own), (0.82 * style.arrive, there), *_sway(style, name, there, side)]
    if style.leave < 1:  # when they part, a little more than half of the turn is undone
        keys += [(style.leave, there), (_parted(style, clock), 0.55 * own + 0.45 * there)]
    return keys


def _parted(style: Style, clock: _Clock) -> float:
    """When they are apart again: in the last frame, if so few of them leave no time to rest."""
    return 1 - clock.still if 1 - clock.still > style.leave else 1.0


def _uses_lips(style: Style, role: int) -> bool:
    return style.anchors[role] == "lips"


def _breath_keys(seconds: float, start: float) -> list[tuple[float, float]]:
    """Shoulders rise and sink some 20 times a minute; at rest at both ends of the clip."""
    times = np.arange(start, max(seconds - 0.2, start + 0.01), 1.5)  # half a breath, in seconds
    keys = [(0.9 * min(t / seconds, 1.0), 0.03 * ((i + 1) % 2)) for i, t in enumerate(times)]
    return [(0.0, 0.0), *keys, (1.0, 0.0)]


def _sway(style: Style, name: str, value: float, side: float) -> list[tuple[float, float]]:
    """While the lips touch, heads roll and turn a little, one giving way to the other."""
    if style.sway == 0 or name == "pitch":
        return []
    size = style.sway * (1.0 if name == "roll" else 0.5 * side)
    times = np.linspace(style.arrive, 1.0, 5)[1:-1]
    swing = [value + size * s for s in (1, -1, 0.6)]
    return [*zip(times, swing, strict=True), (1.0, value)]


def _lid_keys(style: Style, role: int, blink: float, clock: _Clock) -> list[tuple[float, float]]:
    """One blink while apart, then closed before the touch, and open again when they part."""
    closed, long = style.eyelids[role], min(0.11, 0.3 / clock.seconds)  # 0.3 s, as people blink
    keys = [(blink, 0.0), (blink + 0.45 * long, 0.9), (blink + long, 0.0)]
    keys += [(0.5 * style.arrive, 0.05)]
    keys += [(0.92 * style.arrive, closed)]
    return keys + ([(style.leave, closed), (0.94, 0.1)] if style.leave < 1 else [])


def _lip_keys(before: float, touching: float, style: Style) -> list[tuple[float, float]]:
    keys = [(0.25 * style.arrive, before), (0.95 * style.arrive, touching)]
    return keys + ([(style.leave, touching), (0.95, 0.15 * touching)] if style.leave < 1 else [])


def _track(person: int, quantity: str, keys: list[tuple[float, float]], clock: _Clock) -> Track:
    times, values = zip(*sorted(keys), strict=True)
    return Track(
        person,
        quantity,
        tuple(float(t) * clock.seconds for t in times),
        tuple(float(v) for v in values),
    )
