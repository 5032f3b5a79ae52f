"""The tables of docs/score/drives.md, from their record.

python benchmarks/drives_table.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECORD = Path(__file__).parent / "results" / "drives.json"
SEGMENTS = (
    "precision",
    "recall",
    "precision, by half",
    "recall, by half",
    "start, within 2 s",
    "end, within 2 s",
    "start, median error, s",
    "end, median error, s",
)
FRAMES = ("accuracy", "Brier score", "log loss", "ECE")


def tables(results: Mapping[str, Any]) -> str:
    """As Markdown: segments, then frames, with intervals."""
    parts = []
    for figures in (SEGMENTS, FRAMES):
        rows = [f"| pictures | way | {' | '.join(figures)} |", "|---" * (len(figures) + 2) + "|"]
        for kind, part in results["pictures"].items():
            for way, own in part["ways"].items():
                cells = [_cell(own[name], name) for name in figures]
                rows.append(f"| {kind} | {way} | {' | '.join(cells)} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def _cell(figure: Mapping[str, Any], name: str) -> str:
    digits = 0 if name.endswith(", s") else 3 if name in FRAMES else 2
    low, high = figure["interval"]
    return f"{figure['value']:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    print(tables(json.loads(RECORD.read_text(encoding="utf-8"))["results"]))
