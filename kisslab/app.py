"""A small app: photos, a few choices, a button, a clip. (kiss_app, KissApp, Wish, Upload, grant)"""

from __future__ import annotations

import base64
import html
import io
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import Num, UInt8
from PIL import Image

from kisslab import show, zoo
from kisslab.consent import STATEMENT, ConsentError
from kisslab.explore import WIDGET_VIEW
from kisslab.photo import load_photo
from kisslab.pipeline import Pipeline, Run
from kisslab.plan import STYLES
from kisslab.records import Result, record

PORTRAITS, COUPLE, OWN = "two packaged portraits", "a packaged couple", "my own photos"
STAGES = [field.name for field in fields(Run)]
ALT = (
    "The two packaged portraits. With a running kernel there is a form above them: whose photos, "
    "kind of kiss, length and seed, and a button to generate."
)


@record
class Upload(Result):
    """A file as a browser sent it."""

    name: str  # as the sender calls it; nothing is believed of it
    data: UInt8[np.ndarray, " n"]


@record
class Wish(Result):
    """What somebody asks the app for."""

    photos: tuple[Path | Upload, ...]  # one of a couple, or two portraits
    agreed: bool  # everyone pictured is an adult and agreed
    style: str
    seconds: float
    seed: int


def kiss_app(pipeline: Pipeline = Pipeline()) -> KissApp:
    """A form that makes clips; show it in a notebook, or serve the notebook with voila.

    pipeline: what makes them; the form sets style, seconds and seed of its plan. The last clip's
    Run is the form's `run`, None while another one is made.
    """
    return KissApp(pipeline)


def grant(wish: Wish, pipeline: Pipeline) -> Iterator[tuple[str, Any]]:
    """The pipeline's stages for a wish, as `Pipeline.stages`; close it to stop.

    What was uploaded lies on the disk only while this runs, in a folder that others can't read.
    ConsentError: photos were uploaded without the statement; ValueError as the stages raise it.
    """
    if not wish.agreed and any(isinstance(photo, Upload) for photo in wish.photos):
        raise ConsentError(f'uploaded photos need consent: if it is so, tick "{STATEMENT}"')
    plan = partial(pipeline.plan, style=wish.style, seconds=wish.seconds, seed=wish.seed)
    statement = STATEMENT if wish.agreed else ""
    with TemporaryDirectory(prefix="kisslab-") as folder:
        paths = [_file(photo, Path(folder, str(i))) for i, photo in enumerate(wish.photos)]
        yield from replace(pipeline, plan=plan).stages(*paths, consent=statement)


