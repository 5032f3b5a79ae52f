"""Whether positions can be: on the globe, distinct, and not with longitude and latitude swapped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

from workzone.geo.event import Place

_FAR, _NEAR = 20.0, 5.0  # degrees from where a feed's events are
_FEW = 3  # events that do not say where a feed's events are


def faults_of_line(line: Sequence[Place], *, first: str) -> Iterator[str]:
    """What is wrong with the places of an event that has a begin and an end, in sentences.

    ``first``: ``longitude`` or ``latitude``, which the format writes first.
    """
    yield from faults_of_places(line, first=first)
    if len(set(line)) < 2:
        yield "has no two distinct places; an event has a begin and an end"


def faults_of_places(places: Sequence[Place], *, first: str) -> Iterator[str]:
    """The same of any number of places."""
    outside = [place for place in places if not on_globe(place)]
    if outside:
        swapped = all(on_globe((latitude, longitude)) for longitude, latitude in places)
        hint = f"; longitude and latitude seem to be swapped: {first} comes first"
        yield f"has {_said(outside[0])}, which is not on the globe{hint if swapped else ''}"
    if (0.0, 0.0) in places:
        yield "has a place at 0, 0, which is what a missing position becomes"


def swapped_places(lines: Mapping[int, Sequence[Place]]) -> Iterator[int]:
    """Keys of events that are far from all others as they are, and near them when swapped.

    ``lines``: those on the globe. Nothing is said of feeds of three events or fewer.
    """
    starts = {key: line[0] for key, line in lines.items() if line}
    if len(starts) <= _FEW:
        return
    middle = middle_of(starts.values())
    yield from (key for key, place in starts.items() if seems_swapped(place, middle))


def middle_of(places: Iterable[Place]) -> Place:
    """The median of longitudes, and of latitudes, of one place or more."""
    longitudes, latitudes = zip(*places, strict=True)
    return median(longitudes), median(latitudes)


def seems_swapped(place: Place, middle: Place) -> bool:
    """Whether a place is far from where others are, and near them with its numbers swapped."""
    return _apart(place, middle) > _FAR and _apart((place[1], place[0]), middle) < _NEAR


def on_globe(place: Place) -> bool:
    """Whether a longitude and a latitude, in degrees, can be ones."""
    return abs(place[0]) <= 180 and abs(place[1]) <= 90


def _apart(one: Place, other: Place) -> float:
    return max(abs(one[0] - other[0]), abs(one[1] - other[1]))


def _said(place: Place) -> str:
    return f"longitude {place[0]:g}, latitude {place[1]:g}"
