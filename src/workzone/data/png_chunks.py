"""PNG files without the chunks that say nothing of the pixels.

Pillow refuses a whole picture when its texts or its colour profile are large once unpacked.
"""

from __future__ import annotations

import re
import struct
import zlib

from workzone.data.exif import orientation_in

PNG_START = b"\x89PNG\r\n\x1a\n"

_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_EXIF_TEXT = b"Raw profile type exif"  # as ImageMagick writes it, in hexadecimal digits
_XMP_TEXT = b"XML:com.adobe.xmp"
_MOST_TEXT = 4 << 20  # bytes that one text is unpacked to


def bare_png(data: bytes) -> tuple[bytes, int]:
    """A PNG file's pixels, palette and transparency alone, and its orientation.

    Of an animation the still picture is left. Nothing is raised: what is damaged or cut off is
    kept for the decoder to judge.

    Args:
        data: a file that begins with `PNG_START`.

    Returns:
        The file without its other chunks, and an orientation from 1 to 8.
    """
    kept = [PNG_START]
    exif = b""
    texts: dict[bytes, bytes] = {}
    at = end = len(PNG_START)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        if kind[:1].isupper() or kind == b"tRNS":  # an upper case letter: needed for the pixels
            kept.append(data[at:end])
        elif kind == b"eXIf":
            exif = exif or data[at + 8 : end - 4]
        elif kind in _TEXTS:
            name = data[at + 8 : min(end - 4, at + 88)].partition(b"\x00")[0]
            if name in (_EXIF_TEXT, _XMP_TEXT) and name not in texts:
                texts[name] = _unpack_text(kind, data[at + 8 + len(name) + 1 : end - 4])
        at = end
        if kind == b"IEND":
            break
    if end > len(data):  # cut off within a chunk
        kept.append(data[at:])
    exif = exif or _from_hexadecimal(texts.get(_EXIF_TEXT, b""))
    return b"".join(kept), orientation_in(exif, texts.get(_XMP_TEXT, b""))


def _unpack_text(kind: bytes, body: bytes) -> bytes:
    """The text after a chunk's keyword, as bytes; empty where it is damaged."""
    packed = kind == b"zTXt"
    if packed:
        body = body[1:]
    elif kind == b"iTXt":
        packed = body[:1] == b"\x01"
        body = body[2:].partition(b"\x00")[2].partition(b"\x00")[2]
    if not packed:
        return body[:_MOST_TEXT]
    try:
        return zlib.decompressobj().decompress(body, _MOST_TEXT)
    except zlib.error:
        return b""


def _from_hexadecimal(text: bytes) -> bytes:
    """EXIF from three lines of heading and hexadecimal digits; empty where it is damaged."""
    digits = re.sub(rb"\s", b"", b"".join(text.split(b"\n")[3:]))
    try:
        return bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return b""
