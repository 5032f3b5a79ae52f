"""Published works as they are read: places, directions, times, and what is refused."""

from __future__ import annotations

import json
import math
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from made_events import NOW, PUBLISHER, published
from workzone.errors import FeedError, MissingExtraError, UsageError
from workzone.geo import crs
from workzone.geo.crs import system_of, to_degrees
from workzone.geo.out.files import write_events
from workzone.geo.read.files import read_works
from workzone.geo.works import Work, Works

EXAMPLES = Path(__file__).parent / "wzdx_examples"
READER = "registers are read by streetworks, which is not installed"


def features(folder: Path, *made: dict[str, Any], **members: object) -> Path:
    path = folder / "works.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": made, **members}))
    return path


def feature(kind: str, coordinates: object, **properties: object) -> dict[str, Any]:
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def only(works: Works) -> Work:
    (one,) = works.works
    return one


@pytest.mark.parametrize("suffix", [".json", ".xml", ".geojson"])
def test_what_the_map_writes_is_read_again(suffix: str, tmp_path: Path) -> None:
    events = published(30)
    path = tmp_path / f"works{suffix}"
    write_events(events, path, publisher=PUBLISHER, published=NOW)
    told = read_works(path)
    assert (told.without_place, told.cancelled) == (0, 0)
    for work, one in zip(told.works, events, strict=True):
        name = f"{one.id}-works" if suffix == ".xml" else one.id
        assert (work.id, work.start) == (name, one.first_seen)
        assert work.parts == (tuple(pytest.approx(place, abs=1e-7) for place in one.line),)
        assert work.directed == (suffix != ".xml" and one.heading is not None)
        ends = NOW + timedelta(days=1) if suffix == ".json" else None
        assert work.end == (one.gone_since or ends)
        assert work.road == (one.road or ("unknown" if suffix == ".json" else None))


def test_works_name_their_file_and_have_text_that_can_be_written(tmp_path: Path) -> None:
    half = "Mill \ud83d Road"  # of an emoji, as JSON may hold it
    path = features(tmp_path, feature("Point", [8, 50], id=half, road=half))
    told = only(read_works(path))
    assert (told.id, told.road) == ("Mill ? Road", "Mill ? Road")
    assert Path(told.source).name == "works.json"


def test_work_zones_of_wzdx(tmp_path: Path) -> None:
    multipoint = read_works(EXAMPLES / "scenario1_simple_multipoint.geojson").works
    assert len(multipoint) == 5
    assert all(len(work.parts) == 1 and len(work.parts[0]) == 2 for work in multipoint)
    both = read_works(EXAMPLES / "scenario3_shoulder_bidirectional_linestring.geojson").works
    (one,), (other,) = (work.parts for work in both)
    assert both[0].directed and both[1].directed
    assert (one[-1][0] - one[0][0]) * (other[-1][0] - other[0][0]) < 0  # they run apart
    line = [[8.0, 50.0], [8.1, 50.0]]
    older = feature("LineString", line, road_event_id="a", event_type="work-zone", direction="?")
    detour = feature("LineString", line, event_type="detour")
    off = feature("LineString", line, core_details={"event_type": "work-zone"})
    off["properties"]["event_status"] = "cancelled"
    told = read_works(features(tmp_path, older, detour, off, road_event_feed_info={}))
    assert (told.format, told.cancelled) == ("WZDx", 1)
    assert (only(told).id, only(told).directed) == ("a", False)  # of version 3: no core_details


