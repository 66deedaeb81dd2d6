"""Results as records: frozen dataclasses that show, save and load themselves.

(record, Result, atomic, read_text, describe)
"""

from __future__ import annotations

import json
import os
import tempfile
import typing
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union

import numpy as np
from typing_extensions import dataclass_transform

Self = TypeVar("Self", bound="Result")
MAX_TEXT = 32 * 2**20  # bytes; plans and tables of people have a thousandth
# A record that unpacks to so much more than the file is a bomb, not pictures: they pack tenfold.
MAX_RATIO, SMALL = 500, 256 * 2**20


@dataclass_transform(frozen_default=True, eq_default=False)
def record(cls: type) -> type:
    """A frozen dataclass without == and hash (arrays have neither) and with Result's repr."""
    return dataclass(frozen=True, eq=False, repr=False)(cls)


class Result:
    """Base of every record. Fields are arrays, numbers, strings, tuples of those, or records."""

    def __post_init__(self) -> None:
        """Arrays become read-only views: a frozen record does not change under its reader."""
        for name, value in self.items():
            object.__setattr__(self, name, _read_only(value))

    def items(self) -> list[tuple[str, Any]]:
        """Pairs of field name and value, in the order of the class."""
        return [(f.name, getattr(self, f.name)) for f in fields(self)]

    def __repr__(self) -> str:
        rows = ", ".join(f"{name}={describe(value)[0]}" for name, value in self.items())
        return f"{type(self).__name__}({rows})"

    def _repr_html_(self) -> str:
        from kisslab import show  # downward imports only: show draws, records hold

        return show.table(type(self).__name__, [(n, *describe(v)) for n, v in self.items()])

    def save(self, path: str | Path) -> Path:
        """Write the record as one .npz without pickle; a half-written file never has its name."""
        path = Path(path)
        arrays: dict[str, np.ndarray] = {}
        header = {"record": type(self).__name__, "fields": _pack(self, "", arrays)}
        arrays["__header__"] = np.array(json.dumps(header))
        with atomic(path) as part, open(part, "wb") as file:
            np.savez_compressed(file, **arrays)
        return path

    @classmethod
    def load(cls: type[Self], path: str | Path) -> Self:
        """Read what `save` wrote. ValueError: damaged, not a record, or another kind of record."""
        with _opened(path) as arrays:
            header = json.loads(str(arrays["__header__"]))
            if header["record"] != cls.__name__:
                raise ValueError(f"{path}: holds a {header['record']}, not a {cls.__name__}")
            return _unpack(cls, header["fields"], arrays)


class atomic:
    """A temporary path beside `path`, renamed to it at the end, or removed if anything failed.

    >>> with atomic("clip.mp4") as part: write(part)
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def __enter__(self) -> Path:
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"{self.path.parent}: no such folder; make it first")
        if self.path.is_dir():
            raise IsADirectoryError(f"{self.path}: is a folder; name a file")
        name = f".{self.path.stem[:40]}-"  # a long name plus mkstemp's letters may be too long
        try:
            handle, part = tempfile.mkstemp(self.path.suffix, name, dir=self.path.parent)
        except PermissionError as error:
            raise PermissionError(
                f"{self.path.parent}: no permission to write here; choose another folder"
            ) from error
        os.close(handle)
        self.part = Path(part)
        return self.part

    def __exit__(self, kind: type | None, error: object, trace: object) -> None:
        if kind is None:
            umask = os.umask(0)
            os.umask(umask)
            self.part.chmod(
                0o666 & ~umask
            )  # mkstemp makes private files; a result is an ordinary one
            with self.part.open("rb") as file:
                os.fsync(file.fileno())  # else a power cut may leave the name without the bytes
            self.part.replace(self.path)
        else:
            self.part.unlink(missing_ok=True)


def read_text(path: str | Path) -> str:
    """The text of a plan or a table. ValueError: no ordinary file, too large, or not UTF-8."""
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: is not an ordinary file; give one with text in it")
    if path.stat().st_size > MAX_TEXT:
        raise ValueError(f"{path}: is larger than {MAX_TEXT >> 20} MB; is it the right file?")
    try:
        return path.read_text(encoding="utf-8-sig")  # spreadsheets put a mark in front
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: is no text in UTF-8; from a spreadsheet, save the table as CSV UTF-8"
        ) from error


def describe(value: Any) -> tuple[str, str, str]:
    """Deterministic text for a value: (shape or value, dtype or type, range)."""
    if isinstance(value, np.ndarray):
        shape = " x ".join(map(str, value.shape)) or "scalar"
        return shape, str(value.dtype), _range(value)
    if isinstance(value, Result):
        return type(value).__name__, "record", ""
    if isinstance(value, tuple):
        kinds = sorted({type(v).__name__ for v in value})
        held = any(isinstance(v, Result) for v in value)  # records may name files of this machine
        return f"{len(value)} items", " | ".join(kinds), "" if held else _shorten(value)
    if isinstance(value, float):
        return f"{value:.4g}", "float", ""
    return _shorten(value), type(value).__name__, ""


def _read_only(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.flags.writeable:
        value = value.view()
        value.flags.writeable = False
    elif type(value) is tuple:  # a named tuple stays what it is
        value = tuple(_read_only(v) for v in value)
    return value


def _range(array: np.ndarray) -> str:
    if array.size == 0 or array.dtype.kind not in "biuf":
        return ""
    if array.dtype.kind == "b":
        return f"{array.mean():.1%} true"
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    return f"{finite.min():.4g} .. {finite.max():.4g}" if finite.size else "no finite value"


def _shorten(value: Any, width: int = 60) -> str:
    text = str(value)
    return text if len(text) <= width else text[: width - 1] + "…"


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    """The arrays of a record's file; whatever is wrong with the file is one ValueError."""
    try:
        arrays = np.load(path, allow_pickle=False)
        if not isinstance(arrays, np.lib.npyio.NpzFile) or "__header__" not in arrays:
            raise zipfile.BadZipFile("no header")
        _check_room(Path(path), arrays.zip.infolist())
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise ValueError(f"{path}: not a kisslab record; write one with .save(path)") from error
    with arrays:
        try:
            yield arrays
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            KeyError,
            StopIteration,
            TypeError,
            AttributeError,
            OverflowError,
            MemoryError,
            RecursionError,
            NotImplementedError,
        ) as error:
            raise ValueError(f"{path}: damaged ({error}); write it again") from error


