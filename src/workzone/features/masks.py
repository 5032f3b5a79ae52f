"""What the mask head learns from: the samples' object masks at its resolution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from workzone.data.augment import augment_masks
from workzone.data.augmentation import Augmentation
from workzone.data.masks.load import load_masks, mask_size
from workzone.errors import UsageError
from workzone.progress import track
from workzone.types import OBJECT_CLASSES, Sample

FULL = 254
"""The stored value of a cell that an object covers wholly."""
UNKNOWN = 255
"""That of a cell of which nobody can tell; read as NaN."""

MOST_UNKNOWN = 0.1
"""Share of a cell: where more is not known, and less than that is known to be covered, nothing is
known of the cell. Else the share is that of what is known."""

LEAST_SHARE = 20 / 224**2
"""Of a picture: less of an object than this, 20 pixels of a challenge, nobody can tell."""
_LEAST_PART = 0.25
"""Of what an image shows itself, where that is little: a lone far sign."""

_FINER = 4  # masks are drawn this much finer, a side, than cells: one pixel of the view
_LEAST_MIDDLE = 2.0
"""Cells that the middle of a box is high and wide at least; a smaller box is all middle."""
_CUT_SIDE = 768
"""Pixels of the longer side at which masks of copies are cut."""


@dataclass(frozen=True)
class MaskTargets:
    """Masks of ``n`` samples and ``C`` copies of each, as small as they are held in memory.

    ``covered``: uint8 ``[n, C, K, h, w]``, the share of a cell that a class covers, `FULL` being
    all of it, `UNKNOWN` where it is not known, over the whole frame of the sample (copy 0) or of
    its copy; ``annotated``: bool ``[n, C]``, False where nothing is known (zeros there). C may be
    less than there are copies.
    """

    covered: npt.NDArray[np.uint8]
    annotated: npt.NDArray[np.bool_]

    def batch(
        self, rows: npt.NDArray[np.int64], copies: npt.NDArray[np.int64] | int = 0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Some rows for the loss: shares float32 ``[B, K, h, w]``, 0..1 or NaN, bool ``[B]``."""
        held = np.zeros(rows.shape, np.bool_) | (np.asarray(copies) < self.covered.shape[1])
        copies = np.where(held, copies, 0)
        shares = read_shares(self.covered[rows, copies])
        annotated = self.annotated[rows, copies] & held
        there = torch.from_numpy(held)[:, None, None, None]
        return shares.masked_fill(~there, 0.0), torch.from_numpy(annotated)


def read_shares(stored: npt.NDArray[np.uint8]) -> torch.Tensor:
    """What `MaskTargets` holds as shares float32, 0..1, NaN where nothing is known."""
    cells = torch.from_numpy(stored)
    return (cells.float() / FULL).masked_fill(cells == UNKNOWN, torch.nan)


