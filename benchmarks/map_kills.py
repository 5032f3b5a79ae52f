"""Whether a map is exact when the processes that update it are killed.

    python benchmarks/map_kills.py -o benchmarks/results/map_kills.json

A process adds ten simulated days to a store, five drives an update, and drops what is older than
four days. It is killed (SIGKILL) at a random moment of some update, and started again from the
first drive, until there were 30 kills; after a store with all drives comes a new one. After each
kill the file must be sound, hold the drives of whole updates, and its events be those of a store
that was never killed after as many. At the end the last one is finished, and compared too.
"""

from __future__ import annotations

import argparse
import itertools
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workzone.geo.detections import Drive
from workzone.geo.event import Event
from workzone.geo.simulate import make_world
from workzone.geo.store import open_store
from workzone.geo.update import update

KEEP_DAYS = 4.0
AN_UPDATE = 5  # drives


def portions() -> list[list[Drive]]:
    """The drives of each update."""
    world = make_world("grid", passes=6, days=10, seed=7)
    drives = [drive for day in world.days for drive in day]
    return [drives[row : row + AN_UPDATE] for row in range(0, len(drives), AN_UPDATE)]


def write(path: Path) -> None:
    """Update a store portion by portion; says when it starts, and after each."""
    found = portions()
    print("ready", flush=True)
    with open_store(path) as store:
        for number, drives in enumerate(found):
            update(store, drives, keep_days=KEEP_DAYS)
            print(number, flush=True)


def reference(found: Sequence[Sequence[Drive]]) -> dict[int, list[Event]]:
    """Events of a store that is never killed, by how many drives it has."""
    events: dict[int, list[Event]] = {0: []}
    with open_store(":memory:") as store:
        for drives in found:
            update(store, drives, keep_days=KEEP_DAYS)
            events[len(store.digests())] = store.events()
    return events


def start(path: Path) -> subprocess.Popen[str]:
    """A process that updates a store, about to begin."""
    command = [sys.executable, __file__, "--write", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill(path: Path, updates: int, delay: float) -> bool:
    """Kill a process some seconds after so many updates; whether it was within a transaction."""
    process = start(path)
    assert process.stdout is not None
    for _ in range(updates):
        process.stdout.readline()
    time.sleep(delay)
    process.kill()
    process.wait()
    process.stdout.close()
    return path.with_name(path.name + "-journal").exists()


def check(path: Path, expected: dict[int, list[Event]]) -> dict[str, Any]:
    """What is in a store, and whether it is as it should be."""
    with open_store(path) as store:
        drives, events = len(store.digests()), store.events()
    plain = sqlite3.connect(path)
    sound = [
        plain.execute(query).fetchone()[0]
        for query in ("PRAGMA integrity_check", "SELECT rtreecheck('rtree_events_geom')")
    ]
    plain.close()
    return {
        "drives": drives,
        "events": len(events),
        "sound": sound == ["ok", "ok"],
        "exact": drives in expected and events == expected[drives],
    }


def main() -> None:
    """Kill, compare, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    from record import write_record  # imports torch, which the killed ones do without

    rng = np.random.default_rng(arguments.seed)
    found = portions()
    before = time.perf_counter()
    expected = reference(found)
    each = (time.perf_counter() - before) / len(found)
    kills: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in itertools.count():
            path = Path(folder) / f"{number}.gpkg"
            done = 0  # updates
            while len(kills) < arguments.kills and done < len(found):
                updates = min(len(found), done + int(rng.integers(0, 8)))
                within = kill(path, updates, float(rng.uniform(0, 2 * each)))
                kills.append({"within a transaction": within} | check(path, expected))
                print(kills[-1], flush=True)
                done = -(-kills[-1]["drives"] // AN_UPDATE)
            if len(kills) == arguments.kills:
                break
        process = start(path)
        process.communicate()
        end = check(path, expected)
    assert end["drives"] == max(expected)
    write_record(
        arguments.output,
        {
            "updates": len(found),
            "seconds of an update": each,
            "kills": kills,
            "killed": len(kills),
            "within a transaction": sum(one["within a transaction"] for one in kills),
            "exact": sum(one["exact"] and one["sound"] for one in kills),
            "finished": end,
        },
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        write(Path(sys.argv[2]))
    else:
        main()
