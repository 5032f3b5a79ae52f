"""What is gained by leaving the most doubtful images undecided.

Risk against coverage (El-Yaniv & Wiener, "On the Foundations of Noise-free Selective
Classification", JMLR 2010; Geifman & El-Yaniv, NeurIPS 2017, arXiv 1705.08500): images are decided
from the least doubtful on; the risk is the share of mistakes among those decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

from workzone.decide.log_odds import logit
from workzone.decide.threshold import HALF, check_scores, matthews
from workzone.errors import UsageError

COVERAGES = (0.8, 0.9, 0.95, 1.0)
_CLOSEST_TO_CERTAIN = 1e-12


@dataclass(frozen=True, slots=True)
class AtCoverage:
    """Figures of the images that are decided, where so many are."""

    coverage: float  # asked for, 0..1
    decided: int
    mistakes: int
    accuracy: float
    mcc: float | None  # None: one class only


@dataclass(frozen=True, slots=True)
class Refused:
    """How many images of a slice are left undecided."""

    field: str  # of the manifest, as "source"
    value: str | None  # None: not recorded
    rows: int
    refused: int


@dataclass(frozen=True)
class Selective:
    """Figures by how many images are decided."""

    risks: tuple[float, ...]  # share of mistakes among the first 1, 2, ... B images decided
    area: float  # mean of the risks: the area under the curve of risk against coverage
    at: tuple[AtCoverage, ...]
    in_doubt: (
        int | None
    )  # images with a reason for doubt, see `run.doubts`; None: nothing is known of that
    refused: tuple[Refused, ...] = field(default=())  # of these, by slice

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps(..., allow_nan=False)`, without the curve's points."""
        values = asdict(self)
        del values["risks"]
        return values


def selective(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    doubtful: npt.NDArray[np.bool_] | None = None,
    slices: Mapping[str, Sequence[str | None]] | None = None,
) -> Selective:
    """Figures by coverage.

    Doubtful images are left undecided first, then those whose log-odds are nearest to 0.

    Args:
        labels: ``[B]``, 1 road work, 0 none.
        probabilities: calibrated, ``[B]`` in 0..1.
        doubtful: bool ``[B]``; None: nothing is known of that.
        slices: values ``[B]`` by field, for what is refused in each.

    Raises:
        UsageError: no rows, not one value for each, or see `check_scores`.
    """
    truth, scores = check_scores(labels, probabilities)
    rows = len(truth)
    lengths = {name: len(values) for name, values in (slices or {}).items()}
    if doubtful is not None:
        lengths["doubtful"] = len(doubtful)
    if rows == 0 or any(length != rows for length in lengths.values()):
        raise UsageError(f"{rows} rows to decide on, and values for them: {lengths or 'none'}")
    sure = np.abs(logit(np.clip(scores, _CLOSEST_TO_CERTAIN, 1 - _CLOSEST_TO_CERTAIN)))
    last = np.zeros(rows, dtype=np.bool_) if doubtful is None else doubtful
    order = np.lexsort((-sure, last))
    called, true = scores[order] > HALF, truth[order] == 1
    risks = np.cumsum(called != true) / np.arange(1, rows + 1)
    return Selective(
        risks=tuple(risks.tolist()),
        area=float(risks.mean()),
        at=tuple(_at(coverage, called, true) for coverage in COVERAGES),
        in_doubt=None if doubtful is None else int(last.sum()),
        refused=tuple(_refused(last, slices or {})),
    )


def coverage_table(chances: Selective) -> Table:
    """A table for the terminal: a row per coverage."""
    told = "" if chances.in_doubt is None else f"{chances.in_doubt:,} in doubt are left out first"
    table = Table(title="If doubtful images are left undecided", caption=told)
    table.add_column("coverage", justify="right")
    for name in ("decided", "mistakes", "accuracy", "MCC"):
        table.add_column(name, justify="right")
    for part in chances.at:
        mcc = "not defined" if part.mcc is None else f"{part.mcc:.3f}"
        table.add_row(
            f"{part.coverage:.0%}",
            f"{part.decided:,}",
            f"{part.mistakes:,}",
            f"{part.accuracy:.3f}",
            mcc,
        )
    return table


def _at(coverage: float, called: npt.NDArray[np.bool_], true: npt.NDArray[np.bool_]) -> AtCoverage:
    count = max(1, round(coverage * len(true)))
    said, is_so = called[:count], true[:count]
    both = 0 < is_so.sum() < count
    mcc = matthews(
        tp=(said & is_so).sum(),
        fp=(said & ~is_so).sum(),
        fn=(~said & is_so).sum(),
        tn=(~said & ~is_so).sum(),
    )
    mistakes = int((said != is_so).sum())
    return AtCoverage(coverage, count, mistakes, 1 - mistakes / count, float(mcc) if both else None)


def _refused(
    doubtful: npt.NDArray[np.bool_], slices: Mapping[str, Sequence[str | None]]
) -> list[Refused]:
    found = []
    for name, values in slices.items():
        rows_of: dict[str | None, list[int]] = {}
        for row, value in enumerate(values):
            rows_of.setdefault(value, []).append(row)
        parts = [
            Refused(name, value, len(rows), int(doubtful[rows].sum()))
            for value, rows in rows_of.items()
        ]
        found += sorted((part for part in parts if part.refused), key=lambda part: -part.refused)
    return found
