"""Places in the spellings that data sets use."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workzone.data.sources.coordinates import parse_place
from workzone.data.sources.values import FieldError


@pytest.mark.parametrize(
    "gps",
    [
        *("51.5,-0.12", "51.5, -0.12", "51.5 -0.12", "51.5;-0.12", "(51.5, -0.12)"),
        *("[51.5, -0.12]", "['51.5', '-0.12']", '{"lat": 51.5, "lon": -0.12}'),
        *("{'lng': -0.12, 'lat': 51.5}", "lat=51.5, lon=-0.12", "51.5N, 0.12W", "0.12W 51.5N"),
        *("51.5° N, 0.12° W", "latitude: 51.5; longitude: -0.12"),
        *([51.5, -0.12], ("51.5", "-0.12"), {"lat": 51.5, "lon": -0.12}),
        {"longitude": -0.12, "latitude": 51.5},
        *('{"lat": 51.5, "lon": -0.12, "alt": 3}', "lat 51.5 lon -0.12", "51.5 −0.12"),
        *("51°30'N 0°7'12\"W", "51°30'00''N, 0°7'12''W", "51° 30′ N, 0° 7′ 12″ W"),
        *("N51°30' W0°7.2'", "51º30'N 0º7,2'W", "51 30 0 N 0 7 12 W", "51:30:00, -0:07:12"),
        *("51d30m0s N, 0d 7m 12s W", "51.5 North, 0.12 West", "+51.5-000.12/"),
        *("51,5 -0,12", "51,5; -0,12", "51,5, -0,12", "lat: 51,5; lon: -0,12"),
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
        ("51 30", "0 7", "coordinates-unreadable"),
        ("51.5E", "0", "coordinates-unreadable"),
        ("-33.8S", "18.4", "coordinates-unreadable"),
        ("5130.5", "0007.2", "coordinates-unreadable"),
    ],
)
def test_bad_places(latitude, longitude, code):
    with pytest.raises(FieldError, match=r"latitude|only one of") as caught:
        parse_place({"latitude": latitude, "longitude": longitude})
    assert caught.value.code == code


@pytest.mark.parametrize("edge", [(90, 180), (-90, -180), (0, 1), (1, 0)])
def test_edges_of_the_range_are_in_it(edge):
    assert parse_place({"latitude": edge[0], "longitude": edge[1]}) == edge


@pytest.mark.parametrize(
    "gps",
    [
        *("somewhere", "1,2,3", "POINT(1 2)", "51.5,", "7", "51,5,-0,12", "51.5N, 0.12"),
        *("0009.5N, 00002.3E", "6.5°9.5'N 1°2'E", "6°61'N 1°2'E", "33.8S 18.4O", "51.5N 0.12N"),
        *("30U 699375 5710164", "699375 5710164", "33N 50 46", "31UDQ4825111932", "x" * 500),
    ],
)
def test_unreadable_places(gps):
    with pytest.raises(FieldError, match="cannot be read") as caught:
        parse_place({"gps": gps})
    assert caught.value.code == "coordinates-unreadable"


def test_glued_minutes_are_minutes():
    for text, place in (
        ("6°9.5'N 1°2.3'E", (6.158, 1.038)),
        ("5°3'N, 7°2'E", (5.05, 7.033)),
        ("1°17'S 36°49'E", (-1.283, 36.817)),
    ):
        assert parse_place({"gps": text}) == pytest.approx(place, abs=1e-3)
    both = {"latitude": "51°30'", "longitude": "-0°7'12\""}
    assert parse_place(both) == pytest.approx((51.5, -0.12))
    assert parse_place({"latitude": "51,5", "longitude": "-0,12"}) == (51.5, -0.12)


def test_lists_without_values_are_missing():
    for text in ("[None, None]", '{"lat": null, "lon": null}', "[nan, nan]"):
        assert parse_place({"gps": text}) is None
