"""Oracles: known pixels, hand-made colour profiles with closed-form answers, bad files."""

import hashlib
import io
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from matplotlib import pyplot
from PIL import Image, ImageCms

from kisslab.bench.bad_inputs import bad_photos
from kisslab.photo import Photo, PhotoError, load_photo, photo_from_array

SIZE = (96, 72)  # width, height of the test pictures


def picture(size: tuple[int, int] = SIZE) -> Image.Image:
    """Smooth, with every corner of another colour, so that any turn or swap shows."""
    y, x = np.mgrid[0 : 1 : size[1] * 1j, 0 : 1 : size[0] * 1j]
    rgb = np.stack([x, y, 1 - x * y], axis=-1)
    return Image.fromarray((rgb * 255 + 0.5).astype(np.uint8))


def saved(folder: Path, image: Image.Image, name: str, **options: object) -> Path:
    pillow_heif.register_heif_opener()
    image.save(folder / name, **options)
    return folder / name


def levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float32) / 255


def check(photo: Photo, expected: np.ndarray, *sentences: str, atol: float = 0.0) -> None:
    assert photo.rgb.dtype == np.float32 and photo.rgb.shape == expected.shape
    np.testing.assert_allclose(photo.rgb, expected, atol=atol)
    assert len(photo.converted) == len(sentences), photo.converted
    for sentence, words in zip(photo.converted, sentences, strict=True):
        assert words in sentence


LOSSLESS = ["a.png", "a.bmp", "a.ppm", "a.tiff", "a.jp2"]


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_come_back_bit_for_bit(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, picture(), name)
    photo = load_photo(path)
    check(photo, levels(picture()))
    assert photo.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (photo.path, photo.width, photo.height) == (str(path), *SIZE)


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.heic", "a.avif"])
def test_lossy_formats_come_back_nearly(tmp_path: Path, name: str) -> None:
    check(load_photo(saved(tmp_path, picture(), name, quality=95)), levels(picture()), atol=0.06)


def test_a_format_is_told_by_its_content_not_its_name(tmp_path: Path) -> None:
    check(load_photo(saved(tmp_path, picture(), "png.jpg", format="PNG")), levels(picture()))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    undo = {  # how a camera that writes this tag stores an upright picture
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo(np.asarray(picture()))))
    photo = load_photo(saved(tmp_path, stored, "turned.png", exif=exif))
    check(photo, levels(picture()), *["Turned upright"] * (orientation > 1))
    assert (photo.width, photo.height) == SIZE


