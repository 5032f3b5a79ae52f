"""Lines that passes draw and follow, and those of a given network."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from made_drives import CENTRE, START, drive, drives, east_of, street
from workzone.data.places import offsets
from workzone.errors import ManifestError, UsageError
from workzone.geo.config import MapConfig
from workzone.geo.detections import Drive
from workzone.geo.ground import Floats, heading, moved, resampled, steps, turn
from workzone.geo.network import read_network
from workzone.geo.objects import Objects
from workzone.geo.passes import passes_of
from workzone.geo.profiles import profiles_of
from workzone.geo.roads import NETWORK, Roads, make_line
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


def test_headings_are_as_the_table_says_and_else_follow_from_the_places():
    car = drive("one", START, street(300))
    known = np.where(np.arange(len(car.ids)) < 10, 60.0, np.nan)
    (one,) = passes_of([dataclasses.replace(car, heading=known)])
    assert one.heading == pytest.approx([60] * 10 + [90] * (len(car.ids) - 10), abs=0.1)


def test_a_car_that_leaves_a_road_and_comes_back_says_nothing_of_what_is_between():
    line = make_line("road", NETWORK, *np.array([moved(*CENTRE, e, 0) for e in (0, 1500)]).T)
    detour = street()
    detour[(detour[:, 0] > 500) & (detour[:, 0] < 800), 1] = 40
    roads = Roads([line])
    found = profiles_of(roads, passes_of([drive("one", START, detour)]), MapConfig())
    cells = [(p.first, p.first + len(p.probability)) for p in found if p.line == 0]
    assert cells == [pytest.approx(part, abs=3) for part in ((0, 50), (81, 149))]
    assert len(roads.lines) == 2  # and it draws the way around


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


def of(coordinates: object, kind: str = "LineString", **properties: object) -> str:
    """A collection of one feature."""
    geometry = {"type": kind, "coordinates": coordinates}
    return json.dumps({"features": [{"geometry": geometry, "properties": properties}]})


@pytest.mark.parametrize(
    ("along", "parts"),
    [
        ([179.99, -179.98], [(179.99, 180), (-180, -179.98)]),
        ([179.99, 180, -180, -179.98], [(179.99, 180), (-180, -179.98)]),
        ([179.99, 180, -179.98], [(179.99, 180), (-180, -179.98)]),
        ([-179.99, -180], [(-179.99, -180)]),
        ([179.97, 180, -180], [(179.97, 180)]),
        ([179.99, -179.99, 179.98], [(-180, -180), (179.99, 180), (180, 179.98)]),
        ([-179.98, -179.99, 179.98], [(-179.98, -180), (180, 179.98)]),
    ],
)
def test_roads_are_cut_at_the_date_line(
    tmp_path: Path, along: list[float], parts: list[tuple[float, float]]
) -> None:
    def latitude(longitude: Floats) -> Floats:  # a straight way
        return -17 + (longitude % 360 - 180)

    given = np.array(along)
    path = tmp_path / "roads.geojson"
    path.write_text(of(np.stack([given, latitude(given)], axis=1).tolist(), oneway="yes"))
    lines = read_network(path)
    ends = sorted(tuple(line.longitude[[0, -1]].tolist()) for line in lines)
    assert np.array(ends) == pytest.approx(np.array(sorted(parts)), abs=1e-9)
    for line in lines:
        assert (np.abs(np.diff(line.longitude)) < 0.1).all()
        np.testing.assert_allclose(line.latitude, latitude(line.longitude), atol=1e-6)
    whole = steps(given, latitude(given)).sum()
    assert sum(line.length for line in lines) == pytest.approx(whole, rel=1e-3)


WEST, EAST, NORTH = [8.0, 50.0], [8.01, 50.0], [8.01, 50.01]


@pytest.mark.parametrize(
    ("text", "ways"),
    [
        (of([WEST, EAST]), [(WEST, EAST), (EAST, WEST)]),
        (of([WEST, EAST], oneway="no"), [(WEST, EAST), (EAST, WEST)]),
        (of([WEST, EAST], oneway="yes"), [(WEST, EAST)]),
        (of([WEST, EAST], oneway=True), [(WEST, EAST)]),
        (of([WEST, EAST], oneway=1), [(WEST, EAST)]),
        (of([WEST, EAST], oneway="-1"), [(EAST, WEST)]),
        (of([WEST, EAST], oneway=-1), [(EAST, WEST)]),
        (of([WEST, EAST], oneway="reverse"), [(EAST, WEST)]),
        (of([[*WEST, 312.0], [*EAST, 313.0], [*EAST, 313.0]], oneway="yes"), [(WEST, EAST)]),
        (
            of([[WEST, EAST], [], [EAST, NORTH]], "MultiLineString", oneway="yes"),
            [(WEST, EAST), (EAST, NORTH)],
        ),
        (of([WEST, EAST, NORTH, WEST], oneway="yes"), [(WEST, WEST)]),
    ],
)
def test_ways_of_a_road(tmp_path, text, ways):
    path = tmp_path / "roads.geojson"
    path.write_text(text)
    lines = read_network(path)
    ends = [[[one.longitude[n], one.latitude[n]] for n in (0, -1)] for one in lines]
    assert ends == [[pytest.approx(place, abs=1e-9) for place in way] for way in ways]


def test_empty_lines_and_other_features_are_passed_over(tmp_path):
    path = tmp_path / "roads.geojson"
    others = [of([]), of([WEST]), of(WEST, "Point"), '{"features": [{"geometry": null}]}']
    others += [of([WEST, EAST], highway="footway"), of([WEST, EAST], name="High Street")]
    features = [feature for text in others for feature in json.loads(text)["features"]]
    path.write_text(json.dumps({"features": features}))
    assert [line.road for line in read_network(path)] == ["High Street"] * 2


def test_a_ring_is_one_line_each_way(tmp_path):
    path = tmp_path / "roads.geojson"
    halves = [of([WEST, EAST, NORTH], name="Ring"), of([NORTH, [8.0, 50.01], WEST], name="Ring")]
    features = [feature for text in halves for feature in json.loads(text)["features"]]
    path.write_text(json.dumps({"features": features}))
    # At the corners the road turns by 90 degrees: two pieces that do not go on in each other.
    assert len(read_network(path)) == 4
    around = np.linspace(0, 2 * np.pi, 41)
    circle = np.stack([8 + 0.01 * np.sin(around), 50 + 0.006 * np.cos(around)], axis=1).tolist()
    halves = [of(circle[:21], oneway="yes"), of(circle[20:], oneway="yes")]
    features = [feature for text in halves for feature in json.loads(text)["features"]]
    path.write_text(json.dumps({"features": features}))
    (line,) = read_network(path)
    assert line.length == pytest.approx(steps(*np.array(circle).T).sum(), rel=0.01)


SWAPPED = collection(([(0, 0), (100, 0)], {})).replace("[8.0,", "[468000.0,")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "cannot be read as roads"),
        ('{"type": "FeatureCollection", "features": []}', "no line that cars drive on"),
        ('{"features": 7}', "features are no list"),
        (SWAPPED, r"roads\.geojson, feature 1: .* no longitude and latitude; turn the roads"),
        (of([[]]), r"feature 1: coordinates are no places \(.*; write them as"),
        (of(None), r"feature 1: coordinates are no places \(None is no list\)"),
        (of([[8, 50], [8.1, "x"]]), "feature 1: coordinates are no places"),
        (of([[8, 50], [float("nan"), 50]]), r"feature 1: \[nan, 50\.0\] is no longitude"),
        (of(7, kind="MultiLineString"), "feature 1: 7 is no list"),
        ('{"features": [{"geometry": [1]}]}', "feature 1: geometry is a list"),
        ('{"features": [{"geometry": null, "properties": [1]}]}', "properties is a list"),
        ('{"features": [null]}', "feature 1: no feature of GeoJSON"),
    ],
)
def test_roads_that_are_none_are_refused(tmp_path, text, complaint):
    path = tmp_path / "roads.geojson"
    path.write_text(text)
    with pytest.raises(ManifestError, match=complaint):
        read_network(path)
    with pytest.raises(ManifestError, match=r"none\.geojson cannot be read"):
        read_network(tmp_path / "none.geojson")


def test_a_piece_without_a_name_takes_none(tmp_path):
    path = tmp_path / "roads.geojson"
    places = [[8.0 + number / 100, 50.0] for number in range(4)]
    pieces = [
        of(places[number : number + 2], oneway="yes", **tags)
        for number, tags in enumerate([{"name": "A Street"}, {}, {"name": "B Street"}])
    ]
    features = [feature for text in pieces for feature in json.loads(text)["features"]]
    path.write_text(json.dumps({"features": features}))
    assert [line.road for line in read_network(path)] == ["A Street", None, "B Street"]


def test_passes_are_cut_at_the_date_line():
    places = np.arange(40) * 12.0
    one = Drive(
        id="west",
        time=START + np.arange(40.0),
        longitude=(179.998 + places / 111_000 + 180) % 360 - 180,
        latitude=np.full(40, -17.0),
        heading=np.full(40, np.nan),
        probability=np.full(40, 0.9),
        ids=tuple(map(str, range(40))),
        objects=Objects.nothing(40),
    )
    found = passes_of([one])
    assert len(found) == 2
    assert all(np.ptp(part.longitude) < 1 for part in found)
