"""The table of what is found by its looks, from the record of `lookalikes.py`.

python benchmarks/lookalikes_table.py benchmarks/results/lookalikes.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def table(results: dict[str, Any]) -> str:
    """Recall by copy and distance, and the false pairs, in Markdown."""
    distances = list(results["false pairs"])
    lines = [
        f"| copy | {' | '.join(f'{distance} bits' for distance in distances)} |",
        f"|---|{'---|' * len(distances)}",
    ]
    for name, found in results["recall"].items():
        lines.append(f"| {name} | {' | '.join(f'{found[d]:.2f}' for d in distances)} |")
    false = [str(results["false pairs"][distance]) for distance in distances]
    among = f"{results['pairs of different collections']:,}"
    lines.append(f"| other pictures taken for copies, of {among} pairs | {' | '.join(false)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["results"]))
