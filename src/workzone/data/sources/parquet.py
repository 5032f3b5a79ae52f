"""Parquet files that hold images in a column, the NATIX road work set among them.

The NATIX columns (Hugging Face id ``natix-network-org/roadwork``): ``image`` (struct with bytes),
``id``, ``label``, ``date_captured``, ``gps``, ``city_name``, ``scene_description``, ``license``,
``video_info.*`` and ``scene_level_tags.*``; the dots are part of the names, and many values are
missing. Structs are read as if their fields were such dotted columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from workzone.data import manifest
from workzone.data.parquet_cells import Cell, look_up
from workzone.data.sources.arrow_values import Unreadable, rows_of
from workzone.data.sources.class_names import class_names, name_of_class
from workzone.data.sources.parquet_columns import (
    Columns,
    check_names,
    choose_columns,
    columns_of,
    may_hold_images,
)
from workzone.data.sources.parquet_files import (
    data_files,
    partitions,
    read_schema,
    resolve_beside,
)
from workzone.data.sources.paths import resolve_masks
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

_TOLD_FIELDS = ("label", "group", "id")


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    source: Path  # the file, or the folder that was asked for
    schema: pa.Schema
    rows: int
    split: str | None  # from its name
    added: Mapping[str, str | None]  # columns that the folders' names give
    stem: str  # which begins the default ids
    columns: Columns


def parquet_files(path: Path) -> list[Path]:
    """``path`` itself, or the parquet files below it that are not manifests, in order of name."""
    if path.is_file():
        return [path]
    return [file for file in data_files(path) if not is_manifest(file)]


def holds_images(file: Path) -> bool:
    """Whether a parquet file has a column of images, or one named like it."""
    return may_hold_images(read_schema(file))


def is_manifest(file: Path) -> bool:
    """Whether a parquet file has all columns of a manifest."""
    return set(read_schema(file).names) >= set(manifest.SCHEMA.names)


def is_natix(path: Path) -> bool:
    """Whether the first parquet file at ``path`` has the NATIX columns."""
    files = parquet_files(path)
    return bool(files) and set(columns_of(read_schema(files[0]))) >= NATIX_COLUMNS


def open_parquet(
    path: Path,
    columns: Mapping[str, str] | None,
    *,
    name: str,
    files: Sequence[Path] | None = None,
) -> Source:
    """One parquet file or a folder of them (or only its ``files``); images stay where they are.

    A file whose path says train, val or test gives its rows that split, unless a column does; a
    folder named ``column=value`` gives all below it that value. The default id is the file's stem
    and the row number. Ids that occur in several splits are led by the split's name.

    Raises:
        ManifestError: a file that is not parquet, a column twice, or a label, id, group or split
            of bytes that are not text.
        UsageError: no data, a manifest, or no column for the image.
    """
    found = list(files or parquet_files(path))
    with_images = [file for file in found if len(found) == 1 or holds_images(file)] or found
    opened = [_open(file, path, columns) for file in with_images]
    if len({file.stem for file in opened}) < len(opened):  # such as train/0000 and test/0000
        opened = [replace(file, stem=_path_without_suffix(file, path)) for file in opened]
    if not opened:
        raise UsageError(f"{path} holds no parquet files with images")
    prefixed = _ids_repeat_between_splits(opened)

    def records() -> Iterator[Record]:
        for file in opened:
            yield from _records(file, prefix_ids=prefixed)

    warnings = [warning for file in opened for warning in file.columns.warnings]
    warnings += [
        f"{file}: no column holds images; passed over" for file in found if file not in with_images
    ]
    warnings += _unlike(opened)
    if prefixed:
        warnings.append(f"{path}: ids repeat between splits, so each is led by its split: train/ID")
    total = sum(file.rows for file in opened)
    return Source(name, total, records, opened[0].columns.fields.source_columns(), tuple(warnings))


def _open(file: Path, source: Path, columns: Mapping[str, str] | None) -> _File:
    schema = read_schema(file)
    if is_manifest(file):
        raise UsageError(f"{file} is a manifest already; use it as it is")
    check_names(file, schema)
    below = file.relative_to(source).parts if file.is_relative_to(source) else (file.name,)
    if file == source:
        below = (file.name,)
    added = {
        column: value for column, value in partitions(below).items() if column not in schema.names
    }
    chosen = choose_columns(file, schema, columns, tuple(added))
    rows = pq.read_metadata(file).num_rows
    return _File(file, source, schema, rows, split_of_path(below), added, file.stem, chosen)


def _path_without_suffix(file: _File, source: Path) -> str:
    return file.path.relative_to(source).with_suffix("").as_posix()


def _unlike(files: Sequence[_File]) -> Iterator[str]:
    """Fields that some files have and others lack."""
    for field in _TOLD_FIELDS:
        lacking = [file.path.name for file in files if not file.columns.fields.fills(field)]
        if lacking and len(lacking) < len(files):
            yield (
                f"{len(lacking)} of {len(files)} files have no column for the {field}, such as "
                f"{lacking[0]}"
            )


def _records(file: _File, *, prefix_ids: bool) -> Iterator[Record]:
    named = class_names(file.schema)
    for number, read in enumerate(_rows(file)):
        row = {**read, **file.added}
        for column in named.keys() & row.keys():
            row[column] = name_of_class(row[column], named[column])
        yield _record(file, number, row, prefix_ids=prefix_ids)


def _rows(file: _File, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Rows without the images."""
    try:
        yield from rows_of(
            pq.ParquetFile(file.path), file.columns.read if columns is None else columns
        )
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(
            f"{file.path} is damaged: {str(error).rstrip('.')}. Copy or download it again."
        ) from error


