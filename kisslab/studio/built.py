"""Everything about a person that is made once and then drawn many times. (Built, build)"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

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


@lru_cache(maxsize=6)
def build(person: Person) -> Built:
    """Bake a person's fields and texture; kept for the six people used last."""
    with torch.no_grad():
        head = build_head(person)
        return Built(head, build_body(person), skinmap.draw(head))
