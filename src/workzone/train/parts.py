"""The parts of a detector that are kept each as it was at its own best.

A mask head that shares no weights with the classifier learns more slowly: at the classifier's best
epoch it has hardly begun. So the two are judged, stopped and kept apart. Where weights are shared,
the detector is kept as a whole, by the sum of both losses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from workzone.train.feed.examples import Examples
from workzone.train.judging import Validation
from workzone.train.settings import TrainConfig

WHOLE, CLASSIFIER, MASKS = "whole", "classifier", "masks"


@dataclass(frozen=True)
class Ending:
    """How the final training of a part ends, which no rows validate."""

    epochs: int
    averaged: bool  # whether the moving average of its weights is kept


@dataclass(kw_only=True)
class Kept:
    """How good a part was in each epoch, and which of its weights are kept."""

    losses: list[float] = field(default_factory=list)  # on validation rows; none: not judged
    averaged: bool = False  # whether the kept weights are the moving average

    @property
    def best_loss(self) -> float:
        """The lowest so far; infinite before the first."""
        return min(self.losses, default=math.inf)

    @property
    def best_epochs(self) -> int:
        """After how many epochs it was at its best."""
        return self.losses.index(self.best_loss) + 1

    def out_of_patience(self, patience: int) -> bool:
        """Whether the last ``patience`` epochs all failed to improve on the best before them."""
        return bool(self.losses) and len(self.losses) - self.best_epochs >= patience


def part_names(config: TrainConfig, examples: Examples) -> tuple[str, ...]:
    """The parts of a detector that learns from some examples; the one that decides first."""
    detector = config.detector
    shared = detector.mask_evidence or detector.dense or config.from_pixels
    learned = config.mask_weight > 0 and examples.masks is not None
    if detector.masks is None or shared or not learned:
        return (WHOLE,)
    return CLASSIFIER, MASKS


def belongs(weight: str, part: str) -> bool:
    """Whether a weight, by its name in the detector's state, is of a part."""
    return part == WHOLE or weight.startswith("masks.") == (part == MASKS)


def loss_of(part: str, seen: Validation) -> float | None:
    """What a part is judged by; None: no row tells of it."""
    if part == MASKS:
        return seen.mask_loss
    return seen.loss if part == WHOLE else seen.cross_entropy
