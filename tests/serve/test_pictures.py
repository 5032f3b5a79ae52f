"""Sizes from headers are Pillow's; bombs are refused by their header."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from made_images import blob_image
from workzone.serve.pictures import check_picture
from workzone.serve.problems import Problem

MOST = 50_000_000


def check(data: bytes, *, most_pixels: int = MOST, most_scans: int = 64) -> tuple[str, int, int]:
    return check_picture(data, most_pixels=most_pixels, most_scans=most_scans)


def written(kind: str, size: tuple[int, int], **how: object) -> bytes:
    buffer = io.BytesIO()
    blob_image(1, 1, width=64, height=64).resize(size).save(buffer, kind, **how)
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(16, 31), (257, 90), (300, 1000)])
@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True, "comment": b"x" * 300, "exif": b"Exif\0\0" + bytes(50)}),
        ("PNG", {}),
        ("BMP", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\0\0" + bytes(20)}),
    ],
)
def test_the_size_is_the_pictures(kind: str, how: dict, size: tuple[int, int]) -> None:
    data = written(kind, size, **how)
    name, width, height = check(data)
    assert (name.upper(), width, height) == (kind, *size)
    with pytest.raises(Problem) as told:
        check(data, most_pixels=size[0] * size[1] - 1)
    assert told.value.code == "too-many-pixels" and told.value.members["limit"] < MOST


def test_turned_bitmaps_and_old_ones() -> None:
    data = bytearray(written("BMP", (40, 30)))
    struct.pack_into("<i", data, 22, -30)  # rows from the top
    assert check(bytes(data))[1:] == (40, 30)
    old = b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 40, 30, 1, 24)
    assert check(old)[1:] == (40, 30)


def claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims a size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header
        + struct.pack(">I", zlib.crc32(header)) + struct.pack(">I", 0) + b"IEND\xaeB`\x82"
    )  # fmt: skip


def test_a_size_that_is_only_claimed_is_refused() -> None:
    with pytest.raises(Problem, match="30000x30000") as told:
        check(claiming(30_000, 30_000))
    assert told.value.status == 422 and told.value.members == {"limit": MOST}
    with pytest.raises(Problem, match="0x5"):
        check(claiming(0, 5))


SCANS = 10
"""Of Pillow's progressive JPEG in colour: libjpeg's script for three components."""


@pytest.mark.parametrize("preview", [False, True])
def test_scans_are_counted_before_anything_is_decoded(preview: bool) -> None:
    """Those of a preview in the header, and of a picture after the end, are not the picture's."""
    progressive = written("JPEG", (64, 64), progressive=True)
    data = progressive
    if preview:
        segment = b"Exif\0\0" + progressive
        length = struct.pack(">H", 2 + len(segment))
        data = data[:2] + b"\xff\xe1" + length + segment + data[2:] + progressive
    assert check(data, most_scans=SCANS) == ("JPEG", 64, 64)
    with pytest.raises(Problem, match="more than 9 scans") as told:
        check(data, most_scans=SCANS - 1)
    assert (told.value.code, told.value.status) == ("too-many-scans", 422)
    assert told.value.members == {"limit": SCANS - 1}


def test_segments_without_end_are_too_many_scans() -> None:
    data = written("JPEG", (64, 64), progressive=True)
    start = data.index(b"\xff\xda")
    endless = data[:start] + b"\xff\xe0\0\x02" * 20_000 + b"\xff\xda" * 65
    with pytest.raises(Problem) as told:
        check(endless)
    assert told.value.code == "too-many-scans"


@given(
    st.sampled_from(("JPEG", "PNG", "BMP", "WEBP")),
    st.integers(0, 400),
    st.lists(st.tuples(st.integers(0, 399), st.integers(0, 255)), max_size=6),
)
def test_whatever_the_bytes_there_is_a_size_or_a_problem(
    kind: str, length: int, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(written(kind, (32, 32)))
    for place, value in changes:
        data[place % len(data)] = value
    try:
        name, width, height = check(bytes(data[:length]))
    except Problem as problem:
        assert problem.status in (415, 422)
    else:
        assert 0 < width * height <= MOST and name


def test_pillow_agrees_on_webp() -> None:
    for data in (written("WEBP", (33, 47)), written("WEBP", (33, 47), lossless=True)):
        assert check(data)[1:] == Image.open(io.BytesIO(data)).size
