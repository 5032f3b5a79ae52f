"""``workzone map``, as it is called."""

from __future__ import annotations

import json

import pytest

from cli_invoke import invoke
from made_drives import (
    DAY,
    START,
    drive,
    drives,
    east_of,
    showing,
    street,
    write_frames,
    write_objects,
)
from workzone.geo.simulate import make_world
from workzone.geo.store import open_store
from workzone.geo.update import update as update_store


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Two tables of frames: of three cars that see a zone, and of three more."""
    folder = tmp_path_factory.mktemp("frames")
    cars = drives(6, street(), lambda _: [(600.0, 800.0)])
    return [write_frames(folder / f"day-{n}.jsonl", cars[n : n + 3]) for n in (0, 3)]


def test_update_shows_events_and_the_same_drives_change_nothing(tables, tmp_path):
    store = tmp_path / "zones.gpkg"
    shown = invoke("map", "update", tables[0], "--store", store).stdout
    assert "3 drives added. Written:" in shown and "3 of 3" in shown
    shown = invoke("map", "update", *tables, "--store", store).stdout
    assert "3 drives added, 3 were there already" in shown and "present" in shown
    told = json.loads(invoke("map", "update", *tables, "--store", store, "--json").stdout)
    assert told["update"]["same"] == 6 and told["update"]["added"] == 0
    (event,) = told["events"]
    assert event["state"] == "present" and event["passes"] == 6 and len(event["line"]) > 5
    assert event["history"][0]["what"] == "suspected"
    assert event["first_seen"].startswith("2026-01-01T10:00:")


def test_roads_are_read(tables, tmp_path):
    roads = tmp_path / "roads.geojson"
    line = {"type": "LineString", "coordinates": [[8.0, 50.0], [8.05, 50.0]]}
    feature = {"type": "Feature", "properties": {"name": "High Street"}, "geometry": line}
    roads.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    store = tmp_path / "zones.gpkg"
    result = invoke("map", "update", tables[0], "--store", store, "--roads", roads, "--json")
    (event,) = json.loads(result.stdout)["events"]
    assert event["road"] == "High Street"
    again = invoke("map", "update", tables[1], "--store", store, "--roads", roads)
    assert "present" in again.stdout


def test_old_drives_are_dropped(tmp_path):
    cars = drives(8, street(), lambda _: [(600.0, 800.0)], every=DAY)
    frames = write_frames(tmp_path / "frames.jsonl", cars)
    store = tmp_path / "zones.gpkg"
    shown = invoke("map", "update", frames, "--store", store, "--keep-days", 3).stdout
    assert "8 drives added, 4 dropped for their age" in shown and "8 of 8" in shown
    told = invoke("map", "update", frames, "--store", store, "--keep-days", 3, "--json").stdout
    assert json.loads(told)["update"]["dropped"] == 0
    invoke("map", "update", frames, "--store", store, "--keep-days", 0, expect=2)


def test_objects_give_events_classes_and_nearer_ends(tmp_path):
    """Road work is called 20 metres too early and too late: cones tell where it begins and ends."""
    cars = drives(6, street(), lambda _: [(580.0, 820.0)])
    cars = [showing(car, range(600, 801, 10), classes=5) for car in cars]
    frames = write_frames(tmp_path / "frames.jsonl", cars)
    parts = [
        write_objects(tmp_path / f"{n}.jsonl", some) for n, some in enumerate((cars[:3], cars[3:]))
    ]
    store = tmp_path / "zones.gpkg"
    update = ("map", "update", frames, "--store", store)
    shown = invoke(*update).stdout
    assert "6 drives added. Written" in shown
    given = ("--objects", parts[0], "--objects", parts[1], "--field-of-view", 90)
    shown = invoke(*update, *given).stdout
    count = sum(car.objects.found for car in cars)
    assert f"0 drives added, 6 replaced; {count} frames with objects. Written" in shown
    told = json.loads(invoke(*update, *given, "--json").stdout)
    assert told["frames_with_objects"] == count and told["update"]["same"] == 6
    (event,) = told["events"]
    assert event["classes"] == ["cone", "sign"]
    assert [east_of(event["line"][row]) for row in (0, -1)] == pytest.approx([600, 800], abs=8)
    other = write_objects(tmp_path / "other.jsonl", [showing(drive("none", START, street()), [])])
    told = invoke(*update, "--objects", other, expect=2).stderr
    assert "--objects has no frame of these drives, but 'none/0'; the drives have ids such" in told
    (tmp_path / "other.jsonl").write_text("\n")
    assert "has no frame at all" in invoke(*update, "--objects", other, expect=2).stderr
    (tmp_path / "other.jsonl").write_text("{}\n")
    result = invoke(*update, "--objects", other, expect=1)
    assert "other.jsonl, line 1: no objects of an image" in result.stderr
    result = invoke(*update, "--field-of-view", 90, expect=2)
    assert "name them with --objects" in result.stderr


def test_errors_name_the_file(tables, tmp_path):
    result = invoke("map", "update", tables[0], "--store", tables[0], expect=1)
    assert "day-0.jsonl: " in result.stderr and "no GeoPackage" in result.stderr
    missing = tmp_path / "none.csv"
    result = invoke("map", "update", missing, "--store", tmp_path / "zones.gpkg", expect=1)
    assert "none.csv cannot be read" in result.stderr
    assert not (tmp_path / "zones.gpkg").exists()
    other = write_frames(tmp_path / "other.jsonl", [drive("car-000", START, street())])
    result = invoke("map", "update", tables[0], other, "--store", tmp_path / "b.gpkg", expect=2)
    assert f"with other frames ({tables[0]} and {other})" in result.stderr


def test_simulate_tells_figures_by_passes_and_draws_them(tmp_path):
    arguments = ("map", "simulate", "--passes", 3, "--days", 2, "--streets", "irregular")
    chart = tmp_path / "chart.svg"
    shown = invoke(*arguments, "-o", chart).stdout
    assert "passes a day" in shown and "3.00" in shown and f"Written: {chart}" in shown
    assert "Simulated: irregular, 2 days, roads given, seed 0" in chart.read_text()
    result = invoke(*arguments, "-o", tmp_path / "chart.pdf", expect=2)
    assert "chart.pdf: " in result.stderr and ".svg" in result.stderr
    told = json.loads(invoke(*arguments, "--json").stdout)
    assert told["streets"] == "irregular" and told["figures"][0]["passes_a_day"] == 3
    result = invoke("map", "simulate", "--streets", "grit", expect=2)
    assert "--streets grit: no such kind; did you mean 'grid'?" in result.stderr


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_frames_of_a_made_world_become_a_map(tmp_path, suffix):
    """The same events as the drives themselves; ids follow from times, written to a microsecond."""
    frames = tmp_path / f"frames{suffix}"
    made = ("map", "simulate", "--passes", 4, "--days", 2, "--frames", frames)
    assert str(frames) in " ".join(invoke(*made).stdout.split())
    invoke("map", "update", frames, "--store", tmp_path / "read.gpkg")
    world = make_world("grid", passes=4.0, days=2, seed=0)
    with open_store(str(tmp_path / "held.gpkg")) as store:
        update_store(store, [drive for day in world.days for drive in day])
        expected = store.events()
    with open_store(str(tmp_path / "read.gpkg")) as store:
        found = store.events()
    seen, wanted = (
        sorted((one.state, one.passes, one.sightings, round(one.length_m)) for one in events)
        for events in (found, expected)
    )
    assert seen == wanted and seen


def test_frames_are_of_one_world(tmp_path):
    said = invoke("map", "simulate", "--frames", tmp_path / "frames.csv", expect=2)
    assert "name one --passes" in said.stderr
