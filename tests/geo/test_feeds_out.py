"""WZDx and DATEX II of events: valid, and read by others as what they are."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from xml.etree import ElementTree

import pytest

from made_events import NOW, PUBLISHER, event, published
from workzone.geo.event import Event
from workzone.geo.out.datex import to_datex
from workzone.geo.out.fields import changed, sentence
from workzone.geo.out.publisher import Publisher
from workzone.geo.out.wzdx import compass, to_wzdx
from workzone.geo.validate.datex import check_datex
from workzone.geo.validate.wzdx import check_wzdx
from workzone.geo.validate.xml import read_xml

READER = "streetworks, which reads feeds as others do, is not installed"
RECORD = "*/{http://datex2.eu/schema/3/situation}situationRecord"


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return published(500)


def end_of(one: Event) -> datetime:
    return one.gone_since or NOW + timedelta(days=1)


def test_500_events_are_valid_wzdx_and_read_as_what_they_are(events: list[Event]) -> None:
    feed = to_wzdx(events, PUBLISHER, published=NOW)
    report = check_wzdx(feed)
    assert (report.events, report.findings) == (500, ())
    wzdx = pytest.importorskip("streetworks.wzdx", reason=READER)
    for read, one in zip(wzdx.parse_road_events(feed), events, strict=True):
        assert (read.id, read.event_type) == (one.id, "work-zone")
        assert (read.start_date, read.end_date) == (one.first_seen, end_of(one))
        assert (read.end_date < NOW) == (one.state == "gone")
        assert (read.creation_date, read.update_date) == (one.first_seen, changed(one))
        assert (read.is_start_date_verified, read.is_end_date_verified) == (False, False)
        assert (read.vehicle_impact, read.location_method) == ("unknown", "other")
        assert (read.data_source_id, read.description) == (PUBLISHER.source, sentence(one))
        assert read.road_names == (one.road or "unknown",)
        assert read.direction == compass(one.heading)
        assert read.geometry.kind == "LineString"
        assert list(read.geometry.points) == [pytest.approx(place, abs=1e-7) for place in one.line]


def test_500_events_are_valid_datex_and_read_as_what_they_are(events: list[Event]) -> None:
    content = to_datex(events, PUBLISHER, published=NOW)
    report = check_datex(read_xml(content))
    assert (report.format, report.events, report.findings) == ("DATEX II 3", 500, ())
    datex2 = pytest.importorskip("streetworks.datex2", reason=READER)
    for read, one in zip(datex2.iter_roadworks(io.BytesIO(content)), events, strict=True):
        (record,) = read.records
        assert (read.id, record.record_type) == (one.id, "MaintenanceWorks")
        assert record.validity.overall_start == one.first_seen
        assert record.validity.overall_end == one.gone_since
        assert record.location.road_number == one.road
        places = [(longitude, latitude) for latitude, longitude in record.location.points]
        assert places == [pytest.approx(place, abs=1e-7) for place in one.line]


@pytest.mark.parametrize(
    ("heading", "direction"),
    [
        (None, "unknown"),
        (0.0, "northbound"),
        (44.0, "northbound"),
        (46.0, "eastbound"),
        (181.0, "southbound"),
        (269.0, "westbound"),
        (316.0, "northbound"),
    ],
)
def test_direction_is_that_of_the_compass(heading: float | None, direction: str) -> None:
    assert compass(heading) == direction


def test_what_is_not_known_is_said_so() -> None:
    (feature,) = to_wzdx([event(0)], PUBLISHER, published=NOW)["features"]
    properties = feature["properties"]
    verified = {name: value for name, value in properties.items() if name.startswith("is_")}
    assert set(verified.values()) == {False}
    assert len(verified) == 4
    assert (properties["vehicle_impact"], properties["location_method"]) == ("unknown", "other")


def test_what_is_there_ends_later_in_each_feed_and_what_is_gone_does_not() -> None:
    later = NOW + timedelta(days=3)
    feeds = [to_wzdx([event(0), event(4)], PUBLISHER, published=time) for time in (NOW, later)]
    ends = [[one["properties"]["end_date"] for one in feed["features"]] for feed in feeds]
    assert ends[0][0] == "2026-06-02T12:00:00Z"
    assert ends[1][0] == "2026-06-05T12:00:00Z"
    assert ends[0][1] == ends[1][1] == event(4).gone_since.isoformat().replace("+00:00", "Z")
    ids = [[one["id"] for one in feed["features"]] for feed in feeds]
    assert ids[0] == ids[1] == ["wz-00000", "wz-00004"]


def test_a_licence_is_named_only_where_it_is_meant() -> None:
    assert "license" not in to_wzdx([], PUBLISHER, published=NOW)["feed_info"]
    free = to_wzdx([], Publisher(name="City", cc0=True), published=NOW)
    assert check_wzdx(free).findings == ()
    assert "publicdomain/zero" in free["feed_info"]["license"]


def test_a_datex_record_has_its_parts_in_the_order_of_the_model() -> None:
    root = ElementTree.fromstring(to_datex([event(4)], PUBLISHER, published=NOW))
    record = root.find(RECORD)
    assert [child.tag.rpartition("}")[2] for child in record] == [
        "situationRecordCreationTime",
        "situationRecordObservationTime",
        "situationRecordVersionTime",
        "probabilityOfOccurrence",
        "source",
        "validity",
        "generalPublicComment",
        "locationReference",
        "roadMaintenanceType",
    ]
    assert root.get("modelBaseVersion") == "3"
    assert record.get("{http://www.w3.org/2001/XMLSchema-instance}type") == "sit:MaintenanceWorks"


def test_a_version_rises_when_an_event_was_passed_again() -> None:
    before, after = event(0), event(0, last_passed=event(0).last_passed + timedelta(hours=1))
    contents = [to_datex([one], PUBLISHER, published=NOW) for one in (before, after)]
    records = [ElementTree.fromstring(content).find(RECORD) for content in contents]
    assert int(records[0].get("version")) + 3600 == int(records[1].get("version"))
    assert records[0].get("id") == records[1].get("id")
