"""Drives along made streets, as tests of the map use them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from workzone.data.places import offsets
from workzone.geo.detections import Drive
from workzone.geo.ground import moved
from workzone.run.tables import in_iso

CENTRE = (8.0, 50.0)
START = 1_767_261_600.0  # 2026-01-01T10:00:00Z
DAY = 86400.0
Span = tuple[float, float]


def street(length: float = 1500.0, spacing: float = 12.0) -> np.ndarray:
    """A street to the east: metres east and north, [n, 2]."""
    east = np.arange(0.0, length, spacing)
    return np.stack([east, np.zeros(len(east))], axis=1)


def drive(
    name: str,
    time: float,
    places: np.ndarray,
    seen: Sequence[Span] = (),
    *,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Drive:
    """A drive, a frame a second; ``seen``: metres along it between which zones lie.

    A zone is in view from 35 metres before it to 5 metres before its end.
    """
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(places, axis=0).T))])
    likely = np.full(len(places), 0.04)
    for begin, end in seen:
        likely[(along >= begin - 35) & (along <= end - 5)] = 0.95
    spots = [moved(*CENTRE, e + shift[0], n + shift[1]) for e, n in places.tolist()]
    lon, lat = np.array(spots).T
    return Drive(
        id=name,
        time=time + np.arange(len(places)),
        longitude=lon,
        latitude=lat,
        heading=np.full(len(places), np.nan),
        probability=likely,
        ids=tuple(f"{name}/{row}" for row in range(len(places))),
    )


def drives(
    count: int,
    places: np.ndarray,
    seen: Callable[[int], Sequence[Span]],
    *,
    start: float = START,
    every: float = 3600.0,
    name: str = "car",
) -> list[Drive]:
    """Drives one after the other, each a few metres off; ``seen`` says what each sees."""
    rng = np.random.default_rng(7)
    return [
        drive(
            f"{name}-{number:03}",
            start + number * every,
            places,
            seen(number),
            shift=tuple(rng.normal(0, 3, 2).tolist()),
        )
        for number in range(count)
    ]


def east_of(place: tuple[float, float]) -> float:
    """Metres east of the street's begin."""
    return float(offsets(*place, *CENTRE)[0])


def write_frames(path: Path, cars: Sequence[Drive]) -> Path:
    """A table of the cars' frames, as `workzone drives -o` writes it; the path."""
    with path.open("w") as handle:
        for car in cars:
            for row, name in enumerate(car.ids):
                frame = {
                    "id": name,
                    "group": car.id,
                    "time": car.time[row],
                    "longitude": car.longitude[row],
                    "latitude": car.latitude[row],
                    "smoothed": car.probability[row],
                }
                handle.write(json.dumps(in_iso(frame)) + "\n")
    return path
