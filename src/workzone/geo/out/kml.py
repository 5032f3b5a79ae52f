"""Events as KML 2.2 (https://www.ogc.org/standards/kml), for Google Earth and others."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement

from workzone.geo.event import Event
from workzone.geo.out.fields import ended, iso, places, sentence, values
from workzone.geo.out.xml import add, document

_NAMESPACE = "http://www.opengis.net/kml/2.2"
_COLOURS = {"suspected": "ffb27200", "present": "ff005ed5", "gone": "ff78716a"}
"""As aabbggrr, those of the page (``geo/page/page.css``, light)."""


def to_kml(events: Iterable[Event]) -> bytes:
    """A placemark for each event: its line, its time span, and its fields as data.

    Raises:
        FeedError: an event without two distinct places.
    """
    root = Element("kml", xmlns=_NAMESPACE)
    page = SubElement(root, "Document")
    add(page, "name", "Work zones")
    for state, colour in _COLOURS.items():
        line = SubElement(SubElement(page, "Style", id=state), "LineStyle")
        add(line, "color", colour)
        add(line, "width", "4")
    for event in events:
        _placemark(page, event)
    return document(root)


def _placemark(page: Element, event: Event) -> None:
    mark = SubElement(page, "Placemark")
    add(mark, "name", event.road or event.id)
    add(mark, "description", sentence(event))
    span = SubElement(mark, "TimeSpan")
    add(span, "begin", iso(event.first_seen))
    if (end := ended(event)) is not None:
        add(span, "end", iso(end))
    add(mark, "styleUrl", f"#{event.state}")
    data = SubElement(mark, "ExtendedData")
    for name, value in values(event).items():
        if value is not None and not isinstance(value, list):
            add(SubElement(data, "Data", name=name), "value", str(value))
    line = SubElement(mark, "LineString")
    add(line, "tessellate", "1")
    add(line, "coordinates", " ".join(f"{x:.7f},{y:.7f}" for x, y in places(event)))
