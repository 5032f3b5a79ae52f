"""The table of docs/serving.md, from the record of serving.py.

python benchmarks/serving_table.py benchmarks/results/serving.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def tables(results: dict[str, Any]) -> dict[str, str]:
    """All of the page's, Markdown."""
    rows = ["| | clients | requests/s | p50, ms | p99, ms | core ms a request |", "|---" * 6 + "|"]
    for kind in results["ratios"]:
        alone = results["engine"][kind]
        rows.append(
            f"| **{kind}**: in one process, without HTTP | | {alone['streams, images/s']:.1f} | "
            f"{alone['alone, ms']:.0f} | | {alone['streams, processor ms an image']:.0f} |"
        )
        for contender, figures in results["served"].items():
            for number, clients in enumerate((1, 8, 64)):
                said = figures[f"{kind}, {clients}"]
                rows.append(
                    f"| {contender if not number else ''} | {clients} | {said['requests/s']:.1f} | "
                    f"{said['p50']:.0f} | {said['p99']:.0f} | "
                    f"{said['processor ms a request']:.0f} |"
                )
    return {"how fast": "\n".join(rows)}


if __name__ == "__main__":
    record = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(tables(record["results"])["how fast"])
