"""The mask head's loss, where annotation is partial, and its scores for reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F

_SMOOTHING = 1.0  # cells; keeps the Dice of an object of a few cells from jumping

_WINDOW = 9
"""Cells, a side, around a cell in which its object is looked for: less is a small object."""
_HEAVIEST = 8.0
"""What a cell of a small object weighs at most, where one within a large object weighs 1."""
_LEAST_SHARE = 0.01
"""Of the known cells, what a class is taken to cover at least where it is weighed."""


def known_cells(targets: torch.Tensor, row_mask: torch.Tensor) -> torch.Tensor:
    """Which cells count: bool ``[B, K, h, w]``; not those of NaN, nor rows without annotation."""
    return ~targets.isnan() & row_mask[:, None, None, None]


def cell_weights(shares: torch.Tensor) -> torch.Tensor:
    """The smaller an object, the more its cells weigh: 1 over its part of what lies around them.

    Args:
        shares: ``[B, K, h, w]``, 0..1.

    Returns:
        The same shape, 1 to `_HEAVIEST`: 1 where no object is, and within one that fills a square
        of `_WINDOW` cells.
    """
    around = shares
    for window in ((_WINDOW, 1), (1, _WINDOW)):  # along one axis, then the other
        padding = (window[0] // 2, window[1] // 2)
        around = F.avg_pool2d(around, window, 1, padding, count_include_pad=False)
    return 1 + shares * (1 / around.clamp(min=1 / _HEAVIEST) - 1)


def mask_loss(
    logits: torch.Tensor, targets: torch.Tensor, *, row_mask: torch.Tensor
) -> torch.Tensor:
    """Binary cross-entropy plus soft Dice over what is known, every class weighing the same.

    Cross-entropy is summed over cells by :func:`cell_weights` and divided by what a class's objects
    weigh, so that a rare class counts as much as a common one, and an object's cell as much as a
    cell beside it. Dice is of the (row, class) entries in which the class occurs, as it says
    nothing of empty ones; it takes squares in the denominator (V-Net, Milletari et al., arXiv
    1606.04797), so that it is least where probabilities equal the targets, also where those are
    shares between 0 and 1. Of both the mean over classes is taken.

    Args:
        logits: ``[B, K, h, w]``; computed with in float32 at least.
        targets: ``[B, K, h, w]``, shares of cells covered, 0..1; NaN where they are not known, and
            anything in rows without annotation.
        row_mask: bool ``[B]``, True for annotated rows.

    Returns:
        A scalar; zero, with a gradient of zero, where nothing is annotated.
    """
    return mask_loss_sums(logits, targets, row_mask=row_mask).mean


@dataclass(frozen=True)
class MaskLossSums:
    """What the loss is the mean of, ``[K]`` each; add those of batches to have that of all."""

    cross_entropy: torch.Tensor
    weight: torch.Tensor  # of the class's objects
    dice: torch.Tensor
    occurring: torch.Tensor  # annotated rows in which the class occurs

    def __add__(self, other: Self) -> MaskLossSums:
        """The sums over both."""
        return MaskLossSums(
            self.cross_entropy + other.cross_entropy,
            self.weight + other.weight,
            self.dice + other.dice,
            self.occurring + other.occurring,
        )

    @property
    def mean(self) -> torch.Tensor:
        """The loss; zero where nothing is annotated."""
        return _class_mean(self.cross_entropy, self.weight) + _class_mean(self.dice, self.occurring)


def _class_mean(sums: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The mean over the classes that weigh something."""
    there = weights > 0
    each = sums / weights.where(there, torch.ones_like(weights))
    return (each * there).sum() / there.sum().clamp(min=1)


def mask_loss_sums(
    logits: torch.Tensor, targets: torch.Tensor, *, row_mask: torch.Tensor
) -> MaskLossSums:
    """The sums of :func:`mask_loss`, whose arguments it takes."""
    known = known_cells(targets, row_mask)
    precise = torch.promote_types(logits.dtype, torch.float32)
    # Replaced before anything is computed: a NaN times zero would still be NaN.
    scores = logits.to(precise).masked_fill(~known, 0)
    shares = targets.to(precise).masked_fill(~known, 0)
    weights = cell_weights(shares) * known
    cross_entropy = F.binary_cross_entropy_with_logits(scores, shares, reduction="none")
    probabilities = scores.sigmoid() * known
    overlap = (probabilities * shares).sum(dim=(2, 3))
    size = (probabilities.square() + shares.square()).sum(dim=(2, 3))
    dice = 1 - (2 * overlap + _SMOOTHING) / (size + _SMOOTHING)
    occurs = shares.amax(dim=(2, 3)) > 0
    return MaskLossSums(
        cross_entropy=(weights * cross_entropy).sum(dim=(0, 2, 3)),
        weight=(weights * shares + _LEAST_SHARE * known.to(precise)).sum(dim=(0, 2, 3)),
        dice=dice.masked_fill(~occurs, 0).sum(dim=0),
        occurring=occurs.sum(dim=0).to(precise),
    )


@dataclass(frozen=True)
class MaskOverlap:
    """Cells counted per class, int64 ``[K]`` each; add the counts of batches."""

    both: torch.Tensor  # predicted and true
    predicted: torch.Tensor
    true: torch.Tensor

    def __add__(self, other: Self) -> MaskOverlap:
        """The counts of both."""
        return MaskOverlap(
            self.both + other.both, self.predicted + other.predicted, self.true + other.true
        )

    @property
    def iou(self) -> torch.Tensor:
        """Intersection over union, float64 ``[K]``, 0..1; NaN: neither predicted nor true."""
        return self.both.double() / (self.predicted + self.true - self.both)

    @property
    def dice(self) -> torch.Tensor:
        """Twice the intersection over both sizes, float64 ``[K]``, 0..1; NaN as in `iou`."""
        return 2 * self.both.double() / (self.predicted + self.true)


def mask_overlap(
    logits: torch.Tensor,
    targets: torch.Tensor,
    *,
    row_mask: torch.Tensor,
    threshold: float = 0.5,
) -> MaskOverlap:
    """Count where predicted and true masks agree, over what is known.

    Args:
        logits: ``[B, K, h, w]``; predicted where the probability is above ``threshold``.
        targets: ``[B, K, h, w]``, 0..1 or NaN; true where at least half of a cell is covered.
        row_mask: as in :func:`mask_loss`.
        threshold: a probability, 0..1.
    """
    known = known_cells(targets, row_mask)
    predicted = (logits.float().sigmoid() > threshold) & known
    true = (targets >= 0.5) & known
    return MaskOverlap(
        both=(predicted & true).sum(dim=(0, 2, 3)),
        predicted=predicted.sum(dim=(0, 2, 3)),
        true=true.sum(dim=(0, 2, 3)),
    )
