"""Pictures that answer to sliders, and stay pictures where nothing runs. (explore, Explorer)"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kisslab import show

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def explore(draw: Callable[..., None], alt: str, **controls: Any) -> Explorer:
    """A picture under controls: whenever one is moved, `draw` is called with all their values.

    draw: draws one matplotlib figure, as `.plot()` of a record does; its keyword arguments are the
    controls' names. controls: ipywidgets with a `value` (sliders, menus, boxes). alt: the picture's
    description, for readers who cannot see it. Where no kernel runs, the picture of the controls'
    first values is shown.
    """
    return Explorer(draw, alt, controls)


class Explorer:
    """Controls over a picture."""

    def __init__(self, draw: Callable[..., None], alt: str, controls: dict[str, Any]):
        import ipywidgets  # half a second: only when there is something to move

        self.draw, self.alt, self.controls = draw, alt, controls
        _make_room(controls)
        # An Image that gets new bytes stays where it is; an Output that is cleared jumps.
        self._image = ipywidgets.Image(value=self._drawn())
        self._box = ipywidgets.VBox([*controls.values(), self._image])
        for control in controls.values():
            control.observe(self._redraw, names="value")

    @property
    def values(self) -> dict[str, Any]:
        """What the controls say now."""
        return {name: control.value for name, control in self.controls.items()}

    @property
    def picture(self) -> bytes:
        """The picture of those values, JPEG or PNG."""
        return bytes(self._image.value)

    def _drawn(self) -> bytes:
        self.draw(**self.values)
        return show.figure_bytes()

    def _redraw(self, change: object) -> None:
        self._image.value = self._drawn()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """The widget where there is a kernel; else its picture; else its description."""
        view = self._box._repr_mimebundle_()[WIDGET_VIEW]
        html = show.image_tag(self.picture, self.alt)
        return {WIDGET_VIEW: view, "text/html": html, "text/plain": self.alt}


def _make_room(controls: dict[str, Any]) -> None:
    """One width for all labels, so that none is cut off and the sliders begin in one line."""
    from ipywidgets.widgets.widget_description import DescriptionWidget

    labelled = [c for c in controls.values() if isinstance(c, DescriptionWidget)]
    longest = max((len(control.description) for control in labelled), default=0)
    for control in labelled:
        if not control.style.description_width:  # unless the author said how wide
            control.style.description_width = f"{longest + 2}ch"
