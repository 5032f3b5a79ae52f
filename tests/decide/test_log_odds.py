from __future__ import annotations

import numpy as np
import pytest
import scipy.special

from workzone.decide.log_odds import expit, log_expit, logit

ODDS = np.concatenate([np.linspace(-700, 700, 1401), np.linspace(-2, 2, 101)])


def test_they_are_scipys() -> None:
    np.testing.assert_allclose(expit(ODDS), scipy.special.expit(ODDS), rtol=1e-13)
    np.testing.assert_allclose(log_expit(ODDS), scipy.special.log_expit(ODDS), rtol=1e-13)
    probabilities = np.concatenate([np.geomspace(1e-300, 0.4, 99), np.linspace(0.4, 1 - 1e-12, 99)])
    np.testing.assert_allclose(
        logit(probabilities), scipy.special.logit(probabilities), rtol=1e-12, atol=1e-15
    )


def test_the_ends_are_infinite() -> None:
    with np.errstate(divide="ignore"):
        assert logit([0, 0.5, 1]).tolist() == [-np.inf, 0, np.inf]
    assert expit([-np.inf, 0, np.inf]).tolist() == [0, 0.5, 1]
    assert log_expit(np.inf) == 0


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    odds = np.full(shape, 0.3, dtype=np.float32)
    assert expit(odds).shape == logit(expit(odds)).shape == shape
