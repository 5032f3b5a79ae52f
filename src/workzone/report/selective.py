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
from rich.markup import escape
from rich.table import Table

from workzone.decide.log_odds import logit
from workzone.decide.threshold import HALF, check_scores, matthews
from workzone.errors import UsageError

COVERAGES = (0.8, 0.9, 0.95, 1.0)
REFUSING = COVERAGES[:-1]
"""Those at which some images are left undecided."""
SLICES_SHOWN = 8
"""Rows of one field in the table of refusals; a line says how many more there are."""
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
    in_doubt: int | None  # with a reason for doubt; None: nothing is known of that
    at: tuple[int, ...]  # left undecided where so many of all images are decided, by `REFUSING`


@dataclass(frozen=True)
class Selective:
    """Figures by how many images are decided."""

    risks: tuple[float, ...]  # share of mistakes among the first 1, 2, ... B images decided
    area: float  # mean of the risks: the area under the curve of risk against coverage
    at: tuple[AtCoverage, ...]
    in_doubt: int | None  # images with a reason for doubt; None: nothing is known of that
    reasons: Mapping[str, int] = field(default_factory=dict)  # in words, and of how many images
    refused: Mapping[str, tuple[Refused, ...]] = field(default_factory=dict)  # slices by field

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps(..., allow_nan=False)`, without the curve's points."""
        values = asdict(self)
        del values["risks"]
        values["refused"] = [
            asdict(part) | {"at": dict(zip(map(str, REFUSING), part.at, strict=True))}
            for parts in self.refused.values()
            for part in parts
        ]
        return values


def selective(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    doubts: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    slices: Mapping[str, Sequence[str | None]] | None = None,
) -> Selective:
    """Figures by coverage.

    Doubtful images are left undecided first, then those whose log-odds are nearest to 0.

    Args:
        labels: ``[B]``, 1 road work, 0 none.
        probabilities: calibrated, ``[B]`` in 0..1.
        doubts: images by reason for doubt, bool ``[B]`` each; None: nothing is known of that.
        slices: values ``[B]`` by field, for what is refused in each.

    Raises:
        UsageError: no rows, not one value for each, or see `check_scores`.
    """
    truth, scores = check_scores(labels, probabilities)
    rows = len(truth)
    lengths = {
        name: len(values) for part in (slices or {}, doubts or {}) for name, values in part.items()
    }
    if rows == 0 or any(length != rows for length in lengths.values()):
        raise UsageError(f"{rows} rows to decide on, and values for them: {lengths or 'none'}")
    sure = np.abs(logit(np.clip(scores, _CLOSEST_TO_CERTAIN, 1 - _CLOSEST_TO_CERTAIN)))
    doubtful = np.zeros(rows, dtype=np.bool_)
    for images in (doubts or {}).values():
        doubtful |= images
    order = np.lexsort((-sure, doubtful))
    called, true = scores[order] > HALF, truth[order] == 1
    risks = np.cumsum(called != true) / np.arange(1, rows + 1)
    return Selective(
        risks=tuple(risks.tolist()),
        area=float(risks.mean()),
        at=tuple(_at(coverage, called, true) for coverage in COVERAGES),
        in_doubt=None if doubts is None else int(doubtful.sum()),
        reasons={words: int(images.sum()) for words, images in (doubts or {}).items()},
        refused={
            name: _refused(name, values, order, None if doubts is None else doubtful)
            for name, values in (slices or {}).items()
        },
    )


def coverage_table(chances: Selective) -> Table:
    """A table for the terminal: a row per coverage."""
    told = None
    if chances.in_doubt is not None:
        reasons = [f"{words}: {count:,}" for words, count in chances.reasons.items() if count]
        told = "\n".join([f"{chances.in_doubt:,} in doubt are left out first", *reasons])
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


def refused_table(chances: Selective) -> Table:
    """A table for the terminal: how many images of each slice are left undecided."""
    parts = {name: of for name, of in chances.refused.items() if of}
    shown = [part for of in parts.values() for part in of[:SLICES_SHOWN]]
    more = sum(map(len, parts.values())) - len(shown)
    table = Table(
        title="Left undecided, by slice",
        caption=f"and {more:,} more slices in metrics.json" if more else None,
    )
    for name in ("field", "slice"):
        table.add_column(name)
    doubts = [] if chances.in_doubt is None else ["in doubt"]
    for name in ("images", *doubts, *(f"at {coverage:.0%}" for coverage in REFUSING)):
        table.add_column(name, justify="right")
    for part in shown:
        counts = [part.rows, *([] if part.in_doubt is None else [part.in_doubt]), *part.at]
        value = "not recorded" if part.value is None else escape(part.value)
        table.add_row(part.field, value, *(f"{count:,}" for count in counts))
    return table


def _at(coverage: float, called: npt.NDArray[np.bool_], true: npt.NDArray[np.bool_]) -> AtCoverage:
    count = _count(coverage, len(true))
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


def _count(coverage: float, rows: int) -> int:
    """How many images are decided."""
    return max(1, round(coverage * rows))


def _refused(
    name: str,
    values: Sequence[str | None],
    order: npt.NDArray[np.int64],
    doubtful: npt.NDArray[np.bool_] | None,
) -> tuple[Refused, ...]:
    """Slices of a field with an image that is in doubt or left undecided, most of them first."""
    place = np.argsort(order)
    rows_of: dict[str | None, list[int]] = {}
    for row, value in enumerate(values):
        rows_of.setdefault(value, []).append(row)
    decided = [_count(coverage, len(order)) for coverage in REFUSING]
    parts = [
        Refused(
            field=name,
            value=value,
            rows=len(rows),
            in_doubt=None if doubtful is None else int(doubtful[rows].sum()),
            at=tuple(int((place[rows] >= count).sum()) for count in decided),
        )
        for value, rows in rows_of.items()
    ]
    told = (part for part in parts if part.in_doubt or any(part.at))
    return tuple(sorted(told, key=lambda part: (-part.at[0], -(part.in_doubt or 0))))
