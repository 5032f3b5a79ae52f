"""Entries of a TIFF structure's first directory, read without trust; EXIF is such a structure."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_FORMATS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}  # whole numbers, by TIFF type
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_NOTES = frozenset(
    {*range(0x010A, 0x0111), 0x011A, 0x011B, 0x0131, 0x0132, 0x013B, 0x013C, 0x02BC, 0x83BB}
    | {0x8298, 0x8649, 0x8769, 0x8773, 0x8825, 0x9286, *range(0x9C9B, 0x9CA0)}
)
"""Tags that say nothing of the pixels: texts, resolution, profiles, other directories."""


@dataclass(frozen=True, slots=True)
class TiffTag:
    """An entry of a TIFF directory."""

    count: int  # how many values it has
    value: int | None  # the value, where it is a single whole number


def first_directory(data: bytes) -> dict[int, TiffTag]:
    """The tags of the first directory, as far as they are there.

    Nothing is raised: what is damaged is left out.
    """
    tags: dict[int, TiffTag] = {}
    for at, order in _entries(data):
        tag, kind, count = struct.unpack_from(order + "HHI", data, at)
        single = count == 1 and kind in _FORMATS
        value = struct.unpack_from(order + _FORMATS[kind], data, at + 8)[0] if single else None
        tags.setdefault(tag, TiffTag(count, value))
    return tags


def without_damaged_notes(data: bytes) -> bytes:
    """A TIFF without the values of those notes that lie outside the file.

    Pillow leaves out all tags that follow such a one, and so the pixels.
    """
    repaired: bytearray | None = None
    for at, order in _entries(data):
        tag, kind, count, place = struct.unpack_from(order + "HHII", data, at)
        size = _SIZES.get(kind, 0) * count
        if tag in _NOTES and size > 4 and place + size > len(data):
            repaired = repaired or bytearray(data)
            struct.pack_into(order + "HII", repaired, at + 2, 1, 1, 0)  # one byte: 0
    return data if repaired is None else bytes(repaired)


def _entries(data: bytes) -> Iterator[tuple[int, str]]:
    """Where each entry begins, and the byte order in the way of `struct`."""
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return
    start = struct.unpack_from(order + "I", data, 4)[0] + 2
    if start > len(data):
        return
    listed = struct.unpack_from(order + "H", data, start - 2)[0]
    for at in range(start, min(start + 12 * listed, len(data) - 11), 12):
        yield at, order
