"""What the schema's validator complains of, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from workzone.errors import nearest
from workzone.geo.validate.report import Finding
from workzone.geo.validate.wzdx_names import Meant
from workzone.geo.validate.wzdx_schema import GEOMETRIES, branch

if TYPE_CHECKING:
    from jsonschema import ValidationError

_KINDS = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "an object",
    "string": "text",
}
_FORMATS = {
    "date-time": "a date and time with zone such as 2026-05-01T07:00:00Z",
    "email": "an email address",
    "uri": "a URI",
}


def findings_of(errors: Iterable[ValidationError], meant: Meant) -> Iterator[Finding]:
    """All complaints as findings, by the types that events and geometries state.

    The schema's own first complaint misleads: whatever is wrong within a work zone, "'detour' was
    expected". ``meant``: properties that are there misspelt, and so are not missing too.
    """
    for error in _of_stated_types(errors):
        missing = _missing(error)
        if not any((error.json_path, name) in meant for name in missing):
            what = _lacks(missing) if missing else _sentence(error)
            yield Finding(error.json_path, what)


def _of_stated_types(errors: Iterable[ValidationError]) -> Iterator[ValidationError]:
    """Errors with those of the stated type in place of one that says that no type fits."""
    for error in errors:
        if error.validator == "oneOf":
            stated = branch(error.instance)
            part = [one for one in error.context if one.relative_schema_path[0] == stated]
            kind = [one for one in part if _of_geometry_type(one)]
            yield from _of_stated_types(kind or part)  # of no type nothing else is known
        elif not _said_elsewhere(error):
            yield error


def _of_geometry_type(error: ValidationError) -> bool:
    return error.validator == "enum" and list(error.absolute_path)[-2:] == ["geometry", "type"]


def _said_elsewhere(error: ValidationError) -> bool:
    """Whether another complaint, of a shorter list of types or by a rule, says it better."""
    if error.validator == "enum":
        return "restriction" in error.validator_value  # events of feeds that are no work zones'
    return error.validator in {"const", "pattern"}  # an event's type, and the version


def _missing(error: ValidationError) -> list[str]:
    """Properties of which one is needed and none is there."""
    if error.validator == "required":
        # One error for each property that is missing; the message alone says which.
        return [name for name in error.validator_value if error.message.startswith(repr(name))]
    if error.validator == "anyOf":
        return [part["required"][0] for part in error.validator_value]
    return []


def _lacks(names: list[str]) -> str:
    first, *deprecated = map(repr, names)
    return f"lacks {first}" + "".join(f" (or {name}, deprecated)" for name in deprecated)


def _sentence(error: ValidationError) -> str:
    rule: Any = GEOMETRIES if _of_geometry_type(error) else error.validator_value
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
        case "format":
            return f"is {value}, not {_FORMATS[rule]}"
        case "minItems":
            return f"has {len(error.instance)} of the {rule} or more that are needed"
        case "minimum":
            return f"is {value}; {rule} is the least"
        case "uniqueItems":
            return "says the same more than once"
        case "dependencies":
            ((name, (other,)),) = rule.items()
            return f"lacks {other!r}, which its {name!r} needs"
    raise AssertionError(f"no sentence for {error.validator}")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)
