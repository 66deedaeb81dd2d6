"""Stage 6: what keeps a clip together once it is decoded.

(Flows, clip_flows, guide_flows, Steadied, steady, interpolate, between, observed_flow, follow)
The model's own layers across time are switched by `kiss.spatial_only`, noise that moves with the
picture is in `noise`, even speed in `tempo`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Bool, Float, Num, UInt8

from kisslab import show
from kisslab.guide import Guide
from kisslab.records import Result, record
from kisslab.threads import thread_pool

Frames = Float[np.ndarray, "T H W 3"]
Picture = Float[np.ndarray, "H W 3"]
Flow = Float[np.ndarray, "H W 2"]  # pixels (x, y)
CORNERS = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])  # pixel centres around a place
LONGEST = 384  # pixels: the longer side of the frames that `steady` looks for flows in
SMALLEST = 16  # pixels: the shorter side of frames that OpenCV can look for flows in
BEHIND = 1e-3  # weight of what is hidden soon: it shows only where nothing else comes


@record
class Flows(Result):
    """Where every pixel of a clip goes to, where it comes from, and where that can't be seen."""

    # Pixels, in half precision, which is finer than a flow is known.
    ahead: Float[np.ndarray, "T H W 2"]  # to its place in the next frame; the last has 0
    behind: Float[np.ndarray, "T H W 2"]  # to its place in the frame before; the first has 0
    hidden_ahead: Bool[np.ndarray, "T H W"]  # covered or out of the picture in the next frame
    hidden_behind: Bool[np.ndarray, "T H W"]  # covered or out of the picture in the frame before

    def way(self, step: int) -> tuple[Float[np.ndarray, "T H W 2"], Bool[np.ndarray, "T H W"]]:
        """Flow into the next frame (step 1) or the one before (-1), and what is hidden there."""
        return (self.ahead, self.hidden_ahead) if step > 0 else (self.behind, self.hidden_behind)

    def plot(self, ax: object | None = None) -> None:
        """The flow of the middle frame, colour for direction."""
        show.flow(self.ahead[(len(self.ahead) - 1) // 2].astype(np.float32), ax=ax)


@record
class Steadied(Result):
    """A clip whose frames were blended along the flow, and all that decided how."""

    before: Frames
    frames: Frames
    flows: Flows  # of the size that they were looked for at
    taken: Float[np.ndarray, "T H W"]  # share of each pixel that comes from other frames

    def plot(self, ax: object | None = None) -> None:
        """How much of the middle frame was taken from its neighbours."""
        middle = len(self.frames) // 2
        show.heat(self.frames[middle], self.taken[middle], ax=ax, label="taken from other frames")


def clip_flows(frames: Num[np.ndarray, "T H W 3"]) -> Flows:
    """Estimated from the pictures: dense inverse search (Kroeger et al. 2016), both ways."""
    ahead, behind = (np.zeros((*frames.shape[:3], 2), np.float16) for _ in range(2))
    with thread_pool() as pool:  # OpenCV works outside the GIL
        list(pool.map(_observe, (frames, frames[::-1]), (ahead, behind[::-1])))
    return _flows(ahead, behind)


def guide_flows(guide: Guide) -> Flows:
    """Those that the guide was drawn by: exact for heads, without what happens within a face."""
    ahead = guide.flow.astype(np.float32)
    covered, behind = _changes_layer(guide.layers, ahead, 1), np.zeros_like(ahead)
    for t, flow in enumerate(ahead[:-1]):
        behind[t + 1] = -_carried(flow, covered[t], 1.0)[0]
    flows = _flows(ahead, behind)
    return replace(
        flows,
        hidden_ahead=flows.hidden_ahead | covered,
        hidden_behind=flows.hidden_behind | _changes_layer(guide.layers, behind, -1),
    )


def steady(
    frames: Frames,
    flows: Flows | None = None,
    *,
    radius: int = 2,
    tolerance: float = 0.1,
    detail: float = 1.0,
) -> Steadied:
    """Every pixel averaged with what it was and will be, along the flow.

    radius: frames before and after, with weights that fall evenly to 0. A neighbour that is hidden
    gives nothing, and one whose colour is off by d gives exp(-(d / tolerance)^2) of its share: what
    does not belong leaves no ghost. All neighbours are of the clip as it came, on both sides alike,
    so that nothing lags and no blur piles up. detail: pixels, deviation of a Gaussian; what is
    finer stays the frame's own, for averages along an inexact flow are soft, and flicker is coarse.
    flows: of the frames, as large as they are, or `clip_flows` of the frames made small, as are
    looked for if none are given: averages are taken at that size, and what they change is enlarged,
    which is as fine as flicker. `guide_flows` does not see the flicker at all. ValueError: flows of
    another clip, no tolerance. Linear in frames, pixels and radius.
    """
    if tolerance <= 0:
        raise ValueError(f"tolerance={tolerance}: give a difference of colours above 0")
    full = flows is not None and flows.ahead.shape[:3] == frames.shape[:3]
    small = frames if full else _small(frames)
    flows = clip_flows(small) if flows is None else _of(flows, small)
    made, taken = np.empty_like(frames), np.empty(frames.shape[:3], np.float32)

    def settle(t: int) -> None:
        mean, share = _blended(small, flows, t, radius, tolerance)
        change = _blurred(mean - small[t], detail)
        made[t] = np.clip(frames[t] + _enlarged(change, frames.shape), 0, 1)
        taken[t] = _enlarged(share, frames.shape)

    with thread_pool() as pool:  # numpy and OpenCV work outside the GIL
        list(pool.map(settle, range(len(frames))))
    return Steadied(frames, made, flows, taken)


def interpolate(
    frames: Frames, flows: Flows | None = None, *, factor: int = 2
) -> Float[np.ndarray, "N H W 3"]:
    """`factor` times as many frames a second: T frames become N = (T - 1) * factor + 1."""
    if factor < 1:
        raise ValueError(f"factor={factor}: give 1 for the clip as it is, 2 for twice the frames")
    return between(frames, np.arange((len(frames) - 1) * factor + 1) / factor, flows)


def between(
    frames: Frames, times: Float[np.ndarray, " N"], flows: Flows | None = None
) -> Float[np.ndarray, "N H W 3"]:
    """The clip at any times, counted in frames: 0 is the first, 1.5 halfway from second to third.

    Both neighbours' flows are carried to the time between, where each says what of its frame is
    seen there; the frames are sampled along them and mixed (as in Niklaus and Liu 2020, with flows
    instead of pixels carried, which keeps pictures sharp). ValueError: a time outside of the clip,
    flows of another clip or of another size.
    """
    last = len(frames) - 1
    if times.min() < 0 or times.max() > last:
        raise ValueError(f"times {times.min():g} to {times.max():g}: give them from 0 to {last}")
    flows = clip_flows(frames) if flows is None else _of(flows, frames)
    out = np.empty((len(times), *frames.shape[1:]), frames.dtype)
    for picture, time in zip(out, times.tolist(), strict=True):
        t = int(time)
        picture[:] = _halfway(frames, flows, t, time - t) if time > t else frames[t]
    return out


def observed_flow(
    frames: Num[np.ndarray, "T H W 3"], step: int = 1
) -> Float[np.ndarray, "_s H W 2"]:
    """What moves where in a clip, frame t to t + step, without knowing the plan.

    Dense inverse search (Kroeger et al. 2016), OpenCV's medium preset. S = T - step. ValueError for
    a step below 1. Frames too small to search in (below SMALLEST pixels) are said to stand still.
    """
    if step < 1:
        raise ValueError(f"step={step}: flows lead into later frames; give 1 or more")
    out = np.empty((max(0, len(frames) - step), *frames.shape[1:3], 2), np.float32)
    _observe(frames, out, step)
    return out


def follow(
    picture: Num[np.ndarray, "H W ..."], flow: Flow, how: int = cv2.INTER_LINEAR
) -> Num[np.ndarray, "H W ..."]:
    """The picture as seen at every pixel's place plus its flow; edges continue."""
    places = (_grid(*flow.shape[:2]) + flow).astype(np.float32, copy=False)
    if picture.dtype == np.float16:  # OpenCV can't
        picture = picture.astype(np.float32)
    return cv2.remap(picture, places, None, how, borderMode=cv2.BORDER_REPLICATE)


def _observe(
    frames: Num[np.ndarray, "T H W 3"], out: Float[np.ndarray, "_N H W 2"], step: int = 1
) -> None:
    """Writes the flow from every frame t to t + step into `out`, whatever its precision."""
    if min(frames.shape[1:3]) < SMALLEST:
        out[:] = 0
        return
    greys = [cv2.cvtColor(show.to_uint8(frame), cv2.COLOR_RGB2GRAY) for frame in frames]
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    for flow, now, later in zip(out, greys, greys[step:], strict=False):
        flow[:] = search.calc(now, later, None)


def _flows(ahead: Float[np.ndarray, "T H W 2"], behind: Float[np.ndarray, "T H W 2"]) -> Flows:
    """With what each says is hidden: where the way there and back does not end near its start."""
    hidden_ahead, hidden_behind = (np.zeros(ahead.shape[:3], bool) for _ in range(2))

    def compare(t: int) -> None:
        there, back = (flow.astype(np.float32) for flow in (ahead[t], behind[t + 1]))
        hidden_ahead[t], hidden_behind[t + 1] = _disagree(there, back), _disagree(back, there)

    with thread_pool() as pool:
        list(pool.map(compare, range(len(ahead) - 1)))
    return Flows(ahead, behind, hidden_ahead, hidden_behind)


def _disagree(there: Flow, back: Flow) -> Bool[np.ndarray, "H W"]:
    """|f + b|^2 > 0.01 (|f|^2 + |b|^2) + 0.5 (Sundaram et al. 2010, eq. 5), or out of sight."""
    back = follow(back, there)
    away, lengths = _squared(there + back), _squared(there) + _squared(back)
    x, y = np.moveaxis(there + _grid(*there.shape[:2]), -1, 0)
    high, wide = x.shape
    outside = (x < -0.5) | (x > wide - 0.5) | (y < -0.5) | (y > high - 0.5)
    return outside | (away > 0.01 * lengths + 0.5)


def _squared(flow: Flow) -> Float[np.ndarray, "H W"]:
    """|f|^2 (numpy's sum over a short last axis is slow)."""
    return flow[..., 0] ** 2 + flow[..., 1] ** 2


def _changes_layer(
    layers: UInt8[np.ndarray, "T H W"], flow: Float[np.ndarray, "T H W 2"], step: int
) -> Bool[np.ndarray, "T H W"]:
    """Where the flow leads from one person to the other, or to the background."""
    out = np.zeros(layers.shape, bool)
    for t in range(max(0, -step), len(layers) - max(0, step)):
        out[t] = follow(layers[t + step], flow[t], cv2.INTER_NEAREST) != layers[t]
    return out


def _blended(
    frames: Frames, flows: Flows, t: int, radius: int, tolerance: float
) -> tuple[Picture, Float[np.ndarray, "H W"]]:
    """The mean of frame t and its neighbours, and the neighbours' share in it."""
    total, weight = frames[t].copy(), np.ones(frames.shape[1:3], np.float32)
    for step in (1, -1):
        for k, (picture, seen) in enumerate(_along(frames, flows, t, step, radius), start=1):
            off = cv2.blur(_largest(cv2.absdiff(picture, frames[t])), (3, 3))
            share = seen * (1 - k / (radius + 1)) * np.exp(-((off / tolerance) ** 2))
            total += share[..., None] * picture
            weight += share
    return total / weight[..., None], 1 - 1 / weight


def _of(flows: Flows, frames: Frames) -> Flows:
    """The flows, if they can be those of the frames. ValueError."""
    if flows.ahead.shape[:3] != frames.shape[:3]:
        raise ValueError(f"flows of {flows.ahead.shape[:3]} for frames of {frames.shape[:3]}")
    return flows


def _small(frames: Frames) -> Float[np.ndarray, "T h w 3"]:
    """At most LONGEST pixels long."""
    scale = LONGEST / max(frames.shape[1:3])
    high, wide = (max(1, round(n * scale)) for n in frames.shape[1:3])
    if scale >= 1:
        return frames
    return np.stack([cv2.resize(f, (wide, high), interpolation=cv2.INTER_AREA) for f in frames])


def _enlarged(
    picture: Float[np.ndarray, "h w *c"], shape: tuple[int, ...]
) -> Float[np.ndarray, "H W *c"]:
    """To the size of frames of that shape."""
    high, wide = shape[1:3]
    if picture.shape[:2] == (high, wide):
        return picture
    return cv2.resize(picture, (wide, high), interpolation=cv2.INTER_LINEAR)


def _blurred(change: Picture, detail: float) -> Picture:
    return cv2.GaussianBlur(change, (0, 0), detail) if detail else change


def _largest(picture: Picture) -> Float[np.ndarray, "H W"]:
    """The largest of each pixel's three values (numpy's max over a short last axis is slow)."""
    return np.maximum(np.maximum(picture[..., 0], picture[..., 1]), picture[..., 2])


def _along(
    frames: Frames, flows: Flows, t: int, step: int, radius: int
) -> Iterator[tuple[Picture, Float[np.ndarray, "H W"]]]:
    """Up to `radius` frames after (step 1) or before (-1), each as frame t sees it, and where."""
    flow, hidden = flows.way(step)
    path, seen = np.zeros(flow.shape[1:], np.float32), np.ones(frames.shape[1:3], np.float32)
    last = min(radius, len(frames) - 1 - t if step > 0 else t)
    for now in range(t, t + step * last, step):
        seen = seen * (1 - follow(hidden[now].astype(np.float32), path))
        path = path + follow(flow[now], path)
        yield follow(frames[now + step], path, cv2.INTER_CUBIC), np.clip(seen, 0, 1)


def _halfway(frames: Frames, flows: Flows, t: int, share: float) -> Picture:
    """The picture at t + share, from the frames t and t + 1."""
    total, weight = np.zeros_like(frames[t]), np.zeros((*frames.shape[1:3], 1), np.float32)
    ways = (
        (frames[t], flows.ahead[t], flows.hidden_ahead[t], share),
        (frames[t + 1], flows.behind[t + 1], flows.hidden_behind[t + 1], 1 - share),
    )
    for frame, flow, hidden, way in ways:
        carried, seen = _carried(flow, hidden, way)
        part = (1 - way) * (seen[..., None] + BEHIND)
        total += part * follow(frame, -way * carried, cv2.INTER_CUBIC)
        weight += part
    return np.clip(total / weight, 0, 1)


def _carried(
    flow: Flow, hidden: Bool[np.ndarray, "H W"], way: float
) -> tuple[Flow, Float[np.ndarray, "H W"]]:
    """A flow as seen after a share of the way, and how much of each pixel anything came to.

    Every pixel's flow is spread over the four pixels around its goal; what will be hidden gives
    way to what hides it.
    """
    high, wide = hidden.shape
    goal = (_grid(*flow.shape[:2]) + way * flow).reshape(-1, 2)
    corner = np.floor(goal).astype(int)
    parts = [(corner + step, np.abs(1 - step - (goal - corner)).prod(axis=-1)) for step in CORNERS]
    place, cover = (np.concatenate(both) for both in zip(*parts, strict=True))
    inside = np.all((place >= 0) & (place < [wide, high]), axis=-1)
    index = (place @ [1, wide])[inside]
    weight = np.where(hidden.ravel(), BEHIND, 1.0)
    values = np.column_stack([np.ones(hidden.size), weight, weight[:, None] * flow.reshape(-1, 2)])
    values = (np.tile(values, (4, 1)) * cover[:, None])[inside]
    sums = [np.bincount(index, column, minlength=hidden.size) for column in values.T]
    came, total, x, y = np.stack(sums).astype(np.float32).reshape(4, high, wide)
    carried = np.stack([x, y], axis=-1) / np.maximum(total, 1e-9)[..., None]
    return carried, np.minimum(came, 1)


@lru_cache(maxsize=2)  # thousands of frames of a clip ask for the same
def _grid(high: int, wide: int) -> Float[np.ndarray, "H W 2"]:
    """Every pixel's own place (x, y)."""
    grid = np.stack(np.meshgrid(np.arange(wide), np.arange(high)), axis=-1).astype(np.float32)
    grid.flags.writeable = False
    return grid
