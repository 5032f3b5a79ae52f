"""The store: a GeoPackage, exact after a kill, and nobody else's file."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from made_drives import START, drives, street
from workzone.errors import StoreError
from workzone.geo import gpkg
from workzone.geo.roads import NETWORK, make_line
from workzone.geo.store import open_store
from workzone.geo.update import update

ZONE = [(600.0, 800.0)]


def test_it_is_a_geopackage_with_an_index(tmp_path):
    path = tmp_path / "zones.gpkg"
    with open_store(path) as store:
        update(store, drives(6, street(), lambda _: ZONE))
        (event,) = store.events()
    plain = sqlite3.connect(path)
    assert plain.execute("PRAGMA application_id").fetchone() == (0x47504B47,)
    assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert plain.execute("PRAGMA foreign_key_check").fetchall() == []
    row = plain.execute("SELECT * FROM gpkg_geometry_columns").fetchone()
    assert row == ("events", "geom", "LINESTRING", 4326, 0, 0)
    (body,) = plain.execute("SELECT geom FROM events").fetchone()
    assert body[:4] == b"GP\x00\x03" and gpkg.places_of(body) == event.line
    lon, lat = zip(*event.line, strict=True)
    box = plain.execute("SELECT minx, maxx, miny, maxy FROM rtree_events_geom").fetchone()
    assert box == pytest.approx((min(lon), max(lon), min(lat), max(lat)), abs=1e-5)
    told = plain.execute("SELECT min_x, max_x, min_y, max_y FROM gpkg_contents").fetchone()
    assert told == (min(lon), max(lon), min(lat), max(lat))
    plain.close()


def test_the_index_follows_what_moves_and_what_goes(tmp_path):
    path = tmp_path / "zones.gpkg"
    with open_store(path) as store:
        update(store, drives(1, street(), lambda _: [*ZONE, (1200.0, 1300.0)]))
        first = boxes(path)
        later = drives(8, street(), lambda _: [(600.0, 1000.0)], name="later", start=START + 7200)
        update(store, later)
        (event,) = store.events()
    second = boxes(path)
    assert len(first) == 2 and len(second) == 1
    (fid,) = second
    assert first[fid][1] < second[fid][1] == max(lon for lon, _ in event.line)


def boxes(path: Path) -> dict[int, tuple[float, ...]]:
    """The boxes of all events by number, once the index says the same."""
    plain = sqlite3.connect(path)
    found = {}
    for fid, body in plain.execute("SELECT fid, geom FROM events"):
        lon, lat = zip(*gpkg.places_of(body), strict=True)
        found[fid] = (min(lon), max(lon), min(lat), max(lat))
    index = {fid: box for fid, *box in plain.execute("SELECT * FROM rtree_events_geom")}
    plain.close()
    assert index == {fid: pytest.approx(box, abs=1e-5) for fid, box in found.items()}
    return found


def test_the_bounds_are_those_of_the_events_that_are_left(tmp_path):
    with open_store(tmp_path / "zones.gpkg") as store:
        update(store, drives(1, street(), lambda _: ZONE))
        assert None not in bounds(store.path)
        update(store, drives(4, street(), lambda _: [], start=START + 7200))
        assert store.events() == []
        assert bounds(store.path) == (None, None, None, None)


def bounds(path: Path) -> tuple[float | None, ...]:
    plain = sqlite3.connect(path)
    query = "SELECT min_x, max_x, min_y, max_y FROM gpkg_contents WHERE table_name = 'events'"
    row = plain.execute(query).fetchone()
    plain.close()
    return row


def test_lines_that_are_settled_keep_their_order_and_come_first():
    lon, lat = np.array([8.0, 8.001]), np.array([50.0, 50.0])
    keys = [(START, "b", 0), (START + 0.01, "a", 0), (START + 60, "a", 1)]
    made = [make_line(f"{key}", key, lon, lat) for key in keys]
    road = make_line("road", NETWORK, lon, lat)
    with open_store(":memory:") as store, store.transaction():
        store.add_lines([road, *made])
        store.settle_lines(START + 30)
        assert [line.id for line in store.lines()] == [line.id for line in (road, *made)]
        assert [line.key < (-1e300, "", 0) for line in store.lines()] == [True, True, True, False]
        assert [line.key == NETWORK for line in store.lines()] == [True, False, False, False]
        late = make_line("late", (START - 60, "b", 1), lon, lat)
        store.add_lines([late])
        assert [line.id for line in store.lines()][-2:] == [late.id, made[2].id]
        store.clear()
        assert [line.id for line in store.lines()] == [line.id for line in (road, *made[:2])]


def test_it_is_read_again_as_it_was_written(tmp_path):
    path = tmp_path / "zones.gpkg"
    cars = drives(20, street(), lambda number: ZONE if number < 12 else [])
    with open_store(path) as store:
        update(store, cars[:6])
        first = store.events()
    with open_store(path, create=False) as store:
        assert store.events() == first
        assert update(store, cars[:6]).same == 6
        assert store.events() == first
        update(store, cars[6:])
        last = store.events()
    with open_store(":memory:") as store:
        update(store, cars)
        assert store.events() == last


LOAD = """
import sys
from made_drives import drives, street
from workzone.geo.store import open_store
from workzone.geo.update import update
print("ready", flush=True)
with open_store(sys.argv[1]) as store:
    for car in drives(60, street(), lambda n: [(600.0, 800.0)] if n % 20 < 12 else []):
        update(store, [car])