class KissApp:
    """The controls, and what they do."""

    def __init__(self, pipeline: Pipeline):
        import ipywidgets as w  # half a second: only when there is something to press

        self.pipeline, self.run = pipeline, None
        self._thread = threading.Thread()  # the one at work; this one never was
        self._stopped = threading.Event()
        self._make_choices(w)
        self._make_result(w)
        self.people.observe(lambda _: self._choose(), names="value")
        self.button.on_click(lambda _: self.start())
        self.halt.on_click(lambda _: self.cancel())

    @property
    def wish(self) -> Wish:
        """What the controls say now. ValueError: own photos are wanted, and none was uploaded."""
        photos = {
            PORTRAITS: zoo.demo_portraits(),
            COUPLE: (zoo.data_path("portraits/couple_01.jpg"),),
        }
        chosen = photos.get(self.people.value) or self._uploads()
        asked = self.style.value, float(self.seconds.value), int(self.seed.value)
        return Wish(tuple(chosen), bool(self.agreed.value), *asked)

    def start(self) -> threading.Thread:
        """Generate in a thread of its own: a kernel that is busy would not hear Cancel.

        Who presses twice gets one clip.
        """
        if not self._thread.is_alive():
            self._thread = threading.Thread(target=self.generate, daemon=True)
            self._thread.start()
        return self._thread

    def cancel(self) -> None:
        """Stop when the stage at work has ended; without one there is nothing to do."""
        if self.halt.disabled:
            return
        self._stopped.set()
        self._say("Stopping after this stage …")

    def generate(self) -> None:
        """Make the clip that the controls ask for, and show it; or say in one line why not."""
        self._begin()
        try:
            self._finish(self._stages())
        except Exception as error:  # whatever it is, the person before the screen has to be told
            self._say(_one_line(error), error=True)
        finally:
            self.button.disabled, self.halt.disabled = False, True

    def _stages(self) -> dict[str, Any]:
        """Results by name; not all of them if it was cancelled."""
        results = {}
        with closing(grant(self.wish, self.pipeline)) as stages:
            for name, result in stages:
                results[name] = result
                self._step(name, result, len(results))
                if self._stopped.is_set():
                    break
        return results

    def _step(self, name: str, result: Any, done: int) -> None:
        self.progress.value = done
        if name == "photo":
            self.picture.value = _jpeg(result.rgb)
        if done < len(STAGES) and not self._stopped.is_set():
            self._say(f"{STAGES[done]} ({done + 1} of {len(STAGES)}) …")

    def _begin(self) -> None:
        self._stopped.clear()
        self.run = None  # two of them would take twice the memory
        self.button.disabled, self.halt.disabled = True, False
        self.progress.value, self.notes.value, self.link.value = 0, "", ""
        _visible(self.video, False)
        _visible(self.picture, True)
        self._say(f"{STAGES[0]} (1 of {len(STAGES)}) …")

    def _finish(self, results: dict[str, Any]) -> None:
        if len(results) < len(STAGES):
            return self._say(f"Cancelled after the stage {list(results)[-1]}; nothing is kept.")
        self.run = Run(**results)
        data = _file_bytes(self.run)
        self.video.value, self.link.value = data, _download(data)
        _visible(self.picture, False)
        _visible(self.video, True)
        self.notes.value = show.sentences(self.run.notes)
        frames = f"{len(self.run.clip.frames)} frames"
        self._say(f"Done: {frames}, {self.run.motion.style}, marked as AI-generated.")

    def _say(self, words: str, error: bool = False) -> None:
        colour, role = ("#D55E00", "alert") if error else ("inherit", "status")
        self.words.value = f'<p role="{role}" style="color: {colour}">{html.escape(words)}</p>'

    def _uploads(self) -> list[Upload]:
        sent = [file for box in (self.left, self.right) for file in box.value]
        if not sent:
            raise ValueError("no photo was uploaded: give one of a couple, or two portraits")
        return [Upload(f["name"], np.frombuffer(bytes(f["content"]), np.uint8)) for f in sent]

    def _choose(self) -> None:
        """Uploading and consent are asked for where they are needed."""
        _visible(self.own, self.people.value == OWN)

    def _make_choices(self, w: Any) -> None:
        wide, upload = {"description_width": "6em"}, w.Layout(width="20em")
        self.people = w.Dropdown(options=(PORTRAITS, COUPLE, OWN), description="Photos", style=wide)
        self.left = w.FileUpload(description="Left portrait, or a couple", layout=upload)
        self.right = w.FileUpload(description="Right portrait", layout=upload)
        self.agreed = w.Checkbox(description=STATEMENT, indent=False, layout=w.Layout(width="auto"))
        hint = w.HTML("<small>Up to 10 MB each, as much as Jupyter takes in one message.</small>")
        self.own = w.VBox([w.HBox([self.left, self.right]), hint, self.agreed])
        names = [style.name for style in STYLES]
        self.style = w.Dropdown(options=names, value="tender", description="Kiss", style=wide)
        self.seconds = w.FloatSlider(2.5, min=0.5, max=10, description="Seconds", style=wide)
        self.seed = w.BoundedIntText(0, min=0, max=2**31, description="Seed", style=wide)

    def _make_result(self, w: Any) -> None:
        self.button = w.Button(description="Generate", button_style="primary", icon="play")
        self.halt = w.Button(description="Cancel", icon="stop", disabled=True)
        self.progress = w.IntProgress(max=len(STAGES))
        self.words, self.notes, self.link = w.HTML(), w.HTML(), w.HTML()
        self.picture = w.Image(value=_first_picture(), layout=w.Layout(max_width="640px"))
        self.video = w.Video(value=b"", loop=True, layout=w.Layout(max_width="640px"))
        _visible(self.own, False)
        _visible(self.video, False)
        choices = [self.people, self.own, self.style, self.seconds, self.seed]
        buttons = w.HBox([self.button, self.halt, self.progress])
        result = [self.words, self.picture, self.video, self.link, self.notes]
        self.box = w.VBox([*choices, buttons, *result])

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """The form where there is a kernel; else its picture; else its description."""
        view = self.box._repr_mimebundle_()[WIDGET_VIEW]
        still = show.image_tag(bytes(self.picture.value), ALT)
        return {WIDGET_VIEW: view, "text/html": still, "text/plain": ALT}


def _file(photo: Path | Upload, folder: Path) -> Path:
    """Where the photo lies; an upload is written into the folder, under a name without tricks."""
    if isinstance(photo, Path):
        return photo
    plain = "".join(c for c in photo.name.replace("\\", "/").split("/")[-1] if c.isprintable())
    folder.mkdir()
    path = folder / (plain[-60:].lstrip(".") or "photo")  # the end, for the suffix is there
    path.write_bytes(photo.data.tobytes())
    return path


def _file_bytes(run: Run) -> bytes:
    with TemporaryDirectory(prefix="kisslab-") as folder:
        return run.save(Path(folder, "kiss.mp4")).read_bytes()


def _download(data: bytes) -> str:
    inside = f"data:video/mp4;base64,{base64.b64encode(data).decode()}"
    words = f"Download kiss.mp4 ({len(data) / 1000:.0f} kB)"
    look = "text-decoration: underline"  # Jupyter shows a link in a widget as plain text
    return f'<a download="kiss.mp4" style="{look}" href="{inside}">{words}</a>'


def _one_line(error: Exception) -> str:
    """What a user can mend as it is; anything else with its kind, to be reported."""
    words = " ".join(str(error).split())
    expected = isinstance(error, (ValueError, OSError, ImportError))
    return words if expected and words else f"{type(error).__name__}: {words}"


def _visible(widget: Any, visible: bool) -> None:
    widget.layout.display = None if visible else "none"


def _first_picture() -> bytes:
    return _jpeg(np.hstack([load_photo(path).rgb for path in zoo.demo_portraits()])[::4, ::4])


def _jpeg(rgb: Num[np.ndarray, "h w 3"]) -> bytes:
    memory = io.BytesIO()
    Image.fromarray(show.to_uint8(rgb)).save(memory, "JPEG", quality=80)
    return memory.getvalue()
