"""What a pass saw along a line: for each cell how likely road work is, and where it was sighted."""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np

from workzone.geo.config import MapConfig
from workzone.geo.ground import Floats, Indices
from workzone.geo.objects import Objects
from workzone.geo.passes import GAP_METRES, Key, Pass
from workzone.geo.roads import CELL, SHORTEST, Roads

_BACK = 20.0  # metres that a car may seem to go backwards
_TRUSTED = 30.0  # metres ahead; the box of an object farther away says too little of how far
_CLOSE = 50.0  # metres between an end by frames and by objects; more are not of the same end
_LOW = 0.25  # quantile of the places that frames tell of an end; late ones show it no more
_BATCHES = tuple(2**power for power in range(10))


@dataclass(frozen=True, slots=True)
class Sighting:
    """A stretch of a line where a pass saw road work."""

    low: int  # first and last cell
    high: int
    begin: float | None  # metres along the line; None where the car came from or left to the side
    end: float | None
    first_time: float  # of the first and the last frame that showed it, seconds since 1970
    last_time: float
    probability: float  # the highest of its frames
    image: str  # the id of that frame
    classes: int  # bits of what its frames show, as of `workzone.geo.objects.InFrame`


@dataclass(frozen=True, slots=True)
class Profile:
    """A pass along a line."""

    line: int  # its number
    key: Key  # of the pass
    time: float  # of its first frame on this line
    first: int  # cell
    probability: Floats  # of road work in each cell from there on, ``[k]``
    sightings: tuple[Sighting, ...]

    def packed(self) -> bytes:
        """All but line, key and time, as bytes that `unpacked` reads."""
        head = json.dumps([self.first, [tuple(asdict(s).values()) for s in self.sightings]])
        text = head.encode()
        return len(text).to_bytes(4, "little") + text + self.probability.astype("<f8").tobytes()

    @staticmethod
    def unpacked(line: int, key: Key, time: float, body: bytes) -> Profile:
        """What `packed` wrote."""
        end = 4 + int.from_bytes(body[:4], "little")
        first, sightings = json.loads(body[4:end])
        values = np.frombuffer(body[end:], "<f8")
        return Profile(line, key, time, first, values, tuple(Sighting(*s) for s in sightings))


class LateError(Exception):
    """A pass would have drawn a line that later ones then would have followed."""


def profiles_of(roads: Roads, passes: Sequence[Pass], config: MapConfig) -> list[Profile]:
    """Profiles of passes, in order of their keys; where there is no line, a pass draws one.

    Raises:
        LateError: a pass that draws one is earlier than others that have; ``roads`` has changed.
    """
    found: list[Profile] = []
    for batch in _batches(passes):
        for one, (number, along) in zip(batch, _laid(roads, batch), strict=True):
            found += _profiles(roads, one, number, along, config)
    return found


def _batches(passes: Sequence[Pass]) -> Iterator[Sequence[Pass]]:
    """Few passes first, while most of them draw lines."""
    start, sizes = 0, iter(_BATCHES)
    while start < len(passes):
        size = next(sizes, _BATCHES[-1])
        yield passes[start : start + size]
        start += size


def _laid(roads: Roads, batch: Sequence[Pass]) -> Iterator[tuple[Indices, Floats]]:
    """The line of each frame, -1 where there is none, and metres along it."""
    lon, lat, headings = (
        np.concatenate([getattr(one, name) for one in batch])
        for name in ("longitude", "latitude", "heading")
    )
    known = len(roads.lines)
    numbers, places = roads.match(lon, lat, headings)
    start = 0
    for one in batch:
        part = slice(start, start + len(one.ids))
        start = part.stop
        number, along = numbers[part], places[part]
        number[number >= _earlier(roads, one)] = -1
        if (number < 0).any():
            if len(roads.lines) > known:
                _match_rest(roads, one, number, along)
            lines = roads.drawn_by(one, number >= 0)
            if lines:
                if roads.lines and roads.lines[-1].key > one.key:
                    raise LateError
                roads.add(lines)
                _match_rest(roads, one, number, along)
        yield number, along


def _earlier(roads: Roads, one: Pass) -> int:
    """How many lines are earlier than a pass, or its own."""
    return bisect.bisect_right(roads.lines, one.key, key=lambda line: line.key)


def _match_rest(roads: Roads, one: Pass, number: Indices, along: Floats) -> None:
    rows = np.flatnonzero(number < 0)
    found, places = roads.match(one.longitude[rows], one.latitude[rows], one.heading[rows])
    kept = found < _earlier(roads, one)
    number[rows[kept]], along[rows[kept]] = found[kept], places[kept]


