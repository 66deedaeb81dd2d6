"""Stage 3: two faces in, a path for each of them out.

(plan_kiss, motion_from_keyframes, motion_from_clip, nose_crossings; Motion, Keyframes, Style)
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import LinearNDInterpolator
from scipy.ndimage import map_coordinates
from scipy.signal import savgol_filter
from scipy.spatial.transform import Rotation

from kisslab import anatomy as at
from kisslab import show, zoo
from kisslab.faces import FaceError, Faces, track_faces
from kisslab.records import Result, atomic, record

PHASES = ("apart", "approach", "near", "contact", "release")
ANCHORS = ("lips", "forehead", "cheek")
# Gaps, inter-ocular distances: near and touching are below NEAR and TOUCH. Lips are soft: anchors
# that nearly coincide (REST) look pressed together. Below HIDING one face may hide the other.
HIDING, NEAR, TOUCH, REST = 1.6, 0.35, 0.05, 0.02
PROTRUSION = 0.09  # how far fully puckered lips come forward, inter-ocular distances (some 8 mm)
SOFT = 0.08  # how far noses and cheeks give way to each other, inter-ocular distances (some 7 mm)
QUANTITIES = ("yaw", "pitch", "roll", "eyelids", "pucker", "parting", "gaze_x", "gaze_y")
Y_DOWN = np.diag([1.0, -1.0, -1.0])  # between head_rotation's frame (y up, z near) and pixels


@record
class Style(Result):
    """How a kiss is meant. Angles in degrees at contact; times as shares of the clip."""

    name: str
    anchors: tuple[str, str]  # of the kisser and of the kissed
    yaw: tuple[float, float]  # toward each other: kisser, kissed
    pitch: tuple[float, float]
    noses: bool  # whether noses must pass each other: then tilt and chin are solved for
    arrive: float  # when they touch
    leave: float  # when they part again; 1 holds to the end
    part_to: float  # gap at the end when they part, as a share of the first gap
    pucker: float
    parting: float  # of the lips at contact, inter-ocular distances
    eyelids: tuple[float, float]
    sway: float  # degrees, while touching


STYLES = (
    Style("peck", ("lips", "lips"), (64.0, 64.0), (0.0, 0.0), True, 0.52, 0.66, 0.45, 1.0, 0.0, (0.9, 0.9), 0.0),
    Style("tender", ("lips", "lips"), (68.0, 68.0), (0.0, 0.0), True, 0.66, 1.0, 0.0, 0.7, 0.0, (1.0, 1.0), 1.0),
    Style("french", ("lips", "lips"), (70.0, 70.0), (0.0, 0.0), True, 0.5, 1.0, 0.0, 0.45, 0.05, (1.0, 1.0), 4.0),
    Style("forehead", ("lips", "forehead"), (66.0, 46.0), (-2.0, 16.0), False, 0.6, 1.0, 0.0, 0.8, 0.0, (1.0, 1.0), 0.6),
    Style("cheek", ("lips", "cheek"), (66.0, 8.0), (0.0, 0.0), False, 0.55, 0.78, 0.4, 0.9, 0.0, (1.0, 0.25), 0.0),
)  # fmt: skip
FARTHEST_TURN = 76.0  # degrees from the photo's own yaw: beyond, hardly a texel of the face remains


@record
class Track(Result):
    """One quantity of one person over time: keys of (seconds, value), eased in between."""

    person: int  # 0 left, 1 right; -1 for the gap, which belongs to both
    quantity: str  # one of QUANTITIES, or "gap"
    times: tuple[float, ...]  # seconds, rising
    values: tuple[float, ...]

    def at(self, seconds: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
        """Minimum-jerk steps between keys, at rest on every key (Flash and Hogan 1985, eq. 1)."""
        times, values = np.array(self.times), np.array(self.values)
        i = np.clip(np.searchsorted(times, seconds, "right") - 1, 0, max(len(times) - 2, 0))
        j = np.minimum(i + 1, len(times) - 1)
        span = np.maximum(times[j] - times[i], 1e-9)
        return values[i] + (values[j] - values[i]) * minimum_jerk((seconds - times[i]) / span)


@record
class Keyframes(Result):
    """A plan as a person would edit it: tracks of keys, saved as JSON."""

    style: str
    seconds: float
    fps: float
    anchors: tuple[str, str]  # left, right: one of ANCHORS
    tracks: tuple[Track, ...]

    def with_key(self, person: int, quantity: str, time: float, value: float) -> Keyframes:
        """The same plan with one key set; a key within half a frame of `time` is replaced."""
        if not any(t.person == person and t.quantity == quantity for t in self.tracks):
            raise ValueError(f"no track {quantity!r} of person {person}; tracks: {self.names()}")
        return replace(
            self,
            tracks=tuple(
                _set_key(t, time, value, 0.5 / self.fps)
                if (t.person, t.quantity) == (person, quantity)
                else t
                for t in self.tracks
            ),
        )

    def names(self) -> list[str]:
        """'person quantity' of every track."""
        return [f"{t.person} {t.quantity}" for t in self.tracks]

    def track(self, person: int, quantity: str) -> Track:
        """One track. StopIteration never: every plan has all of them (the schema asks for it)."""
        return next(t for t in self.tracks if (t.person, t.quantity) == (person, quantity))

    def to_json(self, path: str | Path) -> Path:
        """Write the plan as JSON (data/motion.schema.json describes it)."""
        data = {"kisslab": "keyframes", **dict(self.items())}
        data["tracks"] = [dict(t.items()) for t in self.tracks]
        with atomic(path) as part:
            part.write_text(json.dumps(data, indent=1))
        return Path(path)

    @classmethod
    def from_json(cls, path: str | Path) -> Keyframes:
        """Read a plan. ValueError names the file and the first thing that breaks the schema."""
        data = _read_plan(Path(path))
        tracks = tuple(
            Track(int(t["person"]), t["quantity"], tuple(t["times"]), tuple(t["values"]))
            for t in data["tracks"]
        )
        anchors = tuple(data["anchors"])
        plan = cls(data["style"], data["seconds"], data["fps"], anchors, tracks)
        _check_plan(plan, Path(path).name)
        return plan


@record
class Motion(Result):
    """What two people do, frame by frame: one plan drives the guide and the studio alike.

    Person 0 is on the left. Lengths are inter-ocular distances (outer eye corner to outer eye
    corner, mean of the two people). `position` is where each person's anchor point is: the middle
    of the closed lips, or the forehead or cheek that is kissed. Its origin is the midpoint of the
    two anchors in the first frame; x right, y down, z away from the camera.
    """

    position: Float[np.ndarray, "T 2 3"]  # of the anchors, inter-ocular distances
    angles: Float[np.ndarray, "T 2 3"]  # yaw, pitch, roll of the head, degrees, see head_rotation
    eyelids: Float[np.ndarray, "T 2"]  # 0 as open as in the photo, 1 closed
    pucker: Float[np.ndarray, "T 2"]  # 0 relaxed, 1 lips fully rounded and pushed forward
    parting: Float[np.ndarray, "T 2"]  # gap between upper and lower lip, inter-ocular distances
    gaze: Float[np.ndarray, "T 2 2"]  # degrees from straight ahead: to the picture's right, up
    gap: Float[np.ndarray, " T"]  # distance between the two anchors, inter-ocular distances
    phases: tuple[str, ...]  # one of PHASES per frame
    anchors: tuple[str, str]  # one of ANCHORS per person
    style: str
    fps: float
    unit: float  # pixels per inter-ocular distance in the photo that was planned for
    origin: Float[np.ndarray, "2"]  # pixels: where position (0, 0) lies in that photo
    keyframes: Keyframes  # what this was made from; edit it and call motion_from_keyframes

    @property
    def contact(self) -> int:
        """The frame in the middle of the contact (of the closest approach when there is none)."""
        touching = [t for t, phase in enumerate(self.phases) if phase == "contact"]
        return touching[len(touching) // 2] if touching else int(self.gap.argmin())

    def plot(self, ax: object | None = None) -> None:
        """Gap, yaw, eyelids and lips over time, with the phases as bands."""
        seconds = np.arange(len(self.gap)) / self.fps
        series = {
            "gap / first gap": self.gap / max(self.gap[0], 1e-9),
            "yaw left / 90°": self.angles[:, 0, 0] / 90,
            "yaw right / 90°": self.angles[:, 1, 0] / 90,
            "eyelids closed": self.eyelids.mean(1),
            "pucker": self.pucker.mean(1),
        }
        show.curve(seconds, series, ax=ax, x_label="time (s)", bands=self.phases)


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
    head turns as far as its photo allows. ValueError for an unknown style, too few faces or frames.
    """
    chosen = find_style(style)
    if len(faces.points) != 2:
        raise FaceError(f"a kiss takes two faces, not {len(faces.points)}; see find_faces(need=2)")
    if not (seconds >= 0.5 and fps >= 4):
        raise ValueError(f"seconds={seconds}, fps={fps}: plan at least 0.5 s at 4 frames/s or more")
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


