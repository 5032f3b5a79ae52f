from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.metrics import log_loss

from workzone.decide.calibration import Calibration
from workzone.decide.calibration_fit import fit_calibration
from workzone.errors import UsageError

probabilities = st.floats(0, 1)
thresholds = st.floats(1e-9, 1 - 1e-9)
slopes = st.floats(math.exp(-2), math.exp(2))


@given(probabilities, thresholds, slopes)
def test_the_threshold_decides_and_nothing_else(p: float, threshold: float, slope: float) -> None:
    result = float(Calibration(threshold, slope).apply(p))
    assert (result > 0.5) == (p > threshold)
    assert 1e-6 <= result <= 1 - 1e-6


@given(st.floats(0.01, 0.99), slopes)
def test_a_hair_above_the_threshold_is_above_one_half(threshold: float, slope: float) -> None:
    assert float(Calibration(threshold, slope).apply(math.nextafter(threshold, 1))) > 0.5
    assert float(Calibration(threshold, slope).apply(math.nextafter(threshold, 0))) <= 0.5


@given(thresholds, slopes)
def test_the_threshold_itself_becomes_one_half(threshold: float, slope: float) -> None:
    assert float(Calibration(threshold, slope).apply(threshold)) == 0.5


@given(probabilities, probabilities, thresholds, slopes)
def test_order_is_kept(p: float, q: float, threshold: float, slope: float) -> None:
    low, high = Calibration(threshold, slope).apply(sorted([p, q]))
    assert low <= high + 1e-12  # the logarithm rounds


@given(st.floats(0.001, 0.999), st.floats(0.01, 0.99), st.floats(0.2, 5))
def test_it_is_a_straight_line_in_logits(p: float, threshold: float, slope: float) -> None:
    expected = expit(slope * (logit(p) - logit(threshold)))
    result = float(Calibration(threshold, slope).apply(p))
    assert result == pytest.approx(min(max(expected, 1e-6), 1 - 1e-6), rel=1e-6)


def test_by_default_nothing_changes() -> None:
    given_ = np.linspace(0.001, 0.999, 101)
    np.testing.assert_allclose(Calibration().apply(given_), given_, rtol=1e-12)


def test_any_shape_goes() -> None:
    assert Calibration().apply(np.full((2, 3, 4), 0.3)).shape == (2, 3, 4)


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(UsageError, match=r"row 1: probability nan; it must be a number in 0\.\.1"):
        Calibration().apply([0.5, math.nan])


@pytest.mark.parametrize(
    ("threshold", "slope"), [(0.0, 1.0), (1.0, 1.0), (math.nan, 1.0), (0.5, 0.0), (0.5, math.nan)]
)
def test_a_calibration_out_of_range_is_refused(threshold: float, slope: float) -> None:
    with pytest.raises(UsageError, match="threshold between 0 and 1 and a slope above 0: got"):
        Calibration(threshold, slope)


def overconfident(rows: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose true logit is a third of what the model says, shifted by 1."""
    random = np.random.default_rng(0)
    true_logits = random.normal(0, 1.5, rows)
    labels = (random.random(rows) < expit(true_logits)).astype(int)
    return labels, expit(3 * true_logits + 1)


def test_the_slope_makes_overconfident_rows_more_likely() -> None:
    labels, raw = overconfident()
    calibration, threshold = fit_calibration(labels, raw)
    assert not threshold.guarded
    assert calibration.threshold == threshold.value
    assert calibration.slope == pytest.approx(1 / 3, rel=0.2)
    before = log_loss(labels, Calibration(calibration.threshold).apply(raw))
    after = log_loss(labels, calibration.apply(raw))
    assert after < before < log_loss(labels, raw) + 0.2
    # the best slope of a slow search over the same map
    slopes = np.exp(np.linspace(-2, 2, 401))
    losses = [log_loss(labels, Calibration(calibration.threshold, s).apply(raw)) for s in slopes]
    assert calibration.slope == pytest.approx(slopes[int(np.argmin(losses))], rel=0.02)


def test_the_cut_can_be_left_at_one_half() -> None:
    labels, raw = overconfident()
    calibration, threshold = fit_calibration(labels, raw, choose_cut=False)
    assert calibration.threshold == threshold.value == 0.5
    assert threshold.guarded
    assert threshold.mcc_at_value == threshold.mcc_at_half
    assert threshold.reason.startswith("0.5 is kept, as choose_cut: false asks; 0.")
    slopes = np.exp(np.linspace(-2, 2, 401))
    losses = [log_loss(labels, Calibration(0.5, s).apply(raw)) for s in slopes]
    assert calibration.slope == pytest.approx(slopes[int(np.argmin(losses))], rel=0.02)


def test_too_few_rows_change_nothing() -> None:
    labels = np.array([0, 1] * 9)
    raw = np.linspace(0.01, 0.4, 18)
    calibration, threshold = fit_calibration(labels, raw)
    assert calibration == Calibration(0.5, 1.0)
    assert threshold.guarded
    assert "9 rows with road work and 9 without are too few" in threshold.reason


def test_perfectly_separable_rows_stay_finite() -> None:
    labels = np.repeat([0, 1], 20)
    raw = np.repeat([0.0, 1.0], 20)
    calibration, _ = fit_calibration(labels, raw)
    result = calibration.apply(raw)
    assert np.isfinite(result).all()
    assert ((result > 0.5) == labels).all()
