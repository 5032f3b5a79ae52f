"""Sets of answers that hold the true one with a stated probability.

Split conformal prediction, class by class (Vovk, "Conditional Validity of Inductive Conformal
Predictors", ACML 2012; Angelopoulos & Bates, arXiv 2107.07511): of images with road work, the set
holds "road work" for the stated share at least, and of those without, "none"; where neither is
strange enough to be left out the image is undecided. A set is never empty: the likelier answer is
in it. It says so of images like those that it was fitted on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workzone.decide.threshold import check_scores
from workzone.errors import UsageError

COVERAGE = 0.95


@dataclass(frozen=True, kw_only=True)
class ConformalSets:
    """Which answers are likely enough, by the probability before calibration."""

    coverage: float  # share of either class whose set holds its label at least, in (0, 1)
    roadwork_from: float  # 0..1: "road work" is in the set from this probability on
    none_to: float  # 0..1: "none" is in it up to this one
    rows: int  # that it was fitted on
    positives: int

    def __post_init__(self) -> None:
        if not 0 < self.coverage < 1:
            raise UsageError(f"coverage {self.coverage}: give a share between 0 and 1, as in 0.9")
        if not (0 <= self.roadwork_from <= 1 and 0 <= self.none_to <= 1):
            raise UsageError(f"conformal sets are bound by probabilities in 0..1: got {self}")

    def undecided(self, raw: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether both answers are in the set; any shape.

        Args:
            raw: probabilities before calibration, 0..1; one that is no number is undecided.
        """
        values = np.asarray(raw, dtype=np.float64)
        both = (values >= self.roadwork_from) & (values <= self.none_to)
        return np.asarray(both | ~np.isfinite(values))


def fit_conformal(
    labels: npt.ArrayLike, raw: npt.ArrayLike, *, coverage: float = COVERAGE
) -> ConformalSets | None:
    """The sets of a coverage.

    Args:
        labels: ``[B]``, 1 road work, 0 none; validation rows, never training or test rows.
        raw: ``[B]``, probabilities before calibration.
        coverage: in (0, 1).

    Returns:
        None where a class has too few rows to promise this much: ``coverage / (1 - coverage)``
        are needed, 19 for 0.95.

    Raises:
        UsageError: see `check_scores`, or a coverage out of range.
    """
    truth, scores = check_scores(labels, raw)
    if not 0 < coverage < 1:
        raise UsageError(f"coverage {coverage}: give a share between 0 and 1, as in 0.9")
    bounds = []
    for sign, own in ((-1, scores[truth == 1]), (1, scores[truth == 0])):
        place = math.ceil((len(own) + 1) * coverage)
        if place > len(own):
            return None
        bounds.append(sign * float(np.sort(sign * own)[place - 1]))  # the strangest come last
    return ConformalSets(
        coverage=coverage,
        roadwork_from=bounds[0],
        none_to=bounds[1],
        rows=len(truth),
        positives=int(truth.sum()),
    )
