from __future__ import annotations

import dataclasses
import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from workzone.decide.calibration import METHODS, Calibration, MethodName
from workzone.decide.calibration_fit import MethodChoice, compare_methods, fit_calibration
from workzone.errors import UsageError

CURVED = (
    Calibration(0.3, 0.7, method="beta", slope_of_none=2.0),
    Calibration(0.6, 0.5, method="isotonic", knots=((-3.0, -1.0), (0.1, 0.0), (2.0, 4.0))),
)


def rows(kind: str, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and scores whose true log-odds are a known curve of what they say."""
    random = np.random.default_rng(0)
    said = random.normal(0, 2, count)
    true = {
        "temperature": 0.5 * said,
        "platt": 0.5 * said - 1,
        "beta": 0.4 * np.log(expit(said)) - 3 * np.log(expit(-said)) - 2,
        "isotonic": np.where(np.abs(said) < 1.5, 0.2 * said, 4 * (said - 1.45 * np.sign(said))),
    }[kind]
    return (random.random(count) < expit(true)).astype(int), expit(said)


@pytest.mark.parametrize("calibration", CURVED)
@given(p=st.floats(0, 1), q=st.floats(0, 1), share=st.floats(0.01, 0.99))
def test_curves_rise_and_the_threshold_decides(
    calibration: Calibration, p: float, q: float, share: float
) -> None:
    low, high = calibration.apply(sorted([p, q]))
    assert 1e-6 <= low <= high + 1e-12 <= 1
    assert (low > 0.5) == (min(p, q) > calibration.threshold)
    moved = calibration.at_share(share)
    if abs(p - expit(moved.cut)) > 1e-9:
        assert (float(moved.apply(p)) > 0.5) == (p > expit(moved.cut))


@pytest.mark.parametrize("calibration", CURVED)
def test_the_threshold_becomes_one_half(calibration: Calibration) -> None:
    threshold = calibration.threshold
    assert float(calibration.apply(threshold)) == pytest.approx(0.5, abs=1e-12)
    assert float(calibration.apply(math.nextafter(threshold, 1))) > 0.5
    assert calibration.cut == pytest.approx(logit(threshold), abs=1e-9)


def test_beta_is_its_formula() -> None:
    p = np.linspace(0.01, 0.99, 50)
    line = 0.7 * np.log(p) - 2 * np.log(1 - p)
    at = 0.7 * np.log(0.3) - 2 * np.log(0.7)
    np.testing.assert_allclose(CURVED[0].apply(p), expit(line - at), rtol=1e-9)


def test_platt_is_logistic_regression() -> None:
    labels, scores = rows("platt")
    fitted, threshold = fit_calibration(labels, scores, method="platt")
    model = LogisticRegression(C=np.inf).fit(logit(scores)[:, None], labels)
    assert fitted.slope == pytest.approx(model.coef_[0, 0], rel=1e-3)
    assert fitted.threshold == threshold.value
    told = fitted.at_share(float(labels.mean())).apply(scores)
    np.testing.assert_allclose(told, model.predict_proba(logit(scores)[:, None])[:, 1], atol=2e-3)


def test_beta_finds_the_curve_that_rows_were_drawn_from() -> None:
    labels, scores = rows("beta", 40_000)
    fitted, _ = fit_calibration(labels, scores, method="beta")
    assert fitted.slope == pytest.approx(0.4, abs=0.1)
    assert fitted.slope_of_none == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize("kind", METHODS)
def test_the_method_that_made_the_rows_is_chosen(kind: MethodName) -> None:
    labels, scores = rows(kind)
    chosen, trials = compare_methods(labels, scores)
    assert chosen == kind
    losses = {trial.method: trial.log_loss for trial in trials}
    assert set(losses) == set(METHODS)
    worst = log_loss(labels, np.full(len(labels), labels.mean()))
    assert all(loss is not None and loss < worst for loss in losses.values())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_beats_what_it_is_given(method: MethodName) -> None:
    labels, scores = rows(method)
    fitted, threshold = fit_calibration(labels, scores, method=method)
    assert fitted.method == method
    told = fitted.at_share(float(labels.mean())).apply(scores)
    assert log_loss(labels, told) < log_loss(labels, scores)
    np.testing.assert_array_equal(fitted.apply(scores) > 0.5, scores > threshold.value)


@pytest.mark.parametrize(
    ("positives", "method"),
    [(12, "temperature"), (30, "platt"), (60, "beta"), (250, "isotonic")],
)
def test_few_rows_get_a_simpler_method(positives: int, method: str) -> None:
    labels = np.repeat([0, 1], [400, positives])
    scores = expit(np.random.default_rng(0).normal(labels * 2.0 - 1, 1))
    assert fit_calibration(labels, scores, method="isotonic")[0].method == method
    trials = compare_methods(labels, scores)[1]
    told = {trial.method for trial in trials if trial.log_loss is not None}
    assert told == set(METHODS[: METHODS.index(method) + 1])  # type: ignore[arg-type]


def test_groups_are_held_out_whole() -> None:
    labels, scores = rows("platt", 400)
    groups = [f"{row // 40}" for row in range(400)]
    of_rows = compare_methods(labels, scores)[1][1]
    of_groups = compare_methods(labels, scores, groups)[1][1]
    assert of_rows != of_groups
    assert compare_methods(labels, scores, ["one"] * 400)[0] == "temperature"  # nothing to hold out
    assert compare_methods(labels, scores, [None] * 400)[1][1] == of_rows


def test_scores_of_zero_and_one_stay_finite() -> None:
    labels = np.tile([0, 1], 300)
    scores = labels.astype(float)
    for method in get_args(MethodChoice):
        told = fit_calibration(labels, scores, method=method)[0].apply([0.0, 0.5, 1.0])
        assert np.isfinite(told).all()
        assert told[0] < 0.01 < 0.99 < told[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slope_of_none": 0.0}, "slope_of_none is above 0"),
        ({"slope_of_none": math.nan}, "slope_of_none is above 0"),
        ({"knots": ((0.0, 1.0), (1.0, 1.0))}, "finite numbers that rise"),
        ({"knots": ((0.0, math.nan), (1.0, 1.0))}, "finite numbers that rise"),
    ],
)
def test_a_curve_that_does_not_rise_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(Calibration(), **changes)
