"""Events as GeoJSON (RFC 7946)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from workzone.geo.event import Event
from workzone.geo.out.fields import box, places, values


def to_geojson(events: Iterable[Event]) -> dict[str, Any]:
    """A collection of lines along travel, with all that is known of each as its properties.

    Raises:
        FeedError: an event without two distinct places.
    """
    return {"type": "FeatureCollection", "features": [_feature(event) for event in events]}


def _feature(event: Event) -> dict[str, Any]:
    line = places(event)
    return {
        "type": "Feature",
        "id": event.id,
        "bbox": list(box(line)),
        "geometry": {"type": "LineString", "coordinates": [list(place) for place in line]},
        "properties": values(event),
    }
