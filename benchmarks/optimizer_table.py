"""The table of `docs/experiments/optimizers.md`, from the record that `optimizers.py` writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TARGET_LOSS = 0.3
"""Validation loss whose first crossing is timed."""


def tables(results: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        "| optimizer | learning rate | AUC | MCC at 0.5 | best validation loss "
        f"| fits that reach {TARGET_LOSS} | steps to it | seconds to it |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in results["optimizers"].items():
        figures = [
            f"{row[f]['value']:.3f} [{row[f]['low']:.3f}, {row[f]['high']:.3f}]"
            for f in ("auc", "mcc")
        ]
        times = [
            "-" if row[t] is None else f"{row[t]:.{d}f}" for t, d in (("steps", 0), ("seconds", 1))
        ]
        lines.append(
            f"| `{name}` | {row['learning rate']:g} | {' | '.join(figures)} "
            f"| {row['best validation loss']:.3f} | {row['reached']:.0%} | {' | '.join(times)} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(tables(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["results"]))
