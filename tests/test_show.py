"""Oracles: what was drawn is read back from the axes, the HTML or the embedded clip."""

import base64
import functools
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image

from kisslab import records, show

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def no_figures_left() -> Iterator[None]:
    yield
    pyplot.close("all")


def clip(length: int = 10, height: int = 30, width: int = 40) -> np.ndarray:
    levels = np.linspace(0, 1, length, dtype=np.float32)
    return np.ones((length, height, width, 3), np.float32) * levels[:, None, None, None]


def page(ax: object) -> np.ndarray:
    return ax.images[0].get_array()


def titles(ax: object) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_strip_shows_first_and_last_and_even_steps() -> None:
    assert show.strip(clip(10), count=4) is None
    ax = pyplot.gca()
    assert titles(ax) == ["frame 0", "frame 3", "frame 6", "frame 9"]
    middle = page(ax)[-5, :, 0]  # one row through all four frames, white gaps between them
    assert all((middle == level).sum() == 40 for level in (0, 85, 170))


def test_strip_titles_belong_to_the_chosen_frames_and_short_clips_work() -> None:
    show.strip(clip(3), count=8, titles=["apart", "near", "contact"])
    assert titles(pyplot.gca()) == ["apart", "near", "contact"]
    show.strip(clip(1))
    assert titles(pyplot.gca()) == ["frame 0"]


def test_sheet_keeps_every_pixel_and_takes_any_size() -> None:
    images = [RNG.integers(0, 255, (20, w, 3), np.uint8) for w in (30, 40, 10)]
    show.sheet(images, columns=2)
    whole = page(pyplot.gca())
    for image in images:
        windows = np.lib.stride_tricks.sliding_window_view(whole, image.shape)[:, :, 0]
        assert (windows == image).all(axis=(2, 3, 4)).sum() == 1
    show.sheet([images[0], np.zeros((50, 50, 3))], ["a", "b"])
    assert titles(pyplot.gca()) == ["a", "b"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_drawing_goes_into_the_given_axes_and_returns_nothing(dtype: type) -> None:
    image = np.full((20, 30, 3), 1 if dtype is np.uint8 else 0.5, dtype)
    points, field = np.ones((2, 5, 3)), np.ones((20, 30, 2), np.float32)
    x = np.arange(5.0)
    for draw in (
        lambda ax: show.picture(image, ax=ax, title="a"),
        lambda ax: show.strip(image[None], ax=ax),
        lambda ax: show.sheet([image], ax=ax),
        lambda ax: show.overlay(image, points, ax=ax),
        lambda ax: show.curve(x, {"a": x}, ax=ax),
        lambda ax: show.heat(image, image[..., 0] * 1.0, ax=ax),
        lambda ax: show.flow(field, ax=ax),
    ):
        pyplot.close("all")
        ax = pyplot.subplots()[1]
        assert draw(ax) is None
        assert pyplot.get_fignums() == [1] and ax.has_data()
        ax.figure.canvas.draw()


def test_picture_keeps_its_pixels() -> None:
    image = RNG.integers(0, 255, (20, 30, 3), np.uint8)
    show.picture(image, title="a photo")
    np.testing.assert_array_equal(page(pyplot.gca()), image)
    assert pyplot.gca().get_title() == "a photo"


def test_overlay_puts_points_where_they_are() -> None:
    groups = {"lips": RNG.uniform(0, 20, (2, 6, 3)), "nose": RNG.uniform(0, 20, (4, 2))}
    show.overlay(np.zeros((20, 20, 3)), groups)
    ax = pyplot.gca()
    for drawn, group in zip(ax.collections, groups.values(), strict=True):
        np.testing.assert_array_equal(
            drawn.get_offsets(), group.reshape(-1, group.shape[-1])[:, :2]
        )
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["lips", "nose"]
    colours = {tuple(c.get_facecolor()[0]) for c in ax.collections}
    assert len(colours) == 2


def test_overlay_draws_edges_between_points() -> None:
    points = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    show.overlay(np.zeros((9, 9, 3)), points, edges=np.array([[0, 1], [1, 2]]))
    ax = pyplot.gca()
    ends = sorted(line.get_xydata().tolist() for line in ax.lines)
    assert ends == [[[1, 2], [3, 4]], [[3, 4], [5, 6]]] and ax.get_legend() is None


def test_curve_names_lines_units_and_phases() -> None:
    x = np.arange(6) / 24
    phases = ("apart", "apart", "near", "near", "near", "contact")
    show.curve(x, {"left": x, "right": -x}, y_label="yaw (degrees)", bands=phases)
    ax = pyplot.gca()
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), -x)
    styles = {(line.get_color(), line.get_linestyle()) for line in ax.lines}
    assert len(styles) == 2 and len({style for _, style in styles}) == 2  # colour is not alone
    assert ax.get_ylabel() == "yaw (degrees)" and ax.get_xlabel() == "time (s)"
    assert titles(ax) == ["apart", "near", "contact"]
    edges = [band.get_x() * 24 for band in ax.patches]
    np.testing.assert_allclose(edges, [-0.5, 1.5, 4.5])  # halfway between the frames


def test_heat_shows_the_values_with_a_scale() -> None:
    values = RNG.uniform(2, 3, (8, 9))
    values[0] = np.nan
    show.heat(np.zeros((8, 9, 3)), values, label="depth (px)", limits=(0.0, 4.0))
    ax = pyplot.gcf().axes[0]
    np.testing.assert_array_equal(ax.images[1].get_array().filled(np.nan), values)
    assert ax.images[1].get_clim() == (0, 4)
    assert pyplot.gcf().axes[1].get_ylabel() == "depth (px)"


