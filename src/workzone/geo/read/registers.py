"""Registers of works as their services send them, by the readers of ``streetworks``.

Read are those whose records come as a list in JSON: most of them. What a service sends in pages, in
several lists or as other files than JSON is not.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

from workzone.errors import FeedError, MissingExtraError, UsageError, nearest
from workzone.geo.crs import is_degrees, system_among, to_degrees
from workzone.geo.works import Part, Work, Works, called_off

_LISTS = ("features", "records", "results", "data", "items", "roadworks")


def read_register(content: Any, register: str, crs: str | None) -> Works:
    """The works in what a register's service sent, a list of records or an object with one.

    ``crs``: what its places are in, where ``streetworks`` does not say so.

    Raises:
        UsageError: there is no such register.
        FeedError: it is not what that register sends.
        MissingExtraError: the extra ``registers`` is not installed.
    """
    readers = registers()
    if register not in readers:
        raise UsageError(f"--register {register}: {nearest(register, readers)}")
    try:
        told = readers[register](_records(content))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"
        raise FeedError(f"this is not what the register {register!r} sends ({what})") from error
    found: list[Work] = []
    without_place = cancelled = 0
    for work in told:
        for site in work.sites:
            if called_off(site.status):
                cancelled += 1
                continue
            place = site.coordinate or work.coordinate
            if place is None:
                without_place += 1
                continue
            name = site.reference or work.reference or f"work {len(found)}"
            where = f"work {name!r}"
            system = system_among(place.crs, crs, where)
            work_read = _work(str(name), site, _parts(place, system, where))
            found.append(replace(work_read, system=system))
    return Works(f"register {register}", tuple(found), without_place, cancelled)


def registers() -> dict[str, Callable[[list[Any]], Iterable[Any]]]:
    """Readers of ``streetworks`` that take a list of records, by the names of registers.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of services that it could not try; none is asked here
            from streetworks import common
            from streetworks.autobahn.parser import parse_roadworks
    except ModuleNotFoundError as error:
        raise MissingExtraError("streetworks", "registers", "reading a register") from error
    found = {
        "autobahn": lambda rows: common.from_autobahn(parse_roadworks({"roadworks": rows}, ""))
    }
    for name, reader in vars(common).items():
        if name.startswith("from_") and callable(reader):
            told = inspect.signature(reader)
            takes = [str(one.annotation) for one in told.parameters.values()]
            if (takes, str(told.return_annotation)) == (["list[JSON]"], "list[Works]"):
                found[name.removeprefix("from_")] = reader
    return found


def _records(content: Any) -> list[Any]:
    if isinstance(content, dict):
        lists = [content[name] for name in _LISTS if isinstance(content.get(name), list)]
        content = lists[0] if lists else None
    if not isinstance(content, list):
        raise FeedError(f"has no list of records; allowed: a list, or one as {', '.join(_LISTS)}")
    return content


def _parts(place: Any, system: str, where: str) -> tuple[Part, ...]:
    """Its lines; ``streetworks`` has latitude first in degrees, and easting first in metres."""
    lines = place.parts or (place.points or (place.value,),)
    found = []
    for line in lines:
        pairs = [(float(row[0]), float(row[1])) for row in line]
        if is_degrees(system):
            pairs = [(second, one) for one, second in pairs]
        found.append(to_degrees(tuple(pairs), system, where))
    return tuple(found)


def _work(name: str, site: Any, parts: tuple[Part, ...]) -> Work:
    return Work(
        id=name,
        parts=parts,
        directed=False,  # no register says by a line which carriageway it means
        start=_zoned(site.actual_start or site.proposed_start),
        end=_last(site.actual_end or site.proposed_end),
        road=site.location_description,
    )


def _zoned(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=UTC)


def _last(moment: datetime | None) -> datetime | None:
    """An end; ``streetworks`` makes midnight of a date alone, which means the end of that day."""
    found = _zoned(moment)
    if found is None or found.year == datetime.max.year:  # of what never ends
        return None
    return found + timedelta(days=1) if found.time() == time() else found
