"""Pictures come upright whatever state their other tags are in."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps, TiffImagePlugin

from workzone.data.exif import orientation_in
from workzone.data.images import decode

KINDS = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "JPEG": {"quality": 95, "subsampling": 0},
    "MPO": {"quality": 95, "subsampling": 0},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}
BAD_RATIONAL = (0x011A, 2, 4, b"abc\x00")  # XResolution as text
BAD_PLACE = (0x010F, 2, 2_000_000_000, b"\xff\xff\xff\x7f")  # Make, far outside the file


def picture() -> Image.Image:
    """Four quarters of different colours: each of the eight turns looks different."""
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:16, :24], pixels[:16, 24:], pixels[16:, :24] = (230, 30, 30), (30, 230, 30), 250
    return Image.fromarray(pixels)


def exif_block(*entries: tuple[int, int, int, bytes], order: str = "<") -> bytes:
    head = (b"II*\x00" if order == "<" else b"MM\x00*") + struct.pack(order + "I", 8)
    listed = b"".join(struct.pack(order + "HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"Exif\x00\x00" + head + struct.pack(order + "H", len(entries)) + listed + bytes(4)


def turned(value: int, order: str = "<") -> tuple[int, int, int, bytes]:
    return 0x0112, 3, 1, struct.pack(order + "HH", value, 0)


def encoded(kind: str, image: Image.Image, exif: bytes | Image.Exif | None = None) -> bytes:
    file = io.BytesIO()
    options = KINDS.get(kind, {}) | ({} if exif is None else {"exif": exif})
    image.save(file, format=kind, **options)
    return file.getvalue()


def upright(value: int) -> np.ndarray:
    """As Pillow turns it, from a file without any other tag."""
    data = encoded("PNG", picture(), exif_block(turned(value)))
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))


def assert_shows(data: bytes, expected: np.ndarray) -> None:
    got = decode(data).permute(1, 2, 0).numpy()
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).mean() < 8


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("kind", KINDS)
def test_each_orientation_once_in_each_kind(kind, value):
    exif = Image.Exif()
    exif[0x0112] = value
    assert_shows(encoded(kind, picture(), exif), upright(value))


@pytest.mark.parametrize("bad", [BAD_RATIONAL, BAD_PLACE])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG", "MPO"])
def test_a_damaged_tag_leaves_the_orientation(kind, bad):
    before = encoded(kind, picture(), exif_block(bad, turned(6)))
    after = encoded(kind, picture(), exif_block(turned(6), bad))
    assert_shows(before, upright(6))
    assert_shows(after, upright(6))


def test_a_damaged_tag_of_a_cmyk_jpeg():
    data = encoded("JPEG", picture().convert("CMYK"), exif_block(BAD_RATIONAL, turned(8)))
    assert_shows(data, upright(8))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_exif_that_is_none_at_all(kind):
    assert_shows(encoded(kind, picture(), b"Exif\x00\x00garbage!garbage"), upright(1))


def test_a_tiff_with_a_text_outside_the_file():
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a maker"
    data = bytearray(encoded("TIFF", picture(), exif))
    start = struct.unpack_from("<I", data, 4)[0] + 2
    entry = next(
        at for at in range(start, len(data), 12) if struct.unpack_from("<H", data, at)[0] == 0x010F
    )
    struct.pack_into("<II", data, entry + 4, 500, 1_000_000)
    assert_shows(bytes(data), upright(6))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (lambda order: turned(6, order), 6),
        (lambda order: (0x0112, 4, 1, struct.pack(order + "I", 6)), 6),
        (lambda order: turned(0, order), 1),
        (lambda order: turned(9, order), 1),
        (lambda order: (0x0112, 2, 2, b"6\x00\x00\x00"), 1),
        (lambda order: (0x0112, 3, 2, struct.pack(order + "HH", 6, 6)), 1),
    ],
)
def test_what_counts_as_an_orientation(entry, expected, order):
    assert orientation_in(exif_block(entry(order), order=order)) == expected


def test_cut_off_exif_tells_nothing_and_raises_nothing():
    whole = exif_block(BAD_RATIONAL, turned(6))
    for length in range(len(whole)):
        assert orientation_in(whole[:length]) in (1, 6)
    assert orientation_in(whole) == 6


def test_xmp_counts_where_exif_is_silent():
    for xmp in (b'<x tiff:Orientation="6"/>', b"<tiff:Orientation>6</tiff:Orientation>"):
        assert orientation_in(b"", xmp) == 6
        assert orientation_in(exif_block(turned(1)), xmp) == 1
        file = io.BytesIO()
        picture().save(file, format="WEBP", lossless=True, xmp=xmp)
        assert_shows(file.getvalue(), upright(6))


def test_a_tiff_with_its_thumbnail_first():
    large = picture().resize((96, 64))
    large.encoderinfo = {"tiffinfo": TiffImagePlugin.ImageFileDirectory_v2()}
    file = io.BytesIO()
    picture().save(file, "TIFF", tiffinfo={254: 1}, save_all=True, append_images=[large])
    assert tuple(decode(file.getvalue()).shape) == (3, 64, 96)
