from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workzone.data.places import EARTH_RADIUS, haversine
from workzone.errors import TrainingError, UsageError
from workzone.train.feed.regions import Region, make_region, read_region
from workzone.types import ImageRef, Sample

DEGREE = math.radians(1) * EARTH_RADIUS  # metres, along a meridian


def square(south: float, west: float, side: float) -> list[list[float]]:
    """A closed ring, as GeoJSON has it: longitude first."""
    north, east = south + side, west + side
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def written(tmp_path: Path, value: Any, name: str = "region.geojson") -> Path:
    path = tmp_path / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def polygon(tmp_path: Path, *rings: list[list[float]]) -> Region:
    return read_region(written(tmp_path, {"type": "Polygon", "coordinates": list(rings)}))


def sample(name: str, latitude: float | None, longitude: float | None) -> Sample:
    return Sample(id=name, image=ImageRef("a.jpg"), latitude=latitude, longitude=longitude)


# Distances.


def test_points_against_every_distance():
    random = np.random.default_rng(0)
    points = [(float(a), float(b)) for a, b in random.uniform((-90, -180), (90, 180), (20, 2))]
    places = random.uniform((-90, -180), (90, 180), (200, 2))
    expected = [min(float(haversine(*place, *point)) for point in points) for place in places]
    assert make_region(points).distances(places) == pytest.approx(expected, abs=1e-3)


def test_the_nearest_point_may_be_across_the_date_line():
    region = make_region([(0.0, 179.5)])
    assert region.distances(np.array([[0.0, -179.5]])) == pytest.approx(DEGREE)


def test_inside_a_polygon_and_beside_it(tmp_path):
    region = polygon(tmp_path, square(0, 10, 1))
    places = np.array([[0.5, 10.5], [0.01, 10.99], [2.0, 10.5], [-1.0, 10.5], [0.5, 12.0]])
    inside, corner, north, south, east = region.distances(places)
    assert inside == corner == 0
    assert north == pytest.approx(DEGREE, abs=29)  # the bound: sqrt(d**2 + 2500**2) - d
    assert south == pytest.approx(DEGREE, abs=29)
    assert east == pytest.approx(DEGREE * math.cos(math.radians(0.5)), abs=40)
    assert min(north, south) >= DEGREE - 1  # never too near


@pytest.mark.parametrize("latitude", [0.0, 55.0, 80.0])
def test_the_sampling_of_the_boundary_errs_as_little_as_it_says(tmp_path, latitude):
    """Against the boundary sampled every 10 m or so."""
    ring = square(latitude, 10, 2)
    region = polygon(tmp_path, ring)
    fine = np.concatenate(
        [
            np.linspace(start, end, 20_000)
            for start, end in zip(np.array(ring)[:-1], np.array(ring)[1:], strict=True)
        ]
    )
    places = np.random.default_rng(0).uniform((latitude - 2, 5), (latitude + 4, 17), (40, 2))
    found = region.distances(places)
    for place, metres in zip(places, found, strict=True):
        if metres:
            exact = float(haversine(*place, fine[:, 1], fine[:, 0]).min())
            assert -10 <= metres - exact <= math.hypot(exact, 2500) - exact + 10


def test_a_hole_is_outside(tmp_path):
    region = polygon(tmp_path, square(0, 0, 4), square(1, 1, 2))
    hole, ring = region.distances(np.array([[2.0, 2.0], [0.5, 0.5]]))
    assert hole == pytest.approx(DEGREE, abs=100)
    assert ring == 0


def test_even_odd_against_a_slow_winding_number(tmp_path):
    """A star, with its five points crossing one another left out."""
    angles = np.radians(90 + 36 * np.arange(10))
    radius = np.where(np.arange(10) % 2, 0.4, 1.0)
    corners = np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)
    region = polygon(tmp_path, [*corners.tolist(), corners[0].tolist()])
    places = np.random.default_rng(1).uniform(-1.1, 1.1, (300, 2))
    for (latitude, longitude), metres in zip(places, region.distances(places), strict=True):
        turns = np.unwrap(np.arctan2(corners[:, 1] - latitude, corners[:, 0] - longitude))
        last = np.angle(
            np.exp(
                1j
                * (
                    np.arctan2(corners[0, 1] - latitude, corners[0, 0] - longitude)
                    - np.arctan2(corners[-1, 1] - latitude, corners[-1, 0] - longitude)
                )
            )
        )
        winding = round((turns[-1] - turns[0] + last) / (2 * math.pi))
        assert (metres == 0) == bool(winding)


def test_overlapping_polygons_are_one_region(tmp_path):
    value = {"type": "MultiPolygon", "coordinates": [[square(0, 0, 2)], [square(1, 1, 2)]]}
    region = read_region(written(tmp_path, value))
    assert region.distances(np.array([[1.5, 1.5], [0.5, 0.5], [2.5, 2.5]])).tolist() == [0, 0, 0]


def test_no_places_have_no_distances():
    assert make_region([(0.0, 0.0)]).distances(np.zeros((0, 2))).shape == (0,)