def lost(own: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
    """Of which copies next to nothing is left that the image itself shows, bool ``[B]``.

    Of an image that shows little, less than a quarter of its share is next to nothing. What may be
    something, as the rim of a box may, is not nothing, unless of that class nothing is known.

    Args:
        own: shares of the images' cells that classes cover, ``[B, K, h, w]``, 0..1, or NaN.
        left: the same of their copies.
    """
    unsought = own.isnan().all(dim=3).all(dim=2)[:, :, None, None]
    left = left.nan_to_num(1.0).masked_fill(unsought, 0.0)
    seen, still = (m.nan_to_num().amax(dim=1).mean(dim=(1, 2)) for m in (own, left))
    return (seen > 0) & (still < (_LEAST_PART * seen).clamp(max=LEAST_SHARE))


def mask_targets(
    samples: Sequence[Sample],
    root: Path,
    shape: tuple[int, int],
    *,
    augmentation: Augmentation | None = None,
    copies: int = 0,
) -> MaskTargets:
    """The masks of samples, averaged over the cells of a grid that spans the frame.

    That is the global view's grid, and the canvas on which views' grids are placed. Masks of
    copies are cropped, turned and flipped with them, for which masks have to be of their image's
    size. (Of JPEGs so large that they are decoded at a fraction, one copy in 200 is cut elsewhere.)

    Args:
        samples: in the order wanted.
        root: the manifest's folder.
        shape: rows and columns, a quarter of the view's pixels a side
            (``MaskHeadConfig.mask_size``).
        augmentation: by which copies are made; see `workzone.data.augment.augment_masks` for
            those whose masks cannot be told.
        copies: of each sample, beside itself.

    Raises:
        UsageError: a shape that is not positive.
        ManifestError: a mask that is missing or cannot be read.
    """
    rows, columns = shape
    if min(shape) < 1:
        raise UsageError(f"mask targets: rows and columns are positive, got {rows} x {columns}")
    looks = 1 + copies
    covered = np.zeros((len(samples), looks, len(OBJECT_CLASSES), rows, columns), np.uint8)
    annotated = np.zeros((len(samples), looks), np.bool_)
    for index, sample in enumerate(track(samples, "reading masks")):
        if sample.masks is None:
            continue
        least = (_LEAST_MIDDLE * _FINER, _LEAST_MIDDLE * _FINER)
        fine = load_masks(sample.masks, root, rows * _FINER, columns * _FINER, least_middle=least)
        shares = (
            part.reshape(-1, rows, _FINER, columns, _FINER).mean(axis=(2, 4))
            for part in (fine.covered, fine.unknown)
        )
        covered[index, 0] = _stored(*shares)
        annotated[index, 0] = True
        if augmentation is None or not copies:
            continue
        cuts = masks_of_copies(sample, root, shape, augmentation, range(1, looks))
        for copy, left in enumerate(cuts, 1):
            if left is not None:
                covered[index, copy], annotated[index, copy] = left, True
    return MaskTargets(covered, annotated)


def masks_of_copies(
    sample: Sample,
    root: Path,
    shape: tuple[int, int],
    augmentation: Augmentation,
    copies: Iterable[int],
) -> list[npt.NDArray[np.uint8] | None]:
    """The masks of some augmented copies of a sample, of each as `MaskTargets` holds them.

    Args:
        sample: its masks are those of the image as it is.
        root: the manifest's folder.
        shape: rows and columns.
        augmentation: by which copies are made.
        copies: their numbers, from 1.

    Returns:
        For each uint8 ``[K, h, w]``, or None where nothing is known: of a sample without masks, and
        of recipes that tell nobody what was drawn.

    Raises:
        ManifestError: a mask that is missing or cannot be read.
    """
    if sample.masks is None:
        return [None for _ in copies]
    height, width = mask_size(sample.masks, root)
    scale = min(1.0, _CUT_SIDE / max(height, width))
    small = (max(1, round(height * scale)), max(1, round(width * scale)))
    least = (_LEAST_MIDDLE * small[0] / shape[0], _LEAST_MIDDLE * small[1] / shape[1])
    masks = load_masks(sample.masks, root, *small, least_middle=least)
    both = np.concatenate([masks.covered, masks.unknown])
    whole = torch.from_numpy(both).byte() * FULL
    cuts: list[npt.NDArray[np.uint8] | None] = []
    for copy in copies:
        identity = sample.content_hash or sample.id
        left = augment_masks(
            whole, augmentation, size=(height, width), identity=identity, copy=copy
        )
        if left is None:
            cuts.append(None)
        else:
            covered, unknown = (
                F.adaptive_avg_pool2d(left, shape)
                .double()
                .numpy()
                .reshape(2, len(OBJECT_CLASSES), *shape)
            )
            cuts.append(_stored(covered, unknown))
    return cuts


def _stored(
    covered: npt.NDArray[np.floating], unknown: npt.NDArray[np.floating]
) -> npt.NDArray[np.uint8]:
    """Shares of cells that are covered, and not known, as `MaskTargets` holds them."""
    shares = covered / np.maximum(1 - unknown, 1 / FULL)
    stored: npt.NDArray[np.uint8] = np.rint(shares.clip(0, 1) * FULL).astype(np.uint8)
    stored[(unknown > MOST_UNKNOWN) & (covered < unknown)] = UNKNOWN
    return stored


def masks_in_views(
    masks: torch.Tensor, boxes: torch.Tensor, grid_size: Sequence[int]
) -> torch.Tensor:
    """How much of the views' cells is covered, as far as it is known; see `cover_in_views`.

    Returns:
        ``[B, V, K, rows, columns]``, 0..1, or NaN where nothing is known, see `MOST_UNKNOWN`.
    """
    covered, unknown = cover_in_views(masks, boxes, grid_size)
    shares = (covered / (1 - unknown).clamp(min=1 / FULL)).clamp(max=1)
    return shares.masked_fill((unknown > MOST_UNKNOWN) & (covered < unknown), torch.nan)


def cover_in_views(
    masks: torch.Tensor, boxes: torch.Tensor, grid_size: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """How much of the views' cells is covered, and not known, from masks of the whole frame.

    Args:
        masks: shares ``[B, K, h, w]``, 0..1, or NaN where they are not known.
        boxes: of the views ``[B, V, 4]``, in fractions of the frame; beyond it nothing is covered.
        grid_size: rows and columns of a view's grid.

    Returns:
        Both ``[B, V, K, rows, columns]``, 0..1.
    """
    x0, y0, x1, y1 = boxes.unbind(dim=-1)
    down = _overlaps(y0, y1, cells=grid_size[0], pixels=masks.shape[2])
    across = _overlaps(x0, x1, cells=grid_size[1], pixels=masks.shape[3])
    unknown = masks.isnan()
    if not unknown.any():
        covered = torch.einsum("bvrh,bkhw,bvcw->bvkrc", down, masks, across)
        return covered, torch.zeros_like(covered)
    covered, left_open = (
        torch.einsum("bvrh,bkhw,bvcw->bvkrc", down, part, across)
        for part in (masks.nan_to_num(), unknown.to(masks))
    )
    return covered, left_open


def _overlaps(start: torch.Tensor, end: torch.Tensor, *, cells: int, pixels: int) -> torch.Tensor:
    """Along one axis, each mask pixel's share ``[B, V, cells, pixels]`` in each cell of a view."""
    steps = torch.arange(cells + 1, device=start.device) / cells
    edges = start[..., None] + (end - start)[..., None] * steps
    lines = torch.arange(pixels + 1, device=start.device) / pixels
    low = torch.maximum(edges[..., :-1, None], lines[:-1])
    high = torch.minimum(edges[..., 1:, None], lines[1:])
    return (high - low).clamp(min=0) / (edges[..., 1:, None] - edges[..., :-1, None])
