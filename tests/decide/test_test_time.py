from __future__ import annotations

import math

import numpy as np
import pytest

from workzone.decide.test_time import TestTimeConfig, confident_mean
from workzone.errors import UsageError


def slow(probabilities: list[float], keep: int) -> float:
    """By the definition: entropies, the lowest ones, the mean of their log-odds."""
    entropies = [-p * math.log(p) - (1 - p) * math.log(1 - p) for p in probabilities]
    surest = sorted(range(len(probabilities)), key=lambda i: entropies[i])[:keep]
    odds = [math.log(probabilities[i] / (1 - probabilities[i])) for i in surest]
    return 1 / (1 + math.exp(-sum(odds) / keep))


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.8, 1.0])
def test_the_surest_are_averaged_as_in_a_slow_reference(keep: float) -> None:
    random = np.random.default_rng(0)
    looks = random.uniform(0.01, 0.99, size=(40, 5))
    config = TestTimeConfig(copies=4, keep=keep)
    expected = [slow(list(row), config.kept) for row in looks]
    np.testing.assert_allclose(confident_mean(looks, config), expected, rtol=1e-12)


def test_how_many_are_kept() -> None:
    kept = [TestTimeConfig(copies=c, keep=k).kept for c, k in ((4, 0.5), (3, 0.5), (4, 0.01))]
    assert kept == [3, 2, 1]
    assert TestTimeConfig(copies=7, keep=1).kept == 8


def test_one_sure_look_outweighs_unsure_ones() -> None:
    config = TestTimeConfig(copies=4, keep=0.2)
    assert confident_mean([0.45, 0.4, 0.97, 0.48, 0.5], config) == pytest.approx(0.97)


def test_certain_predictions_stay_finite() -> None:
    mean = confident_mean([[1.0, 1.0, 1.0], [0.0, 0.0, 1.0]], TestTimeConfig(copies=2, keep=1))
    assert np.isfinite(mean).all()
    assert mean[0] > 0.999
    assert mean[1] < 0.001


def test_settings_that_cannot_be_are_all_named() -> None:
    with pytest.raises(UsageError, match=r"copies=0, allowed: 1 to 64; keep=1.5, allowed: above 0"):
        TestTimeConfig(copies=0, keep=1.5)
    with pytest.raises(UsageError, match="keep=nan, allowed"):
        TestTimeConfig(keep=math.nan)
