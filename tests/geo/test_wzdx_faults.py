"""Faulty WZDx feeds: each gets the sentence that says what to mend, and where."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from made_events import NOW, PUBLISHER, published
from workzone.errors import FeedError, MissingExtraError
from workzone.geo.out.wzdx import to_wzdx
from workzone.geo.validate.feed import validate_feed
from workzone.geo.validate.wzdx import check_wzdx
from workzone.geo.validate.wzdx_schema import validator

Feed = dict[str, Any]
GOOD = to_wzdx(published(5), PUBLISHER, published=NOW)

F1 = "$.features[1]"
PROPERTIES = f"{F1}.properties"
CORE = f"{PROPERTIES}.core_details"
PLACES = f"{F1}.geometry.coordinates"


def holder(feed: Feed, path: str) -> tuple[Any, Any]:
    """What holds the last part of a path such as ``features.1.id``, and its key there."""
    found: Any = feed
    *above, last = [int(name) if name.isdecimal() else name for name in path.split(".")]
    for name in above:
        found = found[name]
    return found, last


def put(path: str, value: object) -> Callable[[Feed], None]:
    def change(feed: Feed) -> None:
        above, key = holder(feed, path)
        above[key] = value

    return change


def drop(path: str) -> Callable[[Feed], None]:
    def change(feed: Feed) -> None:
        above, key = holder(feed, path)
        del above[key]

    return change


def rename(path: str, name: str) -> Callable[[Feed], None]:
    def change(feed: Feed) -> None:
        above, key = holder(feed, path)
        above[name] = above.pop(key)

    return change


P, C, G = "features.1.properties", "features.1.properties.core_details", "features.1.geometry"
CC0 = "https://creativecommons.org/publicdomain/zero/1.0/"
FAULTS: dict[str, tuple[Callable[[Feed], object], str, str]] = {
    "point": (
        put(G, {"type": "Point", "coordinates": [13.5, 52.5]}),
        f"{F1}.geometry.type",
        "is 'Point', which has no begin and end; allowed: LineString, MultiPoint",
    ),
    "no geometry": (put(G, None), f"{F1}.geometry", "is null, not an object"),
    "no points": (put(f"{G}.coordinates", []), PLACES, "has 0 of the 2 or more that are needed"),
    "text as place": (
        put(f"{G}.coordinates.0.0", "13.4"),
        f"{PLACES}[0][0]",
        "is '13.4', not a number",
    ),
    "two equal points": (
        put(f"{G}.coordinates", [[13.5, 52.5], [13.5, 52.5]]),
        PLACES,
        "has no two distinct places; an event has a begin and an end",
    ),
    "longitude of 500": (
        put(f"{G}.coordinates.0", [500, 52.5]),
        PLACES,
        "has longitude 500, latitude 52.5, which is not on the globe",
    ),
    "swapped off the globe": (
        put(f"{G}.coordinates", [[39.7, -104.9], [39.8, -104.9]]),
        PLACES,
        "has longitude 39.7, latitude -104.9, which is not on the globe; longitude and latitude "
        "seem to be swapped: longitude comes first",
    ),
    "swapped on the globe": (
        put(f"{G}.coordinates", [[52.5, 13.4], [52.6, 13.4]]),
        PLACES,
        "is far from the other events, and near them with longitude and latitude swapped: "
        "longitude comes first",
    ),
    "null island": (
        put(f"{G}.coordinates.0", [0, 0]),
        PLACES,
        "has a place at 0, 0, which is what a missing position becomes",
    ),
    "number as id": (put("features.1.id", 7), f"{F1}.id", "is 7, not text"),
    "no id": (drop("features.1.id"), F1, "lacks 'id'"),
    "id twice": (
        put("features.1.id", "wz-00000"),
        "$.features",
        "have the id 'wz-00000' 2 times; each needs its own",
    ),
    "misspelt impact": (
        rename(f"{P}.vehicle_impact", "vehicle_impct"),
        f"{PROPERTIES}.vehicle_impct",
        "is no property of WZDx 4.2; did you mean 'vehicle_impact'?",
    ),
    "camel case": (
        rename(f"{C}.road_names", "roadNames"),
        f"{CORE}.roadNames",
        "is no property of WZDx 4.2; did you mean 'road_names'?",
    ),
    "impact in other words": (
        put(f"{P}.vehicle_impact", "some-lane-closed"),
        f"{PROPERTIES}.vehicle_impact",
        "is 'some-lane-closed'; did you mean 'some-lanes-closed'?",
    ),
    "no impact": (drop(f"{P}.vehicle_impact"), PROPERTIES, "lacks 'vehicle_impact'"),
    "no location method": (drop(f"{P}.location_method"), PROPERTIES, "lacks 'location_method'"),
    "not said whether verified": (
        drop(f"{P}.is_start_date_verified"),
        PROPERTIES,
        "lacks 'is_start_date_verified' (or 'start_date_accuracy', deprecated)",
    ),
    "verified as text": (
        put(f"{P}.is_end_position_verified", "false"),
        f"{PROPERTIES}.is_end_position_verified",
        "is 'false', not true or false",
    ),
    "direction as letter": (
        put(f"{C}.direction", "N"),
        f"{CORE}.direction",
        "is 'N'; allowed: eastbound, inner-loop, northbound, outer-loop, southbound, undefined, "
        "unknown, westbound",
    ),
    "event type without hyphen": (
        put(f"{C}.event_type", "workzone"),
        f"{CORE}.event_type",
        "is 'workzone'; did you mean 'work-zone'?",
    ),
    "core details of older versions": (
        put(f"{P}.road_names", ["B 1"]),
        f"{PROPERTIES}.road_names",
        "belongs in 'core_details'",
    ),
    "no core details": (drop(C), PROPERTIES, "lacks 'core_details'"),
    "no road name": (
        put(f"{C}.road_names", []),
        f"{CORE}.road_names",
        "has 0 of the 1 or more that are needed",
    ),
    "empty road name": (put(f"{C}.road_names", [""]), f"{CORE}.road_names[0]", "is empty"),
    "end before start": (
        put(f"{P}.end_date", "2001-01-01T00:00:00Z"),
        f"{PROPERTIES}.end_date",
        "is '2001-01-01T00:00:00Z', before start_date",
    ),
    "date without zone": (
        put(f"{P}.start_date", "2026-05-01T07:00:00"),
        f"{PROPERTIES}.start_date",
        "is '2026-05-01T07:00:00', not a date and time with zone such as 2026-05-01T07:00:00Z",
    ),
    "a thirteenth month": (
        put(f"{P}.end_date", "2026-13-01T07:00:00Z"),
        f"{PROPERTIES}.end_date",
        "is '2026-13-01T07:00:00Z', not a date and time with zone",
    ),
    "changed before it was made": (
        put(f"{C}.update_date", "2001-01-01T00:00:00Z"),
        f"{CORE}.update_date",
        "is '2001-01-01T00:00:00Z', before creation_date",
    ),
    "unknown source": (
        put(f"{C}.data_source_id", "work-zone"),
        f"{CORE}.data_source_id",
        "is 'work-zone', which is not in feed_info.data_sources; did you mean 'workzone'?",
    ),
    "lane": (
        put(f"{P}.lanes", [{"order": 0, "type": "general", "status": "shut"}]),
        f"{PROPERTIES}.lanes[0].order",
        "is 0; 1 is the least",
    ),
    "version with three numbers": (
        put("feed_info.version", "4.2.0"),
        "$.feed_info.version",
        "is '4.2.0', not '4.2': without a third number",
    ),
    "another version": (
        put("feed_info.version", "4.0"),
        "$.feed_info.version",
        "is '4.0', not '4.2': its rules are those that were looked at",
    ),
    "version as number": (
        put("feed_info.version", 4.2),
        "$.feed_info.version",
        "is 4.2, not text",
    ),
    "another licence": (
        put("feed_info.license", "MIT"),
        "$.feed_info.license",
        f"is 'MIT'; it can only be '{CC0}'",
    ),
    "no publisher": (drop("feed_info.publisher"), "$.feed_info", "lacks 'publisher'"),
    "address without @": (
        put("feed_info.contact_email", "maps"),
        "$.feed_info.contact_email",
        "is 'maps', not an email address",
    ),
    "no feed info": (
        drop("feed_info"),
        "$",
        "lacks 'feed_info' (or 'road_event_feed_info', deprecated)",
    ),
    "unit that is none": (
        put(f"{P}.restrictions", [{"type": "reduced-width", "value": 3, "unit": "metres"}]),
        f"{PROPERTIES}.restrictions[0].unit",
        "is 'metres'; did you mean 'centimeters'?",
    ),
    "value without unit": (
        put(f"{P}.restrictions", [{"type": "reduced-width", "value": 3}]),
        f"{PROPERTIES}.restrictions[0]",
        "lacks 'unit', which its 'value' needs",
    ),
    "restriction that is none": (
        put(f"{P}.restrictions", [{"type": "no-lorries"}]),
        f"{PROPERTIES}.restrictions[0].type",
        "is 'no-lorries'; ",
    ),
    "workers seen by a method that is none": (
        put(f"{P}.worker_presence", {"are_workers_present": True, "method": "camera"}),
        f"{PROPERTIES}.worker_presence.method",
        "is 'camera'; did you mean 'camera-monitoring'?",
    ),
    "one definition twice": (
        put(
            f"{P}.worker_presence",
            {"are_workers_present": True, "definition": ["humans-in-right-of-way"] * 2},
        ),
        f"{PROPERTIES}.worker_presence.definition",
        "says the same more than once",
    ),
    "restriction as event": (
        put(f"{C}.event_type", "restriction"),
        f"{CORE}.event_type",
        "is 'restriction'; allowed: detour, work-zone",
    ),
    "milepost below 0": (
        put(f"{P}.beginning_milepost", -1),
        f"{PROPERTIES}.beginning_milepost",
        "is -1; 0 is the least",
    ),
    "polygon": (
        put(G, {"type": "Polygon", "coordinates": [[[13, 52], [13.1, 52], [13, 52.1], [13, 52]]]}),
        f"{F1}.geometry.type",
        "is 'Polygon'; allowed: LineString, MultiPoint",
    ),
    "no collection": (
        put("type", "Feature"),
        "$.type",
        "is 'Feature'; it can only be 'FeatureCollection'",
    ),
    "features as an object": (put("features", {}), "$.features", "is an object, not a list"),
    "a feature that is null": (put("features.1", None), F1, "is null, not an object"),
}


def faulty(change: Callable[[Feed], object]) -> Feed:
    feed = copy.deepcopy(GOOD)
    change(feed)
    return feed


def test_the_feed_without_faults_has_none() -> None:
    assert check_wzdx(copy.deepcopy(GOOD)).findings == ()
    assert len(FAULTS) >= 30


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_said_where_it_is(name: str) -> None:
    change, where, what = FAULTS[name]
    faults = check_wzdx(faulty(change)).faults
    assert [one.where for one in faults if one.what.startswith(what)] == [where]
    assert len(faults) == (2 if name == "lane" else 1), faults


def test_a_fault_within_a_work_zone_is_never_told_as_one_of_detours() -> None:
    for change, *_ in FAULTS.values():
        for one in check_wzdx(faulty(change)).findings:
            assert "detour" not in one.what or one.where == f"{CORE}.event_type"


def test_a_detour_is_judged_as_one() -> None:
    feed = faulty(put(f"{C}.event_type", "detour"))
    report = check_wzdx(feed)
    assert report.faults == ()  # what a work zone has beside is no property of a detour
    assert {one.where.rpartition(".")[2] for one in report.remarks} == {
        "is_start_position_verified",
        "is_end_position_verified",
        "location_method",
        "vehicle_impact",
    }


def test_deprecated_forms_and_multipoints_are_valid() -> None:
    feed = copy.deepcopy(GOOD)
    for feature in feed["features"]:
        properties = feature["properties"]
        for new, old in (
            ("is_start_date_verified", "start_date_accuracy"),
            ("is_end_date_verified", "end_date_accuracy"),
            ("is_start_position_verified", "beginning_accuracy"),
            ("is_end_position_verified", "ending_accuracy"),
        ):
            del properties[new]
            properties[old] = "estimated"
        feature["geometry"]["type"] = "MultiPoint"
    assert check_wzdx(feed).findings == ()


def test_properties_of_others_are_remarks() -> None:
    (one,) = check_wzdx(faulty(put(f"{P}.queue_length", 3))).findings
    assert (one.level, one.where) == ("remark", f"{PROPERTIES}.queue_length")
    assert one.what == "is no property of WZDx 4.2; readers pass over it"


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    feed = copy.deepcopy(GOOD)
    for change in (
        put("features.3.geometry.type", "Point"),
        drop("feed_info.publisher"),
        put("features.0.properties.end_date", "2001-01-01T00:00:00Z"),
        put(f"{C}.direction", "north"),
    ):
        change(feed)
    faults = check_wzdx(feed).faults
    starts = ["$.feed_info", "$.features[0]", "$.features[1]", "$.features[3]"]
    assert len(faults) == 4
    assert all(one.where.startswith(start) for one, start in zip(faults, starts, strict=True))
    assert [one.event for one in faults] == [None, "wz-00000", "wz-00001", "wz-00003"]
    assert "did you mean 'northbound'" in faults[2].what


def test_the_extra_is_named_where_it_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    validator.cache_clear()
    for package in ("jsonschema", "rfc3339_validator"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            said = rf"checking WZDx needs the package '{package}': pip install 'workzone\[geo\]'"
            with pytest.raises(MissingExtraError, match=said):
                check_wzdx(copy.deepcopy(GOOD))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "neither JSON"),
        (b"\x00\xff", "neither JSON"),
        (b"[1, 2]", "WZDx is a JSON object"),
        (b'{"id": 1}', "this has neither"),
        (b'{"features": [NaN]}', "NaN is no number of JSON"),
        (b"[" * 100_000, "neither JSON"),
        (
            b'{"features": [{"properties": {"core_details": {"device_type": "arrow-board"}}}]}',
            "a WZDx feed of devices",
        ),
    ],
)
def test_what_is_no_feed_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "feed").write_bytes(content)
    with pytest.raises(FeedError, match=said) as caught:
        validate_feed(tmp_path / "feed")
    assert str(caught.value).startswith(f"{tmp_path / 'feed'}: ")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"No such file or directory\. Name a file"):
        validate_feed(tmp_path / "feed.json")


def test_byte_order_marks_and_other_encodings_are_read(tmp_path: Path) -> None:
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "feed.json").write_text(json.dumps(GOOD), encoding=encoding)
        assert validate_feed(tmp_path / "feed.json").findings == ()
