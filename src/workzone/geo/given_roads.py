"""The roads that a map was given, thinned for a page. Ways that cars drew are nobody's business."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from workzone.data.places import offsets
from workzone.geo.event import Place
from workzone.geo.ground import heading
from workzone.geo.roads import NETWORK, Line

MOST = 300_000
"""Places of all roads of a page: some 4 MB."""
_TURN = 2.0  # degrees in which a road is drawn straight: it is off by 1 part in 230 of its length


@dataclass(frozen=True, slots=True)
class GivenRoads:
    """Lines to draw, and how many roads there is no room for."""

    lines: list[list[Place]]
    left_out: int


def given_roads(lines: Iterable[Line]) -> GivenRoads:
    """Each road once, whichever way it is driven, as ordered, up to `MOST` places in all."""
    found: list[list[Place]] = []
    seen: set[tuple[frozenset[Place], int]] = set()
    room, left_out = MOST, 0
    for line in lines:
        if line.key != NETWORK:
            continue
        longitude, latitude = line.longitude, line.latitude
        ends = frozenset(zip(longitude[[0, -1]].tolist(), latitude[[0, -1]].tolist(), strict=True))
        if (ends, len(longitude)) in seen:
            continue
        seen.add((ends, len(longitude)))
        kept = _bends(line)
        room -= len(kept)
        if room < 0:
            left_out += 1
            continue
        found.append(list(zip(longitude[kept].tolist(), latitude[kept].tolist(), strict=True)))
    return GivenRoads(found, left_out)


def _bends(line: Line) -> list[int]:
    """The ends of a line, and where its heading leaves what it was by more than `_TURN`."""
    longitude, latitude = line.longitude, line.latitude
    ahead = heading(*offsets(longitude[1:], latitude[1:], longitude[:-1], latitude[:-1])).tolist()
    kept, last = [0], ahead[0]
    for number, now in enumerate(ahead[1:], start=1):
        if abs((now - last + 180) % 360 - 180) > _TURN:
            kept.append(number)
            last = now
    return [*kept, len(longitude) - 1]
