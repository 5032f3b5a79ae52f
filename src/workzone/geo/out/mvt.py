"""Events as Mapbox Vector Tiles 2.1 (https://github.com/mapbox/vector-tile-spec).

The format is a few messages of Protocol Buffers, written here: the library that is kept for it
holds protobuf below version 7.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from workzone.geo.database import Box
from workzone.geo.event import Event
from workzone.geo.ground import Floats, Indices
from workzone.geo.out.fields import flat_values

LAYER = "events"
DEEPEST = 22
"""The last zoom."""
_EXTENT = 4096  # steps of a tile's side
_BUFFER = 64  # steps around a tile, within which lines are drawn as well
_NORTH = 89.99  # degrees, far beyond Web Mercator, which has no place for a pole
_VARINT, _BYTES, _DOUBLE = 0, 2, 1  # wire types
_POINT, _LINE = 1, 2
_MOVE, _DRAW = 1, 2  # commands of a geometry

Value = str | float | int


def box_of_tile(zoom: int, x: int, y: int) -> Box:
    """West, south, east and north of a tile with its buffer, in degrees."""
    more = _BUFFER / _EXTENT
    side = 2.0**zoom

    def latitude(row: float) -> float:
        return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * row / side))))

    west, east = (360 * column / side - 180 for column in (x - more, x + 1 + more))
    return max(west, -180.0), latitude(y + 1 + more), min(east, 180.0), latitude(y - more)


def to_mvt(events: Iterable[Event], zoom: int, x: int, y: int) -> bytes:
    """A tile with one layer, `LAYER`; empty without events.

    An event is what the tile shows of its line, along travel, or a point where that is shorter than
    a step of the tile. Its properties are those of `flat_values` that are known.

    Args:
        events: places are in WGS 84, the tile in Web Mercator.
        zoom: 0 to `DEEPEST`.
        x: the tile's column, from the west.
        y: its row, from the north.
    """
    keys: dict[str, int] = {}
    values: dict[tuple[type, Value], int] = {}
    features = []
    for event in events:
        places = _places(event, zoom, x, y)
        parts = [_steps(part) for part in _clipped(places)]
        lines = [part for part in parts if len(part) > 1]
        if not (lines or (parts and len(_steps(places)) == 1)):
            continue  # it passes by the tile, or touches its buffer
        tags: list[int] = []
        for name, value in flat_values(event).items():
            if value not in (None, ""):
                tags.append(keys.setdefault(name, len(keys)))
                tags.append(values.setdefault((type(value), value), len(values)))
        shape = _number(3, _LINE if lines else _POINT) + _packed(4, _geometry(lines or parts[:1]))
        features.append(_message(2, _packed(2, tags) + shape))
    if not features:
        return b""
    layer = [_message(1, LAYER.encode()), *features]
    layer += [_message(3, name.encode()) for name in keys]
    layer += [_message(4, _value(value)) for _, value in values]
    layer += [_number(5, _EXTENT), _number(15, 2)]  # 15: the version
    return _message(3, b"".join(layer))


def _places(event: Event, zoom: int, x: int, y: int) -> Floats:
    """Of an event's line in steps of the tile, y from the north: ``[n, 2]``."""
    longitude, latitude = np.array(event.line, np.float64).T
    side = 2.0**zoom
    column = (longitude + 180) / 360 * side
    north = np.radians(np.clip(latitude, -_NORTH, _NORTH))
    row = (1 - np.arcsinh(np.tan(north)) / math.pi) / 2 * side
    found: Floats = np.stack([column - x, row - y], axis=1) * _EXTENT
    return found


def _clipped(places: Floats) -> list[Floats]:
    """The parts of a line within the tile and its buffer (Liang and Barsky, 1984).

    Programs that draw tiles take no places far outside of one.
    """
    low, high = -float(_BUFFER), float(_EXTENT + _BUFFER)
    if ((places >= low) & (places <= high)).all():
        return [places]
    first, last = places[:-1], places[1:]
    way = last - first
    with np.errstate(divide="ignore", invalid="ignore"):
        cuts = np.sort([(low - first) / way, (high - first) / way], axis=0)
    still = way == 0  # along an axis: within for good, or never
    begin = np.where(still, 0, cuts[0]).max(axis=1).clip(min=0)
    end = np.where(still, 1, cuts[1]).min(axis=1).clip(max=1)
    beside = (still & ((first < low) | (first > high))).any(axis=1)
    (shown,) = np.nonzero((begin <= end) & ~beside)
    enters, leaves = first + begin[:, None] * way, first + end[:, None] * way
    left = (np.diff(shown) > 1) | (end[shown[:-1]] < 1) | (begin[shown[1:]] > 0)
    runs = np.split(shown, np.flatnonzero(left) + 1)
    return [np.concatenate([enters[run[:1]], leaves[run]]) for run in runs if len(run)]


def _steps(part: Floats) -> Indices:
    """Whole steps, none twice in a row: ``[n, 2]``."""
    steps = np.rint(part).astype(np.int64)
    kept: Indices = steps[np.append(True, (np.diff(steps, axis=0) != 0).any(axis=1))]
    return kept


def _geometry(parts: Iterable[Indices]) -> Iterator[int]:
    """Commands to move to the first place of each part, and to draw to its others."""
    pen = np.zeros((1, 2), np.int64)
    for part in parts:
        ways = np.diff(part, axis=0, prepend=pen)
        signed = ((ways << 1) ^ (ways >> 63)).tolist()  # small numbers for those below 0, too
        yield _MOVE | 1 << 3
        yield from signed[0]
        if len(signed) > 1:
            yield _DRAW | (len(signed) - 1) << 3
            yield from chain.from_iterable(signed[1:])
        pen = part[-1:]


def _value(value: Value) -> bytes:
    if isinstance(value, str):
        return _message(1, value.encode())
    if isinstance(value, int):
        return _number(5, value)
    return bytes([3 << 3 | _DOUBLE]) + struct.pack("<d", value)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _message(field: int, body: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(body)) + body


def _packed(field: int, values: Iterable[int]) -> bytes:
    return _message(field, b"".join(map(_varint, values)))
