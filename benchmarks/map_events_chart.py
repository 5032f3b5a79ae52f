"""The chart of docs/map.md, from the record of `map_events.py`.

python benchmarks/map_events_chart.py docs/map_passes.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

from map_events_table import record

from workzone.report.passes import write_passes

TITLE = "Simulated: three kinds of networks, 10 days, roads given"

if __name__ == "__main__":
    rows = [
        {"passes_a_day": float(passes)} | part["model"]
        for passes, part in record()["passes"].items()
    ]
    write_passes(Path(sys.argv[1]), rows, TITLE)
