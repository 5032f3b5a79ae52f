from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from workzone.decide.mixture import Mixture
from workzone.decide.mixture_fit import diversity, fit_mixture, log_loss, select_greedily
from workzone.errors import UsageError


def members(rows: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two members that each know half of it, and one that knows nothing."""
    random = np.random.default_rng(seed)
    parts = random.normal(0, 1.5, (rows, 2))
    labels = (random.random(rows) < expit(parts.sum(axis=1))).astype(int)
    noise = random.normal(0, 1, rows)
    return labels, expit(np.column_stack([parts, noise]))


def test_what_is_averaged() -> None:
    given_ = np.array([[0.9, 0.4], [0.0, 1.0]])
    probability = Mixture(weights=(0.25, 0.75), average="probability").apply(given_)
    np.testing.assert_allclose(probability, [0.525, 0.75])
    odds = Mixture(weights=(0.25, 0.75)).apply(given_)
    assert odds[0] == pytest.approx(expit(0.25 * logit(0.9) + 0.75 * logit(0.4)))
    assert np.isfinite(odds).all()


@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=3), st.sampled_from(["log-odds", "probability"])
)
def test_it_lies_between_its_members(values: list[float], average: str) -> None:
    mixed = float(Mixture(weights=(0.5, 0.3, 0.2), average=average).apply(values))  # type: ignore[arg-type]
    assert min(values) - 1e-9 <= mixed <= max(values) + 1e-9


def test_disagreement_is_the_weighted_deviation() -> None:
    mixture = Mixture(weights=(0.5, 0.5, 0.0))
    np.testing.assert_allclose(
        mixture.disagreement([[0.2, 0.6, 0.9], [0.3, 0.3, 1.0], [0.0, 1.0, 0.5]]), [0.2, 0.0, 0.5]
    )


@pytest.mark.parametrize("average", ["log-odds", "probability"])
def test_weights_are_those_of_a_slow_search(average: str) -> None:
    labels, given_ = members()
    mixture = fit_mixture(labels, given_, average=average)  # type: ignore[arg-type]
    assert sum(mixture.weights) == pytest.approx(1)
    assert min(mixture.weights) >= 0
    grid = [(a / 20, b / 20, (20 - a - b) / 20) for a in range(21) for b in range(21 - a)]
    losses = [
        log_loss(labels, Mixture(weights=w, average=average).apply(given_))
        for w in grid  # type: ignore[arg-type]
    ]
    best = grid[int(np.argmin(losses))]
    np.testing.assert_allclose(mixture.weights, best, atol=0.06)
    assert mixture.weights[2] < 0.1


def test_greedy_selection_leaves_out_what_knows_nothing() -> None:
    labels, given_ = members()
    mixture = select_greedily(labels, given_)
    alone = min(log_loss(labels, given_[:, member]) for member in range(3))
    assert log_loss(labels, mixture.apply(given_)) < alone
    assert mixture.weights[2] == 0
    perfect = np.column_stack([np.where(labels == 1, 0.99, 0.01), given_[:, 0]])
    assert select_greedily(labels, perfect).weights == (1.0, 0.0)


def test_with_few_rows_members_weigh_alike() -> None:
    labels, given_ = members(40)
    assert fit_mixture(labels, given_).weights == (1 / 3, 1 / 3, 1 / 3)


def test_diversity() -> None:
    labels, given_ = members()
    found = diversity(labels, given_, Mixture(weights=(0.5, 0.5, 0.0)))
    odds = logit(given_)
    np.testing.assert_allclose(found.correlations, np.corrcoef(odds.T), atol=1e-9)
    assert found.within_classes[0][1] < found.correlations[0][1]  # both know the label
    above = given_ > 0.5
    expected = np.mean([(above[:, i] != above[:, j]).mean() for i, j in ((1, 0), (2, 0), (2, 1))])
    assert found.decide_apart == pytest.approx(expected)
    assert found.ambiguity > 0
    same = np.column_stack([given_[:, 0]] * 2)
    alike = diversity(labels, same, Mixture(weights=(0.5, 0.5)))
    assert (alike.decide_apart, alike.correlations[0][1]) == (0, pytest.approx(1))
    assert alike.ambiguity == pytest.approx(0, abs=1e-9)
    constant = diversity(labels, np.full((600, 2), 0.3), Mixture(weights=(0.5, 0.5)))
    assert constant.correlations == ((1, 0), (0, 1))


@pytest.mark.parametrize(
    ("weights", "average", "message"),
    [
        ((0.5, 0.6), "log-odds", "come to 1.1, not to 1"),
        ((1.5, -0.5), "log-odds", "numbers from 0 on"),
        ((math.nan, 1.0), "log-odds", "numbers from 0 on"),
        ((), "log-odds", "numbers from 0 on"),
        ((1.0,), "logodds", "did you mean 'log-odds'"),
    ],
)
def test_a_mixture_that_is_none(weights: tuple, average: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Mixture(weights=weights, average=average)  # type: ignore[arg-type]


def test_what_is_no_probability_is_refused() -> None:
    mixture = Mixture(weights=(0.5, 0.5))
    for method in (mixture.apply, mixture.disagreement):
        with pytest.raises(UsageError, match=r"not a number in 0\.\.1"):
            method([0.5, math.nan])
        with pytest.raises(UsageError, match="the last number must be 2, one of each member"):
            method([0.5, 0.5, 0.5])
    with pytest.raises(UsageError, match=r"give \[rows, members\]"):
        fit_mixture([0, 1], [0.5, 0.5])
