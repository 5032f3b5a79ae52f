"""Scored frames with time and place, as tables that predictions and drives are written to."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from workzone.decide.drive import Chain, smooth
from workzone.errors import ManifestError, UsageError, nearest
from workzone.geo.ground import Floats
from workzone.geo.objects import NOTHING, InFrame, Objects

_COLUMNS = ("time", "longitude", "latitude", "heading", "probability")
_OBJECTS = ("classes", "near", "far")
_PACKED = (*_COLUMNS, *_OBJECTS)
_TEXTS = ("id", "group", "time")
_READ = (*_TEXTS, "longitude", "latitude", "heading", "smoothed", "probability")
_EARLIEST = 946_684_800.0  # 2000-01-01T00:00:00Z
_SECONDS = re.compile(r"\d{9,}(\.\d*)?", re.ASCII)  # of fewer digits it is a date, as 20260501
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
    objects: Objects  # what masks show in them
    source: str = ""  # the table that it was read from

    def with_objects(self, found: Mapping[str, InFrame]) -> Drive:
        """The same frames, with what was found in those whose ids are there."""
        return replace(self, objects=Objects.of([found.get(name, NOTHING) for name in self.ids]))

    def packed(self) -> bytes:
        """All but id and source, as bytes that `unpacked` reads; the same for the same frames."""
        names = json.dumps(self.ids).encode()
        return zlib.compress(len(self.ids).to_bytes(8, "little") + self._table() + names, 1)

    @staticmethod
    def unpacked(name: str, body: bytes) -> Drive:
        """What `packed` wrote."""
        plain = zlib.decompress(body)
        count = int.from_bytes(plain[:8], "little")
        end = 8 + count * 8 * len(_PACKED)
        table = np.frombuffer(plain[8:end], "<f8").reshape(len(_PACKED), count)
        time, lon, lat, ahead, scores, classes, near, far = table
        objects = Objects(classes.astype(np.int64), near, far)
        return Drive(name, time, lon, lat, ahead, scores, tuple(json.loads(plain[end:])), objects)

    def digest(self) -> str:
        """Of its contents, whatever the order of the rows it was read from."""
        return hashlib.sha256(self._table() + json.dumps(self.ids).encode()).hexdigest()

    def _table(self) -> bytes:
        """The columns of `_PACKED`, one after the other."""
        columns = [
            *(getattr(self, name) for name in _COLUMNS),
            *(getattr(self.objects, name) for name in _OBJECTS),
        ]
        return np.stack(columns).astype("<f8").tobytes()


def with_objects(drives: Sequence[Drive], found: Mapping[str, InFrame]) -> list[Drive]:
    """The same drives, with what was found in their frames.

    Raises:
        UsageError: none of the frames is theirs.
    """
    mine = next((name for drive in drives for name in drive.ids), None)
    if mine is not None and not any(name in found for drive in drives for name in drive.ids):
        other = next(iter(found), None)
        told = "no frame at all" if other is None else f"no frame of these drives, but {other!r}"
        raise UsageError(
            f"--objects has {told}; the drives have ids such as {mine!r}: give the objects.jsonl "
            "of the same frames"
        )
    return [drive.with_objects(found) for drive in drives]


@dataclass(frozen=True, slots=True)
class Detections:
    """Drives of a table."""

    drives: Sequence[Drive]
    without_place: int  # rows left out: no time or no place
    silent: int  # rows left out: no probability


def read_detections(path: Path | str) -> Detections:
    """Read scored frames of drives.

    Args:
        path: ``.parquet``, ``.csv`` or ``.jsonl`` with the columns ``id`` and ``group`` (the
            drive), both text; ``time``, ISO 8601 with a time of day (UTC where it names no zone) or
            seconds since 1970, from the year 2000 to a day from now; ``longitude``, ``latitude``;
            and ``smoothed``, or ``probability``, which is smoothed along each drive. ``heading``
            (degrees clockwise from north) is optional.

    Raises:
        ManifestError: no such file, not such a table, a column that is missing or of another
            type, or a value out of its range.
        UsageError: another suffix.
    """
    path = Path(path)
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
    groups, ids = (_names(path, columns, name) for name in ("group", "id"))
    time = _times(path, columns["time"])
    place = [_numbers(path, columns, name) for name in ("longitude", "latitude")]
    values = _numbers(path, columns, scored)
    _check(path, values, "probability", 0, 1)
    _check(path, place[0], "longitude", -180, 180)
    _check(path, place[1], "latitude", -90, 90)
    known = np.full(len(ids), np.nan)
    directions = _numbers(path, columns, "heading") % 360 if "heading" in columns else known
    placed = np.isfinite(time) & np.isfinite(place[0]) & np.isfinite(place[1])
    told = placed & np.isfinite(values)
    table = [column[told] for column in (time, *place, directions, values)]
    drives = _drives(path, groups[told], ids[told], table, smoothed=scored == "smoothed")
    return Detections(list(drives), int((~placed).sum()), int((placed & ~told).sum()))


def _drives(
    path: Path, groups: Any, ids: Any, table: Sequence[Floats], *, smoothed: bool
) -> Iterator[Drive]:
    """Rows of a table, whose columns are those of `_COLUMNS`, as drives in order of time."""
    names, codes = np.unique(groups, return_inverse=True)
    order = np.lexsort((ids, table[0], codes))
    cuts = np.searchsorted(codes[order], np.arange(len(names) + 1))
    for number, name in enumerate(names.tolist()):
        rows = order[cuts[number] : cuts[number + 1]]
        time, lon, lat, ahead, scores = (column[rows] for column in table)
        if not smoothed:
            scores = smooth(time - time[0], scores, Chain())
        yield Drive(
            id=name,
            time=time,
            longitude=lon,
            latitude=lat,
            heading=ahead,
            probability=scores,
            ids=tuple(ids[rows].tolist()),
            objects=Objects.nothing(len(rows)),
            source=str(path),
        )


def _read_table(path: Path) -> dict[str, list[Any]]:
    """Columns of `_READ` that are there; None where nothing is, texts as they were written."""
    if path.suffix not in SUFFIXES:
        raise UsageError(
            f"cannot tell the format of {path.name!r}; {nearest(path.suffix, SUFFIXES)}"
        )
    if path.suffix == ".jsonl":
        return _read_json(path)
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    try:
        if path.suffix == ".csv":
            texts = pa.csv.ConvertOptions(column_types=dict.fromkeys(_TEXTS, pa.string()))
            table = pa.csv.read_csv(path, convert_options=texts)
        else:
            table = pa.parquet.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ManifestError(f"{path} cannot be read as a table: {error}") from error
    return {name: _plain(table[name]) for name in _READ if name in table.column_names}


def _read_json(path: Path) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in _READ}
    there: set[str] = set()
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.strip():
                    values = json.loads(line)
                    there.update(values.keys())
                    for name, column in columns.items():
                        column.append(values.get(name))
    except OSError as error:
        raise ManifestError(f"{path} cannot be read as a table: {error}") from error
    except (ValueError, AttributeError) as error:
        row = len(columns["id"]) + 1
        raise ManifestError(f"{path}, row {row}: no JSON object in one line ({error})") from error
    return {name: column for name, column in columns.items() if name in there}


def _plain(column: Any) -> list[Any]:
    """Values of a column; moments as seconds since 1970, UTC."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        micro = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        return [None if value is None else value / 1e6 for value in micro.to_pylist()]
    values: list[Any] = column.to_pylist()
    return values


