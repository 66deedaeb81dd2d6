"""Everything about a person that is made once and then drawn many times. (Built, build)"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from kisslab.studio import skinmap
from kisslab.studio.body import Body, build_body
from kisslab.studio.head import Head, build_head
from kisslab.studio.person import Person


@dataclass(frozen=True, eq=False)
class Built:
    """Everything about a person that is made once."""

    head: Head
    body: Body
    skin: skinmap.SkinMap

    def to(self, device: torch.device) -> Built:
        """The same on another device."""
        if device.type == "cpu":
            return self
        head = {
            name: getattr(self.head, name).to(device) for name in ("coarse", "face", "ear", "rough")
        }
        return Built(
            replace(self.head, **head),
            replace(self.body, volume=self.body.volume.to(device)),
            skinmap.SkinMap(self.skin.values.to(device)),
        )


def build(person: Person) -> Built:
    """Bake a person's fields and texture; kept for the six people used last."""
    return _build(_ByValue(person))


class _ByValue:
    """A person that equals a copy of itself: one that came from another process, say."""

    def __init__(self, person: Person):
        values = (value for _, value in person.items())
        self.key = tuple(v.tobytes() if isinstance(v, np.ndarray) else v for v in values)
        self.person = person

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByValue) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@lru_cache(maxsize=6)
def _build(same: _ByValue) -> Built:
    with torch.no_grad():
        head = build_head(same.person)
        return Built(head, build_body(same.person), skinmap.draw(head))
