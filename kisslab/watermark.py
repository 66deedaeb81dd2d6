"""A mark that nobody sees and that re-encoding and resizing leave in the picture.
(choose_pattern, add_watermark, read_watermark, bits_of, Watermark)

Spread spectrum (Cox, Kilian, Leighton and Shamoon 1997): every bit pushes some three hundred
frequencies of the whole picture a little, up or down by signs that a table holds. They are
frequencies of the picture and not of its pixels, so a smaller copy still has them. Whoever adds the
mark knows the clip, and pushes only as far as is needed (informed embedding, Miller, Doerr and Cox
2004). One pattern serves all frames: what moves averages out, and a video codec stores it once.

The table is public: whoever reads it can take the mark out, or put it in. It is for files that lost
their credential on their way, not against an enemy. Cropping and turning lose it too.
"""

from __future__ import annotations

import binascii
import functools
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.fft import dctn, idctn

from kisslab import show
from kisslab.records import Result, record

SIDE = 256  # of the square to which every picture is brought
LOWEST, HIGHEST = 32, 100  # half waves across it; below, the picture itself is too strong
SMALLEST = 112  # pixels; a smaller picture does not have these frequencies
MARGIN = 21.0  # of each bit, in the units of the cosine transform; the pictures have some 20 there
ROUNDS = 5  # rounding, resizing and the mask each lose a little of a push
FLAT, BUSY = 0.2, 4.0  # least share on flat ground; grey levels of texture that hide all
# Of the median push, below which nothing was pushed. Marked clips have 9 and more, 3 at a sixth of
# their contrast; flat ground has 0, or 1.3 with a camera's noise; stripes push few of the bits.
FLOOR = 1.5
BITS, DATA = 24, 12  # of a word of Golay's extended code: it mends any three wrong bits
WORDS = 4  # they carry 32 bits of message and 16 that check them
Frame = UInt8[np.ndarray, "_h _w 3"]
Square = Float[np.ndarray, "256 256"]


@record
class Watermark(Result):
    """What was read out of a clip."""

    message: str  # eight hexadecimal digits; empty: there is none, or it can't be read any more
    pushes: Float[np.ndarray, "96"]  # of each bit; its sign is the bit
    bits: Int[np.ndarray, "96"]  # 0 or 1, before any error is mended

    def plot(self, ax: object | None = None) -> None:
        """The push of each bit: beyond +-MARGIN where there is a mark, else anything."""
        numbers = np.arange(len(self.pushes), dtype=float)
        show.curve(numbers, {self.message or "no mark": self.pushes}, ax=ax, x_label="bit")


def choose_pattern(frames: Iterable[Frame], message: str) -> Square:
    """Grey levels to add to a clip, so that these frames' mean says `message` with MARGIN to spare.

    message: eight hexadecimal digits. Zeros for frames with a side of less than SMALLEST pixels.
    ValueError: another message, or no frames.
    """
    signs, frames = 2.0 * bits_of(message) - 1, list(frames)
    pattern = np.zeros((SIDE, SIDE), np.float32)
    if not frames:
        raise ValueError("no frames to choose a watermark for; give at least one")
    if min(frames[0].shape[:2]) < SMALLEST:
        return pattern
    room = np.min([_room(_square(frame)) for frame in frames], axis=0)
    for _ in range(ROUNDS):
        pushes = np.mean([_pushes(_square(one)) for one in add_watermark(frames, pattern)], axis=0)
        lack = np.maximum(0, MARGIN - signs * pushes)  # what is there already needs no push
        pattern += room * _picture(signs * lack) / room.mean()
    return pattern


def add_watermark(frames: Iterable[Frame], pattern: Square) -> Iterator[Frame]:
    """Each frame plus the pattern, brought to its size and rounded, as they come."""
    large = None
    for frame in frames:
        if large is None:
            size = frame.shape[1::-1]
            levels = cv2.resize(pattern, size, interpolation=cv2.INTER_CUBIC)
            large = np.rint(levels).astype(np.int16)[..., None]
        yield np.clip(frame + large, 0, 255).astype(np.uint8)


