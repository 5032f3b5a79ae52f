"""Frames and segments of drives as tables, and segments on a map."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from workzone.errors import UsageError, nearest
from workzone.files import write_text, writing
from workzone.run.drives import Drives, DriveSegment, Frame, Place

TABLES = (".parquet", ".csv", ".jsonl")
MAP = ".geojson"
_TIME = "timestamp[us, tz=UTC]"
_DECIMALS = 7  # of degrees: a centimetre

_FRAME = {
    "id": "string",
    "group": "string",
    "time": _TIME,
    "probability": "float64",
    "smoothed": "float64",
    "decision": "string",
    "segment": "int64",
    "longitude": "float64",
    "latitude": "float64",
}
_SEGMENT = {
    "group": "string",
    "segment": "int64",
    "start": _TIME,
    "end": _TIME,
    "seconds": "float64",
    "frames": "int64",
    "mean": "float64",
    "peak": "float64",
    "evidence": "string",
    "start_longitude": "float64",
    "start_latitude": "float64",
    "end_longitude": "float64",
    "end_latitude": "float64",
}
"""Columns, and pyarrow's names of their types."""


def check_output(path: Path, *, on_map: bool = False) -> None:
    """Make sure of the suffix of a file to write: a table, or with ``on_map`` a map as well.

    Raises:
        UsageError: another suffix.
    """
    suffixes = (*TABLES, MAP) if on_map else TABLES
    if path.suffix not in suffixes:
        raise UsageError(
            f"cannot tell the format of {path.name!r}; {nearest(path.suffix, suffixes)}"
        )


def write_frames(frames: Sequence[Frame], path: Path) -> None:
    """Write a row for each frame as ``.parquet``, ``.csv`` or ``.jsonl``, whole or not at all.

    Raises:
        UsageError: another suffix.
        WorkzoneError: it cannot be written.
    """
    check_output(path)
    _write_table([{name: getattr(one, name) for name in _FRAME} for one in frames], _FRAME, path)


def write_segments(drives: Drives, path: Path) -> None:
    """Write a row for each segment as a table, or as GeoJSON (RFC 7946) those with a place.

    Raises:
        UsageError: another suffix, or ``.geojson`` where there are segments and none has a place.
        WorkzoneError: it cannot be written.
    """
    check_output(path, on_map=True)
    if path.suffix != MAP:
        _write_table([segment_row(one) for one in drives.segments], _SEGMENT, path)
        return
    placed = [one for one in drives.segments if one.places]
    if drives.segments and not placed:
        raise UsageError(
            f"{path}: no frame of a segment has a place; write a table ({', '.join(TABLES)}), or "
            "import the images again with longitude and latitude"
        )
    features = [_feature(one) for one in placed]
    told = {"type": "FeatureCollection", "features": features}
    write_text(path, json.dumps(told, allow_nan=False) + "\n")


def segment_row(segment: DriveSegment) -> dict[str, Any]:
    """A segment as one flat row; its ends are the first and the last place that is known."""
    ends = (segment.places[0], segment.places[-1]) if segment.places else ((None, None),) * 2
    row = {name: getattr(segment, name) for name in _SEGMENT if "tude" not in name}
    for name, (longitude, latitude) in zip(("start", "end"), ends, strict=True):
        row |= {f"{name}_longitude": longitude, f"{name}_latitude": latitude}
    return row


def as_text(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its times in ISO 8601, for text formats."""
    return {
        name: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def _write_table(rows: Sequence[dict[str, Any]], columns: Mapping[str, str], path: Path) -> None:
    with writing(path) as aside:
        if path.suffix == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            types = {
                n: pa.timestamp("us", tz="UTC") if t == _TIME else t for n, t in columns.items()
            }
            schema = pa.schema(list(types.items()))
            pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), aside)
            return
        with aside.open("w", newline="", encoding="utf-8") as handle:
            texts = map(as_text, rows)
            if path.suffix == ".csv":
                lines = csv.DictWriter(handle, list(columns))
                lines.writeheader()
                lines.writerows(texts)
            else:
                handle.writelines(json.dumps(row, allow_nan=False) + "\n" for row in texts)


def _feature(segment: DriveSegment) -> dict[str, Any]:
    parts = list(_lines(segment.places))
    if len(segment.places) == 1:
        geometry: dict[str, Any] = {"type": "Point", "coordinates": parts[0][0]}
    elif len(parts) == 1:
        geometry = {"type": "LineString", "coordinates": parts[0]}
    else:
        geometry = {"type": "MultiLineString", "coordinates": parts}
    row = as_text(segment_row(segment))
    return {
        "type": "Feature",
        "geometry": geometry,
        "properties": {name: value for name, value in row.items() if "tude" not in name},
    }


def _lines(places: Sequence[Place]) -> Iterator[list[list[float]]]:
    """Places as lines, parted where they cross the date line, as RFC 7946 asks for."""
    points = [[round(value, _DECIMALS) for value in place] for place in places]
    cuts = [row for row, (one, two) in enumerate(pairwise(points), 1) if abs(one[0] - two[0]) > 180]
    for start, end in pairwise([0, *cuts, len(points)]):
        line = points[start:end]
        yield line * 2 if len(line) == 1 and len(points) > 1 else line  # a line has two ends