def test_an_unknown_orientation_swaps_no_sides(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 9
    photo = load_photo(saved(tmp_path, picture(), "nine.png", exif=exif))
    check(photo, levels(picture()))
    assert (photo.width, photo.height) == SIZE


def test_broken_exif_does_not_cost_the_photo(tmp_path: Path) -> None:
    path = saved(tmp_path, picture(), "a.jpg", exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xff", quality=95)
    check(load_photo(path), levels(picture()), atol=0.06)


def test_greys(tmp_path: Path) -> None:
    grey = picture().getchannel("R")
    expected = levels(Image.merge("RGB", [grey] * 3))
    check(load_photo(saved(tmp_path, grey, "grey.png")), expected, "Repeated the greys")
    bits = grey.convert("1")
    black_white = levels(bits.convert("RGB"))
    check(load_photo(saved(tmp_path, bits, "bits.png")), black_white)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits(tmp_path: Path, suffix: str) -> None:
    import cv2

    deep = np.asarray(picture()).astype(np.uint16) * 257
    grey = deep[..., 0]
    cv2.imwrite(str(tmp_path / f"grey.{suffix}"), grey)
    cv2.imwrite(str(tmp_path / f"rgb.{suffix}"), deep[..., ::-1])  # OpenCV writes BGR
    expected = np.repeat(grey[..., None], 3, axis=2).astype(np.float32) / 65535
    photo = load_photo(tmp_path / f"grey.{suffix}")
    check(photo, expected, "16-bit greys to 8", "Repeated the greys", atol=1e-6)
    photo = load_photo(tmp_path / f"rgb.{suffix}")
    check(photo, deep.astype(np.float32) / 65535, "16 bits per channel to 8", atol=1e-6)


def test_thirty_two_bit_greys_are_stretched(tmp_path: Path) -> None:
    ramp = np.linspace(-3, 5, SIZE[0], dtype=np.float32)[None].repeat(SIZE[1], axis=0)
    photo = load_photo(saved(tmp_path, Image.fromarray(ramp), "deep.tiff"))
    expected = np.repeat((ramp[..., None] + 3) / 8, 3, axis=2)
    check(photo, expected, "from -3 .. 5", "Repeated the greys", atol=1 / 254)


def test_palette(tmp_path: Path) -> None:
    indexed = picture().quantize(64)
    check(load_photo(saved(tmp_path, indexed, "a.gif")), levels(indexed.convert("RGB")))
    check(load_photo(saved(tmp_path, indexed, "a.png")), levels(indexed.convert("RGB")))


def with_hole() -> tuple[Image.Image, np.ndarray]:
    """RGBA whose left half is transparent, and what it looks like on white."""
    layered = np.dstack([np.asarray(picture()), np.full(SIZE[::-1], 255, np.uint8)])
    layered[:, : SIZE[0] // 2, 3] = 0
    seen = layered[..., :3].astype(np.float32) / 255
    seen[:, : SIZE[0] // 2] = 1
    return Image.fromarray(layered), seen


def test_transparency_becomes_white(tmp_path: Path) -> None:
    layered, seen = with_hole()
    check(load_photo(saved(tmp_path, layered, "a.png")), seen, "white behind the transparency")
    check(load_photo(saved(tmp_path, layered, "a.webp", lossless=True)), seen, "white behind")
    opaque = picture().convert("RGBA")
    check(load_photo(saved(tmp_path, opaque, "opaque.png")), levels(picture()))


def test_half_transparency_is_mixed(tmp_path: Path) -> None:
    layered = picture().convert("RGBA")
    layered.putalpha(128)
    expected = 1 - (1 - levels(picture())) * (128 / 255)
    check(load_photo(saved(tmp_path, layered, "a.png")), expected, "white behind", atol=1.5 / 255)


def test_transparent_palette_and_grey(tmp_path: Path) -> None:
    hole = Image.new("P", SIZE, 0)
    hole.putpalette([255, 0, 0, 0, 0, 255])
    hole.paste(1, (0, 0, SIZE[0] // 2, SIZE[1]))
    photo = load_photo(saved(tmp_path, hole, "a.gif", transparency=1))
    expected = np.zeros((*SIZE[::-1], 3), np.float32)
    expected[..., 0] = 1
    expected[:, : SIZE[0] // 2] = 1
    check(photo, expected, "white behind the transparency")
    grey = Image.new("LA", SIZE, (0, 0))
    check(load_photo(saved(tmp_path, grey, "la.png")), np.ones((*SIZE[::-1], 3)), "white behind")


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tiff"])
def test_first_of_several_pictures(tmp_path: Path, name: str) -> None:
    first = picture().quantize(64) if name == "a.gif" else picture()
    others = [first.rotate(180), first.rotate(90)]
    options = {"lossless": True} if name == "a.webp" else {}
    path = saved(tmp_path, first, name, save_all=True, append_images=others, **options)
    check(load_photo(path), levels(first.convert("RGB")), "first of the 3 pictures")


# Colour profiles, byte by byte (ICC.1:2001-04), so that the expected colours are known exactly.
SRGB_XYZ = {  # columns of the sRGB matrix, adapted to D50 (IEC 61966-2-1, ICC's own profile)
    "r": (0.43607, 0.22249, 0.01392),
    "g": (0.38515, 0.71687, 0.09708),
    "b": (0.14307, 0.06061, 0.71410),
}


def profile(space: bytes, tags: dict[bytes, bytes], name: bytes) -> bytes:
    text = b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name + bytes(1 + 78)
    tags = {b"desc": text, b"cprt": b"text" + bytes(4) + b"none\0", b"wtpt": D50, **tags}
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    kind = (b"scnr", b"Lab ") if b"A2B0" in tags else (b"mntr", b"XYZ ")
    head = struct.pack(">I4sI", start + len(body), b"none", 0x02400000) + kind[0] + space + kind[1]
    head += bytes(12) + b"acsp" + bytes(28) + D50[8:]
    return head.ljust(128, b"\0") + table + body


def xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in values))


D50 = xyz(0.9642, 1.0, 0.8249)


def srgb_curve() -> bytes:
    v = np.linspace(0, 1, 1024)
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    table = (linear * 65535 + 0.5).astype(">u2").tobytes()
    return b"curv" + bytes(4) + struct.pack(">I", 1024) + table


def swapped_rgb() -> bytes:
    """sRGB with red and green exchanged: converting to sRGB must exchange the two channels."""
    tags = {
        b"rXYZ": xyz(*SRGB_XYZ["g"]),
        b"gXYZ": xyz(*SRGB_XYZ["r"]),
        b"bXYZ": xyz(*SRGB_XYZ["b"]),
    }
    tags |= {tag: srgb_curve() for tag in (b"rTRC", b"gTRC", b"bTRC")}
    return profile(b"RGB ", tags, b"Red is green")


def odd_inks() -> bytes:
    """A CMYK profile in which all inks make white and none black: L of Lab is their mean."""
    lightness = np.array([(i >> 3) + (i >> 2 & 1) + (i >> 1 & 1) + (i & 1) for i in range(16)]) / 4
    grid = np.stack([lightness * 255, np.full(16, 128), np.full(16, 128)], axis=-1)
    ramp = bytes(range(256))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity
    lut += ramp * 4 + (grid + 0.5).astype(np.uint8).tobytes() + ramp * 3
    return profile(b"CMYK", {b"A2B0": lut}, b"Inks are white")


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_embedded_rgb_profile(tmp_path: Path, name: str) -> None:
    photo = load_photo(saved(tmp_path, picture(), name, icc_profile=swapped_rgb()))
    expected = levels(picture())[..., [1, 0, 2]]
    check(photo, expected, "profile 'Red is green' to sRGB", atol=2.5 / 255)


def test_heic_profile(tmp_path: Path) -> None:
    path = saved(tmp_path, picture(), "a.heic", icc_profile=swapped_rgb(), quality=95)
    check(load_photo(path), levels(picture())[..., [1, 0, 2]], "'Red is green'", atol=0.08)


def test_srgb_profile_changes_nothing(tmp_path: Path) -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    check(load_photo(saved(tmp_path, picture(), "a.png", icc_profile=icc)), levels(picture()))


@pytest.mark.parametrize("icc", [b"not a profile", swapped_rgb()[:200], odd_inks()])
def test_useless_profile_is_ignored(tmp_path: Path, icc: bytes) -> None:
    path = saved(tmp_path, picture(), "a.png", icc_profile=icc)
    check(load_photo(path), levels(picture()), "Ignored an embedded colour profile")


def test_profile_survives_turning_palette_and_depth(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    indexed = picture().rotate(180).quantize(200)
    path = saved(tmp_path, indexed, "a.png", icc_profile=swapped_rgb(), exif=exif)
    expected = levels(indexed.rotate(180).convert("RGB"))[..., [1, 0, 2]]
    check(load_photo(path), expected, "Turned upright", "'Red is green'", atol=2.5 / 255)


def encoded(linear: np.ndarray) -> np.ndarray:
    """sRGB's curve on all three channels (IEC 61966-2-1)."""
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.repeat(srgb[..., None], 3, axis=2).astype(np.float32)


def test_profile_survives_transparency(tmp_path: Path) -> None:
    layered, seen = with_hole()
    path = saved(tmp_path, layered, "a.png", icc_profile=swapped_rgb())
    check(load_photo(path), seen[..., [1, 0, 2]], "white behind", "'Red is green'", atol=2.5 / 255)


def test_grey_profile_also_in_sixteen_bits(tmp_path: Path) -> None:
    identity = b"curv" + bytes(8)
    icc = profile(b"GRAY", {b"kTRC": identity}, b"Linear grey")
    ramp = np.linspace(0.1, 1, SIZE[0])[None].repeat(SIZE[1], axis=0)
    shallow = Image.fromarray((ramp * 255 + 0.5).astype(np.uint8))
    deep = Image.fromarray((ramp * 65535 + 0.5).astype(np.uint16))
    photo = load_photo(saved(tmp_path, shallow, "a.png", icc_profile=icc))
    check(photo, encoded(ramp), "'Linear grey'", atol=4 / 255)
    photo = load_photo(saved(tmp_path, deep, "b.png", icc_profile=icc))
    check(photo, encoded(ramp), "16-bit greys", "'Linear grey'", atol=4 / 255)


def test_cmyk_with_and_without_profile(tmp_path: Path) -> None:
    inks = Image.merge("CMYK", [picture().getchannel("R")] * 4)  # equal inks: L is their mean
    with_profile = load_photo(saved(tmp_path, inks, "a.tiff", icc_profile=odd_inks()))
    lightness = levels(picture())[..., 0] * 100
    linear = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)  # CIE 15
    check(with_profile, encoded(linear), "'Inks are white'", atol=4 / 255)
    white = Image.new("CMYK", SIZE, (0, 0, 0, 0))
    for name in ("a.jpg", "b.tiff"):
        plain = load_photo(saved(tmp_path, white, name))
        check(plain, np.ones((*SIZE[::-1], 3)), "without a profile: colours are rough")


def test_large_photos_are_reduced(tmp_path: Path) -> None:
    path = saved(tmp_path, picture((1000, 400)), "a.png")
    photo = load_photo(path, max_side=500)
    check(photo, levels(picture((500, 200))), "from 1000 x 400 to 500 x 200 pixels", atol=0.02)
    assert (photo.width, photo.height) == (1000, 400)
    assert load_photo(path, max_side=1000).converted == ()


def test_large_jpeg_is_decoded_small_and_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = picture((500, 1500)).transpose(Image.Transpose.ROTATE_90)
    photo = load_photo(saved(tmp_path, stored, "a.jpg", quality=95, exif=exif), max_side=300)
    sentences = ("Turned upright", "from 500 x 1500 to 100 x 300 pixels")
    check(photo, levels(picture((100, 300))), *sentences, atol=0.06)
    assert (photo.width, photo.height) == (500, 1500)


def peak_megabytes(code: str, *paths: Path) -> float:
    """The most memory that a fresh Python held while it ran `code` with `paths` at hand."""
    setup = "import re, sys\nfrom kisslab.photo import *\npaths = sys.argv[1:]"
    report = "print(re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())[1])"
    command = [sys.executable, "-c", f"{setup}\n{code}\n{report}", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="because it reads Linux's /proc")
def test_a_large_jpeg_costs_little_memory(tmp_path: Path) -> None:
    large = Image.new("RGB", (11_000, 9_000), (200, 120, 90))
    path = saved(tmp_path, large, "a.jpg", quality=50)
    grown = peak_megabytes("load_photo(paths[0])", path) - peak_megabytes("")
    assert grown < 150  # decoded whole it would be 297


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="because it reads Linux's /proc")
def test_bombs_are_refused_before_decoding(tmp_path: Path) -> None:
    bombs = [path for path, words in bad_photos(tmp_path) if words == "too many"]
    code = (
        "for path in paths:\n"
        "    try: load_photo(path)\n"
        "    except PhotoError as error: assert 'pixels' in str(error)\n"
        "    else: raise SystemExit('a bomb was loaded')"
    )
    assert len(bombs) == 4 and peak_megabytes(code, *bombs) - peak_megabytes("") < 20


def test_bad_inputs_are_refused_clearly_and_nothing_is_written(tmp_path: Path) -> None:
    bad = bad_photos(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert len(bad) > 25
    for path, words in bad:
        with pytest.raises(PhotoError) as raised:
            load_photo(path)
        message = str(raised.value)
        assert words in message and path.name in message and "\n" not in message, message
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="because only root can become nobody")
def test_no_permission_is_said(tmp_path: Path) -> None:
    path = saved(tmp_path, picture(), "a.png")
    path.chmod(0)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and folder != Path("/tmp") and folder != Path("/"):
            folder.chmod(0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(PhotoError, match=r"a\.png: can't be opened \(Permission denied\)"):
            load_photo(path)
    finally:
        os.seteuid(0)


def test_max_pixels_is_the_callers(tmp_path: Path) -> None:
    path = saved(tmp_path, picture(), "a.png")
    with pytest.raises(PhotoError, match=r"96 x 72 are too many pixels \(max_pixels=6911\)"):
        load_photo(path, max_pixels=96 * 72 - 1)
    load_photo(path, max_pixels=96 * 72)


FUZZED = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "HEIF", "PPM", "JPEG2000"]


@pytest.mark.parametrize("name", FUZZED)
def test_random_damage_never_escapes_as_another_error(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    memory = io.BytesIO()
    pillow_heif.register_heif_opener()
    picture().save(memory, name)
    refused = 0
    for _ in range(60):
        data = bytearray(memory.getvalue())
        for place in rng.integers(0, min(len(data), 300), 8):
            data[place] = rng.integers(256)
        (tmp_path / "damaged").write_bytes(data)
        try:
            assert np.isfinite(load_photo(tmp_path / "damaged").rgb).all()
        except PhotoError:
            refused += 1
    assert refused > 5


def test_arrays(tmp_path: Path) -> None:
    pixels = np.asarray(picture())
    check(photo_from_array(pixels), levels(picture()))
    check(photo_from_array(pixels / 255.0, name="mine"), levels(picture()), atol=1e-6)
    assert photo_from_array(pixels).sha256 != photo_from_array(pixels[::-1]).sha256


BAD_ARRAYS: dict[str, Callable[[], np.ndarray]] = {
    "0 to 1": lambda: np.full((80, 80, 3), 2.0),
    "go": lambda: np.full((80, 80, 3), np.nan),
    "uint8, or float": lambda: np.full((80, 80, 3), 200, np.int32),
    "too few": lambda: np.zeros((80, 5, 3)),
}


@pytest.mark.parametrize("words", BAD_ARRAYS)
def test_bad_arrays_are_refused(words: str) -> None:
    with pytest.raises(PhotoError, match=words):
        photo_from_array(BAD_ARRAYS[words]())


def test_photo_shows_saves_and_loads_itself(tmp_path: Path) -> None:
    photo = load_photo(saved(tmp_path, picture().getchannel("R"), "a.png"))
    assert photo.plot() is None and pyplot.gca().images
    pyplot.close("all")
    assert "Repeated the greys" in photo._repr_html_()
    again = Photo.load(photo.save(tmp_path / "photo.npz"))
    np.testing.assert_array_equal(again.rgb, photo.rgb)
    assert again.converted == photo.converted and again.sha256 == photo.sha256


def test_real_portraits_load_unchanged(photos: Path) -> None:
    for path in sorted(photos.glob("portraits/*.jpg"))[:5]:
        photo = load_photo(path)
        expected = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
        np.testing.assert_array_equal(photo.rgb, expected)
