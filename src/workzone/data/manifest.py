"""The manifest: one parquet file that lists samples, read and written through pyarrow.

Columns (all nullable but ``id`` and ``image_path``):

================ ========================== =================================================
column           type                       meaning
================ ========================== =================================================
id               string                     unique name of the sample
image_path       string                     image file, archive, or parquet file; relative
                                            paths start at the manifest's folder
image_member     string                     name inside the archive, or the parquet column
image_row        int64                      row inside the parquet file
label            int8                       1 road work, 0 none, null not labelled
group            string                     sequence: its frames never part in a split
latitude         double                     degrees, -90..90
longitude        double                     degrees, -180..180
time             timestamp[us, UTC]         when the image was taken
weather          string                     as the source says it
daytime          string                     as the source says it
scene            string                     the kind of place, as the source says it
text             string                     a free description
masks            string                     reference to masks (see ``workzone.data.masks``)
source           string                     the data set it came from
content_hash     string                     BLAKE2b-128 of the image's bytes, hex
split            string                     train, val, test, or fold-0, fold-1, ...
extra            map<string, string>        the source's other columns, kept for the audit
================ ========================== =================================================

A field's ``source_column`` metadata names the column of the source that filled it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from workzone.errors import ManifestError, UsageError, nearest
from workzone.files import writing
from workzone.types import ImageRef, Sample

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("image_path", pa.string(), nullable=False),
        pa.field("image_member", pa.string()),
        pa.field("image_row", pa.int64()),
        pa.field("label", pa.int8()),
        pa.field("group", pa.string()),
        pa.field("latitude", pa.float64()),
        pa.field("longitude", pa.float64()),
        pa.field("time", pa.timestamp("us", tz="UTC")),
        pa.field("weather", pa.string()),
        pa.field("daytime", pa.string()),
        pa.field("scene", pa.string()),
        pa.field("text", pa.string()),
        pa.field("masks", pa.string()),
        pa.field("source", pa.string()),
        pa.field("content_hash", pa.string()),
        pa.field("split", pa.string()),
        pa.field("extra", pa.map_(pa.string(), pa.string())),
    ]
)

METADATA_FIELDS = ("latitude", "longitude", "time", "weather", "daytime", "scene", "text")
"""The fields a model may be fed with beside the image."""


@dataclass(frozen=True)
class Manifest:
    """Samples in order, the folder that relative paths start at, and where fields came from."""

    samples: Sequence[Sample]
    root: Path
    source_columns: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def with_samples(self, samples: Sequence[Sample]) -> Manifest:
        """The same manifest with other samples."""
        return dataclasses.replace(self, samples=samples)

    def in_split(self, *splits: str) -> Manifest:
        """The samples of the named splits.

        Raises:
            UsageError: no sample is in any of them.
            ManifestError: this manifest has no splits at all.
        """
        chosen = [sample for sample in self.samples if sample.split in splits]
        if not chosen:
            have = sorted({sample.split for sample in self.samples if sample.split})
            missing = f"no sample is in split {' or '.join(splits)}"
            if have:
                raise UsageError(f"{missing} of this manifest; {nearest(splits[0], have)}")
            raise ManifestError(
                f"{missing}; this manifest has no splits. Make them with `workzone data split`."
            )
        return self.with_samples(chosen)


def _row(sample: Sample) -> dict[str, Any]:
    row = {name: getattr(sample, name) for name in SCHEMA.names if not name.startswith("image_")}
    row |= {
        "image_path": sample.image.path,
        "image_member": sample.image.member,
        "image_row": sample.image.row,
        "extra": list(sample.extra.items()),
    }
    return row


def _sample(row: dict[str, Any]) -> Sample:
    image = ImageRef(row.pop("image_path"), row.pop("image_member"), row.pop("image_row"))
    return Sample(**(row | {"image": image, "extra": dict(row["extra"] or ())}))


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write ``manifest`` to ``path``, whole or not at all.

    Relative image paths are taken to start at ``path``'s folder, so ``manifest.root`` should be
    that folder, or the paths absolute.
    """
    fields = [
        schema_field.with_metadata({"source_column": manifest.source_columns[schema_field.name]})
        if schema_field.name in manifest.source_columns
        else schema_field
        for schema_field in SCHEMA
    ]
    table = pa.Table.from_pylist([_row(sample) for sample in manifest], schema=pa.schema(fields))
    with writing(path) as aside:
        pq.write_table(table, aside)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        ManifestError: the file is missing, is not parquet, lacks a column, repeats an id, or holds
            values that no manifest has (the message names column and row, counted from 0).
    """
    if not path.is_file():
        raise ManifestError(f"no manifest at {path}; make one with `workzone data import`")
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ManifestError(f"{path} is not a parquet file: {error}") from error
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    if missing:
        raise ManifestError(
            f"{path} is not a manifest: it lacks {', '.join(missing)}. "
            "Import it first: `workzone data import`."
        )
    source_columns = {
        schema_field.name: schema_field.metadata[b"source_column"].decode(errors="replace")
        for schema_field in table.schema
        if schema_field.metadata and b"source_column" in schema_field.metadata
    }
    samples = [_sample(row) for row in _checked_rows(table, path)]
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            raise ManifestError(f"{path}: the id {sample.id!r} occurs twice; ids must be unique")
        seen.add(sample.id)
    return Manifest(samples, path.parent, source_columns)


def _checked_rows(table: pa.Table, path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a table with the columns of a manifest, their types and ranges made sure of."""
    columns = {field.name: _values(table, field, path) for field in SCHEMA}
    for number, cells in enumerate(zip(*columns.values(), strict=True)):
        row = dict(zip(columns, cells, strict=True))
        wrong = _wrong(row)
        if wrong is not None:
            raise ManifestError(f"{path} row {number}: {wrong}. Import the data again.")
        yield row


def _values(table: pa.Table, wanted: pa.Field, path: Path) -> list[Any]:
    """A column as Python values of the wanted type."""
    if table.column_names.count(wanted.name) > 1:
        raise ManifestError(f"{path}: the column {wanted.name} occurs twice; keep one of them")
    column = table.column(wanted.name)
    try:
        # Nanoseconds may be lost: pandas writes them.
        values: list[Any] = column.cast(
            wanted.type, safe=not pa.types.is_timestamp(wanted.type)
        ).to_pylist()
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise ManifestError(
            f"{path}: the column {wanted.name} is {column.type} and cannot be read as "
            f"{wanted.type}: {error}"
        ) from error
    return values


def _wrong(row: Mapping[str, Any]) -> str | None:
    """What a row holds that no manifest has."""
    for name in ("id", "image_path"):
        if row[name] is None:
            return f"{name} is empty"
    if row["label"] not in (0, 1, None):
        return f"label {row['label']} is neither 1 (road work), 0 (none) nor empty"
    for name, limit in (("latitude", 90), ("longitude", 180)):
        if row[name] is not None and not -limit <= row[name] <= limit:
            return f"{name} {row[name]} is not within -{limit}..{limit} degrees"
    return None
