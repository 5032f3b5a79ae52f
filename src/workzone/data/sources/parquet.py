"""Parquet files that hold images in a column, the NATIX road work set among them.

The NATIX columns (Hugging Face id ``natix-network-org/roadwork``): ``image`` (struct with bytes),
``id``, ``label``, ``date_captured``, ``gps``, ``city_name``, ``scene_description``, ``license``,
``video_info.*`` and ``scene_level_tags.*``; the dots are part of the names, and many values are
missing. Structs are read as if their fields were such dotted columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from workzone.data import manifest
from workzone.data.sources.columns import ALIASES, ColumnMap, map_columns
from workzone.data.sources.paths import resolve_image, resolve_masks
from workzone.data.sources.record import Record, Source
from workzone.data.sources.values import as_text, split_of_path
from workzone.errors import ManifestError, UsageError
from workzone.types import ImageRef

NATIX_COLUMNS = frozenset(
    {
        *("image", "id", "label", "gps", "scene_description", "video_info.seq_id"),
        *("scene_level_tags.daytime", "scene_level_tags.weather"),
    }
)
"""The columns by which the NATIX set is recognised."""


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    schema: pa.Schema
    rows: int
    split: str | None  # from its name
    image: str  # the image column
    columns: ColumnMap


def parquet_files(path: Path) -> list[Path]:
    """``path`` itself, or the parquet files below it that are not manifests, in order of name."""
    if path.is_file():
        return [path]
    return [file for file in sorted(path.rglob("*.parquet")) if not is_manifest(file)]


def holds_images(file: Path) -> bool:
    """Whether a parquet file has a column of images, or one named like it."""
    return _image_column(_schema(file)) is not None


def is_manifest(file: Path) -> bool:
    """Whether a parquet file has all columns of a manifest."""
    return set(_schema(file).names) >= set(manifest.SCHEMA.names)


def is_natix(path: Path) -> bool:
    """Whether the first parquet file at ``path`` has the NATIX columns."""
    files = parquet_files(path)
    return bool(files) and set(_flat_names(_schema(files[0]))) >= NATIX_COLUMNS


def open_parquet(
    path: Path,
    columns: Mapping[str, str] | None,
    *,
    name: str,
    files: Sequence[Path] | None = None,
) -> Source:
    """One parquet file or a folder of them (or only its ``files``); images stay where they are.

    A file whose path says train, val or test gives its rows that split, unless a column does. The
    default id is the file's stem and the row number. Ids that occur in several splits are led by
    the split's name.

    Raises:
        ManifestError: a file that is not parquet.
        UsageError: no data, a manifest, or no column for the image.
    """
    opened = [_open(file, path, columns) for file in files or parquet_files(path)]
    if not opened:
        raise UsageError(f"{path} holds no parquet files with images")
    prefixed = _ids_repeat_between_splits(opened)

    def records() -> Iterator[Record]:
        for file in opened:
            yield from _records(file, prefix_ids=prefixed)

    warnings = (
        (f"{path}: ids repeat between splits, so each is led by its split: train/ID",)
        if prefixed
        else ()
    )
    total = sum(file.rows for file in opened)
    return Source(name, total, records, opened[0].columns.source_columns(), warnings)


def _schema(file: Path) -> pa.Schema:
    try:
        return pq.read_schema(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise ManifestError(f"{file} is not a parquet file: {error}") from error


def _open(file: Path, source: Path, columns: Mapping[str, str] | None) -> _File:
    schema = _schema(file)
    if is_manifest(file):
        raise UsageError(f"{file} is a manifest already; use it as it is")
    given = dict(columns or {})
    image = given.pop("image", None) or _image_column(schema)
    if image is None or image not in schema.names:
        map_columns(schema.names, {"image": image} if image else {}, where=str(file))
        raise UsageError(f"{file}: no column holds images; name one, such as image=COLUMN")
    names = [image, *(name for name in _flat_names(schema) if name != image)]
    mapping = map_columns(names, {**given, "image": image}, where=str(file))
    below = file.relative_to(source).parts if file != source else (file.name,)
    rows = pq.read_metadata(file).num_rows
    return _File(file, schema, rows, split_of_path(below), image, mapping)


def _image_column(schema: pa.Schema) -> str | None:
    """A column with a usual name that holds bytes, else paths; else the only one with bytes."""
    usual = [name for alias in ALIASES["image"] for name in schema.names if name.lower() == alias]
    holders = [name for name in schema.names if _holds_bytes(schema.field(name).type)]
    with_bytes = [name for name in usual if name in holders]
    alone = holders if len(holders) == 1 else []
    return next(iter(with_bytes or alone or usual), None)


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return "bytes" in [field.name for field in kind]
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _flat_names(schema: pa.Schema) -> list[str]:
    """Column names, structs other than images replaced by their fields: ``struct.field``."""
    names: list[str] = []
    for field in schema:
        if pa.types.is_struct(field.type) and not _holds_bytes(field.type):
            inner = pa.schema([pa.field(f"{field.name}.{f.name}", f.type) for f in field.type])
            names += [field.name] if _place_struct(field) else _flat_names(inner)
        else:
            names.append(field.name)
    return names


def _place_struct(field: pa.Field) -> bool:
    """A struct such as ``gps: {lat, lon}`` is one value."""
    return field.name.lower() in ALIASES["gps"]


def _flat_row(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict) and name not in names:
            flat |= _flat_row({f"{name}.{key}": inner for key, inner in value.items()}, names)
        else:
            flat[name] = value
    return flat


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """By column, the names of its classes, where ``datasets`` left them in the file."""
    described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = described.get("info", {}).get("features", {})
    return {
        name: feature["names"]
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    }


def _records(file: _File, *, prefix_ids: bool) -> Iterator[Record]:
    names = _flat_names(file.schema)
    stored = _holds_bytes(file.schema.field(file.image).type)
    class_names = _class_names(file.schema)
    for number, row in enumerate(_rows(file)):
        flat = _flat_row(row, names)
        for column, words in class_names.items():
            code = flat.get(column)
            if isinstance(code, int) and 0 <= code < len(words):
                flat[column] = words[code]
        yield _record(file, number, flat, stored=stored, prefix_ids=prefix_ids)


def _rows(file: _File) -> Iterator[dict[str, Any]]:
    """Rows without the columns that hold bytes."""
    wanted = [n for n in file.schema.names if not _holds_bytes(file.schema.field(n).type)]
    if not wanted:
        yield from ({} for _ in range(file.rows))
        return
    for batch in pq.ParquetFile(file.path).iter_batches(columns=wanted):
        yield from batch.to_pylist()


def _record(
    file: _File, number: int, row: Mapping[str, Any], *, stored: bool, prefix_ids: bool
) -> Record:
    values, extra = file.columns.apply(row)
    name = as_text(values.pop("image", None))
    if stored:
        image: ImageRef | None = ImageRef(str(file.path), file.image, number)
    else:
        image = None if name is None else ImageRef(resolve_image(file.path.parent, name))
    masks = as_text(values.get("masks"))
    if masks is not None:
        values["masks"] = resolve_masks(file.path.parent, masks)
    if as_text(values.get("split")) is None and file.split is not None:
        values["split"] = file.split
    if prefix_ids and file.split and as_text(values.get("id")) is not None:
        values["id"] = f"{file.split}/{as_text(values['id'])}"
    where = f"{file.path.name} row {number}"
    problem = None if image else ("missing", "the image column is empty")
    return Record(f"{file.path.stem}-{number:06d}", where, image, values, extra, problem)


def _ids_repeat_between_splits(files: Sequence[_File]) -> bool:
    seen: dict[str, set[str]] = {}
    for file in files:
        column = file.columns.fields.get("id", "")
        if file.split is None or column not in file.schema.names:
            continue
        ids = {text for value in _column(file.path, column) if (text := as_text(value))}
        others = (known for split, known in seen.items() if split != file.split)
        if any(not ids.isdisjoint(known) for known in others):
            return True
        seen.setdefault(file.split, set()).update(ids)
    return False


def _column(path: Path, name: str) -> list[Any]:
    values: list[Any] = pq.read_table(path, columns=[name]).column(name).to_pylist()
    return values
