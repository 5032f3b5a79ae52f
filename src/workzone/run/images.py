"""An image, given in any of several ways, as the bytes of a file."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.data.images import read_bytes
from workzone.errors import ImageError, UsageError
from workzone.types import ImageRef

ImageLike = str | Path | bytes | Image.Image | npt.NDArray[np.uint8]
"""A path, encoded bytes, a Pillow image, or a uint8 array ``[H, W, 3]`` (RGB)."""

_PNG_MODES = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")
_TIFF_MODES = ("I", "F")


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
    """As a lossless file, so that every image takes the one way through `decode`."""
    buffer = io.BytesIO()
    try:
        exif = image.getexif()  # its orientation, which `decode` applies
        if image.mode in _TIFF_MODES:
            image.save(buffer, format="TIFF", exif=exif)
        else:
            plain = image if image.mode in _PNG_MODES else image.convert("RGB")
            plain.save(buffer, format="PNG", compress_level=0, exif=exif)
    except Exception as error:  # Pillow reads lazily: here a damaged file shows
        raise ImageError("unreadable", f"image {name}: {error}") from error
    return buffer.getvalue()
