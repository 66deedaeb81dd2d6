"""Everything that is drawn: matplotlib and HTML live here and nowhere else.
(picture, strip, sheet, overlay, curve, curve_and_picture, panels, dots, heat, flow, flow_colors,
player, snapshot, source, table, sentences, Html)

Pictures are RGB, uint8 or float in [0, 1]. What draws takes `ax=None` and returns None; with no
axes it makes a figure of its own. matplotlib is imported when something is drawn, not before.
"""

from __future__ import annotations

import base64
import functools
import html
import inspect
import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, groupby, product
from typing import Any

import numpy as np
from einops import rearrange
from jaxtyping import Float, Int, Num, UInt8
from PIL import Image

# Okabe and Ito 2008, told apart with every common colour blindness; yellow is left out: on white
# it can't be read.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
FIELD_HEADS = ("field", "shape or value", "type", "range")  # of a record's table
LINES = ("-", "--", "-.", ":")  # a second sign beside the colour, for prints in grey

Axes = Any  # a matplotlib.axes.Axes; naming the type would import matplotlib
Picture = Num[np.ndarray, "_h _w 3"]
Frames = Num[np.ndarray, "_t _h _w 3"]


@dataclass(frozen=True)
class Html:
    """HTML that a notebook shows; a terminal sees `words` instead."""

    html: str
    words: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.words


def picture(image: Picture, title: str = "", ax: Axes | None = None) -> None:
    """One picture, without ticks."""
    _picture(image, ax).set_title(title, fontsize=9)


def strip(
    frames: Frames, count: int = 8, ax: Axes | None = None, titles: Sequence[str] | None = None
) -> None:
    """A film strip: `count` frames from the first to the last, evenly spaced, in one row.

    titles: one per frame of the clip (phase names, say); without them each shows its number.
    """
    chosen = np.unique(np.linspace(0, len(frames) - 1, count).round().astype(int))
    names = [titles[i] if titles else f"frame {i}" for i in chosen]
    sheet([frames[i] for i in chosen], names, columns=len(chosen), ax=ax)


def sheet(
    images: Sequence[Picture],
    titles: Sequence[str] = (),
    columns: int | None = None,
    ax: Axes | None = None,
) -> None:
    """A contact sheet: pictures of any size, scaled to one height, with a title above each."""
    columns = columns or int(np.ceil(np.sqrt(len(images) * 1.5)))  # a sheet is wider than high
    cells = _same_size([to_uint8(image) for image in images])
    height, width = cells[0].shape[:2]
    edge, head = max(2, width // 40), (height // 8 if titles else 0)
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % columns)
    framed = np.pad(cells, ((0, 0), (edge + head, 0), (edge, 0), (0, 0)), constant_values=255)
    page = rearrange(framed, "(row column) h w c -> (row h) (column w) c", column=columns)
    ax = _picture(page, ax, width=min(12.0, 2.4 * columns))
    for i, title in enumerate(titles):
        x = i % columns * (width + edge) + edge + width / 2
        y = i // columns * (height + edge + head) + edge + head * 0.8
        ax.text(x, y, title, ha="center", va="baseline", fontsize=9)


def overlay(
    rgb: Picture,
    points: Num[np.ndarray, "*_n d"] | Mapping[str, Num[np.ndarray, "*_n d"]],
    edges: Int[np.ndarray, "_e 2"] | None = None,
    ax: Axes | None = None,
) -> None:
    """Points over a picture, pixels (x, y, and anything after that is not drawn).

    points: one array, or one per named group, each group in its colour and named in the legend.
    edges: lines between points of a group, as pairs of indices.
    """
    groups = points if isinstance(points, Mapping) else {"": points}
    ax = _picture(rgb, ax)
    styles = product("os^D", PALETTE)  # when the colours are used up, the next shape begins
    for (name, group), (shape, colour) in zip(groups.items(), styles, strict=False):
        xy = group.reshape(-1, group.shape[-1])[:, :2]
        dots = {"s": 9, "marker": shape, "edgecolors": "white", "linewidths": 0.4}
        ax.scatter(*xy.T, color=colour, label=name, **dots)
        if edges is not None:
            ax.plot(*rearrange(xy[edges], "e end d -> d end e"), color=colour, linewidth=1)
    if any(groups):
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, markerscale=2)


