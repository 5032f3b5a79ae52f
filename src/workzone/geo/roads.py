"""Lines along which road work is mapped: a network's roads, and ways that cars drove beside them.

Where no network is given (or none of its roads is near), the first car that drives somewhere draws
the line for all that follow: a pass matches the earliest line within reach that runs its way, and
where there is none it becomes one. So lines, and what is matched to them, follow from the set of
passes alone, in whatever order they arrive.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from workzone.data.places import METRES_PER_DEGREE, offsets
from workzone.geo.ground import (
    Flags,
    Floats,
    Indices,
    courses,
    from_begin,
    resampled,
    steps,
    turn,
)
from workzone.geo.passes import Key, Pass

CELL = 10.0
"""Metres along a line, of the cells in which evidence is gathered."""
REACH = 20.0
"""Metres aside of a line, within which a car is on it."""
SIDEWAYS = 45.0  # degrees between the headings of a car and of the line it is on
SHORTEST = 30.0  # metres beside all lines that make a new one
NETWORK: Key = (-np.inf, "", 0)
"""The key of lines that were given: earlier than all passes."""

_RECENT = 20_000  # samples that are indexed anew with each line
_FRAMES_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Line:
    """A way along a road in one direction, as places each `CELL` metres and the last: ``[m]``."""

    id: str
    key: Key  # of the pass that drew it, or NETWORK
    longitude: Floats
    latitude: Floats
    road: str | None = None

    @property
    def along(self) -> Floats:
        """Metres from its begin to each place."""
        return from_begin(steps(self.longitude, self.latitude))

    @property
    def length(self) -> float:
        """Metres."""
        return float(self.along[-1])


class Roads:
    """Lines, those of a network first, then in the order of the passes that drew them."""

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self.lines = list(lines)
        self._main = _Index(self.lines, 0)
        self._recent = _Index([], len(self.lines))

    def add(self, lines: Sequence[Line]) -> None:
        """Add lines of a pass later than that of all others."""
        self.lines += lines
        self._recent = _Index(self.lines[self._recent.first :], self._recent.first)
        if len(self._recent) > _RECENT:
            self._main = _Index(self.lines, 0)
            self._recent = _Index([], len(self.lines))

    def match(self, lon: Floats, lat: Floats, headings: Floats) -> tuple[Indices, Floats]:
        """The nearest road of the network within reach, else the earliest other line.

        Args:
            lon: degrees, ``[n]``.
            lat: degrees, ``[n]``.
            headings: of travel, degrees, ``[n]``.

        Returns:
            the number of the line, int64 ``[n]``, -1 where there is none; metres along it, ``[n]``.
        """
        number, along = self._main.match(lon, lat, headings)
        rest = np.flatnonzero(number < 0)
        if len(rest) and len(self._recent):
            number[rest], along[rest] = self._recent.match(lon[rest], lat[rest], headings[rest])
        return number, along

    def drawn_by(self, one: Pass, covered: Flags) -> list[Line]:
        """Lines where a pass was beside all others: where ``covered`` ``[n]`` is False."""
        edges = np.flatnonzero(np.diff(np.concatenate([[1], covered, [1]]).astype(np.int8)))
        lines = []
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            rows = slice(max(0, start - 1), end + 1)  # up to the lines before and after
            lon, lat = one.longitude[rows], one.latitude[rows]
            if len(lon) < 2 or steps(lon, lat).sum() < SHORTEST:
                continue
            name = f"{one.key[1]}/{one.key[2]}/{start}/{one.key[0]!r}"
            lines.append(make_line(name, one.key, lon, lat))
        return lines


def make_line(
    name: str, key: Key, longitude: Floats, latitude: Floats, road: str | None = None
) -> Line:
    """A line through places; its id follows from its name."""
    lon, lat = resampled(longitude, latitude, CELL)
    return Line(hashlib.sha256(name.encode()).hexdigest()[:16], key, lon, lat, road)


class _Index:
    """Samples of lines by squares of `REACH` metres."""

    def __init__(self, lines: Sequence[Line], first: int) -> None:
        self.first = first
        numbers = [np.full(len(line.longitude), first + n) for n, line in enumerate(lines)]
        self.lon = np.concatenate([line.longitude for line in lines] or [np.zeros(0)])
        self.lat = np.concatenate([line.latitude for line in lines] or [np.zeros(0)])
        self.heading = np.concatenate(
            [courses(line.longitude, line.latitude) for line in lines] or [np.zeros(0)]
        )
        self.along = np.concatenate([line.along for line in lines] or [np.zeros(0)])
        self.number = np.concatenate(numbers or [np.zeros(0, np.int64)])
        given = np.array([line.key == NETWORK for line in lines], bool)
        self.rank = self.number
        if lines:
            self.rank = np.where(given[self.number - first], -1, self.number)
        keys = _squares(self.lon, _rows(self.lat))
        self.order = np.argsort(keys, kind="stable")
        self.keys = keys[self.order]

    def __len__(self) -> int:
        return len(self.keys)

    def match(self, lon: Floats, lat: Floats, headings: Floats) -> tuple[Indices, Floats]:
        number, along = np.full(len(lon), -1), np.zeros(len(lon))
        for start in range(0, len(lon) if len(self) else 0, _FRAMES_AT_ONCE):
            part = slice(start, start + _FRAMES_AT_ONCE)
            rows, numbers, places = self._best(lon[part], lat[part], headings[part])
            number[start + rows], along[start + rows] = numbers, places
        return number, along

    def _best(self, lon: Floats, lat: Floats, headings: Floats) -> tuple[Indices, Indices, Floats]:
        squares = [(up, aside) for up in (-1, 0, 1) for aside in (-1, 0, 1)]
        found = [self._near(lon, lat, headings, *square) for square in squares]
        frame, sample, away, along = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.lexsort((self.number[sample], away, self.rank[sample], frame))
        frames, firsts = np.unique(frame[order], return_index=True)
        best = order[firsts]
        return frames, self.number[sample[best]], along[best]

    def _near(
        self, lon: Floats, lat: Floats, headings: Floats, up: int, aside: int
    ) -> tuple[Indices, Indices, Floats, Floats]:
        """Frames and samples beside each other: how near they are, and metres along the line."""
        keys = _squares(lon, _rows(lat) + up) + aside
        low, high = np.searchsorted(self.keys, keys), np.searchsorted(self.keys, keys, side="right")
        counts = high - low
        frame = np.repeat(np.arange(len(lon)), counts)
        within = np.arange(len(frame)) - np.repeat(np.cumsum(counts) - counts, counts)
        sample = self.order[np.repeat(low, counts) + within]
        kept = np.abs(turn(headings[frame], self.heading[sample])) <= SIDEWAYS
        frame, sample = frame[kept], sample[kept]
        east, north = offsets(lon[frame], lat[frame], self.lon[sample], self.lat[sample])
        direction = np.radians(self.heading[sample])
        ahead = east * np.sin(direction) + north * np.cos(direction)
        away = np.abs(east * np.cos(direction) - north * np.sin(direction))
        kept = (away <= REACH) & (np.abs(ahead) <= CELL)
        frame, sample, away, ahead = frame[kept], sample[kept], away[kept], ahead[kept]
        return frame, sample, away + np.abs(ahead) / CELL, np.maximum(self.along[sample] + ahead, 0)


def _rows(latitude: Floats) -> Indices:
    return np.floor(latitude * (METRES_PER_DEGREE / REACH)).astype(np.int64)


def _squares(longitude: Floats, row: Indices) -> Indices:
    """One number for each square; those east and west of it have the numbers beside."""
    width = np.cos(np.radians(np.clip(row * (REACH / METRES_PER_DEGREE), -89, 89)))
    column = np.floor(longitude * width * (METRES_PER_DEGREE / REACH)).astype(np.int64)
    square: Indices = (row + 2**21) * 2**22 + column + 2**21
    return square
