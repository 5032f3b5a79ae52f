"""An image, given in any of several ways, as the bytes of a file."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.data.exif import ORIENTATION_TAG, orientation_of
from workzone.data.images import read_bytes
from workzone.errors import ImageError, UsageError
from workzone.types import ImageRef

ImageLike = str | Path | bytes | Image.Image | npt.NDArray[np.uint8]
"""A path, encoded bytes, a Pillow image, or a uint8 array ``[H, W, 3]`` (RGB)."""

_PNG_MODES = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")
_TIFF_MODES = ("I", "F")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Encoded:
    """The bytes of an image's file."""

    data: bytes
    name: str  # for messages


def name_of(image: ImageLike, number: int) -> str:
    """Its path as it was given, or its number."""
    return str(image) if isinstance(image, str | Path) else str(number)


def encoded(image: ImageLike, name: str) -> Encoded:
    """The file of an image given in any of the ways of `ImageLike`."""
    if isinstance(image, str | Path):
        return Encoded(read_bytes(ImageRef(str(image)), Path()), name)
    if isinstance(image, bytes):
        return Encoded(image, f"image {name}")
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ImageError(
                "unreadable",
                f"image {name}: an array must be uint8 [H, W, 3], "
                f"not {image.dtype} {list(image.shape)}",
            )
        image = Image.fromarray(image)
    if isinstance(image, Image.Image):
        return Encoded(_as_file(image, name), f"image {name}")
    raise UsageError(
        f"image {name} is {type(image).__name__}; give a path, encoded bytes, a Pillow image or a "
        "uint8 array [H, W, 3]"
    )


def _as_file(image: Image.Image, name: str) -> bytes:
    """As a lossless file, so that every image takes the one way through `decode`.

    Its orientation is applied as `PIL.ImageOps.exif_transpose` would; no other tag is read.
    """
    buffer = io.BytesIO()
    try:
        image.load()  # TIFFs are turned here, and some PNGs tell their orientation after it
        method = _TURNS.get(_orientation(image))
        plain = image.copy() if method is None else image.transpose(method)
        plain.info = {k: v for k, v in image.info.items() if k == "transparency"}
        if plain.mode in _TIFF_MODES:
            plain.save(buffer, format="TIFF")
        else:
            plain = plain if plain.mode in _PNG_MODES else plain.convert("RGB")
            plain.save(buffer, format="PNG", compress_level=0)
    except Exception as error:  # Pillow reads lazily: here a damaged file shows
        raise ImageError("unreadable", f"image {name}: {error}") from error
    return buffer.getvalue()


def _orientation(image: Image.Image) -> int:
    """Of the tags that the image has now: who has turned its pixels may have deleted it."""
    try:
        orientation = image.getexif().get(ORIENTATION_TAG)
    except Exception:  # damaged tags
        return orientation_of(image)
    return orientation if isinstance(orientation, int) else 1
