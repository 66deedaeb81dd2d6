"""Models from the Hugging Face Hub, and why one can't be had, in a line. (fetched)"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from diffusers import DiffusionPipeline
from huggingface_hub import constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from kisslab.zoo import ModelMissing

ELSEWHERE = (
    "fetch it where there is internet (hf download {model} --local-dir FOLDER) and give the folder"
)
# The first kind of error that is found decides what is said.
REASONS = (
    (
        GatedRepoError,
        "is gated; accept its terms at {address} with your account, then: hf auth login",
    ),
    (
        RepositoryNotFoundError,
        "no such model on the Hub, or a private one; check the spelling, or: hf auth login",
    ),
    (RevisionNotFoundError, "has no such revision; leave it out"),
    (
        OfflineModeIsEnabled,
        "is not in the cache, and HF_HUB_OFFLINE=1 forbids fetching it; " + ELSEWHERE,
    ),
    (
        (httpx.TransportError, ConnectionError),
        "is not in the cache, and the Hub can't be reached; " + ELSEWHERE,
    ),
    (LocalEntryNotFoundError, "is not in the cache; " + ELSEWHERE),
    (
        EntryNotFoundError,
        "lacks a file that is needed, so it is no model in diffusers format; look for one whose "
        "name ends in -diffusers",
    ),
    (HfHubHTTPError, "could not be fetched; try again later, or " + ELSEWHERE),
)


def fetched(kind: type | None, model: str, options: dict[str, Any]) -> Path:
    """A pipeline's folder, a single network's, or (kind None) one file, from cache or Hub.

    options: token, revision, variant; filename for a file. ModelMissing: why not, and what to do.
    """
    with _explained(model):
        if kind is None:
            return Path(hf_hub_download(model, **options))
        if issubclass(kind, DiffusionPipeline):
            return Path(kind.download(model, use_safetensors=True, **options))
        options = {name: value for name, value in options.items() if name != "variant"}
        wanted = ["config.json", "*.safetensors"]
        return Path(snapshot_download(model, allow_patterns=wanted, **options))


@contextmanager
def _explained(model: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, httpx.HTTPError, HfHubHTTPError) as error:
        chain = list(_causes(error))
        for kind, words in REASONS:
            if any(isinstance(one, kind) for one in chain):
                address = f"{constants.ENDPOINT}/{model}"
                words = words.format(model=model, address=address)
                raise ModelMissing(f"{model}: {words}") from error
        raise


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
