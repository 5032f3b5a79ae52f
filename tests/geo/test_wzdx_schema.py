"""The schema that USDOT publishes: unchanged, complete without a network, and its examples."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from made_events import NOW, PUBLISHER, published
from workzone.geo.out.wzdx import to_wzdx
from workzone.geo.validate import wzdx_schema
from workzone.geo.validate.feed import validate_feed
from workzone.geo.validate.wzdx import check_wzdx
from workzone.geo.validate.wzdx_schema import validator

FOLDER = Path(wzdx_schema.__file__).parent / "wzdx_4_2"
BLOBS = {  # git's own names of the contents, in schemas/4.2 of the commit that NOTICE.txt names
    "BoundingBox.json": "3791eb44985e2e053c5c7286c964f45a9917ec42",
    "Direction.json": "af8ada503f6e9f9655ca7f526099b7bbcfca2682",
    "FeedInfo.json": "be67736c647548e43bd32f97b1a4bfb6f12745ac",
    "RoadEventFeature.json": "f577ffa24003f640fbfdb99ddb70381602a1406d",
    "WorkZoneFeed.json": "7f203183d3a41c480672875b369da84a6dbd0f11",
    "LICENSE.txt": "0e259d42c996742e9e3cba14c677129b2c1b6311",
}
EXAMPLES = Path(__file__).parent / "wzdx_examples"
EARLIER = "is '2010-01-0{}', before creation_date"


def test_the_files_are_those_that_are_published() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {*BLOBS, "NOTICE.txt"}
    for name, blob in BLOBS.items():
        content = (FOLDER / name).read_bytes()
        assert hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == blob, name


def test_all_that_the_schema_refers_to_is_there() -> None:
    files = [path.read_text() for path in FOLDER.glob("*.json")]
    named = {json.loads(text)["$id"] for text in files}
    named |= {wzdx_schema.schema(kind)["$id"] for kind in wzdx_schema.GEOMETRIES}
    asked = {
        ref.partition("#")[0] for text in files for ref in _refs(json.loads(text)) if ref[0] != "#"
    }
    assert len(asked) == 6 and asked <= named


def _refs(rule: object) -> list[str]:
    if isinstance(rule, list):
        return [ref for part in rule for ref in _refs(part)]
    if isinstance(rule, dict):
        here = [rule["$ref"]] if isinstance(rule.get("$ref"), str) else []
        return here + [ref for part in rule.values() for ref in _refs(part)]
    return []


def test_500_events_fit_the_schema_and_what_does_not_is_seen() -> None:
    feed = to_wzdx(published(500), PUBLISHER, published=NOW)
    assert list(validator().iter_errors(feed)) == []
    del feed["features"][499]["properties"]["vehicle_impact"]
    assert len(list(validator().iter_errors(feed))) == 1


@pytest.mark.parametrize(
    ("name", "events", "faults"),
    [
        ("scenario1_simple_multipoint", 5, []),
        ("scenario3_shoulder_bidirectional_linestring", 2, []),
        # These two were created, they say, a year after they were last changed.
        ("scenario2_laneshift_linestring", 1, [EARLIER.format("1T05:57:36Z")]),
        ("scenario6_multi_lane_closure_linestring", 1, [EARLIER.format("3T01:51:43Z")]),
    ],
)
def test_the_official_examples(name: str, events: int, faults: list[str]) -> None:
    report = validate_feed(EXAMPLES / f"{name}.geojson")
    assert [one.what for one in report.findings] == faults
    assert (report.format, report.events) == ("WZDx 4.2", events)


def test_the_name_of_4_0_for_feed_info_is_a_remark() -> None:
    feed = to_wzdx(published(1), PUBLISHER, published=NOW)
    feed["road_event_feed_info"] = feed.pop("feed_info")
    (one,) = check_wzdx(feed).findings
    assert (one.level, one.where) == ("remark", "$.road_event_feed_info")
    assert one.what == "is deprecated; its name is 'feed_info' now"
    feed["road_event_feed_info"]["version"] = "4.2.0"
    (fault,) = check_wzdx(feed).faults
    assert fault.where == "$.road_event_feed_info.version"
