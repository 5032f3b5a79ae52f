"""Labels, times and places in the spellings that data sets use."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workzone.data.sources.values import (
    FieldError,
    as_text,
    parse_label,
    parse_place,
    parse_split,
    parse_time,
    split_of_path,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((v, 1) for v in (1, 1.0, True, "1", "1.0", "Yes", "TRUE", "road-work", "Road Work")),
        *((v, 0) for v in (0, 0.0, False, "0", "no", "False", "none", "no_roadwork", "Negative")),
        *((v, None) for v in (None, "", " ", math.nan, "NaN", "n/a")),
    ],
)
def test_labels(value, expected):
    assert parse_label(value) == expected


@pytest.mark.parametrize("value", [2, -1, 0.5, "maybe", "roadwrok"])
def test_unknown_labels(value):
    with pytest.raises(FieldError, match=f"label '{value}' is unknown; .*allowed: 0, 1") as caught:
        parse_label(value)
    assert caught.value.code == "label-unknown"


def test_unknown_label_names_the_nearest():
    with pytest.raises(FieldError, match="did you mean 'roadwork'"):
        parse_label("roadwrok")


NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        *("2024-05-01T12:00:00Z", "2024-05-01 12:00:00", "2024:05:01 12:00:00"),
        *("2024/05/01 12:00", "2024-05-01T14:00:00+02:00", "1714564800", "1714564800000"),
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


@pytest.mark.parametrize("value", [None, "", math.nan, 0, "0", "NaT", "None"])
def test_missing_times(value):
    assert parse_time(value) is None


@pytest.mark.parametrize(
    "value", ["01/05/2024", "2024", "noon", "2024-13-01", 17, "99999999999999"]
)
def test_unreadable_times(value):
    with pytest.raises(FieldError, match=f"time '{value}'") as caught:
        parse_time(value)
    assert caught.value.code == "time-unreadable"


@pytest.mark.parametrize(
    "gps",
    [
        *("51.5,-0.12", "51.5, -0.12", "51.5 -0.12", "51.5;-0.12", "(51.5, -0.12)"),
        *("[51.5, -0.12]", "['51.5', '-0.12']", '{"lat": 51.5, "lon": -0.12}'),
        *("{'lng': -0.12, 'lat': 51.5}", "lat=51.5, lon=-0.12", "51.5N, 0.12W", "0.12W 51.5N"),
        *("51.5° N, 0.12° W", "latitude: 51.5; longitude: -0.12"),
        *([51.5, -0.12], ("51.5", "-0.12"), {"lat": 51.5, "lon": -0.12}),
        {"longitude": -0.12, "latitude": 51.5},
    ],
)
def test_places_in_one_value(gps):
    assert parse_place({"gps": gps}) == pytest.approx((51.5, -0.12))


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_places_come_back_as_written(latitude, longitude):
    if latitude == 0 and longitude == 0:
        return
    assert parse_place({"gps": f"{latitude!r},{longitude!r}"}) == (latitude, longitude)
    assert parse_place({"latitude": str(latitude), "longitude": longitude}) == (latitude, longitude)


@pytest.mark.parametrize(
    "values",
    [{}, {"gps": None}, {"gps": ""}, {"gps": "None"}, {"latitude": None, "longitude": ""}],
)
def test_missing_places(values):
    assert parse_place(values) is None


def test_two_columns_win_over_one():
    assert parse_place({"latitude": 1, "longitude": 2, "gps": "3,4"}) == (1, 2)
    assert parse_place({"latitude": None, "longitude": None, "gps": "3,4"}) == (3, 4)


@pytest.mark.parametrize(
    ("latitude", "longitude", "code"),
    [
        (math.nan, math.nan, "coordinates-nan"),
        (51.5, "nan", "coordinates-nan"),
        (0, 0.0, "coordinates-null-island"),
        (-118.2, 34.1, "coordinates-swapped"),
        (-90.001, 10, "coordinates-swapped"),
        (95, 95, "coordinates-range"),
        (10, 180.5, "coordinates-range"),
        (math.inf, 10, "coordinates-range"),
        (51.5, None, "coordinates-incomplete"),
        ("51°30'", "0", "coordinates-unreadable"),
    ],
)
def test_bad_places(latitude, longitude, code):
    with pytest.raises(FieldError, match=r"latitude|only one of") as caught:
        parse_place({"latitude": latitude, "longitude": longitude})
    assert caught.value.code == code


@pytest.mark.parametrize("edge", [(90, 180), (-90, -180), (0, 1), (1, 0)])
def test_edges_of_the_range_are_in_it(edge):
    assert parse_place({"latitude": edge[0], "longitude": edge[1]}) == edge


@pytest.mark.parametrize("gps", ["somewhere", "1,2,3", "POINT(1 2)", "51.5,", "7"])
def test_unreadable_places(gps):
    with pytest.raises(FieldError, match="cannot be read") as caught:
        parse_place({"gps": gps})
    assert caught.value.code == "coordinates-unreadable"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (12.0, "12"),
        (12.5, "12.5"),
        (" a ", "a"),
        (["Partially Blocked", None, "Lane Shift"], "Partially Blocked, Lane Shift"),
        ([], None),
        (math.nan, None),
        ({"a": 1}, '{"a": 1}'),
        (False, "False"),
        (0, "0"),
    ],
)
def test_as_text(value, expected):
    assert as_text(value) == expected


def test_splits():
    assert [parse_split(s) for s in ("Training", "validation", "test", "fold-3", None)] == [
        *("train", "val", "test", "fold-3", None)
    ]
    assert split_of_path(("data", "train-00000-of-00002.parquet")) == "train"
    assert split_of_path(("validation", "0000.parquet")) == "val"
    assert split_of_path(("latest.parquet",)) is None  # not the "test" in it
