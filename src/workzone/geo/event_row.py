"""An event as a row of a store's table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from workzone.geo.event import Change, Event, Place
from workzone.geo.query import stamp

COLUMNS = (
    "geom, id, state, confidence, heading, road, first_seen, last_seen, last_passed, gone_since, "
    "passes, sightings, length_m, error_m, images, classes"
)


def moment(value: str | datetime) -> datetime:
    """A time as a database gives it, in UTC."""
    time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return time.astimezone(UTC)


def values_of(event: Event) -> tuple[Any, ...]:
    """An event as values of `COLUMNS` behind its line."""
    gone = None if event.gone_since is None else stamp(event.gone_since)
    return (
        event.id,
        event.state,
        event.confidence,
        event.heading,
        event.road,
        stamp(event.first_seen),
        stamp(event.last_seen),
        stamp(event.last_passed),
        gone,
        event.passes,
        event.sightings,
        event.length_m,
        event.error_m,
        json.dumps(event.images),
        json.dumps(event.classes),
    )


def event_of(line: tuple[Place, ...], row: Sequence[Any], history: tuple[Change, ...]) -> Event:
    """An event of its line, the values behind it, and its history."""
    (name, state, confidence, heading, road, first, last, passed, gone, *numbers) = row
    passes, sightings, length, error, images, classes = numbers
    return Event(
        id=name,
        state=state,
        confidence=confidence,
        line=line,
        heading=heading,
        road=road,
        first_seen=moment(first),
        last_seen=moment(last),
        last_passed=moment(passed),
        gone_since=None if gone is None else moment(gone),
        passes=passes,
        sightings=sightings,
        length_m=length,
        error_m=error,
        images=tuple(json.loads(images)),
        classes=tuple(json.loads(classes)),
        history=history,
    )
