"""Events as a situation publication of DATEX II version 3 (https://docs.datex2.eu).

Each event is a situation of one MaintenanceWorks: the kind of road work of which no plan is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from xml.etree.ElementTree import Element, SubElement

from workzone.errors import UsageError
from workzone.geo.event import Event, State
from workzone.geo.out.fields import PUBLISHED, changed, chosen, ended, iso, places, sentence
from workzone.geo.out.publisher import Publisher
from workzone.geo.out.xml import add, document

_SCHEMA = "http://datex2.eu/schema/3/"
_NAMESPACES = {
    "xmlns:d2": f"{_SCHEMA}d2Payload",
    "xmlns:com": f"{_SCHEMA}common",
    "xmlns:loc": f"{_SCHEMA}locationReferencing",
    "xmlns:sit": f"{_SCHEMA}situation",
    "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
_LANGUAGE = "en"


def to_datex(
    events: Iterable[Event],
    publisher: Publisher,
    *,
    published: datetime,
    states: Iterable[State] = PUBLISHED,
) -> bytes:
    """A publication of the events in ``states`` as UTF-8 XML, ids the same in every one.

    Args:
        published: when the publication is made, with a zone.

    Raises:
        UsageError: the publisher's country is not told.
        FeedError: an event without two distinct places.
        ValueError: a time without a zone.
    """
    if publisher.country is None:
        raise UsageError("DATEX II needs the publisher's country; say country='DE' or another")
    kind = {"xsi:type": "sit:SituationPublication", "lang": _LANGUAGE, "modelBaseVersion": "3"}
    root = Element("d2:payload", _NAMESPACES | kind)
    add(root, "com:publicationTime", iso(published))
    creator = SubElement(root, "com:publicationCreator")
    add(creator, "com:country", publisher.country.lower())
    add(creator, "com:nationalIdentifier", publisher.name)
    for event in chosen(events, states):
        _situation(root, event, publisher)
    return document(root)


def _situation(root: Element, event: Event, publisher: Publisher) -> None:
    situation = SubElement(root, "sit:situation", id=event.id)
    add(situation, "sit:situationVersionTime", iso(changed(event)))
    header = SubElement(situation, "sit:headerInformation")
    add(header, "com:informationStatus", "real")
    record = SubElement(
        situation,
        "sit:situationRecord",
        {
            "xsi:type": "sit:MaintenanceWorks",
            "id": f"{event.id}-works",
            # A version must rise with every change; seconds do, and need no memory.
            "version": str(int(changed(event).timestamp())),
        },
    )
    add(record, "sit:situationRecordCreationTime", iso(event.first_seen))
    add(record, "sit:situationRecordObservationTime", iso(event.last_seen))
    add(record, "sit:situationRecordVersionTime", iso(changed(event)))
    likely = "riskOf" if event.state == "suspected" else "probable"
    add(record, "sit:probabilityOfOccurrence", likely)
    _words(SubElement(record, "sit:source"), "com:sourceName", publisher.name)
    _validity(record, event)
    _words(SubElement(record, "sit:generalPublicComment"), "sit:comment", sentence(event))
    _location(record, event)
    add(record, "sit:roadMaintenanceType", "roadworks")


def _validity(record: Element, event: Event) -> None:
    """Since when, and until when where that is known."""
    end = ended(event)
    validity = SubElement(record, "sit:validity")
    add(validity, "com:validityStatus", "active" if end is None else "definedByValidityTimeSpec")
    span = SubElement(validity, "com:validityTimeSpecification")
    add(span, "com:overallStartTime", iso(event.first_seen))
    if end is not None:
        add(span, "com:overallEndTime", iso(end))


def _location(record: Element, event: Event) -> None:
    location = SubElement(record, "sit:locationReference", {"xsi:type": "loc:LinearLocation"})
    if event.road is not None:
        place = SubElement(location, "loc:supplementaryPositionalDescription")
        add(SubElement(place, "loc:roadInformation"), "loc:roadName", event.road)
    system = {"srsName": "urn:ogc:def:crs:EPSG::4326", "srsDimension": "2"}  # latitude first
    line = SubElement(location, "loc:gmlLineString", system)
    add(line, "loc:posList", " ".join(f"{y:.7f} {x:.7f}" for x, y in places(event)))


def _words(above: Element, name: str, said: str) -> None:
    """Text with its language."""
    held = SubElement(SubElement(above, name), "com:values")
    add(held, "com:value", said).set("lang", _LANGUAGE)
