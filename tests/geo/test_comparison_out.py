"""Works of any shape in the lists that are written."""

from __future__ import annotations

import csv
from datetime import timedelta

import pytest

from made_events import NOW
from workzone.geo.compare import Comparison, Row
from workzone.geo.out.comparison import to_csv, to_geojson
from workzone.geo.works import Part, Work

A, B, C = (8.0, 50.0), (8.1, 50.0), (8.1, 50.123456789)


@pytest.mark.parametrize(
    ("parts", "geometry", "text"),
    [
        ([(A,)], ("Point", [8, 50]), "POINT (8.0000000 50.0000000)"),
        (
            [(A, C)],
            ("LineString", [[8, 50], [8.1, 50.1234568]]),
            "LINESTRING (8.0000000 50.0000000, 8.1000000 50.1234568)",
        ),
        (
            [(A, B), (B, A)],
            ("MultiLineString", [[[8, 50], [8.1, 50]], [[8.1, 50], [8, 50]]]),
            "MULTILINESTRING ((8.0000000 50.0000000, 8.1000000 50.0000000), "
            "(8.1000000 50.0000000, 8.0000000 50.0000000))",
        ),
        (
            [(A,), (B,)],
            ("MultiPoint", [[8, 50], [8.1, 50]]),
            "MULTIPOINT (8.0000000 50.0000000, 8.1000000 50.0000000)",
        ),
    ],
)
def test_places_of_works(parts: list[Part], geometry: tuple[str, object], text: str) -> None:
    work = Work("w", tuple(parts), False, NOW - timedelta(days=1), None)
    told = Comparison((Row("permitted_not_seen", None, (work,), 3),), 0, NOW)
    (feature,) = to_geojson(told)["features"]
    assert (feature["geometry"]["type"], feature["geometry"]["coordinates"]) == geometry
    (row,) = csv.DictReader(to_csv(told).splitlines())
    assert row["places"] == text
    assert (row["permitted_from"], row["permitted_until"]) == ("2026-05-31T12:00:00Z", "")


def test_names_of_strangers_are_no_formulas() -> None:
    start = NOW - timedelta(days=1)
    work = Work("=SUM(A1)", ((A,),), False, start, None, road="@SUM(A1)")
    told = Comparison((Row("permitted_not_seen", None, (work,), 3, days_over=-2.0),), 0, NOW)
    (row,) = csv.DictReader(to_csv(told).splitlines())
    assert (row["works"], row["road"]) == ("'=SUM(A1)", "'@SUM(A1)")
    assert (row["passes"], row["days_over"]) == ("3", "-2.0")
