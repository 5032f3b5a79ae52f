"""Where a model is meant to work: points, places or polygons, and how far from them images are."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workzone.data.places import EARTH_RADIUS, distinct, positions
from workzone.errors import TrainingError, UsageError, nearest
from workzone.types import Sample

Floats = npt.NDArray[np.float64]
Rings = tuple[Floats, ...]

SPACING = 5_000.0
"""Metres between the points that stand for a polygon's boundary."""

SAME_PLACE = 1.0
"""Metres within which a position was copied from another; five decimals of a degree round less."""

_GEOMETRIES = (
    *("FeatureCollection", "Feature", "GeometryCollection"),
    *("Point", "MultiPoint", "Polygon", "MultiPolygon"),
)


@dataclass(frozen=True, kw_only=True)
class Region:
    """Points and polygons together; all coordinates are latitude and longitude in degrees.

    The sides of a polygon are straight in degrees, as GeoJSON (RFC 7946) has them.
    """

    points: Floats  # [P, 2]
    polygons: tuple[Rings, ...] = ()  # rings [R, 2] of each, the outer one first, then holes

    def distances(self, degrees: Floats) -> Floats:
        """Metres to the nearest point of the region, 0 inside a polygon.

        Great circles on a sphere: within 0.6 % of the ellipsoid. A polygon's boundary is sampled
        every `SPACING` m: what lies outside it at distance d comes out too far by at most
        ``sqrt(d**2 + 2500**2) - d`` m; that is 62 m at 50 km and 6 m at 500 km.

        Args:
            degrees: float64 ``[B, 2]``.

        Returns:
            float64 ``[B]``.
        """
        if not len(degrees):
            return np.zeros(0)
        first, which = distinct(degrees)  # a parked camera takes thousands of images
        places = degrees[first]
        boundary = [_sampled(ring) for rings in self.polygons for ring in rings]
        tree = _tree(np.concatenate([self.points, *boundary]))
        metres: Floats = tree.query(np.radians(places))[0][:, 0] * EARTH_RADIUS
        for rings in self.polygons:
            metres[_inside(places, rings)] = 0.0
        return metres[which]

    def refuse_test_rows(self, test_samples: Sequence[Sample]) -> None:
        """Make sure that the region was declared, not read from the test rows.

        Raises:
            TrainingError: a point of the region, or a corner of a polygon, lies within `SAME_PLACE`
                of a test row; the message names one.
        """
        rows, degrees = positions(test_samples)
        if not len(rows):
            return
        corners = [ring for rings in self.polygons for ring in rings]
        tree = _tree(np.concatenate([self.points, *corners]))
        metres = tree.query(np.radians(degrees))[0][:, 0] * EARTH_RADIUS
        copied = np.flatnonzero(metres <= SAME_PLACE)
        if len(copied):
            sample = test_samples[rows[copied[0]]]
            raise TrainingError(
                f"the region has a point at the position of {len(copied)} test rows, such as "
                f"{sample.id!r} ({sample.latitude}, {sample.longitude}): a region taken from test "
                "rows tells training what the test will ask. Declare where the model is meant to "
                "work without looking at them, such as by a border or a list of towns"
            )


