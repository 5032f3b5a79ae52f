"""DATEX II situation publications of road works, version 3, and 2 where it says the same.

Checked is what readers of road works need, by the data model's rules
(https://docs.datex2.eu); not every element: the XML schema is not within this package. Records of
other kinds, such as accidents, are passed over.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from workzone.errors import FeedError, nearest
from workzone.geo.validate.datex_places import check_location
from workzone.geo.validate.moments import moment
from workzone.geo.validate.report import Finding, Report
from workzone.geo.validate.xml import find, find_all, local, text, type_of

_NEEDED = (
    "situationRecordCreationTime",
    "situationRecordVersionTime",
    "probabilityOfOccurrence",
    "validity",
)
_PROBABILITIES = ("certain", "probable", "riskOf")
_STATUSES = ("active", "definedByValidityTimeSpec", "suspended")
_WORKS = {"MaintenanceWorks": "roadMaintenanceType", "ConstructionWorks": "constructionWorkType"}
_CLOSE = 0.8  # of spellings, 1 being the same


def check_datex(root: Element) -> Report:
    """All that is wrong with a publication's road works, in order.

    Raises:
        FeedError: it is no DATEX II, or no publication of situations.
    """
    version = _version(root)
    situations = list(find_all(root, "situation"))
    findings = list(_publication(root))
    findings += _repeated("situation", [situation.get("id", "") for situation in situations])
    records = []
    for number, situation in enumerate(situations, 1):
        where = f"situation[{number}]"
        if not situation.get("id"):
            findings.append(Finding(where, "lacks its 'id'"))
        below = [child for child in situation if local(child) == "situationRecord"]
        if not below:
            findings.append(Finding(where, "has no 'situationRecord'", situation.get("id")))
        for place, record in enumerate(below, 1):
            if not type_of(record) or _is_works(type_of(record)):
                records.append(record)
                findings += _record(record, f"{where}/situationRecord[{place}]")
    findings += _repeated("situationRecord", [record.get("id", "") for record in records])
    return Report(f"DATEX II {version}", len(records), tuple(findings))


def _is_works(kind: str) -> bool:
    names = (*_WORKS, "Roadworks")
    return bool(difflib.get_close_matches(kind, names, n=1, cutoff=_CLOSE))


def _version(root: Element) -> str:
    tags = (element.tag for element in root.iter())
    found = next(
        (m for tag in tags if (m := re.match(r"\{https?://datex2\.eu/schema/(\d)", tag))), None
    )
    if found is None:
        raise FeedError(
            "this XML is no DATEX II: it has no namespace http://datex2.eu/schema/3/..."
        )
    names = {local(element) for element in root.iter()}
    if not names & {"publicationTime", "situation"}:
        raise FeedError("this DATEX II is no publication of situations")
    return found[1]


def _publication(root: Element) -> Iterator[Finding]:
    for name in ("publicationTime", "publicationCreator"):
        element = next(find_all(root, name), None)
        if element is None:
            yield Finding("payload", f"lacks '{name}'")
        elif name == "publicationTime":
            yield from _time(element, name, None)


def _repeated(kind: str, ids: list[str]) -> Iterator[Finding]:
    for name, count in Counter(filter(None, ids)).items():
        if count > 1:
            yield Finding(kind, f"has the id {name!r} {count} times; each needs its own", name)


def _record(record: Element, where: str) -> Iterator[Finding]:
    event, kind = record.get("id"), type_of(record)
    for name in ("id", "version"):
        if not record.get(name):
            yield Finding(where, f"lacks its '{name}'", event)
    needed = [*_NEEDED, *([_WORKS[kind]] if kind in _WORKS else [])]
    if not kind:
        yield Finding(where, "lacks its xsi:type, such as MaintenanceWorks", event)
    elif kind == "Roadworks":
        what = "is of the abstract type Roadworks; say MaintenanceWorks or ConstructionWorks"
        yield Finding(where, what, event)
    elif kind not in _WORKS:
        yield Finding(where, f"is of type {kind!r}; {nearest(kind, _WORKS)}", event)
    present = [local(child) for child in record]
    for name in needed:
        if name not in present:
            close = difflib.get_close_matches(name, set(present) - set(needed), n=1, cutoff=_CLOSE)
            hint = f"; {close[0]!r} may be meant for it" if close else ""
            yield Finding(where, f"lacks '{name}'{hint}", event)
    yield from _word(record, where, ("probabilityOfOccurrence",), _PROBABILITIES)
    yield from _word(record, where, ("validity", "validityStatus"), _STATUSES)
    yield from _times(record, where)
    yield from check_location(record, where)


def _word(
    record: Element, where: str, path: tuple[str, ...], allowed: tuple[str, ...]
) -> Iterator[Finding]:
    element = find(record, *path)
    if element is not None and text(element) not in allowed:
        what = f"is {text(element)!r}; {nearest(text(element), allowed)}"
        yield Finding("/".join((where, *path)), what, record.get("id"))


def _times(record: Element, where: str) -> Iterator[Finding]:
    event = record.get("id")
    created, changed = "situationRecordCreationTime", "situationRecordVersionTime"
    yield from _order(record, created, changed, where, event)
    validity = find(record, "validity")
    if validity is None:
        return
    if find(validity, "validityStatus") is None:
        yield Finding(f"{where}/validity", "lacks 'validityStatus'", event)
    span, path = find(validity, "validityTimeSpecification"), f"{where}/validity"
    if span is None or find(span, "overallStartTime") is None:
        lacking = "validityTimeSpecification/overallStartTime"
        yield Finding(path, f"lacks '{lacking}': since when", event)
    if span is not None:
        path += "/validityTimeSpecification"
        yield from _order(span, "overallStartTime", "overallEndTime", path, event)
        for period in find_all(span, "validPeriod"):
            yield from _order(period, "startOfPeriod", "endOfPeriod", f"{path}/validPeriod", event)


def _order(
    above: Element, first: str, last: str, where: str, event: str | None
) -> Iterator[Finding]:
    """Two times: whether they are ones, and in order."""
    elements = [find(above, first), find(above, last)]
    for element, name in zip(elements, (first, last), strict=True):
        if element is not None:
            yield from _time(element, f"{where}/{name}", event)
    begin, end = (moment(text(element)) for element in elements)
    if begin is not None and end is not None and end < begin:
        yield Finding(f"{where}/{last}", f"is {text(elements[1])!r}, before {first}", event)


def _time(element: Element, where: str, event: str | None) -> Iterator[Finding]:
    if moment(text(element)) is None:
        what = f"is {text(element)!r}, not a date and time with zone such as 2026-05-01T07:00:00Z"
        yield Finding(where, what, event)
