"""How a calibration is found on validation rows; scipy and scikit-learn are for this alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from workzone.decide.calibration import CLOSEST_TO_CERTAIN, METHODS, Calibration, MethodName
from workzone.decide.log_odds import Doubles, expit, log_expit, logit
from workzone.decide.threshold import (
    HALF,
    Labels,
    Probabilities,
    Threshold,
    check_scores,
    choose_threshold,
)

MethodChoice = Literal["auto", "temperature", "platt", "beta", "isotonic"]

_LOG_SLOPE = (-2.0, 2.0)  # slopes stay between 0.14 and 7.4
FEWEST = {"temperature": 10, "platt": 25, "beta": 50, "isotonic": 200}
"""Rows of the rarer class that a method needs."""
FOLDS = 5
"""Parts that validation rows are cut into, to compare methods."""


@dataclass(frozen=True)
class Trial:
    """What a method is worth on rows that it was not fitted on."""

    method: MethodName
    log_loss: float | None  # nats a row; None: too few rows for it
    better_by: float | None = None  # than the method chosen before it, nats a row
    error: float | None = None  # standard error of that, over groups


def fit_calibration(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    choose_cut: bool = True,
    method: MethodChoice = "temperature",
    groups: Sequence[str | None] | None = None,
) -> tuple[Calibration, Threshold]:
    """Choose the cut for MCC, then a curve for likelihood, on validation rows.

    The curve is moved so that the cut is at 0.5. Where the cut was kept for lack of rows, the curve
    is straight and its slope 1. 0.5 holds for balanced classes; a cut that was chosen, for the
    share from which Bayes' rule leads to as much road work as there is among these rows: the best
    MCC is not where odds are even.

    Args:
        labels: ``[B]``, 1 road work, 0 none; validation rows, never test rows.
        probabilities: ``[B]`` in 0..1.
        choose_cut: False keeps 0.5 and chooses the curve alone.
        method: temperature (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017),
            platt (Platt 1999: slope and constant together), beta (Kull, Silva Filho & Flach,
            "Beta calibration", AISTATS 2017), isotonic (Zadrozny & Elkan, KDD 2002, through the
            centres of its steps: Oron & Flournoy, Stat. Biopharm. Res. 9(3), 2017); with fewer rows
            than it needs the next simpler one. auto: see `compare_methods`.
        groups: ``[B]`` of auto; whole ones are held out.
    """
    truth, scores = check_scores(labels, probabilities)
    threshold = choose_threshold(truth, scores)
    if threshold.guarded:
        return Calibration(threshold.value, 1.0), threshold
    if method == "auto":
        chosen = compare_methods(truth, scores, groups, choose_cut=choose_cut)[0]
    else:
        chosen = _allowed(method, truth)
    if not choose_cut:
        threshold = dataclasses.replace(
            threshold,
            value=HALF,
            mcc_at_value=threshold.mcc_at_half,
            guarded=True,
            reason=f"0.5 is kept, as choose_cut: false asks; {threshold.reason}",
        )
    return _fitted(chosen, truth, scores, threshold.value, told=not choose_cut), threshold


def compare_methods(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    groups: Sequence[str | None] | None = None,
    *,
    choose_cut: bool = True,
) -> tuple[MethodName, list[Trial]]:
    """The method with the lowest log loss on rows held out, and what each came to.

    A method takes the place of a simpler one where it is better by more than the standard error of
    the difference, over whole groups. Each is judged as it would be published, for the share of
    road work that there is.

    Args:
        labels: ``[B]``, 1 road work, 0 none.
        probabilities: ``[B]`` in 0..1.
        groups: ``[B]``, of which none is cut apart; a row with None is one of its own.
        choose_cut: as in `fit_calibration`.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    truth, scores = check_scores(labels, probabilities)
    given = [None] * len(truth) if groups is None else groups
    names = [f"row {row}" if name is None else f"group {name}" for row, name in enumerate(given)]
    _, group_of_row = np.unique(names, return_inverse=True)
    splits = min(FOLDS, int(group_of_row.max()) + 1)
    allowed = [name for name in METHODS if _rarer(truth) >= FEWEST[name]]
    trials = [Trial(name, None) for name in METHODS if name not in allowed]
    folds = []
    if splits > 1:
        cut = StratifiedGroupKFold(splits, shuffle=True, random_state=0)
        folds = [
            (rest, held)
            for rest, held in cut.split(scores, truth, group_of_row)
            if _rarer(truth[rest]) >= FEWEST["temperature"]
        ]
    if not folds or not allowed:
        return METHODS[0], [Trial(name, None) for name in METHODS]
    held = np.concatenate([part for _, part in folds])
    losses = {
        name: np.concatenate(
            [_held_out(name, truth, scores, rest, part, choose_cut) for rest, part in folds]
        )
        for name in allowed
    }
    chosen = allowed[0]
    found = [Trial(chosen, float(losses[chosen].mean()))]
    for name in allowed[1:]:
        gain = losses[chosen] - losses[name]
        error = _standard_error(gain, group_of_row[held])
        found.append(Trial(name, float(losses[name].mean()), float(gain.mean()), error))
        if gain.mean() > error:
            chosen = name
    return chosen, found + trials


def _rarer(truth: Labels) -> int:
    positives = int(truth.sum())
    return min(positives, len(truth) - positives)


