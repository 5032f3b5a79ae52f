"""The store: a GeoPackage, exact after a kill, and nobody else's file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from made_drives import START, drives, street
from workzone.errors import StoreError
from workzone.geo import gpkg
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
    path = tmp_path / "zones.gpkg"
    with open_store(path) as store:
        update(store, drives(1, street(), lambda _: ZONE))
        assert None not in bounds(path)
        update(store, drives(4, street(), lambda _: [], start=START + 7200))
        assert store.events() == []
        assert bounds(path) == (None, None, None, None)


def bounds(path: Path) -> tuple[float | None, ...]:
    plain = sqlite3.connect(path)
    query = "SELECT min_x, max_x, min_y, max_y FROM gpkg_contents WHERE table_name = 'events'"
    row = plain.execute(query).fetchone()
    plain.close()
    return row


def test_two_that_write_at_once_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr("workzone.geo.geopackage._WAIT", 0.05)
    path = tmp_path / "zones.gpkg"
    with (
        open_store(path) as one,
        open_store(path) as other,
        one.transaction(),
        pytest.raises(StoreError, match="another process writes to it; try again"),
    ):
        update(other, drives(1, street(), lambda _: ZONE))


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


def test_drives_that_are_there_already_make_no_version():
    cars = drives(4, street(), lambda _: [(600.0, 800.0)])
    with open_store(":memory:") as store:
        update(store, cars[:3])
        first = store.published()
        update(store, cars[:3])
        assert store.published() == first is not None
        update(store, cars)
        assert store.published() > first
