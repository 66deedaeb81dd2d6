"""The outline of a cut-out person, row by row, and the lengths of the head. (Outline, smoothstep)

Proportions: Farkas, "Anthropometry of the Head and Face", 1994, as shares of the face width between
the tragi.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter1d

from kisslab import anatomy as at
from kisslab.faces import FaceError

ROWS = 128
INSET = 0.012  # the closed body ends this far inside the outline, whose pixels are half background
EAR_DEPTH = 0.27  # head's widest section behind the oval's side points, face widths


class Outline:
    """The outline of a person, row by row, and the few lengths that everything is measured in."""

    def __init__(self, alpha: Float[np.ndarray, "H W"], points: Float[np.ndarray, "478 3"]):
        right, left = points[at.RIGHT_TRAGUS], points[at.LEFT_TRAGUS]
        self.width = float(np.linalg.norm(left - right))
        self.height = float(np.linalg.norm(points[at.FOREHEAD, :2] - points[at.CHIN, :2]))
        self.middle = float((left[0] + right[0]) / 2)
        self.forehead, self.chin = float(points[at.FOREHEAD, 1]), float(points[at.CHIN, 1])
        self.rim = float((left[2] + right[2]) / 2 + EAR_DEPTH * self.width)
        solid = self._piece(alpha > 0.8, points[at.NOSE_TIP])
        filled = np.flatnonzero(solid.any(1))
        bottom = min(filled[-1], self.chin + 1.1 * self.height)
        # A row above the crown, as wide as the first: the matte cuts the hair's own round from it.
        self.y = np.linspace(filled[0] - 0.02 * self.height, bottom, ROWS)
        lines = solid[np.maximum(self.y.astype(int), filled[0] + 1)]
        inset = INSET * self.width
        left_edge = gaussian_filter1d(lines.argmax(1).astype(float), 1.2) + inset
        right_edge = solid.shape[1] - 1 - lines[:, ::-1].argmax(1)
        right_edge = gaussian_filter1d(right_edge.astype(float), 1.2) - inset
        self.centre = (left_edge + right_edge) / 2
        self.half = np.maximum((right_edge - left_edge) / 2, 1.0)
        head = (self.y > self.forehead) & (self.y < self.forehead + 0.5 * self.height)
        self.head_half = float(np.percentile(self.half[head], 70))

    @staticmethod
    def _piece(mask: Bool[np.ndarray, "H W"], inside: Float[np.ndarray, "3"]) -> np.ndarray:
        _, labels = cv2.connectedComponents(mask.astype(np.uint8))
        x, y = np.clip(inside[:2].astype(int), 0, np.array(mask.shape[::-1]) - 1)
        if labels[y, x] == 0:
            raise FaceError(
                f"the nose at {x}, {y} of {mask.shape[1]} x {mask.shape[0]} px is not in the matte "
                "of its person; give the cutout of this very photo and these faces"
            )
        return labels == labels[y, x]

    def across(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """-1 at the left outline, 1 at the right one."""
        centre, half = np.interp(y, self.y, self.centre), np.interp(y, self.y, self.half)
        return np.clip((x - centre) / half, -1, 1)

    def round_top(self, start: float) -> Float[np.ndarray, " R"]:
        """1 below `start`, falling as a circle does to 0 at the crown."""
        up = np.clip((start - self.y) / (start - self.y[0] + 1), 0, 1)
        return np.sqrt(1 - up**2)


def smoothstep(t: np.ndarray) -> np.ndarray:
    """Smoothstep, 3t^2 - 2t^3, clamped to 0..1."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)
