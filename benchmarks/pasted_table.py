"""The table of drawn and rendered composites in docs/experiments/recipe.md.

python benchmarks/pasted_table.py benchmarks/results/pasted.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PARTS = ("as it is", "mean of the levels")


def table(results: dict[str, Any]) -> str:
    """As a page shows it."""
    lines = [
        "| composites | as it is: AUC, MCC | less drawn, MCC | the subnet's squares: AUC, MCC "
        "| less drawn, MCC | reward |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in results["composites"].items():
        cells = []
        for kind in PARTS:
            scores = found["means"][kind]
            cells.append(f"{scores['auc']:.3f}, {scores['mcc']:.3f}")
            gained = found["less drawn"][kind] if "less drawn" in found else None
            low, high = gained["interval"] if gained else (0.0, 0.0)
            cells.append(f"{gained['mean']:+.3f} ({low:+.3f} to {high:+.3f})" if gained else "")
        reward = found["means"][PARTS[1]]["reward"]
        lines.append(f"| {name} | {' | '.join(cells)} | {reward:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(json.loads(Path(sys.argv[1]).read_text())["results"]))
