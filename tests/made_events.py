"""Events as the map has them, drawn from a seed, and a publisher."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

from workzone.geo.event import Change, Event
from workzone.geo.out.publisher import Publisher

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PUBLISHER = Publisher(name="City of Example", country="DE", contact_email="maps@example.org")


def event(number: int = 0, **fields: object) -> Event:
    """One near Berlin; the same for the same number."""
    chance = random.Random(number)
    longitude, latitude = 13 + chance.random(), 52 + chance.random()
    heading = chance.uniform(0, 360)
    east, north = math.sin(math.radians(heading)), math.cos(math.radians(heading))
    steps = range(chance.randint(2, 6))
    first = NOW - timedelta(days=chance.randint(5, 40), seconds=chance.randint(0, 86_399))
    gone = number % 5 == 4
    passes = chance.randint(3, 30)
    made = {
        "id": f"wz-{number:05d}",
        "state": "gone" if gone else "suspected" if number % 5 == 3 else "present",
        "confidence": chance.random(),
        "line": tuple((longitude + 5e-4 * i * east, latitude + 5e-4 * i * north) for i in steps),
        "heading": None if number % 7 == 6 else heading,
        "road": None if number % 3 == 2 else f"B {number % 99 + 1}",
        "first_seen": first,
        "last_seen": first + timedelta(days=2),
        "last_passed": first + timedelta(days=4),
        "gone_since": first + timedelta(days=3) if gone else None,
        "passes": passes,
        "sightings": chance.randint(1, passes),
        "length_m": 55.6 * (len(steps) - 1),
        "error_m": 12.34,
        "images": (f"drive-{number}/0001", f"drive-{number}/0002"),
        "classes": ("cone", "barrier") if number % 2 else (),
        "history": (Change(first, "suspected"), Change(first + timedelta(days=1), "present")),
    }
    return Event(**(made | fields))


def published(count: int) -> list[Event]:
    """So many of which none is merely suspected."""
    return [event(n, state="present") if n % 5 == 3 else event(n) for n in range(count)]
