"""From masks to objects: outlines, boxes and scores, in fractions of the frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import contourpy
import numpy as np
import numpy.typing as npt

from workzone.decide.threshold import HALF
from workzone.engine.program import Answer, Floats
from workzone.types import OBJECT_CLASSES, Box, FoundObject, Ring

MARKED = 0.2
"""An object is as large as its probability is above this."""
SURE = HALF
"""Somewhere within an object it is above this. Two thresholds (hysteresis, as in Canny, "A
Computational Approach to Edge Detection", IEEE PAMI 1986) find more, and smaller, objects than one:
docs/score/objects.md."""
LEAST_CELLS = 1.0
"""Cells of a mask that an object covers at least; less is noise."""


def found_objects(answer: Answer) -> list[FoundObject]:
    """The objects that masks show, of each class the surest first.

    An object is a connected part of a class's mask where the probability is above `MARKED`, cut
    between cells, in which it is above `SURE` somewhere. Things of one class that touch are one.

    Args:
        answer: with masks.
    """
    assert answer.masks is not None and answer.masks_box is not None
    found: list[FoundObject] = []
    for name, logits in zip(OBJECT_CLASSES, answer.masks, strict=True):
        own = _of_class(name, logits.astype(np.float64), answer.masks_box)
        found += sorted(own, key=lambda one: -one.score)
    return found


def _of_class(name: str, logits: npt.NDArray[np.float64], view: Floats) -> list[FoundObject]:
    probabilities = 1 / (1 + np.exp(-logits.clip(-60, 60)))
    if probabilities.max() <= SURE:
        return []
    above = logits - math.log(MARKED / (1 - MARKED))
    # A border of the opposite closes outlines at the edge of the view.
    padded = -np.abs(np.pad(above, 1, mode="edge"))
    padded[1:-1, 1:-1] = above
    generator = contourpy.contour_generator(z=padded, fill_type=contourpy.FillType.OuterOffset)
    outlines, offsets, *_ = generator.filled(0.0, np.inf)
    found = []
    for points, ends in zip(outlines, offsets, strict=True):
        assert points is not None and ends is not None
        rings = [points[a:b] for a, b in pairwise(ends)]
        cells = abs(_area(rings[0])) - sum(abs(_area(hole)) for hole in rings[1:])
        own = _within(probabilities, rings)
        if cells < LEAST_CELLS or own.max(initial=0) <= SURE:
            continue
        placed = [_placed(ring, logits.shape, view) for ring in rings]
        xs, ys = zip(*placed[0], strict=True)
        box: Box = (min(xs), min(ys), max(xs), max(ys))
        if box[0] == box[2] or box[1] == box[3]:
            continue  # beyond the frame
        score = round(float(own.mean()), 4)
        found.append(FoundObject(name, score, box, tuple(placed)))
    return found


def _area(ring: npt.NDArray[np.float64]) -> float:
    """With its sign, by the shoelace formula."""
    x, y = ring.T
    return float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2


def _within(
    probabilities: npt.NDArray[np.float64], rings: Sequence[npt.NDArray[np.float64]]
) -> npt.NDArray[np.float64]:
    """Of the cells whose centres an outline holds: a line to the left crosses it an odd time.

    Args:
        probabilities: of the cells; their centres are whole numbers, from 1 on.
        rings: the outer one and holes, ``[n, 2]`` each, closed.
    """
    left, top = np.maximum(np.floor(rings[0].min(axis=0)).astype(int), 1)
    right, bottom = np.ceil(rings[0].max(axis=0)).astype(int)
    part = probabilities[top - 1 : bottom, left - 1 : right]
    rows, columns = part.shape
    x0, y0 = np.concatenate([ring[:-1] for ring in rings]).T
    x1, y1 = np.concatenate([ring[1:] for ring in rings]).T
    first = np.ceil(np.minimum(y0, y1)).astype(int)
    crossed = np.ceil(np.maximum(y0, y1)).astype(int) - first  # lines that an edge crosses
    edge = np.repeat(np.arange(len(crossed)), crossed)
    y = first[edge] + np.arange(len(edge)) - np.repeat(crossed.cumsum() - crossed, crossed)
    x = x0[edge] + (y - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
    seen = (y >= top) & (y < top + rows)
    # From the first cell right of a crossing on, inside and outside change places.
    beyond = (np.floor(x[seen]).astype(int) + 1 - left).clip(0, columns)
    changes = np.zeros((rows, columns + 1), np.int64)
    np.add.at(changes, (y[seen] - top, beyond), 1)
    inside = changes.cumsum(axis=1)[:, :-1] % 2 == 1
    return np.asarray(part[inside])


def _placed(ring: npt.NDArray[np.float64], size: tuple[int, ...], view: Floats) -> Ring:
    """Corners in fractions of the frame, from the padded mask's cell centres."""
    x0, y0, x1, y1 = (float(edge) for edge in view)
    across = x0 + (x1 - x0) * (ring[:, 0] - 0.5) / size[1]
    down = y0 + (y1 - y0) * (ring[:, 1] - 0.5) / size[0]
    corners = np.stack([across, down], axis=1).clip(0, 1).round(6)
    return tuple((float(x), float(y)) for x, y in corners)
