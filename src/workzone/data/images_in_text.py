"""Pictures that stand in a table's cell as text: base64, or a ``data:`` address."""

from __future__ import annotations

import base64
import binascii
import re

LONGEST_PATH = 4096
"""Characters; no system opens a longer path."""

_MAGIC = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|GIF8|RIFF....WEBP|BM|II\*\0|MM\0\*|II\+\0|MM\0\+"
    rb"|....ftyp|\0\0\0\x0cjP  |\xff\x4f\xff\x51|\0\0\0\x0cJXL |\xff\x0a",
    re.DOTALL,
)
_DATA = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\s]+={0,2}\s*")


def is_picture(data: bytes) -> bool:
    """Whether bytes begin like a picture of any usual kind."""
    return _MAGIC.match(data) is not None


def decode_text(text: str) -> bytes | None:
    """The bytes of a picture that ``text`` holds, None where it holds none.

    Plain base64 counts if all of it is base64 and what comes out begins like a picture, so that a
    path is never taken for one. Line breaks and the alphabet of web addresses are allowed.
    """
    address = _DATA.match(text)
    coded = text[address.end() :] if address else text
    if not _BASE64.fullmatch(coded):
        return None
    coded = "".join(coded.split()).translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
    try:
        data = base64.b64decode(coded + "=" * (-len(coded) % 4), validate=True)
    except binascii.Error:
        return None
    return data if address or is_picture(data) else None


def is_path(text: str) -> bool:
    """Whether a text can be the path of a file."""
    return (
        len(text) <= LONGEST_PATH
        and not text.lower().startswith("data:")
        and all(character >= " " for character in text)
    )