def curve(
    x: Num[np.ndarray, " n"],
    series: Mapping[str, Num[np.ndarray, " n"]],
    ax: Axes | None = None,
    x_label: str = "time (s)",
    y_label: str = "",
    bands: Sequence[str] = (),
) -> None:
    """Curves over one axis, each in its colour and line, named in the legend.

    y_label: the quantity with its unit, "yaw (degrees)". bands: one name per sample (the phases,
    say); each run of one name becomes a band behind the curves.
    """
    ax = ax or _figure(8.0, 2.8)
    for (name, y), colour, line in zip(series.items(), cycle(PALETTE), cycle(LINES), strict=False):
        ax.plot(x, y, line, color=colour, label=name, linewidth=1.8)
    ax.set(xlabel=x_label, ylabel=y_label)
    ax.spines[["top", "right"]].set_visible(False)
    _bands(ax, x, bands)
    if len(series) > 1:
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)


def curve_and_picture(
    x: Num[np.ndarray, " n"],
    series: Mapping[str, Num[np.ndarray, " n"]],
    image: Picture,
    title: str,
    place: float,
    ax: Axes | None = None,
    bands: Sequence[str] = (),
) -> None:
    """Curves, and beside them the picture that belongs to one place on them, marked by a line."""
    ax = ax or _figure(11.0, 4.2)
    ax.set_axis_off()
    left, right = ax.inset_axes([0, 0.26, 0.56, 0.74]), ax.inset_axes([0.6, 0.18, 0.4, 0.74])
    curve(x, series, left, bands=bands)
    below = {"loc": "upper left", "bbox_to_anchor": (0, -0.26), "ncols": 3, "frameon": False}
    left.legend(**below)
    left.axvline(place, color="black", linewidth=1, linestyle=":")
    picture(image, title, right)


