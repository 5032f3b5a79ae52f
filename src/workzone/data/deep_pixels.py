"""Pixels of more than 8 bits, or of fractions, as 8 bits: what their scale is, or that it is open.

A file seldom says where white is. The rule goes by the brightest value (see `to_eight_bits`); where
two readings are possible, the image is refused rather than shown black or white.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.errors import ImageError

_TIFF_SUBFILE, _TIFF_BITS, _TIFF_PHOTOMETRIC = 254, 258, 262
_TIFF_WHITE, _TIFF_SAMPLE_FORMAT = 281, 339
_OVERSHOOT = 0.01  # of the scale, by which resizing leaves it
_LEAST_SHARE = 1 / 4  # of the full scale that the brightest value reaches, if it is the scale


def is_deep(image: Image.Image) -> bool:
    """Whether an opened image has a single channel of more than 8 bits, or of fractions."""
    return image.mode.startswith(("I", "F"))


def to_eight_bits(image: Image.Image, name: str) -> npt.NDArray[np.uint8]:
    """A deep image (`is_deep`) as 8-bit grey.

    Fractions up to 1 go from 0 to 1. For all other values, fractions or not, a brightest one
    of 16 to 255 means 0 to 255, one above 16,383 means 0 to 65,535 (signed: above
    8,191, to 32,767). A TIFF of 9 to 15 bits, or
    whose MaxSampleValue is that of a number of bits (such as 4095), tells its scale.

    Returns:
        uint8 ``[H, W]``.

    Raises:
        ImageError: ``unreadable``: values that are not finite or negative, or an open scale.
    """
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise _unclear(name, "some are not finite; fill them")
    lowest, highest = values.min(), values.max()
    white = _told_white(image) or _white(image, highest)
    if white is None or highest > (1 + _OVERSHOOT) * white:
        raise _unclear(name, f"they go up to {highest:g}, and which value is white is not told")
    if lowest < -_OVERSHOOT * white:
        raise _unclear(name, f"they go down to {lowest:g}, and which value is black is not told")
    grey = (values / white * 255).round().clip(0, 255).astype(np.uint8)
    return 255 - grey if _tag(image, _TIFF_PHOTOMETRIC) == 0 else grey


def check_deep_colours(image: Image.Image, name: str, *, bits: int) -> None:
    """Refuse colours of 16 bits that Pillow cut to their upper 8, if those are nearly black.

    Args:
        image: as it was decoded.
        name: for errors.
        bits: of one value in the file.

    Raises:
        ImageError: ``unreadable``.
    """
    colours = {"RGB": 3, "RGBA": 3, "LA": 1, "CMYK": 4}.get(image.mode)
    if bits > 8 and colours is not None:
        highest = int(np.asarray(image)[..., :colours].max())
        if highest < 255 * _LEAST_SHARE:
            highest = 256 * highest + 255
            raise _unclear(name, f"they end below {highest}, and which value is white is not told")


def check_signs(image: Image.Image, name: str) -> None:
    """Refuse signed 8-bit values, which Pillow takes for unsigned ones.

    Raises:
        ImageError: ``unreadable``.
    """
    if image.mode == "L" and _first(_tag(image, _TIFF_SAMPLE_FORMAT)) == 2:
        raise _unclear(name, "they are signed, and which value is black is not told")


def bits_of(image: Image.Image) -> int:
    """Bits of one value of an opened TIFF; 8 for other kinds."""
    return int(_first(_tag(image, _TIFF_BITS)) or 8)


def is_thumbnail(image: Image.Image) -> bool:
    """Whether an opened TIFF's page says that it is a smaller copy of another."""
    return bool((_tag(image, _TIFF_SUBFILE) or 0) & 1)


def _told_white(image: Image.Image) -> float | None:
    """The scale where the file tells it; Pillow brings PPM and JPEG 2000 to full 16 bits."""
    if image.format in ("PPM", "JPEG2000"):
        return 65535.0
    bits = bits_of(image)
    if 8 < bits < 16:
        return float(2**bits - 1)
    told = _first(_tag(image, _TIFF_WHITE))  # or the brightest value that happens to be there
    if isinstance(told, int) and told >= 255 and told.bit_count() == told.bit_length() <= 16:
        return float(told)
    return None


def _white(image: Image.Image, highest: float) -> float | None:
    """The scale by the brightest value, or None where it is open."""
    signed = bits_of(image) == 16 and _first(_tag(image, _TIFF_SAMPLE_FORMAT)) == 2
    full = 32767.0 if signed else 65535.0
    if highest == 0:
        return 1.0
    if image.mode.startswith("F") and 1 / 16 <= highest <= 1 + _OVERSHOOT:
        return 1.0
    if 16 <= highest <= 255 * (1 + _OVERSHOOT):
        return 255.0
    return full if _LEAST_SHARE * full <= highest <= full * (1 + _OVERSHOOT) else None


def _tag(image: Image.Image, tag: int) -> Any:
    tags = getattr(image, "tag_v2", None)
    return None if tags is None else tags.get(tag)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and value else value


def _unclear(name: str, why: str) -> ImageError:
    return ImageError(
        "unreadable", f"{name}: its values cannot be shown: {why}; save it with 8 bits (0 to 255)"
    )
