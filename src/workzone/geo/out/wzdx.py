"""Events as road events of a WZDx 4.2 feed (https://github.com/usdot-jpo-ode/wzdx).

Cameras see that there is road work, and where. Who works, by which plan, until when and with which
lanes closed they do not; WZDx asks for some of that, and what is not known is said to be so.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from workzone.geo.event import Event, State
from workzone.geo.out.fields import PUBLISHED, changed, chosen, ends, iso, places, sentence
from workzone.geo.out.publisher import Publisher

VERSION = "4.2"
_CC0 = "https://creativecommons.org/publicdomain/zero/1.0/"
_DIRECTIONS = ("northbound", "eastbound", "southbound", "westbound")


def to_wzdx(
    events: Iterable[Event],
    publisher: Publisher,
    *,
    published: datetime,
    states: Iterable[State] = PUBLISHED,
) -> dict[str, Any]:
    """A feed of the events in ``states``, each with its own id, the same in every feed.

    Args:
        published: when the feed is made, with a zone.

    Raises:
        FeedError: an event without two distinct places.
        ValueError: a time without a zone.
    """
    return {
        "feed_info": _feed_info(publisher, published),
        "type": "FeatureCollection",
        "features": [_feature(event, publisher, published) for event in chosen(events, states)],
    }


def compass(heading: float | None) -> str:
    """The direction of travel by the compass, as WZDx names it; ``unknown`` without a heading.

    A road that is signed eastbound may lead north for a while: this is not what its signs say.
    """
    return "unknown" if heading is None else _DIRECTIONS[round(heading / 90) % 4]


def _feed_info(publisher: Publisher, published: datetime) -> dict[str, Any]:
    email = publisher.contact_email
    return {
        "publisher": publisher.name,
        "version": VERSION,
        "update_date": iso(published),
        "data_sources": [{"data_source_id": publisher.source, "organization_name": publisher.name}],
        **({} if email is None else {"contact_email": email}),
        **({"license": _CC0} if publisher.cc0 else {}),
    }


def _feature(event: Event, publisher: Publisher, published: datetime) -> dict[str, Any]:
    return {
        "id": event.id,
        "type": "Feature",
        "properties": {
            "core_details": {
                "event_type": "work-zone",
                "data_source_id": publisher.source,
                "road_names": [event.road or "unknown"],
                "direction": compass(event.heading),
                "description": sentence(event),
                "creation_date": iso(event.first_seen),
                "update_date": iso(changed(event)),
            },
            "start_date": iso(event.first_seen),
            "end_date": iso(ends(event, published, publisher.lasts)),
            "is_start_date_verified": False,
            "is_end_date_verified": False,
            "is_start_position_verified": False,
            "is_end_position_verified": False,
            "location_method": "other",  # known, and none of its list: cameras that pass
            "vehicle_impact": "unknown",
        },
        "geometry": {
            "type": "LineString",
            "coordinates": [list(place) for place in places(event)],
        },
    }