def motion_from_keyframes(keyframes: Keyframes, faces: Faces) -> Motion:
    """Every frame of a plan, placed between these two faces."""
    frames = max(2, round(keyframes.seconds * keyframes.fps))
    time = np.arange(frames) / keyframes.fps
    tracks = {(t.person, t.quantity): t.at(time) for t in keyframes.tracks}

    def both(*names: str) -> np.ndarray:
        return np.stack([np.stack([tracks[p, n] for n in names], -1) for p in (0, 1)], 1)

    anchors = anchor_points(faces, keyframes.anchors)
    unit = float(faces.iod.mean())
    gap = tracks[-1, "gap"]
    return Motion(
        position=_positions((anchors[1] - anchors[0]) / unit, gap),
        angles=both("yaw", "pitch", "roll"),
        eyelids=both("eyelids")[..., 0],
        pucker=both("pucker")[..., 0],
        parting=both("parting")[..., 0],
        gaze=both("gaze_x", "gaze_y"),
        gap=gap,
        phases=_phases(gap),
        anchors=keyframes.anchors,
        style=keyframes.style,
        fps=keyframes.fps,
        unit=unit,
        origin=anchors[:, :2].mean(0),
        keyframes=keyframes,
    )


def motion_from_clip(
    frames: Iterable[Float[np.ndarray, "H W 3"]],
    fps: float = 24.0,
    style: str = "driven",
    model: Path | None = None,
) -> Motion:
    """Recover a plan from a clip of two faces ("motion sequences" as a driving signal).

    Frames in which fewer than two faces are found are interpolated; two who were coming together
    when they were lost are taken to touch, for at contact one face hides the other. FaceError when
    fewer than a third of the frames show both.
    """
    tracked = list(track_faces(frames, model))
    seen = [t for t, faces in enumerate(tracked) if faces is not None]
    if len(seen) < max(2, len(tracked) / 3):
        raise FaceError(
            f"two faces were found in {len(seen)} of {len(tracked)} frames; a driving clip must "
            "show both faces in at least a third of them"
        )
    rows = np.stack([_measured(tracked[t], tracked[seen[0]]) for t in seen])
    every = np.arange(len(tracked))
    columns = [np.interp(every, seen, column) for column in rows.T]
    columns[0] = _closed(columns[0], seen)
    smooth = [_smooth(column) for column in columns]
    smooth[0] = np.maximum(smooth[0], REST)
    return motion_from_keyframes(_as_keyframes(smooth, fps, style), tracked[seen[0]])


