"""Oracle: what goes into a record comes out of its file, bit for bit, or a clear error does."""

import json
import pickle
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Optional

import jaxtyping
import numpy as np
import pytest

from kisslab import records
from kisslab.records import Result, atomic, record


@record
class Inner(Result):
    values: np.ndarray
    name: str


@record
class Other(Result):
    values: np.ndarray


@record
class Outer(Result):
    pixels: np.ndarray
    inner: Inner
    many: tuple[Inner, ...]
    pair: tuple[Inner, Other]
    arrays: tuple[np.ndarray, ...]
    words: tuple[str, ...]
    nested: tuple[tuple[int, int], ...]
    folder: Path
    number: float
    yes: bool
    either: Inner | Other
    maybe: Inner | None = None
    old_style: Optional[Other] = None  # noqa: UP045 (both ways of writing it must load)
    optional_many: tuple[Other, ...] | None = None
    home: Path | None = None


def inner(value: float, name: str = 'ein Käfer 🐞\n"quoted"') -> Inner:
    return Inner(np.full((2, 3), value, np.float32), name)


def outer(**changes: object) -> Outer:
    whole = Outer(
        pixels=np.arange(24, dtype=np.uint8).reshape(2, 4, 3),
        inner=inner(1.5),
        many=(inner(2), inner(3, "")),
        pair=(inner(4), Other(np.array(7.25))),
        arrays=(np.zeros((0, 3)), np.array([True, False])),
        words=("première", "第二"),
        nested=((1, 2), (3, 4)),
        folder=Path("some") / "place",
        number=0.1 + 0.2,
        yes=True,
        either=Other(np.array([1, 2])),
    )
    return replace(whole, **changes)


def same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and bool(np.array_equal(a, b))
    if isinstance(a, Result):
        pairs = zip(a.items(), b.items(), strict=True)
        return type(a) is type(b) and all(same(x, y) for (_, x), (_, y) in pairs)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"maybe": inner(9), "old_style": Other(np.array([9])), "home": Path("/x")},
        {"optional_many": (Other(np.eye(2)), Other(np.eye(3)))},
        {"optional_many": (), "many": (), "words": (), "either": inner(6)},
        {"number": float("inf"), "yes": False, "arrays": ()},
    ],
)
def test_everything_comes_back(tmp_path: Path, changes: dict) -> None:
    before = outer(**changes)
    after = Outer.load(before.save(tmp_path / "outer.npz"))
    assert same(before, after)


def test_same_can_tell_records_apart() -> None:
    assert not same(outer(), outer(number=0.3))
    assert not same(outer(), outer(many=(inner(2), inner(3.5, ""))))


def test_file_holds_no_pickle_and_plain_names(tmp_path: Path) -> None:
    with np.load(outer().save(tmp_path / "o.npz"), allow_pickle=False) as arrays:
        assert {"pixels", "inner/values", "many/1/values", "arrays/0"} <= set(arrays)
        assert not any(arrays[name].dtype.hasobject for name in arrays)
        assert json.loads(str(arrays["__header__"]))["record"] == "Outer"


@pytest.mark.parametrize("value", [np.array([{}]), {"a": 1}, [1, 2], {1}, b"bytes", 1j])
def test_what_a_record_cannot_hold_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(TypeError, match=r"name: a record can't hold"):
        inner(1, value).save(tmp_path / "bad.npz")
    assert not list(tmp_path.iterdir())


def test_numpy_scalars_come_back_as_numbers(tmp_path: Path) -> None:
    loaded = Inner.load(inner(1, np.float32(0.5)).save(tmp_path / "i.npz"))
    assert type(loaded.name) is float and loaded.name == 0.5


def test_arrays_are_read_only_also_in_tuples_and_after_loading(tmp_path: Path) -> None:
    mine = np.zeros(3)
    whole = outer(arrays=(mine,), pixels=np.zeros((1, 1, 3)))
    for each in (whole, Outer.load(whole.save(tmp_path / "o.npz"))):
        for array in (each.pixels, each.arrays[0], each.inner.values, each.many[0].values):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 1
    mine[0] = 5  # the caller's own array stays writable: a view was frozen
    with pytest.raises(FrozenInstanceError):
        whole.yes = False


def test_wrong_class_names_both(tmp_path: Path) -> None:
    path = inner(1).save(tmp_path / "inner.npz")
    with pytest.raises(ValueError, match=r"inner\.npz: holds a Inner, not a Other"):
        Other.load(path)


def card(**types: type) -> type[Result]:
    """One version of a record that changed over time."""
    return record(type("Card", (Result,), {"__annotations__": types}))


def test_newer_and_older_files_are_told_apart(tmp_path: Path) -> None:
    old, new = card(name=str), card(name=str, extra=int)
    new("a", 1).save(tmp_path / "newer.npz")
    old("a").save(tmp_path / "older.npz")
    with pytest.raises(ValueError, match=r"Card has no field \['extra'\]; update kisslab"):
        old.load(tmp_path / "newer.npz")
    with pytest.raises(ValueError, match=r"no \['extra'\]: an older Card; make it anew"):
        new.load(tmp_path / "older.npz")


