"""The cut between "none" and "road work": chosen on validation rows, then mapped onto 0.5."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workzone.errors import UsageError
from workzone.types import DecisionName

Labels = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]

HALF = 0.5
"""The cut everything is decided at: a probability above it is road work, 0.5 itself is not."""

_SAME = 1e-12  # two MCC values closer than this are one


@dataclass(frozen=True, slots=True)
class Threshold:
    """A cut and the evidence for it.

    ``mcc_at_value`` and ``mcc_at_half`` were measured on the rows that chose the cut, so the first
    is an optimistic figure; None where only one class was there. ``guarded`` says that 0.5 was
    kept, ``reason`` why.
    """

    value: float  # in the open interval (0, 1)
    mcc_at_value: float | None
    mcc_at_half: float | None
    rows: int
    positives: int
    guarded: bool
    reason: str


def decision_of(probability: float) -> DecisionName:
    """What a published probability says."""
    return "roadwork" if probability > HALF else "none"


def check_scores(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike
) -> tuple[Labels, Probabilities]:
    """Labels as int64 ``[B]`` and probabilities as float64 ``[B]``.

    Raises:
        UsageError: not one label per probability, a label other than 0 and 1, or a probability
            that is not a number in 0..1.
    """
    given = np.asarray(labels)
    scores = np.asarray(probabilities, dtype=np.float64)
    if given.ndim != 1 or given.shape != scores.shape:
        raise UsageError(
            f"labels of shape {given.shape} and probabilities of shape {scores.shape}: "
            "give one label and one probability per row, as two lists of the same length"
        )
    for row in np.flatnonzero((given != 0) & (given != 1))[:1]:
        raise UsageError(
            f"row {row}: label {given[row]}; labels are 1 (road work) or 0 (none), "
            "leave rows without a label out"
        )
    _check_probabilities(scores)
    return given.astype(np.int64), scores


def choose_threshold(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, minimum_per_class: int = 10
) -> Threshold:
    """The cut with the highest Matthews correlation.

    Candidates are the midpoints between neighbouring distinct probabilities. Neighbouring
    candidates of equal MCC form a plateau; of the best plateaus the widest is taken (of equally
    wide ones the nearest to 0.5), and its middle is the cut.

    Args:
        labels: ``[B]``, 1 road work, 0 none; validation rows, never test rows.
        probabilities: ``[B]`` in 0..1.
        minimum_per_class: with fewer rows of either class 0.5 is kept.

    Raises:
        UsageError: see `check_scores`.
    """
    truth, scores = check_scores(labels, probabilities)
    rows, positives = len(truth), int(truth.sum())
    at_half = _mcc_above(truth, scores, HALF)

    def keep_half(reason: str) -> Threshold:
        return Threshold(HALF, at_half, at_half, rows, positives, True, reason)

    if min(positives, rows - positives) < minimum_per_class:
        return keep_half(
            f"0.5 is kept: {positives} rows with road work and {rows - positives} without are too "
            f"few to choose a cut from; at least {minimum_per_class} of each are needed"
        )
    levels, level_of_row = np.unique(scores, return_inverse=True)
    class_counts = [
        np.bincount(level_of_row[truth == label], minlength=len(levels)) for label in (1, 0)
    ]
    # Cut i lies between level i and level i + 1: true and false positives are what is above it.
    tp, fp = (counts[::-1].cumsum()[::-1][1:] for counts in class_counts)
    mcc = matthews(tp=tp, fp=fp, fn=positives - tp, tn=rows - positives - fp)
    if len(mcc) == 0 or mcc.max() <= _SAME:
        return keep_half("0.5 is kept: no cut separates the classes better than chance")

    best = np.append(mcc >= mcc.max() - _SAME, False)
    starts = np.flatnonzero(best & ~np.append(False, best[:-1]))
    plateaus = [(levels[i], levels[i + int(np.argmin(best[i:]))]) for i in starts]
    low, high = max(plateaus, key=lambda p: (p[1] - p[0], -abs(p[0] / 2 + p[1] / 2 - HALF)))
    value = float(low + (high - low) / 2)
    if not low <= value < high:
        value = float(low)  # neighbouring floats: their midpoint rounds up
    if not 0 < value < 1:
        return keep_half("0.5 is kept: the best cut is not distinguishable from 0")
    at_value = _mcc_above(truth, scores, value)
    return Threshold(
        value,
        at_value,
        at_half,
        rows,
        positives,
        False,
        f"{value:.3f} has the highest MCC on {rows} rows: {at_value:.3f}, "
        f"against {at_half:.3f} at 0.5",
    )


def map_to_half(probabilities: npt.ArrayLike, threshold: float) -> Probabilities:
    """Move probabilities so that ``threshold`` becomes exactly 0.5: sigmoid(logit p - logit t).

    In odds: ``1 / (1 + t (1 - p) / (p (1 - t)))``. Every operation in this form rounds
    monotonically, so the order of probabilities is never reversed; 0 stays 0 and 1 stays 1. For
    every input, ``probability > threshold`` is the same as ``result > 0.5``.

    Args:
        probabilities: any shape, in 0..1.
        threshold: in the open interval (0, 1).

    Returns:
        float64 of the same shape, 0..1, always finite. (Cast to float32, a result a hair above 0.5
        can become 0.5: decide before casting.)

    Raises:
        UsageError: the threshold or a probability is out of range.
    """
    if not 0 < threshold < 1:
        raise UsageError(f"threshold {threshold}: give a number between 0 and 1, both excluded")
    p = np.asarray(probabilities, dtype=np.float64)
    _check_probabilities(p.ravel())
    with np.errstate(divide="ignore", over="ignore"):  # infinite odds against: the result is 0
        mapped = 1 / (1 + threshold * (1 - p) / (p * (1 - threshold)))
    return np.where(
        p > threshold, np.maximum(mapped, np.nextafter(HALF, 1)), np.minimum(mapped, HALF)
    )


def matthews(
    *, tp: npt.ArrayLike, fp: npt.ArrayLike, fn: npt.ArrayLike, tn: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Matthews correlation of confusion counts of any one shape; 0 where a margin is empty."""
    tp, fp, fn, tn = (np.asarray(count, dtype=np.float64) for count in (tp, fp, fn, tn))
    # Two roots, not the root of the whole product, which would be a huge number.
    margins = np.sqrt((tp + fp) * (tp + fn)) * np.sqrt((tn + fp) * (tn + fn))
    return (tp * tn - fp * fn) / np.where(margins > 0, margins, np.inf)


def _mcc_above(labels: Labels, scores: Probabilities, cut: float) -> float | None:
    if len(np.unique(labels)) < 2:
        return None
    above = scores > cut
    tp, fp = int(labels[above].sum()), int((1 - labels[above]).sum())
    positives = int(labels.sum())
    return float(matthews(tp=tp, fp=fp, fn=positives - tp, tn=len(labels) - positives - fp))


def _check_probabilities(scores: Probabilities) -> None:
    for row in np.flatnonzero(~((scores >= 0) & (scores <= 1)))[:1]:
        raise UsageError(f"row {row}: probability {scores[row]}; it must be a number in 0..1")
