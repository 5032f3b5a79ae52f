"""Works as GeoJSON features, with the names that registers give to dates."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from workzone.errors import FeedError
from workzone.geo.crs import system_among, to_degrees
from workzone.geo.works import Part, Work, Works, called_off, places, running, time_of, way_of

_START = ("start", "start_date", "startdate", "valid_from", "begin", "from", "first_seen")
_END = ("end", "end_date", "enddate", "valid_to", "valid_until", "until", "to", "gone_since")
_ID = ("id", "reference", "permit", "permit_id")
_ROAD = ("road", "road_name", "street", "street_name", "name")
_AREAS = ("Polygon", "MultiPolygon")
_DEPTH = {
    **{"Point": 0, "LineString": 1, "MultiPoint": 1},
    **{"MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3},
}


def read_geojson(collection: dict[str, Any], crs: str | None) -> Works:
    """Works of a collection of features; names of properties in any case.

    ``crs``: what its places are in, where it does not say so itself.

    Raises:
        FeedError: a feature is none, or its places cannot be; the message has its number.
        UsageError: its system of coordinates is none.
    """
    system = system_among(_named(collection), crs, "its member 'crs'")
    found, without_place, cancelled = [], 0, 0
    for number, feature in enumerate(collection["features"]):
        where = f"feature {number}"
        values = properties_of(feature, where)
        if called_off(first(values, ("status", "event_status"))):
            cancelled += 1
            continue
        parts = parts_of(feature.get("geometry"), where)
        if not parts:
            without_place += 1
            continue
        turned = [to_degrees(part, system, where) for part in parts]
        found.append(replace(_work(feature, values, turned, number), system=system))
    return Works("GeoJSON", tuple(found), without_place, cancelled)


def _named(collection: dict[str, Any]) -> str | None:
    """The system that GeoJSON of before RFC 7946 may name."""
    try:
        return str(collection["crs"]["properties"]["name"])
    except (KeyError, TypeError):
        return None


def _work(feature: dict[str, Any], values: dict[str, Any], parts: list[Part], number: int) -> Work:
    name = feature.get("id") or first(values, _ID)
    road = first(values, _ROAD)
    turned = [_turned(part, values) for part in parts]
    where = f"feature {number}"
    return Work(
        id=str(name if name is not None else f"feature {number}"),
        parts=tuple(part for part, _ in turned),
        directed=all(told for _, told in turned),
        start=time_of(_date(values, _START), where),
        end=time_of(_date(values, _END), where, last=True),
        road=None if road is None else str(road),
        area=(feature.get("geometry") or {}).get("type") in _AREAS,
    )


def _date(values: dict[str, Any], names: tuple[str, ...]) -> Any:
    """The first value; ``from`` and ``to`` without a digit are streets, as often in registers."""
    streets = {
        name: None
        for name in ("from", "to")
        if isinstance(values.get(name), str) and not re.search(r"\d", values[name])
    }
    return first(values | streets, names)


def _turned(part: Part, values: dict[str, Any]) -> tuple[Part, bool]:
    """A part along travel, and whether that is told: by a heading at its begin, or in words."""
    bearing = way_of(values.get("heading"))
    if bearing is not None:
        return running(part, bearing, at_begin=True)
    return running(part, way_of(values.get("direction")))


def properties_of(feature: object, where: str) -> dict[str, Any]:
    """Properties of a feature, their names in small letters.

    Raises:
        FeedError: it is none.
    """
    if not isinstance(feature, dict):
        raise FeedError(f"{where} is no object; write a GeoJSON Feature")
    values = feature.get("properties") or {}
    if not isinstance(values, dict):
        raise FeedError(f"{where} has 'properties' that are no object; write a GeoJSON Feature")
    return {str(name).lower(): value for name, value in values.items()}


def first(values: dict[str, Any], names: tuple[str, ...]) -> Any:
    """The first value that says something, of some names."""
    return next((values[name] for name in names if values.get(name) not in (None, "")), None)


def parts_of(geometry: object, where: str) -> list[Part]:
    """Rows of places of a geometry: lines, rings, single places; none of an empty one.

    Raises:
        FeedError: it is no geometry that a road work can have.
    """
    if geometry is None:
        return []
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if not isinstance(geometry, dict) or kind not in _DEPTH:
        fix = "write a feature for each of its geometries; " if kind == "GeometryCollection" else ""
        raise FeedError(
            f"{where} has a geometry of type {kind!r}; {fix}allowed: {', '.join(_DEPTH)}"
        )
    rows = geometry.get("coordinates") or []
    try:
        if kind == "Point":
            return [places([rows])] if rows else []
        if kind == "MultiPoint":
            return [places([row]) for row in rows]
        if _DEPTH[kind] == 3:
            rows = [part for row in rows for part in row]
        return [places(part) for part in ([rows] if _DEPTH[kind] == 1 else rows) if part]
    except (TypeError, ValueError) as error:
        raise FeedError(
            f"{where} has coordinates that are no places ({error}); write [longitude, latitude]"
        ) from error