def test_half_written_files_are_clear_errors(tmp_path: Path) -> None:
    path = inner(1).save(tmp_path / "whole.npz")
    data = path.read_bytes()
    for length in (0, 1, 30, len(data) // 2, len(data) - 1):
        (tmp_path / "half.npz").write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"half\.npz: not a kisslab record"):
            Inner.load(tmp_path / "half.npz")


def test_flipped_bits_are_clear_errors(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal(5000)
    data = bytearray(Other(noise).save(tmp_path / "noise.npz").read_bytes())
    data[2000:2010] = bytes(10)
    (tmp_path / "noise.npz").write_bytes(data)
    with pytest.raises(ValueError, match=r"noise\.npz: damaged"):
        Other.load(tmp_path / "noise.npz")


@pytest.mark.parametrize("kind", ["text", "npy", "npz", "pickle"])
def test_foreign_files_are_clear_errors(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "foreign"
    with open(path, "wb") as file:
        {
            "text": lambda: file.write(b"hello"),
            "npy": lambda: np.save(file, np.zeros(3)),
            "npz": lambda: np.savez(file, a=np.zeros(3)),
            "pickle": lambda: pickle.dump({"a": 1}, file),
        }[kind]()
    with pytest.raises(ValueError, match=r"foreign: not a kisslab record; write one with \.save"):
        Inner.load(path)


def test_atomic_renames_only_on_success(tmp_path: Path) -> None:
    target = tmp_path / "result.txt"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic(target) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]
    with atomic(target) as part:
        part.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new" and list(tmp_path.iterdir()) == [target]


def test_atomic_files_have_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with atomic(tmp_path / "result"):
        pass
    assert (tmp_path / "result").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_atomic_says_what_is_wrong_with_the_place(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder; make it first"):
        atomic(tmp_path / "nowhere" / "a.npz").__enter__()
    with pytest.raises(IsADirectoryError, match="is a folder; name a file"):
        atomic(tmp_path).__enter__()
    with atomic(tmp_path / ("x" * 250 + ".npz")):
        pass  # mkstemp's own letters must not make the name too long


def test_records_are_not_compared_by_value() -> None:
    a, b = inner(1), inner(1)
    assert a == a and a != b and len({a, b}) == 2


def test_text_and_html_are_deterministic_and_escaped() -> None:
    text = repr(outer())
    assert text == repr(outer()) and text.startswith("Outer(pixels=2 x 4 x 3, inner=Inner")
    html = inner(2, "<script>")._repr_html_()
    assert html == inner(2, "<script>")._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert "2 x 3" in html and "float32" in html and "2 .. 2" in html


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array([0.0, np.nan, 2.0]), ("3", "float64", "0 .. 2")),
        (np.full(2, np.nan), ("2", "float64", "no finite value")),
        (np.array([True, True, False, False]), ("4", "bool", "50.0% true")),
        (np.zeros((0, 2)), ("0 x 2", "float64", "")),
        (np.array(3), ("scalar", "int64", "3 .. 3")),
        (np.array(["a"]), ("1", "<U1", "")),
        (("a", 1), ("2 items", "int | str", "('a', 1)")),
        (1 / 3, ("0.3333", "float", "")),
        ("x" * 70, ("x" * 59 + "…", "str", "")),
        (None, ("None", "NoneType", "")),
    ],
)
def test_describe(value: object, expected: tuple[str, str, str]) -> None:
    assert records.describe(value) == expected


def motion(**changes: object) -> Result:
    from kisslab.keyframes import Keyframes, Track
    from kisslab.motion import PHASES, Motion

    t, track = 4, Track(0, "yaw", (0.0, 1.0), (0.0, 60.0))
    whole = {
        "position": np.zeros((t, 2, 3)),
        "angles": np.zeros((t, 2, 3)),
        "eyelids": np.zeros((t, 2)),
        "pucker": np.zeros((t, 2)),
        "parting": np.zeros((t, 2)),
        "gaze": np.zeros((t, 2, 2)),
        "breath": np.zeros((t, 2)),
        "gap": np.zeros(t),
        "phases": (PHASES[0],) * t,
        "anchors": ("lips", "lips"),
        "style": "tender",
        "fps": 24.0,
        "unit": 80.0,
        "origin": np.zeros(2),
        "keyframes": Keyframes("tender", 0.2, 24.0, ("lips", "lips"), (track,)),
    }
    return Motion(**{**whole, **changes})


def test_shapes_are_checked_under_pytest() -> None:
    assert len(motion().gap) == 4
    for wrong in (
        {"gap": np.zeros((4, 1))},  # wrong rank
        {"gap": np.zeros(5)},  # disagrees on T with the other fields
        {"eyelids": np.zeros((3, 2))},
        {"position": np.zeros((4, 2, 2))},  # wrong fixed axis
        {"gaze": np.zeros((4, 2, 2), int)},  # wrong dtype
        {"fps": "24"},
    ):
        with pytest.raises((jaxtyping.TypeCheckError, TypeError)):
            motion(**wrong)


def test_motion_comes_back(tmp_path: Path) -> None:
    before = motion(angles=np.random.default_rng(0).normal(size=(4, 2, 3)))
    assert same(before, type(before).load(before.save(tmp_path / "motion.npz")))
