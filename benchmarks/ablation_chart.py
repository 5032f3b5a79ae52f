"""Draw accuracy against cost from the record of `ablation.py`.

python benchmarks/ablation_chart.py benchmarks/results/ablation.json docs/experiments/views.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")
from ablation_tables import VIEWS, VIEWS_READ, row_of
from matplotlib import pyplot as plt


def draw(record: Path, output: Path) -> None:
    """AUC over views read: five folds with its interval, and the sources left out."""
    rows = json.loads(record.read_text(encoding="utf-8"))["results"]["variants"]
    shown = [row_of(keep, rows) for keep in VIEWS_READ]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for axis, figure_name, title in ((left, "auc", "AUC"), (right, "mcc", "MCC at 0.5")):
        folds = [row["five folds"][figure_name] for row in shown]
        values = [f["value"] for f in folds]
        axis.plot(VIEWS_READ, values, "o-", label="five folds by group, 95 % interval")
        axis.fill_between(
            VIEWS_READ, [f["low"] for f in folds], [f["high"] for f in folds], alpha=0.15
        )
        means = [
            sum(part[figure_name] for part in row["left out"].values()) / len(row["left out"])
            for row in shown
        ]
        axis.plot(VIEWS_READ, means, "s--", label="sources left out, mean of three")
        axis.set(xlabel=f"views read, of {VIEWS}", title=title, xticks=VIEWS_READ)
        axis.grid(alpha=0.3)
    left.legend(loc="lower right", fontsize=8)
    figure.savefig(output, dpi=110)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