def _names(path: Path, columns: dict[str, list[Any]], name: str) -> Any:
    """A column of texts, each of which is there: ``[n]``."""
    for row, value in enumerate(columns[name], 1):
        if value is None or value == "":
            raise ManifestError(f"{path}, row {row}: no {name}; each frame needs an id and a group")
        if not isinstance(value, str):
            raise ManifestError(f"{path}, row {row}: {name} {value!r} is no text; write it as text")
    return np.array(columns[name], str)


def _times(path: Path, values: Sequence[Any]) -> Floats:
    """Seconds since 1970, NaN where there is none: ``[n]``."""
    seconds = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        if value is None or str(value).lower() in ("", "nan"):
            continue
        try:
            seconds[row] = _seconds(value)
        except ValueError as error:
            raise ManifestError(
                f"{path}, row {row + 1}: {value!r} is no time; write it as 2026-05-01T08:00:00Z"
            ) from error
    latest = datetime.now(UTC).timestamp() + 86400
    for row in np.flatnonzero((seconds < _EARLIEST) | (seconds > latest))[:1]:
        raise ManifestError(
            f"{path}, row {row + 1}: time {values[row]!r} is not between the year 2000 and "
            f"tomorrow; {_likely_cause(seconds[row], latest)}"
        )
    return seconds


def _likely_cause(value: float, latest: float) -> str:
    """Why a number is no plausible time in seconds since 1970, and what to do."""
    for unit, parts in (("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9)):
        if _EARLIEST <= value / parts <= latest:
            return f"{unit}? divide by {parts:.0f}"
    return "was the camera's clock set? correct it, or leave it empty"


def _seconds(value: Any) -> float:
    """Since 1970, of a time in ISO 8601 or of seconds, as text or as a number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        raise ValueError("neither a number nor text")
    if _SECONDS.fullmatch(value):
        return float(value)
    if ":" not in value and "T" not in value:
        raise ValueError("a date without a time of day")
    moment = datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _numbers(path: Path, columns: dict[str, list[Any]], name: str) -> Floats:
    """A column of numbers, NaN where there is none: ``[n]``."""
    values = columns[name]
    for row, value in enumerate(values, 1):
        if isinstance(value, bool):
            raise ManifestError(f"{path}, row {row}: {name} {value!r} is no number")
    try:
        return np.array([np.nan if v is None or v == "" else v for v in values], np.float64)
    except (TypeError, ValueError) as error:
        raise ManifestError(f"{path}: column {name!r} is not all numbers: {error}") from error


def _check(path: Path, values: Floats, name: str, low: float, high: float) -> None:
    for row in np.flatnonzero((values < low) | (values > high))[:1]:
        raise ManifestError(
            f"{path}, row {row + 1}: {name} {values[row]}; it must be a number in {low}..{high}"
        )
