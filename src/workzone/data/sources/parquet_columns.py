"""Which column of a parquet file holds the images, and which others can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from workzone.data.images_in_text import is_path
from workzone.data.parquet_reader import flat_fields, is_bytes, is_image_struct, raw_value
from workzone.data.sources.columns import ALIASES, ColumnMap, map_columns
from workzone.errors import ManifestError, UsageError

_SAMPLED = 16  # cells in front of a column of bytes that are looked at
_VITAL = ("label", "id", "group", "split")


@dataclass(frozen=True, slots=True)
class Columns:
    """How a file's columns are used."""

    image: str
    fields: ColumnMap
    read: tuple[str, ...]  # by dotted name, without the image
    warnings: tuple[str, ...]


def columns_of(schema: pa.Schema) -> dict[str, pa.DataType]:
    """Columns by dotted name: structs by their fields, but images and places as one value."""
    found: dict[str, pa.DataType] = {}
    for field in schema:
        whole = pa.types.is_struct(field.type) and field.name.lower() in ALIASES["gps"]
        found |= {field.name: field.type} if whole else dict(flat_fields([field]))
    return found


def check_names(file: Path, schema: pa.Schema) -> None:
    """Refuse a schema in which a name stands for two columns.

    Raises:
        ManifestError: a name twice.
    """
    names = [name for name, _ in flat_fields(schema)]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise ManifestError(f"{file}: the column {twice[0]!r} occurs twice; rename one of them")


def may_hold_images(schema: pa.Schema) -> bool:
    """Whether a column holds bytes, or is named like one of images."""
    return any(
        _holds_images(kind) or name.lower() in ALIASES["image"]
        for name, kind in columns_of(schema).items()
    )


def choose_columns(
    file: Path,
    schema: pa.Schema,
    asked: Mapping[str, str] | None,
    added: tuple[str, ...] = (),
) -> Columns:
    """Find the image column, and what to read beside it.

    Args:
        file: the parquet file.
        schema: its schema.
        asked: our fields to its columns.
        added: columns that the file's path gives.

    Raises:
        UsageError: a column that does not exist, or none for the image.
        ManifestError: bytes that are not text where the label, id, group or split should be.
    """
    kinds = columns_of(schema)
    fields = dict(asked or {})
    image = fields.pop("image", None) or image_column(file, kinds)
    if image is None or image not in kinds:
        several = [name for name, kind in kinds.items() if _holds_images(kind)]
        if image is None and several:
            raise UsageError(
                f"{file}: several columns may hold the images ({', '.join(several)}); name one, "
                f"such as image={several[0]}"
            )
        map_columns([*kinds, *added], {"image": image} if image else {}, where=str(file))
        raise UsageError(f"{file}: no column holds images; name one, such as image=COLUMN")
    names = [image, *(name for name in (*kinds, *added) if name != image)]
    mapping = map_columns(names, {**fields, "image": image}, where=str(file))
    read, warnings = [], []
    for name, kind in kinds.items():
        if name == image:
            continue
        if not _holds_images(kind) or _is_text(file, name):
            read.append(name)
            continue
        field = mapping.field_of(name)
        what = f"the column {name!r} holds bytes that are not UTF-8 text"
        if field in _VITAL or field in fields:
            raise ManifestError(
                f"{file}: {what}, so there is no {field} in it; write it as text or numbers, or "
                f"name another column: --map {field}=COLUMN"
            )
        warnings.append(f"{file}: {what}; passed over")
    return Columns(image, mapping, tuple(read), tuple(warnings))


def _holds_images(kind: pa.DataType) -> bool:
    """Whether pictures may lie in columns of this type."""
    while pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
        if is_image_struct(kind):
            return True
    return is_image_struct(kind) or is_bytes(kind)


def image_column(file: Path, kinds: Mapping[str, pa.DataType]) -> str | None:
    """A column with a usual name that holds pictures, else the only one with such, else paths."""
    usual = [name for alias in ALIASES["image"] for name in kinds if name.lower() == alias]
    others = {alias for field, names in ALIASES.items() if field != "image" for alias in names}
    holders = [name for name, kind in kinds.items() if _holds_images(kind)]
    pictures = holders
    if len(holders) > 1 or not set(holders) & set(usual):
        pictures = [name for name in holders if not _is_text(file, name)]
    for found in (pictures, holders):
        best = [name for name in usual if name in found]
        alone = [name for name in found if name.lower() not in others]
        if best or len(alone) == 1:
            return (best or alone)[0]
        if usual:
            return usual[0]
    return None


def _is_text(file: Path, column: str) -> bool:
    """Whether the first values of a column of bytes are short printable text, as far as seen."""
    values: list[Any] = []
    try:
        for row in range(_SAMPLED):
            value = raw_value(file, column, row)
            if isinstance(value, dict):
                return False
            values += value if isinstance(value, list) else [value]
    except (IndexError, KeyError):
        pass  # fewer rows
    except (OSError, ValueError):
        return False
    try:
        texts = [value.decode().rstrip("\0") for value in values if value is not None]
    except (UnicodeDecodeError, AttributeError):  # no text, or structs in lists
        return False
    return all(is_path(" ".join(text.split())) for text in texts)
