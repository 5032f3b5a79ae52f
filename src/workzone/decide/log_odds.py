"""Probabilities as log-odds and back.

scipy.special has these too, but takes as long to import as judging several photographs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]


def logit(probabilities: npt.ArrayLike) -> Doubles:
    """``log(p / (1 - p))``, of any shape: -inf at 0 and inf at 1, of which numpy warns."""
    values = np.asarray(probabilities, dtype=np.float64)
    odds: Doubles = np.log(values) - np.log1p(-values)
    return odds


def log_expit(log_odds: npt.ArrayLike) -> Doubles:
    """The logarithm of :func:`expit`, which is finite where that is 0 or 1."""
    logarithm: Doubles = -np.logaddexp(0, -np.asarray(log_odds, dtype=np.float64))
    return logarithm


def expit(log_odds: npt.ArrayLike) -> Doubles:
    """``1 / (1 + exp(-x))``, of any shape: the inverse of :func:`logit`."""
    probabilities: Doubles = np.exp(log_expit(log_odds))
    return probabilities
