"""Times in the spellings that data sets use."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from workzone.data.sources.times import parse_time
from workzone.data.sources.values import FieldError

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        *("2024-05-01T12:00:00Z", "2024-05-01 12:00:00", "2024:05:01 12:00:00"),
        *("20240501120000", "202405011200", "2024050112", "20240501120000000"),
        *(20240501120000, 202405011200.0, "202405011200.0", "20240501_120000", "2024.05.01 12:00"),
        *(
            "2024-05-01 12-00-00",
            "2024-05-01 1200",
            "2024-05-01 12:00:00 PM",
            "2024-05-01 12:00 UTC",
        ),
        *("2024-05-01T17:30:00+0530", "2024-05-01 17:30:00 +05:30", "2024-05-01 14:00 GMT+2"),
        *("2024-05-01 08:00 America/New_York", "2024-05-01 07:00-05", "1714564800000000000"),
        *(
            1714564800000000,
            "2024/05/01 12:00",
            "2024-05-01T14:00:00+02:00",
            "1714564800",
            "1714564800000",
        ),
        *(1714564800, 1714564800.0, 1714564800000, NOON.replace(tzinfo=None), NOON),
        NOON.astimezone(timezone(timedelta(hours=-7))),
    ],
)
def test_times(value):
    assert parse_time(value) == NOON
    assert parse_time(value).tzinfo is UTC


def test_a_date_is_its_midnight():
    assert parse_time(date(2024, 5, 1)) == datetime(2024, 5, 1, tzinfo=UTC)
    assert parse_time("20240501") == datetime(2024, 5, 1, tzinfo=UTC)
    assert parse_time("0005011000") == datetime(2000, 5, 1, 10, tzinfo=UTC)
    assert parse_time("000501100000") == datetime(2000, 5, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("value", [None, "", math.nan, 0, "0", "NaT", "None"])
def test_missing_times(value):
    assert parse_time(value) is None


@pytest.mark.parametrize(
    "value",
    [
        *("01/05/2024", "2024", "noon", "2024-13-01", 17, "99999999999999"),
        *("01052024", "2.0240501E+13", "2024-05-01 10-05", "2024-05-01 10:00 EST"),
        *("45413", "45413.4166", "2024-11-03 01:30 America/New_York", "2024-05-01 10:00 Mars/Rome"),
    ],
)
def test_unreadable_times(value):
    with pytest.raises(FieldError, match=re.escape(f"time '{value}'")) as caught:
        parse_time(value)
    assert caught.value.code == "time-unreadable"


def test_digits_that_may_be_two_times_are_not_guessed():
    with pytest.raises(FieldError, match=r"may be .*2012-05-01 10:00.* or 2020-12-05 01:10"):
        parse_time("201205011000")
    with pytest.raises(FieldError, match=r"may be .*2014-05-01 10:00.* or 2014-07-10"):
        parse_time("1405011000")  # seconds since 1970, or YYMMDDhhmm


@pytest.mark.parametrize(
    ("value", "listed"),
    [
        ("01052024103045", "2024-01-05 10:30:45.* or 2024-05-01 10:30:45"),
        (1052024103045, "2003-05-04 .* or 2024-01-05 10:30:45.* or 2024-05-01"),  # lost its zero
        ("01052024103045250", "2024-01-05 10:30:45.* or 2024-05-01 10:30:45"),
        ("1105202410304500", "2005-01-08 .* or 2024-05-11 10:30:45.* or 2024-11-05"),
        ("010520241030", "2024-01-05 10:30:00.* or 2024-05-01 10:30:00"),
        ("0105202310", "2001-05-20 23:10:00.* or 2023-01-05 10:00:00.* or 2023-05-01"),
        ("010524103045", "2001-05-24 10:30:45.* or 2024-01-05 10:30:45.* or 2024-05-01"),
        ("0105241030", "2001-05-24 10:30:00.* or 2024-01-05 10:30:00.* or 2024-05-01"),
        ("240501103045", "2001-05-24 10:30:45.* or 2024-05-01 10:30:45"),
        ("25122024103045", "2024-12-25 10:30:45.*, its day or month first"),
        ("01012024103045", "2024-01-01 10:30:45.*, its day or month first"),
        ("01052024", "2024-01-05 00:00:00.* or 2024-05-01 00:00:00"),
    ],
)
def test_digits_that_may_have_the_day_or_month_first_are_not_guessed(value, listed):
    with pytest.raises(FieldError, match=f"may be {listed}"):
        parse_time(value)


def test_seconds_since_1970_have_no_zero_before_them():
    with pytest.raises(FieldError, match="is no time"):
        parse_time("01714557600")
    assert parse_time("1714557600") == NOON - timedelta(hours=2)


def test_parts_of_seconds():
    for text in ("20240501120000250", "2024-05-01 12:00:00,25", 1714564800.25, 1714564800250):
        assert parse_time(text) == NOON.replace(microsecond=250_000)


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(FieldError) as caught:
        parse_time("9" * 100_000)
    assert len(str(caught.value)) < 200
