"""Area studio: whether its people pass for people, and whether its truth is true. (measure, ...)"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from insightface.app import FaceAnalysis
from jaxtyping import Float
from torch.nn import functional as F

from kisslab import anatomy
from kisslab.bench.costs import peak_gb
from kisslab.bench.killed import kill_busy_worker, kill_run, lost, wait_for
from kisslab.bench.rows import Row, row
from kisslab.cluster import local_cluster
from kisslab.faces import FaceError, find_faces
from kisslab.photo import photo_from_array
from kisslab.plan import plan_kiss
from kisslab.studio import (
    Camera,
    Person,
    Render,
    Scene,
    Take,
    couple_portrait,
    photographed,
    portrait,
    render,
    render_clip,
    sample_couple,
    sample_person,
    true_faces,
)
from kisslab.studio.clips import render_pool
from kisslab.studio.dataset import Shard, write_dataset

HELD_OUT = 900_000  # seeds from here to a million train nothing
SHARDS = "clip_*.npz"
FRAMES = 12  # of the clips whose speed is measured
AGREED = np.array(
    [
        anatomy.RIGHT_EYE_OUTER,
        anatomy.RIGHT_EYE_INNER,
        anatomy.LEFT_EYE_INNER,
        anatomy.LEFT_EYE_OUTER,
        anatomy.NOSE_TIP,
        anatomy.MOUTH_RIGHT,
        anatomy.MOUTH_LEFT,
        anatomy.CHIN,
    ]
)


def measure(faces: int = 200) -> Iterator[Row]:
    """Every figure of the studio on held-out seeds; `faces` people are drawn for the first five."""
    people = [sample_person(HELD_OUT + k) for k in range(faces)]
    yield from _found_rows(people)
    errors = [agreement(person) for person in people[: max(8, faces // 5)]]
    yield row("landmark_agreement", np.mean(errors), "iod", "<= 0.05", len(errors))
    yield _identity_row(people[: max(8, faces // 5)])
    scene = couple_portrait(sample_couple(HELD_OUT), size=192)
    motion = plan_kiss(true_faces(scene), "tender", seconds=0.5, fps=24.0)
    yield row("flow_residual", flow_residual(render_clip(scene, motion)), "", "<= 0.0039", 11)
    single = portrait(people[0])
    degrees = normals_from_depth(render(single, antialias=1), single.camera)
    yield row("normals_from_depth_deg", degrees, "degrees", "<= 5", 1)
    yield from _speed_rows(people[0], scene)
    yield row("studio_peak_memory_gb", _peak_memory(), "GB", "<= 2", 1)
    yield row("dataset_lost_after_kill", lost_after_kill(), "shards", "= 0", 6)


def agreement(person: Person) -> float:
    """Mean distance of MediaPipe's AGREED points to the true ones, frontal, inter-ocular distances.

    FaceError if it finds no face.
    """
    picture = render(portrait(person))
    found = find_faces(photo_from_array(_bytes(picture)), min_size=0).points[0, AGREED, :2]
    true = picture.points[0]
    unit = np.linalg.norm(true[anatomy.LEFT_EYE_OUTER] - true[anatomy.RIGHT_EYE_OUTER])
    return float(np.linalg.norm(found - true[AGREED], axis=-1).mean() / unit)


def flow_residual(take: Take) -> float:
    """Mean absolute difference of frame t + 1, warped back, to frame t.

    Only where nothing is hidden, the light on the matter changed by less than 2%, and the picture
    is smooth enough to be resampled (no neighbour differs by more than 0.1).
    """
    errors = []
    for now, later, flow, hidden in zip(
        take.frames, take.frames[1:], take.flow, take.occluded, strict=False
    ):
        back = _warp(later.rgb, flow)
        light = _warp(later.shading[..., None], flow)[..., 0]
        same = np.abs(light - now.shading) < 0.02 * now.shading
        usable = same & ~hidden & _smooth(now.rgb) & (now.who >= 0)
        errors.append(np.abs(back - now.rgb)[usable])
    return float(np.concatenate(errors).mean())


def normals_from_depth(picture: Render, camera: Camera) -> float:
    """Median angle, in degrees, between the stored normals and those of the depth map."""
    high, wide = picture.depth.shape
    jj, ii = np.mgrid[0:high, 0:wide] + 0.5
    scale = picture.depth / (camera.unit * camera.distance)
    with np.errstate(invalid="ignore"):
        place = np.stack(
            [
                (ii - camera.origin[0]) * scale,
                (camera.origin[1] - jj) * scale,
                camera.distance - picture.depth,
            ],
            axis=-1,
        )
        across, down = (np.gradient(place, axis=axis) for axis in (1, 0))
        normal = np.cross(down, across)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    cosine = (normal * picture.normals).sum(-1)
    usable = np.isfinite(cosine) & (picture.normals[..., 2] > 0.3)
    return float(np.degrees(np.median(np.arccos(np.clip(cosine[usable], -1, 1)))))


def lost_after_kill(clips: int = 3) -> int:
    """Shards missing or unreadable after a worker, and then a whole run, was killed.

    Each is killed once the first shard is written. RuntimeError if nothing was left to do then.
    """
    return lost(partial(_lost_with_worker, clips=clips), partial(_lost_with_run, clips=clips))


def _lost_with_worker(folder: str, clips: int) -> int:
    """Kill the process that works on a clip, while another one may help itself to the rest."""
    from distributed import Client

    with local_cluster(2) as cluster, Client(cluster) as client:
        writer = threading.Thread(
            target=write_dataset,
            args=(folder, range(clips)),
            kwargs={"frames": 4, "size": 32, "scheduler": cluster.scheduler_address},
        )
        writer.start()
        wait_for(folder, SHARDS)
        kill_busy_worker(client)
        writer.join()
    return _missing(folder, clips)


def _lost_with_run(folder: str, clips: int) -> int:
    """Kill the whole process group of a run, and resume it."""
    kill_run(partial(_small_dataset, folder, clips), folder, SHARDS)
    if not _missing(folder, clips):
        raise RuntimeError(f"all {clips} shards were written before the kill; ask for more clips")
    _small_dataset(folder, clips)
    return _missing(folder, clips)


def _small_dataset(folder: str, clips: int) -> list[Path]:
    return write_dataset(folder, range(clips), frames=4, size=32, workers=1)


def _missing(folder: str, clips: int) -> int:
    paths = [Path(folder) / f"clip_{seed:08d}.npz" for seed in range(clips)]
    return sum(not _readable(path) for path in paths)


def _readable(path: Path) -> bool:
    return path.exists() and len(Shard.load(path).rgb) == 4


def _bytes(picture: Render) -> np.ndarray:
    return (picture.rgb * 255 + 0.5).astype(np.uint8)


def _is_found(person: Person, yaw: float) -> bool:
    try:
        find_faces(photo_from_array(_bytes(render(portrait(person, yaw=yaw)))), min_size=0)
    except FaceError:
        return False
    return True


def _found_rows(people: list[Person]) -> Iterator[Row]:
    """Found at up to 40 degrees and at 60; the largest gap between skin tones and hair styles."""
    rng = np.random.default_rng(HELD_OUT)
    near = np.array([_is_found(p, float(rng.uniform(-40, 40))) for p in people])
    yield row("mediapipe_found_yaw40", near.mean(), "share", ">= 0.99", len(people))
    some = people[: max(8, len(people) // 2)]
    far = np.array([_is_found(p, 60.0 * (-1) ** k) for k, p in enumerate(some)])
    yield row("mediapipe_found_yaw60", far.mean(), "share", ">= 0.80", len(some))
    tones = np.array([min(int(p.tone * 4), 3) for p in people])
    yield row("found_gap_skin", _gap(near, tones), "share", "<= 0.03", len(people))
    hair = np.array([p.hair for p in people])
    yield row("found_gap_hair", _gap(near, hair), "share", "<= 0.03", len(people))


def _gap(found: np.ndarray, groups: np.ndarray) -> float:
    shares = [found[groups == g].mean() for g in np.unique(groups)]
    return float(max(shares) - min(shares))


def _identity_row(people: list[Person]) -> Row:
    """How often two renders of one person are more alike than renders of two people."""
    analysis = judge()
    prints = [[_print(analysis, p, 17 * k + side) for side in (0, 1)] for k, p in enumerate(people)]
    prints = [pair for pair in prints if pair[0] is not None and pair[1] is not None]
    one, two = (np.stack([pair[side] for pair in prints]) for side in (0, 1))
    alike = one @ two.T
    others = alike[~np.eye(len(alike), dtype=bool)].reshape(len(alike), -1)
    share = (np.diag(alike)[:, None] > others).mean()
    return row("judge_same_above_other", share, "share", ">= 0.95", others.size)


def judge() -> FaceAnalysis:
    """The independent recogniser in KISSLAB_MODELS/insightface. FileNotFoundError without it."""
    folder = Path(os.environ.get("KISSLAB_MODELS", "")) / "insightface"
    if not (folder / "models" / "judge").is_dir():
        raise FileNotFoundError(
            f"{folder}: no models/judge; set KISSLAB_MODELS to the folder with insightface/"
        )
    analysis = FaceAnalysis(name="judge", root=str(folder), providers=["CPUExecutionProvider"])
    analysis.prepare(ctx_id=-1, det_size=(256, 256))
    return analysis


def _print(analysis: FaceAnalysis, person: Person, seed: int) -> Float[np.ndarray, " D"] | None:
    """The judge's unit vector for a person under a pose and light drawn from `seed`."""
    yaw = float(np.random.default_rng(seed).uniform(-40, 40))
    picture = _bytes(render(photographed(portrait(person, yaw=yaw), seed)))
    faces = analysis.get(np.ascontiguousarray(picture[..., ::-1]))
    return faces[0].normed_embedding if faces else None