def _record(file: _File, number: int, row: dict[str, Any], *, prefix_ids: bool) -> Record:
    where = f"{file.path.name} row {number}"
    cleared = []
    for column, value in row.items():
        if isinstance(value, Unreadable):
            cleared.append(
                ("value-unreadable", f"{where}: the column {column!r} holds {value.reason}")
            )
            row[column] = None
    values, extra = file.columns.fields.apply(row)
    values.pop("image", None)
    image, problem = _image(file, number)
    masks = as_text(values.get("masks"))
    if masks is not None:
        values["masks"] = resolve_masks(file.path.parent, masks)
    if as_text(values.get("split")) is None and file.split is not None:
        values["split"] = file.split
    if prefix_ids and file.split and as_text(values.get("id")) is not None:
        values["id"] = f"{file.split}/{as_text(values['id'])}"
    return Record(f"{file.stem}-{number:06d}", where, image, values, extra, problem, tuple(cleared))


def _image(file: _File, number: int) -> tuple[ImageRef | None, tuple[str, str] | None]:
    """Where a row's picture is, or why there is none."""
    ref = ImageRef(str(file.path), file.columns.image, number)
    try:
        cell = look_up(file.path, file.columns.image, number)
    except (OSError, ValueError) as error:
        cell = Cell(problem=str(error))
    if cell.data is not None:
        return ref, None
    if cell.problem is not None:
        return ref, ("unreadable", cell.problem)
    name = as_text(cell.path)
    if name is None:
        return None, ("missing", "the image column is empty")
    return ImageRef(resolve_beside(file.path, file.source, name)), None


def _ids_repeat_between_splits(files: Sequence[_File]) -> bool:
    seen: dict[str, set[str]] = {}
    for file in files:
        column = file.columns.fields.fields.get("id", "")
        if file.split is None or column not in file.columns.read:
            continue
        ids = {text for row in _rows(file, [column]) if (text := as_text(row[column]))}
        others = (known for split, known in seen.items() if split != file.split)
        if any(not ids.isdisjoint(known) for known in others):
            return True
        seen.setdefault(file.split, set()).update(ids)
    return False
