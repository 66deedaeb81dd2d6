"""Sliders and menus of the notebooks in JupyterLab with a real browser: pictures follow them."""

import base64
import io
import re
import time

import numpy as np
import pytest
from browser import errors, open_notebook, run_all
from PIL import Image

DRAWN = 60.0  # seconds that a picture may take on a slow machine
VISIBLE = 30  # of 255: a pixel that differs by this looks different
CHANGED = 1 / 500  # of all pixels: closed eyes are not much of a picture

PIXELS = """image => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    canvas.getContext("2d").drawImage(image, 0, 0);
    return canvas.toDataURL();
}"""


def by_keys(page, control) -> None:
    control.locator(".noUi-handle").focus()
    page.keyboard.press("PageDown")  # five steps


def by_mouse(page, control) -> None:
    """Drag the handle to a fifth of the slider."""
    handle, track = (
        control.locator(part).bounding_box() for part in (".noUi-handle", ".noUi-base")
    )
    height = handle["y"] + handle["height"] / 2
    page.mouse.move(handle["x"] + handle["width"] / 2, height)
    page.mouse.down()
    page.mouse.move(track["x"] + 0.2 * track["width"], height, steps=2)
    page.mouse.up()


def by_menu(page, control) -> None:
    control.locator("select").select_option(label="lips")


MOVES = [
    ("01_photo", "group", by_menu),
    ("01_photo", "yaw (°)", by_keys),
    ("03_plan", "moment (s)", by_keys),
    ("03_plan", "lean (°)", by_mouse),
    ("03_plan", "eyelids", by_mouse),
]


@pytest.fixture(scope="module")
def running(chromium, lab):
    """A page with a notebook all of whose cells have run, opened once for all tests."""
    pages = {}

    def open_once(name):
        if name not in pages:
            context = chromium.new_context(viewport={"width": 1280, "height": 1600})
            pages[name] = context.new_page()
            open_notebook(pages[name], lab, f"{name}.ipynb")
            run_all(pages[name])
        return pages[name]

    yield open_once
    for page in pages.values():
        page.context.close()


def seen(image) -> np.ndarray:
    """The pixels that the browser draws of a picture, 0 to 255, wherever the page has scrolled."""
    data = image.evaluate(PIXELS).partition(",")[2]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), float)


def changes(page, image, before: np.ndarray) -> bool:
    """Whether the picture comes to look different; a dragged slider has it drawn several times."""
    end = time.monotonic() + DRAWN
    while time.monotonic() < end:
        after = seen(image)
        apart = np.abs(after - before).max(axis=-1) if after.shape == before.shape else 0
        if np.mean(apart > VISIBLE) > CHANGED:
            return True
        page.wait_for_timeout(200)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({name for name, _, _ in MOVES}))
def test_it_runs_in_the_browser(running, name: str) -> None:
    assert not errors(running(name))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "label", "move"), MOVES, ids=lambda part: getattr(part, "__name__", part)
)
def test_moving_a_control_changes_the_picture(running, name: str, label: str, move) -> None:
    page = running(name)
    words = page.locator(".widget-label", has_text=re.compile(f"^{re.escape(label)}$"))
    control = words.locator("xpath=..")
    image = control.locator("xpath=..").locator("img")
    control.scroll_into_view_if_needed()
    before = seen(image)
    assert np.array_equal(seen(image), before)  # it keeps still until something is moved
    move(page, control)
    assert changes(page, image, before)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({name for name, _, _ in MOVES}))
def test_no_label_is_cut_off(running, name: str) -> None:
    labels = running(name).locator(".widget-label:visible")
    cut = "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)"
    assert labels.count() > 2
    assert labels.evaluate_all(cut) == []
