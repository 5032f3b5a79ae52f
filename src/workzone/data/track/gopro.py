"""GoPro: GPMF in a track of the video (https://github.com/gopro/gpmf-parser, its description).

``GPS5`` holds some 18 positions a second without times, ``GPSU`` the time of a second's first;
``GPS9`` of newer cameras gives each position its own. When a position belongs to the video is told
by its place on the video's time line.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from workzone.data.track.film import Film
from workzone.data.track.fixes import DAMAGED, NO_FIX, Clock, Fix, Log, of_day

NAME = "GoPro GPMF"
_2000 = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
_NUMBERS = {"b": "b", "B": "B", "s": "h", "S": "H", "l": "i", "L": "I", "f": "f", "d": "d"}
_GPS9 = ">7i2H"
_UNSURE = "too uncertain"
_WORST = 10.0  # dilution of precision above which places are kilometres off, whatever the fix


@dataclass(frozen=True, slots=True)
class _Item:
    key: bytes
    kind: str  # "" where it holds others
    size: int
    data: bytes


def read(film: Film, clock: Clock) -> Log | None:
    """The positions in the track ``gpmd``; see `workzone.data.track.film.FilmReader`."""
    samples = film.samples(b"gpmd")
    if samples is None:
        return None
    log = Log(NAME)
    rows: list[tuple[float, Fix]] = []
    moments: list[float] = []  # by how much UTC is ahead of the video's time
    for sample in samples:
        try:
            _read_second(sample.data, sample.seconds, sample.duration, rows, moments, log)
        except (struct.error, ValueError, IndexError, ZeroDivisionError):
            log.dropped[DAMAGED] += 1
    ahead = median(moments) if moments else None
    for offset, fix in rows:
        utc = fix.utc if fix.utc is not None or ahead is None else offset + ahead
        log.fixes.append(Fix(fix.latitude, fix.longitude, utc, offset, fix.altitude))
    return log


def _read_second(
    data: bytes,
    offset: float,
    duration: float,
    rows: list[tuple[float, Fix]],
    moments: list[float],
    log: Log,
) -> None:
    """The positions of one sample of the track, which lasts about a second."""
    for stream in _streams(data):
        scale = _values(stream[b"SCAL"]) if b"SCAL" in stream else [1.0]
        if b"GPS9" in stream:
            _read_gps9(stream[b"GPS9"], scale, offset, duration, rows, log)
            return
        if b"GPS5" in stream:
            item = stream[b"GPS5"]
            number = len(item.data) // 20
            if b"GPSF" in stream and _values(stream[b"GPSF"])[0] < 2:
                log.dropped[NO_FIX] += number
                return
            if b"GPSP" in stream and _values(stream[b"GPSP"])[0] > 100 * _WORST:
                log.dropped[_UNSURE] += number
                return
            if b"GPSU" in stream:
                moments.append(_moment(stream[b"GPSU"].data) - offset)
            for index in range(number):
                latitude, longitude, altitude = (
                    value / divisor
                    for value, divisor in zip(
                        struct.unpack_from(">3i", item.data, 20 * index), scale, strict=False
                    )
                )
                at = offset + duration * index / number
                rows.append((at, Fix(latitude, longitude, altitude=altitude)))
            return


def _read_gps9(
    item: _Item,
    scale: list[float],
    offset: float,
    duration: float,
    rows: list[tuple[float, Fix]],
    log: Log,
) -> None:
    number = len(item.data) // struct.calcsize(_GPS9)
    for index in range(number):
        raw = struct.unpack_from(_GPS9, item.data, struct.calcsize(_GPS9) * index)
        values = [value / divisor for value, divisor in zip(raw, scale, strict=True)]
        if values[8] < 2:
            log.dropped[NO_FIX] += 1
            continue
        if values[7] > _WORST:
            log.dropped[_UNSURE] += 1
            continue
        utc = _2000 + 86_400 * values[5] + values[6]  # no date at all: `build` drops it
        at = offset + duration * index / number
        rows.append((at, Fix(values[0], values[1], utc, altitude=values[2])))


def _streams(data: bytes) -> Iterator[dict[bytes, _Item]]:
    """The streams of all devices in one sample."""
    for device in _items(data):
        if device.key == b"DEVC" and not device.kind:
            for stream in _items(device.data):
                if stream.key == b"STRM" and not stream.kind:
                    yield {item.key: item for item in _items(stream.data)}


def _items(data: bytes) -> Iterator[_Item]:
    """Keys, types, sizes and content.

    Raises:
        ValueError: the last is cut off.
    """
    at = 0
    while at + 8 <= len(data):
        key, kind, size, repeat = struct.unpack_from(">4sBBH", data, at)
        length = size * repeat
        if at + 8 + length > len(data):
            raise ValueError("cut off")
        if key != b"\0\0\0\0":
            yield _Item(key, chr(kind) if kind else "", size, data[at + 8 : at + 8 + length])
        at += 8 + length + -length % 4


def _values(item: _Item) -> list[float]:
    form = _NUMBERS.get(item.kind, "i")
    count = len(item.data) // struct.calcsize(form)
    return list(struct.unpack_from(f">{count}{form}", item.data))


def _moment(data: bytes) -> float:
    """UTC from ``yymmddhhmmss.sss``."""
    text = data.decode("ascii", errors="replace").strip("\0 ")
    date = datetime.strptime(text[:6], "%y%m%d").replace(tzinfo=UTC)
    return of_day(date, text[6:]).timestamp()
