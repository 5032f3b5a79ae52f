"""Road works of DATEX II situation publications, version 3 and 2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from xml.etree.ElementTree import Element

from workzone.errors import FeedError
from workzone.geo.crs import northing_first, system_among, to_degrees
from workzone.geo.validate.xml import find, find_all, local, text, type_of
from workzone.geo.works import Part, Work, Works, running, time_of, way_of

_KINDS = ("MaintenanceWorks", "ConstructionWorks", "Roadworks")
_PLACES = ("locationReference", "groupOfLocations")  # of version 3, and of 2
_WAYS = ("tpegDirection", "directionBoundOnLinearSection")


def read_datex(root: Element, crs: str | None) -> Works:
    """The road works of a publication, one for each record; others are passed over.

    ``crs``: what its places are in, where it does not say so itself.

    Raises:
        FeedError: no publication of situations, or a record's places cannot be.
        UsageError: a system of coordinates that is none.
    """
    names = {local(element) for element in root.iter()}
    if not names & {"payload", "payloadPublication", "situation"}:
        raise FeedError("this XML is no DATEX II publication of situations")
    found, without_place, cancelled = [], 0, 0
    for record in find_all(root, "situationRecord"):
        if type_of(record) not in _KINDS:
            continue
        if _called_off(record):
            cancelled += 1
            continue
        where = f"record {record.get('id', '')!r}"
        location = next((child for child in record if local(child) in _PLACES), None)
        parts = [] if location is None else list(_parts(location, crs, where))
        if parts:
            systems = [system for _, system in parts]
            work = _work(record, location, [part for part, _ in parts])
            found.append(replace(work, system=systems[0]))
        else:
            without_place += 1
    return Works("DATEX II", tuple(found), without_place, cancelled)


def _called_off(record: Element) -> bool:
    """Whether it is suspended, or its publisher has cancelled or ended it."""
    if text(find(record, "validity", "validityStatus")) == "suspended":
        return True
    marks = [
        text(find(life, name))
        for life in find_all(record, "lifeCycleManagement")
        for name in ("cancel", "end")
    ]
    return any(mark in ("true", "1") for mark in marks)


def _work(record: Element, location: Element | None, parts: list[Part]) -> Work:
    span = find(record, "validity", "validityTimeSpecification")
    span = record if span is None else span
    where = f"record {record.get('id', '')!r}"
    way = None if location is None else _way(location)
    turned = [running(part, way) for part in parts]
    return Work(
        id=record.get("id", ""),
        parts=tuple(part for part, _ in turned),
        directed=all(told for _, told in turned),
        start=time_of(text(find(span, "overallStartTime")), where),
        end=time_of(text(find(span, "overallEndTime")), where, last=True),
        road=_said(record, "roadNumber") or _said(record, "roadName"),
    )


def _parts(location: Element, crs: str | None, where: str) -> Iterator[tuple[Part, str]]:
    """Its lines, each with its system; else the two ends of a stretch, else its first place."""
    lines = list(find_all(location, "gmlLineString"))
    for line in lines:
        system = system_among(line.get("srsName"), crs, where)
        rows = _numbers(text(find(line, "posList")).split(), where)
        pairs = list(zip(rows[::2], rows[1::2], strict=False))
        if northing_first(system):  # the order of GML is the system's own
            pairs = [(second, one) for one, second in pairs]
        if pairs:
            yield to_degrees(tuple(pairs), system, where), system
    if lines:
        return
    system = system_among(None, crs, where)
    ends = [find_all(location, name) for name in ("from", "to")]
    stretch = [pair for end in ends for one in end for pair in _pairs(one, where)]
    part = tuple(stretch if len(stretch) > 1 else list(_pairs(location, where))[:1])
    if part:
        yield to_degrees(part, system, where), system


def _pairs(above: Element, where: str) -> Iterator[tuple[float, float]]:
    for pair in find_all(above, "pointCoordinates"):
        words = [text(find(pair, name)) for name in ("longitude", "latitude")]
        longitude, latitude = _numbers(words, where)
        yield longitude, latitude


def _numbers(words: list[str], where: str) -> list[float]:
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise FeedError(f"{where} has coordinates that are no numbers: {error}") from error


def _way(location: Element) -> float | None:
    """The direction by the compass, such as northBound; None where none is told, or both are."""
    words = (text(one) for name in _WAYS for one in find_all(location, name))
    return next((way for word in words if (way := way_of(word)) is not None), None)


def _said(record: Element, name: str) -> str | None:
    """The first text below some element, which may be one in several languages."""
    element = next(find_all(record, name), None)
    words = () if element is None else (text(one) for one in element.iter())
    return next(filter(None, words), None)
