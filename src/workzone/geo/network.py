"""Roads of a given network, as lines that cars are matched to."""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workzone.data.places import offsets
from workzone.errors import ManifestError
from workzone.geo.ground import Flags, Floats, heading, turn
from workzone.geo.osm import SUFFIXES, read_ways
from workzone.geo.roads import NETWORK, Line, make_line

NOT_DRIVEN = frozenset(
    {
        "bridleway",
        "construction",
        "corridor",
        "cycleway",
        "elevator",
        "escape",
        "footway",
        "path",
        "pedestrian",
        "platform",
        "proposed",
        "steps",
        "via_ferrata",
    }
)
"""Values of OpenStreetMap's key ``highway`` that cars do not drive on."""
_STRAIGHT = 45.0  # degrees that a road may turn where one piece of it ends and the next begins


@dataclass(frozen=True, slots=True)
class _Piece:
    places: Floats  # longitude and latitude, [n, 2]
    road: str | None
    one_way: bool


_End = tuple[int, bool]  # number of a piece, and whether its last place is meant


def read_network(path: Path) -> list[Line]:
    """Read roads from an extract of OpenStreetMap, or from GeoJSON as a GIS writes it.

    Pieces of a road of one name that go on where others end become one line; a road for both
    directions becomes two. None crosses the date line: roads are cut there.

    Args:
        path: of an extract (see `workzone.geo.osm`), or of a FeatureCollection in longitude and
            latitude with OpenStreetMap's keys. ``name`` (else ``ref``) is the road's name,
            ``oneway`` says that it runs one way (``yes``, true, 1; -1 against its places), as do
            motorways and roundabouts where nothing else is told, and lines whose ``highway`` is
            in `NOT_DRIVEN` are left out.

    Raises:
        ManifestError: no such file, neither format, no lines in it, or a feature (its number is
            told, from 1) whose lines are no places on the globe.
        MissingExtraError: an extract, and osmium is not installed.
    """
    pieces: list[_Piece] = []
    features = read_ways(path) if path.name.endswith(SUFFIXES) else _features(path)
    for number, feature in enumerate(features, 1):
        try:
            pieces += _pieces(feature)
        except ValueError as error:
            raise ManifestError(f"{path}, feature {number}: {error}") from error
    if not pieces:
        raise ManifestError(f"{path} has no line that cars drive on; give roads as LineStrings")
    return _joined_lines(pieces)


def _features(path: Path) -> list[Any]:
    try:
        features = json.loads(path.read_text(encoding="utf-8"))["features"]
        if not isinstance(features, list):
            raise TypeError("features are no list")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestError(
            f"{path} cannot be read as roads ({error}); give an extract of OpenStreetMap "
            f"({', '.join(SUFFIXES)}) or a GeoJSON FeatureCollection of lines"
        ) from error
    return features


def lines_through(middles: Sequence[Floats]) -> list[Line]:
    """The same of streets that cars drive in both directions.

    Args:
        middles: longitude and latitude along each, ``[n, 2]``.
    """
    return _joined_lines([_Piece(places, None, False) for places in middles])


def _joined_lines(pieces: Sequence[_Piece]) -> list[Line]:
    return [line for chain in _chains(pieces) for line in _lines(pieces, chain)]


def _pieces(feature: Any) -> Iterator[_Piece]:
    """Lines of a feature of GeoJSON.

    Raises:
        ValueError: it is none, or its lines are not places in degrees.
    """
    if not isinstance(feature, dict):
        raise ValueError("no feature of GeoJSON; write it as a JSON object")
    geometry, properties = (_members(feature, name) for name in ("geometry", "properties"))
    if str(properties.get("highway")) in NOT_DRIVEN:
        return
    kind, parts = geometry.get("type"), geometry.get("coordinates")
    if kind not in ("LineString", "MultiLineString"):
        return
    way = str(properties.get("oneway", _implied(properties))).lower()
    name = properties.get("name") or properties.get("ref")
    for part in [parts] if kind == "LineString" else _list(parts):
        one_way = way in {"yes", "true", "1", "-1", "reverse"}
        ahead = way not in {"-1", "reverse"}
        for places in _cut_at_date_line(_places(part)):
            yield _Piece(places if ahead else places[::-1], name and str(name), one_way)


def _implied(tags: Mapping[str, Any]) -> str:
    """``oneway`` where it is not told: https://wiki.openstreetmap.org/wiki/Key:oneway."""
    one_way = tags.get("highway") == "motorway" or tags.get("junction") == "roundabout"
    return "yes" if one_way else "no"


def _members(feature: dict[str, Any], name: str) -> dict[str, Any]:
    value = feature.get(name)
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{name} is a {type(value).__name__}; write it as a JSON object")
    return value or {}


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is no list")
    return value


