"""Test-time augmentation with a filter: of several looks at an image, the surest are averaged.

Shu et al., "Test-Time Prompt Tuning for Zero-Shot Generalization in Vision-Language Models",
NeurIPS 2022, arXiv 2209.07511, section 3.2: predictions on augmented views are kept by the lowest
entropy (confidence selection). Nothing is tuned here: what is kept is averaged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workzone.decide.log_odds import expit, logit
from workzone.errors import UsageError

MOST_COPIES = 64
_CLOSEST_TO_CERTAIN = 1e-12
"""Probabilities are kept this far from 0 and 1, where log-odds end."""


@dataclass(frozen=True, kw_only=True)
class TestTimeConfig:
    """Several looks at an image, of which the surest decide."""

    __test__ = False  # pytest takes the name for a test's

    copies: int = 4  # augmented copies beside the image itself, 1 to 64
    keep: float = 0.5  # share of the predictions that is averaged, above 0 to 1

    def __post_init__(self) -> None:
        mistakes = []
        if not 1 <= self.copies <= MOST_COPIES:
            mistakes.append(f"copies={self.copies}, allowed: 1 to {MOST_COPIES}")
        if not 0 < self.keep <= 1:  # NaN is in no range
            mistakes.append(f"keep={self.keep}, allowed: above 0 to 1")
        if mistakes:
            raise UsageError(f"test_time: {'; '.join(mistakes)}")

    @property
    def kept(self) -> int:
        """How many of the ``1 + copies`` predictions are averaged, rounded up."""
        return math.ceil(self.keep * (1 + self.copies))


def confident_mean(probabilities: npt.ArrayLike, config: TestTimeConfig) -> npt.NDArray[np.float64]:
    """The mean log-odds of the predictions with the lowest entropy, as a probability.

    Args:
        probabilities: ``[..., 1 + copies]`` before calibration, 0..1, the image itself first.
        config: how many are kept.

    Returns:
        ``[...]``. Of equally sure predictions the first is kept; the order of the copies does
        not matter otherwise.
    """
    clipped = np.clip(probabilities, _CLOSEST_TO_CERTAIN, 1 - _CLOSEST_TO_CERTAIN)
    odds = logit(clipped)
    # The entropy of two classes falls with the distance of the log-odds from 0.
    surest = np.argsort(-np.abs(odds), axis=-1, kind="stable")[..., : config.kept]
    mean: npt.NDArray[np.float64] = expit(np.take_along_axis(odds, surest, axis=-1).mean(axis=-1))
    return mean
