"""Which places of a line lie along a work: near it, and going its way where it says one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from workzone.data.places import METRES_PER_DEGREE, offsets
from workzone.geo.event import Place
from workzone.geo.ground import (
    Flags,
    Floats,
    courses,
    heading,
    resampled,
    steps,
    turn,
)
from workzone.geo.roads import CELL, SIDEWAYS
from workzone.geo.works import Part, Work

_LONGEST = 1000.0  # metres of a straight piece, on which the plane is exact enough
_STILL = 0.01  # metres between two places that are one
_AT_ONCE = 1_000_000  # pairs of a sample and a piece

Box = tuple[float, float, float, float]
"""West, south, east, north in degrees."""


@dataclass(frozen=True)
class Samples:
    """Places along a line, each `CELL` metres, with its heading there: ``[n]`` each."""

    longitude: Floats
    latitude: Floats
    heading: Floats

    @property
    def box(self) -> Box:
        """What they lie within."""
        x, y = self.longitude, self.latitude
        return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def samples_of(line: Sequence[Place]) -> Samples:
    """Samples of a line of two distinct places or more, and of its last place."""
    lon, lat = resampled(*_columns(line), CELL)
    return Samples(lon, lat, courses(lon, lat))


def beside(samples: Samples, work: Work, metres: float) -> Flags:
    """Which samples are within some metres of a work: ``[n]``.

    A sample is beside a piece of a work's line if it is not farther from it, measured square to it
    or to its nearer end, and if their headings are within 45 degrees: of a work that is meant for
    both directions, of either. A single place, and a ring, have no heading. Of an area all samples
    inside are beside it, too.
    """
    found = _inside(samples, work.parts) if work.area else np.zeros(len(samples.longitude), bool)
    for part in work.parts:
        lon, lat = _pieces(part)
        if len(lon) < 2:
            away = np.hypot(*offsets(samples.longitude, samples.latitude, lon[0], lat[0]))
            found |= away <= metres
            continue
        size = max(1, _AT_ONCE // len(samples.longitude))
        for start in range(0, len(lon) - 1, size):
            rows = slice(start, start + size + 1)
            free = part[0] == part[-1]
            found |= _along(samples, lon[rows], lat[rows], metres, work.directed, free)
    return found


def _inside(samples: Samples, rings: Sequence[Part]) -> Flags:
    """Which samples have an odd number of sides of some rings east of them: ``[n]``."""
    x, y = samples.longitude[:, None], samples.latitude[:, None]
    found: Flags = np.zeros(len(x), bool)
    size = max(1, _AT_ONCE // len(x))
    for ring in rings:
        lon, lat = _columns((*ring, ring[0]))
        for start in range(0, len(lon) - 1, size):
            rows = slice(start, start + size + 1)
            low, high, west, east = lat[rows][:-1], lat[rows][1:], lon[rows][:-1], lon[rows][1:]
            slope = (east - west) / np.where(low == high, 1.0, high - low)
            passed = ((low > y) != (high > y)) & (x < west + (y - low) * slope)
            found ^= np.count_nonzero(passed, axis=1) % 2 == 1
    return found


def box_of(work: Work, metres: float) -> Box:
    """What all places within some metres of a work lie within."""
    lon, lat = _columns([place for part in work.parts for place in part])
    up = metres / METRES_PER_DEGREE
    aside = up / max(0.01, math.cos(math.radians(np.abs(lat).max() + up)))
    west, east = float(lon.min()) - aside, float(lon.max()) + aside
    return west, float(lat.min()) - up, east, float(lat.max()) + up


def meeting(boxes: Floats, box: Box) -> list[int]:
    """Which boxes ``[m, 4]`` have a place in common with another, by their numbers."""
    west, south, east, north = boxes.T
    across = (west <= box[2]) & (east >= box[0])
    found: list[int] = np.flatnonzero(across & (south <= box[3]) & (north >= box[1])).tolist()
    return found


def _along(
    samples: Samples, lon: Floats, lat: Floats, metres: float, directed: bool, free: bool
) -> Flags:
    east, north = offsets(lon[1:], lat[1:], lon[:-1], lat[:-1])
    x, y = offsets(
        samples.longitude[:, None], samples.latitude[:, None], lon[None, :-1], lat[None, :-1]
    )
    share = np.clip((x * east + y * north) / (east**2 + north**2), 0, 1)
    near = np.hypot(x - share * east, y - share * north) <= metres
    apart = np.abs(turn(heading(east, north)[None, :], samples.heading[:, None]))
    if not directed:
        apart = np.minimum(apart, 180 - apart)
    flags: Flags = np.logical_or.reduce(near & (free | (apart <= SIDEWAYS)), axis=1)
    return flags


def _pieces(part: Part) -> tuple[Floats, Floats]:
    """A part without repeated places, long straight pieces divided."""
    lon, lat = _columns(part)
    moves = np.concatenate([[True], steps(lon, lat) > _STILL])
    lon, lat = lon[moves], lat[moves]
    along = np.concatenate([[0.0], np.cumsum(steps(lon, lat))])
    wanted = [
        np.linspace(begin, end, math.ceil((end - begin) / _LONGEST), endpoint=False)
        for begin, end in pairwise(along.tolist())
    ]
    all_wanted = np.concatenate([*wanted, along[-1:]])
    return np.interp(all_wanted, along, lon), np.interp(all_wanted, along, lat)


def _columns(line: Sequence[Place]) -> tuple[Floats, Floats]:
    rows = np.array(line, np.float64)
    return rows[:, 0], rows[:, 1]
