"""The tables of small things in docs/judge/accuracy.md.

python benchmarks/small_things_table.py benchmarks/results/small_things.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ZONES = ("drawn", "rendered")


def tables(results: dict[str, Any]) -> str:
    """As a page shows them: signs, work zones, photographs."""
    sizes = [name for name in results if name.endswith(" px")]
    return "\n\n".join((_signs(results, sizes), _zones(results, sizes), _whole(results, sizes)))


def _signs(results: dict[str, Any], sizes: list[str]) -> str:
    first = results[sizes[0]]["signs"]
    lines = [
        f"| height of the sign | pairs | {' | '.join(sizes)} | called road work, "
        f"{' and '.join((sizes[0], sizes[-1]))}: these, the others |",
        f"|{'---|' * (len(sizes) + 3)}",
    ]
    for height, row in first.items():
        if not row["pairs"]:
            continue
        cells = [height, str(row["pairs"])]
        for size in sizes:
            own = results[size]["signs"][height]
            low, high = own["interval"]
            cells.append(f"{own['auc']:.2f} ({low:.2f} to {high:.2f})")
        called = [results[size]["signs"][height] for size in (sizes[0], sizes[-1])]
        cells.append(
            "; ".join(f"{100 * c['found']:.0f} %, {100 * c['false alarms']:.0f} %" for c in called)
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _zones(results: dict[str, Any], sizes: list[str]) -> str:
    lines = [
        f"| | tallest thing | pictures | {' | '.join(sizes)} |",
        f"|{'---|' * (len(sizes) + 3)}",
    ]
    for kind in ZONES:
        for height, row in results[sizes[0]][kind].items():
            if not row["pictures"]:
                continue
            cells = [kind, height, str(row["pictures"])]
            cells += [_share(results[size][kind][height]) for size in sizes]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _whole(results: dict[str, Any], sizes: list[str]) -> str:
    lines = ["| views | AUC | MCC | false alarms |", "|---|---|---|---|"]
    for size in sizes:
        own = results[size]["photographs"]
        alarms = _share(own["false alarms"])
        lines.append(f"| {size} | {own['auc']:.3f} | {own['mcc']:.2f} | {alarms} |")
    return "\n".join(lines)


def _share(row: dict[str, Any]) -> str:
    between = "one group"
    if row["interval"]:
        between = " to ".join(f"{100 * end:.0f} %" for end in row["interval"])
    return f"{100 * row['share']:.0f} % ({between})"


if __name__ == "__main__":
    print(tables(json.loads(Path(sys.argv[1]).read_text())["results"]))
