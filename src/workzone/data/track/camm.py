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

from workzone.data.track.film import Film
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


def read(film: Film, clock: Clock) -> Log | None:
    """The positions in the track ``camm``; see `workzone.data.track.film.FilmReader`."""
    samples = film.samples(b"camm")
    if samples is None:
        return None
    log = Log(NAME)
    rows: list[tuple[float, float | None, tuple[float, float, float]]] = []
    for sample in samples:
        try:
            kind = struct.unpack_from("<H", sample.data, 2)[0]
            if kind == _PLACE:
                rows.append((sample.seconds, None, struct.unpack_from("<3d", sample.data, 4)))
            elif kind == _TIMED:
                gps, fix, *where = struct.unpack_from("<di2df", sample.data, 4)
                if fix < 2:
                    log.dropped[NO_FIX] += 1
                else:
                    rows.append((sample.seconds, gps, (where[0], where[1], where[2])))
        except struct.error:
            log.dropped[DAMAGED] += 1
    unix = _is_unix([gps for _, gps, _ in rows if gps is not None], film.created)
    if unix:
        log.note(UNIX)
    if any(gps is not None for _, gps, _ in rows):  # cameras that write both repeat the place
        rows = [row for row in rows if row[1] is not None]
    for seconds, gps, (latitude, longitude, height) in rows:
        utc = gps if gps is None or unix else from_gps(gps)
        log.fixes.append(Fix(latitude, longitude, utc, seconds, height))
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