def test_geojson_with_the_names_of_others(tmp_path: Path) -> None:
    line = [[8.0, 50.0, 120.0], [8.1, 50.0, 121.0]]
    path = features(
        tmp_path,
        feature("LineString", line, Reference="A 1", Valid_From="2026-05-01", END="2026-05-31"),
        feature("LineString", line, direction="westbound", street="High Street", id=7),
        feature("MultiLineString", [line, line[::-1]], heading=90),
        feature("Polygon", [[[8, 50], [8.1, 50], [8.1, 50.1], [8, 50]]]),
        feature("MultiPoint", [[8, 50], [9, 51]]),
        feature("Point", [8, 50], status="Cancelled"),
        {"type": "Feature", "geometry": None, "properties": None},
    )
    told = read_works(path)
    assert (told.format, told.without_place, told.cancelled) == ("GeoJSON", 1, 1)
    first, second, third, ring, points = told.works
    assert (first.id, first.directed) == ("A 1", False)
    assert first.start == datetime.fromisoformat("2026-05-01T00:00:00Z")
    assert first.end == datetime.fromisoformat("2026-06-01T00:00:00Z")  # the last day is whole
    assert (second.id, second.road, second.directed) == ("7", "High Street", True)
    assert second.parts == (((8.1, 50.0), (8.0, 50.0)),)
    assert third.parts == (((8.0, 50.0), (8.1, 50.0)),) * 2 and third.directed
    assert (third.id, ring.parts[0][0]) == ("feature 2", ring.parts[0][-1])
    assert points.parts == (((8.0, 50.0),), ((9.0, 51.0),))
    assert [work.area for work in told.works] == [False, False, False, True, False]


def test_areas_in_several_pieces(tmp_path: Path) -> None:
    ring = [[8, 50], [8.1, 50], [8.1, 50.1], [8, 50]]
    hole = [[8.05, 50.01], [8.06, 50.01], [8.06, 50.02], [8.05, 50.01]]
    other = [[9, 50], [9.1, 50], [9.1, 50.1], [9, 50]]
    work = only(read_works(features(tmp_path, feature("MultiPolygon", [[ring, hole], [other]]))))
    assert work.area
    assert [part[0] for part in work.parts] == [(8, 50), (8.05, 50.01), (9, 50)]


def test_an_end_that_cannot_be_read_is_no_endless_work(tmp_path: Path) -> None:
    place = feature("Point", [8, 50], start="2026-05-01", end="30/11/2025")
    with pytest.raises(FeedError, match=r"works\.json: feature 0 has the date '30/11/2025'"):
        read_works(features(tmp_path, place))
    between = {"from": "High Street", "to": "Mill Lane", "gone_since": "2026-05-02T00:00:00Z"}
    work = only(read_works(features(tmp_path, feature("Point", [8, 50], **between))))
    assert (work.start, work.end) == (None, datetime.fromisoformat("2026-05-02T00:00:00Z"))


DATEX = """<payload xmlns="http://datex2.eu/schema/3/d2Payload"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><situation id="s">
<situationRecord id="r" xsi:type="sit:MaintenanceWorks"><validity><validityTimeSpecification>
<overallStartTime>2026-05-01T00:00:00Z</overallStartTime></validityTimeSpecification></validity>
<locationReference>{}</locationReference></situationRecord>
<situationRecord id="a" xsi:type="sit:Accident"/>
<situationRecord id="n" xsi:type="sit:ConstructionWorks"/></situation></payload>"""
PAIR = "<pointCoordinates><latitude>{}</latitude><longitude>{}</longitude></pointCoordinates>"
LINE = '<gmlLineString srsName="{}"><posList>{}</posList></gmlLineString>'
TPEG = f"<to>{PAIR.format(50.2, 8.1)}</to><from>{PAIR.format(50, 8)}</from>"
PARTS = [
    (LINE.format("urn:ogc:def:crs:EPSG::4326", "50 8 50.2 8.1"), False),
    (LINE.format("EPSG:4326", "50 8 50.2 8.1") + PAIR.format(1, 2), False),
    (LINE.format("urn:ogc:def:crs:OGC:1.3:CRS84", "8 50 8.1 50.2"), False),
    (TPEG, False),  # the end stands first
    (f"<tpegDirection>northBound</tpegDirection>{TPEG}", True),
    (f"<tpegDirection>allDirections</tpegDirection>{TPEG}", False),
]


@pytest.mark.parametrize(("location", "directed"), PARTS)
def test_road_works_of_datex(location: str, directed: bool, tmp_path: Path) -> None:
    (tmp_path / "d.xml").write_text(DATEX.format(location))
    told = read_works(tmp_path / "d.xml")
    assert (told.format, told.without_place) == ("DATEX II", 1)
    assert only(told).parts == (((8.0, 50.0), (8.1, 50.2)),)
    assert (only(told).directed, only(told).end) == (directed, None)


