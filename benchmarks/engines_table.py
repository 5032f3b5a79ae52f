"""The table of engines in docs/score/engines.md, from its record.

python benchmarks/engines_table.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECORD = Path(__file__).parent / "results" / "engines.json"
SIZE = "bytes of the reader"
EVALUATION = "evaluate, beside the program that comes with the package"


def table(results: Mapping[str, Any]) -> str:
    """As Markdown."""
    columns = ("engine, precision", "reader, MB", "flips", "largest difference")
    heads = (*columns, "MCC", "calibration error", "gate")
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, figures in results.items():
        if name in (SIZE, EVALUATION):
            continue
        if "not measured" in figures:
            rows.append(f"| {name} | | not on this processor | | | | |")
            continue
        kept = ", ".join(["int8", *name.split(", ")[1:]])
        size = results[SIZE][kept if "int8" in name else "float32"]
        gate = "fails" if figures["failures"] else "passed"
        rows.append(
            f"| {name} | {size / 1e6:.1f} | {figures['flips']} "
            f"| {figures['largest_difference']:.1g} | {figures['mcc']:.3f} "
            f"| {figures['calibration_error']:.3f} | {gate} |"
        )
    evaluated = results[EVALUATION]
    rows.append(
        f"| `workzone evaluate` (features by torch, stored in 16 bits) | | {evaluated['flips']} "
        f"| {evaluated['largest_difference']:.1g} | | | |"
    )
    return "\n".join(rows)


if __name__ == "__main__":
    print(table(json.loads(RECORD.read_text(encoding="utf-8"))["results"]))
