"""Configuration: dataclasses to and from plain mappings (YAML, JSON), all mistakes at once."""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from workzone.errors import UsageError, WorkzoneError, nearest

T = TypeVar("T")

_EXPONENT_WITHOUT_POINT = re.compile(r"[-+]?\d+[eE][-+]?\d+")
"""``1e-3`` is a number to everybody but YAML 1.1, which reads a string."""


class _Loader(yaml.SafeLoader):
    """YAML that names a key given twice, where the last one would win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"given twice: {', '.join(twice)}", node.start_mark
            )
        return super().construct_mapping(node, deep=deep)


def from_mapping(kind: type[T], value: Mapping[str, Any], *, where: str) -> T:
    """Build a dataclass from plain values.

    Args:
        kind: a dataclass; its fields may be dataclasses, tuples, literals, unions with None.
        value: the values by field name; absent fields keep their defaults.
        where: what to call the whole in messages, such as the file's name.

    Raises:
        UsageError: every mistake at once: dotted key, value got, what is allowed.
    """
    mistakes: list[str] = []
    result = _convert(kind, value, "", mistakes)
    if mistakes:
        gap = " " if len(mistakes) == 1 else "\n  "
        raise UsageError(f"{where}:{gap}" + "\n  ".join(mistakes))
    return typing.cast(T, result)


def read_yaml(kind: type[T], path: Path) -> T:
    """Build a dataclass from a YAML file.

    Raises:
        UsageError: the file is missing, is not YAML, or has mistakes (all of them listed).
    """
    return from_mapping(kind, read_tree(path), where=str(path))


def read_tree(path: Path) -> dict[str, Any]:
    """The values of a YAML file; an empty file is an empty mapping.

    Raises:
        UsageError: the file is missing, is not YAML, or does not hold keys and values.
    """
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the configuration {path}: {error}") from error
    if not isinstance(value, Mapping | None):
        raise UsageError(f"{path}: the whole: expected keys and values, got {value!r}")
    return dict(value or {})


def overrides(settings: Sequence[str]) -> dict[str, Any]:
    """The tree of settings like ``detector.glance.keep=6``; values are read as in a YAML file.

    Raises:
        UsageError: some have no key or no ``=``, or a value that is not YAML; all are named.
    """
    tree: dict[str, Any] = {}
    mistakes: list[str] = []
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not all(key.split(".")):
            mistakes.append(f"{setting!r} is no setting; write KEY=VALUE, as in epochs=20")
            continue
        try:
            value = yaml.load(text, Loader=_Loader)  # noqa: S506
        except yaml.YAMLError as error:
            mistakes.append(f"{setting!r}: the value is not YAML: {error}")
            continue
        for name in reversed(key.split(".")):
            value = {name: value}
        tree = merged(tree, value)
    if mistakes:
        raise UsageError("\n".join(mistakes))
    return tree


def differences(before: Any, after: Any, at: str = "") -> Iterator[str]:
    """Where two trees of plain values differ, as ``a.b: 1 -> 2``; ``at`` is where they hang."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before | after:
            path = f"{at}.{name}" if at else str(name)
            yield from differences(before.get(name), after.get(name), path)
    elif before != after:
        yield f"{at}: {before} -> {after}"


def to_yaml(value: Any) -> str:
    """A dataclass as YAML that `read_yaml` takes, every default spelled out.

    Above each part that is a dataclass itself stands the first line of its docstring.
    """
    return "".join(_yaml_lines(value))


def _yaml_lines(value: Any) -> Iterator[str]:
    for field in dataclasses.fields(value):
        if not field.init:
            continue
        part = getattr(value, field.name)
        if dataclasses.is_dataclass(part):
            yield f"# {(type(part).__doc__ or '').splitlines()[0]}\n{field.name}:\n"
            yield from (f"  {line}\n" for line in to_yaml(part).splitlines())
        else:
            listed = yaml.safe_dump([_plain(part)], default_flow_style=True, width=math.inf)
            yield f"{field.name}: {listed.strip()[1:-1]}\n"


def _plain(value: Any) -> Any:
    """A field's value without dataclasses and tuples."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two trees of plain values as one; where both have a value, that of ``over``."""
    both = {**under, **over}
    for key in under.keys() & over.keys():
        if isinstance(under[key], Mapping) and isinstance(over[key], Mapping):
            both[key] = merged(under[key], over[key])
    return both


def _convert(kind: Any, value: Any, key: str, mistakes: list[str]) -> Any:
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _convert_dataclass(typing.cast(type, kind), value, key, mistakes)
    if origin is typing.Literal:
        allowed = typing.get_args(kind)
        if value not in allowed:
            hint = nearest(str(value), map(str, allowed))
            mistakes.append(f"{key}: {value!r} is not known; {hint}")
        return value
    if origin in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(kind) if option is not type(None)]
        return None if value is None else _convert(options[0], value, key, mistakes)
    if origin is Mapping:
        return _convert_mapping(kind, value, key, mistakes)
    if origin is tuple:
        return _convert_tuple(kind, value, key, mistakes)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is float and isinstance(value, str) and _EXPONENT_WITHOUT_POINT.fullmatch(value):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        mistakes.append(f"{key}: expected {kind.__name__}, got {value!r}")
    return value


def _convert_mapping(kind: Any, value: Any, key: str, mistakes: list[str]) -> Any:
    if not isinstance(value, Mapping):
        mistakes.append(f"{key}: expected keys and values, got {value!r}")
        return {}
    _, item_kind = typing.get_args(kind)
    return {
        str(name): _convert(item_kind, item, f"{key}.{name}", mistakes)
        for name, item in value.items()
    }


def _convert_tuple(kind: Any, value: Any, key: str, mistakes: list[str]) -> Any:
    if not isinstance(value, list | tuple):
        mistakes.append(f"{key}: expected a list, got {value!r}")
        return ()
    kinds = typing.get_args(kind)
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    elif len(kinds) != len(value):
        mistakes.append(f"{key}: expected {len(kinds)} values, got {len(value)}")
        return ()
    return tuple(
        _convert(kind, item, f"{key}[{number}]", mistakes)
        for number, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def _convert_dataclass(kind: type, value: Any, key: str, mistakes: list[str]) -> Any:
    if not isinstance(value, Mapping):
        mistakes.append(f"{key or 'the whole'}: expected keys and values, got {value!r}")
        return None
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    prefix = f"{key}." if key else ""
    before = len(mistakes)
    for name in value:
        if name not in fields:
            mistakes.append(f"{prefix}{name}: unknown key; {nearest(str(name), fields)}")
    arguments = {}
    whole = True
    for name, field in fields.items():
        required = field.default is field.default_factory is dataclasses.MISSING
        if name in value:
            known = len(mistakes)
            converted = _convert(hints[name], value[name], prefix + name, mistakes)
            if len(mistakes) == known:
                arguments[name] = converted
            else:
                whole = whole and not required
        elif required:
            mistakes.append(f"{prefix}{name}: missing")
            whole = False
    if not whole:
        return None
    # What the dataclass checks is asked even so, with defaults for what could not be read: a range
    # is as wrong beside a misspelt key as without one.
    try:
        made = kind(**arguments)
        return made if len(mistakes) == before else None
    except WorkzoneError as error:  # what the dataclass itself checks
        mistakes.append(f"{key + ': ' if key else ''}{error}")
        return None
