"""The headers of parquet pages, which pyarrow reads but does not show.

They are Thrift structs in the compact protocol
(https://github.com/apache/parquet-format, ``parquet.thrift``).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Literal

_KINDS: dict[int, Literal["data", "dictionary", "data2"]] = {0: "data", 2: "dictionary", 3: "data2"}
_ENCODINGS = {0: "plain", 2: "dictionary", 8: "dictionary", 6: "delta lengths"}


@dataclass(frozen=True, slots=True)
class PageHeader:
    """What a page says of itself. Sizes are in bytes, without the header."""

    kind: Literal["data", "dictionary", "data2"]
    length: int  # of the header itself
    stored: int  # as it lies in the file
    size: int  # once decompressed
    count: int  # values, nulls among them
    encoding: str  # plain, dictionary, delta lengths, or a number that is not read here
    levels: int = 0  # of version 2: bytes of levels in front, never compressed
    compressed: bool = True


def read_header(data: bytes) -> PageHeader:
    """The header that ``data`` begins with; an index page counts as data without values.

    Raises:
        IndexError: ``data`` ends before the header does.
        ValueError: no page header.
    """
    fields, length = _struct(data, 0)
    try:
        kind = _KINDS.get(fields[1])
        if kind is None:
            return PageHeader("data", length, fields[3], fields[2], 0, "plain")
        details = fields[{"data": 5, "dictionary": 7, "data2": 8}[kind]]
        second = kind == "data2"
        encoding = details[4 if second else 2]
        return PageHeader(
            kind,
            length,
            stored=fields[3],
            size=fields[2],
            count=details[1],
            encoding=_ENCODINGS.get(encoding, str(encoding)),
            levels=details[5] + details[6] if second else 0,
            compressed=details.get(7, True) if second else True,
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a page header: {error}") from error


def _struct(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    fields: dict[int, Any] = {}
    number = 0
    while True:
        head = data[at]
        at += 1
        if head == 0:
            return fields, at
        if head >> 4:
            number += head >> 4
        else:
            number, at = _integer(data, at)
        fields[number], at = _value(data, at, head & 15)


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):
        return kind == 1, at
    if kind == 3:
        return data[at], at + 1
    if kind in (4, 5, 6):
        return _integer(data, at)
    if kind == 7:
        return struct.unpack_from("<d", data[at : at + 8].ljust(8, b"\0"))[0], at + 8
    if kind == 8:
        length, at = _varint(data, at)
        if at + length > len(data):
            raise IndexError("the header goes on")
        return data[at : at + length], at + length
    if kind == 12:
        return _struct(data, at)
    raise ValueError(f"not a page header: a field of type {kind}")


def _integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("not a page header: a number without end")
