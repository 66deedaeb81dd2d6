"""Stage 0: a picture file in, upright RGB out. (load_photo, photo_from_array, Photo, PhotoError)"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pillow_heif
from jaxtyping import Float, Num
from PIL import ExifTags, Image, ImageCms, ImageOps

from kisslab import show
from kisslab.records import Result, record

# Photo formats only: of all that Pillow opens, some run interpreters (.eps), some aren't photos.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "HEIF", "AVIF", "PPM", "JPEG2000")
MAX_BYTES = 2**30  # max_pixels in 16-bit colour, uncompressed, fits in
MIN_SIDE = 64  # pixels; no face can be found in less
# What the decoders raise on damaged files; PhotoError is a ValueError and goes its own way.
DAMAGED = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError)
DAMAGED += (RuntimeError, MemoryError, struct.error, zlib.error)


class PhotoError(ValueError):
    """The file can't be used as a photo; the message names it and says what to do."""


@record
class Photo(Result):
    """An upright picture in sRGB, and what had to be done to get it."""

    rgb: Float[np.ndarray, "H W 3"]  # float32 in [0, 1]
    path: str
    converted: tuple[str, ...]  # one plain sentence per conversion, in the order they were done
    sha256: str  # of the file's bytes, or of the array's
    width: int  # pixels as the file is meant to be seen, before it was reduced
    height: int

    def plot(self, ax: object | None = None) -> None:
        """The picture itself."""
        show.picture(self.rgb, ax=ax)


def load_photo(path: str | Path, max_pixels: int = 120_000_000, max_side: int = 1536) -> Photo:
    """Read a photo of any common format as upright sRGB; `converted` says what was done to it.

    max_pixels: refused above, before anything is decoded (a small file can claim a huge picture).
    max_side: pixels; a larger photo is reduced so that its longer side is this.
    Raises PhotoError for everything that can't be read. Nothing is ever written.
    """
    path = Path(path)
    data = _read(path)
    with _explained(path.name, data):
        image = _open(path.name, data, max_pixels)
        converted, size = _before_decoding(image), image.size
        image.draft(image.mode, (max_side, max_side))  # a JPEG is decoded at 1/2, 1/4 or 1/8
        image.load()
        width, height = size[::-1] if _orientation(image) in (5, 6, 7, 8) else size
        for step in (_upright, _eight_bits, _opaque, _in_srgb):
            image, sentence = step(image)
            converted += [sentence] if sentence else []
        if max(width, height) > max_side:
            image = ImageOps.contain(image, (max_side, max_side), Image.Resampling.LANCZOS)
            converted += [
                f"Reduced from {width} x {height} to {image.width} x {image.height} pixels."
            ]
        rgb = np.asarray(image, np.float32) / 255
    _check_size(path.name, *image.size)
    return Photo(rgb, str(path), tuple(converted), _sha256(data), width, height)


def photo_from_array(rgb: Num[np.ndarray, "H W 3"], name: str = "array") -> Photo:
    """A Photo of pixels that are already here: uint8, or float in [0, 1]. PhotoError if neither."""
    if rgb.ndim != 3 or rgb.shape[2] != 3:
        raise PhotoError(f"{name}: has shape {rgb.shape}; give height x width x 3 (RGB)")
    if rgb.dtype != np.uint8 and not (rgb.min(initial=0) >= 0 and rgb.max(initial=0) <= 1):
        low, high = rgb.min(initial=0), rgb.max(initial=0)
        raise PhotoError(f"{name}: goes from {low} to {high}; give uint8, or float from 0 to 1")
    height, width = rgb.shape[:2]
    _check_size(name, width, height)
    pixels = (rgb / np.float32(255) if rgb.dtype == np.uint8 else rgb).astype(np.float32)
    return Photo(pixels, name, (), _sha256(pixels.tobytes()), width, height)


def _read(path: Path) -> bytes:
    """The file's bytes; everything that can be wrong with a path is explained."""
    try:
        if path.is_dir():
            raise PhotoError(f"{path.name}: is a folder; give one picture file in it")
        if not path.exists():
            raise PhotoError(f"{path}: no such file; check the spelling, or download it first")
        if not path.is_file():
            raise PhotoError(f"{path}: is not an ordinary file; give a picture file")
        if path.stat().st_size > MAX_BYTES:
            raise PhotoError(f"{path.name}: is larger than {MAX_BYTES >> 20} MB; export it as JPEG")
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise PhotoError(f"{path}: can't be opened ({reason}); check its permissions") from error
    if not data:
        raise PhotoError(f"{path.name}: is empty; copy or download it again")
    return data