def read_region(path: Path) -> Region:
    """Read a region: GeoJSON (``.geojson``, ``.json``) or a list of places (``.csv``).

    A list of places has the columns ``latitude`` and ``longitude``, in degrees; others, such as
    their names, are for its reader.

    Raises:
        UsageError: it cannot be read, is neither, holds no place, or a place that is not on the
            globe; the message names the row or the geometry.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the region {path}: {error}") from error
    kind = path.suffix.lower()
    if kind == ".csv":
        region = Region(points=_places(text, path))
    elif kind in (".geojson", ".json"):
        region = _geojson(text, path)
    else:
        hint = nearest(kind, (".csv", ".geojson", ".json"))
        raise UsageError(f"cannot tell the format of the region {path}; {hint}")
    if not len(region.points) and not region.polygons:
        raise UsageError(f"the region {path} holds no place: give it a point or a polygon")
    return region


def make_region(points: Sequence[tuple[float, float]]) -> Region:
    """A region of points: latitude and longitude in degrees.

    Raises:
        UsageError: none, or one that is not on the globe.
    """
    if not points:
        raise UsageError("the region holds no place: give it a point as (latitude, longitude)")
    return Region(
        points=np.array(
            [_on_globe(*point, where=f"the region's point {n}") for n, point in enumerate(points)]
        )
    )


def _on_globe(latitude: Any, longitude: Any, *, where: str) -> tuple[float, float]:
    try:
        place = (float(latitude), float(longitude))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{where}: latitude {latitude!r}, longitude {longitude!r} are no numbers; write degrees"
        ) from error
    if not (abs(place[0]) <= 90 and abs(place[1]) <= 180):  # NaN is nowhere
        raise UsageError(
            f"{where}: latitude {place[0]}, longitude {place[1]} is not on the globe; latitude is "
            "-90 to 90, longitude -180 to 180 (GeoJSON writes longitude first)"
        )
    return place


def _places(text: str, path: Path) -> Floats:
    reader = csv.DictReader(text.splitlines())
    columns = reader.fieldnames or ()
    for wanted in ("latitude", "longitude"):
        if wanted not in columns:
            raise UsageError(
                f"the region {path} has no column {wanted!r}; it has: {', '.join(columns)}"
            )
    places = [
        _on_globe(row["latitude"], row["longitude"], where=f"{path}, line {reader.line_num}")
        for row in reader
    ]
    return np.array(places, dtype=np.float64).reshape(-1, 2)


def _geojson(text: str, path: Path) -> Region:
    points: list[tuple[float, float]] = []
    polygons: list[Rings] = []
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"the region {path} is not JSON: {error}") from error
    try:
        for where, geometry in _geometries(value, str(path)):
            kind, coordinates = geometry["type"], geometry["coordinates"]
            if kind in ("Point", "MultiPoint"):
                places = [coordinates] if kind == "Point" else coordinates
                points += [_on_globe(p[1], p[0], where=where) for p in places]
            else:
                several = [coordinates] if kind == "Polygon" else coordinates
                polygons += [tuple(_ring(r, where) for r in rings) for rings in several]
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise UsageError(
            f"the region {path} is not GeoJSON (RFC 7946): {type(error).__name__}: {error}. "
            "Export it again from a map tool"
        ) from error
    degrees = np.array(points, dtype=np.float64).reshape(-1, 2)
    return Region(points=degrees, polygons=tuple(polygons))


def _geometries(value: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The plain geometries inside, each with what to call it in messages."""
    kind = value["type"]
    if kind not in _GEOMETRIES:
        hint = nearest(str(kind), _GEOMETRIES)
        raise UsageError(f"{where}: the type {kind!r} is no region; {hint}")
    if kind == "Feature":
        if value["geometry"] is not None:  # RFC 7946, 3.2: a feature may be without a place
            yield from _geometries(value["geometry"], where)
    elif kind in ("FeatureCollection", "GeometryCollection"):
        name = "feature" if kind == "FeatureCollection" else "geometry"
        parts = value["features" if kind == "FeatureCollection" else "geometries"]
        for number, part in enumerate(parts):
            yield from _geometries(part, f"{where}, {name} {number}")
    else:
        yield where, value


def _ring(coordinates: Any, where: str) -> Floats:
    ring = np.array([_on_globe(p[1], p[0], where=where) for p in coordinates])
    if len(ring) < 4 or (ring[0] != ring[-1]).any():
        raise UsageError(
            f"{where}: a ring of {len(ring)} positions; one has at least 4, the last being the "
            "first again"
        )
    leap = np.abs(np.diff(ring[:, 1])).max()
    if leap > 180:
        raise UsageError(
            f"{where}: a side spans {leap:g} degrees of longitude; cut the polygon at the 180th "
            "meridian (RFC 7946, 3.1.9), or give long sides a corner in between"
        )
    return ring


def _tree(degrees: Floats) -> Any:
    """Places by their great-circle distance."""
    from sklearn.neighbors import BallTree  # a second of every start, were it at the top

    return BallTree(np.radians(degrees), metric="haversine")


def _sampled(ring: Floats) -> Floats:
    """Points on the ring at most `SPACING` apart, its corners among them, ``[S, 2]``."""
    parts = [ring[-1:]]
    for start, end in itertools.pairwise(ring):
        north, east = np.radians(np.abs(end - start))
        widest = math.cos(math.radians(min(abs(start[0]), abs(end[0]))))
        if start[0] * end[0] < 0:
            widest = 1.0  # it crosses the equator
        count = max(1, math.ceil(EARTH_RADIUS * math.hypot(north, east * widest) / SPACING))
        share = np.arange(count)[:, None] / count
        parts.append(start + share * (end - start))
    return np.concatenate(parts)


def _inside(places: Floats, rings: Rings) -> npt.NDArray[np.bool_]:
    """Whether each place lies in the polygon, bool ``[B]``: the even-odd rule over all its rings.

    A line from the place to the east crosses the rings an odd number of times.
    """
    latitude, longitude = places.T
    inside = np.zeros(len(places), np.bool_)
    for ring in rings:
        for (lat_a, lon_a), (lat_b, lon_b) in itertools.pairwise(ring):
            if lat_a == lat_b:
                continue
            beside = (lat_a > latitude) != (lat_b > latitude)
            crossing = lon_a + (latitude - lat_a) * (lon_b - lon_a) / (lat_b - lat_a)
            inside ^= beside & (longitude < crossing)
    return inside
