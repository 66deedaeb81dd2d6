"""Run notebooks: python notebooks/run.py 01 03 (all without a number). NN_name.py in, .ipynb out.

Every run of the same code gives the same file: identifiers are numbered, times are left out.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
SECONDS = 300  # that one cell may take
OWN = {"KISSLAB_OFFLINE": "1", "KISSLAB_MODELS": "", "PYTHONPATH": str(FOLDER.parent)}
RANDOM = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")  # as ipywidgets names its models
PAIR = {
    "formats": "ipynb,py:percent",
    "notebook_metadata_filter": "-all",
    "cell_metadata_filter": "-all",
}


def run(source: Path) -> Path:
    """Execute one .py in py:percent and write the notebook beside it."""
    notebook = jupytext.read(source)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    notebook.metadata["jupytext"] = PAIR
    NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": FOLDER}}).execute()
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:03d}"
        cell.metadata.pop("execution", None)
    notebook.metadata["language_info"].pop("version", None)
    _prune(notebook.metadata.get("widgets", {}))
    target = source.with_suffix(".ipynb")
    nbformat.write(_numbered(notebook), target)
    return target


def _prune(widgets: dict) -> None:
    """What a widget's saved state leaves empty need not be said: it is empty by default."""
    for saved in widgets.values():
        for model in saved["state"].values():
            model["state"] = {k: v for k, v in model["state"].items() if v is not None}


def _numbered(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Widgets' random identifiers become numbers, in the order in which they were made."""
    text = json.dumps(notebook)  # before nbformat sorts it by them
    numbers = {name: f"{k:032x}" for k, name in enumerate(dict.fromkeys(RANDOM.findall(text)))}
    return nbformat.from_dict(json.loads(RANDOM.sub(lambda match: numbers[match[0]], text)))


def main(numbers: list[str]) -> None:
    """Run the notebooks of these numbers, one after the other."""
    os.environ.update(OWN)
    os.environ.pop("MPLBACKEND", None)  # figures go into the notebook
    for source in sorted(FOLDER.glob("[0-9][0-9]_*.py")):
        if not numbers or source.name[:2] in numbers:
            start = time.perf_counter()
            target = run(source)
            took = time.perf_counter() - start
            print(f"{target.name}: {took:.0f} s, {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
