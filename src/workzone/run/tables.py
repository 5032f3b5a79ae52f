"""Results as rows of a file: JSON lines, CSV or parquet; with a position also GeoParquet."""

from __future__ import annotations

import csv
import json
import struct
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from workzone.errors import ImageError, UsageError, nearest
from workzone.files import writing
from workzone.parallel import in_batches
from workzone.run.sources import as_text
from workzone.types import Prediction, Sample

OutputKind = Literal["jsonl", "csv", "parquet"]
Row = dict[str, Any]

_SUFFIXES: dict[str, OutputKind] = {".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet"}

COLUMNS = {
    "id": "string",
    "probability": "float64",
    "decision": "string",
    "view": "int32",
    "view_weight": "float64",
    "inputs": "string",
    "engine": "string",
    "precision": "string",
    "reason": "string",
    "unlike": "float64",
    "x0": "float64",
    "y0": "float64",
    "x1": "float64",
    "y1": "float64",
}
"""Of a table of results: names, and pyarrow's names of their types."""

KNOWN_COLUMNS = {
    "group": "string",
    "time": "timestamp[us, UTC]",
    "longitude": "float64",
    "latitude": "float64",
}
"""The columns after them where a manifest says such things: the drive, when, and where."""

STAMP = "stamp"
"""The last column of parts: what a result was made of, see :mod:`workzone.run.stamps`."""
GEOMETRY = "geometry"
_GEOPARQUET = {
    "version": "1.1.0",
    "primary_column": GEOMETRY,
    "columns": {GEOMETRY: {"encoding": "WKB", "geometry_types": ["Point"]}},
}
"""Metadata after https://geoparquet.org/releases/v1.1.0/; with no CRS named it is longitude and
latitude on WGS 84."""

_ROWS_AT_ONCE = 10_000


def output_kind(output: Path) -> OutputKind:
    """The format that an output's suffix names.

    Raises:
        UsageError: an unknown suffix.
    """
    if output.suffix not in _SUFFIXES:
        raise UsageError(
            f"cannot tell the format of {output.name!r}; {nearest(output.suffix, _SUFFIXES)}"
        )
    return _SUFFIXES[output.suffix]


def flat(prediction: Prediction) -> Row:
    """A prediction as one flat row: the columns of every output format."""
    row = asdict(prediction)
    return row | dict(zip(("x0", "y0", "x1", "y1"), row.pop("box"), strict=True))


def flat_error(name: str, error: ImageError) -> dict[str, str]:
    """What stands in place of :func:`flat` for an image that cannot be read."""
    return {"id": name, "error": as_text(str(error)), "code": error.code}


def says_where_or_when(sample: Sample | None) -> bool:
    """Whether any of `KNOWN_COLUMNS` is known of an image."""
    return sample is not None and any(getattr(sample, name) is not None for name in KNOWN_COLUMNS)


def known_of(sample: Sample | None) -> Row:
    """`KNOWN_COLUMNS` of an image; the time as text (ISO 8601, UTC)."""
    row = {name: getattr(sample, name, None) for name in KNOWN_COLUMNS}
    if row["time"] is not None:
        row["time"] = row["time"].isoformat()
    return row


def write_rows(
    rows: Iterable[Row],
    output: Path,
    *,
    known: bool,
    places: bool = False,
    stamps: bool = False,
) -> None:
    """Write rows of results, whole or not at all.

    Args:
        rows: with `COLUMNS` and, where ``known``, what `known_of` gives.
        output: of a suffix that :func:`output_kind` knows.
        known: whether there are `KNOWN_COLUMNS`.
        places: of parquet: whether positions are written as geometry too (GeoParquet).
        stamps: whether there is the column `STAMP`.

    Raises:
        UsageError: an unknown suffix.
        WorkzoneError: the disk is full or the folder cannot be written.
    """
    kind = output_kind(output)
    columns = COLUMNS | (KNOWN_COLUMNS if known else {}) | ({STAMP: "string"} if stamps else {})
    with writing(output) as aside:
        if kind == "parquet":
            _write_parquet(rows, aside, columns, places=places)
            return
        with aside.open("w", newline="", encoding="utf-8") as handle:
            rows = ({name: row.get(name) for name in columns} for row in rows)
            if kind == "csv":
                lines = csv.DictWriter(handle, list(columns))
                lines.writeheader()
                lines.writerows(rows)
            else:
                handle.writelines(json.dumps(row) + "\n" for row in rows)


def _write_parquet(
    rows: Iterable[Row], path: Path, columns: dict[str, str], *, places: bool
) -> None:
    import pyarrow as pa  # as long as judging a photograph, were it at the top
    import pyarrow.parquet as pq

    moments = pa.timestamp("us", "UTC")
    types = {
        name: moments if kind.startswith("timestamp") else kind for name, kind in columns.items()
    }
    if places:
        types[GEOMETRY] = "binary"
    metadata = {"geo": json.dumps(_GEOPARQUET)} if places else None
    schema = pa.schema(list(types.items()), metadata=metadata)
    with pq.ParquetWriter(path, schema) as table:
        for batch in in_batches(rows, _ROWS_AT_ONCE):
            filled = [_with_values(row, places=places) for row in batch]
            table.write_table(pa.Table.from_pylist(filled, schema=schema))


def _with_values(row: Row, *, places: bool) -> Row:
    if row.get("time") is not None:
        row = row | {"time": datetime.fromisoformat(row["time"])}
    if places:
        row = row | {GEOMETRY: _point(row.get("longitude"), row.get("latitude"))}
    return row


def _point(longitude: float | None, latitude: float | None) -> bytes | None:
    """Well-known binary of a point, little-endian; None where it is not known."""
    if longitude is None or latitude is None:
        return None
    return struct.pack("<BIdd", 1, 1, longitude, latitude)