def panels(
    x: Num[np.ndarray, " n"],
    groups: Mapping[str, Mapping[str, Num[np.ndarray, " n"]]],
    x_label: str,
    columns: int = 5,
    ax: Axes | None = None,
) -> None:
    """A small diagram per group of curves, for quantities that share only their x.

    groups: title, with the unit, to curves by name; a curve without a name needs no legend.
    """
    rows = -(-len(groups) // columns)
    ax = ax or _figure(2.3 * columns, 1.9 * rows)
    ax.set_axis_off()
    for k, (title, series) in enumerate(groups.items()):
        left, low = k % columns / columns, 1 - (k // columns + 0.8) / rows
        small = ax.inset_axes([left, low, 0.75 / columns, 0.6 / rows])
        for (name, y), colour, line in zip(series.items(), PALETTE, cycle(LINES), strict=False):
            small.plot(x, y, line, marker="o", markersize=3, color=colour, label=name)
        small.set_title(title, fontsize=9)
        if not any(np.isfinite(y).any() for y in series.values()):
            small.set(xticks=[], yticks=[])
            small.text(0.5, 0.5, "not seen", ha="center", transform=small.transAxes, fontsize=8)
        else:  # one axis for all, also where a value is missing
            edge = 0.05 * np.ptp(x)
            small.set_xlim(x.min() - edge, x.max() + edge)
        small.spines[["top", "right"]].set_visible(False)
        small.tick_params(labelsize=7)
        if any(series):
            small.legend(frameon=False, fontsize=7)
    ax.text(0.45, -0.02, x_label, ha="center", va="top", transform=ax.transAxes, fontsize=9)


def dots(
    groups: Mapping[str, Num[np.ndarray, "_n 2"]],
    x_label: str,
    y_label: str,
    ax: Axes | None = None,
) -> None:
    """Places (x, y) by group, each group in its colour and shape, named in the legend."""
    ax = ax or _figure(6.0, 3.4)
    for (name, xy), colour, shape in zip(
        groups.items(), cycle(PALETTE), cycle("os^DvP"), strict=False
    ):
        ax.scatter(*xy.T, color=colour, marker=shape, s=30, label=name)
    ax.set(xlabel=x_label, ylabel=y_label)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)


def heat(
    rgb: Picture,
    values: Num[np.ndarray, "_h _w"],
    ax: Axes | None = None,
    label: str = "",
    limits: tuple[float, float] | None = None,
) -> None:
    """A map of numbers over a greyed picture of the same size, with a scale. NaN stays clear."""
    ax = _picture(_greyed(rgb), ax)
    low, high = limits or (float(np.nanmin(values)), float(np.nanmax(values)))
    image = ax.imshow(values, cmap="viridis", vmin=low, vmax=high, alpha=0.65)
    ax.figure.colorbar(image, ax=ax, label=label, shrink=0.8)


def flow(
    field: Float[np.ndarray, "h w 2"], ax: Axes | None = None, largest: float | None = None
) -> None:
    """Optical flow (pixels per frame, x and y): hue is direction, strength is speed, plus arrows.

    largest: the speed in full colour; the wheel in the corner is the key.
    """
    largest = largest or float(np.nanmax(np.hypot(*np.moveaxis(field, 2, 0)))) or 1.0
    ax = _picture(flow_colors(field, largest), ax)
    step = max(1, max(field.shape[:2]) // 20)
    y, x = (grid[step // 2 :: step, step // 2 :: step] for grid in np.indices(field.shape[:2]))
    arrows = field[y, x] * (step / largest)  # the longest arrow spans one step
    still = np.hypot(*np.moveaxis(arrows, 2, 0)) < 0.1 * step
    arrows = np.where(still[..., None], np.nan, arrows)
    ax.quiver(x, y, *np.moveaxis(arrows, 2, 0), angles="xy", scale_units="xy", scale=1, width=2e-3)
    _wheel(ax.inset_axes([0.86, 0.02, 0.12, 0.16], zorder=5), f"{largest:.3g} px")


def flow_colors(field: Float[np.ndarray, "h w 2"], largest: float) -> Float[np.ndarray, "h w 3"]:
    """Flow as colours: hue = direction, saturation = speed / largest; white does not move.

    Right is red, down yellow-green, left cyan, up violet, as in the Middlebury benchmark's wheel
    (Baker et al. 2011).
    """
    from matplotlib.colors import hsv_to_rgb

    x, y = np.moveaxis(np.nan_to_num(field), 2, 0)
    hue = np.arctan2(y, x) / (2 * np.pi) % 1
    saturation = np.clip(np.hypot(x, y) / largest, 0, 1)
    return hsv_to_rgb(np.stack([hue, saturation, np.ones_like(hue)], axis=-1)).astype(field.dtype)


def player(frames: Frames, fps: float, alt: str = "", width: int = 384) -> Html:
    """A clip that plays in the notebook: an animated WebP inside the page, no file, no script.

    width: pixels; wider clips are made smaller, for a notebook keeps every byte of its outputs.
    """
    scale = min(1.0, width / frames.shape[2])
    size = round(frames.shape[2] * scale), round(frames.shape[1] * scale)
    first, *rest = [Image.fromarray(to_uint8(frame)).resize(size) for frame in frames]
    milliseconds = np.diff(np.round(np.arange(len(frames) + 1) * 1000 / fps)).astype(int).tolist()
    memory = io.BytesIO()
    options = {"save_all": True, "loop": 0, "quality": 75, "method": 2}  # 2: half the time of 4
    first.save(memory, "WEBP", append_images=rest, duration=milliseconds, **options)
    words = f"clip of {len(frames)} frames, {len(frames) / fps:.3g} s at {fps:g} frames/s"
    words = f"{alt}: {words}" if alt else words
    data = base64.b64encode(memory.getvalue()).decode()
    tag = '<img src="data:image/webp;base64,{}" width="{}" height="{}" alt="{}">'
    return Html(tag.format(data, *size, html.escape(words)), words)


def snapshot(alt: str) -> Html:
    """The figure that was drawn last, closed and kept small, with a description.

    alt: what the picture shows and what follows from it, for readers who cannot see it.
    """
    return Html(image_tag(figure_bytes(), alt), alt)


def figure_bytes(dots_per_inch: int = 76, quality: int = 62, colours: int = 64) -> bytes:
    """The figure that was drawn last, as JPEG, or as PNG of few colours when it is only lines.

    It is closed, so that a notebook does not show it a second time.
    """
    from matplotlib import pyplot
    from matplotlib.image import AxesImage

    figure, memory = pyplot.gcf(), io.BytesIO()
    if figure.findobj(AxesImage):  # those of axes within axes are not in figure.axes
        options = {"quality": quality, "optimize": True}
        figure.savefig(memory, format="jpeg", dpi=dots_per_inch, pil_kwargs=options)
    else:
        figure.savefig(memory, format="png", dpi=dots_per_inch)
        image = Image.open(memory).convert("RGB").quantize(colours, dither=Image.Dither.NONE)
        memory = io.BytesIO()
        image.save(memory, "PNG", optimize=True)
    pyplot.close(figure)
    return memory.getvalue()


def image_tag(data: bytes, alt: str) -> str:
    """HTML of a JPEG or PNG that lies inside the page."""
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    inside = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return f'<img src="{inside}" alt="{html.escape(alt)}">'


def source(function: Callable[..., Any]) -> Html:
    """The source of a function or class, highlighted: read what you are about to run."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    text = textwrap.dedent(inspect.getsource(function))
    name = f"{function.__module__}.{function.__qualname__}"
    style = "padding: 0.5em 1em; overflow-x: auto;"
    formatter = HtmlFormatter(noclasses=True, style="default", cssstyles=style)
    return Html(f"<p><code>{name}</code></p>{highlight(text, PythonLexer(), formatter)}", text)


def table(title: str, rows: Sequence[tuple[str, ...]], heads: Sequence[str] = FIELD_HEADS) -> str:
    """HTML of a record, always the same for it: a row per field, and what `heads` say."""
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in heads)
    body = "".join(_row(*row) for row in rows)
    caption = f'<caption style="text-align: left"><b>{html.escape(title)}</b></caption>'
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def sentences(words: Sequence[str]) -> str:
    """HTML of a list of plain sentences; nothing at all when there are none."""
    items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in words)
    return f"<ul>{items}</ul>" if items else ""


def to_uint8(image: Num[np.ndarray, "*_n 3"]) -> UInt8[np.ndarray, "*_n 3"]:
    """Bytes of a picture in [0, 1]; what lies outside is clipped. uint8 passes as it is."""
    if image.dtype == np.uint8:
        return image
    return (np.fmin(np.fmax(image, 0), 1) * 255 + 0.5).astype(np.uint8)  # NaN is black


def _row(field: str, *cells: str) -> str:
    name = f'<th scope="row" style="text-align: left"><code>{html.escape(field)}</code></th>'
    rest = "".join(f'<td style="text-align: left">{html.escape(cell)}</td>' for cell in cells)
    return f"<tr>{name}{rest}</tr>"


def _figure(width: float, height: float) -> Axes:
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width, height), layout="constrained")[1]


def _picture(image: Picture, ax: Axes | None, width: float = 6.0) -> Axes:
    """Shows an image without ticks; makes a figure of its shape if there are no axes."""
    ax = ax or _figure(width, width * image.shape[0] / image.shape[1])
    ax.imshow(to_uint8(image))
    ax.set_axis_off()
    return ax


def _same_size(images: list[UInt8[np.ndarray, "_h _w 3"]]) -> list[UInt8[np.ndarray, "h w 3"]]:
    """Scaled to the height of the first, centred on white as wide as the widest."""
    height = images[0].shape[0]
    scaled = [_at_height(image, height) for image in images]
    width = max(image.shape[1] for image in scaled)
    margins = [(width - image.shape[1], image) for image in scaled]
    return [
        np.pad(image, ((0, 0), (m // 2, m - m // 2), (0, 0)), constant_values=255)
        for m, image in margins
    ]


def _at_height(image: UInt8[np.ndarray, "_h _w 3"], height: int) -> UInt8[np.ndarray, "_i _v 3"]:
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    return np.asarray(Image.fromarray(image).resize((width, height)))


def _greyed(rgb: Picture) -> Picture:
    grey = to_uint8(rgb).mean(axis=-1, keepdims=True) / 255
    return np.repeat(grey, 3, axis=-1)


def _bands(ax: Axes, x: Num[np.ndarray, " n"], names: Sequence[str]) -> None:
    """A band behind each run of one name, named above; every other one is grey."""
    half = (x[1] - x[0]) / 2 if len(x) > 1 else 0.5
    start = 0
    for i, (name, run) in enumerate(groupby(names)):
        stop = start + len(list(run))
        left, right = x[start] - half, x[stop - 1] + half
        ax.axvspan(left, right, color="black", alpha=0.08 * (i % 2), linewidth=0)
        top = ax.get_xaxis_transform()  # x in data, y in axes
        ax.text((left + right) / 2, 1.02, name, transform=top, ha="center", fontsize=8)
        start = stop


def _wheel(ax: Axes, label: str) -> None:
    """The key of `flow`: every direction and speed at its place, full colour at the rim."""
    y, x = np.mgrid[-1:1:81j, -1:1:81j]
    disc = flow_colors(np.stack([x, y], axis=-1), 1.0)
    ax.imshow(np.dstack([disc, np.hypot(x, y) <= 1]))
    patch = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8}
    ax.set_title(label, fontsize=7, pad=2, bbox=patch)
    ax.set_axis_off()