def test_a_line_of_datex_is_turned_to_its_direction(tmp_path: Path) -> None:
    (tmp_path / "d.xml").write_text(DATEX.format(f"<tpegDirection>SB</tpegDirection>{TPEG}"))
    work = only(read_works(tmp_path / "d.xml"))
    assert (work.parts, work.directed) == ((((8.1, 50.2), (8.0, 50.0)),), True)


@pytest.mark.parametrize(
    ("mark", "off"),
    [
        ("<validity><validityStatus>suspended</validityStatus></validity>", 1),
        ("<validity><validityStatus>active</validityStatus></validity>", 0),
        ("<m><lifeCycleManagement><cancel>true</cancel></lifeCycleManagement></m>", 1),
        ("<m><lifeCycleManagement><end>1</end></lifeCycleManagement></m>", 1),
        ("<m><lifeCycleManagement><end>false</end></lifeCycleManagement></m>", 0),
    ],
)
def test_records_of_datex_that_are_called_off(mark: str, off: int, tmp_path: Path) -> None:
    content = DATEX.format(PAIR.format(50, 8)).replace("<validity>", f"{mark}<validity>", 1)
    (tmp_path / "d.xml").write_text(content)
    told = read_works(tmp_path / "d.xml")
    assert (len(told.works), told.cancelled, told.without_place) == (1 - off, off, 1)


@pytest.mark.parametrize(
    ("said", "system"),
    [
        ("EPSG:27700", "EPSG:27700"),
        ("urn:ogc:def:crs:EPSG::25833", "EPSG:25833"),
        ("http://www.opengis.net/def/crs/EPSG/0/31370", "EPSG:31370"),
        ("28992", "EPSG:28992"),
        ("urn:ogc:def:crs:OGC:1.3:CRS84", "OGC:CRS84"),
    ],
)
def test_systems_have_many_names(said: str, system: str) -> None:
    assert system_of(said) == system


def test_what_is_no_system_is_refused() -> None:
    with pytest.raises(UsageError, match="'British National Grid' is no system"):
        system_of("British National Grid")
    with pytest.raises(UsageError, match="there is no system EPSG:99999"):
        to_degrees(((0, 0),), "EPSG:99999", "here")


# From the definitions: an origin of each, and metres along a meridian of WGS 84 times the scale.
KNOWN = [
    ("EPSG:32633", (500_000, 4_982_950.400), (15, 45), 1e-6),  # UTM 33 N, arc 4,984,944.378 m
    ("EPSG:25832", (500_000, 4_982_950.400), (9, 45), 1e-6),
    ("EPSG:2154", (700_000, 6_600_000), (3, 46.5), 1e-6),  # Lambert 93
    ("EPSG:3857", (111_319.490793, 0), (1, 0), 1e-6),
    (
        "EPSG:31370",
        (149_000, 171_000),
        (4.356, 50.849),
        0.005,
    ),  # Lambert 72: the middle of Brussels
    ("EPSG:3879", (25_496_500, 6_673_000), (24.94, 60.17), 0.01),  # its own order: northing first
]


@pytest.mark.parametrize(("system", "place", "degrees", "within"), KNOWN)
def test_places_in_metres_are_turned(
    system: str, place: tuple[float, float], degrees: tuple[float, float], within: float
) -> None:
    assert to_degrees((place,), system, "here") == (pytest.approx(degrees, abs=within),)


def test_a_state_keeps_to_its_zone() -> None:
    """The west of Brandenburg lies in zone 32, and is written in zone 33."""
    (place,) = to_degrees(((252_000, 5_890_000),), "EPSG:25833", "here")
    assert place == pytest.approx((11.3, 53.1), abs=0.05)


def test_british_national_grid_agrees_with_the_formulas_of_ordnance_survey(tmp_path: Path) -> None:
    bng = pytest.importorskip("streetworks.common._bng", reason=READER)
    degrees = [(-5.7, 50.1), (-0.1276, 51.5072), (-3.19, 55.95), (1.7, 52.6)]
    metres = [bng.wgs84_to_bng(*place) for place in degrees]
    path = features(tmp_path, feature("LineString", metres))
    named = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::27700"}}
    told = (
        read_works(path, crs="EPSG:27700"),
        read_works(features(tmp_path, feature("LineString", metres), crs=named)),
    )
    for works in told:
        (part,) = only(works).parts
        for place, known in zip(part, degrees, strict=True):
            north = (place[1] - known[1]) * 111_195
            east = (place[0] - known[0]) * 111_195 * math.cos(math.radians(known[1]))
            assert math.hypot(east, north) < 10  # both are some metres exact