@contextmanager
def _explained(name: str, data: bytes) -> Iterator[None]:
    """Turns whatever a decoder raises into one PhotoError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata and large sizes
            yield
    except PhotoError:
        raise
    except Image.UnidentifiedImageError as error:
        raise PhotoError(f"{name}: {_look(data)}; save it as JPEG or PNG and give that") from error
    except DAMAGED as error:
        raise PhotoError(
            f"{name}: is damaged or cut off ({str(error).strip()}); copy it again, or open it in a "
            "picture viewer and save it anew"
        ) from error


def _look(data: bytes) -> str:
    """What a file is that is no picture."""
    head = data[:1000].lower()
    if b"<svg" in head:
        return "is an SVG drawing, not a photo"
    if head.startswith((b"%pdf", b"%!ps")):
        return "is a PDF or PostScript document, not a photo"
    if head[4:8] == b"ftyp" or head.startswith(b"\x1a\x45\xdf\xa3"):
        return "is a video, not a photo, or an unknown kind of HEIC"
    if not set(data[:1000]) - set(range(32, 256)) - {9, 10, 13}:
        return "is text, not a photo, whatever its name says"
    return "is not a photo in a format that is known, or its beginning is damaged"


def _open(name: str, data: bytes, max_pixels: int) -> Image.Image:
    """The header only; a picture of too many pixels is refused here, before it is decoded."""
    pillow_heif.register_heif_opener()
    Image.init()
    formats = [f for f in FORMATS if f in Image.OPEN]  # AVIF is new in Pillow
    advice = "reduce it in a picture editor first"
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
    except Image.DecompressionBombError as error:  # Pillow's own limit: 178 million
        raise PhotoError(f"{name}: too many pixels ({error}); {advice}") from error
    if image.width * image.height > max_pixels:
        size = f"{image.width} x {image.height}"
        raise PhotoError(f"{name}: {size} are too many pixels (max_pixels={max_pixels}); {advice}")
    _check_size(name, *image.size)
    return image


def _check_size(name: str, width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise PhotoError(
            f"{name}: {width} x {height} pixels are too few; give a photo of at least {MIN_SIDE} "
            "pixels on each side"
        )


def _before_decoding(image: Image.Image) -> list[str]:
    """What only the header knows: further pictures in the file, 16 bits that Pillow reads as 8."""
    pictures = getattr(image, "n_frames", 1)
    first = f"Kept the first of the {pictures} pictures in the file." if pictures > 1 else ""
    deep = any(";16" in str(tile[3]) for tile in image.tile) and image.mode in ("RGB", "RGBA")
    return [s for s in (first, "Reduced 16 bits per channel to 8." if deep else "") if s]


def _orientation(image: Image.Image) -> int:
    """EXIF orientation: 1 upright, 2 to 4 mirrored or upside down, 5 to 8 on its side."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except DAMAGED:  # unreadable EXIF leaves the picture as it lies in the file
        return 1


def _upright(image: Image.Image) -> tuple[Image.Image, str]:
    if _orientation(image) not in range(2, 9):
        return image, ""
    return ImageOps.exif_transpose(image), "Turned upright, as the camera's EXIF orientation says."


def _eight_bits(image: Image.Image) -> tuple[Image.Image, str]:
    """Deep greys become 8-bit: 16 bits by their full range, 32 bits by the range they use."""
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.float32) / 257  # 65535 becomes 255
        return _grey(grey, image), "Reduced 16-bit greys to 8 bits."
    if image.mode in ("I", "F"):
        grey = np.nan_to_num(np.asarray(image).astype(np.float32))
        low, high = grey.min(), grey.max()
        grey = (grey - low) * (255 / max(high - low, 1e-9))
        return _grey(grey, image), f"Stretched 32-bit greys from {low:g} .. {high:g} to 8 bits."
    return image, ""


def _grey(levels: Float[np.ndarray, "h w"], like: Image.Image) -> Image.Image:
    image = Image.fromarray((levels + 0.5).astype(np.uint8))
    image.info = dict(like.info)  # the colour profile
    return image


def _opaque(image: Image.Image) -> tuple[Image.Image, str]:
    """White behind what is transparent, as a browser shows it."""
    if not image.has_transparency_data:
        return image, ""
    layered = image.convert("RGBA")
    if layered.getchannel("A").getextrema()[0] == 255:
        return layered.convert("RGB"), ""
    white = Image.new("RGBA", layered.size, "white")
    white.info = dict(image.info)
    return Image.alpha_composite(white, layered).convert(
        "RGB"
    ), "Put white behind the transparency."


def _in_srgb(image: Image.Image) -> tuple[Image.Image, str]:
    """Colours by the embedded profile where there is one; else inks and greys by the plain rule."""
    icc = image.info.get("icc_profile")
    image = image.convert("RGB") if image.mode not in ("RGB", "L", "CMYK") else image
    if icc:
        try:
            return _by_profile(image, icc)
        except (ImageCms.PyCMSError, OSError):
            return image.convert("RGB"), "Ignored an embedded colour profile that is broken."
    if image.mode == "CMYK":
        return image.convert(
            "RGB"
        ), "Turned CMYK inks into RGB without a profile: colours are rough."
    return image.convert("RGB"), "Repeated the greys in red, green and blue." * (image.mode == "L")


def _by_profile(image: Image.Image, icc: bytes) -> tuple[Image.Image, str]:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    name = ImageCms.getProfileDescription(profile).strip() or "unnamed"
    if "srgb" in name.lower() and image.mode == "RGB":
        return image, ""
    srgb = ImageCms.createProfile("sRGB")
    image = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
    return image, f"Converted the colours from the embedded profile '{name}' to sRGB."


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
