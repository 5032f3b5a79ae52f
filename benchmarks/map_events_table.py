"""The tables of docs/map.md, from their record.

python benchmarks/map_events_table.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECORD = Path(__file__).parent / "results" / "map_events.json"
COLUMNS = {
    "precision": ".2f",
    "recall": ".2f",
    "end_error_m": ".0f",
    "event_precision": ".2f",
    "event_recall": ".2f",
    "days_to_present": ".1f",
    "days_to_gone": ".1f",
}
TITLES = (
    "precision",
    "recall",
    "end error, m",
    "precision, events",
    "recall, events",
    "days to present",
    "days to gone",
)
WAYS = {
    "model": "**event model**, roads given",
    "model without roads": "event model, without roads",
    "DBSCAN": "DBSCAN, 25 m",
    "counting": "counting",
}


def record() -> Any:
    """The results of `map_events.py`."""
    return json.loads(RECORD.read_text(encoding="utf-8"))["results"]


def tables(results: Mapping[str, Any]) -> str:
    """As Markdown: by passes a day and method, then by network at 20, then speed."""
    rows = [f"| passes a day | way | {' | '.join(TITLES)} |", "|---" * (len(TITLES) + 2) + "|"]
    parts = results["passes"] | {"10, many alarms": results["many alarms, 10 passes"]}
    for passes, part in parts.items():
        rows += [_row(passes, title, part[way]) for way, title in WAYS.items() if way in part]
    others = [f"| network | passes a day | {' | '.join(TITLES)} |", rows[1]]
    others += [
        _row(kind, "20", figures) for kind, figures in results["passes"]["20"]["by network"].items()
    ]
    speed = results["speed"]
    day, seconds = speed["a day's detections"], speed["a day's seconds"]
    last = [
        "| detections | seconds at once | of the last day | its seconds | store, MB | all, MB |",
        "|---|---|---|---|---|---|",
        f"| {speed['detections']:,} | {speed['seconds']:.0f} | {day:,} "
        f"| {seconds:.2f} | {speed['store megabytes']:.0f} "
        f"| {speed['peak megabytes of the process']:.0f} |",
    ]
    return "\n\n".join("\n".join(part) for part in (rows, others, last))


def _row(first: str, second: str, figures: Mapping[str, Any]) -> str:
    values = [figures.get(name) for name in COLUMNS]
    texts = [
        "" if value is None else format(value, form)
        for value, form in zip(values, COLUMNS.values(), strict=True)
    ]
    return f"| {first} | {second} | {' | '.join(texts)} |"


if __name__ == "__main__":
    print(tables(record()))
