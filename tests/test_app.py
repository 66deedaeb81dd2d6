"""The app's callbacks as plain functions: what is granted, shown, refused, and left on the disk."""

import tempfile
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from kisslab import zoo
from kisslab.app import OWN, KissApp, Upload, Wish, grant, kiss_app
from kisslab.composite import compose
from kisslab.consent import STATEMENT, ConsentError
from kisslab.explore import WIDGET_VIEW
from kisslab.guide import draw_guide
from kisslab.pipeline import Pipeline
from kisslab.video import load_clip, read_record

pytest.importorskip("ipywidgets")

QUICK = Pipeline(compose=partial(compose, height=96))
LEFT, RIGHT = (path.read_bytes() for path in zoo.demo_portraits())


@pytest.fixture(autouse=True)
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for everything temporary, so that what is left can be seen."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def quick(pipeline: Pipeline = QUICK) -> KissApp:
    app = kiss_app(pipeline)
    app.seconds.value = 0.5
    return app


def sent(name: str, data: bytes) -> tuple[dict, ...]:
    """What a browser's upload becomes."""
    when = datetime(2025, 1, 1, tzinfo=timezone.utc)
    said = {"name": name, "type": "", "size": len(data), "last_modified": when}
    return (said | {"content": memoryview(data)},)


def upload(app: KissApp, left: bytes, right: bytes, agreed: bool) -> KissApp:
    app.people.value, app.agreed.value = OWN, agreed
    app.left.value, app.right.value = sent("ana.jpg", left), sent("bo.jpg", right)
    return app


def test_two_packaged_people_kiss_at_a_press(tmp_path: Path, disk: Path) -> None:
    app = quick()
    app.style.value, app.seed.value = "peck", 7
    assert app.start() is app.start()  # a double click
    app.start().join()
    path = tmp_path / "shown.mp4"
    path.write_bytes(app.video.value)
    assert len(load_clip(path).frames) == len(app.run.clip.frames) == 12
    assert "plan_kiss(style='peck', seconds=0.5, seed=7)" in read_record(path)["settings"]
    assert app.video.layout.display is None and app.picture.layout.display == "none"
    assert "Done: 12 frames" in app.words.value and 'download="kiss.mp4"' in app.link.value
    assert all(note.split("'")[0] in app.notes.value for note in app.run.notes)
    assert not app.button.disabled and app.halt.disabled
    assert not list(disk.iterdir())


def test_uploads_without_the_statement_are_refused_before_anything_is_written(disk: Path) -> None:
    app = upload(quick(), LEFT, RIGHT, agreed=False)
    app.generate()
    assert 'role="alert"' in app.words.value and "need consent" in app.words.value
    assert app.run is None and not app.button.disabled and not list(disk.iterdir())


def test_the_statement_goes_into_the_clip(tmp_path: Path, disk: Path) -> None:
    app = upload(quick(), LEFT + b"\0", RIGHT, agreed=True)  # no longer the packaged file
    app.generate()
    assert app.run is not None, app.words.value
    path = tmp_path / "shown.mp4"
    path.write_bytes(app.video.value)
    record = read_record(path)
    assert record["consent"] == STATEMENT
    assert [photo["name"] for photo in record["photos"]] == ["ana.jpg", "bo.jpg"]
    assert not list(disk.iterdir())


def test_uploads_are_on_the_disk_only_while_stages_are_asked_for(disk: Path) -> None:
    uploads = tuple(Upload("us.jpg", np.frombuffer(data, np.uint8)) for data in (LEFT, RIGHT))
    stages = grant(Wish(uploads, True, "tender", 0.5, 0), QUICK)
    next(stages)
    (folder,) = disk.iterdir()
    assert len(list(folder.rglob("us.jpg"))) == 2 and folder.stat().st_mode & 0o077 == 0
    stages.close()
    assert not list(disk.iterdir())


@pytest.mark.parametrize(
    "name", ["../../evil.jpg", "C:\\me\\us.jpg", "/etc/us.jpg", "..", "", "a\0b\n.jpg", "x" * 999]
)
def test_a_file_is_never_written_where_its_name_says(name: str, disk: Path) -> None:
    wish = Wish((Upload(name, np.frombuffer(LEFT, np.uint8)),), True, "tender", 0.5, 0)
    stages = grant(wish, QUICK)
    next(stages)
    (file,) = [path for path in disk.parent.rglob("*") if path.is_file()]
    assert file.parents[2] == disk and file.read_bytes() == LEFT
    stages.close()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "ana.jpg: is empty"),
        (b"Dear diary, " * 9, "ana.jpg: is text, not a photo"),
        (LEFT[:5000], "ana.jpg: is damaged or cut off"),
    ],
)
def test_what_is_no_photo_is_said_in_one_line(data: bytes, words: str, disk: Path) -> None:
    app = upload(quick(), data, RIGHT, agreed=True)
    app.generate()
    assert words in app.words.value and "\n" not in app.words.value
    assert str(disk) not in app.words.value and not list(disk.iterdir())


def test_own_photos_have_to_be_given() -> None:
    app = quick()
    assert app.own.layout.display == "none"
    app.people.value = OWN
    assert app.own.layout.display is None
    app.generate()
    assert "no photo was uploaded" in app.words.value


def test_cancel_ends_it_after_the_stage_at_work(disk: Path) -> None:
    after = []

    def draw(*given):
        app.cancel()  # as if pressed while the guide is drawn
        return draw_guide(*given)

    pipeline = replace(QUICK, draw=draw, embed=lambda *given: after.append(given))
    app = quick(pipeline)
    app.generate()
    assert "Cancelled after the stage guide" in app.words.value
    assert not after and app.run is None and not list(disk.iterdir())
    assert app.video.layout.display == "none" and not app.button.disabled


def test_a_cancelled_app_starts_anew() -> None:
    app = quick(replace(QUICK, embed=lambda *given: [][0]))
    app.cancel()
    assert app.words.value == ""  # nothing is at work, so nothing is stopping
    app.generate()
    assert "IndexError: list index out of range" in app.words.value  # it came that far, and says it


def test_the_last_run_is_let_go_before_the_next_is_made() -> None:
    held = []
    app = quick(replace(QUICK, load=lambda path: held.append(app.run) or [][0]))
    app.run = "the last one"
    app.generate()
    assert held == [None] and app.run is None


def test_consent_is_no_matter_of_the_form_alone() -> None:
    wish = Wish((Upload("us.jpg", np.frombuffer(LEFT, np.uint8)),), False, "tender", 0.5, 0)
    with pytest.raises(ConsentError, match="tick"):
        next(grant(wish, QUICK))


def test_a_plain_viewer_gets_a_picture_and_its_description() -> None:
    bundle = kiss_app()._repr_mimebundle_()
    assert bundle[WIDGET_VIEW]["model_id"] and "Generate" not in bundle["text/html"]
    assert (
        bundle["text/html"].startswith('<img src="data:image/jpeg')
        and "alt=" in bundle["text/html"]
    )
