"""Where in the picture the evidence lies, from what a program says of an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from workzone.engine.program import Answer, Floats
from workzone.types import Box


def strongest(answer: Answer) -> tuple[int, Box]:
    """The view and the place that argue most for road work.

    Of a dense detector that is one cell, of either scale; of others the whole view.
    """
    if not answer.cells:
        view = int(answer.view_shares.argmax())
        x0, y0, x1, y1 = (float(edge) for edge in answer.boxes[view])
        return view, (x0, y0, x1, y1)
    cells = max(answer.cells, key=lambda scale: float(scale.max()))
    view, cell = divmod(int(cells.argmax()), cells[0].size)
    return view, cell_box(cell, (cells.shape[1], cells.shape[2]), answer.boxes[view].tolist())


def cell_box(cell: int, grid_size: tuple[int, int], view: Sequence[float]) -> Box:
    """Where a cell of a view's grid lies, in fractions of the frame.

    Args:
        cell: its number, row by row.
        grid_size: rows and columns.
        view: the view's box; what it has beyond the frame is cut off.
    """
    rows, columns = grid_size
    row, column = divmod(cell, columns)
    x0, y0, x1, y1 = view
    across = [x0 + (x1 - x0) * edge / columns for edge in (column, column + 1)]
    down = [y0 + (y1 - y0) * edge / rows for edge in (row, row + 1)]
    left, top, right, bottom = (
        min(max(e, 0.0), 1.0) for e in (across[0], down[0], across[1], down[1])
    )
    return left, top, right, bottom


def heat(answer: Answer, pooling: str) -> tuple[npt.NDArray[np.floating], Floats]:
    """What each cell of the views adds to the evidence for road work, against it cut off.

    Args:
        answer: of a program.
        pooling: how a view's tokens become its features, see `workzone.backbones.base.pool`.

    Returns:
        ``[k, h, w]``, not negative, and the boxes ``[k, 4]`` of those views.
    """
    if answer.cells:
        return merged(answer.cells).clip(min=0), answer.boxes
    assert answer.grid is not None
    assert answer.feature_gradient is not None
    cells = cell_evidence(answer.grid, answer.feature_gradient, pooling)
    return cells.clip(min=0), answer.boxes[answer.read]


def merged(cells: Sequence[Floats]) -> Floats:
    """Cells of the views ``[V, h, w]``: of a view that is read at half its size too, the higher."""
    first, *halves = cells
    for half in halves:
        first = np.maximum(first, half.repeat(2, axis=1).repeat(2, axis=2))
    return first


def cell_evidence(grid: Floats, gradient: Floats, pooling: str) -> Floats:
    """How much each grid cell adds to the logit through the features, against the mean cell.

    Gradient times input, which on patch grids is HiResCAM (Draelos & Carin, arXiv 2011.08891). What
    masks say of the grid beside the features is not counted: masks are evidence of their own.

    Args:
        grid: of the views that were read ``[k, h, w, D]``.
        gradient: of the logit by their features ``[k, D']``.
        pooling: from one to the other.

    Returns:
        ``[k, h, w]``; all zero where the features do not depend on the grid (pooling ``cls``).
    """
    views, height, width, channels = grid.shape
    cells = grid.reshape(views, height * width, channels)
    by_cell = np.zeros_like(cells)
    for number, part in enumerate(pooling.split("+")):
        slope = gradient[:, number * channels : (number + 1) * channels][:, None]
        if part == "mean":
            by_cell += slope / (height * width)
        elif part == "max":
            highest = cells == cells.max(axis=1, keepdims=True)
            by_cell += slope * highest / highest.sum(axis=1, keepdims=True)
    evidence: Floats = (by_cell * (cells - cells.mean(axis=(0, 1)))).sum(axis=-1)
    return evidence.reshape(views, height, width)
