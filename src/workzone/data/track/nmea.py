"""NMEA 0183 beside a video: sentences RMC, GGA and ZDA, each kept only with a right checksum.

A number that is cut short is a wrong place that looks right, so sentences without a checksum are
dropped too. Position and date come from RMC; GGA adds the altitude, or the position where there is
no RMC, on the day that RMC or ZDA said last. Moments of which either says that the position is
void, or was estimated, typed in or simulated, have none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from workzone.data.track.fixes import (
    DAMAGED,
    NO_FIX,
    NO_TIME,
    Clock,
    Fix,
    Log,
    after,
    degrees,
    of_day,
)

NAME = "NMEA"
SENTENCE = re.compile(rb"\$([A-Z]{2})(RMC|GGA|ZDA),([^*$\r\n]*)(?:\*([0-9A-Fa-f]{2}))?")
_UNTRUE_MODES = ("E", "M", "S", "N")  # estimated, typed in, simulated, void
_UNTRUE_QUALITIES = ("6", "7", "8")  # of the first three
_HALF_DAY = timedelta(hours=12)


def read(path: Path, head: bytes, clock: Clock) -> Log | None:
    """The sentences of a text file; see `workzone.data.track.fixes.Reader`."""
    if b"\0" in head or not SENTENCE.search(head):
        return None
    return read_sentences(NAME, ((None, line) for line in path.read_bytes().splitlines()))


def read_sentences(name: str, lines: Iterable[tuple[float | None, bytes]]) -> Log:
    """The positions in lines of NMEA.

    Args:
        name: what the log is called.
        lines: with each, seconds since the video's first frame where they are known.
    """
    sentences = _Sentences(Log(name))
    for offset, line in lines:
        found = SENTENCE.search(line)
        if found is None:
            continue
        if found[4] is None or _checksum(found) != int(found[4], 16):
            sentences.log.dropped[DAMAGED] += 1
            continue
        try:
            sentences.take(found[2], found[3].decode("ascii").split(","), offset)
        except (ValueError, IndexError):
            sentences.log.dropped[DAMAGED] += 1
    sentences.log.fixes = sentences.fixes()
    if not sentences.log.fixes and sentences.undated:
        sentences.log.dropped[NO_TIME] += sentences.undated
    return sentences.log


def _checksum(found: re.Match[bytes]) -> int:
    total = 0
    for byte in b"".join((found[1], found[2], b",", found[3])):
        total ^= byte
    return total


@dataclass
class _Sentences:
    """Positions by time, and what was said last."""

    log: Log
    rmc: dict[float, Fix] = field(default_factory=dict)
    gga: dict[float, Fix] = field(default_factory=dict)
    refused: set[float] = field(default_factory=set)  # moments without a true position
    last: datetime | None = None
    undated: int = 0  # GGA before the first date

    def take(self, kind: bytes, fields: list[str], offset: float | None) -> None:
        if kind == b"ZDA":
            date = datetime.strptime(" ".join(fields[1:4]), "%d %m %Y")
            self.last = of_day(date.replace(tzinfo=UTC), fields[0])
        elif kind == b"RMC":
            self._take_rmc(fields, offset)
        else:
            self._take_gga(fields, offset)

    def fixes(self) -> list[Fix]:
        """The positions of all moments that were not refused."""
        merged = dict(self.gga)
        for utc, fix in self.rmc.items():
            high = self.gga.get(utc)
            merged[utc] = fix if high is None else replace(fix, altitude=high.altitude)
        return [fix for utc, fix in merged.items() if utc not in self.refused]

    def _take_rmc(self, fields: list[str], offset: float | None) -> None:
        moment = None
        if fields[0] and fields[8]:
            moment = self.last = of_day(_date(fields[8]), fields[0])
        mode = fields[11] if len(fields) > 11 else ""
        if fields[1] != "A" or mode in _UNTRUE_MODES:  # whatever the other fields hold
            near = self._moment(fields[0]) if moment is None and fields[0] else moment
            self._refuse(near)
            return
        latitude = degrees(_number(fields[2]), fields[3], "NS")
        longitude = degrees(_number(fields[4]), fields[5], "EW")
        if moment is None:
            self.log.dropped[NO_TIME] += 1
            return
        utc = moment.timestamp()
        self.rmc[utc] = Fix(latitude, longitude, utc, offset)

    def _take_gga(self, fields: list[str], offset: float | None) -> None:
        if fields[5] in ("", "0"):
            return  # an RMC of the same moment counts it
        moment = self._moment(fields[0])
        if fields[5] in _UNTRUE_QUALITIES:
            self._refuse(moment)
            return
        if moment is None:
            self.undated += 1
            return
        utc = moment.timestamp()
        altitude = _number(fields[8]) if fields[8] else None
        latitude = degrees(_number(fields[1]), fields[2], "NS")
        longitude = degrees(_number(fields[3]), fields[4], "EW")
        self.gga[utc] = Fix(latitude, longitude, utc, offset, altitude)

    def _moment(self, clock_time: str) -> datetime | None:
        """The moment of a time of day that is nearest to the last one; None before a first date."""
        if self.last is None:
            return None
        moment = of_day(self.last, clock_time)
        if self.last - moment > _HALF_DAY:  # just after midnight
            return after(moment, timedelta(days=1))
        if moment - self.last > _HALF_DAY:
            return after(moment, timedelta(days=-1))
        return moment

    def _refuse(self, moment: datetime | None) -> None:
        utc = None if moment is None else moment.timestamp()
        if utc not in self.refused:
            self.log.dropped[NO_FIX] += 1
        if utc is not None:
            self.refused.add(utc)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number")
    return number


def _date(text: str) -> datetime:
    """The day of ``ddmmyy``, in 1980 to 2079: earlier there was no GPS."""
    if not re.fullmatch(r"\d{6}", text):
        raise ValueError(f"{text!r} is no date")
    year = int(text[4:])
    return datetime(
        year + (1900 if year >= 80 else 2000), int(text[2:4]), int(text[:2]), tzinfo=UTC
    )
