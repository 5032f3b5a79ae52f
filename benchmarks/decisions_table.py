"""The tables of docs/judge/decisions.md, from the record of decisions.py.

python benchmarks/decisions_table.py benchmarks/results/decisions.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

BESIDE = {
    "calibrations": "temperature, cut chosen",
    "looks": "one look",
    "ensembles": "best single",
}
"""By part of the record, what all of it is compared with."""


def number(figure: dict[str, Any]) -> str:
    """A value with its interval."""
    low, high = figure["interval"]
    return f"{figure['value']:.2f} ({low:.2f} to {high:.2f})"


def table(part: str, found: dict[str, Any]) -> str:
    """Of one part of the record, Markdown."""
    beside = f"over {BESIDE[part]}"
    levels = [kind for kind in next(iter(found.values())) if kind.startswith("level ")]
    names = ["", "passes", "MCC", "more than", "AUC", "ECE", "reward"]
    names += [f"MCC, {level}" for level in levels]
    names += ["MCC, all levels", "more than", "AUC", "ECE", "reward"]
    rows = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for method, row in found.items():
        cells = [method, f"{row['passes']:.1f}"]
        for kind in ("as it is", "all levels"):
            own = row[kind]
            if kind == "all levels":
                cells += [f"{row[level]['mcc']['value']:.2f}" for level in levels]
            cells += [number(own["mcc"])]
            cells += ["" if method == BESIDE[part] else number(own["mcc"][beside])]
            cells += [f"{own[name]['value']:.2f}" for name in ("auc", "ece", "reward")]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Of all parts that the record has."""
    return {part: table(part, results[part]["table"]) for part in BESIDE if part in results}


if __name__ == "__main__":
    record = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for part, text in tables(record["results"]).items():
        print(f"{part}\n\n{text}\n")