def _profiles(
    roads: Roads, one: Pass, number: Indices, along: Floats, config: MapConfig
) -> Iterator[Profile]:
    """A profile for each stretch of the pass that is on one line."""
    order = np.argsort(number, kind="stable")
    order = order[np.searchsorted(number[order], 0) :]
    lines, places = number[order], along[order]
    jumps = np.diff(places)
    cuts = (np.diff(lines) != 0) | (jumps < -_BACK) | (jumps > GAP_METRES)
    edges = [0, *(np.flatnonzero(cuts) + 1).tolist(), len(order)]
    for start, end in pairwise(edges):
        if end - start < 2 or places[end - 1] - places[start] < SHORTEST:
            continue
        line = int(lines[start])
        cells = cells_of(roads.lines[line].length)
        profile = _profile(one, order[start:end], places[start:end], line, cells, config)
        if profile is not None:
            yield profile


def cells_of(length: float) -> int:
    """How many cells a line of some metres has."""
    return max(1, int(np.ceil(length / CELL)))


def _profile(
    one: Pass, rows: Indices, places: Floats, line: int, cells: int, config: MapConfig
) -> Profile | None:
    """The profile of frames ``rows`` at ``places`` metres along a line of so many cells."""
    at = np.maximum.accumulate(places)
    values = one.probability[rows]
    first = max(0, int(np.ceil((at[0] + config.near) / CELL - 0.5)))
    last = min(cells - 1, int(np.floor((at[-1] + config.near) / CELL - 0.5)))
    if last < first:
        return None
    centres = (np.arange(first, last + 1) + 0.5) * CELL
    behind = np.arange(config.near, config.far + CELL / 2, CELL)
    # Of the places from which a cell is in view, the one that shows least: all must see road work.
    seen = np.interp(centres[:, None] - behind, at, values).min(axis=1)
    sightings = []
    for sighting in _sightings(one, rows, at, values, config):
        low, high = max(sighting.low, first), min(sighting.high, last)
        if low <= high:
            part = slice(low - first, high - first + 1)
            seen[part] = np.maximum(seen[part], sighting.probability)
            sightings.append(sighting)
    return Profile(line, one.key, float(one.time[rows[0]]), first, seen, tuple(sightings))


def _sightings(
    one: Pass, rows: Indices, at: Floats, values: Floats, config: MapConfig
) -> Iterator[Sighting]:
    """Runs of frames above one half, and the stretch of road that they speak of."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], values > 0.5, [0]]).astype(np.int8)))
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        begin = _crossing(at, values, start - 1) + config.far
        finish = _crossing(at, values, end - 1) + config.near
        low, high = min(begin, finish), max(begin, finish)
        objects = one.objects.at(rows[start:end])
        first, last = sorted(_ends(at[start:end], objects, low, high))
        best = start + int(np.argmax(values[start:end]))
        yield Sighting(
            low=int(low // CELL),
            high=int(high // CELL),
            begin=first if start else None,
            end=last if end < len(at) else None,
            first_time=float(one.time[rows[start]]),
            last_time=float(one.time[rows[end - 1]]),
            probability=float(values[best]),
            image=one.ids[rows[best]],
            classes=int(np.bitwise_or.reduce(objects.classes)),
        )


def _ends(at: Floats, objects: Objects, begin: float, end: float) -> tuple[float, float]:
    """Both ends of a zone as the distances of its objects tell them, else as they are given.

    The first object is the nearest one in the first frames, the last the farthest one in the last
    frames. Where objects stand in a part of the zone alone, or masks find few of them, they tell
    nothing of its ends: `_told` and `_CLOSE` say when that is.
    """
    # Seen from behind, the last object is the first.
    first, last = _told(at, objects.near), _told(-at[::-1], -objects.far[::-1])
    if first is not None and abs(first - begin) <= _CLOSE:
        begin = first
    if last is not None and abs(-last - end) <= _CLOSE:
        end = -last
    return begin, end


def _told(at: Floats, ahead: Floats) -> float | None:
    """Where the first object is, by frames at such metres; None where too few show one.

    Of frames within `_TRUSTED` metres of driving from the first that shows an object, half or more
    must do so.
    """
    trusted = np.abs(ahead) <= _TRUSTED
    if not trusted.any():
        return None
    begin = at[np.argmax(trusted)]
    asked = (at >= begin) & (at <= begin + _TRUSTED)
    shown = asked & trusted
    if 2 * np.count_nonzero(shown) < np.count_nonzero(asked):
        return None
    return float(np.quantile(at[shown] + ahead[shown], _LOW))


def _crossing(at: Floats, values: Floats, row: int) -> float:
    """Where the probability crosses one half between a row and the next, or the end of the pass."""
    if row < 0 or row + 1 >= len(at):
        return float(at[max(0, min(row, len(at) - 1))])
    share = (0.5 - values[row]) / (values[row + 1] - values[row])
    return float(at[row] + share * (at[row + 1] - at[row]))
