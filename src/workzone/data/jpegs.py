"""JPEG pixels, or the sentence that some of them are lost."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import simplejpeg

from workzone.errors import ImageError

JPEG_START = b"\xff\xd8\xff"

_END = b"\xff\xd9"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_NEXT_SEGMENT = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # no restart marker, no stuffed zero
_FILL = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_SHORT_FILL = 8  # bytes; some cameras leave that many of any value before the end
_SLACK = 16  # bytes of fill that libjpeg does not count, as it had read them ahead
_MOST_REPAIRS = 6  # libjpeg counts a long fill in parts


def decode_jpeg(
    data: bytes, colorspace: str, enough_side: int | None, name: str
) -> npt.NDArray[np.uint8] | None:
    """Decode with libjpeg-turbo: the same pixels as Pillow's, more than twice as fast.

    Pillow keeps silent where libjpeg warns that data are missing or damaged. Here such an image is
    refused, unless nothing but bytes without pixels is missing or too many.

    Args:
        data: a JPEG file; what follows its end is passed over.
        colorspace: ``RGB``, or ``CMYK`` for files with four components.
        enough_side: see :func:`workzone.data.images.decode`.
        name: for errors.

    Returns:
        uint8 ``[H, W, channels]``, or None for kinds that only Pillow may read.

    Raises:
        ImageError: ``truncated`` or ``damaged``.
    """
    least = enough_side or 0
    for _ in range(_MOST_REPAIRS):
        try:  # 7/8 to 5/8 of the size would take longer than all of it: half is the first that pays
            pixels: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(
                data, colorspace, min_height=least, min_width=least, min_factor=2 if least else 1
            )
        except ValueError as error:
            repaired = _repair(data, str(error), name)
            if repaired is None:
                return None
            data = repaired
            continue
        if not _all_scans_are_there(data):
            raise ImageError("truncated", f"{name}: the JPEG file lacks its last scans")
        return pixels
    raise ImageError("damaged", f"{name}: a damaged JPEG file: too many faults in one file")


def _repair(data: bytes, warning: str, name: str) -> bytes | None:
    """The file without the fault of libjpeg's first warning, if no pixels are lost with it."""
    if "Premature end of JPEG file" in warning:
        if data.endswith(_END):
            raise ImageError("truncated", f"{name}: the JPEG file ends too early")
        return data.removesuffix(b"\xff") + _END  # whether pixels are lost shows with the end added
    if "premature end of data" in warning:
        raise ImageError(
            "truncated", f"{name}: pixels are missing in the JPEG file ({warning}); fetch it again"
        )
    fill = _FILL.search(warning)
    repaired = _without_fill(data, int(fill[1])) if fill else None
    if repaired is None and ("Corrupt JPEG" in warning or "Inconsistent progression" in warning):
        raise ImageError("damaged", f"{name}: the JPEG file is damaged ({warning}); fetch it again")
    return repaired


def _without_fill(data: bytes, count: int) -> bytes | None:
    """The file without ``count`` bytes before its end mark, if they may be mere fill.

    They are when they are few, or all alike. A run that begins well before them is not: its first
    bytes were taken for pixels.
    """
    scan = next((at for marker, at in _segments(data) if marker == 0xDA), len(data))
    end = data.find(_END, scan)
    if end - count <= scan:
        return None
    around = data[max(scan, end - count - _SLACK - 1) : end]
    run = len(around) - len(around.rstrip(around[-1:]))
    if count <= _SHORT_FILL or count <= run <= count + _SLACK:
        return data[: end - count] + _END
    return None


def _all_scans_are_there(data: bytes) -> bool:
    """Whether a file of several scans has all of them.

    libjpeg is silent when a progressive file ends between two: the picture is then blurred or
    lacks its colours.
    """
    components = 0
    progressive = False
    missing: dict[int, list[int]] = {}  # component to its coefficients' lowest bit so far
    for marker, at in _segments(data):
        if marker not in _FRAMES and marker != 0xDA:
            continue
        body = data[at + 2 : at + (data[at] << 8 | data[at + 1])]
        if marker != 0xDA:
            components = body[5]
            progressive = marker in (0xC2, 0xCA)
            ids = body[6 : 6 + 3 * components : 3]
            missing = {component: [99] * 64 for component in ids}
        else:
            count = body[0]
            if not progressive and count == components:
                return True  # the usual file: one scan
            first, last, bits = body[1 + 2 * count : 4 + 2 * count]
            for component in body[1 : 1 + 2 * count : 2]:
                for k in range(first, min(last, 63) + 1) if progressive else range(64):
                    missing.get(component, [0] * 64)[k] = bits & 15 if progressive else 0
    return all(bit == 0 for bits in missing.values() for bit in bits)


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker of each segment up to the end of the (first) image, and where its length stands."""
    at = 2
    while at + 4 <= len(data):
        marker = data[at + 1]
        if data[at] != 0xFF or not 0xC0 <= marker < 0xFF or 0xD0 <= marker < 0xD8:  # within pixels
            found = _NEXT_SEGMENT.search(data, at)
            if found is None:
                return
            at = found.start()
            marker = data[at + 1]
        if marker == 0xD9 or at + 4 > len(data):
            return
        at += 2
        if marker > 0x01 and marker != 0xD8:
            yield marker, at
            at += data[at] << 8 | data[at + 1]