def _check_room(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """ValueError for a bomb, before anything of it is unpacked."""
    size = sum(member.file_size for member in members)
    packed = max(1, sum(member.compress_size for member in members))
    if size > SMALL and size > MAX_RATIO * packed:
        raise ValueError(
            f"{size / 1e9:.1f} GB in a file of {packed / 1e6:.1f} MB; that is no record"
        )


def _pack(result: Result, prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Arrays go into `arrays` under 'outer/inner' names, everything else into the JSON header."""
    return {name: _pack_value(value, prefix + name, arrays) for name, value in result.items()}


def _pack_value(value: Any, key: str, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:  # objects would need pickle
        arrays[key] = value
        return {"array": key}
    if isinstance(value, Result):
        return {"record": type(value).__name__, "fields": _pack(value, key + "/", arrays)}
    if isinstance(value, tuple):
        return {"tuple": [_pack_value(v, f"{key}/{i}", arrays) for i, v in enumerate(value)]}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic):
        value = value.item()  # a numpy scalar comes back as Python's own number
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{key}: a record can't hold {type(value).__name__}; use arrays, tuples, text")


def _unpack(cls: type[Self], values: dict[str, Any], arrays: Any) -> Self:
    hints = typing.get_type_hints(cls)
    known = {f.name for f in fields(cls)}
    if set(values) - known:
        raise ValueError(
            f"{cls.__name__} has no field {sorted(set(values) - known)}; update kisslab"
        )
    needed = {f.name for f in fields(cls) if f.default is f.default_factory is MISSING}
    if needed - set(values):
        raise ValueError(
            f"no {sorted(needed - set(values))}: an older {cls.__name__}; make it anew"
        )
    return cls(**{name: _unpack_value(v, hints[name], arrays) for name, v in values.items()})


def _unpack_value(value: Any, hint: Any, arrays: Any) -> Any:
    choices = typing.get_args(hint) if typing.get_origin(hint) in (Union, UnionType) else (hint,)
    if not isinstance(value, dict):
        return Path(value) if Path in choices and value is not None else value
    if "array" in value:
        return arrays[value["array"]]
    if "tuple" in value:
        return _unpack_tuple(value["tuple"], choices, arrays)
    kind = next(c for c in choices if getattr(c, "__name__", "") == value["record"])
    return _unpack(kind, value["fields"], arrays)


def _unpack_tuple(values: list[Any], choices: tuple[Any, ...], arrays: Any) -> tuple[Any, ...]:
    hint = next((c for c in choices if typing.get_origin(c) is tuple), tuple[Any, ...])
    hints = [h for h in typing.get_args(hint) if h is not Ellipsis]
    if Ellipsis in typing.get_args(hint):
        hints = hints * len(values)
    return tuple(_unpack_value(v, h, arrays) for v, h in zip(values, hints, strict=True))
