"""What is in front of the camera, and the camera.

(Light, Camera, Scene, portrait, couple_portrait, photographed, plain_background, sample_background)
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter

from kisslab.motion import Motion
from kisslab.records import Result, record
from kisslab.studio.person import Colour, Person
from kisslab.studio.pose import Pose


@record
class Light(Result):
    """One key light, a fill from the other side, a rim from behind, and the room's light."""

    azimuth: float = -35.0  # degrees, 0 from the camera, 90 from the picture's right
    elevation: float = 35.0  # degrees above the horizon
    softness: float = 0.5  # 0 hard as the sun, 1 soft as an overcast sky
    strength: float = 1.0
    colour: Colour = (1.0, 0.96, 0.91)
    fill: float = 0.35  # strength, relative to the key
    rim: float = 0.5
    ambient: Colour = (0.55, 0.60, 0.68)


@record
class Camera(Result):
    """A perspective camera on the world's z axis, looking along -z."""

    width: int = 256  # pixels
    height: int = 256
    unit: float = 62.0  # pixels per inter-ocular distance at z = 0
    origin: tuple[float, float] = (128.0, 160.0)  # pixel of the world's origin
    distance: float = 9.0  # from the world's origin, inter-ocular distances: short is wide-angle
    blur: float = 0.0  # depth of field: pixels of blur per inter-ocular distance out of focus
    noise: float = 0.0  # sensor noise, standard deviation at mid grey
    jpeg: int = 0  # JPEG quality, 0 for none
    exposure: float = 1.0
    seed: int = 0  # of the sensor's noise

    def project(self, points: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 2"]:
        """World to pixels."""
        scale = self.unit * self.distance / (self.distance - points[..., 2])
        return np.stack(
            [
                self.origin[0] + scale * points[..., 0],
                self.origin[1] - scale * points[..., 1],
            ],
            axis=-1,
        )


@record
class Scene(Result):
    """One or two people, lit and seen by a camera, before a background."""

    people: tuple[Person, ...]
    poses: tuple[Pose, ...]
    background: Float[np.ndarray, "H W 3"]  # any picture, sRGB in [0, 1]; scaled to fill
    light: Light
    camera: Camera

    def posed(self, motion: Motion, frame: int) -> Scene:
        """The same scene with the poses of one frame of `motion`, seen as its photo was."""
        poses = tuple(Pose.of(motion, frame, who) for who in range(len(self.people)))
        origin = (float(motion.origin[0]), float(motion.origin[1]))
        return replace(self, poses=poses, camera=replace(self.camera, origin=origin))


def plain_background(
    top: Colour = (0.62, 0.68, 0.74), bottom: Colour = (0.84, 0.82, 0.78), size: int = 64
) -> Float[np.ndarray, "64 64 3"]:
    """A smooth wall with a vignette."""
    v, u = np.mgrid[0 : 1 : size * 1j, -1 : 1 : size * 1j]
    wall = np.array(top) * (1 - v[..., None]) + np.array(bottom) * v[..., None]
    return (wall * (1 - 0.14 * (u**2 + (2 * v - 1) ** 2)[..., None] / 2)).astype(np.float32)


def portrait(
    person: Person,
    *,
    yaw: float = 0.0,
    pitch: float = 0.0,
    roll: float = 0.0,
    size: int = 256,
    light: Light = Light(),
    background: Float[np.ndarray, "H W 3"] | None = None,
    eyelids: float = 0.0,
) -> Scene:
    """One person, head and shoulders, in the middle of a square picture.

    yaw, pitch, roll in degrees, as in `kisslab.pose.head_rotation`.
    """
    angles = np.array([yaw, pitch, roll])
    lean = 0.62 * math.sin(math.radians(yaw))  # the lips move sideways as the head turns
    pose = Pose(np.array([lean, 0.0, 0.0]), angles, eyelids=eyelids)
    camera = Camera(size, size, unit=size * 0.235, origin=(size * 0.5, size * 0.625))
    wall = plain_background() if background is None else background
    return Scene((person,), (pose,), wall, light, camera)


def couple_portrait(
    people: tuple[Person, Person],
    *,
    yaw: float = 18.0,
    size: int = 512,
    light: Light = Light(),
    background: Float[np.ndarray, "H W 3"] | None = None,
) -> Scene:
    """Two people side by side, `yaw` degrees to each other, in a picture of size x 3/4 size."""
    poses = tuple(
        Pose(np.array([side * 1.5, 0.0, 0.15 * side]), np.array([-side * yaw, 0.0, 3.0 * side]))
        for side in (-1.0, 1.0)
    )
    high = size * 3 // 4
    camera = Camera(size, high, unit=size * 0.155, origin=(size * 0.5, high * 0.63), distance=12.0)
    wall = plain_background() if background is None else background
    return Scene(people, poses, wall, light, camera)


def photographed(scene: Scene, seed: int) -> Scene:
    """The same people and poses under a light, before a background and by a camera drawn from
    `seed`: hard to soft and coloured light, wide to long lenses, noise, JPEG."""
    rng = np.random.default_rng([seed, 23])
    softness = float(rng.uniform())
    warm = rng.normal(0, 0.07)
    light = Light(
        azimuth=float(rng.uniform(-80, 80)),
        elevation=float(rng.uniform(5, 65)),
        softness=softness,
        strength=float(rng.uniform(0.6, 1.25)),
        colour=tuple(float(np.clip(c, 0.5, 1.15)) for c in (1 + warm, 0.96, 0.91 - warm)),
        fill=float(rng.uniform(0.1, 0.7)),
        rim=float(rng.uniform(0, 1)),
        ambient=tuple(
            float(c)
            for c in np.array([0.55, 0.59, 0.65]) * rng.uniform(0.6, 1.3) * rng.normal(1, 0.05, 3)
        ),
    )
    camera = replace(
        scene.camera,
        distance=scene.camera.distance * float(rng.uniform(0.75, 1.8)),
        blur=float(max(0.0, rng.uniform(-0.4, 1.0)) * scene.camera.unit * 0.02),
        noise=float(max(0.0, rng.uniform(-0.02, 0.03))),
        jpeg=int(rng.integers(55, 96)) if rng.random() < 0.7 else 0,
        exposure=float(rng.uniform(0.75, 1.2)),
        seed=seed,
    )
    return replace(scene, background=sample_background(seed), light=light, camera=camera)


def sample_background(seed: int, size: int = 96) -> Float[np.ndarray, "96 96 3"]:
    """A room or park out of focus: blurred fields of colour with lights."""
    rng = np.random.default_rng([seed, 24])
    base = rng.uniform(0.25, 0.75) + rng.normal(0, 0.05, 3)
    out = np.zeros((size, size, 3)) + base
    for scale, amount in ((0.30, 0.11), (0.14, 0.06), (0.05, 0.02)):
        field = gaussian_filter(rng.normal(size=(size, size, 1)), (scale * size, scale * size, 0))
        out += amount * field / field.std() * (1 + 0.15 * rng.normal(size=3))
    v, u = np.mgrid[0:size, 0:size] / size
    for _ in range(int(rng.integers(0, 9))):  # lamps and gaps between leaves
        x, y, radius = rng.uniform(), rng.uniform(0, 0.8), rng.uniform(0.02, 0.09)
        disc = np.clip((radius - np.hypot(u - x, v - y)) / 0.01, 0, 1)[..., None]
        out += disc * rng.uniform(0.05, 0.4) * rng.uniform(0.7, 1.0, 3)
    return np.clip(out, 0.02, 0.98).astype(np.float32)
