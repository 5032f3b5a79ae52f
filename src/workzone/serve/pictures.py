"""The format, size and scans of a picture from its bytes, before anything decodes it.

Sources: PNG (W3C, third edition) 11.2.1, RFC 9649 (WebP), ITU-T T.81 B.2.2 (JPEG), and Microsoft's
BITMAPINFOHEADER.
"""

from __future__ import annotations

import re
import struct

from workzone.serve.problems import Problem

FORMATS = ("JPEG", "PNG", "WebP", "BMP")
MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp", "image/bmp")

_MOST_SEGMENTS = 10_000
"""Of a JPEG: before the one with its size, and in all where there may be too many scans."""
_NO_FRAME = {0xC4, 0xC8, 0xCC}
"""Markers between the first and the last start of frame that are none."""
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""None of a scan's data: there 0 or a restart follows a byte of ones."""


def check_picture(data: bytes, *, most_pixels: int, most_scans: int) -> tuple[str, int, int]:
    """Its format of `FORMATS`, width and height as stored.

    Raises:
        Problem: another format, a header that holds no size, more pixels than ``most_pixels``, or
            a JPEG with more scans than ``most_scans``.
    """
    if not data:
        raise Problem("image-unusable", "the image has zero bytes: send the file's bytes")
    name = _format(data)
    if name is None:
        raise Problem(
            "unsupported-format",
            f"the first bytes are of no {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file: "
            "convert the image to one of these",
            formats=list(FORMATS),
        )
    try:
        width, height = _size(name, data)
    except (struct.error, IndexError, ValueError) as error:
        raise Problem(
            "image-unusable", f"the header of this {name} file is damaged or cut off: send it again"
        ) from error
    if width < 1 or height < 1:
        raise Problem("image-unusable", f"this {name} file says that it is {width}x{height} pixels")
    if width * height > most_pixels:
        raise Problem(
            "too-many-pixels",
            f"the image has {width}x{height} pixels, at most {most_pixels:,} in all are taken: "
            "scale it down",
            limit=most_pixels,
        )
    if name == "JPEG" and _has_more_scans(data, most_scans):
        raise Problem(
            "too-many-scans",
            f"this JPEG has more than {most_scans} scans, each a pass over all of its pixels: save "
            "it anew, as a plain JPEG",
            limit=most_scans,
        )
    return name, width, height


def check_still(data: bytes) -> None:
    """Make sure that a file of one of `FORMATS` holds one picture.

    Raises:
        Problem: it moves: an animated PNG (chunk acTL) or WebP (the flag of its extended header).
    """
    name = _format(data)
    png = name == "PNG" and b"acTL" in data[: data.find(b"IDAT") + 1 or None]
    webp = name == "WebP" and data[12:16] == b"VP8X" and len(data) > 20 and data[20] & 2
    if png or webp:
        raise Problem("image-unusable", f"this {name} file is animated: send one picture")


def _format(data: bytes) -> str | None:
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP"
    return "BMP" if data.startswith(b"BM") else None


def _size(name: str, data: bytes) -> tuple[int, int]:
    if name == "JPEG":
        return _jpeg(data)
    if name == "PNG":
        if data[12:16] != b"IHDR":
            raise ValueError("no IHDR")
        return struct.unpack_from(">II", data, 16)
    if name == "WebP":
        return _webp(data)
    (header,) = struct.unpack_from("<I", data, 14)
    if header == 12:
        return struct.unpack_from("<HH", data, 18)
    width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)


def _webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return (
            1 + int.from_bytes(_cut(data, 24, 3), "little"),
            1 + int.from_bytes(_cut(data, 27, 3), "little"),
        )
    if kind == b"VP8L" and data[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("no size")


def _jpeg(data: bytes) -> tuple[int, int]:
    place = 2
    for _ in range(_MOST_SEGMENTS):
        if data[place] != 0xFF:
            raise ValueError("no marker")
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
        elif marker in (0x01, *range(0xD0, 0xD8)):  # they stand alone
            place += 2
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            height, width = struct.unpack_from(">HH", data, place + 5)
            return width, height
        else:
            (length,) = struct.unpack_from(">H", data, place + 2)
            place += 2 + length
    raise ValueError("no frame")


def _has_more_scans(data: bytes, most: int) -> bool:
    """Whether a JPEG has more than ``most`` scans, or segments without end."""
    if data.count(bytes([0xFF, _SCAN])) <= most:  # nearly always; previews have some too
        return False
    place = scans = 0
    for _ in range(_MOST_SEGMENTS):
        found = _MARKER.search(data, place)
        if found is None or found[0][1] == _END:
            return False
        marker, place = found[0][1], found.end()
        scans += marker == _SCAN
        if scans > most:
            return True
        if marker not in (0x01, _START):  # they stand alone
            place += int.from_bytes(data[place : place + 2], "big")
    return True


def _cut(data: bytes, start: int, length: int) -> bytes:
    if len(data) < start + length:
        raise ValueError("cut off")
    return data[start : start + length]