def _speed_rows(person: Person, couple: Scene) -> Iterator[Row]:
    """Frames per second of two processes that share the frames of a clip, once they are started
    and have baked the people; exponent of one process's time against pixels, by least squares
    over sizes where pixels, not the calls of operations, take the time."""
    one = [portrait(person, yaw=yaw) for yaw in np.linspace(-20.0, 20.0, FRAMES)]
    yield row("studio_fps_one_256", _clip_speed(one), "frames/s", ">= 4", FRAMES)
    turns = np.linspace(10.0, 26.0, FRAMES)  # 292 x 219: as many pixels as 256 x 256
    two = [couple_portrait(couple.people, yaw=yaw, size=292) for yaw in turns]
    yield row("studio_fps_two_256", _clip_speed(two), "frames/s", ">= 2", FRAMES)
    sizes = (128, 192, 256, 384, 512)
    seconds = [_seconds(portrait(person, size=size)) for size in sizes]
    exponent = np.polyfit(np.log(np.square(sizes)), np.log(seconds), 1)[0]
    yield row("studio_scaling_exponent", exponent, "", "<= 1.1", len(sizes))


def _clip_speed(scenes: list[Scene], repeats: int = 4) -> float:
    """Frames per second of `render_pool(2)`: the best, since other processes share the machine."""
    times = []
    with render_pool(2) as pool:
        for _ in range(repeats + 1):
            start = time.perf_counter()
            list(pool.map(render, scenes))
            times.append(time.perf_counter() - start)
    return len(scenes) / min(times[1:])  # in the first, processes start and bake


