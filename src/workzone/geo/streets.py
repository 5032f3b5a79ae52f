"""Made street networks, with work zones that come and go."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from workzone.geo.ground import Floats, from_begin, heading, moved, turn

Kind = Literal["grid", "ring", "irregular"]
KINDS: tuple[Kind, ...] = ("grid", "ring", "irregular")

CENTRE = (8.0, 50.0)
"""Longitude and latitude of the middle of all networks."""
DAY = 86400.0
_LANE = 3.0  # metres right of the middle of the road
_STRAIGHT = 30.0  # degrees


@dataclass(frozen=True, slots=True)
class Way:
    """A street in one direction: places in metres east and north of `CENTRE`, ``[n, 2]``."""

    start: int  # the crossings that it leads from and to
    end: int
    places: Floats
    along: Floats  # metres, ``[n]``

    @property
    def length(self) -> float:
        """Metres."""
        return float(self.along[-1])


@dataclass(frozen=True, slots=True)
class Zone:
    """A work zone on one way, and perhaps on the one straight on."""

    ways: tuple[int, ...]
    begin: float  # metres along the first
    end: float  # along all of them together
    start: float  # seconds since 1970
    stop: float


@dataclass(frozen=True, slots=True)
class Streets:
    """A network: its ways, and from each those that go on from its end."""

    ways: tuple[Way, ...]
    following: tuple[tuple[int, ...], ...]

    @property
    def length(self) -> float:
        """Metres of all ways."""
        return sum(way.length for way in self.ways)

    def bend(self, one: int, other: int) -> float:
        """Degrees from the end of one way into another, 0..180."""
        first, second = self.ways[one].places, self.ways[other].places
        before, after = first[-1] - first[-2], second[1] - second[0]
        return float(np.abs(turn(heading(*before), heading(*after))))

    def straight_on(self, way: int) -> int | None:
        """The way that goes straight on, if there is one."""
        ranked = sorted((self.bend(way, other), other) for other in self.following[way])
        return ranked[0][1] if ranked and ranked[0][0] <= _STRAIGHT else None

    def middles(self) -> list[Floats]:
        """Longitude and latitude along the middle of each street, ``[n, 2]``."""
        pairs = zip(self.ways[::2], self.ways[1::2], strict=True)
        metres = [(one.places + other.places[::-1]) / 2 for one, other in pairs]
        return [np.stack(moved(*CENTRE, *way.T), axis=1) for way in metres]

    def places(self, zone: Zone) -> list[tuple[float, float]]:
        """Longitude and latitude along a zone, each ten metres and its end."""
        parts = [self.ways[number] for number in zone.ways]
        starts = np.cumsum([0.0, *(part.length for part in parts)])[:-1]
        along = np.concatenate([part.along + s for part, s in zip(parts, starts, strict=True)])
        places = np.concatenate([part.places for part in parts])
        wanted = np.append(np.arange(zone.begin, zone.end - 5, 10.0), zone.end)
        east, north = (np.interp(wanted, along, places[:, axis]) for axis in (0, 1))
        lon, lat = moved(*CENTRE, east, north)
        return list(zip(lon.tolist(), lat.tolist(), strict=True))


def make_streets(kind: Kind, seed: int) -> Streets:
    """A network of some kind: about five kilometres of streets, ten of ways."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    make = _grid if kind == "grid" else _ring if kind == "ring" else _irregular
    ways = []
    for start, end, middle in make(rng):
        for one, two, places in ((start, end, middle), (end, start, middle[::-1])):
            lane = _aside(places)
            along = from_begin(np.hypot(*np.diff(lane, axis=0).T))
            ways.append(Way(one, two, lane, along))
    following = tuple(
        tuple(n for n, to in enumerate(ways) if to.start == way.end and to.end != way.start)
        for way in ways
    )
    return Streets(tuple(ways), following)


