"""Where DATEX II says that something is: GML lines and pairs of coordinates, latitude first."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from workzone.geo.event import Place
from workzone.geo.validate.places import faults_of_line, faults_of_places
from workzone.geo.validate.report import Finding
from workzone.geo.validate.xml import find, find_all, local, text

_WGS84 = ("4326", "4258")  # ends of srsName; 4258 is ETRS89, within a metre


def check_location(record: Element, where: str) -> Iterator[Finding]:
    """What is wrong with the place of a record; other ways to say it, as OpenLR, are not read."""
    event = record.get("id")
    names = ("locationReference", "groupOfLocations")  # of version 3, and of 2
    location = next((child for child in record if local(child) in names), None)
    if location is None:
        yield Finding(where, "lacks 'locationReference': where it is", event)
        return
    path = f"{where}/{local(location)}"
    for line in find_all(location, "gmlLineString"):
        yield from _line(line, f"{path}/gmlLineString", event)
    for pair in find_all(location, "pointCoordinates"):
        yield from _pair(pair, f"{path}/pointCoordinates", event)


def _line(line: Element, where: str, event: str | None) -> Iterator[Finding]:
    system = line.get("srsName", "")
    if system and not system.endswith(_WGS84):
        what = f"is in {system!r}; its places are not looked at"
        yield Finding(where, what, event, "remark")
        return
    values = _numbers(text(find(line, "posList")).split())
    if values is None or len(values) % 2:
        yield Finding(f"{where}/posList", "is no list of pairs: latitude longitude ...", event)
        return
    places: list[Place] = [(values[i + 1], values[i]) for i in range(0, len(values), 2)]
    for said in faults_of_line(places, first="latitude"):
        yield Finding(f"{where}/posList", said, event)


def _pair(pair: Element, where: str, event: str | None) -> Iterator[Finding]:
    values = _numbers([text(find(pair, "longitude")), text(find(pair, "latitude"))])
    if values is None:
        yield Finding(where, "lacks a 'latitude' and a 'longitude' in degrees", event)
        return
    for said in faults_of_places([(values[0], values[1])], first="latitude"):
        yield Finding(where, said, event)


def _numbers(words: list[str]) -> list[float] | None:
    try:
        return [float(word) for word in words]
    except ValueError:
        return None
