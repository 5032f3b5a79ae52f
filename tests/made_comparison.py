"""Seen against permitted: every verdict, and works of every shape."""

from __future__ import annotations

from datetime import timedelta

from made_events import NOW, event
from workzone.geo.compare import Comparison, Row
from workzone.geo.event import Event, Place
from workzone.geo.ground import moved
from workzone.geo.works import Work

CENTRE = (13.4, 52.5)
DAY = timedelta(days=1)
HOSTILE = "<img src=x onerror=\"document.title='gone'\"></script><b>7</b>"


def at(east: float, north: float) -> Place:
    """A place so many metres from the centre."""
    return moved(*CENTRE, east, north)


def zone(number: int, begin: Place, end: Place, **fields: object) -> Event:
    """An event between two places, which is there."""
    made = {"state": "present", "confidence": 0.95, "gone_since": None, "line": (begin, end)}
    return event(number, **(made | fields))


def work(name: str, *parts: tuple[Place, ...], **fields: object) -> Work:
    """One of two months, in both directions, that a file of permits tells."""
    made = {"directed": False, "start": NOW - 40 * DAY, "end": NOW + 20 * DAY}
    return Work(name, parts, **(made | {"source": "permits.geojson"} | fields))


OVER = work("P-1", (at(0, 20), at(300, 20)), end=NOW - 20 * DAY, road="Mill Road")
LONG = work("P-2", (at(-40_000, 400), at(900, 400)), (at(1000, 400), at(1200, 400)))
NOWHERE = work(HOSTILE, (at(-300, -300),), road=HOSTILE, start=None, end=None)
COMPARISON = Comparison(
    rows=(
        Row("over_end_date", zone(0, at(0, 0), at(300, 0), road=None), (OVER,), 7, 12.4),
        Row("seen_not_permitted", zone(1, at(0, -200), at(200, -200), road="High Street"), (), 9),
        Row("permitted_not_seen", None, (LONG,), 3),
        Row("permitted_not_seen", None, (NOWHERE,), 0),
        Row("permitted_not_seen", None, (work("P-2", (at(500, 0), at(500, 300))),), 0),
        Row("permitted_and_seen", zone(2, at(400, 420), at(700, 420)), (LONG, OVER), 4),
    ),
    planned=2,
    now=NOW,
)
