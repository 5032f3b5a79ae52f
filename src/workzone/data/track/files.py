"""Tracks as GPX 1.1 and GeoJSON (RFC 7946), a segment or line for each stretch without gaps."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from workzone.data.places import Floats
from workzone.data.track.track import Track
from workzone.errors import UsageError
from workzone.files import write_text

SUFFIXES = (".gpx", ".geojson")
_DECIMALS = 7  # of degrees: a centimetre


def write_tracks(tracks: Sequence[Track], path: Path) -> None:
    """Write tracks as ``.gpx`` or ``.geojson``, whole or not at all.

    Raises:
        UsageError: another suffix.
        WorkzoneError: it cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: tracks are written as {' or '.join(SUFFIXES)}")
    write_text(path, _gpx(tracks) if path.suffix.lower() == ".gpx" else _geojson(tracks))


def iso(seconds: float) -> str | None:
    """A moment as ISO 8601 in UTC to the millisecond; None for NaN."""
    if math.isnan(seconds):
        return None
    moment = datetime.fromtimestamp(round(seconds, 3), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _gpx(tracks: Sequence[Track]) -> str:
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<gpx version="1.1" creator="workzone" xmlns="http://www.topografix.com/GPX/1/1">',
    ]
    for track in tracks:
        lines += ["<trk>", f"<name>{escape(track.path.name)}</name>"]
        for rows in _stretches(track):
            lines += ["<trkseg>", *(_gpx_point(track, row) for row in rows), "</trkseg>"]
        lines.append("</trk>")
    return "\n".join([*lines, "</gpx>", ""])


def _gpx_point(track: Track, row: int) -> str:
    height, moment = track.altitude[row], iso(track.utc[row])
    place = f'lat="{track.latitude[row]:.{_DECIMALS}f}" lon="{track.longitude[row]:.{_DECIMALS}f}"'
    return (
        f"<trkpt {place}>"
        + ("" if math.isnan(height) else f"<ele>{height:.2f}</ele>")
        + ("" if moment is None else f"<time>{moment}</time>")
        + "</trkpt>"
    )


def _geojson(tracks: Sequence[Track]) -> str:
    features = [_feature(track, rows) for track in tracks for rows in _stretches(track)]
    return json.dumps({"type": "FeatureCollection", "features": features}, allow_nan=False) + "\n"


def _feature(track: Track, rows: list[int]) -> dict[str, Any]:
    """A line with the times, speeds and headings of its points."""
    places = [
        [
            round(float(track.longitude[row]), _DECIMALS),
            round(float(track.latitude[row]), _DECIMALS),
        ]
        for row in rows
    ]
    single = len(places) == 1
    return {
        "type": "Feature",
        "geometry": {
            "type": "Point" if single else "LineString",
            "coordinates": places[0] if single else places,
        },
        "properties": {
            "file": track.path.name,
            "reader": track.log.reader,
            "coordTimes": [iso(track.utc[row]) for row in rows],
            "offset": numbers(track.offset[rows]),
            "speed": numbers(track.speed[rows]),
            "heading": numbers(track.heading[rows]),
            "parked": track.parked[rows].tolist(),
        },
    }


def numbers(values: Floats) -> list[float | None]:
    """Values to the millimetre or millisecond; None for NaN."""
    return [None if math.isnan(value) else round(value, 3) for value in values.tolist()]


def _stretches(track: Track) -> Iterator[list[int]]:
    """Rows without a gap, parted where they cross the date line too, as RFC 7946 asks for."""
    crossed = np.zeros(len(track), dtype=np.int64)
    crossed[1:] = np.cumsum(np.abs(np.diff(track.longitude)) > 180)
    for number in np.unique(track.stretch + crossed):
        yield np.flatnonzero(track.stretch + crossed == number).tolist()
