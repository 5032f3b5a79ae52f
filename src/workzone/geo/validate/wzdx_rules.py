"""Rules of WZDx feeds that no schema checks; what has not the right shape is passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from workzone.errors import nearest
from workzone.geo.event import Place
from workzone.geo.validate.moments import moment
from workzone.geo.validate.places import faults_of_line, faults_of_places, on_globe, swapped_places
from workzone.geo.validate.report import Finding

VERSION = "4.2"


def broken_rules(feed: dict[str, Any]) -> Iterator[Finding]:
    """What is wrong with a feed whatever its schema says."""
    name = "feed_info" if "feed_info" in feed else "road_event_feed_info"
    info = _dict(feed.get(name))
    sources = _texts(_dict(one).get("data_source_id") for one in _list(info.get("data_sources")))
    yield from _version(f"$.{name}.version", info.get("version"))
    yield from _repeated(f"$.{name}.data_sources", "data_source_id", sources)
    features = [_dict(one) for one in _list(feed.get("features"))]
    yield from _repeated("$.features", "id", _texts(one.get("id") for one in features))
    for number, feature in enumerate(features):
        properties = _dict(feature.get("properties"))
        where = f"$.features[{number}]"
        yield from _source(where, _dict(properties.get("core_details")), sources)
        yield from _dates(where, properties)
        line = line_of(feature)
        check = faults_of_line if len(line) > 1 else faults_of_places  # the schema counts them
        for said in check(line, first="longitude"):
            yield Finding(f"{where}.geometry.coordinates", said)
    yield from _swapped(features)


def line_of(feature: dict[str, Any]) -> list[Place]:
    """Longitude and latitude of each position; those that are none are left out."""
    positions = _list(_dict(feature.get("geometry")).get("coordinates"))
    pairs = [one[:2] for one in positions if isinstance(one, list) and len(one) > 1]
    return [(float(x), float(y)) for x, y in pairs if _number(x) and _number(y)]


def _version(where: str, version: object) -> Iterator[Finding]:
    if isinstance(version, str) and version != VERSION:
        patch = version.startswith(f"{VERSION}.")
        what = "without a third number" if patch else "its rules are those that were looked at"
        yield Finding(where, f"is {version!r}, not '{VERSION}': {what}")


def _repeated(where: str, name: str, values: list[str]) -> Iterator[Finding]:
    for value, count in Counter(values).items():
        if count > 1:
            yield Finding(where, f"have the {name} {value!r} {count} times; each needs its own")


def _source(where: str, core: dict[str, Any], sources: list[str]) -> Iterator[Finding]:
    source = core.get("data_source_id")
    if isinstance(source, str) and source and sources and source not in sources:
        what = f"is {source!r}, which is not in feed_info.data_sources; {nearest(source, sources)}"
        yield Finding(f"{where}.properties.core_details.data_source_id", what)


def _dates(where: str, properties: dict[str, Any]) -> Iterator[Finding]:
    core = _dict(properties.get("core_details"))
    pairs = (
        (properties, "start_date", "end_date", f"{where}.properties"),
        (core, "creation_date", "update_date", f"{where}.properties.core_details"),
    )
    for values, first, last, path in pairs:
        begin, end = moment(values.get(first)), moment(values.get(last))
        if begin is not None and end is not None and end < begin:
            yield Finding(f"{path}.{last}", f"is {values[last]!r}, before {first}")


def _swapped(features: list[dict[str, Any]]) -> Iterator[Finding]:
    lines = {number: line_of(feature) for number, feature in enumerate(features)}
    lines = {number: line for number, line in lines.items() if all(map(on_globe, line))}
    for number in swapped_places(lines):
        yield Finding(
            f"$.features[{number}].geometry.coordinates",
            "is far from the other events, and near them with longitude and latitude swapped: "
            "longitude comes first",
        )


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(values: Iterator[object]) -> list[str]:
    return [value for value in values if isinstance(value, str)]


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
