"""Which members an ensemble has and what they weigh: found on rows that none has learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workzone.decide.log_odds import Doubles, logit
from workzone.decide.mixture import AverageName, Mixture
from workzone.decide.threshold import HALF, Labels, check_scores
from workzone.errors import UsageError

CLOSEST = 1e-6
FEWEST = 25
"""Rows of the rarer class below which members weigh alike."""
TOWARDS_EQUAL = 0.01
"""What a squared distance of 1 from equal weights costs, in nats a row: it settles ties."""
ROUNDS = 50
"""Of greedy selection, at most."""


def fit_mixture(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, average: AverageName = "log-odds"
) -> Mixture:
    """The likeliest weights, 0 or more with sum 1; equal ones where there are few rows.

    Args:
        labels: ``[B]``, 1 road work, 0 none.
        probabilities: ``[B, M]`` of the members, on rows that none of them has learned from.
        average: what is averaged.

    Raises:
        UsageError: not one label per row, or a value that is no probability.
    """
    from scipy.optimize import minimize

    truth, given = _checked(labels, probabilities)
    members = given.shape[1]
    equal = np.full(members, 1 / members)
    positives = int(truth.sum())
    if members == 1 or min(positives, len(truth) - positives) < FEWEST:
        return _mixture(equal, average)

    def loss(weights: Doubles) -> float:
        mixed = _mixture(weights.clip(0) / weights.clip(0).sum(), average).apply(given)
        return log_loss(truth, mixed) + TOWARDS_EQUAL * float(np.square(weights - equal).sum())

    best = minimize(
        loss,
        equal,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * members,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
    )
    weights = np.where(best.x < 1e-4, 0.0, best.x)
    return _mixture(weights / weights.sum(), average)


def select_greedily(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, average: AverageName = "log-odds"
) -> Mixture:
    """Members added one by one, again and again, while that helps (Caruana et al., ICML 2004).

    It begins with the best; the weights are how often each was taken. Args and errors are those of
    `fit_mixture`.
    """
    truth, given = _checked(labels, probabilities)
    taken = np.zeros(given.shape[1])
    lowest = np.inf
    for _ in range(ROUNDS):
        tries = [
            log_loss(truth, _mixture((taken + one) / (taken.sum() + 1), average).apply(given))
            for one in np.eye(len(taken))
        ]
        best = int(np.argmin(tries))
        if not tries[best] < lowest - 1e-9:
            break
        lowest, taken[best] = tries[best], taken[best] + 1
    return _mixture(taken / taken.sum(), average)


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """How alike members are, and what their difference is worth."""

    correlations: tuple[tuple[float, ...], ...]  # [M, M], of log-odds over all rows
    within_classes: tuple[tuple[float, ...], ...]  # the same of what is left after class means
    decide_apart: float  # share of rows on which two members decide differently, mean over pairs
    ambiguity: float  # nats a row: the members' mean log loss less that of the mixture

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "correlations": [list(row) for row in self.correlations],
            "within_classes": [list(row) for row in self.within_classes],
            "decide_apart": self.decide_apart,
            "ambiguity": self.ambiguity,
        }


def diversity(labels: npt.ArrayLike, probabilities: npt.ArrayLike, mixture: Mixture) -> Diversity:
    """How alike the members of a mixture are.

    The ambiguity of Krogh & Vedelsby (NIPS 1994), for log loss: never negative.
    Args and errors are those of `fit_mixture`.
    """
    truth, given = _checked(labels, probabilities)
    odds = logit(given)
    centred = odds.copy()
    for label in np.unique(truth):
        centred[truth == label] -= odds[truth == label].mean(axis=0)
    above = given > HALF
    members = given.shape[1]
    pairs = [(i, j) for i in range(members) for j in range(i)]
    apart = [float((above[:, i] != above[:, j]).mean()) for i, j in pairs]
    each = [log_loss(truth, given[:, member]) for member in range(members)]
    mean = float(np.dot(mixture.weights, each))
    return Diversity(
        correlations=_correlations(odds),
        within_classes=_correlations(centred),
        decide_apart=float(np.mean(apart)) if apart else 0.0,
        ambiguity=mean - log_loss(truth, mixture.apply(given)),
    )


def log_loss(truth: Labels, probabilities: Doubles) -> float:
    """Nats a row; probabilities are kept `CLOSEST` from 0 and 1."""
    clipped = np.clip(probabilities, CLOSEST, 1 - CLOSEST)
    return -float(np.log(np.where(truth == 1, clipped, 1 - clipped)).mean())


def _mixture(weights: Doubles, average: AverageName) -> Mixture:
    return Mixture(weights=tuple(float(weight) for weight in weights), average=average)


def _correlations(values: Doubles) -> tuple[tuple[float, ...], ...]:
    """``[M, M]``; a column that never changes has 0 with all others."""
    offsets = values - values.mean(axis=0)
    lengths = np.linalg.norm(offsets, axis=0)
    units = offsets / np.where(lengths > 1e-9, lengths, np.inf)
    found = units.T @ units
    np.fill_diagonal(found, 1.0)
    return tuple(tuple(float(value) for value in row) for row in found)


def _checked(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[Labels, Doubles]:
    given = np.asarray(probabilities, np.float64)
    if given.ndim != 2 or not given.size:
        raise UsageError(f"probabilities of shape {list(given.shape)}: give [rows, members]")
    truth = check_scores(labels, given[:, 0])[0]
    for member in range(1, given.shape[1]):
        check_scores(labels, given[:, member])
    return truth, np.clip(given, CLOSEST, 1 - CLOSEST)
