"""What a reader of positions gives, and the clock by which it reads times without a zone."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Protocol

from workzone.data.passed_over import counted

NO_FIX, DAMAGED, NO_TIME = "without fix", "damaged", "without a time"
"""Reasons for which readers drop positions; `workzone.data.track.track` has more."""

_FIRST_SCALE = 10**11  # from here on, numbers since 1970 are milliseconds
_DATE = re.compile(r"^(\d{4})[:/.](\d\d)[:/.](\d\d)")


@dataclass(frozen=True, slots=True)
class Fix:
    """One position, in degrees (WGS 84), as a device wrote it down.

    ``utc``: seconds since 1970, None where the device says no time, or one without a zone;
    ``offset``: seconds since the first frame of the video that holds it; ``altitude``: metres;
    ``image``: the name of the picture taken there.
    """

    latitude: float
    longitude: float
    utc: float | None = None
    offset: float | None = None
    altitude: float | None = None
    image: str | None = None


@dataclass
class Log:
    """The positions that a reader found, and how many it dropped for which reason."""

    reader: str
    fixes: list[Fix] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        """Say something once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def __str__(self) -> str:
        """Such as ``GoPro GPMF: 191 fixes, 4 without fix dropped``."""
        found = counted(len(self.fixes), "fix").replace("fixs", "fixes")
        said = [found, *(f"{count:,} {why} dropped" for why, count in self.dropped.most_common())]
        return f"{self.reader}: {', '.join(said)}"


@dataclass(frozen=True, slots=True)
class Clock:
    """Which zone times are in that name none; never the machine's own."""

    zone: tzinfo | None = None

    def utc(self, moment: datetime) -> float | None:
        """Seconds since 1970; None for a time without zone where no zone was stated.

        Raises:
            ValueError: a local time that came twice or never, as clocks were changed, or one that
                is before the year 1 or after 9999 in UTC.
        """
        if moment.tzinfo is None:
            if self.zone is None:
                return None
            try:
                first, second = (
                    moment.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1)
                )
            except OverflowError as error:
                raise ValueError(f"{moment} is not in the years 1 to 9999 of UTC") from error
            if first != second:
                raise ValueError(f"{moment} came twice or never, as clocks were changed")
            moment = first
        return moment.timestamp()

    def read(self, text: str) -> float | None:
        """As `utc`, of ISO 8601 or of a number: seconds or milliseconds since 1970.

        Raises:
            ValueError: it is neither.
        """
        text = text.strip()
        try:
            number = float(text)
        except ValueError:
            return self.utc(datetime.fromisoformat(_DATE.sub(r"\1-\2-\3", text)))
        if not 10**8 <= number < 10**14:
            raise ValueError(f"{text} is no time since 1970")
        return number / 1000 if number >= _FIRST_SCALE else number


class Reader(Protocol):
    """Reads the positions of one maker, or of one format."""

    def __call__(self, path: Path, head: bytes, clock: Clock) -> Log | None:
        """The positions in a file or folder; None where it is not of this reader's kind.

        Args:
            path: what to read.
            head: its first `HEAD` bytes, empty for a folder.
            clock: for times without a zone.

        Raises:
            TrackError: it is of this kind, and cannot be read.
        """
        ...


HEAD = 65_536
"""Bytes of a file by which readers know it."""


def of_day(date: datetime, clock_time: str) -> datetime:
    """A moment on the day of ``date``, from ``hhmmss`` with or without a fraction.

    The 60th second, which is a leap second, is the first of the next minute.

    Raises:
        ValueError: no such time.
    """
    found = re.fullmatch(r"(\d\d)(\d\d)(\d\d)(\.\d+)?", clock_time)
    if found is None:
        raise ValueError(f"{clock_time!r} is no time of day")
    hours, minutes, seconds = (int(part) for part in found.groups()[:3])
    if hours > 23 or minutes > 59 or seconds > 60:
        raise ValueError(f"{clock_time!r} is no time of day")
    start = date.replace(hour=0, minute=0, second=0, microsecond=0)
    seconds_of_day = 3600 * hours + 60 * minutes + seconds + float(found[4] or 0)
    return after(start, timedelta(seconds=seconds_of_day))


def after(moment: datetime, elapsed: timedelta) -> datetime:
    """The moment that is ``elapsed`` later.

    Raises:
        ValueError: it is not in the years 1 to 9999.
    """
    try:
        return moment + elapsed
    except OverflowError as error:
        raise ValueError(f"{elapsed} after {moment} is no date") from error


def degrees(value: float, letter: str, letters: str) -> float:
    """Degrees from ``DDMM.MMMM``, negative for the second of two ``letters``, as ``NS``.

    Raises:
        ValueError: another letter, or 60 minutes and more.
    """
    if letter not in letters or len(letter) != 1 or not 0 <= value < 18_060:
        raise ValueError(f"{value} {letter!r} is no angle")
    whole, minutes = divmod(value, 100)
    if minutes >= 60:
        raise ValueError(f"{value} has 60 minutes or more")
    angle = whole + minutes / 60
    return -angle if letter == letters[1] else angle
