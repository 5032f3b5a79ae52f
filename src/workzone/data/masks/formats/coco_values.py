"""Single values of COCO files, whatever tool wrote them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from workzone.data.masks import rle
from workzone.data.masks.formats.shapes import Polygon, Size

OUTSIDE = 0.1
"""Of the frame's side: a corner that lies further outside belongs to a picture of another size."""
LONGEST = 60
"""Characters of a value in a message."""


def counts_of(segmentation: Mapping[str, Any], size: Size | None) -> bytes:
    """Counts of run lengths, compressed or not.

    Raises:
        ValueError: they are damaged, or of an image of another size.
    """
    told, counts = segmentation.get("size"), segmentation.get("counts")
    told = tuple(told) if isinstance(told, list) else size
    if size is None or told != size:
        raise ValueError(f"its run lengths are of a size {told}, the image of {size}")
    if isinstance(counts, str):
        encoded = counts.encode("ascii", "replace")
        rle.check(encoded, *size)
        return encoded
    if isinstance(counts, list):
        return rle.from_runs(counts, *size)
    raise ValueError("its run lengths are neither a text nor a list")


def box_of(value: Any, size: Size | None) -> rle.BoxXYXY | None:
    """Edges of ``[x, y, width, height]``; None: it is no box of this image."""
    if not isinstance(value, list) or len(value) != 4:
        return None
    numbers = [number_of(each) for each in value]
    left, top, across, down = numbers
    if left is None or top is None or across is None or down is None or min(across, down) <= 0:
        return None
    corners = np.array([[left, top], [left + across, top + down]])
    if size is not None and is_outside(corners, size):
        return None
    return left, top, left + across, top + down


def number_of(value: Any) -> float | None:
    """A finite number, or a text of one; None: it is neither."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def outlines_of(segmentation: Any) -> list[Any]:
    """The outlines of a segmentation, each to be read by `polygon_of`."""
    if not isinstance(segmentation, list) or not segmentation:
        return []
    single = all(not isinstance(part, list) for part in segmentation)
    pairs = len(segmentation) >= 3 and all(
        isinstance(part, list) and len(part) == 2 and not any(isinstance(v, list) for v in part)
        for part in segmentation
    )
    return [segmentation] if single or pairs else segmentation


def polygon_of(corners: Any) -> Polygon | None:
    """Corners ``[n, 2]`` of x0, y0, x1, y1, ... or of pairs; None: they cannot be read."""
    if not isinstance(corners, list):
        return None
    if corners and all(isinstance(pair, list) and len(pair) == 2 for pair in corners):
        corners = [value for pair in corners for value in pair]
    if len(corners) % 2 or not all(
        isinstance(value, int | float | str) and not isinstance(value, bool) for value in corners
    ):
        return None
    try:
        polygon = np.array([float(value) for value in corners]).reshape(-1, 2)
    except (ValueError, OverflowError):
        return None
    return polygon if np.isfinite(polygon).all() else None


def is_outside(polygon: Polygon, size: tuple[int, int]) -> bool:
    """Whether corners are of a picture of another size, or in fractions of one."""
    if not len(polygon):
        return False
    height, width = size
    limits = np.array([width, height])
    far = OUTSIDE * limits
    return bool((polygon < -far).any() or (polygon > limits + far).any() or polygon.max() <= 1)


def size_of(image: Any) -> tuple[int, int] | None:
    """Height and width of an entry, in whole pixels; None: they are not there, or no sizes."""
    sides = []
    for name in ("height", "width"):
        try:
            side = float(get(image, name))
        except (TypeError, ValueError, OverflowError):
            return None
        if not (side.is_integer() and 0 < side < 2**31):
            return None
        sides.append(int(side))
    return sides[0], sides[1]


def get(entry: Any, name: str) -> Any:
    """A value of an entry; None: there is none, or the entry is no mapping."""
    return entry.get(name) if isinstance(entry, Mapping) else None


def short(value: Any) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."
