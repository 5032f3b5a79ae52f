"""Faulty DATEX II: each gets the sentence that says what to mend, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from made_events import NOW, PUBLISHER, published
from workzone.errors import FeedError
from workzone.geo.out.datex import to_datex
from workzone.geo.validate.datex import check_datex
from workzone.geo.validate.feed import validate_feed
from workzone.geo.validate.report import Report
from workzone.geo.validate.xml import read_xml

FIRST = "situation[1]/situationRecord[1]"
SPAN = f"{FIRST}/validity/validityTimeSpecification"
START = "<com:overallStartTime>"
GOOD = to_datex(published(2), PUBLISHER, published=NOW).decode()
ONE = to_datex(published(1), PUBLISHER, published=NOW).decode()


def check(text: str) -> Report:
    return check_datex(read_xml(text.encode()))


def between(text: str, start: str, end: str) -> str:
    """The first part of a text from ``start`` to ``end``, both with it."""
    begin = text.index(start)
    return text[begin : text.index(end, begin) + len(end)]


POSITIONS = between(ONE, "<loc:posList>", "</loc:posList>")
STARTED = between(ONE, START, "</com:overallStartTime>")
VALIDITY = between(ONE, "<sit:validity>", "</sit:validity>")
LOCATION = between(ONE, "<sit:locationReference", "</sit:locationReference>")
VERSION = between(ONE, ' version="', '">')
FAULTS = [
    (' id="wz-00000-works"', "", FIRST, "lacks its 'id'"),
    (' id="wz-00000"', "", "situation[1]", "lacks its 'id'"),
    ("sit:MaintenanceWorks", "sit:Roadworks", FIRST, "is of the abstract type Roadworks"),
    (
        "sit:MaintenanceWorks",
        "sit:MaintenanceWork",
        FIRST,
        "is of type 'MaintenanceWork'; did you mean 'MaintenanceWorks'?",
    ),
    ('xsi:type="sit:MaintenanceWorks" ', "", FIRST, "lacks its xsi:type"),
    (
        "probabilityOfOccurrence",
        "probabilityOfOccurence",
        FIRST,
        "lacks 'probabilityOfOccurrence'; 'probabilityOfOccurence' may be meant for it",
    ),
    (
        ">probable<",
        ">likely<",
        f"{FIRST}/probabilityOfOccurrence",
        "is 'likely'; allowed: certain, probable, riskOf",
    ),
    (">active<", ">Active<", f"{FIRST}/validity/validityStatus", "is 'Active'; did you mean"),
    (VALIDITY, "", FIRST, "lacks 'validity'"),
    (STARTED, "", f"{FIRST}/validity", "lacks 'validityTimeSpecification/overallStartTime'"),
    (
        STARTED,
        f"{START}yesterday</com:overallStartTime>",
        f"{SPAN}/overallStartTime",
        "is 'yesterday', not a date and time with zone",
    ),
    (
        STARTED,
        f"{STARTED}<com:overallEndTime>2001-01-01T00:00:00Z</com:overallEndTime>",
        f"{SPAN}/overallEndTime",
        "is '2001-01-01T00:00:00Z', before overallStartTime",
    ),
    (LOCATION, "", FIRST, "lacks 'locationReference': where it is"),
    (
        POSITIONS,
        "<loc:posList>52.5 13.4 52.6</loc:posList>",
        f"{FIRST}/locationReference/gmlLineString/posList",
        "is no list of pairs: latitude longitude ...",
    ),
    (
        POSITIONS,
        "<loc:posList>52.5 13.4 52.5 13.4</loc:posList>",
        f"{FIRST}/locationReference/gmlLineString/posList",
        "has no two distinct places",
    ),
    (
        POSITIONS,
        "<loc:posList>-104.9 39.7 -104.8 39.7</loc:posList>",
        f"{FIRST}/locationReference/gmlLineString/posList",
        "has longitude 39.7, latitude -104.9, which is not on the globe; longitude and latitude "
        "seem to be swapped: latitude comes first",
    ),
    (
        between(LOCATION, "<loc:gmlLineString", "</loc:gmlLineString>"),
        "<loc:pointCoordinates><loc:latitude>170000</loc:latitude><loc:longitude>150000"
        "</loc:longitude></loc:pointCoordinates>",
        f"{FIRST}/locationReference/pointCoordinates",
        "has longitude 150000, latitude 170000, which is not on the globe",
    ),
    (
        between(LOCATION, "<loc:gmlLineString", "</loc:gmlLineString>"),
        "<loc:pointCoordinates><loc:latitude>52.5</loc:latitude></loc:pointCoordinates>",
        f"{FIRST}/locationReference/pointCoordinates",
        "lacks a 'latitude' and a 'longitude' in degrees",
    ),
    (
        "<sit:roadMaintenanceType>roadworks</sit:roadMaintenanceType>",
        "",
        FIRST,
        "lacks 'roadMaintenanceType'",
    ),
    (VERSION, ">", FIRST, "lacks its 'version'"),
    (
        between(ONE, "<com:publicationCreator>", "</com:publicationCreator>"),
        "",
        "payload",
        "lacks 'publicationCreator'",
    ),
    (
        between(ONE, "<sit:situationRecord ", "</sit:situationRecord>"),
        "",
        "situation[1]",
        "has no 'situationRecord'",
    ),
]


@pytest.mark.parametrize(("old", "new", "where", "what"), FAULTS)
def test_a_fault_is_said_where_it_is(old: str, new: str, where: str, what: str) -> None:
    assert old in ONE
    (fault,) = check(ONE.replace(old, new)).faults
    assert (fault.where, fault.what[: len(what)]) == (where, what)


def test_ids_that_are_used_twice() -> None:
    twice = GOOD.replace("wz-00001", "wz-00000")
    assert [(one.where, one.what) for one in check(twice).faults] == [
        ("situation", "has the id 'wz-00000' 2 times; each needs its own"),
        ("situationRecord", "has the id 'wz-00000-works' 2 times; each needs its own"),
    ]


def test_other_systems_of_coordinates_are_a_remark() -> None:
    report = check(ONE.replace("EPSG::4326", "EPSG::28992"))
    assert report.faults == ()
    assert "EPSG::28992'; its places are not looked at" in report.remarks[0].what


def test_records_of_other_kinds_are_passed_over() -> None:
    report = check(GOOD.replace("sit:MaintenanceWorks", "sit:Accident", 1).replace(VALIDITY, ""))
    assert (report.events, report.findings) == (1, ())


def test_version_2_is_read_too() -> None:
    older = ONE
    for prefix in ("d2Payload", "common", "locationReferencing", "situation"):
        older = older.replace(f"schema/3/{prefix}", "schema/2/2_0")
    report = check(older.replace("locationReference", "groupOfLocations"))
    assert (report.format, report.events, report.findings) == ("DATEX II 2", 1, ())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<a", "damaged XML"),
        ("<a/>", "is no DATEX II"),
        (
            '<payload xmlns="http://datex2.eu/schema/3/d2Payload"/>',
            "is no publication of situations",
        ),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "has a DOCTYPE"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_what_is_no_feed_is_refused(content: str, said: str, encoding: str, tmp_path: Path) -> None:
    (tmp_path / "feed.xml").write_text(content, encoding=encoding)
    with pytest.raises(FeedError, match=rf"feed\.xml: .*{said}"):
        validate_feed(tmp_path / "feed.xml")
