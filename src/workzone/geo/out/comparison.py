"""Events beside published works, as GeoJSON for maps and as CSV for tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workzone.errors import UsageError, nearest
from workzone.files import writing
from workzone.geo.compare import Comparison, Row
from workzone.geo.out.fields import csv_table, iso, places
from workzone.geo.works import Part, Work

FORMATS = (".csv", ".geojson")
_DECIMALS = 7  # of degrees: a centimetre
_COLUMNS = (
    *("verdict", "event", "state", "confidence", "works", "road", "permitted_from"),
    *("permitted_until", "first_seen", "last_seen", "days_over", "passes", "sightings", "places"),
)


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Write the four lists, whole or not at all; the suffix is ``.csv`` or ``.geojson``.

    Raises:
        UsageError: another suffix.
        WorkzoneError: it cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(f"{path}: {nearest(suffix, FORMATS)}")
    if suffix == ".csv":
        content = to_csv(comparison)
    else:
        content = json.dumps(to_geojson(comparison), allow_nan=False, ensure_ascii=False) + "\n"
    with writing(path) as aside:
        aside.write_text(content, encoding="utf-8")


def to_geojson(comparison: Comparison) -> dict[str, Any]:
    """A feature for each row; its property ``verdict`` names the list.

    Raises:
        FeedError: an event without two distinct places.
    """
    features = [
        {"type": "Feature", "geometry": _geometry(row), "properties": values(row)}
        for row in comparison.rows
    ]
    return {"type": "FeatureCollection", "features": features}


def to_csv(comparison: Comparison) -> str:
    """A table; ids of several works are parted by ``|``, and places are WKT.

    Text that a spreadsheet would take for a formula has an apostrophe before it.

    Raises:
        FeedError: an event without two distinct places.
    """
    rows = []
    for row in comparison.rows:
        plain = values(row)
        joined = {"works": "|".join(plain["works"]), "places": _wkt(_geometry(row))}
        rows.append(plain | joined)
    return csv_table(rows, _COLUMNS)


def values(row: Row) -> dict[str, Any]:
    """All but the places, as JSON holds them; None where something is not known."""
    event = row.event
    return {
        "verdict": row.verdict,
        "event": None if event is None else event.id,
        "state": None if event is None else event.state,
        "confidence": None if event is None else round(event.confidence, 4),
        "works": [work.id for work in row.works],
        "road": row.road,
        "permitted_from": _first_start(row.works),
        "permitted_until": None if row.until is None else iso(row.until),
        "first_seen": None if event is None else iso(event.first_seen),
        "last_seen": None if event is None else iso(event.last_seen),
        "days_over": None if row.days_over is None else round(row.days_over, 1),
        "passes": row.passes,
        "sightings": 0 if event is None else event.sightings,
    }


def _first_start(works: Sequence[Work]) -> str | None:
    """The first permitted begin; None where one is not told, or there is no work."""
    starts = [work.start for work in works]
    told = [start for start in starts if start is not None]
    return iso(min(told)) if told and len(told) == len(starts) else None


def _geometry(row: Row) -> dict[str, Any]:
    if row.event is not None:
        line = [list(place) for place in places(row.event)]
        return {"type": "LineString", "coordinates": line}
    parts = [_rounded(part) for part in row.works[0].parts]
    if any(len(part) == 1 for part in parts):
        firsts = [part[0] for part in parts]
        single = len(firsts) == 1
        return {
            "type": "Point" if single else "MultiPoint",
            "coordinates": firsts[0] if single else firsts,
        }
    single = len(parts) == 1
    return {
        "type": "LineString" if single else "MultiLineString",
        "coordinates": parts[0] if single else parts,
    }


def _rounded(part: Part) -> list[list[float]]:
    return [[round(x, _DECIMALS), round(y, _DECIMALS)] for x, y in part]


def _wkt(geometry: dict[str, Any]) -> str:
    return f"{geometry['type'].upper()} {_numbers(geometry['coordinates'])}"


def _numbers(value: list[Any]) -> str:
    """Coordinates of any depth as WKT has them."""
    if not isinstance(value[0], list):
        return f"({value[0]:.7f} {value[1]:.7f})"
    inner = (_numbers(one) for one in value)
    if isinstance(value[0][0], list):
        return f"({', '.join(inner)})"
    return f"({', '.join(one.strip('()') for one in inner)})"
