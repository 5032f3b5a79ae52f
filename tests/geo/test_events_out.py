"""Events as maps and tables: what is in them, and how others read them."""

from __future__ import annotations

import csv
import io
import json
import struct
from datetime import timedelta, timezone
from pathlib import Path
from xml.etree import ElementTree

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from made_events import NOW, PUBLISHER, event, published
from workzone.errors import FeedError, UsageError
from workzone.geo.out.files import write_events
from workzone.geo.out.geojson import to_geojson
from workzone.geo.out.kml import to_kml
from workzone.geo.out.publisher import Publisher
from workzone.geo.out.table import to_csv

KML = "{http://www.opengis.net/kml/2.2}"


def test_geojson_has_the_line_along_travel_and_all_fields() -> None:
    one = event(4)
    (feature,) = to_geojson([one])["features"]
    line = feature["geometry"]["coordinates"]
    assert line[0] == pytest.approx(one.line[0], abs=1e-7)
    assert line[-1] == pytest.approx(one.line[-1], abs=1e-7)
    longitudes, latitudes = zip(*one.line, strict=True)
    box = (min(longitudes), min(latitudes), max(longitudes), max(latitudes))
    assert feature["bbox"] == pytest.approx(box, abs=1e-7)
    fields = feature["properties"]
    assert feature["id"] == fields["id"] == one.id
    assert fields["gone_since"] == one.gone_since.isoformat().replace("+00:00", "Z")
    assert fields["history"][1]["what"] == "present"
    assert fields.keys() == set(type(one).__dataclass_fields__) - {"line"}


def test_times_in_another_zone_are_written_in_utc() -> None:
    there = event(0).first_seen.astimezone(timezone(timedelta(hours=9)))
    (feature,) = to_geojson([event(0, first_seen=there)])["features"]
    assert feature == to_geojson([event(0)])["features"][0]
    with pytest.raises(ValueError, match="has no zone"):
        to_geojson([event(0, first_seen=there.replace(tzinfo=None))])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (((13.0, 52.0), (13.0, 52.00000001)), "event 'wz-00000' has no two distinct places"),
        (((13.0, 52.0), (13.0, 152.0)), "latitude 152 is not on the globe"),
        (((13.0, float("nan")), (13.0, 52.0)), "latitude nan is not on the globe"),
    ],
)
def test_a_line_that_is_none_is_refused(line: tuple, said: str) -> None:
    with pytest.raises(FeedError, match=said):
        to_geojson([event(0, line=line)])