def make_zones(streets: Streets, *, days: int, count: int, start: float, seed: int) -> list[Zone]:
    """Zones of 50 to 400 metres that last 3 to 12 days, none near another on its way.

    Half of them begin before the first day ends, others later; all begin within the days.
    """
    rng = np.random.default_rng([seed, 1])
    zones: list[Zone] = []
    taken: set[int] = set()
    for _ in range(20 * count):
        way = int(rng.integers(len(streets.ways)))
        first = streets.ways[way].length
        begin = float(rng.uniform(20, first - 80))
        end = begin + float(rng.uniform(50, 400))
        onward = streets.straight_on(way)
        ways: tuple[int, ...] = (way,) if onward is None else (way, onward)
        room = sum(streets.ways[number].length for number in ways)
        end = min(end, room - 20)
        ways = ways[:1] if end <= first else ways
        if taken & set(ways):
            continue
        taken |= set(ways)
        on = start + DAY * (float(rng.uniform(0, 0.75 * days)) if len(zones) % 2 else 0.3)
        zones.append(Zone(ways, begin, end, on, on + DAY * float(rng.uniform(3, 12))))
        if len(zones) == count:
            break
    return zones


Middle = tuple[int, int, Floats]  # crossings and places of a street


def _grid(_: np.random.Generator, side: int = 4, block: float = 220.0) -> Iterator[Middle]:
    places = [(x * block, y * block) for y in range(side) for x in range(side)]
    for one, two in _neighbours(side):
        yield one, two, _between(places[one], places[two])


def _ring(rng: np.random.Generator) -> Iterator[Middle]:
    turned = rng.uniform(0, 2 * math.pi)
    angles = turned + np.arange(6) * math.pi / 3

    def place(radius: float, angle: float) -> tuple[float, float]:
        return radius * math.cos(angle), radius * math.sin(angle)

    for number, angle in enumerate(angles.tolist()):
        inner, outer = 1 + number, 7 + number
        yield 0, inner, _between((0, 0), place(200, angle))
        yield inner, outer, _between(place(200, angle), place(400, angle))
        for first, radius in ((1, 200.0), (7, 400.0)):
            arc = angle + np.linspace(0, math.pi / 3, 30)
            places = np.array([place(radius, a) for a in arc.tolist()])
            yield first + number, first + (number + 1) % 6, places


def _irregular(rng: np.random.Generator, side: int = 4, block: float = 240.0) -> Iterator[Middle]:
    """A grid whose crossings are moved, whose streets curve, and some of which are missing."""
    moved_by = rng.uniform(-60, 60, (side * side, 2))
    grid = np.array([(x * block, y * block) for y in range(side) for x in range(side)])
    places = grid + moved_by
    degree = np.zeros(side * side, int)
    pairs = list(_neighbours(side))
    for pair in pairs:
        degree[list(pair)] += 1
    for one, two in pairs:
        if degree[one] > 2 and degree[two] > 2 and rng.random() < 0.25:
            degree[[one, two]] -= 1
            continue
        straight = _between(places[one], places[two])
        way = straight[-1] - straight[0]
        side_on = way[::-1] * (-1, 1) / np.hypot(*way)
        curve = np.sin(np.linspace(0, math.pi, len(straight))) * rng.uniform(-25, 25)
        yield one, two, straight + curve[:, None] * side_on


def _neighbours(side: int) -> Iterator[tuple[int, int]]:
    for y in range(side):
        for x in range(side):
            if x + 1 < side:
                yield y * side + x, y * side + x + 1
            if y + 1 < side:
                yield y * side + x, (y + 1) * side + x


def _between(one: tuple[float, float] | Floats, two: tuple[float, float] | Floats) -> Floats:
    return np.linspace(one, two, 25)


def _aside(places: Floats) -> Floats:
    """The lane on the right."""
    along = np.gradient(places, axis=0)
    right = along[:, ::-1] * (1, -1) / np.hypot(along[:, 0], along[:, 1])[:, None]
    lane: Floats = places + _LANE * right
    return lane
