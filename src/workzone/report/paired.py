"""Two models on the same rows: how much better one is, with an interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from workzone.decide.threshold import check_scores
from workzone.report.bootstrap import resample_figures
from workzone.report.metrics import FIGURES, MINIMUM_GROUPS, Figure, number_groups, point_metrics


def paired_differences(
    labels: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    groups: Sequence[str | None] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Figure]:
    """Each figure of `FIGURES` of the first less that of the second, on the same rows.

    Both are judged on the same draws of whole groups, so that what is hard for both does not widen
    the interval.

    Args:
        labels: ``[B]``, 1 road work, 0 none.
        first: probabilities ``[B]`` in 0..1.
        second: likewise.
        groups: ``[B]``, as in :func:`workzone.report.metrics.summarise`.
        resamples: how many times groups are drawn.
        seed: of the draws.
        level: the share of resamples inside an interval.

    Raises:
        UsageError: not one label and probability per row, or values out of range.
    """
    truth, one = check_scores(labels, first)
    _, other = check_scores(labels, second)
    ones, others = point_metrics(truth, one), point_metrics(truth, other)
    group_of_row, count = number_groups(groups, len(truth))
    drawn: dict[str, npt.NDArray[np.float64]] = {}
    if count >= MINIMUM_GROUPS:
        both = [
            resample_figures(truth, scores, group_of_row, count, resamples=resamples, seed=seed)
            for scores in (one, other)
        ]
        drawn = {name: both[0][name] - both[1][name] for name in FIGURES}
    tail = (1 - level) / 2
    found = {}
    for name in FIGURES:
        a, b = ones[name], others[name]
        if a is None or b is None:
            found[name] = Figure(None)
            continue
        defined = drawn[name][np.isfinite(drawn[name])] if drawn else np.zeros(0)
        if not len(defined):
            found[name] = Figure(a - b)
            continue
        low, high = np.quantile(defined, [tail, 1 - tail])
        left_out = len(drawn[name]) - len(defined)
        found[name] = Figure(a - b, float(low), float(high), left_out)
    return found
