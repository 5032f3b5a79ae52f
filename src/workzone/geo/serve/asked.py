"""What an address asks of the map's events, after its question mark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any, get_args
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from workzone.errors import nearest
from workzone.geo.database import Box
from workzone.geo.event import Place, State
from workzone.geo.out.fields import PUBLISHED, box
from workzone.geo.out.mvt import DEEPEST, box_of_tile
from workzone.serve.problems import Problem

MOST = 10_000
"""Events of one answer."""
_USUAL = 1000
_STATES: tuple[State, ...] = get_args(State)
_LONGEST = 200  # characters of an id
_WORDS = {
    "bbox": "West,south,east,north in degrees: events whose own box meets it. West above east: "
    "across the date line.",
    "time": "Events that were there at a time (ISO 8601, UTC where it names no zone), on a day, or "
    "between two: 2026-06-01/2026-06-30; .. leaves a side open.",
    "state": "suspected, present or gone; several parted by commas. present,gone without it.",
    "limit": f"Events at most, 1 to {MOST}; {_USUAL} without it. `links` leads to the next ones.",
    "after": "Events whose ids come after this one.",
}
PARAMETERS: list[dict[str, Any]] = [
    {"name": name, "in": "query", "description": words, "schema": {"type": "string"}}
    for name, words in _WORDS.items()
]
"""For the description of the service."""
_OF_TILES = ("time", "state")
TILE_PARAMETERS = [one for one in PARAMETERS if one["name"] in _OF_TILES]
"""The same of tiles, beside their place."""
Tile = tuple[int, int, int]
"""Zoom, column from the west, row from the north."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Events that meet all of this, in order of ids."""

    boxes: tuple[Box, ...]
    states: tuple[State, ...]
    begin: datetime | None
    end: datetime | None
    limit: int
    after: str

    def covers(self, line: Iterable[Place]) -> bool:
        """Whether the box of a line meets a box that is asked for, or none is."""
        west, south, east, north = box(line)
        return not self.boxes or any(
            w <= east and west <= e and s <= north and south <= n for w, s, e, n in self.boxes
        )


def asked_of(params: QueryParams) -> Asked:
    """What the parameters ask for.

    Raises:
        Problem: one that is unknown, is there twice, or has a value that cannot be.
    """
    given: dict[str, str] = {}
    for name, value in params.multi_items():
        if name not in _WORDS:
            raise Problem("option", f"{name[:40]!r} is no parameter; {nearest(name[:40], _WORDS)}")
        if name in given:
            raise Problem("option", f"{name} is there twice: give it once, values parted by commas")
        given[name] = value
    begin, end = _span(given["time"]) if "time" in given else (None, None)
    return Asked(
        boxes=_boxes(given["bbox"]) if "bbox" in given else (),
        states=_states(given["state"]) if "state" in given else PUBLISHED,
        begin=begin,
        end=end,
        limit=_limit(given.get("limit", str(_USUAL))),
        after=_after(given.get("after", "")),
    )


def asked_of_tile(path: Mapping[str, str], params: QueryParams) -> tuple[Asked, Tile]:
    """What the address of a tile asks for, and its zoom, column and row.

    Raises:
        Problem: there is no such tile, or a parameter is unknown or has a value that cannot be.
    """
    texts = [path[name] for name in ("zoom", "x", "y")]
    if not all(text.isascii() and text.isdecimal() and len(text) < 9 for text in texts):
        raise _problem("tile", "/".join(texts), "its zoom, column and row are whole numbers")
    zoom, x, y = map(int, texts)
    if zoom > DEEPEST or max(x, y) >= 2**zoom:
        raise _problem(
            "tile", "/".join(texts), f"zooms are 0 to {DEEPEST}, columns and rows below 2^zoom"
        )
    for name in params:
        if name not in _OF_TILES:
            raise Problem(
                "option", f"{name[:40]!r} is no parameter; {nearest(name[:40], _OF_TILES)}"
            )
    asked = asked_of(params)
    return replace(asked, boxes=(box_of_tile(zoom, x, y),), limit=MOST), (zoom, x, y)


def next_link(params: QueryParams, after: str) -> str:
    """The address of the events after one, relative to the one that was asked."""
    query = {**dict(params.items()), "after": after}
    return f"?{urlencode(query)}"


def _boxes(text: str) -> tuple[Box, ...]:
    """One box, or two on both sides of the date line."""
    try:
        west, south, east, north = map(float, text.split(","))
    except ValueError:
        raise _problem(
            "bbox", text, "give west,south,east,north, such as 13.0,52.3,13.8,52.7"
        ) from (None)
    numbers = (west, south, east, north)
    if not (
        all(map(math.isfinite, numbers))
        and max(abs(west), abs(east)) <= 180
        and max(abs(south), abs(north)) <= 90
    ):
        raise _problem("bbox", text, "longitudes are -180 to 180, latitudes -90 to 90 degrees")
    if south > north:
        raise _problem("bbox", text, "south is above north; give west,south,east,north")
    if west > east:
        return (west, south, 180.0, north), (-180.0, south, east, north)
    return (numbers,)


def _span(text: str) -> tuple[datetime | None, datetime | None]:
    """From when to when, both included; None where a side is open."""
    first, slash, last = text.partition("/")
    begin = None if slash and first == ".." else _moments(first, text)[0]
    end = (
        _moments(first, text)[1] if not slash else None if last == ".." else _moments(last, text)[1]
    )
    if begin is not None and end is not None and begin > end:
        raise _problem("time", text, "it begins after its end")
    return begin, end


def _moments(text: str, whole: str) -> tuple[datetime, datetime]:
    """The begin and the end of a day, or a moment twice."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        pass
    else:
        return datetime.combine(day, time.min, UTC), datetime.combine(day, time.max, UTC)
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _problem(
            "time",
            whole,
            "give ISO 8601, such as 2026-06-01, 2026-06-01T12:00:00Z or 2026-06-01/..; the + of a "
            "zone is written %2B in an address",
        ) from None
    return moment, moment


def _states(text: str) -> tuple[State, ...]:
    wanted = text.split(",")
    for name in wanted:
        if name not in _STATES:
            raise _problem("state", name, nearest(name[:40], _STATES))
    return tuple(state for state in _STATES if state in wanted)


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= MOST):
        raise _problem("limit", text, f"1 to {MOST} events come at once; `links` leads to more")
    return int(text)


def _after(text: str) -> str:
    if len(text) > _LONGEST or not text.isprintable():
        raise _problem("after", text, "give the id of an event, as `links` has it")
    return text


def _problem(name: str, value: str, fix: str) -> Problem:
    return Problem("option", f"{name} {value[:60]!r}: {fix}")
