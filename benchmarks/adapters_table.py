"""The tables of `docs/experiments/adapters.md`, from the record that `adapters.py` writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TRAININGS = ("stored features, defaults", "stored features, as from pixels", "from pixels")


def tables(results: dict[str, Any]) -> str:
    """Markdown."""
    lines = ["| | validation AUC | best validation loss | processor seconds |", "|---|---|---|---|"]
    compared = {name: row for name, row in results["scenes"].items() if name in TRAININGS}
    for name, row in compared.items():
        lines.append(
            f"| {name} | {row['validation AUC']:.3f} | {min(row['validation losses']):.3f} "
            f"| {row['processor seconds']:.0f} |"
        )
    lines += [
        "| backbone | adapted blocks | checkpointing | adapters' numbers | processor seconds "
        "| memory, MB | of it for the step |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in results["steps"]:
        lines.append(
            f"| {row['backbone']} | {row['blocks']} | {'yes' if row['checkpointing'] else 'no'} "
            f"| {row['adapter parameters']:,} | {row['processor seconds per step']:.2f} "
            f"| {row['MB at most']:,} | {row['MB at most'] - row['MB before training']:,} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(tables(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["results"]))
