"""The mask head's loss, where annotation is partial, and its scores for reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F

_SMOOTHING = 1.0  # cells; keeps the Dice of an object of a few cells from jumping


def annotated(
    row_mask: torch.Tensor, class_mask: torch.Tensor | None, *, classes: int
) -> torch.Tensor:
    """Which (row, class) entries count: bool ``[B, K]`` of ``[B]`` and ``[B, K]`` (None: all)."""
    entries = row_mask[:, None].expand(-1, classes)
    return entries if class_mask is None else entries & class_mask


def mask_loss(
    logits: torch.Tensor,
    targets: torch.Tensor,
    *,
    row_mask: torch.Tensor,
    class_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Binary cross-entropy plus soft Dice over what is annotated.

    Both are means over (row, class) entries, so that a small object's row counts as much as a
    large one's. Cross-entropy goes over all annotated entries. Dice goes over those in which the
    class occurs, as it says nothing of empty ones; it takes squares in the denominator (V-Net,
    Milletari et al., arXiv 1606.04797), so that it is least where probabilities equal the
    targets, also where those are shares between 0 and 1.

    Args:
        logits: ``[B, K, h, w]``; computed with in float32 at least.
        targets: ``[B, K, h, w]``, shares of cells covered, 0..1; anything, NaN included, where
            there is no annotation.
        row_mask: bool ``[B]``, True for annotated rows.
        class_mask: bool ``[B, K]``, True for classes annotated in a row; None: all.

    Returns:
        A scalar; zero, with a gradient of zero, where nothing is annotated.
    """
    return mask_loss_sums(logits, targets, row_mask=row_mask, class_mask=class_mask).mean


@dataclass(frozen=True)
class MaskLossSums:
    """What the loss is the mean of; add those of batches to have the loss of all their rows."""

    cross_entropy: torch.Tensor  # scalars, as the others
    entries: torch.Tensor  # annotated
    dice: torch.Tensor
    occurring: torch.Tensor  # annotated entries in which the class occurs

    def __add__(self, other: Self) -> MaskLossSums:
        """The sums over both."""
        return MaskLossSums(
            self.cross_entropy + other.cross_entropy,
            self.entries + other.entries,
            self.dice + other.dice,
            self.occurring + other.occurring,
        )

    @property
    def mean(self) -> torch.Tensor:
        """The loss; zero where nothing is annotated."""
        cross_entropy = self.cross_entropy / self.entries.clamp(min=1)
        return cross_entropy + self.dice / self.occurring.clamp(min=1)


def mask_loss_sums(
    logits: torch.Tensor,
    targets: torch.Tensor,
    *,
    row_mask: torch.Tensor,
    class_mask: torch.Tensor | None = None,
) -> MaskLossSums:
    """The sums of :func:`mask_loss`, whose arguments it takes."""
    entries = annotated(row_mask, class_mask, classes=logits.shape[1])
    left_out = ~entries[..., None, None]
    precise = torch.promote_types(logits.dtype, torch.float32)
    # Replaced before anything is computed: a NaN times zero would still be NaN.
    scores = logits.to(precise).masked_fill(left_out, 0)
    shares = targets.to(precise).masked_fill(left_out, 0)
    cross_entropy = F.binary_cross_entropy_with_logits(scores, shares, reduction="none")
    probabilities = scores.sigmoid()
    overlap = (probabilities * shares).sum(dim=(2, 3))
    size = (probabilities.square() + shares.square()).sum(dim=(2, 3))
    dice = 1 - (2 * overlap + _SMOOTHING) / (size + _SMOOTHING)
    occurs = entries & (shares.amax(dim=(2, 3)) > 0)
    return MaskLossSums(
        cross_entropy=cross_entropy.mean(dim=(2, 3)).masked_fill(~entries, 0).sum(),
        entries=entries.sum(),
        dice=dice.masked_fill(~occurs, 0).sum(),
        occurring=occurs.sum(),
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
    class_mask: torch.Tensor | None = None,
    threshold: float = 0.5,
) -> MaskOverlap:
    """Count where predicted and true masks agree, over what is annotated.

    Args:
        logits: ``[B, K, h, w]``; predicted where the probability is above ``threshold``.
        targets: ``[B, K, h, w]``, 0..1; true where at least half of a cell is covered.
        row_mask: as in :func:`mask_loss`.
        class_mask: as in :func:`mask_loss`.
        threshold: a probability, 0..1.
    """
    entries = annotated(row_mask, class_mask, classes=logits.shape[1])[..., None, None]
    predicted = (logits.float().sigmoid() > threshold) & entries
    true = (targets >= 0.5) & entries
    cells = (0, 2, 3)
    return MaskOverlap((predicted & true).sum(cells), predicted.sum(cells), true.sum(cells))
