"""The table of mining and look-alikes in docs/experiments/recipe.md.

python benchmarks/hard_negatives_table.py benchmarks/results/hard_negatives.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

NAMES = {
    "as it is": "the recipe without rendered composites",
    "look-alikes": "and 400 composites of ordinary things",
    "mined": "or hard rows without road work drawn oftener",
}


def table(results: dict[str, Any]) -> str:
    """As a page shows it."""
    lines = [
        "| | AUC | MCC | less the first | false alarms | less the first |",
        "|---|---|---|---|---|---|",
    ]
    for kind, found in results["kinds"].items():
        means, gained = found["means"], found.get("less as it is")
        cells = [NAMES[kind], f"{means['auc']:.3f}", f"{means['mcc']:.3f}"]
        cells += [f"{_gain(gained, 'mcc'):s}", f"{100 * means['false alarms']:.1f} %"]
        cells += [_gain(gained, "false alarms", scale=100, unit=" %")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _gain(gained: dict[str, Any] | None, figure: str, *, scale: float = 1, unit: str = "") -> str:
    if gained is None:
        return ""
    mean, (low, high) = gained[figure]["mean"], gained[figure]["interval"]
    digits = 1 if unit else 3
    one, least, most = (f"{scale * value:+.{digits}f}" for value in (mean, low, high))
    return f"{one}{unit} ({least} to {most})"


if __name__ == "__main__":
    print(table(json.loads(Path(sys.argv[1]).read_text())["results"]))
