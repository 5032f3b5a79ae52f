"""What the weights of familiar looks are worth, found on validation rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from workzone.decide.calibration_fit import fit_calibration
from workzone.decide.mixture_fit import log_loss
from workzone.decide.test_time import TestTimeConfig, combine_looks
from workzone.decide.threshold import check_scores

_LOG_TEMPERATURE = (-3.0, 3.0)
TRIALS = 25


def fit_look_temperature(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    distances: npt.ArrayLike,
    config: TestTimeConfig,
) -> TestTimeConfig:
    """The temperature with the lowest log loss after calibration, the largest of equal ones.

    Args:
        labels: ``[B]``, 1 road work, 0 none; validation rows.
        probabilities: ``[B, 1 + copies]`` before calibration.
        distances: of the same shape.
        config: of familiar looks.

    Raises:
        UsageError: labels or probabilities out of range; see `combine_looks`.
    """
    given = np.asarray(probabilities, np.float64)
    truth, _ = check_scores(labels, given[:, 0])
    share = float(truth.mean())
    best, lowest = config, np.inf
    for log_temperature in np.linspace(*_LOG_TEMPERATURE, TRIALS)[::-1]:
        tried = dataclasses.replace(config, temperature=float(np.exp(log_temperature)))
        mean = combine_looks(given, tried, distances=distances)
        calibration, _ = fit_calibration(truth, mean)
        loss = log_loss(truth, calibration.at_share(share).apply(mean)) if 0 < share < 1 else 0.0
        if loss < lowest - 1e-9:
            best, lowest = tried, loss
    return best
