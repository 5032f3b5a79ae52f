"""How good the probabilities are: figures at the cut 0.5, each with a bootstrap interval.

Intervals are percentile intervals of a cluster bootstrap: whole groups (the frames of one video
sequence) are drawn with replacement, because frames of one group are not independent and drawing
rows would make intervals too narrow (Davison & Hinkley, *Bootstrap Methods and their Application*,
1997, section 3.8; Field & Welsh, *J. R. Statist. Soc. B* 69, 2007).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import sklearn.metrics
from rich.table import Table

from workzone.decide.calibration_error import calibration_error
from workzone.decide.threshold import HALF, Labels, Probabilities, check_scores
from workzone.errors import UsageError
from workzone.report.bootstrap import resample_figures

FIGURES = {
    "mcc": "MCC",
    "auc": "ROC AUC",
    "average_precision": "average precision",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "brier": "Brier score",
    "ece": "calibration error (ECE)",
}
"""What each figure is called, by name, in the order of tables."""

MINIMUM_GROUPS = 5
"""With fewer groups there are too few distinct resamples for the tails of an interval."""
MINIMUM_PER_CLASS = 5
"""A slice with fewer rows of either class has no figure but its accuracy."""

Groups = Sequence[str | None] | None


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure and its interval; None stands for "not defined on these rows"."""

    value: float | None
    low: float | None = None
    high: float | None = None
    undefined_resamples: int = 0  # resamples left out of the interval


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of rows at the cut 0.5."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int