def test_metres_that_are_named_latitude(tmp_path: Path) -> None:
    """So the road works of Flanders are sent: Lambert 72."""
    (tmp_path / "d.xml").write_text(DATEX.format(PAIR.format(171_000, 149_000)))
    with pytest.raises(FeedError, match=r"d\.xml: record 'r' .* seem to be metres: .*--crs"):
        read_works(tmp_path / "d.xml")
    (part,) = only(read_works(tmp_path / "d.xml", crs="EPSG:31370")).parts
    assert part == (pytest.approx((4.356, 50.849), abs=0.005),)
    (tmp_path / "e.xml").write_text(DATEX.format(LINE.format("EPSG:31370", "149000 171000")))
    assert only(read_works(tmp_path / "e.xml")).parts == (part,)


@pytest.mark.parametrize(
    ("place", "system", "said"),
    [
        (
            [530_000, 180_000],
            None,
            "no degrees but seem to be metres: name their system with --crs",
        ),
        ([50, 100], None, "longitude and latitude seem to be swapped: longitude comes first"),
        ([200, 100], None, "which is not on the globe$"),
        ([530_000, 180_000], "EPSG:28992", "seem to be swapped: easting comes first"),
        ([8.0, 50.0], "EPSG:25832", "and these are degrees: leave --crs out"),
        ([8.0, 50.0], "EPSG:27700", "and these are degrees: leave --crs out"),
        ([-300_000, 5_500_000], "EPSG:25832", "not within .*EPSG:25832 .*name the right system"),
        ([700_000, 200_000], "EPSG:27700", "not within the area of EPSG:27700"),  # 2.3 E
    ],
)
def test_places_that_cannot_be_are_refused(
    place: list[float], system: str | None, said: str, tmp_path: Path
) -> None:
    path = features(tmp_path, feature("Point", place))
    with pytest.raises(FeedError, match=rf"works\.json: feature 0 has .*{said}"):
        read_works(path, crs=system)


def test_what_a_file_names_is_not_overruled(tmp_path: Path) -> None:
    named = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::25832"}}
    path = features(tmp_path, feature("Point", [500_000, 5_500_000]), crs=named)
    with pytest.raises(FeedError, match=r"names EPSG:25832 .* --crs EPSG:27700: leave --crs out"):
        read_works(path, crs="EPSG:27700")
    zone = feature("LineString", [[8.0, 50.0], [8.1, 50.0]], event_type="work-zone")
    wzdx = read_works(features(tmp_path, zone, feed_info={}), crs="EPSG:27700")
    assert only(wzdx).parts == (((8.0, 50.0), (8.1, 50.0)),)


def test_the_extra_is_named_where_it_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = features(tmp_path, feature("Point", [1, 1]))
    monkeypatch.setitem(sys.modules, "pyproj", None)
    crs._turner.cache_clear()
    with pytest.raises(MissingExtraError, match=r"'pyproj': pip install 'workzone\[geo\]'"):
        read_works(path, crs="EPSG:27700")
    assert only(read_works(path, crs="EPSG:4258")).parts == (((1.0, 1.0),),)  # needs none
    monkeypatch.setitem(sys.modules, "streetworks", None)
    with pytest.raises(MissingExtraError, match=r"'streetworks': .*\[registers\]'"):
        read_works(path, register="brussels")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "neither JSON"),
        ("[1]", "has no 'features'"),
        ('{"features": [1]}', "feature 0 is no object"),
        ('{"features": [{"properties": 1}]}', "feature 0 has 'properties' that are no object"),
        ('{"features": [{"geometry": {"type": "Box"}}]}', "of type 'Box'; allowed: Point, Line"),
        (
            '{"features": [{"geometry": {"type": "GeometryCollection"}}]}',
            "'GeometryCollection'; write a feature for each of its geometries",
        ),
        (
            '{"features": [{"geometry": {"type": "LineString", "coordinates": [1, 2]}}]}',
            "coordinates that are no places",
        ),
        ("<a/>", "is no DATEX II publication of situations"),
        (DATEX.format(PAIR.format("x", 8)), "record 'r' has coordinates that are no numbers"),
    ],
)
def test_what_is_no_file_of_works_is_refused(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "works").write_text(content)
    with pytest.raises(FeedError, match=f"works: .*{said}"):
        read_works(tmp_path / "works")
    with pytest.raises(FeedError, match="gone: No such file"):
        read_works(tmp_path / "gone")