def _places(part: Any) -> Floats:
    """Longitude and latitude along a line: ``[n, 2]``."""
    try:
        rows = [(lon, lat) for lon, lat, *_ in map(_list, _list(part))]
        places = np.array(rows, np.float64).reshape(-1, 2)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"coordinates are no places ({error}); write them as [[longitude, latitude], ...]"
        ) from error
    wrong = ~(np.abs(places) <= (180, 90)).all(axis=1)
    if wrong.any():
        raise ValueError(
            f"{places[wrong][0].tolist()} is no longitude and latitude; turn the roads to WGS 84 "
            "(EPSG:4326)"
        )
    return places


def _cut_at_date_line(places: Floats) -> Iterator[Floats]:
    """Parts of two places or more on one side of it, up to it; repeated places are left out."""
    head, start = places[:0], 0
    for row in np.flatnonzero(np.abs(np.diff(places[:, 0])) > 180).tolist():
        (lon, lat), (to_lon, to_lat) = places[row : row + 2].tolist()
        side = math.copysign(180.0, lon)
        way = to_lon + 2 * side - lon
        border = lat + (to_lat - lat) * ((side - lon) / way if way else 0.0)
        yield from _line(head, places[start : row + 1], [[side, border]])
        head, start = np.array([[-side, border]]), row + 1
    yield from _line(head, places[start:])


def _line(*parts: npt.ArrayLike) -> Iterator[Floats]:
    """Places as a line, if they are one."""
    places = np.concatenate(parts)
    moves: Flags = (np.diff(places, axis=0, prepend=np.nan) != 0).any(axis=1)
    if moves.sum() > 1:
        yield places[moves]


def _chains(pieces: Sequence[_Piece]) -> Iterator[list[_End]]:
    """Pieces that go on in each other, in order; of each the end that is reached last."""
    joined = _joined(pieces)
    left = set(range(len(pieces)))
    # Chains begin where nothing goes on; what is left then are circles.
    begins = [(n, False) for n in range(len(pieces))]
    begins += [(n, True) for n, piece in enumerate(pieces) if not piece.one_way]
    for circles in (False, True):
        for begin in begins:
            if begin[0] in left and (circles or begin not in joined):
                chain, at = [], begin
                while at[0] in left:
                    left.remove(at[0])
                    chain.append((at[0], not at[1]))
                    at = joined.get(chain[-1], chain[-1])
                yield chain


def _joined(pieces: Sequence[_Piece]) -> dict[_End, _End]:
    """For an end of a piece the end of the one that goes on from there, both ways."""
    at: dict[tuple[float, float], list[_End]] = defaultdict(list)
    for number, piece in enumerate(pieces):
        for last in (False, True):
            lon, lat = piece.places[-1 if last else 0].round(7).tolist()
            at[lon, lat].append((number, last))
    ways = []
    for ends in at.values():
        for row, one in enumerate(ends):
            for other in ends[row + 1 :]:
                bend = _bend(pieces, one, other)
                if bend <= _STRAIGHT:
                    ways.append((bend, one, other))
    joined: dict[_End, _End] = {}
    for _, one, other in sorted(ways):
        if one not in joined and other not in joined:
            joined[one], joined[other] = other, one
    return joined


def _bend(pieces: Sequence[_Piece], one: _End, other: _End) -> float:
    """Degrees that a road turns from one piece into another; infinite where it does not go on."""
    first, second = pieces[one[0]], pieces[other[0]]
    if one[0] == other[0] or first.road != second.road or first.one_way != second.one_way:
        return float("inf")
    if first.one_way and one[1] == other[1]:
        return float("inf")
    return abs(float(turn(_leaving(first, one[1]) + 180, _leaving(second, other[1]))))


def _leaving(piece: _Piece, last: bool) -> float:
    """The heading from one of its ends into a piece."""
    (lon, lat), (to_lon, to_lat) = piece.places[[-1, -2] if last else [0, 1]].tolist()
    return float(heading(*offsets(to_lon, to_lat, lon, lat)))


def _lines(pieces: Sequence[_Piece], chain: Sequence[_End]) -> Iterator[Line]:
    """A chain as a line, or as two."""
    parts = [pieces[n].places if last else pieces[n].places[::-1] for n, last in chain]
    places = np.concatenate([parts[0], *(part[1:] for part in parts[1:])])
    first = pieces[chain[0][0]]
    ways = [places] if first.one_way else [places, places[::-1]]
    for way in ways:
        name = hashlib.sha256(np.ascontiguousarray(way).tobytes()).hexdigest()
        yield make_line(f"network/{name}", NETWORK, way[:, 0], way[:, 1], first.road)
