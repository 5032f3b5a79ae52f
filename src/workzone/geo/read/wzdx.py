"""Work zones of WZDx feeds of any version: of version 4 and of before."""

from __future__ import annotations

from typing import Any

from workzone.geo.crs import WGS84, to_degrees
from workzone.geo.read.geojson import first, parts_of, properties_of
from workzone.geo.works import Part, Work, Works, time_of, way_of

_LOOPS = ("inner-loop", "outer-loop")


def is_wzdx(collection: dict[str, Any]) -> bool:
    """Whether a collection of features is a feed of work zones."""
    return bool(collection.keys() & {"feed_info", "road_event_feed_info"})


def read_wzdx(feed: dict[str, Any]) -> Works:
    """The work zones of a feed; detours and restrictions are passed over.

    Raises:
        FeedError: a feature is none, or its places cannot be; the message has its number.
    """
    found, without_place, cancelled = [], 0, 0
    for number, feature in enumerate(feed["features"]):
        where = f"feature {number}"
        values = properties_of(feature, where)
        core = values.pop("core_details", None)  # before version 4 there is none
        values |= core if isinstance(core, dict) else {}
        if values.get("event_type", "work-zone") != "work-zone":
            continue
        if values.get("event_status") == "cancelled":
            cancelled += 1
            continue
        parts = _lines(feature.get("geometry"), where)
        if parts:
            turned = tuple(to_degrees(part, WGS84, where) for part in parts)
            found.append(_work(feature, values, turned, number))
        else:
            without_place += 1
    return Works("WZDx", tuple(found), without_place, cancelled)


def _lines(geometry: object, where: str) -> list[Part]:
    """The line of a work zone; two places of a MultiPoint are its begin and its end."""
    parts = parts_of(geometry, where)
    if isinstance(geometry, dict) and geometry["type"] == "MultiPoint" and len(parts) > 1:
        return [tuple(place for part in parts for place in part)]
    return parts


def _work(
    feature: dict[str, Any], values: dict[str, Any], parts: tuple[Part, ...], number: int
) -> Work:
    direction = values.get("direction")
    roads = values.get("road_names")
    where = f"feature {number}"
    return Work(
        id=str(feature.get("id") or first(values, ("road_event_id", "id")) or f"feature {number}"),
        parts=parts,
        # Its places are in the order of travel, says WZDx, if it says which way that is.
        directed=way_of(direction) is not None or direction in _LOOPS,
        start=time_of(values.get("start_date"), where),
        end=time_of(values.get("end_date"), where, last=True),
        road=str(roads[0]) if isinstance(roads, list) and roads else None,
    )
