"""From masks to objects: outlines, boxes and scores, in fractions of the frame."""

from __future__ import annotations

from itertools import pairwise

import contourpy
import numpy as np
import numpy.typing as npt

from workzone.decide.threshold import HALF
from workzone.engine.program import Answer, Floats
from workzone.types import OBJECT_CLASSES, Box, FoundObject, Ring

LEAST_CELLS = 1.0
"""Cells of a mask that an object covers at least; less is noise."""


def found_objects(answer: Answer) -> list[FoundObject]:
    """The objects that masks show, of each class the surest first.

    An object is a connected part of a class's mask, cut where its probability is one half, between
    cells. Things of one class that touch are one.

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
    if logits.max() <= 0:
        return []
    # A border of the opposite closes outlines at the edge of the view.
    padded = -np.abs(np.pad(logits, 1, mode="edge"))
    padded[1:-1, 1:-1] = logits
    probabilities = 1 / (1 + np.exp(-logits.clip(-60, 60)))
    generator = contourpy.contour_generator(z=padded, fill_type=contourpy.FillType.OuterOffset)
    outlines, offsets, *_ = generator.filled(0.0, np.inf)
    found = []
    for points, ends in zip(outlines, offsets, strict=True):
        assert points is not None and ends is not None
        rings = [points[a:b] for a, b in pairwise(ends)]
        cells = abs(_area(rings[0])) - sum(abs(_area(hole)) for hole in rings[1:])
        if cells < LEAST_CELLS:
            continue
        placed = [_placed(ring, logits.shape, view) for ring in rings]
        xs, ys = zip(*placed[0], strict=True)
        box: Box = (min(xs), min(ys), max(xs), max(ys))
        if box[0] == box[2] or box[1] == box[3]:
            continue  # beyond the frame
        found.append(FoundObject(name, _score(probabilities, rings[0]), box, tuple(placed)))
    return found


def _area(ring: npt.NDArray[np.float64]) -> float:
    """With its sign, by the shoelace formula."""
    x, y = ring.T
    return float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2


def _score(probabilities: npt.NDArray[np.float64], ring: npt.NDArray[np.float64]) -> float:
    """The mean of the cells above one half in the ring's box, whose centres are whole numbers."""
    (left, top), (right, bottom) = (
        np.floor(ring.min(axis=0)).astype(int).clip(min=1) - 1,
        np.ceil(ring.max(axis=0)).astype(int),
    )
    inside = probabilities[top:bottom, left:right]
    return round(float(inside[inside > HALF].mean()), 4) if (inside > HALF).any() else HALF


def _placed(ring: npt.NDArray[np.float64], size: tuple[int, ...], view: Floats) -> Ring:
    """Corners in fractions of the frame, from the padded mask's cell centres."""
    x0, y0, x1, y1 = (float(edge) for edge in view)
    across = x0 + (x1 - x0) * (ring[:, 0] - 0.5) / size[1]
    down = y0 + (y1 - y0) * (ring[:, 1] - 0.5) / size[0]
    corners = np.stack([across, down], axis=1).clip(0, 1).round(6)
    return tuple((float(x), float(y)) for x, y in corners)
