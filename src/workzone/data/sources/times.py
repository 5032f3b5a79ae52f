"""Moments as data sets spell them, in UTC."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from workzone.data.sources.values import FieldError, as_text, quoted

_YEARS = range(1970, 2101)
_NUMBER = re.compile(r"(\d+)(?:\.(\d+))?")
_WRITTEN = re.compile(
    r"(\d{4})[-:/.](\d\d)[-:/.](\d\d)"
    r"(?:(?:\s+|\s*[T_-]\s*)(\d\d)(?:[:.hH]?(\d\d)(?:[:.mM]?(\d\d)(?:[.,](\d{1,9}))?s?)?)?)?"
    r"\s*(.*)",
    re.DOTALL,
)
_DASHES = re.compile(r"^(\d{4}.\d\d.\d\d(?:\s+|[T_-])\d\d)-(\d\d)-(\d\d)")  # in file names
_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([-+])(\d{1,2}):?(\d\d)?", re.IGNORECASE)
_ZONE_NAME = re.compile(r"[A-Za-z]+(?:/[A-Za-z_+-]+)+")
_SCALES = (1, 10**3, 10**6, 10**9)  # epoch seconds, milli-, micro- and nanoseconds


def parse_time(value: Any) -> datetime | None:
    """A moment in UTC; a time without a zone is taken as UTC. None where it is missing.

    Read are ISO 8601, dates and times parted in other ways if the year comes first, and digits
    alone: ``YYYYMMDD`` with ``hh``, ``hhmm`` or ``hhmmss``, ``YYMMDDhhmm`` or ``YYMMDDhhmmss``, and
    seconds, milli-, micro- or nanoseconds since 1970. Digits that give a time between 2000 and next
    year in more than one of these ways, or with the day or month first, are not guessed; nor are
    days before months and numbers of days.

    Raises:
        FieldError: ``time-unreadable``.
    """
    text = as_text(value)
    if text is None or text in ("0", "None"):
        return None
    number = _NUMBER.fullmatch(text)
    try:
        moment = _from_digits(text, *number.groups("")) if number else _from_text(text)
    except (ValueError, OverflowError) as error:
        if isinstance(error, FieldError):
            raise
        raise _unreadable(text) from error
    if moment.year not in _YEARS:
        raise FieldError(
            "time-unreadable", f"time {quoted(text)} lies outside the years 1970 to 2100"
        )
    return moment


def _unreadable(text: str, why: str = "cannot be read") -> FieldError:
    return FieldError(
        "time-unreadable",
        f"time {quoted(text)} {why}; write it as ISO 8601, such as 2024-05-01T10:00:00Z",
    )


def _from_digits(text: str, digits: str, fraction: str) -> datetime:
    latest = datetime.now(UTC).year + 1

    def plausible(moments: Iterator[datetime]) -> set[datetime]:
        return {moment for moment in moments if 2000 <= moment.year <= latest}

    found = plausible(_readings(digits, fraction))
    year_last = plausible(_year_last_readings(digits))
    if len(found | year_last) > 1 or year_last - found:
        listed = " or ".join(str(moment) for moment in sorted(found | year_last))
        why = "" if found else ", its day or month first"
        raise _unreadable(text, f"may be {listed}{why}")
    if not found:
        if len(digits) == 5:
            raise _unreadable(text, "may be a spreadsheet's number of days, or no date at all")
        raise _unreadable(text, "is no time between 2000 and next year")
    return found.pop()


def _readings(digits: str, fraction: str) -> Iterator[datetime]:
    """Every moment that digits alone may mean, the year first or counted since 1970."""
    if len(digits) >= 9 and not digits.startswith("0"):
        seconds, below = int(digits), float(f"0.{fraction or 0}")
        for scale in _SCALES:
            if seconds // scale < 10**10:  # later ones are beyond what can be said
                whole, rest = divmod(seconds, scale)
                yield datetime.fromtimestamp(whole, UTC) + timedelta(seconds=(rest + below) / scale)
    if fraction.strip("0"):
        return
    forms = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M"}
    if len(digits) in forms:
        yield from _parsed(digits, forms[len(digits)])
    if len(digits) in (10, 12):
        form = "%Y%m%d%H%M%S" if len(digits) == 12 else "%Y%m%d%H%M"
        yield from _parsed(f"20{digits}", form)
    if 14 <= len(digits) <= 20:
        for moment in _parsed(digits[:14], "%Y%m%d%H%M%S"):
            yield moment + timedelta(seconds=float(f"0.{digits[14:] or 0}"))


def _year_last_readings(digits: str) -> Iterator[datetime]:
    """Every moment that digits may mean with the day or month first: reasons to doubt, no times."""
    if len(digits) in (7, 9, 11, 13):  # a column of numbers drops the zero of the 1st to 9th
        digits = f"0{digits}"
    if 14 <= len(digits) <= 20:
        digits = digits[:14]
    clocks = {8: ("%Y",), 10: ("%Y%H", "%y%H%M"), 12: ("%Y%H%M", "%y%H%M%S"), 14: ("%Y%H%M%S",)}
    for clock in clocks.get(len(digits), ()):
        for order in ("%d%m", "%m%d"):
            yield from _parsed(digits, f"{order}{clock}")


def _parsed(digits: str, form: str) -> Iterator[datetime]:
    try:
        yield datetime.strptime(digits, form).replace(tzinfo=UTC)
    except ValueError:
        return


def _from_text(text: str) -> datetime:
    found = _WRITTEN.fullmatch(_DASHES.sub(r"\1:\2:\3", text))
    if found is None:
        return _utc(datetime.fromisoformat(text))
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    if (
        hour and minute is None and zone.startswith("-")
    ):  # an hour and its zone, or hour and minute?
        raise _unreadable(text, "may end in minutes or in a zone")
    micro = int((fraction or "0").ljust(6, "0")[:6])
    date = int(year), int(month), int(day)
    moment = datetime(*date, int(hour or 0), int(minute or 0), int(second or 0), micro)
    return _in_zone(moment, zone.strip(), text)


def _in_zone(moment: datetime, zone: str, text: str) -> datetime:
    """A local time in UTC, its zone as it is written behind it."""
    if zone.upper() in ("", "Z", "UTC", "GMT"):
        return moment.replace(tzinfo=UTC)
    offset = _OFFSET.fullmatch(zone)
    if offset:
        minutes = int(offset[2]) * 60 + int(offset[3] or 0)
        away = timedelta(minutes=-minutes if offset[1] == "-" else minutes)
        return (moment - away).replace(tzinfo=UTC)
    if zone.upper() in ("AM", "PM") and 1 <= moment.hour <= 12:
        hour = moment.hour % 12 + (12 if zone.upper() == "PM" else 0)
        return moment.replace(hour=hour, tzinfo=UTC)
    if not _ZONE_NAME.fullmatch(zone):
        raise _unreadable(text, f"ends in {quoted(zone)}, which is no zone or several")
    try:
        place = ZoneInfo(zone)
    except (KeyError, OSError, ValueError) as error:
        raise _unreadable(text, f"names the unknown zone {quoted(zone)}") from error
    first, second = (moment.replace(tzinfo=place, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first != second:
        raise _unreadable(text, "came twice or never, as clocks were changed")
    return first


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
