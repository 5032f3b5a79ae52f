"""Properties of WZDx feeds that the schema lets pass: those of other names, and empty texts."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from workzone.geo.validate.report import Finding
from workzone.geo.validate.wzdx_schema import FEATURE, FEED, Rule, properties, resolved, schema

Meant = set[tuple[str, str]]
"""Where an object is, and the property that something misspelt in it is meant for."""

_CLOSE = 0.75  # of spellings, 1 being the same


def names_of(feed: dict[str, Any]) -> tuple[list[Finding], Meant]:
    """What is wrong with a feed's names, and what was meant where that is clear."""
    found: list[Finding] = []
    meant: Meant = set()
    core = schema(FEATURE)["definitions"]["RoadEventCoreDetails"]["properties"]
    for where, value, known in _objects(feed, schema(FEED), FEED, "$"):
        if not isinstance(value, dict):
            found.append(Finding(where, "is empty"))
            continue
        for name in (name for name in value if name not in known):
            if name in core and "core_details" in known:
                found.append(Finding(f"{where}.{name}", "belongs in 'core_details'"))
                continue
            free = [right for right in sorted(known) if right not in value]
            close = difflib.get_close_matches(name.lower(), free, n=1, cutoff=_CLOSE)
            meant.update((where, right) for right in close)
            found.append(_unknown(f"{where}.{name}", close))
    if "road_event_feed_info" in feed:
        what = "is deprecated; its name is 'feed_info' now"
        found.append(Finding("$.road_event_feed_info", what, level="remark"))
    return found, meant


def _unknown(where: str, close: list[str]) -> Finding:
    if close:
        return Finding(where, f"is no property of WZDx 4.2; did you mean {close[0]!r}?")
    return Finding(where, "is no property of WZDx 4.2; readers pass over it", level="remark")


def _objects(
    value: object, rule: Rule, file: str, where: str
) -> Iterator[tuple[str, object, dict[str, tuple[Rule, str]]]]:
    """Each object, with the names that the schema knows of it; and each empty text."""
    rule, file = resolved(rule, file)
    if isinstance(value, list) and "items" in rule:
        for number, one in enumerate(value):
            yield from _objects(one, rule["items"], file, f"{where}[{number}]")
    elif isinstance(value, dict):
        known = properties(rule, file, value)
        yield where, value, known
        for name in (name for name in value if name in known):
            yield from _objects(value[name], *known[name], f"{where}.{name}")
    elif value == "" and rule.get("type") == "string" and not {"format", "pattern"} & rule.keys():
        yield where, value, {}
