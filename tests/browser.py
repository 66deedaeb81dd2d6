"""JupyterLab, voila and Chromium for tests, each in a home of its own.

(chromium, page, lab: fixtures; Served, serve_lab, serve_voila, open_notebook, run_all, errors)

The fixtures live as long as a module: while Playwright runs, an event loop runs too, and other
tests may want one of their own.

>>> from browser import errors, open_notebook, run_all
>>> def test_it(page, lab):
...     open_notebook(page, lab, "01_photo.ipynb")
...     run_all(page)
...     assert not errors(page)
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAMES = ("chromium", "chromium-browser", "google-chrome")
START = 60.0  # seconds that a server may take to answer
RUN = 240.0  # seconds that a whole notebook may take
# All cells stay in the page, nothing is asked or announced.
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "docmanager-extension/plugin": {"autosave": False},
}


@dataclass(frozen=True)
class Served:
    """A running server: where it answers, the folder whose notebooks it shows, what it logged."""

    url: str
    token: str
    folder: Path
    log: Path

    def address(self, path: str) -> str:
        """The address of a page of this server."""
        return f"{self.url}/{path}?token={self.token}"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser, or the reason why there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="because playwright is missing")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"because none of {', '.join(NAMES)} is installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=FLAGS)
        yield browser  # its profile is an empty temporary folder, which Playwright makes
        browser.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """An empty page, 1280 x 1600 pixels."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1600})
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """JupyterLab over copies of all notebooks."""
    folder = tmp_path_factory.mktemp("lab")
    with serve_lab(folder, *NOTEBOOKS.glob("*.ipynb")) as served:
        yield served


@contextmanager
def serve_lab(folder: Path, *notebooks: Path) -> Iterator[Served]:
    """JupyterLab over copies of these notebooks, until the block ends."""
    pytest.importorskip("jupyterlab", reason="because jupyterlab is missing")
    work, token = _work(folder, notebooks), secrets.token_hex(16)
    options = ["--no-browser", "--LabApp.news_url=None", f"--IdentityProvider.token={token}"]
    options += ["--ServerApp.ip=127.0.0.1", "--allow-root", f"--ServerApp.root_dir={work}"]
    with _served(folder, ["jupyterlab", *options, "--port={port}"], work, token) as served:
        yield served


@contextmanager
def serve_voila(folder: Path, notebook: Path) -> Iterator[Served]:
    """A notebook as a page without code, until the block ends."""
    pytest.importorskip("voila", reason="because voila is missing")
    work, token = _work(folder, [notebook]), ""
    options = ["voila", str(work / notebook.name), "--no-browser", "--Voila.ip=127.0.0.1"]
    with _served(folder, [*options, "--port={port}"], work, token) as served:
        yield served


def open_notebook(page: Any, served: Served, name: str) -> None:
    """Open a notebook in a layout of its own, and wait for its kernel."""
    layout = secrets.token_hex(4)  # else tabs of the test before come back
    page.goto(served.address(f"lab/workspaces/{layout}/tree/{name}"))
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=START * 1000)
    # The notebook's own circle says "idle" before there is a kernel; the status bar does not.
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=START * 1000)


def run_all(page: Any, seconds: float = RUN) -> None:
    """Run All Cells, and wait until each of them has run, or one has failed."""
    _choose(page, "Edit", "editmenu:clear-all")  # numbers of an earlier run are none of this one
    _choose(page, "Run", "runmenu:run-all")
    page.wait_for_function(ENDED, timeout=seconds * 1000)


def errors(page: Any) -> list[str]:
    """What cells wrote to standard error, tracebacks among it."""
    return page.locator(STDERR).all_inner_texts()


STDERR = '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]'
ENDED = f"""() => {{
    const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')];
    const waits = prompts.some(prompt => prompt.textContent.includes('*'));
    const ran = prompts.every(prompt => /[0-9]/.test(prompt.textContent));
    return !waits && (ran || document.querySelector('{STDERR}') !== null);
}}"""


def _choose(page: Any, menu: str, command: str) -> None:
    page.click(f'.lm-MenuBar-item:has-text("{menu}")')
    page.click(f'.lm-Menu-item[data-command="{command}"]')


def _work(folder: Path, notebooks: Any) -> Path:
    """Copies of the notebooks in a folder of their own."""
    work = folder / "work"
    work.mkdir()
    for notebook in notebooks:
        shutil.copy(notebook, work)
    return work


@contextmanager
def _served(folder: Path, command: list[str], work: Path, token: str) -> Iterator[Served]:
    port, log = _free_port(), folder / "server.log"
    command = [part.format(port=port) for part in command]
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], stdout=out, stderr=out,
            cwd=work, env=_own_home(folder), start_new_session=True,
        )  # fmt: skip
    served = Served(f"http://127.0.0.1:{port}", token, work, log)
    try:
        _wait_for(served, process)
        yield served
    finally:
        _stop(process)


def _own_home(folder: Path) -> dict[str, str]:
    """An environment in which Jupyter finds no settings of anybody's, and kisslab this checkout."""
    home = folder / "home"
    for name, values in SETTINGS.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    places = {"HOME": "", "IPYTHONDIR": "ipython", "JUPYTER_CONFIG_DIR": "config"}
    places |= {"JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
    places |= {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    own = {k: v for k, v in os.environ.items() if k not in ("MPLBACKEND", "PYTEST_CURRENT_TEST")}
    own |= {name: str(home / place) for name, place in places.items()}
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return own | {
        "PYTHONPATH": os.pathsep.join(paths),
        "KISSLAB_OFFLINE": "1",
        "KISSLAB_MODELS": "",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(served: Served, process: subprocess.Popen) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(served.address("favicon.ico"), timeout=START).close()
            return
        except urllib.error.HTTPError:
            return  # it answers, whatever it thinks of the question
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise RuntimeError(f"the server does not answer:\n{served.log.read_text()[-3000:]}")


def _stop(process: subprocess.Popen) -> None:
    """End the server, which ends its kernels; kill all of them if it does not."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