def test_registers_are_read_by_streetworks(tmp_path: Path) -> None:
    pytest.importorskip("streetworks", reason=READER)
    times = {"start_time": "2026-05-01 07:00:00", "end_time": "2026-05-09 17:00:00"}
    place = feature("Point", [4.35, 50.85], location_fr="Grand-Place", **times) | {"id": "b-1"}
    told = read_works(features(tmp_path, place, feature("Point", None)), register="brussels")
    work = only(told)
    assert (told.format, told.without_place) == ("register brussels", 1)
    assert (work.id, work.road, work.parts) == ("b-1", "Grand-Place", (((4.35, 50.85),),))
    assert work.start == datetime.fromisoformat("2026-05-01T07:00:00Z")
    assert work.end == datetime.fromisoformat("2026-05-09T17:00:00Z")


def test_permits_of_a_register_that_are_called_off(tmp_path: Path) -> None:
    pytest.importorskip("streetworks", reason=READER)
    states = ("Issued", "Cancel/Withdrawn", "Denied", None)
    made = [feature("Point", [-77.0, 38.9], STATUS=one, PERMITNUMBER=str(one)) for one in states]
    told = read_works(features(tmp_path, *made), register="dc")
    assert ([work.id for work in told.works], told.cancelled) == (["Issued", "None"], 2)


@pytest.mark.parametrize(
    ("said", "end"),
    [
        ("2026-05-09", "2026-05-10T00:00:00Z"),
        ("2026-05-09T17:00:00", "2026-05-09T17:00:00Z"),
        ("9999-12-31", None),
    ],
)
def test_the_last_day_of_a_register_is_whole(said: str, end: str | None, tmp_path: Path) -> None:
    pytest.importorskip("streetworks", reason=READER)
    place = feature("Point", [597_000, 6_643_000], start_date="2026-05-01", end_date=said)
    work = only(read_works(features(tmp_path, place), register="oslo"))
    assert work.start == datetime.fromisoformat("2026-05-01T00:00:00Z")
    assert work.end == (None if end is None else datetime.fromisoformat(end))


def test_registers_in_metres_are_turned(tmp_path: Path) -> None:
    pytest.importorskip("streetworks", reason=READER)
    line = feature("LineString", [[500_000, 4_982_950.4], [500_100, 4_982_950.4]], id="o-1")
    (part,) = only(read_works(features(tmp_path, line), register="oslo")).parts
    assert part[0] == pytest.approx((9, 45), abs=1e-6) and part[1][0] > 9.001


def test_roadworks_on_german_motorways(tmp_path: Path) -> None:
    pytest.importorskip("streetworks", reason=READER)
    one = {
        "identifier": "id-1",
        "startTimestamp": "2026-05-01T07:00:00+02:00",
        "geometry": {"type": "LineString", "coordinates": [[8.0, 50.0], [8.1, 50.0]]},
    }
    (tmp_path / "a1.json").write_text(json.dumps({"roadworks": [one]}))
    work = only(read_works(tmp_path / "a1.json", register="autobahn"))
    assert (work.id, work.parts) == ("id-1", (((8.0, 50.0), (8.1, 50.0)),))
    assert work.start == datetime.fromisoformat("2026-05-01T05:00:00Z")


def test_what_is_no_register_and_what_it_does_not_send_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("streetworks", reason=READER)
    path = features(tmp_path, feature("Point", [1, 1]))
    with pytest.raises(UsageError, match="--register brusels: did you mean 'brussels'"):
        read_works(path, register="brusels")
    (tmp_path / "none.json").write_text('{"a": 1}')
    with pytest.raises(FeedError, match=r"none\.json: has no list of records"):
        read_works(tmp_path / "none.json", register="brussels")
    (tmp_path / "odd.json").write_text("[1]")
    with pytest.raises(FeedError, match="is not what the register 'brussels' sends"):
        read_works(tmp_path / "odd.json", register="brussels")
