"""Drives along made streets, as tests of the map use them."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from workzone.data.places import offsets
from workzone.geo.detections import Drive
from workzone.geo.ground import from_begin, moved, steps
from workzone.geo.objects import InFrame, Objects, names_of
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
        objects=Objects.nothing(len(places)),
    )


def showing(car: Drive, cones: Sequence[float], *, classes: int = 1, error: float = 0.0) -> Drive:
    """The same drive, with cones at some metres along it in those frames that call road work.

    They are seen from 60 to 5 metres, and their distances are some share off. ``classes`` are the
    bits that such a frame has.
    """
    along = from_begin(steps(car.longitude, car.latitude))
    rng = np.random.default_rng(int.from_bytes(car.id.encode(), "little"))
    frames = []
    for place, likely in zip(along, car.probability, strict=True):
        metres = np.array([cone - place for cone in cones if 5 <= cone - place <= 60])
        metres = metres * (1 + error * rng.normal(size=len(metres)))
        shown = classes if likely > 0.5 else 0
        if not len(metres) or not shown:
            frames.append(InFrame(shown, math.nan, math.nan))
        else:
            frames.append(InFrame(shown, float(metres.min()), float(metres.max())))
    return dataclasses.replace(car, objects=Objects.of(frames))


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


def write_objects(path: Path, cars: Sequence[Drive]) -> Path:
    """The cars' objects as `workzone predict --masks` writes them; the path.

    Frames are 4000 by 1600 pixels, 90 degrees wide: a metre high is 2000 pixels at one metre.
    Distances are those of cones; where there are none, objects are cut off by the border.
    """
    with path.open("w") as handle:
        for car in cars:
            found = zip(car.objects.near, car.objects.far, strict=True)
            for name, classes, metres in zip(car.ids, car.objects.classes, found, strict=True):
                objects = []
                for one in names_of(int(classes)):
                    far = metres if one == "cone" and not math.isnan(metres[0]) else [math.inf]
                    for away in far:
                        high = 1200.0 if math.isinf(away) else 2000 * 0.75 / away
                        box = [100.0, 400.0, 120.0, round(400 + high, 2)]
                        objects.append({"class": one, "score": 0.9, "box": box, "polygon": []})
                image = {"id": name, "width": 4000, "height": 1600, "objects": objects}
                handle.write(json.dumps(image) + "\n")
    return path
