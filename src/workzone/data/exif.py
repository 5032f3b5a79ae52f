"""One tag of an image's EXIF or XMP: how the camera was held.

All other tags are left alone: they are often damaged, and say nothing of the pixels.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.data.tiff_tags import first_directory

ORIENTATION_TAG = 0x0112
_XMP = re.compile(rb"""tiff:Orientation\s*(?:=\s*["']|>)\s*([1-8])""")


def orientation_in(exif: bytes, xmp: bytes = b"") -> int:
    """The orientation, 1 to 8 (Exif 2.32); 1, upright, where none is told.

    XMP counts where EXIF has no valid orientation, as in Pillow's ``exif_transpose``.

    Args:
        exif: as files have it, with or without ``Exif\\0\\0`` before it.
        xmp: an XML text.
    """
    while exif.startswith(b"Exif\x00\x00"):
        exif = exif[6:]
    tag = first_directory(exif).get(ORIENTATION_TAG)
    if tag is not None and tag.value is not None and 1 <= tag.value <= 8:
        return tag.value
    found = _XMP.search(xmp)
    return int(found[1]) if found else 1


def orientation_of(image: Image.Image) -> int:
    """The orientation that a Pillow image's metadata tell; see `orientation_in`."""
    exif, xmp = image.info.get("exif"), image.info.get("xmp")
    return orientation_in(
        exif if isinstance(exif, bytes) else b"", xmp if isinstance(xmp, bytes) else b""
    )


def turn_upright(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Undo the camera's turn: rows and columns swapped, then flips.

    Args:
        pixels: ``[H, W, C]``.
        orientation: 1 to 8.

    Returns:
        ``[H, W, C]``, or ``[W, H, C]`` for 5 to 8, row by row in memory.
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    flipped = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}.get(orientation, ())
    return np.ascontiguousarray(np.flip(pixels, flipped))
