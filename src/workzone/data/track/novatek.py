"""Cameras on Novatek's chips, such as Viofo's: blocks ``freeGPS``, listed in a box ``gps``.

Nobody published the format; it was found out by users of such cameras. ``moov/gps`` lists offset
and size of a block for each second of the video. A block is a box ``free`` that begins with
``GPS ``; at one of two places in it stand hour, minute, second, year, month and day as 32-bit
numbers, ``A`` (or ``V`` without fix), ``N`` or ``S``, ``E`` or ``W``, and latitude and longitude
as 32-bit floats of ``DDMM.MMMM``, to about a metre. (S. Franco, "Extracting GPS data from Viofo
A119 and other Novatek powered cameras", https://sergei.nz.)

The clock is the camera's: UTC in some, local time in others, and nothing in the file tells which.
"""

from __future__ import annotations

import struct
from datetime import datetime, timedelta

from workzone.data.track.film import Film
from workzone.data.track.fixes import DAMAGED, NO_FIX, Clock, Fix, Log, degrees
from workzone.errors import TrackError

NAME = "Novatek"
NO_ZONE = (
    "its clock names no zone, so its fixes have no time: say --zone UTC or, if the camera shows "
    "local time, such as --zone Europe/Berlin"
)
_LAYOUTS = (0x30, 0x10)  # where the hour stands
_LARGEST = 2**20  # bytes of a block
_UNKNOWN = "in an unknown layout"


def read(film: Film, clock: Clock) -> Log | None:
    """The positions in such blocks; see `workzone.data.track.film.FilmReader`."""
    places = _listed(film) or _loose(film)
    if not places:
        return None
    log = Log(NAME)
    for second, start, size in places:
        film.handle.seek(start)
        block = film.handle.read(min(size, _LARGEST))
        if len(block) < size or block[4:12] != b"freeGPS ":
            log.dropped[DAMAGED] += 1
        else:
            _read_block(block, float(second), clock, log)
    if log.dropped[_UNKNOWN] == len(places):
        raise TrackError(
            f"{film.path}: its {len(places):,} freeGPS blocks are of a layout that is not read "
            "(some makers encrypt them); write a GPX file beside the video, for example with "
            "exiftool"
        )
    if clock.zone is None and log.fixes:
        log.note(NO_ZONE)
    return log


def _listed(film: Film) -> list[tuple[int, int, int]]:
    """Second, offset and size of the blocks, from the list in ``moov``; it may have empty rows."""
    data = dict(film.index).get(b"gps ", b"")
    rows = [struct.unpack_from(">II", data, at) for at in range(8, len(data) - 7, 8)]
    return [(second, start, size) for second, (start, size) in enumerate(rows) if start and size]


def _loose(film: Film) -> list[tuple[int, int, int]]:
    """Those that are boxes of the file itself, where no list is."""
    found: list[tuple[int, int, int]] = []
    for box in film.boxes:
        film.handle.seek(box.start)
        if box.kind == b"free" and film.handle.read(4) == b"GPS ":
            found.append((len(found), box.start - 8, box.end - box.start + 8))
    return found


def _read_block(block: bytes, offset: float, clock: Clock, log: Log) -> None:
    for at in _LAYOUTS:
        state = block[at + 24 : at + 27]
        if len(state) == 3 and state[:1] in b"AV" and _is_date(block, at):
            break
    else:
        log.dropped[_UNKNOWN] += 1
        return
    if state[:1] == b"V":
        log.dropped[NO_FIX] += 1
        return
    try:
        north, east = struct.unpack_from("<2f", block, at + 28)
        latitude = degrees(north, chr(state[1]), "NS")
        longitude = degrees(east, chr(state[2]), "EW")
        utc = clock.utc(_moment(block, at))
    except (ValueError, struct.error):
        log.dropped[DAMAGED] += 1
        return
    log.fixes.append(Fix(latitude, longitude, utc, offset))


def _is_date(block: bytes, at: int) -> bool:
    hour, minute, second, year, month, day = struct.unpack_from("<6I", block, at)
    empty = not any((hour, minute, second, year, month, day)) and block[at + 24 : at + 25] == b"V"
    return empty or (
        hour < 24
        and minute < 60
        and second <= 60
        and 1 <= month <= 12
        and 1 <= day <= 31
        and (year < 100 or 1980 <= year < 2100)
    )


def _moment(block: bytes, at: int) -> datetime:
    hour, minute, second, year, month, day = struct.unpack_from("<6I", block, at)
    day_start = datetime(year if year > 99 else 2000 + year, month, day)
    return day_start + timedelta(hours=hour, minutes=minute, seconds=second)
