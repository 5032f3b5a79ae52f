"""The schema of WZDx 4.2 as USDOT publishes it, and what it says of each place of a feed.

The files in ``wzdx_4_2`` are those of https://github.com/usdot-jpo-ode/wzdx, unchanged. They refer
to two of geojson.org, which are made here from RFC 7946; nothing is fetched.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

Rule = dict[str, Any]
"""A JSON schema, or a part of one."""

FEED, FEATURE = "WorkZoneFeed", "RoadEventFeature"
GEOMETRIES = ("LineString", "MultiPoint")  # as in the schema's oneOf
_FILES = ("BoundingBox", "Direction", "FeedInfo", FEATURE, FEED)
_SECOND = ("detour", "MultiPoint")  # what the second part of a oneOf is for


@functools.cache
def validator() -> Any:
    """A validator of feeds that knows all files it needs, and checks dates.

    Raises:
        ModuleNotFoundError: a package of the extra ``geo`` is not installed.
    """
    import rfc3339_validator  # noqa: F401 - without it jsonschema lets every date pass
    from jsonschema import Draft7Validator
    from referencing import Registry
    from referencing.jsonschema import DRAFT7

    schemas = [schema(name) for name in (*_FILES, *GEOMETRIES)]
    registry: Any = Registry().with_resources(
        [(one["$id"], DRAFT7.create_resource(one)) for one in schemas]
    )
    checker = Draft7Validator.FORMAT_CHECKER
    return Draft7Validator(schema(FEED), registry=registry, format_checker=checker)


@functools.cache
def schema(name: str) -> Rule:
    """One file of the schema, by its name without suffix."""
    if name in GEOMETRIES:
        return _places(name)
    file = resources.files("workzone.geo.validate") / "wzdx_4_2" / f"{name}.json"
    rule: Rule = json.loads(file.read_text(encoding="utf-8"))
    return rule


def resolved(rule: Rule, file: str) -> tuple[Rule, str]:
    """What a rule of a file refers to, and in which file that is; itself if to nothing."""
    while "$ref" in rule:
        address, _, pointer = rule["$ref"].partition("#")
        if address:
            file = address.rpartition("/")[2].removesuffix(".json")
        rule = schema(file)
        for part in filter(None, pointer.split("/")):
            rule = rule[part]
    return rule, file


def properties(rule: Rule, file: str, value: dict[str, Any]) -> dict[str, tuple[Rule, str]]:
    """Names that a rule knows of an object, each with its rule and the file that is in."""
    rule, file = resolved(rule, file)
    found = {name: (below, file) for name, below in rule.get("properties", {}).items()}
    parts = list(rule.get("allOf", ()))
    if "oneOf" in rule:
        parts.append(rule["oneOf"][branch(value)])
    for part in parts:
        found |= properties(part, file, value)
    return found


def branch(value: object) -> int:
    """Which part of a oneOf is meant for a value: the type that it states says so."""
    if not isinstance(value, dict):
        return 0
    core = value.get("core_details")
    stated = core.get("event_type") if isinstance(core, dict) else value.get("type")
    return int(stated in _SECOND)


def _places(kind: str) -> Rule:
    """A geometry of two places or more, by RFC 7946; a MultiPoint has those of a begin and an end.

    WZDx asks for both; the schema of geojson.org would let a MultiPoint have none.
    """
    position = {"type": "array", "minItems": 2, "items": {"type": "number"}}
    numbers = {"type": "array", "minItems": 4, "items": {"type": "number"}}
    return {
        "$id": f"https://geojson.org/schema/{kind}.json",
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "required": ["type", "coordinates"],
        "properties": {
            "type": {"enum": [kind]},
            "coordinates": {"type": "array", "minItems": 2, "items": position},
            "bbox": numbers,
        },
    }
