"""The table of false alarms by kind in docs/judge/accuracy.md.

python benchmarks/false_alarms_table.py benchmarks/results/false_alarms.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def table(results: dict[str, Any]) -> str:
    """As the page shows it."""
    lines = ["| at the strongest cell | photographs |", "|---|---|"]
    return "\n".join(lines + [f"| {kind} | {count} |" for kind, count in results["kinds"].items()])


if __name__ == "__main__":
    print(table(json.loads(Path(sys.argv[1]).read_text())["results"]))
