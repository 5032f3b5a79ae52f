"""Camera motion metadata, of 360-degree cameras (https://developers.google.com/streetview,
"Camera Motion Metadata Spec"): a track ``camm`` whose samples of types 5 and 6 are positions.

Type 6 has a time, counted by GPS since 1980, without the leap seconds that UTC has had since. Some
cameras write Unix time instead. Where only one of the two readings is not in the future, or near
the file's creation time, that one is meant: years lie between them.
"""

from __future__ import annotations

import struct
import time
from datetime import UTC, datetime
from pathlib import Path

from workzone.data.track.boxes import is_mp4, read_movie, read_samples
from workzone.data.track.fixes import DAMAGED, NO_FIX, Clock, Fix, Log

NAME = "CAMM"
UNIX = "its times are Unix time, not GPS time as CAMM asks for"

_GPS_EPOCH = 315_964_800  # 1980-01-06
_LEAPS = tuple(
    datetime(year, month, 1, tzinfo=UTC).timestamp()
    for year, month in (
        *((1981, 7), (1982, 7), (1983, 7), (1985, 7), (1988, 1), (1990, 1), (1991, 1), (1992, 7)),
        *((1993, 7), (1994, 7), (1996, 1), (1997, 7), (1999, 1), (2006, 1), (2009, 1), (2012, 7)),
        *((2015, 7), (2017, 1)),
    )
)
"""When UTC got a leap second since GPS time began (IERS Bulletin C)."""

_PLACE, _TIMED = 5, 6
_DAY = 86_400


def read(path: Path, head: bytes, clock: Clock) -> Log | None:
    """The positions in the track ``camm``; see `workzone.data.track.fixes.Reader`."""
    if not is_mp4(head):
        return None
    with path.open("rb") as handle:
        movie = read_movie(handle, path)
        track = next((track for track in movie.tracks if track.format == b"camm"), None)
        if track is None:
            return None
        log = Log(NAME)
        rows: list[tuple[float, float | None, tuple[float, float, float]]] = []
        for at, _, data in read_samples(handle, track):
            try:
                kind = struct.unpack_from("<H", data, 2)[0]
                if kind == _PLACE:
                    rows.append((at, None, struct.unpack_from("<3d", data, 4)))
                elif kind == _TIMED:
                    gps, fix, latitude, longitude, height = struct.unpack_from("<di2df", data, 4)
                    if fix < 2:
                        log.dropped[NO_FIX] += 1
                    else:
                        rows.append((at, gps, (latitude, longitude, height)))
            except struct.error:
                log.dropped[DAMAGED] += 1
    unix = _is_unix([gps for _, gps, _ in rows if gps is not None], movie.created)
    if unix:
        log.note(UNIX)
    if any(gps is not None for _, gps, _ in rows):  # cameras that write both repeat the place
        rows = [row for row in rows if row[1] is not None]
    for at, gps, (latitude, longitude, height) in rows:
        utc = gps if gps is None or unix else from_gps(gps)
        log.fixes.append(Fix(latitude, longitude, utc, at - movie.first_frame, height))
    return log


def from_gps(seconds: float) -> float:
    """Seconds since 1970 in UTC, from seconds since 1980-01-06 by GPS."""
    utc = seconds + _GPS_EPOCH
    return utc - sum(utc - passed >= leap for passed, leap in enumerate(_LEAPS, start=1))


def _is_unix(seconds: list[float], created: float | None) -> bool:
    if not seconds:
        return False
    first = seconds[0]
    if from_gps(first) > time.time() + _DAY:
        return True
    if created is None:
        return False
    return abs(first - created) < 2 * _DAY < abs(from_gps(first) - created)
