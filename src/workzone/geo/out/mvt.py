"""Events as Mapbox Vector Tiles 2.1 (https://github.com/mapbox/vector-tile-spec).

The format is a few messages of Protocol Buffers, written here: the library that is kept for it
holds protobuf below version 7.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from workzone.geo.database import Box
from workzone.geo.event import Event
from workzone.geo.ground import Indices
from workzone.geo.out.fields import iso

LAYER = "events"
DEEPEST = 22
"""The last zoom."""
_EXTENT = 4096  # steps of a tile's side
_BUFFER = 64  # steps around a tile, within which lines are drawn as well
_NORTH = 85.051128779806604  # degrees, where Web Mercator ends
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

    An event is a line along travel, or a point where it is shorter than a step of the tile. Its
    properties are its id, state, confidence, heading, road, dates, passes and sightings.

    Args:
        events: those that `box_of_tile` meets; places are in WGS 84, the tile in Web Mercator.
        zoom: 0 to `DEEPEST`.
        x: the tile's column, from the west.
        y: its row, from the north.
    """
    keys: dict[str, int] = {}
    values: dict[tuple[type, Value], int] = {}
    features = []
    for event in events:
        tags: list[int] = []
        for name, value in _properties(event).items():
            tags += (
                keys.setdefault(name, len(keys)),
                values.setdefault((type(value), value), len(values)),
            )
        steps = _steps(event, zoom, x, y)
        kind = _LINE if len(steps) > 1 else _POINT
        feature = _packed(2, tags) + _number(3, kind) + _packed(4, _geometry(steps))
        features.append(_message(2, feature))
    if not features:
        return b""
    layer = [_message(1, LAYER.encode()), *features]
    layer += [_message(3, name.encode()) for name in keys]
    layer += [_message(4, _value(value)) for _, value in values]
    layer += [_number(5, _EXTENT), _number(15, 2)]  # 15: the version
    return _message(3, b"".join(layer))


def _properties(event: Event) -> Mapping[str, Value]:
    """Those that are known."""
    found: dict[str, Value | None] = {
        "id": event.id,
        "state": event.state,
        "confidence": round(event.confidence, 3),
        "heading": event.heading,
        "road": event.road,
        "first_seen": iso(event.first_seen),
        "last_seen": iso(event.last_seen),
        "gone_since": None if event.gone_since is None else iso(event.gone_since),
        "passes": event.passes,
        "sightings": event.sightings,
    }
    return {name: value for name, value in found.items() if value is not None}


def _steps(event: Event, zoom: int, x: int, y: int) -> Indices:
    """Places on the tile's grid, none twice in a row: ``[n, 2]``, y from the north."""
    longitude, latitude = np.array(event.line, np.float64).T
    side = 2.0**zoom
    column = (longitude + 180) / 360 * side
    north = np.radians(np.clip(latitude, -_NORTH, _NORTH))
    row = (1 - np.arcsinh(np.tan(north)) / math.pi) / 2 * side
    places = np.stack([column - x, row - y], axis=1) * _EXTENT
    steps: Indices = np.rint(places).astype(np.int64)
    kept: Indices = steps[np.append(True, (np.diff(steps, axis=0) != 0).any(axis=1))]
    return kept


def _geometry(steps: Indices) -> Iterator[int]:
    """Commands to move to the first place, and to draw to the others."""
    ways = np.diff(steps, axis=0, prepend=0)
    ways[0] = steps[0]
    signed = ((ways << 1) ^ (ways >> 63)).tolist()  # small numbers for those below 0, too
    yield _MOVE | 1 << 3
    yield from signed[0]
    if len(signed) > 1:
        yield _DRAW | (len(signed) - 1) << 3
        for way in signed[1:]:
            yield from way


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