"""


def test_a_killed_update_leaves_the_store_exact(tmp_path):
    path = tmp_path / "zones.gpkg"
    folder = str(Path(__file__).parents[1])
    for round_ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", LOAD, str(path)],
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": ":".join([folder, *sys.path])},
        )
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        time.sleep(0.15 + 0.1 * round_)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with open_store(path) as store:
            kept = store.drives()
            found = store.events()
        with open_store(":memory:") as store:
            update(store, kept)
            assert store.events() == found
    assert kept


def test_two_that_write_at_once_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr("workzone.geo.store._WAIT", 0.05)
    path = tmp_path / "zones.gpkg"
    with (
        open_store(path) as one,
        open_store(path) as other,
        one.transaction(),
        pytest.raises(StoreError, match="another process writes to it; try again"),
    ):
        update(other, drives(1, street(), lambda _: ZONE))


def test_what_fails_within_leaves_nothing(tmp_path):
    with open_store(tmp_path / "zones.gpkg") as store:
        with pytest.raises(ZeroDivisionError), store.transaction():
            (car,) = drives(1, street(), lambda _: ZONE)
            store.put_drives([(car, car.digest())])
            1 / 0  # noqa: B018
        assert store.drives() == []


def test_files_of_others_are_refused(tmp_path):
    text = tmp_path / "text.gpkg"
    text.write_text("no database, and long enough to be one " * 100)
    with pytest.raises(StoreError, match=r"text\.gpkg: .*it is no GeoPackage"), open_store(text):
        pass
    other = tmp_path / "other.gpkg"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    with pytest.raises(StoreError, match="is a database of something else"), open_store(other):
        pass
    with (
        pytest.raises(StoreError, match="does not exist; make it with `workzone map update`"),
        open_store(tmp_path / "none.gpkg", create=False),
    ):
        pass
    empty = tmp_path / "empty.gpkg"
    empty.touch()
    with (
        pytest.raises(
            StoreError, match=r"empty\.gpkg is empty; make a map .* `workzone map update`"
        ),
        open_store(empty, create=False),
    ):
        pass
    assert empty.stat().st_size == 0
    with (
        pytest.raises(StoreError, match="its folder does not exist"),
        open_store(tmp_path / "none" / "zones.gpkg"),
    ):
        pass
    with open_store(tmp_path / "old.gpkg") as store, store.transaction():
        store.set_meta("format", "0")
    with pytest.raises(StoreError, match="another version"), open_store(tmp_path / "old.gpkg"):
        pass


def test_the_start_is_the_time_that_is_meant():
    with open_store(":memory:") as store:
        update(store, drives(3, street(), lambda _: ZONE))
        (event,) = store.events()
        assert store.latest() == START + 2 * 3600 + 124
    assert f"{event.first_seen:%Y-%m-%dT%H:%M}" == "2026-01-01T10:00"
