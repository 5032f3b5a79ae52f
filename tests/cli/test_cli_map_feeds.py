"""``workzone map validate``: what it says, as text and as JSON, and its exit codes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from cli_invoke import invoke
from made_drives import drives, street, write_frames
from made_events import NOW, PUBLISHER, published
from workzone.data.places import round_places
from workzone.geo.out.fields import iso
from workzone.geo.out.files import write_events
from workzone.geo.store import open_store

CC0 = "https://creativecommons.org/publicdomain/zero/1.0/"


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    path = tmp_path / "feed.json"
    write_events(published(4), path, publisher=PUBLISHER, published=NOW)
    return path


def test_a_valid_feed(feed: Path, tmp_path: Path) -> None:
    said = invoke("map", "validate", feed).stdout
    assert said == f"{feed}: WZDx 4.2, 4 events: no faults, no remarks\n"
    write_events(published(1), tmp_path / "a.xml", publisher=PUBLISHER, published=NOW)
    said = invoke("map", "validate", tmp_path / "a.xml").stdout
    assert said == f"{tmp_path / 'a.xml'}: DATEX II 3, 1 event: no faults, no remarks\n"


def test_faults_that_are_alike_are_one_line(feed: Path) -> None:
    feed.write_text(feed.read_text().replace('"location_method"', '"location_methode"'))
    feed.write_text(feed.read_text().replace('"type": "LineString"', '"type": "Point"', 1))
    lines = invoke("map", "validate", feed, expect=1).stdout.splitlines()
    assert lines == [
        "fault: $.features[0].properties.location_methode (event 'wz-00000') is no property of "
        "WZDx 4.2; did you mean 'location_method'? [and 3 more like it]",
        "fault: $.features[0].geometry.type (event 'wz-00000') is 'Point', which has no begin "
        "and end; allowed: LineString, MultiPoint",
        f"{feed}: WZDx 4.2, 4 events: 5 faults, no remarks",
    ]


def test_json_has_every_finding(feed: Path) -> None:
    feed.write_text(feed.read_text().replace('"location_method"', '"locationMethod"'))
    told = json.loads(invoke("map", "validate", feed, "--json", expect=1).stdout)
    assert (told["valid"], told["events"], len(told["findings"])) == (False, 4, 4)
    assert told["findings"][2] == {
        "where": "$.features[2].properties.locationMethod",
        "what": "is no property of WZDx 4.2; did you mean 'location_method'?",
        "event": "wz-00002",
        "level": "fault",
    }


def test_remarks_are_no_faults(feed: Path) -> None:
    feed.write_text(feed.read_text().replace('"publisher"', '"audience": 1, "publisher"'))
    said = invoke("map", "validate", feed).stdout
    assert "remark: $.feed_info.audience is no property of WZDx 4.2" in said
    assert said.endswith("4 events: no faults, 1 remark\n")


def test_what_is_no_feed_ends_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    said = invoke("map", "validate", tmp_path / "a.json", expect=1).stderr
    assert said.startswith(f"error: {tmp_path / 'a.json'}: neither JSON (WZDx) nor XML (DATEX II)")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map with a zone that six drives saw, and one that the last drive saw alone."""
    folder = tmp_path_factory.mktemp("map")
    zone, other = (600.0, 800.0), (1100.0, 1200.0)
    cars = drives(6, street(), lambda number: [zone, other] if number == 5 else [zone])
    frames = write_frames(folder / "frames.jsonl", cars)
    invoke("map", "update", frames, "--store", folder / "zones.gpkg")
    return folder / "zones.gpkg"


def test_a_map_is_written_as_layers_and_feeds(store: Path, tmp_path: Path) -> None:
    assert invoke("map", "export", store, "-o", tmp_path / "a.geojson").stdout.startswith(
        "1 event of"
    )
    (feature,) = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert feature["geometry"]["type"] == "LineString"
    feed = tmp_path / "feed.json"
    said = invoke("map", "export", store, "-o", feed, expect=2).stderr
    assert "publisher" in said
    invoke("map", "export", store, "-o", feed, "--publisher", "City of Example")
    assert "1 event: no faults" in invoke("map", "validate", feed).stdout
    said = invoke("map", "export", tmp_path / "none.gpkg", "-o", feed, expect=1).stderr
    assert "none.gpkg does not exist" in said and not (tmp_path / "none.gpkg").exists()


def states_of(text: str) -> list[str]:
    return sorted(feature["properties"]["state"] for feature in json.loads(text)["features"])


def about(text: str) -> list[str | None]:
    told = json.loads(text)["feed_info"]
    return [told["publisher"], told.get("license"), told.get("contact_email")]


def country_of(text: str) -> list[str]:
    return re.findall(r"<[^/>]*country>([^<]*)<", text)


CITY = ("--publisher", "City of Example")


@pytest.mark.parametrize(
    ("name", "options", "read", "expected"),
    [
        ("a.geojson", (), states_of, ["present"]),
        ("a.geojson", ("--suspected",), states_of, ["present", "suspected"]),
        ("a.json", CITY, about, ["City of Example", None, None]),
        ("a.json", (*CITY, "--cc0"), about, ["City of Example", CC0, None]),
        ("a.json", (*CITY, "--contact", "a@b.org"), about, ["City of Example", None, "a@b.org"]),
        ("a.xml", (*CITY, "--country", "DE"), country_of, ["de"]),
    ],
)
def test_options_are_in_the_file(
    store: Path,
    tmp_path: Path,
    name: str,
    options: tuple[str, ...],
    read: Callable[[str], list[str]],
    expected: list[str],
) -> None:
    invoke("map", "export", store, "-o", tmp_path / name, *options)
    assert read((tmp_path / name).read_text()) == expected


def test_a_feed_is_dated_by_the_newest_frame_and_places_are_rounded(
    store: Path, tmp_path: Path
) -> None:
    invoke("map", "export", store, "-o", tmp_path / "a.json", *CITY, "--round-positions", 1000)
    feed = json.loads((tmp_path / "a.json").read_text())
    with open_store(str(store), create=False) as opened:
        newest = opened.newest()
    assert newest is not None
    assert feed["feed_info"]["update_date"] == iso(newest)
    for feature in feed["features"]:
        end = feature["properties"]["end_date"]
        assert end == iso(newest + timedelta(days=1))
        latitudes = {latitude for _, latitude in feature["geometry"]["coordinates"]}
        exact = round_places(np.array(list(latitudes)), np.zeros(len(latitudes)), 1000.0)[0]
        assert sorted(latitudes) == pytest.approx(sorted(exact), abs=1e-6)
