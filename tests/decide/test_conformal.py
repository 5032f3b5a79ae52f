"""Conformal sets: what they promise holds, and what is no number is undecided."""

from __future__ import annotations

import numpy as np
import pytest

from workzone.decide.conformal import ConformalSets, fit_conformal
from workzone.errors import UsageError


def drawn(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities that overlap."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, rows)
    return labels, 1 / (1 + np.exp(-(random.normal(size=rows) * 2 + 3 * labels - 1)))


def test_each_class_is_in_its_set_as_often_as_promised() -> None:
    sets = fit_conformal(*drawn(4000, 0), coverage=0.9)
    assert sets is not None
    labels, raw = drawn(20000, 1)
    for label, held in ((1, raw >= sets.roadwork_from), (0, raw <= sets.none_to)):
        assert 0.88 < held[labels == label].mean() < 0.92
    undecided = sets.undecided(raw)
    wrong = (raw > 0.5) != (labels == 1)
    assert wrong[undecided].mean() > 2 * wrong[~undecided].mean()


def test_the_bound_is_the_order_statistic_of_the_formula() -> None:
    raw = np.linspace(0.05, 0.95, 19)
    sets = fit_conformal(np.repeat([0, 1], 19), np.tile(raw, 2), coverage=0.9)
    assert sets is not None
    assert (sets.roadwork_from, sets.none_to) == pytest.approx((raw[1], raw[17]))
    assert (sets.coverage, sets.rows, sets.positives) == (0.9, 38, 19)
    np.testing.assert_array_equal(
        sets.undecided([0.05, 0.5, 0.95, np.nan, np.inf]), [False, True, False, True, True]
    )


def test_a_good_model_is_undecided_on_nothing() -> None:
    sets = fit_conformal(np.repeat([0, 1], 30), np.repeat([0.01, 0.99], 30))
    assert sets is not None
    assert not sets.undecided(np.linspace(0, 1, 11)).any()


def test_the_image_at_the_bound_is_within() -> None:
    """Not moved by the rounding of 1 - (1 - p)."""
    scores = np.random.default_rng(0).uniform(size=400)
    for seed in range(20):
        labels = np.random.default_rng(seed).integers(0, 2, 400)
        sets = fit_conformal(labels, scores, coverage=0.9)
        assert sets is not None
        assert sets.roadwork_from in scores[labels == 1]
        assert sets.none_to in scores[labels == 0]


def test_too_few_rows_promise_nothing() -> None:
    labels = np.repeat([0, 1], [100, 18])
    assert fit_conformal(labels, np.full(118, 0.5), coverage=0.95) is None
    labels = np.repeat([0, 1], [100, 19])
    assert fit_conformal(labels, np.full(119, 0.5), coverage=0.95) is not None


def test_mistakes_are_told() -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        fit_conformal([0, 1], [0.1, 0.9], coverage=1.0)
    with pytest.raises(UsageError, match="bound by probabilities"):
        ConformalSets(coverage=0.9, roadwork_from=float("nan"), none_to=0.5, rows=1, positives=1)
