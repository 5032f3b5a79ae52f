"""What miners earned for challenges: a table for the terminal, and one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from rich.table import Table

from workzone.files import write_text
from workzone.report.charts import INK, NONE, ROADWORK, STYLE, Chart, blank, to_svg
from workzone.report.html import template
from workzone.report.metrics import Figure, format_value

TITLES = (
    "reward",
    "expected",
    "MCC",
    "accuracy",
    "ms p50/p99",
    "silent",
    "income",
)
_LINES = ((ROADWORK, "-"), (NONE, "-"), (INK, "-"), (ROADWORK, "--"), (NONE, "--"), (INK, "--"))


@dataclass(frozen=True)
class MinerFigures:
    """One miner; lists go challenge by challenge."""

    name: str
    rewards: Sequence[float]
    """After each challenge, 0..1."""
    seconds: Sequence[float]
    mean_reward: float | None
    """Over the challenges whose windows are full."""
    expected_reward: Figure
    """Of a miner that is right as often as this one, with its interval."""
    mcc: float | None
    accuracy: float | None
    income_share: float
    """0..1, see `RewardReport.assumptions`."""
    refusals: Mapping[tuple[int, str], int] = field(default_factory=dict)
    """By status and message."""

    @property
    def unanswered(self) -> int:
        """Challenges without an answer."""
        return sum(self.refusals.values())

    def milliseconds(self, share: float) -> int:
        """The quantile of the time to an answer."""
        return round(1000 * float(np.quantile(self.seconds, share)))

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps(..., allow_nan=False)`."""
        return {
            "name": self.name,
            "mean_reward": self.mean_reward,
            "expected_reward": _plain(self.expected_reward),
            "mcc": self.mcc,
            "accuracy": self.accuracy,
            "milliseconds": {f"p{p}": self.milliseconds(p / 100) for p in (50, 90, 99)},
            "unanswered": self.unanswered,
            "refusals": [
                {"status": status, "message": message, "times": times}
                for (status, message), times in self.refusals.items()
            ],
            "income_share": self.income_share,
            "rewards": list(self.rewards),
        }


def _plain(figure: Figure) -> dict[str, float | None]:
    return {"value": figure.value, "low": figure.low, "high": figure.high}


@dataclass(frozen=True)
class RewardReport:
    """All miners side by side."""

    title: str
    drawn: str  # a sentence on the challenges
    assumptions: str  # a sentence on the income share
    miners: Sequence[MinerFigures]

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps(..., allow_nan=False)`."""
        return {
            "title": self.title,
            "drawn": self.drawn,
            "assumptions": self.assumptions,
            "miners": [miner.to_json() for miner in self.miners],
        }

    def table(self) -> Table:
        """For the terminal."""
        table = Table(title=self.title, caption=f"{self.drawn} {self.assumptions}")
        table.add_column("miner", overflow="fold")
        for title in TITLES:
            table.add_column(title, justify="right")
        for miner in self.miners:
            expected = miner.expected_reward
            interval = "" if expected.low is None else f"\n{expected.low:.2f}-{expected.high:.2f}"
            table.add_row(
                miner.name,
                format_value(miner.mean_reward),
                format_value(expected.value) + interval,
                format_value(miner.mcc),
                format_value(miner.accuracy),
                f"{miner.milliseconds(0.5)}/{miner.milliseconds(0.99)}",
                str(miner.unanswered),
                f"{100 * miner.income_share:.2f} %",
            )
        return table


def write_rewards(path: Path, report: RewardReport) -> None:
    """Write the page, whole or not at all; all text from miners is escaped.

    Raises:
        WorkzoneError: the file cannot be written.
    """
    refusals = [
        (miner.name, status, message, times)
        for miner in report.miners
        for (status, message), times in miner.refusals.items()
    ]
    page = template("rewards.html.j2").render(
        report=report, titles=TITLES, charts=draw_rewards(report.miners), refusals=refusals
    )
    write_text(path, page)


def draw_rewards(miners: Sequence[MinerFigures]) -> list[Chart]:
    """Reward and time to an answer, challenge by challenge; miners in the order of the table."""
    with mpl.rc_context(STYLE):
        rewards, axes = blank()
        for number, miner in enumerate(miners):
            colour, style = _LINES[number % len(_LINES)]
            axes.plot(miner.rewards, color=colour, linestyle=style, label=f"miner {number + 1}")
        axes.set(xlabel="challenge", ylabel="reward", ylim=(0, 1.02))
        axes.legend(loc="lower right", frameon=False)
        times, axes = blank()
        for number, miner in enumerate(miners):
            colour, style = _LINES[number % len(_LINES)]
            milliseconds = 1000 * np.sort(miner.seconds)
            share = np.arange(1, len(milliseconds) + 1) / len(milliseconds)
            axes.plot(milliseconds, share, color=colour, linestyle=style)
        axes.set(xlabel="milliseconds", ylabel="share of answers", ylim=(0, 1.02))
        return [
            Chart(
                "Reward",
                "After each challenge, of the last 100 and the last 10. Before the hundredth the "
                "windows are not full.",
                to_svg(rewards, "rewards"),
            ),
            Chart(
                "Time to an answer",
                "The share of answers that were there after so long, as the validator measures it.",
                to_svg(times, "times"),
            ),
        ]
