"""Which views, and which places in them, argue for road work: gradient times input.

For a linear classifier on pooled features this is each part's own share of the logit. On patch
grids it is HiResCAM (Draelos & Carin, arXiv 2011.08891).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from workzone.model.detector import Detector
from workzone.model.inputs import DetectorInput
from workzone.types import Box, DetectorOutput


def view_evidence(detector: Detector, given: DetectorInput) -> torch.Tensor:
    """How much each view adds to the logit of road work, against the average training view.

    Args:
        detector: in evaluation mode.
        given: ``B`` images.

    Returns:
        ``[B, V]``; negative where a view argues against road work, zero where it was not read.
    """
    gradient = _gradient(
        lambda views: detector.run(dataclasses.replace(given, features=views)).logits,
        given.features,
    )
    return (gradient * (given.features - detector.feature_mean)).sum(dim=-1)


def view_shares(detector: Detector, given: DetectorInput, *, views: int) -> torch.Tensor:
    """Each view's share of all that argues for road work, among those that are read.

    Args:
        detector: in evaluation mode.
        given: ``B`` images; of all views the glance's choice is made here.
        views: V of the layout; ``given.view_ids`` count them.

    Returns:
        ``[B, V]``, zero for views that are not read; rows sum to 1.
    """
    if detector.cells is not None:  # a view's share of the cells that decide
        with torch.no_grad():
            return detector.run(given).view_weights
    read = detector.choose_views(given)
    of_read = shares(view_evidence(detector, read))
    if read.view_ids is None:
        return of_read
    return torch.zeros(len(given), views).scatter(1, read.view_ids, of_read)


def shares(evidence: torch.Tensor) -> torch.Tensor:
    """Each view's share of all that argues for road work; equal shares where nothing does.

    Args:
        evidence: ``[B, V]`` of :func:`view_evidence`.

    Returns:
        ``[B, V]``, not negative; rows sum to 1.
    """
    positive = evidence.clamp(min=0)
    total = positive.sum(dim=-1, keepdim=True)
    equal = torch.full_like(positive, 1 / positive.shape[-1])
    return torch.where(total > 0, positive / total.where(total > 0, 1), equal)


def cell_evidence(
    detector: Detector, grid: torch.Tensor, given: Callable[[torch.Tensor], DetectorInput]
) -> torch.Tensor:
    """How much each grid cell of one image adds to the logit, against the image's mean cell.

    Args:
        detector: in evaluation mode.
        grid: ``[V, N, D]``.
        given: from such a grid to what the detector is given of the image.

    Returns:
        ``[V, N]``; all zero where the features do not depend on the grid (pooling ``cls``).
    """
    gradient = _gradient(lambda cells: detector.run(given(cells)).logits, grid)
    return (gradient * (grid - grid.mean(dim=(0, 1)))).sum(dim=-1)


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


def strongest_cell(output: DetectorOutput, boxes: npt.NDArray[np.float32]) -> tuple[int, Box]:
    """The view and the place of the cell, of either scale, whose logit is the highest.

    Args:
        output: of one image, of a dense detector.
        boxes: of its views ``[V, 4]``, in fractions of the frame.
    """
    scales = [cells[0] for cells in (output.cells, output.half_cells) if cells is not None]
    cells = max(scales, key=lambda scale: float(scale.max()))
    view, cell = divmod(int(cells.argmax()), cells[0].numel())
    return view, cell_box(cell, (cells.shape[1], cells.shape[2]), boxes[view])


def _gradient(
    logits_of: Callable[[torch.Tensor], torch.Tensor], values: torch.Tensor
) -> torch.Tensor:
    """Of the summed logit difference (road work minus none) by ``values``."""
    with torch.enable_grad():
        values = values.detach().requires_grad_()
        logits = logits_of(values)
        difference = (logits[:, 1] - logits[:, 0]).sum()
        (gradient,) = torch.autograd.grad(difference, values, allow_unused=True)
    return torch.zeros_like(values) if gradient is None else gradient.detach()
