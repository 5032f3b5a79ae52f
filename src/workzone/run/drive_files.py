"""Frames and segments of drives as tables, and segments on a map."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from workzone.errors import UsageError
from workzone.files import write_text
from workzone.run.drives import Drives, DriveSegment, Frame, Place
from workzone.run.tables import SUFFIXES, TIME, in_iso, table_kind, write_table

MAP = ".geojson"
_DECIMALS = 7  # of degrees: a centimetre

_FRAME = {
    "id": "string",
    "group": "string",
    "time": TIME,
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
    "start": TIME,
    "end": TIME,
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


def write_frames(frames: Sequence[Frame], path: Path) -> None:
    """Write a row for each frame as ``.parquet``, ``.csv`` or ``.jsonl``, whole or not at all.

    Raises:
        UsageError: another suffix.
        WorkzoneError: it cannot be written.
    """
    rows = ({name: getattr(one, name) for name in _FRAME} for one in frames)
    write_table(rows, _FRAME, path)


def write_segments(drives: Drives, path: Path) -> None:
    """Write a row for each segment as a table, or as GeoJSON (RFC 7946) those with a place.

    Raises:
        UsageError: another suffix, or ``.geojson`` where there are segments and none has a place.
        WorkzoneError: it cannot be written.
    """
    if table_kind(path, also=MAP):
        write_table(map(segment_row, drives.segments), _SEGMENT, path)
        return
    placed = [one for one in drives.segments if one.places]
    if drives.segments and not placed:
        raise UsageError(
            f"{path}: no frame of a segment has a place; write a table ({', '.join(SUFFIXES)}), or "
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


def _feature(segment: DriveSegment) -> dict[str, Any]:
    parts = list(_lines(segment.places))
    if len(segment.places) == 1:
        geometry: dict[str, Any] = {"type": "Point", "coordinates": parts[0][0]}
    elif len(parts) == 1:
        geometry = {"type": "LineString", "coordinates": parts[0]}
    else:
        geometry = {"type": "MultiLineString", "coordinates": parts}
    row = in_iso(segment_row(segment))
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
