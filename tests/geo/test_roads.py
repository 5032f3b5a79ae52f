"""Lines that passes draw and follow, and those of a given network."""

from __future__ import annotations

import json

import numpy as np
import pytest

from made_drives import CENTRE, START, drive, drives, east_of, street
from workzone.errors import ManifestError, UsageError
from workzone.geo.config import MapConfig
from workzone.geo.ground import heading, moved, offsets, resampled, steps, turn
from workzone.geo.network import read_network
from workzone.geo.passes import passes_of
from workzone.geo.profiles import profiles_of
from workzone.geo.roads import Roads
from workzone.geo.store import open_store
from workzone.geo.update import update


def test_the_ground():
    assert moved(*CENTRE, 300.0, -400.0) == pytest.approx(
        (CENTRE[0] + 0.0041969, CENTRE[1] - 0.0035973), abs=1e-6
    )
    assert offsets(*moved(*CENTRE, 300.0, -400.0), *CENTRE) == pytest.approx((300, -400))
    assert offsets(-179.99, 0.0, 179.99, 0.0)[0] == pytest.approx(2223.9, abs=0.1)
    assert heading([0, 1, 0, -1], [1, 0, -1, 0]).tolist() == [0, 90, 180, 270]
    assert turn([350, 10, 0], [10, 350, 180]).tolist() == [20, -20, -180]
    lon, lat = resampled(np.array([8.0, 8.001]), np.array([50.0, 50.0]), 10.0)
    assert steps(lon, lat)[:-1] == pytest.approx(10) and 5 <= steps(lon, lat)[-1] <= 15


def test_a_standing_car_and_a_gap():
    places = np.concatenate([street(300), np.repeat(street(300)[-1:], 40, axis=0)])
    jitter = np.random.default_rng(0).normal(0, 0.3, places.shape)
    (one,) = passes_of([drive("stands", START, places + jitter)])
    assert len(one.ids) == pytest.approx(25, abs=3)
    far = np.concatenate([street(300), street(300) + np.array([600.0, 0.0])])
    assert [len(one.ids) for one in passes_of([drive("gap", START, far)])] == [25, 25]
    assert passes_of([drive("alone", START, street(300)[:1])]) == []


def test_a_car_that_goes_around_the_block_passes_again():
    around = np.linspace(0, 4 * np.pi, 240)
    circle = 100 * np.stack([np.sin(around), np.cos(around)], axis=1)
    found = passes_of([drive("round", START, circle)])
    assert len(found) == 4 and sum(len(one.ids) for one in found) == 240
    roads = Roads()
    profiles_of(roads, found, MapConfig())
    assert sum(line.length for line in roads.lines) == pytest.approx(2 * np.pi * 100, rel=0.1)


def test_cars_on_one_street_share_a_line_and_others_draw_their_own():
    roads = Roads()
    cars = drives(5, street(), lambda _: []) + drives(
        5, street() + np.array([0.0, 60.0]), lambda _: [], name="beside"
    )
    cars += drives(5, street()[::-1], lambda _: [], name="back")
    found = profiles_of(roads, passes_of(cars), MapConfig())
    assert len(roads.lines) == 3
    assert sorted(profile.line for profile in found) == [0] * 5 + [1] * 5 + [2] * 5


def collection(*lines: tuple[list[tuple[float, float]], dict]) -> str:
    features = [
        {
            "type": "Feature",
            "properties": properties,
            "geometry": {
                "type": "LineString",
                "coordinates": [moved(*CENTRE, e, n) for e, n in places],
            },
        }
        for places, properties in lines
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


ROADS = collection(
    ([(0, 2), (500, 2)], {"name": "High Street", "highway": "primary"}),
    ([(1600, 2), (500, 2)], {"name": "High Street"}),
    ([(500, 2), (500, 600)], {"name": "Side Street", "oneway": "yes"}),
    ([(0, 10), (1600, 10)], {"highway": "footway"}),
)


def test_pieces_of_a_road_are_one_line_each_way(tmp_path):
    path = tmp_path / "roads.geojson"
    path.write_text(ROADS)
    lines = read_network(path)
    told = sorted((line.road, round(line.length, -1)) for line in lines)
    assert told == [("High Street", 1600), ("High Street", 1600), ("Side Street", 600)]
    begins = sorted(round(east_of((line.longitude[0], line.latitude[0]))) for line in lines)
    assert begins == [0, 500, 1600]


def test_zones_lie_on_the_roads_that_are_given(tmp_path):
    path = tmp_path / "roads.geojson"
    path.write_text(ROADS)
    cars = drives(8, street(), lambda _: [(450.0, 700.0)])
    with open_store(":memory:") as store:
        update(store, cars, network=read_network(path))
        (event,) = store.events()
        assert update(store, cars, network=read_network(path)).same == 8
        with pytest.raises(UsageError, match="was made with other roads"):
            update(store, [], network=read_network(path)[:1])
    assert event.road == "High Street" and event.heading == pytest.approx(90, abs=2)
    assert (east_of(event.line[0]), east_of(event.line[-1])) == pytest.approx((450, 700), abs=15)
    norths = [offsets(*place, *CENTRE)[1] for place in event.line]
    assert norths == pytest.approx([2] * len(norths), abs=0.5)
    with open_store(":memory:") as store:
        update(store, cars)
        with pytest.raises(UsageError, match="was made with no roads"):
            update(store, [], network=read_network(path))


SWAPPED = collection(([(0, 0), (100, 0)], {})).replace("[8.0,", "[468000.0,")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "cannot be read as roads"),
        ('{"type": "FeatureCollection", "features": []}', "no line that cars drive on"),
        (SWAPPED, "no longitude and latitude; turn the roads"),
    ],
)
def test_roads_that_are_none_are_refused(tmp_path, text, complaint):
    path = tmp_path / "roads.geojson"
    path.write_text(text)
    with pytest.raises(ManifestError, match=complaint):
        read_network(path)
    with pytest.raises(ManifestError, match=r"none\.geojson cannot be read"):
        read_network(tmp_path / "none.geojson")
