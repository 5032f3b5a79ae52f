"""Events written to a file whose suffix names the format."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from workzone.errors import UsageError, nearest
from workzone.files import writing
from workzone.geo.event import Event, State
from workzone.geo.out.datex import to_datex
from workzone.geo.out.fields import PUBLISHED, chosen
from workzone.geo.out.geojson import to_geojson
from workzone.geo.out.kml import to_kml
from workzone.geo.out.parquet import write_parquet
from workzone.geo.out.publisher import Publisher
from workzone.geo.out.table import to_csv
from workzone.geo.out.wzdx import to_wzdx

FEEDS = (".json", ".xml")
MAPS = (".csv", ".geojson", ".kml", ".parquet")


def write_events(
    events: Iterable[Event],
    path: Path,
    *,
    publisher: Publisher | None = None,
    published: datetime | None = None,
    states: Iterable[State] = PUBLISHED,
) -> None:
    """Write the events in ``states``, whole or not at all.

    The suffix names the format: ``.geojson``, ``.parquet`` (GeoParquet), ``.csv``, ``.kml``,
    ``.json`` (WZDx 4.2), ``.xml`` (DATEX II 3).

    Args:
        publisher: needed for the last two.
        published: when a feed is made; now, if not told.

    Raises:
        UsageError: another suffix, or a feed without a publisher or with none of its country.
        FeedError: an event without two distinct places.
        WorkzoneError: it cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in FEEDS + MAPS:
        raise UsageError(f"{path}: {nearest(suffix, FEEDS + MAPS)}")
    if suffix == ".parquet":
        write_parquet(chosen(events, states), path)
        return
    if suffix in FEEDS:
        content = _feed(events, path, publisher, published or datetime.now(UTC), states)
    else:
        content = _map(chosen(events, states), suffix)
    with writing(path) as aside:
        aside.write_bytes(content)


def _map(events: Iterable[Event], suffix: str) -> bytes:
    if suffix == ".kml":
        return to_kml(events)
    return to_csv(events).encode() if suffix == ".csv" else _json(to_geojson(events))


def _feed(
    events: Iterable[Event],
    path: Path,
    publisher: Publisher | None,
    published: datetime,
    states: Iterable[State],
) -> bytes:
    if publisher is None:
        raise UsageError(f"{path}: a feed says who publishes it; name a publisher")
    if path.suffix.lower() == ".xml":
        return to_datex(events, publisher, published=published, states=states)
    return _json(to_wzdx(events, publisher, published=published, states=states))


def _json(value: object) -> bytes:
    return json.dumps(value, allow_nan=False, ensure_ascii=False).encode() + b"\n"
