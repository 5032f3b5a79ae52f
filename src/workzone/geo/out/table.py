"""Events as CSV: a row each, its begin, its end and its line as WKT."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from workzone.geo.event import Event
from workzone.geo.out.fields import csv_table, flat_values, places

_COLUMNS = (
    *("id", "state", "confidence", "road", "heading", "begin_longitude", "begin_latitude"),
    *("end_longitude", "end_latitude", "first_seen", "last_seen", "last_passed", "gone_since"),
    *("passes", "sightings", "length_m", "error_m", "images", "classes", "line"),
)


def to_csv(events: Iterable[Event]) -> str:
    """A table of events, without their history; images and classes are parted by ``|``.

    Text that a spreadsheet would take for a formula has an apostrophe before it.

    Raises:
        FeedError: an event without two distinct places.
    """
    return csv_table(map(_row, events), _COLUMNS)


def _row(event: Event) -> dict[str, Any]:
    line = places(event)
    (begin_longitude, begin_latitude), (end_longitude, end_latitude) = line[0], line[-1]
    return flat_values(event) | {
        "begin_longitude": begin_longitude,
        "begin_latitude": begin_latitude,
        "end_longitude": end_longitude,
        "end_latitude": end_latitude,
        "line": f"LINESTRING ({', '.join(f'{x:.7f} {y:.7f}' for x, y in line)})",
    }
