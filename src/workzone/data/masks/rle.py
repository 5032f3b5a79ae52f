"""Masks as COCO's run lengths: made, checked and read by pycocotools.

A mask is the compressed text that ``pycocotools.mask`` calls ``counts``: the lengths of runs of
zeros and ones by turns, down the columns from the left, zeros first, each but the first three as
its difference from the one two before, in base 32 with a sign
(https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c, ``rleToString``).
pycocotools reads such text without asking whether it fits the image; here it is checked before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from workzone.errors import needing_train

if TYPE_CHECKING:
    from types import ModuleType

BoxXYXY = tuple[float, float, float, float]
"""Left, top, right and bottom edges in pixels, right and bottom beyond the last pixel."""

_LONGEST = 13  # characters of a number: 64 bits in fives


def encode(mask: npt.NDArray[np.bool_]) -> bytes:
    """The counts of a mask ``[h, w]``.

    Raises:
        ValueError: another shape, or no pixel at all.
    """
    if mask.ndim != 2 or not mask.size:
        raise ValueError(f"a mask is [h, w] with pixels, got {list(mask.shape)}")
    encoded: bytes = _api().encode(np.asfortranarray(mask, np.uint8))["counts"]
    return encoded


def decode(counts: bytes, height: int, width: int) -> npt.NDArray[np.bool_]:
    """The mask bool ``[height, width]``.

    Raises:
        ValueError: counts that are damaged or of an image of another size.
    """
    runs = read_runs(counts)
    _check_runs(runs, height, width)
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(pixels.reshape(width, height).T)


def check(counts: bytes, height: int, width: int) -> None:
    """See that counts are whole and of an image of this size.

    Raises:
        ValueError: they are not.
    """
    _check_runs(read_runs(counts), height, width)


def from_runs(runs: Sequence[int], height: int, width: int) -> bytes:
    """Counts of runs that are not compressed, as COCO's crowds have them.

    Raises:
        ValueError: they do not fit the image.
    """
    if not all(isinstance(run, int) and not isinstance(run, bool) for run in runs):
        raise ValueError("run lengths are whole numbers")
    _check_runs(runs, height, width)
    made: bytes = _api().frPyObjects(
        {"size": [height, width], "counts": list(runs)}, height, width
    )["counts"]
    return made


def from_polygons(polygons: Iterable[npt.NDArray[np.float64]], height: int, width: int) -> bytes:
    """Counts of what polygons ``[corners, 2]`` of x and y in pixels enclose, by COCO's rule.

    Corners beyond the frame are cut there; where several polygons overlap, both count.

    Raises:
        ValueError: no polygon, or one with fewer than three corners or corners far outside.
    """
    flat = [np.asarray(polygon, np.float64).reshape(-1) for polygon in polygons]
    far = 4.0 * max(height, width)
    for corners in flat:
        if len(corners) < 6 or not np.isfinite(corners).all() or np.abs(corners).max() > far:
            raise ValueError("a polygon has at least three corners, near the frame")
    if not flat:
        raise ValueError("no polygon")
    api = _api()
    merged: bytes = api.merge(api.frPyObjects([c.tolist() for c in flat], height, width))["counts"]
    return merged


def from_box(box: BoxXYXY, height: int, width: int) -> bytes:
    """Counts of the pixels whose centres a box holds, of the nearest one at least.

    Raises:
        ValueError: edges that are no finite numbers, or in the wrong order.
    """
    left, top, right, bottom = box
    if not np.isfinite(box).all() or right < left or bottom < top:
        raise ValueError(f"a box is left, top, right, bottom, got {box}")
    mask = np.zeros((height, width), np.bool_)
    rows, columns = _pixels(top, bottom, height), _pixels(left, right, width)
    mask[rows, columns] = True
    return encode(mask)


def _pixels(start: float, end: float, count: int) -> slice:
    first, last = round(start), round(end)
    if end <= 0 or start >= count:  # wholly outside
        return slice(0, 0)
    first = min(max(first, 0), count - 1)
    return slice(first, max(first + 1, min(last, count)))


def union(many: Sequence[bytes], height: int, width: int) -> npt.NDArray[np.bool_]:
    """What any of several masks covers, bool ``[height, width]``.

    Raises:
        ValueError: as `decode`.
    """
    if not many:
        return np.zeros((height, width), np.bool_)
    return decode(joined(many, height, width), height, width)


def joined(many: Sequence[bytes], height: int, width: int, *, common: bool = False) -> bytes:
    """The counts of what any of several masks covers; with ``common``, of what all cover.

    Raises:
        ValueError: as `decode`.
    """
    for counts in many:
        check(counts, height, width)
    masks = [{"size": [height, width], "counts": counts} for counts in many]
    merged: bytes = _api().merge(masks, common)["counts"]
    return merged


def area(counts: bytes) -> int:
    """How many pixels a mask covers."""
    return sum(read_runs(counts)[1::2])


def bounds(counts: bytes, height: int, width: int) -> BoxXYXY:
    """The smallest box around a mask; all zeros where it is empty.

    (pycocotools' own gives others where a run within is of no pixels, which is allowed.)
    """
    ends = np.cumsum([0, *read_runs(counts)])
    starts, ends = ends[1:-1:2], ends[2::2]  # of the ones
    starts, ends = starts[ends > starts], ends[ends > starts] - 1  # the last pixel
    if not len(starts):
        return 0.0, 0.0, 0.0, 0.0
    left, right = starts // height, ends // height
    whole = bool((left != right).any())  # a run over a column's end has its last and first row
    top = 0 if whole else int((starts % height).min())
    bottom = height if whole else int((ends % height).max()) + 1
    return float(left.min()), float(top), float(right.max()) + 1, float(bottom)


def read_runs(counts: bytes) -> list[int]:
    """The runs of counts, not compressed.

    Raises:
        ValueError: text that is no such counts, or ends within a number.
    """
    runs: list[int] = []
    value = digits = 0
    for byte in counts:
        digit = byte - 48
        if not 0 <= digit < 64 or digits >= _LONGEST:
            raise ValueError("its run lengths are damaged")
        value |= (digit & 31) << 5 * digits
        digits += 1
        if digit & 32:
            continue
        if digit & 16:
            value -= 1 << 5 * digits
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = digits = 0
    if digits:
        raise ValueError("its run lengths end too early")
    return runs


def _check_runs(runs: Sequence[int], height: int, width: int) -> None:
    if any(run < 0 for run in runs):
        raise ValueError("its run lengths are damaged")
    if sum(runs) != height * width:
        raise ValueError(
            f"its run lengths are of {sum(runs)} pixels, an image of {width} x {height} has "
            f"{height * width}"
        )


def _api() -> ModuleType:
    with needing_train("reading masks"):
        from pycocotools import mask
    api: Any = mask
    return api  # type: ignore[no-any-return]
