"""What was tried for the subnet's squares, in docs/experiments/recipe.md: from several records.

python benchmarks/squares_table.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
LEVELS = ("level 0", "level 1", "level 2", "level 3")
TRIED = (
    ("`dense` before photographs had boxes, two copies", "accuracy_without_boxes", "summary"),
    ("`dense2` likewise: a larger backbone", "accuracy_dense2", "summary"),
    ("`dense` with boxes and more copies, frames laid in squares", "accuracy_squares", "summary"),
    ("the same, frames in their own shape", "accuracy_frames", "summary"),
    ("`dense` as it ships: signs, rendered things, tuned backbone", "accuracy", "summary"),
    ("the same, single seeds", "accuracy", "single seeds"),
    ("`dense-224`: squares alone", "accuracy_224", "summary"),
    ("the same, single seeds", "accuracy_224", "single seeds"),
)
"""What, the record, and the part of it."""


def table(_results: dict[str, Any]) -> str:
    """As the page shows it; whatever the record that is handed in, all are read."""
    lines = ["| | level 0 | level 1 | level 2 | level 3 | mean |", "|---|---|---|---|---|---|"]
    for what, name, part in TRIED:
        results = json.loads((RESULTS / f"{name}.json").read_text())["results"]
        judged = results[part]["permitted"]
        rows = [judged[level]["mean"] for level in LEVELS]
        cells = [f"{row['mcc']:.2f} / {row['reward']:.2f}" for row in rows]
        mcc, reward = (sum(row[f] for row in rows) / len(rows) for f in ("mcc", "reward"))
        lines.append(f"| {what} | {' | '.join(cells)} | {mcc:.2f} / {reward:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table({}))
