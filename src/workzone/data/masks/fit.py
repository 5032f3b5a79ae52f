"""Which way up masks are, by their size and the orientation that EXIF gives the image."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from workzone.data.exif import orientation_of, turn_upright
from workzone.data.masks import rle
from workzone.data.masks.formats.shapes import Size
from workzone.data.masks.objects import MaskObject
from workzone.errors import ImageError, ManifestError

SHAPE = 0.01
"""By how much, relatively, the shapes of a picture and of its masks may differ."""

SIDEWAYS = frozenset({5, 6, 7, 8})
"""EXIF orientations that exchange width and height."""


class MisfitError(ManifestError):
    """Masks that do not fit their image; ``code``: ``masks-size`` or ``masks-orientation``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Frame:
    """An image after decoding: upright, with the EXIF orientation that made it so."""

    height: int
    width: int
    orientation: int = 1

    @property
    def stored(self) -> Size:
        """Height and width of the pixels as the file has them."""
        upright = (self.height, self.width)
        return upright[::-1] if self.orientation in SIDEWAYS else upright


def frame_of(data: bytes, name: str) -> Frame:
    """The frame of an image's bytes, by its header alone.

    Raises:
        ImageError: it is no image.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            orientation = orientation_of(image)
            width, height = image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError("unreadable", f"{name} is no image that can be read: {error}") from error
    upright = (width, height) if orientation in SIDEWAYS else (height, width)
    return Frame(*upright, orientation)


def fitting_orientation(size: Size, frame: Frame, stated: int | None = None) -> int:
    """The orientation that lays masks over the upright frame.

    Args:
        size: height and width that the masks are of.
        frame: of the image.
        stated: an orientation that is known, and believed.

    Raises:
        MisfitError: another shape than the frame, or nothing tells whether EXIF turns the masks.
    """
    upright = (frame.height, frame.width)
    if stated is not None or frame.orientation == 1:
        fitting = {stated or 1} if _alike(size, upright) else set()
    elif frame.stored == upright:
        fitting = {1, frame.orientation} if _alike(size, upright) else set()
    else:
        sizes = {1: upright, frame.orientation: frame.stored}
        fitting = {turn for turn, side in sizes.items() if _alike(size, side)}
        if len(fitting) > 1:  # nearly square: to the pixel, then
            fitting = {turn for turn, side in sizes.items() if size == side} or fitting
    if not fitting:
        raise MisfitError(
            "masks-size",
            f"the masks are of a picture of {_shown(size)}, this one has {_shown(upright)}",
        )
    if len(fitting) > 1:
        raise MisfitError(
            "masks-orientation",
            f"EXIF orientation {frame.orientation} turns the picture, and nothing tells whether "
            f"its masks are of the turned one; write #orientation=1 behind their reference if "
            f"they are, #orientation={frame.orientation} if not",
        )
    return fitting.pop()


def turned_upright(item: MaskObject, stored: Size, orientation: int) -> MaskObject:
    """An object of the pixels as stored, in the upright frame."""
    if orientation == 1:
        return item
    mask = turn_upright(rle.decode(item.counts, *stored).view(np.uint8)[..., None], orientation)
    corners = [_turned(x, y, stored, orientation) for x, y in (item.box[:2], item.box[2:])]
    (left, right), (top, bottom) = (sorted(values) for values in zip(*corners, strict=True))
    return MaskObject(
        item.name,
        item.knowledge,
        rle.encode(mask[..., 0].view(np.bool_)),
        (left, top, right, bottom),
        item.score,
        item.crowd,
        item.category,
    )


def _turned(x: float, y: float, stored: Size, orientation: int) -> tuple[float, float]:
    height, width = stored
    if orientation in SIDEWAYS:
        x, y, width, height = y, x, height, width
    across = width - x if orientation in (2, 3, 6, 7) else x
    down = height - y if orientation in (3, 4, 7, 8) else y
    return across, down


def _alike(size: Size, other: Size) -> bool:
    """Whether two sizes have one shape, up to a pixel of rounding and `SHAPE`."""
    difference = abs(size[0] * other[1] - size[1] * other[0])
    return difference <= max(other) + SHAPE * size[0] * other[1]


def _shown(size: Size) -> str:
    return f"{size[1]} x {size[0]} pixels"
