"""Names of classes that the package ``datasets`` left in a parquet file, for codes in its columns.

The file's metadata ``huggingface`` hold JSON: ``{"info": {"features": {"label": {"names":
["none", "roadwork"], "_type": "ClassLabel"}}}}``. Other programs copy, cut and rewrite it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from workzone.data.sources.arrow_values import Unreadable


def class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """By dotted column, the names of its classes in order; without those that make no sense."""
    try:
        described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except ValueError:
        return {}
    features = described
    for key in ("info", "features"):
        features = features.get(key) if isinstance(features, dict) else None
    return dict(_named(features))


def _named(features: Any, prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    if not isinstance(features, dict):
        return
    for name, feature in features.items():
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]  # noqa: PLW2901 (a list of the feature)
        while isinstance(feature, dict) and isinstance(feature.get("feature"), dict):
            feature = feature["feature"]  # noqa: PLW2901 (the same, in words)
        if not isinstance(feature, dict):
            continue
        words = feature.get("names")
        if feature.get("_type") != "ClassLabel":
            yield from _named(feature, f"{prefix}{name}.")
        elif isinstance(words, list) and words:
            yield prefix + name, [str(word) for word in words]


def name_of_class(code: Any, names: list[str]) -> Any:
    """The name for a code, also where it is a whole float or digits; names stay as they are.

    Returns:
        the name, a list of names for a list, None for a missing code or -1 (``datasets`` marks rows
        without label so), or `Unreadable` for a code that has no name.
    """
    if isinstance(code, list):
        found = [name_of_class(part, names) for part in code]
        return next((part for part in found if isinstance(part, Unreadable)), found)
    if code is None or isinstance(code, (Unreadable, Mapping)) or code in names:
        return code
    try:
        number = float(code)
    except (TypeError, ValueError):
        return code
    if number == -1 or math.isnan(number):
        return None
    if not number.is_integer() or not 0 <= number < len(names):
        return Unreadable(f"{code!r}, but the file names only {len(names)} classes")
    return names[int(number)]
