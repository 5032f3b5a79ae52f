"""HEIC photographs, through the optional package pillow-heif."""

from __future__ import annotations

import io
from collections.abc import Callable

from PIL import Image

from workzone.data.kinds import HEIC
from workzone.errors import ImageError


def open_heic(data: bytes, name: str, check_size: Callable[[tuple[int, int]], None]) -> Image.Image:
    """Decode a HEIC photograph; libheif turns it upright.

    The package is used here alone: Pillow's own list of formats stays as it is.

    Args:
        data: the encoded bytes.
        name: for errors.
        check_size: is called with width and height before anything is decoded.

    Raises:
        ImageError: pillow-heif is not installed, or cannot decode it.
    """
    try:
        import pillow_heif
    except ImportError as error:
        raise ImageError("unreadable", f"{name}: {HEIC}") from error
    try:
        file = pillow_heif.open_heif(io.BytesIO(data))
        check_size(file.size)
        image: Image.Image = file.to_pillow()
        image.load()
    except ImageError:
        raise
    except Exception as error:  # as other decoders do, on damaged files
        raise ImageError(
            "unreadable",
            f"{name}: a damaged HEIC photograph ({error}): fetch it again, or convert it to JPEG",
        ) from error
    return image
