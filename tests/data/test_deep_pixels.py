"""Fractions and values of more than 8 bits: never a black or white picture without a word."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from workzone.data.images import decode
from workzone.errors import ImageError

RAMP = np.tile(np.linspace(0, 1, 52), (32, 1))
GREY = (RAMP * 255).round()


def tiff(values: np.ndarray, *, photometric: int = 1, tags: dict[int, int] | None = None) -> bytes:
    """An uncompressed little-endian TIFF of any type of value, written by hand."""
    height, width, samples = (*values.shape, 1)[:3]
    bits, form = values.dtype.itemsize * 8, {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    entries = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 277: samples}
    entries |= {278: height, 339: form, **(tags or {})}
    pixels = np.ascontiguousarray(values).tobytes()
    end = 8 + len(pixels)
    after = b""
    listed = []
    for tag in sorted({*entries, 273, 279}):
        if tag in (258, 339) and samples == 3:
            place = end + 2 + 12 * (len(entries) + 2) + 4 + len(after)
            after += struct.pack("<3H", *[entries[tag]] * 3)
            listed.append(struct.pack("<HHII", tag, 3, 3, place))
        else:
            value = {273: 8, 279: len(pixels)}.get(tag, entries.get(tag))
            listed.append(struct.pack("<HHII", tag, 4, 1, value))
    directory = struct.pack("<H", len(listed)) + b"".join(listed) + bytes(4)
    return b"II*\x00" + struct.pack("<I", end) + pixels + directory + after


def shown(data: bytes) -> np.ndarray:
    pixels = decode(data)
    assert (pixels[0] == pixels[1]).all()
    return pixels[0].numpy().astype(int)


@pytest.mark.parametrize(
    ("scale", "kind"),
    [
        (1, "f4"),
        (255, "f4"),
        (65535, "f4"),
        (255, "i4"),
        (65535, "i4"),
        (255, "u2"),
        (65535, "u2"),
        (65535, "u4"),
        (255, "i2"),
        (32767, "i2"),
        (255, "u1"),
    ],
)
def test_the_scale_is_told_by_the_brightest_value(scale, kind):
    got = shown(tiff((RAMP * scale).round(0 if scale > 1 else 9).astype(kind)))
    np.testing.assert_allclose(got, GREY, atol=1)


def test_compressed_fractions_as_other_programs_save_them():
    file = io.BytesIO()
    Image.fromarray(RAMP.astype(np.float32)).save(file, format="TIFF", compression="tiff_lzw")
    np.testing.assert_allclose(shown(file.getvalue()), GREY, atol=1)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (RAMP.astype("f4") * 0.02, "go up to 0.02"),
        (RAMP.astype("f4") * 3.7, "go up to 3.7"),
        (RAMP.astype("f4") * 4095, "go up to 4095"),
        (RAMP.astype("f4") * 1e6, "go up to 1e"),
        (RAMP.astype("f4") * 2 - 1, "go down to -1"),
        (np.where(RAMP > 0.5, np.nan, RAMP).astype("f4"), "not finite"),
        (np.where(RAMP > 0.5, np.inf, RAMP).astype("f4"), "not finite"),
        ((RAMP * 4095).astype("u2"), "go up to 4095"),
        ((RAMP * 16383).astype("u2"), "go up to 16383"),
        ((RAMP * 1.5).astype("i4"), "go up to 1"),
        ((RAMP * 200 - 100).astype("i2"), "go down to -100"),
        ((RAMP * 200 - 100).astype("i1"), "signed"),
    ],
)
def test_an_open_scale_is_refused_in_words(values, reason):
    with pytest.raises(ImageError, match=f"a.tif: .*{reason}.* save it with 8 bits") as caught:
        decode(tiff(values), name="a.tif")
    assert caught.value.code == "unreadable"


def test_a_black_picture_is_black():
    assert not shown(tiff(np.zeros((32, 52), np.float32))).any()


def test_a_tiff_that_tells_its_white_is_believed():
    np.testing.assert_allclose(
        shown(tiff((RAMP * 4095).astype("u2"), tags={281: 4095})), GREY, atol=1
    )
    with pytest.raises(ImageError, match="go up to 3000"):  # only the brightest that is there
        decode(tiff((RAMP * 3000).astype("u2"), tags={281: 3000}))


@pytest.mark.parametrize(("scale", "kind"), [(1, "f4"), (65535, "u2"), (255, "u1")])
def test_values_from_white_to_black_are_no_negative(scale, kind):
    values = (RAMP * scale).round(0 if scale > 1 else 9).astype(kind)
    np.testing.assert_allclose(shown(tiff(values, photometric=0)), 255 - GREY, atol=1)


@pytest.mark.parametrize("kind", ["f4", "f2", "f8"])
def test_kinds_that_pillow_does_not_read_are_told(kind):
    shape = (*RAMP.shape, 3)
    values = np.broadcast_to(RAMP[..., None], shape).astype(kind)
    with pytest.raises(ImageError, match=r"a TIFF of 3 values a pixel .*: save it as TIFF or PNG"):
        decode(tiff(values, photometric=2))


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colours_of_16_bits(channels):
    def png(scale: int) -> bytes:
        values = np.repeat((RAMP * scale)[..., None], channels, 2)
        if channels != 3:
            values[..., -1] = 65535  # opaque
        rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in values)
        kind = {2: 4, 3: 2, 4: 6}[channels]
        header = struct.pack(">IIBBBBB", RAMP.shape[1], RAMP.shape[0], 16, kind, 0, 0, 0)
        chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
            for name, body in chunks
        )

    np.testing.assert_allclose(shown(png(65535)), GREY, atol=1)
    with pytest.raises(ImageError, match=r"end below 4095.* save it with 8 bits"):
        decode(png(4095))


def test_deep_colours_of_a_tiff():
    values = np.repeat((RAMP * 65535)[..., None], 3, 2).astype("u2")
    np.testing.assert_allclose(shown(tiff(values, photometric=2)), GREY, atol=1)
    with pytest.raises(ImageError, match="end below"):
        decode(tiff(values // 16, photometric=2))
