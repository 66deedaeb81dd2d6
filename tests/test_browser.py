"""The app as somebody uses it who has only a browser: in notebook 07, and served by voila."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from browser import NOTEBOOKS, errors, open_notebook, run_all, serve_lab, serve_voila

from kisslab import zoo

pytestmark = pytest.mark.slow
MADE = 240_000  # milliseconds that a small clip may take
CODE = "from functools import partial\nfrom kisslab import Pipeline, compose, show, zoo\n"
CODE += "from kisslab.app import KissApp, kiss_app\n"


@pytest.fixture(scope="module")
def app_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Notebook 07's app cell, with what it needs from the cells before."""
    cells = nbformat.read(NOTEBOOKS / "07_generation.ipynb", as_version=4).cells
    (shown,) = [c.source for c in cells if c.cell_type == "code" and "kiss_app(two)" in c.source]
    two = "two = Pipeline(compose=partial(compose, height=96))"
    new = nbformat.v4
    notebook = new.new_notebook(cells=[new.new_code_cell(CODE + two), new.new_code_cell(shown)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    path = tmp_path_factory.mktemp("app") / "app.ipynb"
    nbformat.write(notebook, path)
    return path


def upload(page: Any, label: str, photo: Path) -> None:
    with page.expect_file_chooser() as choice:
        page.get_by_role("button", name=label).click()
    choice.value.set_files(photo)


def make_a_clip(page: Any) -> None:
    """Own photos, both portraits, half a second; first without consent, then with it."""
    page.get_by_label("Photos").select_option("my own photos")
    for label, photo in zip(("Left portrait", "Right portrait"), zoo.demo_portraits(), strict=True):
        upload(page, label, photo)
        page.get_by_role("button", name=f"{label}").get_by_text("(1)").wait_for()
    page.locator(".noUi-handle").focus()
    page.keyboard.press("Home")  # the shortest: half a second
    generate = page.get_by_role("button", name="Generate")
    generate.click()
    page.get_by_role("alert").get_by_text("need consent").wait_for(timeout=MADE)
    page.get_by_label("Everyone pictured is an adult").check()
    generate.click()
    page.get_by_role("link", name="Download kiss.mp4").wait_for(timeout=MADE)


def plays(page: Any) -> bool:
    """Whether the clip that is shown can be decoded, and has a size."""
    page.wait_for_function("document.querySelector('video').readyState >= 2", timeout=30_000)
    return page.evaluate("document.querySelector('video').videoWidth") > 100


def test_notebook_07s_app_makes_a_clip_in_jupyterlab(
    page: Any, app_alone: Path, tmp_path: Path
) -> None:
    with serve_lab(tmp_path, app_alone) as served:
        open_notebook(page, served, app_alone.name)
        run_all(page)
        assert not errors(page)
        make_a_clip(page)
        assert plays(page)
        with page.expect_download() as kept:
            page.get_by_role("link", name="Download kiss.mp4").click()
        assert kept.value.suggested_filename == "kiss.mp4"


def test_voila_serves_the_same_app_without_code(page: Any, app_alone: Path, tmp_path: Path) -> None:
    with serve_voila(tmp_path, app_alone) as served:
        page.goto(served.address(""), timeout=MADE)  # it runs the notebook first
        page.get_by_role("button", name="Generate").wait_for(timeout=MADE)
        assert page.locator(".jp-InputArea").count() == 0
        make_a_clip(page)
        assert plays(page)