def _seconds(scene: Scene, repeats: int = 9) -> float:
    """Time of one render on one thread: the best, since other processes share the machine."""
    render(scene)  # bakes the people
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        render(scene)
        times.append(time.perf_counter() - start)
    torch.set_num_threads(threads)
    return min(times)


def _peak_memory() -> float:
    """Gigabytes of a fresh process that draws one couple at 512 pixels."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_draw_and_weigh)


def _draw_and_weigh() -> float:
    render(couple_portrait(sample_couple(HELD_OUT), size=512))
    return peak_gb()


def _warp(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """The later picture seen from the earlier one: bilinear at pixel + flow."""
    high, wide = flow.shape[:2]
    jj, ii = np.mgrid[0:high, 0:wide]
    x = (ii + flow[..., 0] + 0.5) * 2 / wide - 1
    y = (jj + flow[..., 1] + 0.5) * 2 / high - 1
    grid = torch.tensor(np.stack([x, y], axis=-1), dtype=torch.float32)[None]
    stack = torch.tensor(np.array(picture, dtype=np.float32)).permute(2, 0, 1)[None]
    return F.grid_sample(stack, grid, align_corners=False)[0].permute(1, 2, 0).numpy()


def _smooth(picture: np.ndarray, limit: float = 0.1) -> np.ndarray:
    """Pixels none of whose 3 x 3 neighbours differs by more than `limit`."""
    stack = torch.tensor(np.array(picture)).permute(2, 0, 1)[None]
    spread = F.max_pool2d(stack, 3, 1, 1) + F.max_pool2d(-stack, 3, 1, 1)
    return (spread.amax(dim=1)[0] < limit).numpy()
