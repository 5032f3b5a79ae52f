"""The figures of many resamples at once, by weights instead of copied rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workzone.decide.calibration_error import bin_gaps
from workzone.decide.threshold import HALF, Labels, Probabilities, matthews
from workzone.progress import track

_CELLS_AT_ONCE = 4_000_000  # resamples x rows held in memory: 32 MB an array

_Figures = dict[str, npt.NDArray[np.float64]]


def resample_figures(
    truth: Labels,
    scores: Probabilities,
    group_of_row: npt.NDArray[np.int64],
    count: int,
    *,
    resamples: int,
    seed: int,
) -> _Figures:
    """Each figure on each of ``resamples`` draws of ``count`` groups with replacement.

    Args:
        truth: ``[B]`` in {0, 1}.
        scores: ``[B]`` in 0..1.
        group_of_row: ``[B]`` in 0..count - 1.
        count: how many groups there are.
        resamples: how many times they are drawn.
        seed: of the draws.

    Returns:
        By name ``[resamples]``, NaN where the figure is not defined.
    """
    random = np.random.default_rng(seed)
    at_once = max(1, min(resamples, _CELLS_AT_ONCE // len(truth)))
    sizes = [min(at_once, resamples - done) for done in range(0, resamples, at_once)]
    parts = []
    for size in track(sizes, "Resampling groups"):
        times_drawn = random.multinomial(count, np.full(count, 1 / count), size=size)
        parts.append(weighted_figures(truth, scores, times_drawn[:, group_of_row]))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def weighted_figures(
    truth: Labels, scores: Probabilities, weights: npt.NDArray[np.int64]
) -> _Figures:
    """The figures of many weightings of the same rows at once.

    Args:
        truth: ``[B]`` in {0, 1}.
        scores: ``[B]`` in 0..1.
        weights: ``[R, B]``, how often each row counts.

    Returns:
        By name ``[R]``, NaN where the figure is not defined; for each weighting what
        `point_metrics` gives on the rows repeated that often.
    """
    order = np.argsort(-scores, kind="stable")
    truth, scores = truth[order], scores[order]
    weight = weights[:, order].astype(np.float64)
    predicted = scores > HALF
    columns = np.column_stack(
        [truth & predicted, predicted, truth, np.ones(len(truth)), (scores - truth) ** 2]
    )
    tp, called, positives, rows, squares = (weight @ columns).T
    negatives = rows - positives
    fp, fn = called - tp, positives - tp
    tn = negatives - fp

    ties = np.flatnonzero(np.append(True, np.diff(scores) != 0))
    positive_at = np.add.reduceat(weight * truth, ties, axis=1)
    negative_at = np.add.reduceat(weight * (1 - truth), ties, axis=1)
    positive_above = np.cumsum(positive_at, axis=1)
    called_above = positive_above + np.cumsum(negative_at, axis=1)
    ranked_right = (negative_at * (positive_above - positive_at / 2)).sum(axis=1)
    precision_sum = (positive_at * positive_above / np.maximum(called_above, 1)).sum(axis=1)
    both = (positives > 0) & (negatives > 0)
    return {
        "mcc": np.where(both, matthews(tp=tp, fp=fp, fn=fn, tn=tn), np.nan),
        "auc": _ratio(ranked_right, positives * negatives),
        "average_precision": np.where(both, _ratio(precision_sum, positives), np.nan),
        "accuracy": (tp + tn) / rows,
        "precision": _ratio(tp, called),
        "recall": _ratio(tp, positives),
        "f1": _ratio(2 * tp, called + positives),
        "brier": squares / rows,
        "ece": np.abs(weight @ bin_gaps(truth, scores)).sum(axis=1) / rows,
    }


def _ratio(
    part: npt.NDArray[np.float64], whole: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    return part / np.where(whole > 0, whole, np.nan)
