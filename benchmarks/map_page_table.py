"""The table of docs/map.md, as the record of ``map_page.py`` fills it.

python benchmarks/map_page_table.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def table(results: dict[str, Any]) -> str:
    """As docs/map.md shows it."""
    columns = (
        ("megabytes", ".1f"),
        ("seconds to write", ".2f"),
        ("first paint", ".2f"),
        ("first paint, slowest", ".2f"),
        ("first paint of a street view", ".2f"),
        ("filter", ".2f"),
        ("day", ".2f"),
    )
    lines = [
        f"| events | {' | '.join(name for name, _ in columns)} |",
        f"|{'---|' * (1 + len(columns))}",
    ]
    for count in (name for name in results if name.isdecimal()):
        cells = [format(results[count][name], form) for name, form in columns]
        lines.append(f"| {int(count):,} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    record = Path(__file__).parent / "results" / "map_page.json"
    print(table(json.loads(record.read_text(encoding="utf-8"))["results"]))
