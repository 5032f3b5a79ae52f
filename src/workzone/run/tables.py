"""Rows of a file: JSON lines, CSV or parquet; with a position also GeoParquet."""

from __future__ import annotations

import csv
import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from workzone.errors import UsageError, nearest
from workzone.files import writing
from workzone.parallel import in_batches

TableKind = Literal["jsonl", "csv", "parquet"]
Row = dict[str, Any]

SUFFIXES: dict[str, TableKind] = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl"}
TIME = "timestamp[us, UTC]"
"""Among pyarrow's names of types: a time, of rows either a datetime or ISO 8601."""
GEOMETRY = "geometry"
_GEOPARQUET = {
    "version": "1.1.0",
    "primary_column": GEOMETRY,
    "columns": {GEOMETRY: {"encoding": "WKB", "geometry_types": ["Point"]}},
}
"""Metadata after https://geoparquet.org/releases/v1.1.0/; with no CRS named it is longitude and
latitude on WGS 84."""
_ROWS_AT_ONCE = 10_000


def table_kind(path: Path, *, also: str | None = None) -> TableKind | None:
    """The format of a table that a file's suffix names.

    Args:
        path: of the file.
        also: a suffix that is known, too; None is returned for it.

    Raises:
        UsageError: an unknown suffix.
    """
    if path.suffix == also:
        return None
    if path.suffix not in SUFFIXES:
        known = SUFFIXES if also is None else (*SUFFIXES, also)
        raise UsageError(f"cannot tell the format of {path.name!r}; {nearest(path.suffix, known)}")
    return SUFFIXES[path.suffix]


def in_iso(row: Mapping[str, Any]) -> Row:
    """A row with its times in ISO 8601 (UTC), for text formats."""
    return {
        name: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def write_table(
    rows: Iterable[Row], columns: Mapping[str, str], path: Path, *, places: bool = False
) -> None:
    """Write a table, whole or not at all.

    Args:
        rows: by the names of columns; what a row lacks is null.
        columns: names, and pyarrow's names of their types.
        path: of a suffix that :func:`table_kind` knows.
        places: of parquet: whether ``longitude`` and ``latitude`` are written as geometry, too
            (GeoParquet).

    Raises:
        UsageError: an unknown suffix.
        WorkzoneError: the disk is full or the folder cannot be written.
    """
    kind = table_kind(path)
    with writing(path) as aside:
        if kind == "parquet":
            _write_parquet(rows, columns, aside, places=places)
            return
        with aside.open("w", newline="", encoding="utf-8") as handle:
            texts = (in_iso({name: row.get(name) for name in columns}) for row in rows)
            if kind == "csv":
                lines = csv.DictWriter(handle, list(columns))
                lines.writeheader()
                lines.writerows(texts)
            else:
                handle.writelines(json.dumps(row, allow_nan=False) + "\n" for row in texts)


def _write_parquet(
    rows: Iterable[Row], columns: Mapping[str, str], path: Path, *, places: bool
) -> None:
    import pyarrow as pa  # as long as judging a photograph, were it at the top
    import pyarrow.parquet as pq

    moments = pa.timestamp("us", "UTC")
    types = {name: moments if kind == TIME else kind for name, kind in columns.items()}
    times = [name for name, kind in columns.items() if kind == TIME]
    if places:
        types[GEOMETRY] = "binary"
    metadata = {"geo": json.dumps(_GEOPARQUET)} if places else None
    schema = pa.schema(list(types.items()), metadata=metadata)
    with pq.ParquetWriter(path, schema) as table:
        for batch in in_batches(_with_values(rows, times, places=places), _ROWS_AT_ONCE):
            table.write_table(pa.Table.from_pylist(batch, schema=schema))


def _with_values(rows: Iterable[Row], times: list[str], *, places: bool) -> Iterator[Row]:
    for row in rows:
        texts = {name: row[name] for name in times if isinstance(row.get(name), str)}
        values = row | {name: datetime.fromisoformat(text) for name, text in texts.items()}
        if places:
            values[GEOMETRY] = _point(row.get("longitude"), row.get("latitude"))
        yield values


def _point(longitude: float | None, latitude: float | None) -> bytes | None:
    """Well-known binary of a point, little-endian; None where it is not known."""
    if longitude is None or latitude is None:
        return None
    return struct.pack("<BIdd", 1, 1, longitude, latitude)
