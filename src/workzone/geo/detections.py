"""Scored frames with time and place, as tables that predictions and drives are written to."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workzone.decide.drive import Chain, smooth
from workzone.errors import ManifestError, UsageError, nearest
from workzone.geo.ground import Floats

_COLUMNS = ("time", "longitude", "latitude", "heading", "probability")
SUFFIXES = (".parquet", ".csv", ".jsonl")


@dataclass(frozen=True, slots=True)
class Drive:
    """Frames of one drive in order of time, ``[n]`` each."""

    id: str
    time: Floats  # seconds since 1970, UTC
    longitude: Floats  # degrees, WGS 84
    latitude: Floats
    heading: Floats  # degrees clockwise from north; NaN where it is not known
    probability: Floats  # that road work is in view, from all frames of the drive
    ids: tuple[str, ...]

    def packed(self) -> bytes:
        """All of it but its id, as bytes that `unpacked` reads; the same for the same frames."""
        table = np.stack([getattr(self, name) for name in _COLUMNS]).astype("<f8")
        names = json.dumps(self.ids).encode()
        return zlib.compress(len(self.ids).to_bytes(8, "little") + table.tobytes() + names, 1)

    @staticmethod
    def unpacked(name: str, body: bytes) -> Drive:
        """What `packed` wrote."""
        plain = zlib.decompress(body)
        count = int.from_bytes(plain[:8], "little")
        end = 8 + count * 8 * len(_COLUMNS)
        table = np.frombuffer(plain[8:end], "<f8").reshape(len(_COLUMNS), count)
        columns = dict(zip(_COLUMNS, table, strict=True))
        return Drive(id=name, ids=tuple(json.loads(plain[end:])), **columns)

    def digest(self) -> str:
        """Of its contents, whatever the order of the rows it was read from."""
        table = np.stack([getattr(self, name) for name in _COLUMNS]).astype("<f8")
        return hashlib.sha256(table.tobytes() + json.dumps(self.ids).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Detections:
    """Drives of a table."""

    drives: Sequence[Drive]
    rows: int
    without_place: int  # rows left out: no time or no place
    silent: int  # rows left out: no probability


def read_detections(path: Path, *, chain: Chain | None = None) -> Detections:
    """Read scored frames of drives.

    Args:
        path: ``.parquet``, ``.csv`` or ``.jsonl`` with the columns ``id``, ``group`` (the drive),
            ``time``, ``longitude``, ``latitude`` and ``smoothed``, or ``probability``, which is
            smoothed along each drive; ``heading`` (degrees clockwise from north) is optional.
        chain: how road work comes and goes along a drive, where ``smoothed`` is not there.

    Raises:
        ManifestError: no such file, not such a table, or a column that is missing or no number.
        UsageError: another suffix.
    """
    columns = _read_table(path)
    lacking = [n for n in ("id", "group", "time", "longitude", "latitude") if n not in columns]
    if "smoothed" not in columns and "probability" not in columns:
        lacking.append("smoothed (or probability)")
    if lacking:
        raise ManifestError(
            f"{path} has no column {', '.join(lacking)}: give what `workzone predict MANIFEST -o` "
            "wrote of a manifest with groups, times and places, or `workzone drives -o`"
        )
    scored = "smoothed" if "smoothed" in columns else "probability"
    count = len(columns["id"])
    time = _times(path, columns["time"])
    place = [_numbers(path, columns, name) for name in ("longitude", "latitude")]
    values = _numbers(path, columns, scored)
    _check(path, values, "probability", 0, 1)
    _check(path, place[0], "longitude", -180, 180)
    _check(path, place[1], "latitude", -90, 90)
    known = np.full(count, np.nan)
    directions = _numbers(path, columns, "heading") % 360 if "heading" in columns else known
    groups, ids = np.array(columns["group"], object), np.array(columns["id"], object)
    named = np.array([g is not None and i is not None for g, i in zip(groups, ids, strict=True)])
    if not named.all():
        row = int(np.flatnonzero(~named)[0])
        raise ManifestError(f"{path}, row {row + 1}: no id or no group; each frame needs both")
    placed = np.isfinite(time) & np.isfinite(place[0]) & np.isfinite(place[1])
    told = placed & np.isfinite(values)
    names, codes = np.unique(groups[told].astype(str), return_inverse=True)
    texts = ids[told].astype(str)
    table = [column[told] for column in (time, *place, directions, values)]
    order = np.lexsort((texts, table[0], codes))
    cuts = np.searchsorted(codes[order], np.arange(len(names) + 1))
    used = None if scored == "smoothed" else chain or Chain()
    drives = []
    for number, name in enumerate(names.tolist()):
        rows = order[cuts[number] : cuts[number + 1]]
        moments, lon, lat, ahead, scores = (column[rows] for column in table)
        if used is not None:
            scores = smooth(moments - moments[0], scores, used)
        named_ids = tuple(texts[rows].tolist())
        drives.append(Drive(name, moments, lon, lat, ahead, scores, named_ids))
    return Detections(drives, count, int((~placed).sum()), int((placed & ~told).sum()))


def _read_table(path: Path) -> dict[str, list[Any]]:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.json
    import pyarrow.parquet

    if path.suffix not in SUFFIXES:
        raise UsageError(
            f"cannot tell the format of {path.name!r}; {nearest(path.suffix, SUFFIXES)}"
        )
    readers = {
        ".parquet": pa.parquet.read_table,
        ".csv": pa.csv.read_csv,
        ".jsonl": pa.json.read_json,
    }
    try:
        table = readers[path.suffix](path)
    except (OSError, pa.ArrowException) as error:
        raise ManifestError(f"{path} cannot be read as a table: {error}") from error
    kept = ("id", "group", "time", "longitude", "latitude", "heading", "smoothed", "probability")
    return {name: _plain(table[name]) for name in kept if name in table.column_names}


def _plain(column: Any) -> list[Any]:
    """Values of a column; moments as seconds since 1970, UTC."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        micro = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        return [None if value is None else value / 1e6 for value in micro.to_pylist()]
    values: list[Any] = column.to_pylist()
    return values


def _times(path: Path, values: Sequence[Any]) -> Floats:
    from datetime import UTC, datetime

    seconds = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        if isinstance(value, str) and value:
            try:
                moment = datetime.fromisoformat(value)
            except ValueError as error:
                raise ManifestError(
                    f"{path}, row {row + 1}: {value!r} is no time; write it as 2026-05-01T08:00:00Z"
                ) from error
            zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            seconds[row] = zoned.timestamp()
        elif isinstance(value, int | float):
            seconds[row] = value
    return seconds


def _numbers(path: Path, columns: dict[str, list[Any]], name: str) -> Floats:
    try:
        return np.array([np.nan if v is None or v == "" else v for v in columns[name]], np.float64)
    except (TypeError, ValueError) as error:
        raise ManifestError(f"{path}: column {name!r} is not all numbers: {error}") from error


def _check(path: Path, values: Floats, name: str, low: float, high: float) -> None:
    for row in np.flatnonzero((values < low) | (values > high))[:1]:
        raise ManifestError(
            f"{path}, row {row + 1}: {name} {values[row]}; it must be a number in {low}..{high}"
        )
