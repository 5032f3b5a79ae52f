"""CSV with columns for time, latitude and longitude, named as usual."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TextIO

from workzone.data.track.fixes import DAMAGED, NO_FIX, NO_TIME, Clock, Fix, Log
from workzone.data.track.gpx import refuse_zoneless
from workzone.errors import TrackError

NAME = "CSV"
_COLUMNS = {
    "time": ("time", "timestamp", "datetime", "date_time", "utc", "utc_time", "gps_time"),
    "date": ("date",),
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "lng", "long"),
    "altitude": ("altitude", "alt", "elevation", "ele", "height"),
    "image": ("image", "file", "filename", "name"),
}


def read(path: Path, head: bytes, clock: Clock) -> Log | None:
    """The rows of a table; see `workzone.data.track.fixes.Reader`."""
    text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    if "\0" in text or not text.strip():
        return None
    line = text.splitlines()[0]
    delimiter = max(",;\t", key=line.count)
    columns = _columns(next(csv.reader([line], delimiter=delimiter), []))
    if not columns.keys() >= {"latitude", "longitude"}:
        return None
    if "time" not in columns:
        raise TrackError(
            f"{path} has no column for the time; name one {' or '.join(_COLUMNS['time'][:3])}"
        )
    log = Log(NAME)
    zoneless = 0
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        for row in _rows(file, delimiter, path):
            said = {
                field: row[number].strip() if number < len(row) else ""
                for field, number in columns.items()
            }
            if not said["latitude"] or not said["longitude"]:
                log.dropped[NO_FIX] += 1
                continue
            if not said["time"]:
                log.dropped[NO_TIME] += 1
                continue
            try:
                numbers = {
                    field: float(_point(said[field], delimiter))
                    for field in ("latitude", "longitude", "altitude")
                    if said.get(field)
                }
                utc = clock.read(f"{said.get('date', '')} {said['time']}")
            except ValueError:
                log.dropped[DAMAGED] += 1
                continue
            zoneless += utc is None
            log.fixes.append(Fix(**numbers, utc=utc, image=said.get("image") or None))
    refuse_zoneless(path, zoneless)
    return log


def _rows(file: TextIO, delimiter: str, path: Path) -> list[list[str]]:
    try:
        return list(csv.reader(file, delimiter=delimiter))[1:]
    except csv.Error as error:
        raise TrackError(f"{path} is no whole table: {error}; write it again") from error


def _columns(names: list[str]) -> dict[str, int]:
    plain = ["_".join(name.strip().lower().split()) for name in names]
    found = {}
    for field, spellings in _COLUMNS.items():
        number = next((plain.index(name) for name in spellings if name in plain), None)
        if number is not None:
            found[field] = number
    return found


def _point(text: str, delimiter: str) -> str:
    return text.replace(",", ".") if delimiter != "," else text