# Files.


def test_all_geometries(tmp_path):
    value = {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "properties": {}, "geometry": None},
            {
                "type": "Feature",
                "properties": {},
                "geometry": {"type": "Point", "coordinates": [13.4, 52.5, 34.0]},
            },
            {
                "type": "Feature",
                "properties": {},
                "geometry": {
                    "type": "GeometryCollection",
                    "geometries": [
                        {"type": "MultiPoint", "coordinates": [[2.35, 48.85], [-0.1, 51.5]]},
                        {"type": "Polygon", "coordinates": [square(40, -4, 1)]},
                    ],
                },
            },
        ],
    }
    region = read_region(written(tmp_path, value, "region.json"))
    assert region.points.tolist() == [[52.5, 13.4], [48.85, 2.35], [51.5, -0.1]]
    assert len(region.polygons) == 1
    assert region.polygons[0][0][0].tolist() == [40, -4]


def test_a_list_of_places(tmp_path):
    text = "\ufeffname,latitude,longitude\nBerlin,52.5,13.4\n\n'Paris, France',48.85,2.35\n"
    path = written(tmp_path, text.replace("'", '"'), "places.csv")
    assert read_region(path).points.tolist() == [[52.5, 13.4], [48.85, 2.35]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,lat,longitude\n", "has no column 'latitude'; it has: name, lat, longitude"),
        ("latitude,longitude\n", "holds no place: give it a point or a polygon"),
        ("latitude,longitude\n1,2\n91,2\n", "line 3: latitude 91.0, longitude 2.0 is not on the"),
        ("latitude,longitude\nnorth,2\n", "line 2: latitude 'north', longitude '2' are no numbers"),
        ("latitude,longitude\n1\n", "line 2: latitude '1', longitude None are no numbers; write"),
        ("latitude,longitude\nnan,2\n", "line 2: latitude nan, longitude 2.0 is not on the globe"),
    ],
)
def test_bad_lists_of_places(tmp_path, text, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        read_region(written(tmp_path, text, "places.csv"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "is not JSON"),
        ([], "is not GeoJSON (RFC 7946): TypeError"),
        ({"type": "Feature"}, "is not GeoJSON (RFC 7946): KeyError: 'geometry'"),
        ({"type": "Point", "coordinates": [1]}, "is not GeoJSON (RFC 7946): IndexError"),
        ({"type": "FeatureCollection", "features": []}, "holds no place"),
        ({"type": "polygon"}, "the type 'polygon' is no region; did you mean 'Polygon'?"),
        ({"type": "Point", "coordinates": [52.5, 113.4]}, "(GeoJSON writes longitude first)"),
        ({"type": "Polygon", "coordinates": [square(0, 0, 1)[:4]]}, "a ring of 4 positions; one"),
        (
            {"type": "Polygon", "coordinates": [[[179, 0], [-179, 0], [-179, 1], [179, 0]]]},
            "a side spans 358 degrees of longitude; cut the polygon at the 180th meridian",
        ),
        (
            {
                "type": "FeatureCollection",
                "features": [
                    {"type": "Feature", "geometry": {"type": "Point", "coordinates": [0, 0]}},
                    {"type": "Feature", "geometry": {"type": "Point", "coordinates": [200, 0]}},
                ],
            },
            "feature 1: latitude 0.0, longitude 200.0 is not on the globe",
        ),
    ],
)
def test_bad_geojson(tmp_path, value, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        read_region(written(tmp_path, value))


def test_files_that_are_no_regions(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read the region .*missing\.csv"):
        read_region(tmp_path / "missing.csv")
    with pytest.raises(UsageError, match=r"format of the region .*; did you mean '.geojson'"):
        read_region(written(tmp_path, "{}", "region.geo"))


def test_bad_points():
    with pytest.raises(UsageError, match="holds no place: give it a point as"):
        make_region([])
    with pytest.raises(UsageError, match=r"point 1: latitude 0.0, longitude 181.0"):
        make_region([(0, 0), (0, 181)])


# Test rows.


def test_a_region_taken_from_test_rows_is_refused(tmp_path):
    rows = [sample("far", 10, 10), sample("nowhere", None, None), sample("b.jpg", 52.5, 13.4)]
    message = r"position of 1 test rows, such as 'b.jpg' \(52.5, 13.4\): a region taken from test"
    with pytest.raises(TrainingError, match=message):
        make_region([(0.0, 0.0), (52.5, 13.400001)]).refuse_test_rows(rows)
    corner = square(52.5, 13.4, 1)
    with pytest.raises(TrainingError, match=r"such as 'b\.jpg'"):
        polygon(tmp_path, corner).refuse_test_rows(rows)


def test_a_declared_region_may_hold_test_rows(tmp_path):
    rows = [sample("inside", 0.5, 10.5), sample("nowhere", None, None)]
    polygon(tmp_path, square(0, 10, 1)).refuse_test_rows(rows)
    make_region([(0.5, 10.501)]).refuse_test_rows(rows)
    make_region([(0.5, 10.5)]).refuse_test_rows([])
