"""What the schema's validator complains of, in sentences."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from workzone.errors import nearest
from workzone.geo.validate.report import Finding

if TYPE_CHECKING:
    from jsonschema import ValidationError

_OLD_NAMES = {"road_event_feed_info": "feed_info"}  # of WZDx 4.0
_KINDS = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "an object",
    "string": "text",
}
_CLOSE = 0.75  # of spellings, 1 being the same


def findings_of(errors: list[ValidationError], in_core: set[str]) -> list[Finding]:
    """All complaints as findings; a property that is misspelt is not said to be missing too.

    ``in_core``: properties of core_details, which older feeds have beside it.
    """
    found: list[Finding] = []
    meant: set[tuple[str, str]] = set()
    for error in errors:
        if error.validator == "additionalProperties":
            for name in error.instance:
                if name not in error.schema["properties"]:
                    finding, right = _unknown(name, error, in_core)
                    found.append(finding)
                    meant.add((error.json_path, right))
    for error in errors:
        if error.validator == "additionalProperties":
            continue
        missing = _missing(error)
        if not any((error.json_path, name) in meant for name in missing):
            what = _lacks(missing) if missing else _sentence(error)
            found.append(Finding(error.json_path, what))
    return found


def _unknown(name: str, error: ValidationError, in_core: set[str]) -> tuple[Finding, str]:
    """What to say of a property that is none, and the one that is meant; empty if not clear."""
    where, known = f"{error.json_path}.{name}", error.schema["properties"]
    if name in in_core and "core_details" in known:
        return Finding(where, "belongs in 'core_details'"), ""
    free = known.keys() - error.instance.keys()
    spelling = _OLD_NAMES.get(name, name).lower()
    for right in difflib.get_close_matches(spelling, sorted(free), n=1, cutoff=_CLOSE):
        return Finding(where, f"is no property of WZDx 4.2; did you mean {right!r}?"), right
    return Finding(where, "is no property of WZDx 4.2; readers pass over it", level="remark"), ""


def _missing(error: ValidationError) -> list[str]:
    """Properties of which one is needed and none is there."""
    if error.validator == "required":
        # One error for each property that is missing; the message alone says which.
        return [name for name in error.validator_value if error.message.startswith(repr(name))]
    if error.validator == "anyOf":
        return [branch["required"][0] for branch in error.validator_value]
    return []


def _lacks(names: list[str]) -> str:
    first, *deprecated = map(repr, names)
    return f"lacks {first}" + "".join(f" (or {name}, deprecated)" for name in deprecated)


def _sentence(error: ValidationError) -> str:
    rule: Any = error.validator_value
    value = _shown(error.instance)
    match error.validator:
        case "type":
            return f"is {value}, not {_KINDS[rule]}"
        case "enum" if len(rule) == 1:
            return f"is {value}; it can only be {rule[0]!r}"
        case "enum" if error.instance == "Point":
            return f"is 'Point', which has no begin and end; allowed: {', '.join(rule)}"
        case "enum":
            return f"is {value}; {nearest(str(error.instance), rule)}"
        case "format" if rule == "date-time":
            return f"is {value}, not a date and time with zone such as 2026-05-01T07:00:00Z"
        case "format":
            return f"is {value}, not an {rule} address"
        case "minItems":
            return f"has {len(error.instance)} of the {rule} or more that are needed"
        case "minLength":
            return "is empty"
        case "minimum":
            return f"is {value}; {rule} is the least"
    raise AssertionError(f"no sentence for {error.validator}")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)
