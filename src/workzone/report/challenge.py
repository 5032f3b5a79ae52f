"""The figures of challenge images, and what they would earn, as one table by level."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from workzone.report.metrics import FIGURES, Figure, Metrics, format_value

SHOWN = ("mcc", "auc", "accuracy")
"""Figures of the table; the others are in the JSON."""

LEVEL_NAMES = {0: "0 centre", 1: "1 crop", 2: "2 medium", 3: "3 hard", None: "all"}
"""Short: with intervals, four figures leave eight of a terminal's eighty columns."""


@dataclass(frozen=True, slots=True)
class ChallengeFigures:
    """The figures of one level; None: of all levels together."""

    level: int | None
    metrics: Metrics
    expected_reward: Figure  # 0..1, see workzone.subnet.reward

    @property
    def name(self) -> str:
        """Of the level, as tables have it."""
        return LEVEL_NAMES[self.level]

    def cells(self) -> list[Figure]:
        """The figures to show: those of `SHOWN`, then the expected reward."""
        return [*(self.metrics.figures[name] for name in SHOWN), self.expected_reward]

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps(..., allow_nan=False)`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ChallengeReport:
    """``figures``: level by level, then of all levels; ``seed``: of the challenge images."""

    figures: tuple[ChallengeFigures, ...]
    seed: int

    @property
    def titles(self) -> list[str]:
        """Of the columns of :meth:`ChallengeFigures.cells`."""
        return [*(FIGURES[name] for name in SHOWN), "expected reward"]

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps(..., allow_nan=False)`."""
        *levels, overall = (part.to_json() for part in self.figures)
        return {"seed": self.seed, "levels": levels, "overall": overall}


def challenge_table(report: ChallengeReport) -> Table:
    """A table for the terminal: a row per level, each figure with its interval below it."""
    overall = report.figures[-1].metrics
    table = Table(
        title="Subnet challenge, image only",
        caption=f"{overall.rows:,} challenge images of seed {report.seed}, "
        f"{overall.positives:,} with road work; the expected reward is that of half with road work",
    )
    table.add_column("level", no_wrap=True)
    for title in report.titles:
        table.add_column(title, justify="right")
    for part in report.figures:
        if part.level is None:
            table.add_section()
        table.add_row(part.name, *map(_cell, part.cells()))
    return table


def _cell(figure: Figure) -> str:
    value = format_value(figure.value)
    if figure.low is None or figure.high is None:
        return value
    return f"{value}\n{figure.low:.3f} to {figure.high:.3f}"
