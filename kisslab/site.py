"""The notebooks as pages that open without Jupyter, and an index of them. (write_site, Chapter)

Pages hold their own pictures and styles, load nothing from elsewhere and run no script. Where a
notebook has sliders, a page shows the picture of their first values and says what could be moved.
"""

from __future__ import annotations

import base64
import html
import io
import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from kisslab import zoo
from kisslab.classroom import read_notebook
from kisslab.explore import WIDGET_VIEW
from kisslab.records import Result, atomic, record

PAGES = Path(__file__).parent / "pages"  # templates: `notebook` for nbconvert, `contents` for jinja
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
CARD = 1.6  # width over height of a picture in the index
IMAGE = re.compile(r'<img src="data:image/(\w+);base64,([^"]+)"[^>]*? alt="([^"]*)"')
ASKED = re.compile(r"\*\*The question of this notebook:\*\*\s*\*?(.+?)\*?\s*(?:\n\n|$)", re.DOTALL)
LINK = re.compile(r"\]\((\d\d_\w+)\.ipynb")


@record
class Chapter(Result):
    """What the index says about a notebook."""

    name: str  # "03_plan"
    title: str
    question: str
    picture: str  # file name in the site's folder
    alt: str


@dataclass(frozen=True)
class Picture:
    """A picture inside a notebook."""

    kind: str  # "jpeg", "png" or "webp"
    data: bytes
    alt: str


def write_site(folder: str | Path, source: str | Path | None = None) -> Path:
    """Write a page for each notebook of `source` into `folder`, and return its index.html.

    source: a folder of executed notebooks, NN_name.ipynb; the packaged ones by default. What else
    lies in `folder` is left alone. ValueError, before anything is written: no notebooks there, or
    one that is none or was not executed.
    """
    source = Path(source) if source is not None else zoo.data_path("", "notebooks")
    paths, folder = sorted(source.glob("[0-9][0-9]_*.ipynb")), Path(folder)
    if not paths:
        raise ValueError(f"{source}: no notebooks there; name a folder with NN_name.ipynb")
    notebooks = [read_notebook(path) for path in paths]
    pictures = [_card(*each) for each in zip(paths, notebooks, strict=True)]
    chapters = [_chapter(*each) for each in zip(paths, notebooks, pictures, strict=True)]
    pages = [_page(notebook, chapters, place) for place, notebook in enumerate(notebooks)]
    folder.mkdir(parents=True, exist_ok=True)
    for chapter, picture, page in zip(chapters, pictures, pages, strict=True):
        (folder / chapter.picture).write_bytes(picture.data)
        _write(folder / f"{chapter.name}.html", page)
    strip = shutil.copy(zoo.data_path("pictures/strip.jpg"), folder)
    return _write(folder / "index.html", _contents(chapters, Path(strip).name))


def _card(path: Path, notebook: Any) -> Picture:
    """The picture of a notebook that suits the index best."""
    pictures = list(_pictures(notebook))
    if not pictures:
        raise ValueError(f"{path}: holds no pictures; run it first: python notebooks/run.py")
    return min(pictures, key=_unlike_a_card)


def _chapter(path: Path, notebook: Any, card: Picture) -> Chapter:
    prose = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    name = f"{path.stem}.{card.kind}"
    return Chapter(path.stem, _title(prose, path), _question(prose), name, card.alt)


def _pictures(notebook: Any) -> Iterator[Picture]:
    """Every picture that the notebook shows."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for kind, data, alt in IMAGE.findall(output.get("data", {}).get("text/html", "")):
                yield Picture(kind, base64.b64decode(data), html.unescape(alt))


def _unlike_a_card(picture: Picture) -> tuple[bool, float]:
    """The less, the better for the index: a photograph of the right shape.

    Curves say little to whoever has not read the text, and clips move: photographs are JPEG.
    """
    width, height = Image.open(io.BytesIO(picture.data)).size
    return picture.kind != "jpeg", abs(math.log(width / height / CARD))


def _title(prose: str, path: Path) -> str:
    match = re.search(r"^# (.+)$", prose, re.MULTILINE)
    return match[1] if match else path.stem


def _question(prose: str) -> str:
    match = ASKED.search(prose)
    words = " ".join(match[1].split()) if match else ""
    return words[:1].upper() + words[1:]


def _page(notebook: Any, chapters: list[Chapter], place: int) -> str:
    """The notebook as HTML, with a way to its neighbours."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        template_name="notebook",
        extra_template_basedirs=[str(PAGES)],
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    around = dict(zip(range(len(chapters)), chapters, strict=True))
    ways = {"before": around.get(place - 1), "after": around.get(place + 1)}
    page = _still(notebook)
    page.metadata["title"] = chapters[place].title
    return exporter.from_notebook_node(page, ways)[0]


def _still(notebook: Any) -> Any:
    """The notebook without what needs a kernel, its links leading to pages."""
    state = notebook.metadata.pop("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(r"](\1.html", cell.source)
        for output in cell.get("outputs", []):
            view = output.get("data", {}).pop(WIDGET_VIEW, None)
            if view:
                shown = output.data.get("text/html", "")
                output.data["text/html"] = shown + _could_move(view["model_id"], state)
    return notebook


def _could_move(model: str, state: dict[str, Any]) -> str:
    """A sentence on the controls of the box `model`, as far as the notebook saved them."""

    def saved(name: str) -> dict[str, Any]:
        return state.get(name, {}).get("state", {})

    names = [part.removeprefix("IPY_MODEL_") for part in saved(model).get("children", [])]
    words = [saved(name).get("description", "") for name in names]
    said = ", ".join(html.escape(word) for word in words if word)
    controls = f"; its controls: {said}" if said else ""
    return f'<p class="moves">In JupyterLab this picture moves{controls}.</p>'


def _contents(chapters: list[Chapter], strip: str) -> str:
    from jinja2 import Environment, FileSystemLoader

    pages = Environment(loader=FileSystemLoader(PAGES / "contents"))
    return pages.get_template("index.html.j2").render(chapters=chapters, strip=strip)


def _write(path: Path, text: str) -> Path:
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")
    return path
