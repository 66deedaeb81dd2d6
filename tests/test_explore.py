"""Pictures under controls: they follow the controls, and stay pictures without a kernel."""

import io

import numpy as np
import pytest
from PIL import Image

from kisslab import show
from kisslab.explore import WIDGET_VIEW, explore

widgets = pytest.importorskip("ipywidgets")


def draw(level: float, name: str) -> None:
    show.picture(np.full((40, 60, 3), level, np.float32), name)


def middle(data: bytes) -> float:
    image = np.asarray(Image.open(io.BytesIO(data)).convert("L"), float) / 255
    return float(image[image.shape[0] // 2, image.shape[1] // 2])


def test_moving_a_control_draws_the_picture_anew() -> None:
    slider = widgets.FloatSlider(0.2, min=0, max=1)
    explorer = explore(draw, "a grey field", level=slider, name=widgets.Text("grey"))
    assert explorer.values == {"level": 0.2, "name": "grey"}
    assert middle(explorer.picture) == pytest.approx(0.2, abs=0.02)
    slider.value = 0.9
    assert middle(explorer.picture) == pytest.approx(0.9, abs=0.02)


def test_no_figure_is_left_open() -> None:
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    slider = widgets.FloatSlider(0.2, min=0, max=1)
    explore(draw, "a grey field", level=slider, name=widgets.Text("grey"))
    slider.value = 0.5
    assert pyplot.get_fignums() == before


def test_a_plain_viewer_gets_the_picture_and_its_description() -> None:
    explorer = explore(
        draw, 'a "grey" field', level=widgets.FloatSlider(0.2), name=widgets.Text("grey")
    )
    bundle = explorer._repr_mimebundle_()
    assert bundle[WIDGET_VIEW]["model_id"]
    assert bundle["text/plain"] == 'a "grey" field'
    assert bundle["text/html"].startswith('<img src="data:image/jpeg;base64,')
    assert 'alt="a &quot;grey&quot; field"' in bundle["text/html"]


def test_labels_have_one_width_which_holds_the_longest() -> None:
    slider, name = widgets.FloatSlider(0.2, description="turned at (s)"), widgets.Text("grey")
    wide = widgets.Text("a", description="b", style={"description_width": "40px"})
    explore(
        lambda level, name, c: draw(level, name), "a grey field", level=slider, name=name, c=wide
    )
    assert slider.style.description_width == name.style.description_width == "15ch"
    assert wide.style.description_width == "40px"  # as its author said
