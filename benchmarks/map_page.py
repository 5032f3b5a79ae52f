"""The map's page in headless Chromium: how long until events are drawn, and how large it is.

    python benchmarks/map_page.py -o benchmarks/results/map_page.json

Made events lie in a metropolis, 60 km across, each with a line of up to 40 places, as cars draw
them, and three changes. "First paint" is from the begin of navigation until the map has drawn all
that is in view for the first time (its event "idle", which waits for events as well), with software
rendering: there is no graphics card. "Filter" and "day" are from the input until the list has
changed; "zoom" until the map has drawn a street view with lines. Each is the median of several.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import random
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page
from record import write_record

from workzone.geo.event import Change, Event
from workzone.geo.show import make_page

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from browser import WEBGL, browsing, opened_file
from made_events import NOW, event

COUNTS = (1_000, 10_000, 100_000)
ACROSS = 60_000.0  # metres
SPACING = 10.0  # metres between places of a line
REPEATS = 5


def made(count: int, *, seed: int = 1) -> list[Event]:
    """Events in a metropolis."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        one = event(number)
        x, y = (chance.uniform(-0.5, 0.5) * ACROSS for _ in "xy")
        angle, turn = chance.uniform(0, 2 * math.pi), chance.gauss(0, 0.02)
        line = []
        for _ in range(chance.randint(6, 40)):
            line.append((13.4 + x / 67_700, 52.5 + y / 111_200))
            x, y = x + SPACING * math.sin(angle), y + SPACING * math.cos(angle)
            angle += turn
        moved = Change(one.first_seen + timedelta(days=2), "moved")
        found.append(dataclasses.replace(one, line=tuple(line), history=(*one.history, moved)))
    return found


def first_paint(browser: Browser, path: Path) -> float:
    """Seconds."""
    with opened_file(browser, path) as page:
        entry = page.evaluate("performance.getEntriesByName('drawn')[0].startTime")
    return float(entry) / 1000


def until(page: Page, change: str, done: str) -> float:
    """Seconds from a change until something holds, looked at each frame."""
    milliseconds = page.evaluate(
        f"""async () => {{
          const begin = performance.now();
          {change};
          while (!({done})) await new Promise(requestAnimationFrame);
          return performance.now() - begin;
        }}"""
    )
    return float(milliseconds) / 1000


def use(browser: Browser, path: Path) -> dict[str, float]:
    """Seconds that filters and the map take, once it is there."""
    count = "document.getElementById('count').textContent"
    with opened_file(browser, path) as page:
        page.evaluate(f"window.before = {count}")
        sure = "document.getElementById('sure'); one.value = 50"
        happens = "one.dispatchEvent(new Event('input', { bubbles: true }))"
        found = {
            "filter": until(page, f"const one = {sure}; {happens}", f"{count} !== before"),
        }
        page.evaluate(f"window.before = {count}")
        day = "document.getElementById('day'); one.value = one.max - 10"
        found["day"] = until(page, f"const one = {day}; {happens}", f"{count} !== before")
    with opened_file(browser, path, "map=14/52.5/13.4") as page:
        entry = page.evaluate("performance.getEntriesByName('drawn')[0].startTime")
        found["first paint of a street view"] = float(entry) / 1000
    return found


def measure(browser: Browser, count: int, folder: Path) -> dict[str, Any]:
    """One page."""
    events, path = made(count), folder / f"{count}.html"
    begin = time.perf_counter()
    make_page(events, newest=NOW).write(path)
    seconds = time.perf_counter() - begin
    first_paint(browser, path)  # the file is in memory from here on
    paints = [first_paint(browser, path) for _ in range(REPEATS)]
    uses = [use(browser, path) for _ in range(REPEATS)]
    return {
        "load average": os.getloadavg()[0],
        "megabytes": path.stat().st_size / 1e6,
        "seconds to write": seconds,
        "first paint": statistics.median(paints),
        "first paint, slowest": max(paints),
        **{name: statistics.median(one[name] for one in uses) for name in uses[0]},
    }


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    with browsing(*WEBGL) as browser, tempfile.TemporaryDirectory() as folder:
        results["chromium"] = browser.version
        for count in COUNTS:
            results[str(count)] = measure(browser, count, Path(folder))
            print(count, results[str(count)], flush=True)
    write_record(arguments.output, results)


if __name__ == "__main__":
    main()