def test_flow_colours_by_closed_form() -> None:
    vectors = np.array([[[2, 0], [0, 0], [1, 0], [9, 0]], [[-2, 0], [0, 2], [0, -2], [np.nan, 1]]])
    colours = show.flow_colors(vectors.astype(float), 2.0)
    np.testing.assert_allclose(colours[0], [[1, 0, 0], [1, 1, 1], [1, 0.5, 0.5], [1, 0, 0]])
    np.testing.assert_allclose(colours[1, :3], [[0, 1, 1], [0.5, 1, 0], [0.5, 0, 1]], atol=1e-9)
    assert np.isfinite(colours).all()


def test_flow_without_motion_is_white() -> None:
    show.flow(np.zeros((40, 60, 2), np.float32))
    assert (page(pyplot.gca()) == 255).all()


def embedded(html: show.Html) -> Image.Image:
    data = re.search(r'src="data:image/webp;base64,([^"]+)"', html.html)
    return Image.open(io.BytesIO(base64.b64decode(data[1])))


def test_player_holds_the_clip() -> None:
    frames = clip(12)
    played = embedded(show.player(frames, fps=24.0))
    durations, levels = [], []
    for i in range(played.n_frames):
        played.seek(i)
        played.load()
        durations.append(played.info["duration"])
        levels.append(np.asarray(played.convert("RGB")).mean() / 255)
    assert sum(durations) == 500 and played.info["loop"] == 0
    np.testing.assert_allclose(levels, frames.mean(axis=(1, 2, 3)), atol=0.02)


def test_player_is_small_accessible_and_deterministic() -> None:
    wide = clip(3, 100, 1000)
    html = show.player(wide, fps=10.0, alt='a "kiss" <b>')
    assert embedded(html).size == (384, 38)
    assert 'alt="a &quot;kiss&quot; &lt;b&gt;: clip of 3 frames, 0.3 s at 10 frames/s"' in html.html
    assert html._repr_html_() == show.player(wide, fps=10.0, alt='a "kiss" <b>')._repr_html_()
    assert repr(html) == 'a "kiss" <b>: clip of 3 frames, 0.3 s at 10 frames/s'


def test_source_shows_the_code_also_behind_partial_and_wraps() -> None:
    plain = show.source(records.describe)
    text = re.sub("<[^>]+>", "", plain.html)
    assert "def describe(" in text and "kisslab.records.describe" in text
    wrapped = functools.wraps(records.describe)(lambda *a: records.describe(*a))
    for other in (functools.partial(records.describe, value=0), wrapped):
        assert show.source(other) == plain
    assert "class Html" in repr(show.source(show.Html))


class _Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


def test_table_is_balanced_escaped_and_deterministic() -> None:
    rows = [("angles", "4 x 2 x 3", "float64", "0 .. 1"), ("<i>", "a & b", "str", "")]
    html = show.table("Motion", rows)
    parser = _Balance()
    parser.feed(html)
    assert parser.open == [] and html == show.table("Motion", rows)
    for cell in ("Motion", "angles", "4 x 2 x 3", "float64", "0 .. 1", "<i>", "a & b"):
        assert cell in parser.cells


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_to_uint8_rounds_clips_and_survives_nan(dtype: type) -> None:
    levels = np.arange(256)[:, None].repeat(3, 1)
    np.testing.assert_array_equal(show.to_uint8((levels / 255).astype(dtype)), levels)
    between = np.array([[99.4, 99.6, 200.4]]) / 255
    np.testing.assert_array_equal(show.to_uint8(between.astype(dtype)), [[99, 100, 200]])
    odd = show.to_uint8(np.array([[-1, 2, np.nan]], dtype))
    np.testing.assert_array_equal(odd, [[0, 255, 0]])


def test_palette_is_readable_on_white() -> None:
    from matplotlib.colors import to_rgb

    luminance = [np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722)) for colour in show.PALETTE]
    assert max(luminance) < 0.7 and len(set(show.PALETTE)) == len(show.PALETTE)


def test_importing_show_does_not_import_matplotlib() -> None:
    code = "import sys, kisslab.show; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_snapshot_is_a_described_picture_and_closes_its_figure() -> None:
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    show.curve(np.arange(9.0), {"a line": np.arange(9.0)}, y_label="value")
    lines = show.snapshot('a "rising" line')
    show.picture(np.random.default_rng(0).random((60, 80, 3)))
    photo = show.snapshot("noise")
    assert pyplot.get_fignums() == before
    assert lines.html.startswith('<img src="data:image/png;base64,') and repr(lines) == lines.words
    assert photo.html.startswith('<img src="data:image/jpeg;base64,')
    assert 'alt="a &quot;rising&quot; line"' in lines.html
    assert len(lines.html) < 8000


def test_a_picture_beside_curves_keeps_its_colours() -> None:
    """64 colours are enough for lines; a photograph among them, also an inset one, needs JPEG."""
    x, image = np.linspace(0, 1, 9), RNG.random((30, 40, 3))
    show.curve(x, {"a": x})
    assert show.figure_bytes().startswith(b"\x89PNG")
    show.curve_and_picture(x, {"a": x}, image, "noise", 0.5)
    assert show.figure_bytes().startswith(b"\xff\xd8")
