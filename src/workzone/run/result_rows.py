"""Results as rows of a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from workzone.errors import ImageError
from workzone.run.sources import as_text
from workzone.run.tables import TIME, Row, write_table
from workzone.types import Prediction, Sample

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
    "time": TIME,
    "longitude": "float64",
    "latitude": "float64",
}
"""The columns after them where a manifest says such things: the drive, when, and where."""

STAMP = "stamp"
"""The last column of parts: what a result was made of, see :mod:`workzone.run.stamps`."""


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
        output: of a suffix that :func:`workzone.run.tables.table_kind` knows.
        known: whether there are `KNOWN_COLUMNS`.
        places: of parquet: whether positions are written as geometry too (GeoParquet).
        stamps: whether there is the column `STAMP`.

    Raises:
        UsageError: an unknown suffix.
        WorkzoneError: the disk is full or the folder cannot be written.
    """
    columns = COLUMNS | (KNOWN_COLUMNS if known else {}) | ({STAMP: "string"} if stamps else {})
    write_table(rows, columns, output, places=places)
