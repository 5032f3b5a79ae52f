"""What the mask head learns from: the samples' object masks at its resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from workzone.data.masks import load_masks
from workzone.errors import UsageError
from workzone.progress import track
from workzone.types import OBJECT_CLASSES, Sample

FULL = 255
"""The stored value of a cell that an object covers wholly."""

_FINER = 4  # masks are drawn this much finer, a side, than cells: one pixel of the view


@dataclass(frozen=True)
class MaskTargets:
    """Masks of ``n`` samples over the whole frame, as small as they are held in memory.

    ``covered``: uint8 ``[n, K, h, w]``, the share of a cell that a class covers, `FULL` being all
    of it; ``annotated``: bool ``[n]``, False for rows of which nothing is known (zeros there).
    """

    covered: npt.NDArray[np.uint8]
    annotated: npt.NDArray[np.bool_]

    def batch(
        self, rows: Sequence[int] | slice | npt.NDArray[np.int64]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Some rows for the loss: shares float32 ``[B, K, h, w]``, 0..1, and bool ``[B]``."""
        shares = torch.from_numpy(self.covered[rows].astype(np.float32)) / FULL
        return shares, torch.from_numpy(self.annotated[rows].copy())


def mask_targets(samples: Sequence[Sample], root: Path, shape: tuple[int, int]) -> MaskTargets:
    """The masks of samples, averaged over the cells of a grid that spans the frame.

    That is the global view's grid, and the canvas on which views' grids are placed. They are
    masks of the image as it is (copy 0): augmented copies are cropped and flipped.

    Args:
        samples: in the order wanted.
        root: the manifest's folder.
        shape: rows and columns, a quarter of the view's pixels a side
            (``MaskHeadConfig.mask_size``).

    Raises:
        UsageError: a shape that is not positive.
        ManifestError: a mask that is missing or cannot be read.
    """
    rows, columns = shape
    if min(shape) < 1:
        raise UsageError(f"mask targets: rows and columns are positive, got {rows} x {columns}")
    covered = np.zeros((len(samples), len(OBJECT_CLASSES), rows, columns), np.uint8)
    annotated = np.zeros(len(samples), np.bool_)
    for index, sample in enumerate(track(samples, "reading masks")):
        if sample.masks is not None:
            fine = load_masks(sample.masks, root, rows * _FINER, columns * _FINER)
            cells = fine.reshape(-1, rows, _FINER, columns, _FINER)
            covered[index] = np.rint(cells.mean(axis=(2, 4)) * FULL)
        annotated[index] = sample.masks is not None
    return MaskTargets(covered, annotated)


def masks_in_views(
    masks: torch.Tensor, boxes: torch.Tensor, grid_size: Sequence[int]
) -> torch.Tensor:
    """How much of the views' cells is covered, from masks of the whole frame.

    Args:
        masks: shares ``[B, K, h, w]``, 0..1.
        boxes: of the views ``[B, V, 4]``, in fractions of the frame; beyond it nothing is covered.
        grid_size: rows and columns of a view's grid.

    Returns:
        ``[B, V, K, rows, columns]``, 0..1.
    """
    x0, y0, x1, y1 = boxes.unbind(dim=-1)
    down = _overlaps(y0, y1, cells=grid_size[0], pixels=masks.shape[2])
    across = _overlaps(x0, x1, cells=grid_size[1], pixels=masks.shape[3])
    return torch.einsum("bvrh,bkhw,bvcw->bvkrc", down, masks, across)


def _overlaps(start: torch.Tensor, end: torch.Tensor, *, cells: int, pixels: int) -> torch.Tensor:
    """Along one axis, each mask pixel's share ``[B, V, cells, pixels]`` in each cell of a view."""
    steps = torch.arange(cells + 1, device=start.device) / cells
    edges = start[..., None] + (end - start)[..., None] * steps
    lines = torch.arange(pixels + 1, device=start.device) / pixels
    low = torch.maximum(edges[..., :-1, None], lines[:-1])
    high = torch.minimum(edges[..., 1:, None], lines[1:])
    return (high - low).clamp(min=0) / (edges[..., 1:, None] - edges[..., :-1, None])