def test_csv_is_a_row_for_each_event(tmp_path: Path) -> None:
    events = published(20)
    write_events(events, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [one.id for one in events]
    for row, one in zip(rows, events, strict=True):
        assert float(row["end_latitude"]) == pytest.approx(one.line[-1][1], abs=1e-7)
        assert row["images"].split("|") == list(one.images)
        assert row["road"] == (one.road or "")
        assert row["line"].startswith(f"LINESTRING ({one.line[0][0]:.7f} {one.line[0][1]:.7f}, ")


@pytest.mark.parametrize("road", ["=1+1", "+49", "-2", "@SUM(A1)", "\t=1"])
def test_csv_holds_no_formulas(road: str) -> None:
    one = event(0, road=road, images=(f"{road}.jpg",), line=((-8.0, -50.0), (-8.1, -50.0)))
    (row,) = csv.DictReader(io.StringIO(to_csv([one]), newline=""))
    assert (row["road"], row["images"]) == (f"'{road}", f"'{road}.jpg")
    assert (row["begin_longitude"], row["end_longitude"]) == ("-8.0", "-8.1")
    (row,) = csv.DictReader(io.StringIO(to_csv([event(0, road="A=B\r=C")]), newline=""))
    assert row["road"] == "A=B =C"


def test_kml_has_lines_times_and_a_style_for_each_state() -> None:
    root = ElementTree.fromstring(to_kml([event(0, road="A & B <1>\x00"), event(3), event(4)]))
    marks = list(root.iter(f"{KML}Placemark"))
    assert marks[0].findtext(f"{KML}name") == "A & B <1>\ufffd"
    assert [mark.findtext(f"{KML}styleUrl") for mark in marks] == [
        "#present",
        "#suspected",
        "#gone",
    ]
    styles = {style.get("id") for style in root.iter(f"{KML}Style")}
    assert styles == {"present", "suspected", "gone"}
    ends = [mark.findtext(f"{KML}TimeSpan/{KML}end") for mark in marks]
    assert ends[:2] == [None, None]
    assert ends[2] == event(4).gone_since.isoformat().replace("+00:00", "Z")
    places = marks[0].findtext(f"{KML}LineString/{KML}coordinates").split()
    read = [tuple(map(float, place.split(","))) for place in places]
    assert read == [pytest.approx(place, abs=1e-7) for place in event(0).line]


def test_geoparquet_says_what_it_is_and_has_a_box_for_each_row(tmp_path: Path) -> None:
    events = published(30)
    write_events(events, tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    about = json.loads(table.schema.metadata[b"geo"])
    assert about["version"] == "1.1.0"
    column = about["columns"][about["primary_column"]]
    assert column["crs"]["id"] == {"authority": "OGC", "code": "CRS84"}
    assert column["covering"]["bbox"]["ymax"] == ["bbox", "ymax"]
    for row, one in zip(table.to_pylist(), events, strict=True):
        order, kind, count = struct.unpack_from("<BII", row["geometry"])
        numbers = struct.unpack_from(f"<{2 * count}d", row["geometry"], 9)
        assert (order, kind, len(row["geometry"])) == (1, 2, 9 + 16 * count)
        assert numbers == pytest.approx([x for place in one.line for x in place], abs=1e-7)
        assert row["bbox"]["xmin"] == min(numbers[::2])
        assert row["bbox"]["ymax"] == max(numbers[1::2])
        assert row["first_seen"] == one.first_seen
        assert row["gone_since"] == one.gone_since
        assert row["history"][0] == {"time": one.first_seen, "what": "suspected", "other": None}


def test_a_few_rows_are_read_by_their_box(tmp_path: Path) -> None:
    events = published(50)
    write_events(events, tmp_path / "a.parquet")
    wanted = pc.field("bbox", "xmin") > 13.5
    found = pq.read_table(tmp_path / "a.parquet", filters=wanted)["id"].to_pylist()
    assert found == [one.id for one in events if min(x for x, _ in one.line) > 13.5]


@pytest.mark.parametrize("suffix", [".geojson", ".csv", ".kml", ".parquet", ".json", ".xml"])
def test_what_is_suspected_is_written_only_where_it_is_asked_for(
    suffix: str, tmp_path: Path
) -> None:
    events, path = [event(0), event(3), event(4)], tmp_path / f"a{suffix}"
    write_events(events, path, publisher=PUBLISHER, published=NOW)
    assert (b"wz-00000" in path.read_bytes(), b"wz-00003" in path.read_bytes()) == (True, False)
    write_events(events, path, publisher=PUBLISHER, published=NOW, states=("suspected",))
    assert (b"wz-00000" in path.read_bytes(), b"wz-00003" in path.read_bytes()) == (False, True)


def test_wrong_calls(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.gejson: did you mean '\.geojson'"):
        write_events([], tmp_path / "a.gejson")
    with pytest.raises(UsageError, match=r"a\.json: a feed says who publishes it"):
        write_events([], tmp_path / "a.json")
    with pytest.raises(UsageError, match="DATEX II needs the publisher's country"):
        write_events([], tmp_path / "a.xml", publisher=Publisher(name="Somebody"))
    with pytest.raises(UsageError, match="two letters are needed, such as DE"):
        Publisher(name="Somebody", country="Germany")
    with pytest.raises(UsageError, match="contact 'maps' is no e-mail address, such as"):
        Publisher(name="Somebody", contact_email="maps")
    with pytest.raises(UsageError, match="a publisher needs a name"):
        Publisher(name=" ")
    with pytest.raises(UsageError, match="cannot end before"):
        Publisher(name="Somebody", lasts=timedelta(hours=-1))
    assert list(tmp_path.iterdir()) == []
