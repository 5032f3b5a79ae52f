"""``workzone map compare``: the four lists as text, table, map and JSON."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from cli_invoke import invoke
from made_drives import CENTRE, drives, street, write_frames
from page_data import data_of
from workzone.geo.ground import moved

ZONES = [(300.0, 400.0), (700.0, 900.0), (1100.0, 1200.0)]
START, SOON = "2026-01-01T00:00:00Z", "2030-01-01T00:00:00Z"


def permit(name: str, first: float, last: float, /, **values: object) -> dict[str, object]:
    line = [moved(*CENTRE, east, 0) for east in (first, last)]
    return {
        "type": "Feature",
        "id": name,
        "geometry": {"type": "LineString", "coordinates": line},
        "properties": {"start": START, "end": SOON, **values},
    }


PERMITS = [
    permit("fits", 300, 400),
    permit("ended", 700, 900, end="2025-12-20", start="2025-12-01", street="[i]High[/i] Street"),
    permit("unseen", 500, 600),
    permit("far", 9000, 9100),
    permit("planned", 0, 100, start=SOON, end=None),
    permit("off", 0, 100, status="cancelled"),
    {"type": "Feature", "geometry": None, "properties": {}},
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A street with three zones that twelve drives saw, one an hour."""
    folder = tmp_path_factory.mktemp("map")
    frames = write_frames(folder / "frames.jsonl", drives(12, street(), lambda _: ZONES))
    invoke("map", "update", frames, "--store", folder / "zones.gpkg")
    return folder / "zones.gpkg"


@pytest.fixture
def permits(tmp_path: Path) -> Path:
    path = tmp_path / "permits.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": PERMITS}))
    return path


def test_the_lists_are_counted_and_the_gravest_shown(store: Path, permits: Path) -> None:
    said = invoke("map", "compare", store, permits, "--days", 15).stdout
    lines = said.splitlines()
    assert lines[-5:] == [
        "over its end date: 0",
        "seen and not permitted: 1",
        "permitted and not seen: 2, 1 of them by which nobody drove",
        "permitted and seen: 2",
        "Works in none of the lists: 1 still to begin, 1 cancelled, 1 without a place.",
    ]
    assert "unseen" in said and "12" in said and "fits" not in said and "far" not in said
    said = invoke("map", "compare", store, permits, "--days", 11.6).stdout  # since the 21st
    assert "over its end date: 1" in said and "[i]High[/i] Street" in said and "2025-12-21" in said


def test_the_lists_are_written(store: Path, permits: Path, tmp_path: Path) -> None:
    told = {}
    for name in ("lists.geojson", "lists.csv"):
        path = tmp_path / name
        said = invoke("map", "compare", store, permits, "--days", 15, "-o", path).stdout
        assert said.endswith(f"Written: {path}\n")
        told[name] = path.read_text()
    shapes = json.loads(told["lists.geojson"])["features"]
    assert [one["properties"]["verdict"] for one in shapes] == [
        "seen_not_permitted",
        "permitted_not_seen",
        "permitted_not_seen",
        "permitted_and_seen",
        "permitted_and_seen",
    ]
    assert {one["geometry"]["type"] for one in shapes} == {"LineString"}
    unseen = shapes[1]["properties"]
    assert (unseen["event"], unseen["works"], unseen["passes"]) == (None, ["unseen"], 12)
    assert unseen["permitted_from"] == START and unseen["permitted_until"] == SOON
    rows = list(csv.DictReader(told["lists.csv"].splitlines()))
    assert [row["verdict"] for row in rows] == [one["properties"]["verdict"] for one in shapes]
    assert rows[1]["works"] == "unseen" and rows[1]["places"].startswith("LINESTRING (8.0069")
    assert rows[0]["event"] == shapes[0]["properties"]["event"] != ""


def test_the_page_is_written_with_what_the_map_was_given(
    store: Path, permits: Path, tmp_path: Path
) -> None:
    path = tmp_path / "lists.html"
    tiles = "https://tiles.example.org/{z}/{x}/{y}.png"
    options = ["--days", 15, "-o", path, "--tiles", tiles, "--attribution", "© Somebody"]
    assert f"Written: {path}" in invoke("map", "compare", store, permits, *options).stdout
    data = data_of(path)
    assert (data["tiles"], data["attribution"]) == (tiles, "© Somebody")
    assert (len(data["rows"]), data["planned"], data["streets"]) == (5, 1, [])
    assert {work[-1] for work in data["works"]} == {"permits.geojson"}


def test_json_tells_all(store: Path, permits: Path) -> None:
    told = json.loads(invoke("map", "compare", store, permits, permits, "--json").stdout)
    assert told["counts"] == {
        "over_end_date": 0,
        "seen_not_permitted": 2,
        "permitted_not_seen": 6,
        "permitted_and_seen": 1,
    }
    numbers = [told[n] for n in ("never_passed", "planned", "cancelled", "without_place")]
    assert numbers == [4, 2, 2, 2]
    fits = told["lists"]["features"][-1]["properties"]
    assert fits["works"] == ["fits", "fits"] and fits["state"] == "present"


def test_errors_name_the_file_and_the_fix(store: Path, permits: Path, tmp_path: Path) -> None:
    said = invoke("map", "compare", tmp_path / "none.gpkg", permits, expect=1).stderr
    assert "none.gpkg does not exist; make it with" in said
    said = invoke("map", "compare", store, permits, "-o", tmp_path / "a.pdf", expect=2).stderr
    assert "a.pdf: " in said and "allowed: .csv, .geojson, .html" in said
    for path in ([], ["-o", tmp_path / "lists.csv"]):
        options = [*path, "--attribution", "A"]
        said = invoke("map", "compare", store, permits, *options, expect=2).stderr
        assert "of a page; name it" in said and "lists.html" in said
    said = invoke("map", "compare", store, permits, "--crs", "BNG", expect=2).stderr
    assert "permits.geojson: 'BNG' is no system of coordinates; write it as EPSG:27700" in said
    longitude, latitude = CENTRE
    swapped = {"type": "Point", "coordinates": [latitude, longitude]}
    content = {"features": [{"id": "s", "geometry": swapped, "properties": {}}]}
    permits.write_text(json.dumps(content))
    said = invoke("map", "compare", store, permits, expect=1).stderr
    assert "work 's' at longitude 50, latitude 8 is far from the map" in said
