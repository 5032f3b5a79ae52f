"""Coordinates that do not fit those of their group: exchanged, without a minus, or far away.

A latitude and a longitude that are exchanged are both in range over most of Europe, Africa and
South America, and so are those without their minus. Only the places around them tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from workzone.data.places import EARTH_RADIUS, Floats, Indices, haversine, positions
from workzone.data.sources.groups import CITIES
from workzone.types import Sample

FAR_METRES = 500_000.0
"""From the others' median: no drive through one city goes as far."""
NEAR_METRES = 50_000.0
"""From the others' median, when read otherwise."""

_OTHERS = 3  # at least, that must agree
READINGS = (
    "latitude and longitude exchanged",
    "the latitude's sign changed",
    "the longitude's sign changed",
    "both signs changed",
)


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A sample far from where the others of ``among`` are.

    ``kilometres``: from their median, None where a whole group is elsewhere; ``reading``: one of
    `READINGS` that would bring it among them, None where none does.
    """

    id: str
    latitude: float
    longitude: float
    among: str
    kilometres: float | None
    reading: str | None


def misplaced(samples: Sequence[Sample]) -> tuple[Misplaced, ...]:
    """Samples over `FAR_METRES` from the others of their group or city, in manifest order.

    A group that is wrong as a whole is held against the other groups: it is named where three
    times as many of them are near another reading of its median as are anywhere near it.
    """
    placed, degrees = positions(samples)
    found: dict[int, Misplaced] = {}
    for kind, names in _kinds(samples, placed):
        for name, members in _members(names):
            for row, kilometres, reading in _outliers(degrees[members]):
                index = int(placed[members[row]])
                found.setdefault(
                    index, _named(samples[index], f"{kind} {name}", kilometres, reading)
                )
    groups = [samples[i].group or f"row {i}" for i in placed]
    for members, reading in _groups_elsewhere(groups, degrees):
        for index in placed[members].tolist():
            found.setdefault(index, _named(samples[index], "the other groups", None, reading))
    return tuple(found[index] for index in sorted(found))


def _named(sample: Sample, among: str, kilometres: float | None, reading: str | None) -> Misplaced:
    assert sample.latitude is not None and sample.longitude is not None
    return Misplaced(sample.id, sample.latitude, sample.longitude, among, kilometres, reading)


def _kinds(samples: Sequence[Sample], placed: Indices) -> Iterator[tuple[str, list[str | None]]]:
    yield "group", [samples[i].group for i in placed]
    for column in CITIES:
        names = [
            next((v for k, v in samples[i].extra.items() if _plain(k) == column and v), None)
            for i in placed
        ]
        if any(names):
            yield column.removesuffix("_name"), names


def _plain(column: str) -> str:
    return "_".join(column.lower().split())


def _members(names: Sequence[str | None]) -> Iterator[tuple[str, Indices]]:
    members: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        if name is not None:
            members.setdefault(name, []).append(row)
    for name, rows in members.items():
        yield name, np.array(rows, dtype=np.int64)


def _outliers(degrees: Floats) -> Iterator[tuple[int, float, str | None]]:
    """Rows far from the median, which most rows are near; kilometres and the reading that helps."""
    if len(degrees) <= _OTHERS:
        return
    median = _median(degrees)
    apart = _metres(degrees, median)
    if (apart <= NEAR_METRES).sum() < max(_OTHERS, len(degrees) / 2):
        return  # a group that is everywhere says nothing of one row
    for row in np.flatnonzero(apart > FAR_METRES).tolist():
        yield row, float(apart[row]) / 1000, _reading(degrees[row], median)


def _reading(place: Floats, median: Floats) -> str | None:
    """The reading that brings a place nearest to the median, if near enough."""
    apart = {
        name: float(_metres(read, median)[0])
        for name, read in _readings(place[None]).items()
        if abs(read[0, 0]) <= 90
    }
    best = min(apart, key=apart.__getitem__)
    return best if apart[best] <= NEAR_METRES else None


def _readings(degrees: Floats) -> dict[str, Floats]:
    """Other readings of places, each ``[P, 2]``; a latitude may be out of range."""
    signs = np.array([[-1, 1], [1, -1], [-1, -1]])
    return dict(zip(READINGS, [degrees[:, ::-1], *(degrees * sign for sign in signs)], strict=True))


def _groups_elsewhere(groups: Sequence[str], degrees: Floats) -> Iterator[tuple[Indices, str]]:
    """Rows of each group that would be among others if read otherwise.

    Of the groups, three times as many are near that reading as are anywhere near the group.
    """
    rows = [members for _, members in _members(groups)]
    if len(rows) <= _OTHERS:
        return
    from sklearn.neighbors import BallTree  # a second of every start, were it at the top

    medians = np.array([_median(degrees[members]) for members in rows])
    tree = BallTree(np.radians(medians), metric="haversine")

    def count(places: Floats, metres: float) -> Indices:
        counts: Indices = tree.query_radius(
            np.radians(places), r=metres / EARTH_RADIUS, count_only=True
        )
        return counts

    here = count(medians, FAR_METRES)  # with itself
    for name, read in _readings(medians).items():
        valid = np.flatnonzero(np.abs(read[:, 0]) <= 90)
        there = count(read[valid], NEAR_METRES)
        moved = _metres(read[valid], medians[valid]) > FAR_METRES
        for number in valid[moved & (there >= _OTHERS * here[valid])].tolist():
            yield rows[number], name


def _median(degrees: Floats) -> Floats:
    median: Floats = np.median(degrees, axis=0)
    return median


def _metres(degrees: Floats, place: Floats) -> Floats:
    return haversine(degrees[:, 0], degrees[:, 1], place[..., 0], place[..., 1])
