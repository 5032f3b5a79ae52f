"""Work zones on a map from many drives: the event model beside DBSCAN and plain counting.

    python benchmarks/map_events.py -o benchmarks/results/map_events.json

Simulated (``workzone.geo.simulate``): three kinds of street networks, zones that come and go, cars
that pass each street so many times a day, and a detector with the error rates that were measured of
the shipped one; "many alarms" has those of all photographs of docs/judge/accuracy.md. All methods
get the same drives. At the end of each day what they show is paired, one to one, with the zones
that are there: a pair shares road in one direction. The settings of the plain ones,
and from what probability on the model calls a zone present, are those with the best F1 on other
seeds than those that judge.

DBSCAN joins frames above one half of the last days that are at most 25 m apart, moved ahead of the
car as the model's are; a cluster is a zone from one end of its longest side to the other, along the
mean heading. Counting takes squares of 25 m in which enough passes of the last days had such a
frame, and joins those that touch. Neither knows passes that saw nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from record import write_record
from sklearn.cluster import DBSCAN

from workzone.data.places import offsets
from workzone.geo.config import MapConfig
from workzone.geo.detections import Drive
from workzone.geo.fleet import Detector, Fleet
from workzone.geo.ground import heading, moved
from workzone.geo.judge import Stretch, Tally
from workzone.geo.simulate import START, World, figures_of, follow, make_world
from workzone.geo.store import open_store
from workzone.geo.streets import CENTRE, DAY, KINDS, make_streets, make_zones
from workzone.geo.update import update

Floats = npt.NDArray[np.float64]
FITTED, JUDGED = (100, 101), (200, 201, 202, 203, 204)
DAYS = 10
PASSES = (20.0, 10.0, 5.0, 2.0)
WITHOUT = 10.0  # passes a day, at which the model is judged without roads too, and with many alarms
MANY = Detector(alarms=17 / 488)  # photographs without road work called so, docs/judge/accuracy.md
AHEAD = 20.0  # metres

PRESENT = (0.9, 0.97)
"""Probabilities from which on the model calls a zone present, that are tried."""
WINDOWS = (1, 3)  # days that are looked back at
LEAST = {"DBSCAN": (5, 20, 60), "counting": (3, 6, 12, 24)}


@dataclasses.dataclass(frozen=True)
class Sights:
    """Frames above one half: metres east and north, headings, days, and passes."""

    places: Floats
    heading: Floats
    day: npt.NDArray[np.int64]
    drive: npt.NDArray[np.int64]


def sights_of(world: World) -> Sights:
    """Frames of a world, moved ahead of the car."""
    places, headings, days, numbers = [], [], [], []
    for day, drives in enumerate(world.days):
        for number, drive in enumerate(drives):
            rows = np.flatnonzero(drive.probability > 0.5)
            if len(drive.ids) < 2 or not len(rows):
                continue
            east, north = offsets(drive.longitude, drive.latitude, *CENTRE)
            ahead = heading(np.gradient(east), np.gradient(north))
            along = np.radians(ahead[rows])
            spot = [east[rows] + AHEAD * np.sin(along), north[rows] + AHEAD * np.cos(along)]
            places.append(np.stack(spot, axis=1))
            headings.append(ahead[rows])
            days.append(np.full(len(rows), day))
            numbers.append(np.full(len(rows), number))
    return Sights(*map(np.concatenate, (places, headings, days, numbers)))


def line_of(places: Floats, headings: Floats) -> Stretch | None:
    """Places as a stretch along their mean heading, between the two farthest ends."""
    angle = np.radians(headings)
    direction = np.array([np.sin(angle).mean(), np.cos(angle).mean()])
    if np.hypot(*direction) < 1e-6:
        return None
    direction /= np.hypot(*direction)
    along = (places - places.mean(axis=0)) @ direction
    begin, end = places[np.argmin(along)], places[np.argmax(along)]
    if np.hypot(*(end - begin)) < 5:
        end = begin + 5 * direction
    return Stretch.of([moved(*CENTRE, *begin.tolist()), moved(*CENTRE, *end.tolist())])


def dbscan(sights: Sights, rows: Any, least: int) -> Iterator[Stretch]:
    """Clusters of frames."""
    if not rows.any():
        return
    places, headings = sights.places[rows], sights.heading[rows]
    labels = DBSCAN(eps=25.0, min_samples=least).fit_predict(places)
    for label in range(labels.max() + 1):
        found = line_of(places[labels == label], headings[labels == label])
        if found is not None:
            yield found


def counting(sights: Sights, rows: Any, least: int) -> Iterator[Stretch]:
    """Squares with so many passes, those that touch joined."""
    places, headings = sights.places[rows], sights.heading[rows]
    squares = np.floor(places / 25).astype(int)
    passes = np.stack([*squares.T, sights.day[rows], sights.drive[rows]], axis=1)
    kept, counts = np.unique(np.unique(passes, axis=0)[:, :2], axis=0, return_counts=True)
    left = {tuple(square) for square in kept[counts >= least].tolist()}
    members = [tuple(square) for square in squares.tolist()]
    while left:
        joined, waiting = set(), [min(left)]
        while waiting:
            x, y = waiting.pop()
            near = {(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)} & left
            left -= near
            joined |= near
            waiting += sorted(near)
        inside = np.array([square in joined for square in members])
        found = line_of(places[inside], headings[inside])
        if found is not None:
            yield found


METHODS: dict[str, Callable[[Sights, Any, int], Iterator[Stretch]]] = {
    "DBSCAN": dbscan,
    "counting": counting,
}


def tally_of(world: World, sights: Sights, method: str, window: int, least: int) -> Tally:
    """What a method without memory shows at the end of each day."""
    tally = Tally()
    for day in range(len(world.days)):
        rows = (sights.day <= day) & (sights.day > day - window)
        tally.add(
            list(METHODS[method](sights, rows, least)), world.stretches(START + (day + 1) * DAY)
        )
    return tally


def f1(figures: dict[str, float | None]) -> float:
    """Of precision and recall; 0 where nothing was found."""
    precision, recall = figures["precision"] or 0.0, figures["recall"] or 0.0
    return 2 * precision * recall / max(precision + recall, 1e-9)


def worlds(
    seeds: Sequence[int], passes: float, detector: Detector | None = None
) -> list[tuple[str, World]]:
    """Worlds of all kinds of networks."""
    return [
        (kind, make_world(kind, passes=passes, days=DAYS, seed=seed, detector=detector))
        for kind in KINDS
        for seed in seeds
    ]


def judge_present(fitting: Sequence[World], value: float) -> dict[str, Any]:
    """How well the model does with a probability from which on a zone is present."""
    figures = figures_of([follow(world, MapConfig(present=value)) for world in fitting])
    error = figures["end_error_m"] or 99.0
    score = f1(figures) - error / 500  # ten metres weigh as much as 0.02
    return {"setting": "present", "value": value, "score": score} | figures


def choose_plain(fitting: Sequence[World], method: str) -> tuple[int, int]:
    """Window and least count with the best F1."""
    sights = [sights_of(world) for world in fitting]

    def score(setting: tuple[int, int]) -> float:
        pairs = zip(fitting, sights, strict=True)
        return f1(sum((tally_of(w, s, method, *setting) for w, s in pairs), Tally()).figures())

    return max(itertools.product(WINDOWS, LEAST[method]), key=score)


def judge(
    config: MapConfig, plain: dict[str, tuple[int, int]], passes: float, detector: Detector | None
) -> dict[str, Any]:
    """All methods on the judging seeds."""
    outcomes: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    without: list[Any] = []
    tallies: dict[str, list[Tally]] = {method: [] for method in plain}
    for kind, world in worlds(JUDGED, passes, detector):
        outcomes[kind].append(follow(world, config))
        if passes == WITHOUT and detector is None:
            without.append(follow(world, config, roads=False))
        sights = sights_of(world)
        for method, (window, least) in plain.items():
            # As many days as at 20 passes a day see as many passes, at most all of them.
            scaled = max(1, round(least * passes / 20))
            tallies[method].append(tally_of(world, sights, method, window, scaled))
    every = [one for some in outcomes.values() for one in some]
    return {
        "model": figures_of(every),
        **({"model without roads": figures_of(without)} if without else {}),
        **{method: sum(some, Tally()).figures() for method, some in tallies.items()},
        "by network": {kind: figures_of(some) for kind, some in outcomes.items()},
        "by world": [figures_of([one]) for one in every],
        "detections": sum(one.detections for one in every),
    }


def speed(detections: int = 1_000_000) -> dict[str, float]:
    """A year of drives at once, and a day among them."""
    streets = make_streets("grid", 300)
    zones = make_zones(streets, days=365, count=8, start=START, seed=300)
    fleet = Fleet(streets, zones, Detector(), seed=300)
    a_day = detections / 365
    passes = a_day * 11 / streets.length
    year: list[Drive] = []
    for day in range(365):
        year += fleet.day(START + day * DAY, passes)
    count = sum(len(drive.ids) for drive in year)
    last = [drive for drive in year if drive.time[0] >= START + 364 * DAY]
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "year.gpkg") as store:
        before = time.perf_counter()
        update(store, year[: -len(last)])
        middle = time.perf_counter()
        update(store, last)
        after = time.perf_counter()
        size = (Path(folder) / "year.gpkg").stat().st_size
    return {
        "detections": count,
        "seconds": middle - before,
        "a day's detections": sum(len(drive.ids) for drive in last),
        "a day's seconds": after - middle,
        "store megabytes": size / 1e6,
        "peak megabytes of the process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def main() -> None:
    """Choose, judge, time, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    times = speed()
    print(times, flush=True)
    fitting = [world for _, world in worlds(FITTED[:1], 10.0)]
    tried = [judge_present(fitting, value) for value in PRESENT]
    config = MapConfig(present=max(tried, key=lambda one: one["score"])["value"])
    print(tried, config, flush=True)
    twenty = [world for _, world in worlds(FITTED, 20.0)]
    plain = {method: choose_plain(twenty, method) for method in METHODS}
    print(plain, flush=True)
    results: dict[str, Any] = {
        "speed": times,
        "settings": dataclasses.asdict(config),
        "tried": tried,
        "plain settings at 20 passes a day": {
            method: dict(zip(("days", "least"), setting, strict=True))
            for method, setting in plain.items()
        },
        "passes": {},
    }
    for passes in PASSES:
        results["passes"][f"{passes:g}"] = judge(config, plain, passes, None)
        print(passes, results["passes"][f"{passes:g}"], flush=True)
    results["many alarms, 10 passes"] = judge(config, plain, WITHOUT, MANY)
    write_record(arguments.output, results)


if __name__ == "__main__":
    main()
