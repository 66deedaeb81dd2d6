"""Models that can't be used, each wrong in one way. (BAD_MODELS, tried, hub_at)

The Hub is a server on this machine that answers as the real one does; nothing leaves it.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import patch

import torch
from huggingface_hub import constants, hf_api

from kisslab.backends import WanVideoToVideo

NAME = "someone/some-model-diffusers"
Try = Callable[[Path, Path], object]


def gated(folder: Path, work: Path) -> object:
    """The Hub knows the model and wants its terms accepted."""
    with hub_at(work, gate=True):
        return _load(NAME)


def missing(folder: Path, work: Path) -> object:
    """A folder that is not there."""
    return _load(work / "nowhere")


def unknown(folder: Path, work: Path) -> object:
    """The Hub does not know the model."""
    with hub_at(work):
        return _load(NAME)


def partial(folder: Path, work: Path) -> object:
    """One shard of two is missing."""
    place = _copied(folder, work) / "transformer"
    shard = place / "diffusion_pytorch_model-00001-of-00002.safetensors"
    (place / "diffusion_pytorch_model.safetensors").rename(shard)
    shards = {"a": shard.name, "b": shard.name.replace("00001", "00002", 1)}
    index = place / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": shards}))
    return _load(place.parent)


def cut_off(folder: Path, work: Path) -> object:
    """A download that stopped within a file."""
    place = _copied(folder, work)
    file = place / "transformer/diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return _load(place)


def partless(folder: Path, work: Path) -> object:
    """A whole part is missing."""
    place = _copied(folder, work)
    shutil.rmtree(place / "vae")
    return _load(place)


def wrong_type(folder: Path, work: Path) -> object:
    """A pipeline that makes pictures."""
    place = _copied(folder, work)
    index = place / "model_index.json"
    kind = {**json.loads(index.read_text()), "_class_name": "StableDiffusionPipeline"}
    index.write_text(json.dumps(kind))
    return _load(place)


def offline(folder: Path, work: Path) -> object:
    """HF_HUB_OFFLINE=1, and the model is not in the cache."""
    with hub_at(work), patch.object(constants, "HF_HUB_OFFLINE", True):
        return _load(NAME)


def unreachable(folder: Path, work: Path) -> object:
    """Nobody answers."""
    with hub_at(work) as server:
        server.shutdown()
        server.server_close()
        return _load(NAME)


# What the message must name: the trouble, and what to do.
BAD_MODELS: dict[str, tuple[Try, str, str]] = {
    "gated": (gated, "gated", "hf auth login"),
    "missing": (missing, "no such folder", "give a folder"),
    "unknown": (unknown, "no such model", "check the spelling"),
    "partial": (partial, "00002-of-00002", "fetch it again"),
    "cut_off": (cut_off, "cut off", "fetch it again"),
    "partless": (partless, "vae/ is not there", "fetch it again"),
    "wrong_type": (wrong_type, "StableDiffusionPipeline", "WanVideoToVideoPipeline"),
    "offline": (offline, "HF_HUB_OFFLINE", "hf download"),
    "unreachable": (unreachable, "can't be reached", "hf download"),
}


def tried(name: str, folder: Path, work: Path) -> str:
    """The message of the error that a bad model gives; folder: a good WanVideoToVideo."""
    try:
        BAD_MODELS[name][0](folder, work)
    except (OSError, ValueError) as error:
        return str(error)
    return ""


@contextmanager
def hub_at(work: Path, gate: bool = False) -> Iterator[ThreadingHTTPServer]:
    """Within this context a server here is the Hub: of a gated model, or of none at all."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Gated if gate else _Empty)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    with ExitStack() as stack:
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        stack.enter_context(patch.object(constants, "ENDPOINT", address))
        stack.enter_context(patch.object(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template))
        stack.enter_context(patch.object(constants, "HF_HUB_CACHE", str(work / "cache")))
        stack.enter_context(patch.object(hf_api.api, "endpoint", address))
        yield server


class _Empty(BaseHTTPRequestHandler):
    """Answers as the Hub does for a model that is not there, or private."""

    def do_GET(self) -> None:
        self.answer(401, {"X-Error-Code": "RepoNotFound"}, b"{}")

    do_HEAD = do_GET

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Quiet."""


class _Gated(_Empty):
    """As the Hub: everybody may know of a gated model, its files are for those who agreed."""

    def do_GET(self) -> None:
        if not self.path.startswith("/api/models/"):
            self.answer(403, {"X-Error-Code": "GatedRepo"}, b"{}")
            return
        files = [{"rfilename": "model_index.json"}]
        known = {"id": NAME, "sha": "0" * 40, "gated": "auto", "siblings": files}
        self.answer(200, {"Content-Type": "application/json"}, json.dumps(known).encode())

    do_HEAD = do_GET


def _load(model: str | Path) -> WanVideoToVideo:
    return WanVideoToVideo(str(model), dtype=torch.float32, device="cpu")


def _copied(folder: Path, work: Path) -> Path:
    return Path(shutil.copytree(folder, work / "model"))
