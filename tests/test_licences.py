"""The table of licences: complete, and nobody without one."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

import pytest

from kisslab.licences import licences


def test_requirements_of_requirements_are_listed_once() -> None:
    names = [row.name for row in licences("c2pa-python")]
    assert {"cryptography", "cffi", "requests", "certifi"} <= set(names)
    assert len(names) == len(set(names)) and "pytest" not in names


def test_everything_says_its_licence() -> None:
    try:
        distribution("kisslab")
    except PackageNotFoundError:
        pytest.skip("because kisslab is not installed, only imported from its folder")
    rows = {row.name: row.licence for row in licences()}
    assert {"torch", "distributed", "c2pa-python", "buffalo_l.zip"} <= set(rows)
    assert [name for name, licence in rows.items() if licence in ("not said", "UNKNOWN")] == []


def test_what_is_shipped_and_fetched_is_listed() -> None:
    rows = {row.name: row for row in licences("toml")}
    assert rows["buffalo_l.zip"].licence == "InsightFace model licence"
    assert rows["kiss/diffusion_pytorch_model.safetensors"].version == "shipped"
