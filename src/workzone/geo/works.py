"""Road work that somebody has permitted or announced, as its publisher tells it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from workzone.data.places import offsets
from workzone.errors import FeedError
from workzone.geo.event import Place
from workzone.geo.ground import heading, turn

Part = tuple[Place, ...]
"""Places in a row; a single one where a work is told to be at a place."""

_COMPASS = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")
_HEADINGS = {name: 45.0 * eighth for eighth, name in enumerate(_COMPASS)}
_HEADINGS |= {f"{name[0]}{b}": _HEADINGS[name] for name in _COMPASS[::2] for b in ("", "b")}

_CALLED_OFF = re.compile(r"\b(cancel|withdrawn|denied|refused|revoked)", re.IGNORECASE)
_SECONDS = 1e8  # since 1970, in 1973: what is less is something else, such as 20251130
_MILLISECONDS = 1e11  # in 1973; as seconds in the year 5138


@dataclass(frozen=True, slots=True)
class Work:
    """A work: where, from when to when, and on which carriageway if that is told."""

    id: str
    parts: tuple[Part, ...]  # longitude and latitude in degrees, WGS 84; one or more
    directed: bool  # whether its parts run along travel, and the other direction is not meant
    start: datetime | None  # with zone; None where it is not told
    end: datetime | None
    road: str | None = None
    source: str = ""  # the path of the file that tells it
    area: bool = False  # whether its parts are rings around what is meant, holes among them
    system: str = "EPSG:4326"  # of coordinates, that its places were turned from


@dataclass(frozen=True, slots=True)
class Works:
    """What a file tells."""

    format: str  # such as "WZDx"
    works: tuple[Work, ...]
    without_place: int = 0  # works that were left out because nobody can tell where they are
    cancelled: int = 0  # works that were left out because they do not take place


def called_off(status: object) -> bool:
    """Whether a status says that a work does not take place, or is not permitted (in English)."""
    return isinstance(status, str) and _CALLED_OFF.search(status) is not None


def running(part: Part, way: float | None, *, at_begin: bool = False) -> tuple[Part, bool]:
    """A part turned so that it runs ``way`` (degrees clockwise from north), and whether it is told.

    A road that is signed one way may lead another for a while, so it is turned round only where its
    last place lies behind its first one; with ``at_begin``, where its second one does.
    """
    if way is None or len(set(part)) < 2:
        return part, False
    (lon, lat), (to_lon, to_lat) = part[0], part[1 if at_begin else -1]
    own = heading(*offsets(to_lon, to_lat, lon, lat))
    return (part if abs(float(turn(own, way))) <= 90 else part[::-1]), True


def way_of(said: object) -> float | None:
    """Degrees clockwise from north of a direction such as northbound, NB or 90; None of others."""
    if isinstance(said, int | float) and not isinstance(said, bool):
        return float(said) % 360
    return (
        _HEADINGS.get(said.strip().lower().removesuffix("bound")) if isinstance(said, str) else None
    )


def time_of(said: object, where: str, *, last: bool = False) -> datetime | None:
    """A date, a date and time (ISO 8601), or seconds or milliseconds since 1970, with a zone.

    It is UTC where it names no zone. None of nothing, and of the years 1 and 9999, which programs
    write for no date.

    Args:
        said: text or a number.
        where: what an error names.
        last: of a date alone the end of that day is meant, not its begin.

    Raises:
        FeedError: it is something else.
    """
    if said is None or said == "":
        return None
    try:
        found, whole_day = _moment(said)
    except (ValueError, OverflowError, OSError) as error:
        raise FeedError(
            f"{where} has the date {said!r}, which cannot be read: write 2025-11-30 or "
            "2025-11-30T07:00:00Z, and leave out what is no date"
        ) from error
    if not 1 < found.year < 9999:
        return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return found + timedelta(days=1) if last and whole_day else found


def _moment(said: object) -> tuple[datetime, bool]:
    """A moment, and whether it is a date alone."""
    if isinstance(said, str):
        text = said.strip().upper()
        return datetime.fromisoformat(text), len(text) <= len("2026-05-01")
    if isinstance(said, bool) or not isinstance(said, int | float) or said < _SECONDS:
        raise ValueError("no date")
    seconds = said / 1000 if said >= _MILLISECONDS else said
    return datetime.fromtimestamp(seconds, UTC), False


def places(rows: Sequence[Sequence[float]]) -> Part:
    """Pairs as places, without what stands behind the second number, such as heights.

    Raises:
        ValueError: a row is no list of two numbers or more.
    """
    found = []
    for row in rows:
        if not isinstance(row, list | tuple) or len(row) < 2:
            raise ValueError(f"{row!r} is no place")
        found.append((float(row[0]), float(row[1])))
    return tuple(found)