def read_watermark(frames: Iterable[Frame]) -> Watermark:
    """The mark of a clip, in the mean of its frames. ValueError: no frames."""
    pushes = [_pushes(_square(frame)) for frame in frames]
    if not pushes:
        raise ValueError("no frames to read a watermark from; give at least one")
    mean = np.mean(pushes, axis=0)
    pushed = np.median(np.abs(mean)) > FLOOR  # else zeros fit best, and their CRC-16 is zero too
    return Watermark(_decoded(mean) if pushed else "", mean, (mean > 0).astype(int))


def _square(frame: Frame) -> Square:
    """The grey levels of a picture, brought to SIDE x SIDE."""
    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _room(grey: Square) -> Square:
    """How much the eye lets pass: most where the picture is busy (masking), least where flat."""
    texture = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 3))
    return np.clip(cv2.GaussianBlur(texture, (0, 0), 3) / BUSY, FLAT, 1.2)


def _pushes(grey: Square) -> Float[np.ndarray, "96"]:
    """The picture's product with each bit's pattern, all of unit length."""
    rows, columns, signs = _carriers()
    return (dctn(grey, norm="ortho")[rows, columns] * signs).sum(axis=1) / signs.shape[1] ** 0.5


def _picture(pushes: Float[np.ndarray, "96"]) -> Square:
    """The picture whose `_pushes` are these, and that has nothing else."""
    rows, columns, signs = _carriers()
    spectrum = np.zeros((SIDE, SIDE))
    spectrum[rows, columns] = pushes[:, None] * signs / signs.shape[1] ** 0.5
    return idctn(spectrum, norm="ortho").astype(np.float32)


@functools.cache
def _carriers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and column of each bit's frequencies in the cosine transform, and their signs."""
    reach = np.hypot(*np.indices((SIDE, SIDE)))
    band = np.argwhere((reach >= LOWEST) & (reach <= HIGHEST))
    rng = np.random.default_rng(1997)
    bits = WORDS * BITS
    mixed = rng.permutation(band)[: len(band) // bits * bits]
    rows, columns = mixed.T.reshape(2, bits, -1)
    return rows, columns, rng.choice([-1.0, 1.0], rows.shape)


@functools.cache
def _golay() -> Int[np.ndarray, "4096 24"]:
    """All words of the extended Golay code: 12 bits of data, 11 that check, one for parity."""
    data = np.arange(1 << DATA)
    rest = data << 11
    for k in reversed(range(DATA)):  # the remainder by x^11 + x^9 + x^7 + x^6 + x^5 + x + 1
        rest ^= np.where(rest >> (k + 11) & 1, 0b101011100011 << k, 0)
    word = data << 11 | rest
    bits = word[:, None] >> np.arange(22, -1, -1) & 1
    return np.concatenate([bits, bits.sum(1, keepdims=True) % 2], axis=1)


def bits_of(message: str) -> Int[np.ndarray, "96"]:
    """The bits of a message and its CRC-16, as words of the code."""
    try:
        data = bytes.fromhex(message)
    except ValueError:
        data = b""
    if len(data) != 4:
        raise ValueError(f"message={message!r}: give eight hexadecimal digits, '5eed2026' say")
    whole = int.from_bytes(data + binascii.crc_hqx(data, 0).to_bytes(2, "big"), "big")
    parts = [whole >> DATA * k & (1 << DATA) - 1 for k in reversed(range(WORDS))]
    return _golay()[parts].ravel()


def _decoded(pushes: Float[np.ndarray, "96"]) -> str:
    """The message whose words fit best (maximum likelihood); empty where its CRC-16 is wrong."""
    fit = pushes.reshape(WORDS, BITS) @ (2.0 * _golay().T - 1)
    whole = 0
    for part in fit.argmax(axis=1):
        whole = whole << DATA | int(part)
    data = whole.to_bytes(6, "big")
    right = binascii.crc_hqx(data[:4], 0) == int.from_bytes(data[4:], "big")
    return data[:4].hex() if right else ""
