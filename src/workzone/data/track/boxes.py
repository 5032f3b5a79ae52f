"""Boxes of MP4 and MOV files (ISO/IEC 14496-12): what lies where, by type."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from workzone.errors import TrackError

_FIRST = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"})


@dataclass(frozen=True, slots=True)
class Box:
    """A box of the file itself: its type, and where its content is."""

    kind: bytes
    start: int
    end: int
    whole: bool = True


def is_mp4(head: bytes) -> bool:
    """Whether a file's first bytes are those of MP4 or MOV."""
    return head[4:8] in _FIRST


def file_boxes(handle: BinaryIO, path: Path) -> list[Box]:
    """The boxes of the file itself; the last one may be cut off.

    Raises:
        TrackError: what should be a box is none, before the index.
    """
    size = handle.seek(0, 2)
    found: list[Box] = []
    at = 0
    while at + 8 <= size:
        handle.seek(at)
        head = handle.read(16)
        length, kind = struct.unpack_from(">I4s", head)
        start = at + 8
        if length == 1 and len(head) == 16:
            length, start = struct.unpack_from(">Q", head, 8)[0], at + 16
        end = size if length == 0 else at + length
        if end < start and any(box.kind == b"moov" for box in found):
            break  # what follows the film is none of it
        if end < start:
            raise TrackError(
                f"{path} is damaged at byte {at:,}: no MP4 box has {length} bytes; copy it again"
            )
        found.append(Box(kind, start, min(end, size), end <= size))
        at = end
    return found


def children(data: bytes | memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Type and content of the boxes in a box, not copied; what is no whole box ends them."""
    data = memoryview(data)
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if length == 1 and at + 16 <= len(data):
            length, start = struct.unpack_from(">Q", data, at + 8)[0], at + 16
        end = len(data) if length == 0 else at + length
        if end < start or end > len(data):
            return
        yield kind, data[start:end]
        at = end
