"""What every pixel of a portrait belongs to. (find_parts, Parts, PARTS)"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from kisslab import show, zoo
from kisslab.records import Result, record

PARTS = ("background", "skin", "hair", "clothes", "glasses")
FRAME = 256  # pixels: side of the picture that the network sees


@record
class Parts(Result):
    """Shares of PARTS in every pixel; they sum to 1."""

    shares: Float[np.ndarray, "5 H W"]

    @property
    def matte(self) -> Float[np.ndarray, "H W"]:
        """How much of every pixel is people, 0..1."""
        return 1 - self.shares[0]

    @property
    def labels(self) -> UInt8[np.ndarray, "H W"]:
        """The likeliest part, an index into PARTS."""
        return self.shares.argmax(0).astype(np.uint8)

    def plot(self, ax: object | None = None) -> None:
        """One picture a part, and the matte."""
        show.sheet([*self.shares, self.matte], [*PARTS, "people"], ax=ax)


def find_parts(rgb: Float[np.ndarray, "H W 3"]) -> Parts:
    """Skin, hair, clothes and glasses of everybody in a picture in [0, 1].

    The network sees the picture with its longer side at 256 pixels; the answer is smooth between.
    Trained on the studio's exact truth and, for photographs, on what GrabCut was sure of.
    """
    height, width = rgb.shape[:2]
    scale = FRAME / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(rgb.astype(np.float32), size, interpolation=_way(scale))
    right, below = FRAME - size[0], FRAME - size[1]
    frame = cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_REPLICATE)
    frame = np.clip(frame, 0, 1).transpose(2, 0, 1)[None]
    (shares,) = _session().run(None, {"input": np.ascontiguousarray(frame)})
    shares = shares[0, :, : size[1], : size[0]].transpose(1, 2, 0)
    shares = cv2.resize(shares, (width, height), interpolation=cv2.INTER_LINEAR)
    return Parts(shares=np.ascontiguousarray(shares.transpose(2, 0, 1)))


def _way(scale: float) -> int:
    return cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR


@lru_cache
def _session() -> object:
    """Read once per process."""
    from onnxruntime import InferenceSession

    path = zoo.data_path("models/kisslab-parts/parts.onnx")
    return InferenceSession(path, providers=["CPUExecutionProvider"])
