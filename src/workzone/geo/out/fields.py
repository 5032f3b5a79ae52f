"""What the formats share: times, places, and an event's fields as plain values."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from workzone.errors import FeedError
from workzone.geo.event import Event, Place, State

PUBLISHED: tuple[State, ...] = ("present", "gone")
"""What is sent to others unless more is asked for: a suspicion is for the own map."""
_DECIMALS = 7  # of degrees: a centimetre
_FORMULA = ("=", "+", "-", "@", "\t")  # what formulas begin with in spreadsheets


def chosen(events: Iterable[Event], states: Iterable[State]) -> Iterator[Event]:
    """The events in one of ``states``."""
    wanted = frozenset(states)
    return (event for event in events if event.state in wanted)


def places(event: Event) -> list[Place]:
    """The line in degrees to 7 decimals, without places that repeat the one before.

    Raises:
        FeedError: there are no two distinct ones, or one is not on the globe.
    """
    line: list[Place] = []
    for longitude, latitude in event.line:
        if not (abs(longitude) <= 180 and abs(latitude) <= 90):
            raise FeedError(
                f"event {event.id!r}: longitude {longitude:g}, latitude {latitude:g} is not on the "
                "globe; places are (longitude, latitude)"
            )
        place = (round(longitude, _DECIMALS), round(latitude, _DECIMALS))
        if line[-1:] != [place]:
            line.append(place)
    if len(line) < 2:
        raise FeedError(f"event {event.id!r} has no two distinct places; its line needs them")
    return line


def box(line: Iterable[Place]) -> tuple[float, float, float, float]:
    """West, south, east, north of a line."""
    longitudes, latitudes = zip(*line, strict=True)
    return min(longitudes), min(latitudes), max(longitudes), max(latitudes)


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC; to the second, or as finely as it is known.

    Raises:
        ValueError: it has no zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no zone; times of events are in UTC")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def ended(event: Event) -> datetime | None:
    """When an event was found gone; None of one that is there."""
    return (event.gone_since or event.last_passed) if event.state == "gone" else None


def changed(event: Event) -> datetime:
    """When an event was last looked at, or something became of it."""
    return max(event.last_passed, *(change.time for change in event.history), event.last_seen)


def ends(event: Event, published: datetime, lasts: timedelta) -> datetime:
    """When a feed says that an event ends: a guess, ``lasts`` after publication, while it lasts."""
    return ended(event) or max(published, event.last_passed) + lasts


def sentence(event: Event) -> str:
    """What was seen, in words for people."""
    seen = f"seen by {event.sightings} of {event.passes} passing drives"
    last = f"last on {iso(event.last_seen)[:10]}"
    return f"Road work, {seen}, {last}; confidence {event.confidence:.2f}."


def csv_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """CSV in which spreadsheets take no text for a formula: an apostrophe goes before it.

    Names of roads and ids of works come from strangers; numbers stay numbers.
    Source: https://owasp.org/www-community/attacks/CSV_Injection.

    Args:
        rows: with all columns and no others.
        columns: in their order.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = {n: _safe(value) if isinstance(value, str) else value for n, value in row.items()}
        writer.writerow(cells)
    return text.getvalue()


def _safe(text: str) -> str:
    text = text.replace("\r", " ")  # which csv does not quote, and spreadsheets end rows at
    return f"'{text}" if text.startswith(_FORMULA) else text


def values(event: Event) -> dict[str, Any]:
    """All fields but the line, as JSON holds them; None where something is not known."""
    gone = event.gone_since
    return {
        "id": event.id,
        "state": event.state,
        "confidence": round(event.confidence, 4),
        "road": event.road,
        "heading": None if event.heading is None else round(event.heading, 1),
        "first_seen": iso(event.first_seen),
        "last_seen": iso(event.last_seen),
        "last_passed": iso(event.last_passed),
        "gone_since": None if gone is None else iso(gone),
        "passes": event.passes,
        "sightings": event.sightings,
        "length_m": round(event.length_m, 1),
        "error_m": round(event.error_m, 1),
        "images": list(event.images),
        "classes": list(event.classes),
        "history": [
            {"time": iso(change.time), "what": change.what, "other": change.other}
            for change in event.history
        ],
    }


def flat_values(event: Event) -> dict[str, Any]:
    """The same for what takes no lists: images and classes parted by ``|``, without its history."""
    found = values(event)
    del found["history"]
    return found | {name: "|".join(found[name]) for name in ("images", "classes")}
