"""``workzone map show``, as it is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli_invoke import invoke
from made_drives import drives, street, write_frames
from made_images import blob_image
from page_data import data_of, rows_of
from workzone.geo.rounding import rounded
from workzone.geo.show import steps_of
from workzone.geo.store import open_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map with one zone, on a road that was given, and the frames that show it beside it."""
    folder = tmp_path_factory.mktemp("map")
    line = {"type": "LineString", "coordinates": [[8.0, 50.0], [8.05, 50.0]]}
    feature = {"type": "Feature", "properties": {"name": "High Street"}, "geometry": line}
    (folder / "roads.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": [feature]})
    )
    frames = write_frames(folder / "frames.jsonl", drives(6, street(), lambda _: [(600.0, 800.0)]))
    path = folder / "zones.gpkg"
    roads = folder / "roads.geojson"
    told = invoke("map", "update", frames, "--store", path, "--roads", roads, "--json")
    (event,) = json.loads(told.stdout)["events"]
    for name in event["images"][:1]:
        (folder / name).parent.mkdir()
        blob_image(1, 1).save(folder / f"{name}.jpg")
    return path


def test_a_map_becomes_a_page(store: Path, tmp_path: Path) -> None:
    page = tmp_path / "map.html"
    shown = invoke("map", "show", store, "-o", page, "--images", store.parent).stdout
    assert f"Frames without a file in {store.parent}: 1" in shown
    assert f"Events: 1, pictures: 1. Written: {page}" in shown
    data = data_of(page)
    assert data["roads"] == ["High Street"] and data["streets"][0][:2] == [8_000_000, 50_000_000]
    (picture,) = data["pictures"].values()
    assert picture["address"].startswith("data:image/jpeg;base64,")
    tiles = "https://tiles.example.org/{z}/{x}/{y}.png"
    invoke("map", "show", store, "-o", page, "--tiles", tiles, "--round-positions", 100)
    assert data_of(page)["tiles"] == tiles
    with open_store(str(store), create=False) as opened:
        (event,) = opened.events()
    (row,) = rows_of(data_of(page))
    assert row["line"] == steps_of(rounded(event, 100).line) != steps_of(event.line)


def test_errors_name_the_fix(store: Path, tmp_path: Path) -> None:
    page = tmp_path / "map.html"
    missing = tmp_path / "none.gpkg"
    result = invoke("map", "show", missing, "-o", page, expect=1)
    assert "none.gpkg does not exist; make it with `workzone map update`" in result.stderr
    result = invoke("map", "show", store, "-o", page, "--objects", tmp_path / "o.jsonl", expect=2)
    assert "name their folder with --images" in result.stderr
    result = invoke("map", "show", store, "-o", page, "--tiles", "streets.pmtiles", expect=2)
    assert "'streets.pmtiles': give an address" in result.stderr
    assert not page.exists()
