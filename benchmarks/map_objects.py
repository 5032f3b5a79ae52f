"""How much nearer the ends of events are when masks tell how far ahead objects are.

    python benchmarks/map_objects.py -o benchmarks/results/map_objects.json

Simulated as in ``map_events.py``, with streets given and cars that pass each street so many times a
day; the same drives, without masks and with masks that show the cones of zones, one each ten
metres, of which the nearest and the farthest in view have a distance that is wrong by a relative
error (its logarithm is normal), and in two rows all by the same factor beside, as of another field
of view or height than is assumed. Other objects, and false ones, are not simulated.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from record import write_record

from workzone.geo.fleet import Detector
from workzone.geo.simulate import figures_of, follow, make_world
from workzone.geo.streets import KINDS

SEEDS = (200, 201, 202)
DAYS = 10
PASSES = (10.0, 2.0)
DETECTORS = {
    "without masks": Detector(),
    "distances 20 % off": Detector(boxes=0.2),
    "distances 40 % off": Detector(boxes=0.4),
    "a fifth too far": Detector(boxes=0.2, scale=1.2),
    "half as far again": Detector(boxes=0.2, scale=1.5),
}


def judge(passes: float) -> dict[str, Any]:
    """Figures of all networks and seeds, by what masks tell."""
    return {
        name: figures_of(
            [
                follow(make_world(kind, passes=passes, days=DAYS, seed=seed, detector=detector))
                for kind in KINDS
                for seed in SEEDS
            ]
        )
        for name, detector in DETECTORS.items()
    }


def main() -> None:
    """Judge and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    results = {f"{passes:g} passes": judge(passes) for passes in PASSES}
    print(results)
    write_record(arguments.output, results)


if __name__ == "__main__":
    main()