@dataclass(frozen=True, slots=True)
class Metrics:
    """The figures of one set of rows."""

    rows: int
    positives: int
    groups: int
    confusion: Confusion
    figures: Mapping[str, Figure]  # by name, see FIGURES; only the accuracy for a small slice
    resamples: int
    level: float  # of the intervals, 0..1
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps(..., allow_nan=False)`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Slice:
    """The figures of the rows that share one value of a field; None: not recorded."""

    value: str | None
    metrics: Metrics

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps(..., allow_nan=False)`."""
        return asdict(self)


def point_metrics(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> dict[str, float | None]:
    """Each figure of `FIGURES`, None where it is not defined; never NaN.

    The cut is 0.5 (above it is road work). With rows of one class only, MCC, AUC and average
    precision are not defined; with both classes but predictions of one, MCC is 0 by convention.
    Precision is not defined without positive predictions, recall without positive labels, F1
    without either. ECE is the expected calibration error in ten bins of equal width (Naeini et
    al., AAAI 2015; Guo et al., ICML 2017): the mean over rows of |mean probability - share of
    positives| of the row's bin. It is biased upwards where bins hold few rows.

    Args:
        labels: ``[B]``, 1 road work, 0 none.
        probabilities: ``[B]`` in 0..1.

    Raises:
        UsageError: no rows, or see `workzone.decide.threshold.check_scores`.
    """
    truth, scores = _checked_rows(labels, probabilities)
    predicted = scores > HALF
    figures: dict[str, Any] = {
        "accuracy": sklearn.metrics.accuracy_score(truth, predicted),
        "precision": sklearn.metrics.precision_score(truth, predicted, zero_division=np.nan),
        "recall": sklearn.metrics.recall_score(truth, predicted, zero_division=np.nan),
        "f1": sklearn.metrics.f1_score(truth, predicted, zero_division=np.nan),
        "brier": np.mean((scores - truth) ** 2),
        "ece": calibration_error(truth, scores),
    }
    if 0 < truth.sum() < len(truth):
        figures |= {
            "mcc": sklearn.metrics.matthews_corrcoef(truth, predicted),
            "auc": sklearn.metrics.roc_auc_score(truth, scores),
            "average_precision": sklearn.metrics.average_precision_score(truth, scores),
        }
    return {name: _or_none(figures.get(name, np.nan)) for name in FIGURES}


def summarise(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    groups: Groups = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Metrics:
    """Every figure with its interval.

    A resample in which a figure is not defined is left out of that figure's interval and counted.
    With fewer than `MINIMUM_GROUPS` groups there are no intervals.

    Args:
        labels: ``[B]``, 1 road work, 0 none.
        probabilities: ``[B]`` in 0..1.
        groups: ``[B]`` names of sequences; a row with None is a group of its own. None for the
            whole: every row is its own group.
        resamples: how many times groups are drawn; 0 for no intervals.
        seed: of the draws; equal seeds give equal intervals.
        level: the share of resamples inside an interval, in (0, 1).

    Raises:
        UsageError: no rows, lengths that differ, or values out of range.
    """
    truth, scores = _checked_rows(labels, probabilities)
    if resamples < 0:
        raise UsageError(f"resamples {resamples}: give 0 (no intervals) or more")
    if not 0 < level < 1:
        raise UsageError(f"level {level}: give a number between 0 and 1, such as 0.95")
    group_of_row, count = number_groups(groups, len(truth))
    values = point_metrics(truth, scores)
    figures = {name: Figure(value) for name, value in values.items()}
    if resamples and count >= MINIMUM_GROUPS:
        drawn = resample_figures(truth, scores, group_of_row, count, resamples=resamples, seed=seed)
        figures = {name: _interval(values[name], drawn[name], level) for name in FIGURES}
    return Metrics(
        rows=len(truth),
        positives=int(truth.sum()),
        groups=count,
        confusion=_confusion(truth, scores),
        figures=figures,
        resamples=resamples,
        level=level,
        seed=seed,
    )


def summarise_by(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    groups: Groups,
    values: Sequence[str | None],
    *,
    minimum_rows: int = 30,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> list[Slice]:
    """`summarise` for each distinct value of a field, most rows first, "not recorded" last.

    A slice with fewer than ``minimum_rows`` rows, or fewer than `MINIMUM_PER_CLASS` of either
    class, keeps its counts and its accuracy and no other figure.

    Raises:
        UsageError: as `summarise`, or not one value per row.
    """
    truth, scores = _checked_rows(labels, probabilities)
    _check_length(values, len(truth), "values")
    rows_of: dict[str | None, list[int]] = {}
    for row, value in enumerate(values):
        rows_of.setdefault(value, []).append(row)
    slices = []
    for value, rows in rows_of.items():
        metrics = summarise(
            truth[rows],
            scores[rows],
            None if groups is None else [groups[row] for row in rows],
            resamples=resamples,
            seed=seed,
            level=level,
        )
        rarer = min(metrics.positives, len(rows) - metrics.positives)
        if len(rows) < minimum_rows or rarer < MINIMUM_PER_CLASS:
            metrics = replace(metrics, figures={"accuracy": metrics.figures["accuracy"]})
        slices.append(Slice(value, metrics))
    return sorted(slices, key=lambda s: (s.value is None, -s.metrics.rows, s.value or ""))


def worst_mistakes(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, count: int
) -> npt.NDArray[np.int64]:
    """Rows on the wrong side of 0.5, the furthest from their label first, at most ``count``."""
    truth, scores = check_scores(labels, probabilities)
    wrong = np.flatnonzero((scores > HALF) != (truth == 1))
    order = np.argsort(-np.abs(scores - truth)[wrong], kind="stable")
    worst: npt.NDArray[np.int64] = wrong[order[:count]]
    return worst


def to_table(metrics: Metrics, *, title: str = "Evaluation") -> Table:
    """A table for the terminal: a row per figure, with its interval."""
    table = Table(title=title, caption=_caption(metrics))
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column(f"{metrics.level:.0%} interval", justify="right")
    for name, figure in metrics.figures.items():
        interval = (
            ""
            if figure.low is None or figure.high is None
            else f"{figure.low:.3f} to {figure.high:.3f}"
        )
        table.add_row(FIGURES[name], format_value(figure.value), interval)
    return table


def format_value(value: float | None) -> str:
    """Three decimals, or words where the figure is not defined."""
    return "not defined" if value is None else f"{value:.3f}"


def _caption(metrics: Metrics) -> str:
    text = f"{metrics.rows:,} images, {metrics.positives:,} with road work\n"
    if metrics.groups < MINIMUM_GROUPS:
        return text + f"no intervals: {metrics.groups} groups, {MINIMUM_GROUPS} are needed"
    return text + f"{metrics.groups:,} groups resampled {metrics.resamples:,} times"


def _checked_rows(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike
) -> tuple[Labels, Probabilities]:
    truth, scores = check_scores(labels, probabilities)
    if len(truth) == 0:
        raise UsageError("no rows to evaluate: give at least one labelled row")
    return truth, scores


def _check_length(values: Sequence[Any], rows: int, what: str) -> None:
    if len(values) != rows:
        raise UsageError(f"{len(values)} {what} for {rows} rows: give one per row")


def number_groups(groups: Groups, rows: int) -> tuple[npt.NDArray[np.int64], int]:
    """A number per row, equal within a group, and how many groups there are."""
    if groups is None:
        return np.arange(rows), rows
    _check_length(groups, rows, "groups")
    numbers: dict[str | int, int] = {}
    keys = (row if group is None else group for row, group in enumerate(groups))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys]), len(numbers)


def _confusion(truth: Labels, scores: Probabilities) -> Confusion:
    (tn, fp), (fn, tp) = sklearn.metrics.confusion_matrix(
        truth, scores > HALF, labels=[0, 1]
    ).tolist()
    return Confusion(tp, fp, fn, tn)


def _interval(value: float | None, drawn: npt.NDArray[np.float64], level: float) -> Figure:
    defined = drawn[np.isfinite(drawn)]
    missing = len(drawn) - len(defined)
    if value is None or len(defined) == 0:
        return Figure(value, undefined_resamples=missing)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Figure(value, float(low), float(high), missing)


def _or_none(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
