"""Which column of a source fills which field of a sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workzone.data.sources.values import as_text
from workzone.errors import UsageError, nearest

ALIASES: Mapping[str, tuple[str, ...]] = {
    "image": (
        *("image", "image_path", "image_file", "file", "filename", "file_name", "filepath"),
        *("file_path", "path", "img", "img_path", "jpg", "png", "image_bytes"),
    ),
    "id": ("id", "image_id", "sample_id"),
    "label": ("label", "roadwork", "is_roadwork", "has_roadwork", "class", "target"),
    "group": (
        *("group", "video_info.seq_id", "video_info.vid_id", "sequence", "sequence_id", "seq_id"),
        *("seq", "video_id", "vid_id", "video"),
    ),
    "gps": ("gps", "position", "location", "coordinates", "latlon", "lat_lon"),
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "lng", "long"),
    "time": ("time", "timestamp", "datetime", "date_captured", "captured_at", "date"),
    "weather": ("weather", "scene_level_tags.weather"),
    "daytime": ("daytime", "scene_level_tags.daytime", "time_of_day"),
    "scene": ("scene", "scene_level_tags.scene_environment", "scene_environment"),
    "text": ("text", "scene_description", "description", "caption"),
    "masks": ("masks", "mask"),
    "source": ("source", "dataset"),
    "split": ("split", "subset", "fold"),
}
"""Our field to the column names that fill it unasked, case apart; the first one present wins."""

_FALLBACKS = {"group": (("video_info.seq_id", "video_info.vid_id"),)}
"""Columns of which, row by row, the first that is not empty is taken."""


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Our fields with the columns that fill them, in order of preference."""

    fields: Mapping[str, tuple[str, ...]]

    def apply(self, row: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """One row's values by field, and all its other columns that are not empty as text."""
        values: dict[str, Any] = {}
        used: set[str] = set()
        for field, columns in self.fields.items():
            filled = [column for column in columns if as_text(row.get(column)) is not None]
            column = (filled or columns)[0]
            values[field] = row.get(column)
            used.add(column)
        extra = {name: as_text(value) for name, value in row.items() if name not in used}
        return values, {name: text for name, text in extra.items() if text is not None}

    def source_columns(self) -> dict[str, str]:
        """By column of the manifest, the column of the source that fills it."""
        named = {field: " or ".join(columns) for field, columns in self.fields.items()}
        if "image" in named:
            named["image_path"] = named.pop("image")
        place = named.pop("gps", None)
        if place is not None:
            named.setdefault("latitude", place)
            named.setdefault("longitude", place)
        return named


def map_columns(
    available: Iterable[str], given: Mapping[str, str] | None, *, where: str
) -> ColumnMap:
    """Map columns to fields: those given first, then by :data:`ALIASES`.

    Raises:
        UsageError: a field or a column that does not exist, or no column for the image.
    """
    names = list(available)
    fields: dict[str, tuple[str, ...]] = {}
    for field, column in (given or {}).items():
        if field not in ALIASES:
            raise UsageError(f"columns: {field!r} is not a field; {nearest(field, ALIASES)}")
        if column not in names:
            raise UsageError(f"{where} has no column {column!r}; {nearest(column, names)}")
        fields[field] = (column,)
    taken = {column for columns in fields.values() for column in columns}
    free = {name.lower(): name for name in reversed(names) if name not in taken}
    for field, aliases in ALIASES.items():
        found = next((alias for alias in aliases if alias in free), None)
        if field in fields or found is None:
            continue
        chain = next((c for c in _FALLBACKS.get(field, ()) if found in c), (found,))
        fields[field] = tuple(free.pop(alias) for alias in chain if alias in free)
    if "image" not in fields:
        raise UsageError(
            f"{where} has no column for the image; name one, such as image=COLUMN. "
            f"Columns: {', '.join(names) or 'none'}"
        )
    return ColumnMap(fields)
