"""The site of the notebooks: links and pictures are whole, folds work, nothing comes from afar."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

nbformat = pytest.importorskip("nbformat", reason="because nbformat comes with kisslab[lab]")
pytest.importorskip("nbconvert", reason="because nbconvert comes with kisslab[lab]")

from kisslab.cli import app  # noqa: E402
from kisslab.explore import WIDGET_VIEW  # noqa: E402

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


class Page(HTMLParser):
    """What a page refers to, and what stands in its folds."""

    def __init__(self, path: Path):
        super().__init__()
        self.links, self.images, self.ids, self.others, self.folds = [], [], set(), [], []
        self.open = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, pairs):
        given = dict(pairs)
        self.ids.add(given.get("id"))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "img":
            self.images.append(given)
        elif tag in ("script", "link", "iframe", "video"):
            self.others.append((tag, given))
        elif tag == "details":
            assert "open" not in given
            self.open += 1
            self.folds.append("")

    def handle_endtag(self, tag):
        self.open -= tag == "details"

    def handle_data(self, data):
        if self.open:
            self.folds[-1] += data


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "mine.txt").write_text("stays")
    done = CliRunner().invoke(app, ["site", str(folder)])
    assert done.exit_code == 0, done.output
    assert done.output.strip() == f"open {folder / 'index.html'}"
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Page]:
    return {path.name: Page(path) for path in sorted(site.glob("*.html"))}


def outputs(path: Path) -> list[dict]:
    cells = nbformat.read(path, as_version=4).cells
    return [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]


def test_every_notebook_has_a_page_and_nothing_else_is_touched(site, pages) -> None:
    assert set(pages) == {"index.html", *(f"{path.stem}.html" for path in NOTEBOOKS)}
    assert (site / "mine.txt").read_text() == "stays"


def test_every_link_resolves(site, pages) -> None:
    for name, read in pages.items():
        for link in read.links:
            if not re.match(r"https://", link):
                target, _, anchor = link.partition("#")
                assert (site / (target or name)).is_file(), f"{name}: {link}"
                assert not anchor or anchor in pages[target or name].ids, f"{name}: {link}"


def test_every_page_is_reached_from_the_index_and_leads_back(pages) -> None:
    for path in NOTEBOOKS:
        assert f"{path.stem}.html" in pages["index.html"].links
        assert "index.html" in pages[f"{path.stem}.html"].links


def test_every_picture_can_be_seen_and_is_described(site, pages) -> None:
    for name, read in pages.items():
        for image in read.images:
            kind, _, data = image["src"].partition(";base64,")
            file = io.BytesIO(base64.b64decode(data)) if data else site / kind
            Image.open(file).verify()
            assert len(image.get("alt", "")) >= 20, f"{name}: {image.get('alt')}"
            assert "No description" not in image["alt"], name  # nbconvert's own stopgap


def test_no_picture_is_lost(pages) -> None:
    for path in NOTEBOOKS:
        there = [html for data in outputs(path) if (html := data.get("text/html"))]
        kept = [image["alt"] for image in pages[f"{path.stem}.html"].images]
        assert len(kept) == sum(html.count("<img ") for html in there)


def test_nothing_is_loaded_from_elsewhere_and_no_script_runs(pages) -> None:
    for name, read in pages.items():
        assert not read.others, name
        assert all("://" not in image["src"] for image in read.images), name


def test_what_could_be_moved_is_said(site) -> None:
    for path in NOTEBOOKS:
        text = (site / f"{path.stem}.html").read_text(encoding="utf-8")
        moved = sum(WIDGET_VIEW in data for data in outputs(path))
        assert text.count("In JupyterLab this picture moves; its controls: ") == moved


def test_hidden_answers_are_folded_and_set_in_type(pages) -> None:
    """HTML right under <summary> would show Markdown's own signs: an empty line must follow."""
    for path in NOTEBOOKS:
        prose = [cell.source for cell in nbformat.read(path, as_version=4).cells]
        folds = pages[f"{path.stem}.html"].folds
        assert len(folds) == sum(source.count("<details>") for source in prose)
        answers = [fold for fold in folds if fold.startswith("Answer")]
        assert not [a for a in answers if re.search(r"`\w|\*\w", a)], path.name


def test_the_index_shows_titles_questions_and_pictures(site) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    for path in NOTEBOOKS:
        title = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0]
        assert title.removeprefix("# ") in text
    assert len(Page(site / "index.html").images) == len(NOTEBOOKS) + 1  # the strip of a clip
    assert not re.search(r"<p></p>", text)


def test_a_folder_without_notebooks_is_a_plain_error(tmp_path) -> None:
    done = CliRunner().invoke(app, ["site", str(tmp_path / "out"), "--notebooks", str(tmp_path)])
    assert done.exit_code == 2 and "no notebooks there" in done.output


def test_a_notebook_that_was_not_run_is_a_plain_error(tmp_path) -> None:
    new = nbformat.v4
    nbformat.write(new.new_notebook(cells=[new.new_code_cell("1 + 1")]), tmp_path / "01_a.ipynb")
    (tmp_path / "00_whole.ipynb").write_bytes(NOTEBOOKS[0].read_bytes())
    done = CliRunner().invoke(app, ["site", str(tmp_path / "out"), "--notebooks", str(tmp_path)])
    assert done.exit_code == 2 and "run it first" in done.output
    assert not (tmp_path / "out").exists()


def test_a_notebook_without_the_state_of_its_sliders_gets_a_page(tmp_path) -> None:
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    del notebook.metadata["widgets"]
    nbformat.write(notebook, tmp_path / NOTEBOOKS[0].name)
    done = CliRunner().invoke(app, ["site", str(tmp_path / "out"), "--notebooks", str(tmp_path)])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "out" / f"{NOTEBOOKS[0].stem}.html").read_text(encoding="utf-8")
    assert "In JupyterLab this picture moves." in text


@pytest.mark.slow
def test_answers_unfold_with_a_click_and_no_page_complains(page, site) -> None:
    complaints = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    for path in NOTEBOOKS:
        page.goto((site / f"{path.stem}.html").as_uri())
        answer = page.locator("details").last
        assert not answer.locator("p").first.is_visible()
        answer.locator("summary").click()
        assert answer.locator("p").first.is_visible()
    assert not complaints