def _allowed(method: MethodName, truth: Labels) -> MethodName:
    """The method, or the most flexible simpler one that these rows are enough for."""
    simpler = METHODS[: METHODS.index(method) + 1]
    return next((name for name in simpler[::-1] if _rarer(truth) >= FEWEST[name]), METHODS[0])


def _held_out(
    method: MethodName,
    truth: Labels,
    scores: Probabilities,
    rest: npt.NDArray[np.int64],
    held: npt.NDArray[np.int64],
    choose_cut: bool,
) -> Doubles:
    """Log loss of each row held out, by what was fitted on the rest."""
    threshold = choose_threshold(truth[rest], scores[rest]).value if choose_cut else HALF
    fitted = _fitted(method, truth[rest], scores[rest], threshold, told=False)
    told = fitted.at_share(float(truth[rest].mean())).apply(scores[held])
    loss: Doubles = -np.log(np.where(truth[held] == 1, told, 1 - told))
    return loss


def _standard_error(values: Doubles, group_of_row: npt.NDArray[np.int64]) -> float:
    """Of the mean of rows whose groups are independent (Liang & Zeger, Biometrika 73, 1986)."""
    sums = np.bincount(group_of_row, values - values.mean())
    return float(np.sqrt((sums**2).sum()) / len(values))


def _fitted(
    method: MethodName, truth: Labels, scores: Probabilities, threshold: float, *, told: bool
) -> Calibration:
    """The calibration of a method about a cut; with ``told`` it holds for balanced classes."""
    log_odds = logit(np.clip(scores, CLOSEST_TO_CERTAIN, 1 - CLOSEST_TO_CERTAIN))
    curve = _CURVES[method](truth, log_odds, threshold)
    made = dataclasses.replace(curve, threshold=threshold, method=method)
    if told:
        return made
    evidence = made.curve(log_odds) - made.curve(logit(threshold))
    return dataclasses.replace(made, share=_share_behind(evidence, float(truth.mean())))


def _temperature(truth: Labels, log_odds: Doubles, threshold: float) -> Calibration:
    """Of the slope about the cut."""
    from scipy.optimize import minimize_scalar  # a second of every start, were it at the top

    distance = np.where(truth == 1, 1, -1) * (log_odds - logit(threshold))

    def loss(log_slope: float) -> float:
        return -float(log_expit(np.exp(log_slope) * distance).mean())

    best = minimize_scalar(loss, bounds=_LOG_SLOPE, method="bounded")
    return Calibration(slope=float(np.exp(best.x)))


def _platt(truth: Labels, log_odds: Doubles, threshold: float) -> Calibration:
    slope, _ = _likeliest(truth, [log_odds])
    return Calibration(slope=slope)


def _beta(truth: Labels, log_odds: Doubles, threshold: float) -> Calibration:
    slope, of_none, _ = _likeliest(truth, [log_expit(log_odds), -log_expit(-log_odds)])
    return Calibration(slope=slope, slope_of_none=of_none)


def _isotonic(truth: Labels, log_odds: Doubles, threshold: float) -> Calibration:
    """Through the centres of the steps; the ends go on with the slope of Platt's line."""
    from sklearn.isotonic import IsotonicRegression

    slope = _platt(truth, log_odds, threshold).slope
    steps = IsotonicRegression(y_min=0, y_max=1).fit_transform(log_odds, truth)
    knots: list[tuple[float, float]] = []
    for value in np.unique(steps):
        rows = steps == value
        # One row of each class is thought of besides: no step is certain.
        share = (truth[rows].sum() + 1) / (rows.sum() + 2)
        knot = float(log_odds[rows].mean()), float(logit(share))
        if not knots or (knot[0] > knots[-1][0] and knot[1] > knots[-1][1]):
            knots.append(knot)
    return Calibration(slope=slope, knots=tuple(knots))


_CURVES = {
    "temperature": _temperature,
    "platt": _platt,
    "beta": _beta,
    "isotonic": _isotonic,
}


def _likeliest(truth: Labels, columns: Sequence[Doubles]) -> list[float]:
    """Positive weights of columns that rise with road work, and a constant, by likelihood."""
    from scipy.optimize import minimize

    given = np.column_stack([*columns, np.ones(len(truth))])
    sign = np.where(truth == 1, 1.0, -1.0)

    def loss(weights: Doubles) -> tuple[float, Doubles]:
        log_odds = sign * (given @ weights)
        slope = -sign * expit(-log_odds)
        return -float(log_expit(log_odds).mean()), (slope[:, None] * given).mean(axis=0)

    low, high = np.exp(_LOG_SLOPE)
    bounds = [(low, high)] * len(columns) + [(-30.0, 30.0)]
    start = np.append(np.ones(len(columns)), 0.0)
    best = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B")
    return [float(value) for value in best.x]


def _share_behind(evidence: Doubles, share: float) -> float:
    """The share that log-odds hold for which, moved to ``share``, have it as their mean."""
    from scipy.optimize import brentq

    far = float(np.abs(evidence).max()) + abs(float(logit(share))) + 1
    step = brentq(lambda moved: float(expit(evidence + moved).mean()) - share, -far, far)
    behind = float(expit(logit(share) - step))
    return min(max(behind, CLOSEST_TO_CERTAIN), 1 - CLOSEST_TO_CERTAIN)