def head_rotation(angles: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 3 3"]:
    """Rotation matrices of yaw, pitch, roll in degrees, in the frame x right, y up, z to the camera.

    Intrinsic Y-X-Z Euler angles, as MediaPipe's facial transformation matrix decomposes:
    yaw > 0 turns to the picture's right, pitch > 0 looks down, roll > 0 leans the top of the head
    to the picture's left. R = R_y(yaw) R_x(pitch) R_z(roll).
    """
    flat = Rotation.from_euler("YXZ", np.reshape(angles, (-1, 3)), degrees=True).as_matrix()
    return flat.reshape(*np.shape(angles), 3)


def minimum_jerk(t: Float[np.ndarray, "*N"]) -> Float[np.ndarray, "*N"]:
    """10 t^3 - 15 t^4 + 6 t^5, clamped to 0..1: at rest at both ends (Flash and Hogan 1985)."""
    t = np.clip(t, 0, 1)
    return t**3 * (10 - 15 * t + 6 * t**2)


def anchor_points(faces: Faces, anchors: tuple[str, str]) -> Float[np.ndarray, "2 3"]:
    """Where each person's anchor lies in the photo (pixels, z included)."""
    return np.stack([anchor_point(p, n, i) for i, (p, n) in enumerate(zip(faces.points, anchors, strict=True))])  # fmt: skip


def anchor_point(
    points: Float[np.ndarray, "478 3"], name: str, person: int
) -> Float[np.ndarray, "3"]:
    """Lips: between them; forehead: its middle; cheek: the one on the partner's side."""
    cheek = at.LEFT_CHEEK if person == 0 else at.RIGHT_CHEEK
    places = {"lips": at.STOMION, "forehead": [151], "cheek": [cheek]}
    if name not in places:
        raise ValueError(f"anchor {name!r} is not known; choose one of {', '.join(ANCHORS)}")
    return points[places[name]].mean(0)


def placed_points(motion: Motion, faces: Faces, frame: int) -> Float[np.ndarray, "2 478 3"]:
    """Both rigid faces where the plan puts them in one frame, inter-ocular distances."""
    angles, pucker = motion.angles[frame], motion.pucker[frame]
    places = [_FaceShape(faces, p, motion.anchors[p], motion.unit) for p in (0, 1)]
    return np.stack([places[p].at(motion.position[frame, p], angles[p], pucker[p]) for p in (0, 1)])


def nose_crossings(motion: Motion, faces: Faces, soft: float = SOFT) -> Int[np.ndarray, " T"]:
    """How many nose points lie inside the partner's face, in each frame.

    A point is inside when, seen along the partner's own gaze, it is behind the partner's surface by
    more than `soft` (inter-ocular distances).
    """
    shapes = [_FaceShape(faces, p, motion.anchors[p], motion.unit) for p in (0, 1)]
    counts = np.zeros(len(motion.gap), dtype=int)
    for t in range(len(motion.gap)):
        depths = _nose_depths(shapes, motion.position[t], motion.angles[t], motion.pucker[t])
        counts[t] = np.sum(depths > soft)
    return counts


class _FaceShape:
    """A rigid face in its own frontal frame (pixel axes), its anchor at the origin."""

    def __init__(self, faces: Faces, person: int, anchor: str, unit: float):
        points = faces.points[person]
        own = Y_DOWN @ head_rotation(faces.angles[person]) @ Y_DOWN
        self.points = (points - anchor_point(points, anchor, person)) / unit @ own
        self.lips = anchor == "lips"
        self.low = self.points[:, :2].min(0)
        x, y = np.arange(0, 3, 0.04) + self.low[0], np.arange(0, 3, 0.04) + self.low[1]
        mesh = self.points[:468]
        self.depth = LinearNDInterpolator(mesh[:, :2], mesh[:, 2])(*np.meshgrid(x, y))

    def at(
        self, place: np.ndarray, angles: np.ndarray, pucker: float
    ) -> Float[np.ndarray, "478 3"]:
        """Puckered lips come forward of the anchor's rest, so the face stays that much behind."""
        back = np.array([0.0, 0.0, PROTRUSION * pucker * self.lips])
        return (self.points + back) @ _pixel_turn(angles).T + place

    def behind(
        self, points: np.ndarray, place: np.ndarray, angles: np.ndarray, pucker: float
    ) -> np.ndarray:
        """How far points lie behind this face's surface along its gaze; nan beside the face."""
        local = (points - place) @ _pixel_turn(angles) - [0, 0, PROTRUSION * pucker * self.lips]
        where = ((local[:, :2] - self.low) / 0.04)[:, ::-1].T
        return local[:, 2] - map_coordinates(self.depth, where, order=1, cval=np.nan)


def _pixel_turn(angles: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    return Y_DOWN @ head_rotation(angles) @ Y_DOWN


def _nose_depths(
    shapes: list[_FaceShape], places: np.ndarray, angles: np.ndarray, pucker: np.ndarray
) -> Float[np.ndarray, " N"]:
    """How far each nose point lies behind the partner's face; -1 beside it."""
    depths = []
    for p in (0, 1):
        nose = shapes[p].at(places[p], angles[p], pucker[p])[at.NOSE]
        depths.append(shapes[1 - p].behind(nose, places[1 - p], angles[1 - p], pucker[1 - p]))
    return np.nan_to_num(np.concatenate(depths), nan=-1.0)


def _contact_poses(faces: Faces, style: Style, kisser: int) -> Float[np.ndarray, "2 3"]:
    """Yaw, pitch, roll of both at contact: the style's, or the least effort that lets noses pass.

    Both tilt to their own right (opposite senses for two who face each other) and lift the chin;
    if no such pose within reach clears the noses, they also turn farther toward each other.
    """
    roles = (0, 1) if kisser == 0 else (1, 0)
    side = np.array([1.0, -1.0])
    reach = FARTHEST_TURN + side * faces.angles[:, 0]
    yaw = np.minimum([style.yaw[r] for r in roles], reach)
    pitch = np.array([style.pitch[r] for r in roles], dtype=float)
    if not style.noses:
        return np.column_stack([side * yaw, pitch, np.zeros(2)])
    shapes = [_FaceShape(faces, p, "lips", float(faces.iod.mean())) for p in (0, 1)]
    poses = _poses(yaw, reach, side)
    return _easiest(poses, shapes, style.pucker)


def _poses(
    yaw: np.ndarray, reach: np.ndarray, side: np.ndarray
) -> list[tuple[float, Float[np.ndarray, "2 3"]]]:
    """(effort, angles) of every pose on a grid, in degrees moved, the easiest first."""
    poses = []
    for more in (0, 3, 6):
        turn = side * np.minimum(yaw + more, np.maximum(reach, yaw))
        for tilt in range(9, 37, 3):
            for chin in range(0, 19, 3):
                angles = np.column_stack([turn, [-chin, -chin], [tilt, tilt]]).astype(float)
                poses.append((float(tilt + 2 * chin + 2 * more), angles))
    return sorted(poses, key=lambda pose: pose[0])


def _easiest(
    poses: list[tuple[float, Float[np.ndarray, "2 3"]]], shapes: list[_FaceShape], pucker: float
) -> Float[np.ndarray, "2 3"]:
    """The least cost: effort, and dearly the depth of crossings; the first that clears it wins."""
    places = np.array([[-TOUCH / 2, 0, 0], [TOUCH / 2, 0, 0]])
    least, best = np.inf, poses[0][1]
    for effort, angles in poses:
        if effort >= least:
            break
        depth = _nose_depths(shapes, places, angles, np.full(2, pucker)).max()
        cost = effort + 1e4 * max(depth - 0.8 * SOFT, 0.0)
        if cost < least:
            least, best = cost, angles
    return best


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
    first_gap = float(np.linalg.norm(places[1, :2] - places[0, :2]) / faces.iod.mean())
    random = np.random.default_rng(seed)
    tracks = [_gap_track(style, first_gap, seconds)]
    for person in (0, 1):
        tracks += _person_tracks(
            faces, style, person, order.index(person), poses[person], seconds, random
        )
    return Keyframes(style.name, float(seconds), float(fps), anchors, tuple(tracks))


def _gap_track(style: Style, first: float, seconds: float) -> Track:
    keys = [(0.04, first), (style.arrive, REST)]
    if style.leave < 1:
        keys += [(style.leave, REST), (0.96, style.part_to * first)]
    return _track(-1, "gap", keys, seconds)


def _person_tracks(
    faces: Faces,
    style: Style,
    person: int,
    role: int,
    pose: np.ndarray,
    seconds: float,
    random: np.random.Generator,
) -> list[Track]:
    """role: 0 kisses, 1 is kissed. Heads turn and tilt first, then come close: so noses pass."""
    side = 1.0 if person == 0 else -1.0
    own = faces.angles[person]
    start, reach, leave = 0.04, style.arrive, style.leave
    back = 0.55 if leave < 1 else 0.0  # how much of the pose is undone when they part
    tracks = []
    for i, name in enumerate(("yaw", "pitch", "roll")):
        keys = [(start, own[i]), (0.82 * reach, pose[i])]
        keys += _sway(style, name, pose[i], side, reach)
        keys += [(leave, pose[i]), (0.96, own[i] * back + pose[i] * (1 - back))] if back else []
        tracks.append(_track(person, name, keys, seconds))
    blink = float(random.uniform(0.06, 0.12))
    tracks += [
        _track(person, "eyelids", _lid_keys(style, role, blink, back), seconds),
        _track(person, "pucker", _lip_keys(0.0, _pucker(style, role), style, back), seconds),
        _track(person, "parting", _lip_keys(faces.mouth_openness[person], style.parting if role == 0 or style.anchors[1] == "lips" else 0.0, style, 0.0), seconds),
        _track(person, "gaze_x", [(0.0, 0.0), (0.14, side * random.uniform(10, 16)), (reach, 0.0)], seconds),
        _track(person, "gaze_y", [(0.0, 0.0), (0.14, random.uniform(-3, 3)), (reach, -4.0)], seconds),
    ]  # fmt: skip
    return tracks


def _pucker(style: Style, role: int) -> float:
    return style.pucker if role == 0 or style.anchors[1] == "lips" else 0.0


def _sway(
    style: Style, name: str, value: float, side: float, reach: float
) -> list[tuple[float, float]]:
    """While the lips touch, heads roll and turn a little, one giving way to the other."""
    if style.sway == 0 or name == "pitch":
        return []
    size = style.sway * (1.0 if name == "roll" else 0.5 * side)
    times = np.linspace(reach, 1.0, 5)[1:-1]
    return [(float(t), value + size * s) for t, s in zip(times, (1, -1, 0.6), strict=True)] + [
        (1.0, value)
    ]


def _lid_keys(style: Style, role: int, blink: float, back: float) -> list[tuple[float, float]]:
    """One blink while apart, then closed before the touch, and open again when they part."""
    closed = style.eyelids[role]
    keys = [(blink, 0.0), (blink + 0.05, 0.9), (blink + 0.11, 0.0), (0.5 * style.arrive, 0.05)]
    keys += [(0.92 * style.arrive, closed)]
    return keys + ([(style.leave, closed), (0.94, 0.1)] if back else [])


def _lip_keys(
    before: float, touching: float, style: Style, back: float
) -> list[tuple[float, float]]:
    keys = [(0.25 * style.arrive, float(before)), (0.95 * style.arrive, touching)]
    return keys + ([(style.leave, touching), (0.95, 0.15 * touching)] if back else [])


def _track(person: int, quantity: str, keys: list[tuple[float, float]], seconds: float) -> Track:
    """Keys given as shares of the clip."""
    times, values = zip(*sorted(keys), strict=True)
    return Track(
        person, quantity, tuple(float(t) * seconds for t in times), tuple(float(v) for v in values)
    )


def _set_key(track: Track, time: float, value: float, near: float) -> Track:
    keys = [k for k in zip(track.times, track.values, strict=True) if abs(k[0] - time) > near]
    times, values = zip(*sorted([*keys, (float(time), float(value))]), strict=True)
    return replace(track, times=times, values=values)


def _positions(
    first: Float[np.ndarray, "3"], gap: Float[np.ndarray, " T"]
) -> Float[np.ndarray, "T 2 3"]:
    """Both anchors on a line through the origin that turns level as they come together.

    The line's length is the gap, so the plan keeps its promise for any two faces. Depth is not
    known between two people in a photo; they are taken to sit equally far away.
    """
    slope = np.arctan2(first[1], first[0])
    level = np.clip(gap / max(gap[0], 1e-9), 0, 1)
    angle = slope * level
    half = gap / 2
    along = np.stack([np.cos(angle) * half, np.sin(angle) * half, np.zeros_like(half)], -1)
    return np.stack([-along, along], 1)


def _phases(gap: Float[np.ndarray, " T"]) -> tuple[str, ...]:
    """Names by the gap: before it shrinks, while it does, near, touching, and after."""
    touched = np.flatnonzero(gap <= TOUCH)
    last = touched[-1] if len(touched) else len(gap)
    names = []
    for t, g in enumerate(gap):
        if g <= TOUCH:
            names.append("contact")
        elif t > last:
            names.append("release")
        elif g <= NEAR:
            names.append("near")
        else:
            names.append("apart" if g > 0.98 * gap[0] else "approach")
    return tuple(names)


def _measured(faces: Faces, first: Faces) -> Float[np.ndarray, " Q"]:
    """One frame of a driving clip as the values of all tracks, the gap first."""
    lips = anchor_points(faces, ("lips", "lips"))
    gap = np.linalg.norm(lips[1, :2] - lips[0, :2]) / first.iod.mean()
    closed = 1 - np.clip(
        faces.eye_openness.mean(1) / np.maximum(first.eye_openness.mean(1), 1e-3), 0, 1
    )
    pucker = faces.blendshapes[:, faces.expressions.index("mouthPucker")]
    level = np.zeros((2, 2))  # gaze isn't recovered
    rows = np.column_stack([faces.angles, closed, pucker, faces.mouth_openness, level])
    return np.concatenate([[gap], rows.ravel()])


def _closed(gap: Float[np.ndarray, " T"], seen: list[int]) -> Float[np.ndarray, " T"]:
    """The gap with its unseen stretches closed at the speed at which they began, and end."""
    gap = gap.copy()
    pace = np.gradient(gap[seen], seen)
    for i, start in enumerate(seen):
        stop = seen[i + 1] if i + 1 < len(seen) else len(gap)
        lost = np.arange(start + 1, stop)
        if len(lost) and pace[i] < 0 and gap[start] < HIDING:
            going = gap[start] + pace[i] * (lost - start)
            coming = gap[stop] - abs(pace[i + 1]) * (stop - lost) if stop < len(gap) else REST
            gap[lost] = np.maximum(np.maximum(going, coming), REST)
    return gap


def _smooth(column: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
    window = min(9, len(column) - (1 - len(column) % 2))
    return savgol_filter(column, window, min(3, window - 1)) if window >= 3 else column


def _as_keyframes(columns: list[np.ndarray], fps: float, style: str) -> Keyframes:
    """A key on every frame, so that nothing of the driving motion is lost."""
    names = [(-1, "gap"), *((p, q) for p in (0, 1) for q in QUANTITIES)]
    times = tuple((np.arange(len(columns[0])) / fps).tolist())
    tracks = [
        Track(person, name, times, tuple(column.tolist()))
        for (person, name), column in zip(names, columns, strict=True)
    ]
    return Keyframes(style, len(times) / fps, float(fps), ("lips", "lips"), tuple(tracks))


@functools.cache
def _schema() -> dict[str, object]:
    return json.loads(zoo.data_path("motion.schema.json").read_text())


def _read_plan(path: Path) -> dict[str, object]:
    import jsonschema

    try:
        data = json.loads(path.read_text(), parse_int=float, parse_constant=_refuse)
        jsonschema.validate(data, _schema())
    except ValueError as error:
        raise ValueError(f"{path.name}: not JSON ({error}); save a plan with to_json") from error
    except jsonschema.ValidationError as error:
        raise ValueError(f"{path.name}: {error.json_path}: {error.message}") from error
    return data


def _refuse(constant: str) -> None:
    """JSON has no NaN and no Infinity; Python's reader takes them."""
    raise ValueError(f"{constant} is no number")


def _check_plan(plan: Keyframes, name: str) -> None:
    """What a schema cannot say: every track once, keys in order and of equal number."""
    wanted = {"-1 gap", *(f"{p} {q}" for p in (0, 1) for q in QUANTITIES)}
    if missing := wanted - set(plan.names()):
        raise ValueError(f"{name}: these tracks are missing: {sorted(missing)}")
    for track in plan.tracks:
        if len(track.times) != len(track.values) or any(np.diff(track.times) <= 0):
            raise ValueError(
                f"{name}: track {track.quantity!r} of person {track.person}: times must rise and "
                "be as many as the values"
            )
