"""From masks to objects: outlines, boxes and scores, in fractions of the frame."""

from __future__ import annotations

import math
from itertools import pairwise

import contourpy
import numpy as np
import numpy.typing as npt

from workzone.decide.threshold import HALF
from workzone.engine.program import Answer, Floats
from workzone.types import OBJECT_CLASSES, Box, FoundObject, Ring

MARKED = 0.2
"""An object is as large as its probability is above this; benchmarks/masks_cut.py chose it."""
SURE = HALF
"""Somewhere within an object it is above this. Two thresholds (hysteresis, as in Canny, "A
Computational Approach to Edge Detection", IEEE PAMI 1986) find more, and smaller, objects than one:
docs/score/objects.md."""
CORE_CELLS = 2
"""Cells above `SURE` that touch, which are an object of their own whatever they touch below it."""
LEAST_CELLS = 1.0
"""Cells of a mask that an object covers at least; less is noise."""

Labels = npt.NDArray[np.int64]


def found_objects(answer: Answer) -> list[FoundObject]:
    """The objects that masks show, of each class the surest first; see `object_labels`.

    Outlines run between cells, where the probability is `MARKED`.

    Args:
        answer: with masks.
    """
    assert answer.masks is not None and answer.masks_box is not None
    found: list[FoundObject] = []
    for name, logits in zip(OBJECT_CLASSES, answer.masks, strict=True):
        own = _of_class(name, logits.astype(np.float64), answer.masks_box)
        found += sorted(own, key=lambda one: -one.score)
    return found


def object_labels(probabilities: npt.NDArray[np.floating], *, marked: float = MARKED) -> Labels:
    """Which object of a class each cell belongs to.

    An object is a core, of at least `CORE_CELLS` cells above `SURE` side by side, with all marked
    cells that it reaches before another core does. Where there is no core, connected marked cells
    are one object if any of them is above `SURE`. Cores that touch are one.

    Args:
        probabilities: of the class in each cell ``[h, w]``.
        marked: cells above it are marked.

    Returns:
        ``[h, w]``: 0 where no object is, else its number, from 1 on.
    """
    cells, sure = probabilities > marked, probabilities > SURE
    cores = _parts(sure)
    cores[np.bincount(cores.ravel())[cores] < CORE_CELLS] = 0
    labels = _spread(cores, cells)
    rest = _parts(cells & (labels == 0))
    rest[~np.isin(rest, rest[sure])] = 0
    labels = np.where(rest > 0, rest + labels.max(), labels)
    numbers = np.unique(labels[labels > 0])
    return np.where(labels > 0, np.searchsorted(numbers, labels) + 1, 0)


def _parts(cells: npt.NDArray[np.bool_]) -> Labels:
    """Another number above 0 for each part whose cells are side by side; 0 elsewhere."""
    labels = np.where(cells, np.arange(1, cells.size + 1).reshape(cells.shape), 0)
    while True:
        highest = np.where(cells, _highest(labels), 0)
        if np.array_equal(highest, labels):
            return labels
        labels = highest


def _spread(labels: Labels, cells: npt.NDArray[np.bool_]) -> Labels:
    """Labels, and step by step those beside them, within cells."""
    while True:
        further = np.where(cells & (labels == 0), _highest(labels), labels)
        if np.array_equal(further, labels):
            return labels
        labels = further


def _highest(labels: Labels) -> Labels:
    """The highest of a cell's label and those of its four neighbours."""
    around = np.pad(labels, 1)
    rows = np.maximum(around[:-2, 1:-1], around[2:, 1:-1])
    columns = np.maximum(around[1:-1, :-2], around[1:-1, 2:])
    return np.maximum(labels, np.maximum(rows, columns))


def _of_class(name: str, logits: npt.NDArray[np.float64], view: Floats) -> list[FoundObject]:
    logits = np.nan_to_num(logits, nan=-60).clip(-60, 60)
    probabilities = 1 / (1 + np.exp(-logits))
    if probabilities.max() <= SURE:
        return []
    labels = np.pad(object_labels(probabilities), 1)
    above = logits - math.log(MARKED / (1 - MARKED))
    # A border of the opposite closes outlines at the edge of the view, and at other objects.
    opposite = -np.abs(np.pad(above, 1, mode="edge"))
    field = np.pad(above.clip(min=1e-9), 1)  # of cells of objects, whatever is rounded
    probabilities = np.pad(probabilities, 1)
    found = []
    for number in range(1, int(labels.max()) + 1):
        rows, columns = (np.flatnonzero((labels == number).any(axis=axis)) for axis in (1, 0))
        top, left = rows[0] - 1, columns[0] - 1
        part = np.s_[top : rows[-1] + 2, left : columns[-1] + 2]
        own = labels[part] == number
        rings = _rings(np.where(own, field[part], opposite[part]))
        cells = abs(_area(rings[0])) - sum(abs(_area(hole)) for hole in rings[1:])
        if cells < LEAST_CELLS:
            continue
        placed = [_placed(ring + np.array([left, top]), logits.shape, view) for ring in rings]
        xs, ys = zip(*placed[0], strict=True)
        box: Box = (min(xs), min(ys), max(xs), max(ys))
        if box[0] == box[2] or box[1] == box[3]:
            continue  # beyond the frame
        score = round(float(probabilities[part][own].mean()), 4)
        found.append(FoundObject(name, score, box, tuple(placed)))
    return found


def _rings(field: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    """Where a field of one connected part crosses 0: its outline, and then those of its holes."""
    generator = contourpy.contour_generator(z=field, fill_type=contourpy.FillType.OuterOffset)
    outlines, offsets, *_ = generator.filled(0.0, np.inf)
    ((points, ends),) = zip(outlines, offsets, strict=True)
    assert points is not None and ends is not None
    return [points[a:b] for a, b in pairwise(ends)]


def _area(ring: npt.NDArray[np.float64]) -> float:
    """With its sign, by the shoelace formula."""
    x, y = ring.T
    return float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2


def _placed(ring: npt.NDArray[np.float64], size: tuple[int, ...], view: Floats) -> Ring:
    """Corners in fractions of the frame, from the padded mask's cell centres."""
    x0, y0, x1, y1 = (float(edge) for edge in view)
    across = x0 + (x1 - x0) * (ring[:, 0] - 0.5) / size[1]
    down = y0 + (y1 - y0) * (ring[:, 1] - 0.5) / size[0]
    corners = np.stack([across, down], axis=1).clip(0, 1).round(6)
    return tuple((float(x), float(y)) for x, y in corners)
