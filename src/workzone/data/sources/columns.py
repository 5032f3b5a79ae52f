"""Which column of a source fills which field of a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from workzone.data.passed_over import counted
from workzone.data.sources.groups import CITIES, CLIPS, DRIVES, OWN, GroupColumns
from workzone.data.sources.values import as_tag, as_word, is_read_split, parse_split, quoted
from workzone.errors import UsageError, nearest
from workzone.types import Sample

FOLDS = ("fold", "cv_fold", "kfold", "k_fold", "fold_id")
"""Columns in which a number is that of a fold of cross-validation."""

ALIASES: Mapping[str, tuple[str, ...]] = {
    "image": (
        *("image", "image_path", "image_file", "file", "filename", "file_name", "filepath"),
        *("file_path", "path", "img", "img_path", "jpg", "png", "image_bytes"),
    ),
    "id": ("id", "image_id", "sample_id"),
    "label": ("label", "roadwork", "is_roadwork", "has_roadwork", "class", "target"),
    "group": (*OWN, *DRIVES, *CLIPS),
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
    "split": ("split", "subset", *FOLDS),
}
"""Our field to the column names that fill it unasked, case apart; the first one present wins."""


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Our fields with the columns that fill them.

    ``group`` is among the fields only where its column was named: else several may tell it.
    """

    fields: Mapping[str, str]
    group: GroupColumns | None = None

    def apply(self, row: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """One row's values by field, and all its other columns that are not empty as text.

        Where no drive tells the group, ``values["group_from"]`` says what does.
        """
        values: dict[str, Any] = {}
        used: set[str | None] = set()
        for field, column in self.fields.items():
            values[field] = row.get(column)
            used.add(column)
        if self.group is not None:
            values["group"], column_used, certainty = self.group.apply(row)
            used.add(column_used)
            if certainty != "drive":
                values["group_from"] = certainty
        if self._split_is_fold():
            values["split"] = parse_split(as_word(values["split"]), folds=True)
        extra = {name: as_tag(value) for name, value in row.items() if name not in used}
        return values, {name: text for name, text in extra.items() if text is not None}

    def field_of(self, column: str) -> str | None:
        """The field that a column fills."""
        if self.group is not None and self.group.fills(column):
            return "group"
        return next((field for field, name in self.fields.items() if name == column), None)

    def fills(self, field: str) -> bool:
        """Whether a column fills a field."""
        return field in self.fields or (field == "group" and self.group is not None)

    def _split_is_fold(self) -> bool:
        return _plain(self.fields.get("split", "")) in FOLDS

    def source_columns(self) -> dict[str, str]:
        """By column of the manifest, the column of the source that fills it."""
        named = dict(self.fields)
        if self.group is not None:
            named["group"] = self.group.source()
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
    fields: dict[str, str] = {}
    for field, column in (given or {}).items():
        if field not in ALIASES:
            raise UsageError(f"columns: {field!r} is not a field; {nearest(field, ALIASES)}")
        if column not in names:
            raise UsageError(f"{where} has no column {column!r}; {nearest(column, names)}")
        fields[field] = column
    taken = set(fields.values())
    free = {_plain(name): name for name in reversed(names) if name not in taken}
    group = None
    for field, aliases in ALIASES.items():
        found = next((alias for alias in aliases if alias in free), None)
        if field in fields or found is None:
            continue
        if field == "group":
            own = tuple(free.pop(column) for column in OWN if column in free)
            drive, clip = (_first(free, columns, take=True) for columns in (DRIVES, CLIPS))
            group = GroupColumns(own, drive, clip, _first(free, CITIES), None)
        else:
            fields[field] = free.pop(found)
    if group is not None:
        group = replace(group, time=fields.get("time"))
    if "image" not in fields:
        raise UsageError(
            f"{where} has no column for the image; name one, such as image=COLUMN. "
            f"Columns: {', '.join(names) or 'none'}"
        )
    return ColumnMap(fields, group)


def known_fields(names: Iterable[str]) -> set[str]:
    """The fields that a table's columns fill unasked."""
    plain = {_plain(name) for name in names}
    return {field for field, aliases in ALIASES.items() if plain.intersection(aliases)}


def _first(free: dict[str, str], columns: Iterable[str], *, take: bool = False) -> str | None:
    found = next((column for column in columns if column in free), None)
    if found is None:
        return None
    return free.pop(found) if take else free[found]


def _plain(name: str) -> str:
    """A column's name as the aliases are written: ``File Name`` is ``file_name``."""
    return "_".join(name.lower().split())


def split_warnings(samples: Iterable[Sample]) -> list[str]:
    """What the user should know of splits that no job reads unasked, and of folds left unread."""
    rows: Counter[str] = Counter()
    folds: set[str] = set()
    for sample in samples:
        if sample.split is not None and not is_read_split(sample.split):
            rows[sample.split] += 1
        folds |= {name for name in sample.extra if _plain(name) in FOLDS}
    warnings = [
        f"column {quoted(name)} is kept beside another split and not used; take it by split={name}"
        for name in sorted(folds)
    ]
    if rows:
        named = ", ".join(
            f"{quoted(name)} ({counted(count, 'row')})" for name, count in rows.most_common(5)
        )
        warnings.append(
            f"split {named}{', ...' if len(rows) > 5 else ''}: no training reads it, only train, "
            "val, test and fold-0, fold-1, ...; rename it or run `workzone data split`"
        )
    return warnings
