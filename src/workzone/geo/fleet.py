"""Made drives through made streets, as a detector with known errors sees them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from workzone.decide.log_odds import expit
from workzone.geo.detections import Drive
from workzone.geo.ground import Floats, moved
from workzone.geo.objects import Objects
from workzone.geo.streets import CENTRE, Streets, Zone
from workzone.types import OBJECT_CLASSES

_LENGTH = 3000.0  # metres of a drive
_CORNER = 45.0  # degrees; nobody sees around one
_CONES = 10.0  # metres between the cones of a zone


@dataclass(frozen=True, slots=True)
class Detector:
    """Error rates, and where they were measured; frames come once a second.

    ``hit``, ``late`` and ``ends`` are of the poor camera with the shipped chain in
    ``docs/score/drives.md``, ``alarms`` of the shipped model on photographs of two cities in
    ``docs/judge/accuracy.md``; the others are assumptions.
    """

    hit: float = 0.78  # probability that a pass sees a zone at all
    view: float = 60.0  # metres ahead, at which a zone comes into view
    late: float = 2.0  # seconds, median, that it is called road work after that
    ends: float = 1.0  # seconds, median, that the last frame is off
    left: float = 5.0  # metres ahead, at which it leaves the view
    alarms: float = 0.015  # share of frames called road work where none is
    run: float = 4.0  # frames of such an alarm, on average
    lasting: float = 0.5  # share of the alarms that are at places alike to road work
    alike: float = 0.3  # how often a pass is mistaken at such a place
    gps_drive: float = 4.0  # metres, standard deviation east and north, for a whole drive
    gps_frame: float = 1.5  # and for each frame
    boxes: float | None = None  # relative error of distances by masks of cones; None: no masks
    scale: float = 1.0  # what all of them are multiplied by, as of a wrong field of view


@dataclass(frozen=True, slots=True)
class Alike:
    """A place that looks like road work: a way, and metres along it."""

    way: int
    begin: float


class Fleet:
    """Cars in streets with work zones."""

    def __init__(
        self, streets: Streets, zones: Sequence[Zone], detector: Detector, *, seed: int
    ) -> None:
        self.streets, self.zones, self.detector = streets, zones, detector
        self._rng = np.random.default_rng([seed, 2])
        self._boxes = np.random.default_rng(
            [seed, 3]
        )  # with or without masks, the rest is the same
        metres_a_frame = 11.0
        per_metre = detector.alarms / detector.run / metres_a_frame
        self._sudden = per_metre * (1 - detector.lasting)
        count = self._rng.poisson(streets.length * per_metre * detector.lasting / detector.alike)
        self.alike = [
            Alike(int(way), float(self._rng.uniform(0, streets.ways[way].length)))
            for way in self._rng.integers(len(streets.ways), size=count)
        ]

    def day(self, start: float, passes: float) -> list[Drive]:
        """Drives of a day that begins at ``start``, so that each way is passed so many times."""
        count = self._rng.poisson(passes * self.streets.length / _LENGTH)
        times = np.sort(self._rng.uniform(start + 6 * 3600, start + 22 * 3600, count))
        return [self._drive(float(time), number) for number, time in enumerate(times)]

    def _drive(self, time: float, number: int) -> Drive:
        rng = self._rng
        route = self._route()
        ways = [self.streets.ways[way] for way in route]
        starts = np.cumsum([0.0, *(way.length for way in ways)])
        along = np.concatenate([way.along + s for way, s in zip(ways, starts, strict=False)])
        places = np.concatenate([way.places for way in ways])
        speed = float(rng.uniform(8, 14))
        at: Floats = np.arange(0.0, float(starts[-1]), speed)
        noise = rng.normal(0, self.detector.gps_drive, 2)[:, None]
        noise = noise + rng.normal(0, self.detector.gps_frame, (2, len(at)))
        east, north = np.stack([np.interp(at, along, places[:, axis]) for axis in (0, 1)]) + noise
        lon, lat = moved(*CENTRE, east, north)
        name = f"{int(time)}-{number}"
        return Drive(
            id=name,
            time=time + np.arange(len(at), dtype=np.float64),
            longitude=lon,
            latitude=lat,
            heading=np.full(len(at), np.nan),
            probability=self._seen(route, starts, at, speed, time),
            ids=tuple(f"{name}/{row}" for row in range(len(at))),
            objects=self._objects(route, starts, at, speed, time),
        )

    def _route(self) -> list[int]:
        """A walk that goes straight on half of the time."""
        rng, streets = self._rng, self.streets
        route = [int(rng.integers(len(streets.ways)))]
        length = streets.ways[route[0]].length
        while length < _LENGTH and streets.following[route[-1]]:
            onward = streets.straight_on(route[-1])
            if onward is None or rng.random() < 0.5:
                onward = int(rng.choice(streets.following[route[-1]]))
            route.append(onward)
            length += streets.ways[onward].length
        return route

    def _seen(
        self, route: Sequence[int], starts: Floats, at: Floats, speed: float, time: float
    ) -> Floats:
        """Smoothed probabilities of the frames at some metres along a route."""
        rng, detector = self._rng, self.detector
        called = np.zeros(len(at), bool)
        for begin, end, corner in self._passed(route, starts, speed, time):
            if rng.random() > detector.hit:
                continue
            late = rng.exponential(detector.late / math.log(2)) * speed
            first = max(begin - detector.view, corner) + late
            last = end - detector.left + rng.normal(0, detector.ends / 0.6745) * speed
            called |= (at >= first) & (at <= max(last, first + speed))
        for begin in self._mistaken(route, starts):
            called |= (at >= begin) & (at <= begin + rng.exponential(detector.run) * speed)
        values: Floats = expit(np.where(called, 2.5, -3.0) + rng.normal(0, 0.5, len(at)))
        return values

    def _objects(
        self, route: Sequence[int], starts: Floats, at: Floats, speed: float, time: float
    ) -> Objects:
        """What masks show of the cones of zones in the frames at some metres along a route."""
        detector = self.detector
        if detector.boxes is None:
            return Objects.nothing(len(at))
        near, far = np.full(len(at), np.inf), np.full(len(at), -np.inf)
        for begin, end, corner in self._passed(route, starts, speed, time):
            ahead = np.append(np.arange(begin, end, _CONES), end) - at[:, None]
            shown = (ahead >= detector.left) & (ahead <= detector.view) & (at[:, None] >= corner)
            near = np.minimum(near, np.where(shown, ahead, np.inf).min(axis=1))
            far = np.maximum(far, np.where(shown, ahead, -np.inf).max(axis=1))
        seen = np.isfinite(near)
        errors = self._boxes.lognormal(math.log(detector.scale), detector.boxes, (2, len(at)))
        metres = np.where(seen, [near, far], np.nan) * errors
        classes = seen.astype(np.int64) << OBJECT_CLASSES.index("cone")
        return Objects(classes, metres.min(axis=0), metres.max(axis=0))

    def _passed(
        self, route: Sequence[int], starts: Floats, speed: float, time: float
    ) -> Iterator[tuple[float, float, float]]:
        """Zones on a route: begin and end along it, and the last corner before."""
        corner = 0.0
        for row, way in enumerate(route):
            if row and self.streets.bend(route[row - 1], way) > _CORNER:
                corner = float(starts[row])
            now = time + starts[row] / speed
            for zone in self.zones:
                if way not in zone.ways or not zone.start <= now < zone.stop:
                    continue
                part = zone.ways.index(way)
                if part and row and route[row - 1] == zone.ways[0]:
                    continue  # it was met on its first way
                before = self.streets.ways[zone.ways[0]].length if part else 0.0
                length = self.streets.ways[way].length
                last = zone.end - before
                goes_on = not part and len(zone.ways) > 1
                if goes_on and (row + 1 == len(route) or route[row + 1] != zone.ways[1]):
                    last = min(last, length)  # the car turns off
                begin = 0.0 if part else zone.begin
                yield float(starts[row]) + begin, float(starts[row]) + last, corner

    def _mistaken(self, route: Sequence[int], starts: Floats) -> Iterator[float]:
        """Metres along a route at which false alarms begin."""
        rng = self._rng
        yield from rng.uniform(0, starts[-1], rng.poisson(self._sudden * starts[-1])).tolist()
        for row, way in enumerate(route):
            for place in self.alike:
                if place.way == way and rng.random() < self.detector.alike:
                    yield float(starts[row]) + place.begin + rng.normal(0, 10)
