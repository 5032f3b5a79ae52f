"""How far probabilities are from what is observed: the expected calibration error."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workzone.decide.threshold import Labels, Probabilities

ECE_BINS = 10
"""Bins of equal width, also of the reliability curve."""


def calibration_error(truth: Labels, scores: Probabilities) -> float:
    """Mean distance of probability and observed share over bins of equal width, 0..1.

    Guo et al., "On calibration of modern neural networks", ICML 2017.

    Args:
        truth: ``[B]``, 1 road work, 0 none.
        scores: probabilities ``[B]``.
    """
    return float(np.abs(bin_gaps(truth, scores).sum(axis=0)).sum() / len(truth))


def bin_gaps(truth: Labels, scores: Probabilities) -> npt.NDArray[np.float64]:
    """``[B, bins]``: probability minus label in the column of the row's bin, 0 elsewhere."""
    gaps = np.zeros((len(truth), ECE_BINS))
    gaps[np.arange(len(truth)), bin_numbers(scores)] = scores - truth
    return gaps


def bin_numbers(scores: Probabilities) -> npt.NDArray[np.int64]:
    """The calibration bin of each probability: ``[k/10, (k+1)/10)``, the last one closed."""
    return np.minimum((scores * ECE_BINS).astype(np.int64), ECE_BINS - 1)
