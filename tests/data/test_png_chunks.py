"""PNG files with much beside their pixels."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from workzone.data.images import decode
from workzone.data.png_chunks import PNG_START, bare_png
from workzone.errors import ImageError

ORIENTATION_6 = b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06" + bytes(
    6
)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def encoded(image: Image.Image | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    (image or Image.fromarray(picture())).save(file, format="PNG", **options)
    return file.getvalue()


def with_chunks(*chunks: bytes) -> bytes:
    data = encoded()
    return data[:33] + b"".join(chunks) + data[33:]


def shown(data: bytes) -> np.ndarray:
    return decode(data).permute(1, 2, 0).numpy()


LARGE = zlib.compress(bytes(3_000_000))


@pytest.mark.parametrize(
    "large",
    [
        chunk(b"iCCP", b"profile\x00\x00" + LARGE),
        chunk(b"zTXt", b"Comment\x00\x00" + LARGE),
        chunk(b"iTXt", b"Comment\x00\x01\x00\x00\x00" + LARGE),
        chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x01\x00\x00\x00" + LARGE),
        chunk(b"tEXt", b"Comment\x00" + b"a" * 3_000_000),
        chunk(b"zTXt", b"Comment\x00\x00" + LARGE) * 70,
        chunk(b"iCCP", b"profile\x00\x00not deflated"),
        chunk(b"tEXt", b"Comment\x00wrong sum")[:-4] + b"0000",
    ],
)
def test_large_or_damaged_notes_do_not_hinder(large):
    limit = PngImagePlugin.MAX_TEXT_CHUNK
    np.testing.assert_array_equal(shown(with_chunks(large)), picture())
    assert limit == PngImagePlugin.MAX_TEXT_CHUNK


def hexadecimal(exif: bytes) -> bytes:
    return b"Raw profile type exif\x00\x00" + zlib.compress(
        b"\nexif\n%8d\n" % len(exif) + exif.hex().encode()
    )


@pytest.mark.parametrize(
    "note",
    [
        chunk(b"eXIf", ORIENTATION_6),
        chunk(b"zTXt", hexadecimal(b"Exif\x00\x00" + ORIENTATION_6)),
        chunk(b"iTXt", b'XML:com.adobe.xmp\x00\x00\x00\x00\x00<x tiff:Orientation="6"/>'),
        chunk(
            b"iTXt",
            b"XML:com.adobe.xmp\x00\x01\x00\x00\x00"
            + zlib.compress(b'<x tiff:Orientation="6"/>' + b" " * 2_000_000),
        ),
    ],
)
def test_the_orientation_is_found_wherever_it_stands(note):
    expected = np.rot90(picture(), -1)
    np.testing.assert_array_equal(shown(with_chunks(note)), expected)
    data = encoded()
    np.testing.assert_array_equal(shown(data[:-12] + note + data[-12:]), expected)


def test_what_the_pixels_need_is_kept():
    palette = Image.fromarray(picture()).quantize(8)
    data = encoded(palette, transparency=bytes([0, 255, 128]), icc_profile=b"x" * 100)
    bare, orientation = bare_png(data)
    assert orientation == 1
    assert b"tRNS" in bare
    assert b"PLTE" in bare
    assert b"iCCP" not in bare
    assert (shown(data)[np.asarray(palette) == 0] == 127).all()


def test_of_an_animation_the_still_picture_is_left():
    data = encoded(save_all=True, append_images=[Image.new("RGB", (40, 24))])
    assert b"fdAT" in data
    np.testing.assert_array_equal(shown(data), picture())


def test_cut_off_files_stay_cut_off():
    data = with_chunks(chunk(b"tEXt", b"Comment\x00" + b"a" * 100))
    for length in range(len(PNG_START), len(data) - 20, 7):
        with pytest.raises(ImageError):
            decode(data[:length])
