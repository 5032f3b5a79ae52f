"""What every store does, in a file and on a server."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest

from cli_invoke import invoke
from made_drives import DAY, START, drives, showing, street, write_frames
from made_events import NOW
from made_events import event as made_event
from postgres_server import Server, programs, running
from workzone.errors import MissingExtraError, StoreError
from workzone.geo import postgis
from workzone.geo.event import Event
from workzone.geo.postgis import numbered
from workzone.geo.query import EventQuery
from workzone.geo.roads import NETWORK, make_line
from workzone.geo.store import open_store
from workzone.geo.update import update

ZONE = [(600.0, 800.0)]
CONES = range(600, 801, 20)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """PostgreSQL with PostGIS."""
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL with PostGIS here: apt-get install postgresql-postgis")
    with running(found) as one:
        yield one


@pytest.fixture(params=["a GeoPackage", "PostGIS"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a new store may be."""
    if request.param == "PostGIS":
        return str(request.getfixturevalue("server").new())
    return tmp_path / "zones.gpkg"


def test_it_is_read_again_as_it_was_written(address):
    cars = drives(20, street(), lambda number: ZONE if number < 12 else [])
    cars = [showing(car, CONES, classes=5) for car in cars]
    with open_store(address) as store:
        update(store, cars[:6])
        first = store.events()
        assert [event.classes for event in first] == [("cone", "sign")]
        assert [car.digest() for car in store.drives()] == [car.digest() for car in cars[:6]]
    with open_store(address, create=False) as store:
        assert store.events() == first
        assert update(store, cars[:6]).same == 6
        assert store.events() == first
        update(store, cars[6:])
        last = store.events()
    with open_store(":memory:") as store:
        update(store, cars)
        assert store.events() == last


def test_lines_that_are_settled_keep_their_order_and_come_first(address):
    lon, lat = np.array([8.0, 8.001]), np.array([50.0, 50.0])
    keys = [(START, "b", 0), (START + 0.01, "a", 0), (START + 60, "a", 1)]
    made = [make_line(f"{key}", key, lon, lat) for key in keys]
    road = make_line("road", NETWORK, lon, lat)
    with open_store(address) as store, store.transaction():
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


def test_events_are_found_by_place_time_and_state(address):
    events = [made_event(number) for number in range(40)]
    span = (NOW - timedelta(days=25), NOW - timedelta(days=15))
    with open_store(address) as store:
        with store.transaction():
            store.put_events("line", events)
            store.publish()
        assert store.events(EventQuery(limit=100)) == events  # their ids are in order
        assert store.events(EventQuery(limit=3, after=events[4].id)) == events[5:8]
        found = store.events(EventQuery(limit=100, states=("gone", "suspected")))
        assert found == [one for one in events if one.state != "present"]
        found = store.events(EventQuery(limit=100, begin=span[0], end=span[1]))
        there = [
            one
            for one in events
            if one.first_seen <= span[1] and (one.state != "gone" or one.gone_since >= span[0])
        ]
        assert found == there and 0 < len(there) < len(events)
        boxes = ((13.0, 52.0, 13.3, 52.5), (13.5, 52.5, 14.0, 53.0))
        near = [
            one
            for one in events
            if any(
                w <= max(x for x, _ in one.line)
                and min(x for x, _ in one.line) <= e
                and s <= max(y for _, y in one.line)
                and min(y for _, y in one.line) <= n
                for w, s, e, n in boxes
            )
        ]
        assert store.events(EventQuery(limit=100, boxes=boxes)) == near != []
        both = [one for one in near if one in there and one.state == "present"]
        query = EventQuery(
            limit=2, boxes=boxes, begin=span[0], end=span[1], states=("present",), after="wz-"
        )
        assert store.events(query) == both[:2] and store.count(query) == 2
        assert store.count(EventQuery(limit=100, boxes=boxes)) == len(near)


def test_a_store_says_when_it_was_written(address):
    cars = drives(3, street(), lambda _: ZONE)
    with open_store(address) as store:
        assert store.published() is None
        before = datetime.now(UTC)
        update(store, cars[:2])
        first = store.published()
        update(store, cars)
        assert before <= first < store.published() <= datetime.now(UTC)
        with store.transaction():
            store._run("DELETE FROM workzone_meta WHERE name = 'published'")
        assert store.published().timestamp() == store.latest()


def test_an_index_is_no_must(tmp_path):
    """SQLite may have been built without such trees."""
    events = [made_event(number) for number in range(20)]
    query = EventQuery(limit=100, boxes=((13.0, 52.0, 13.5, 53.0),))
    with open_store(tmp_path / "zones.gpkg") as store:
        with store.transaction():
            store.put_events("line", events)
        found = store.events(query)
        assert 0 < len(found) < 20
        plain = store._database
        with store.transaction():
            for (name,) in list(plain.run("SELECT name FROM sqlite_master WHERE type = 'trigger'")):
                plain.run(f"DROP TRIGGER {name}")
            plain.run("DROP TABLE rtree_events_geom")
        assert store.events(query) == found


def test_what_fails_within_leaves_nothing(address):
    with open_store(address) as store:
        with pytest.raises(ZeroDivisionError), store.transaction():
            (car,) = drives(1, street(), lambda _: ZONE)
            store.put_drives([(car, car.digest())])
            1 / 0  # noqa: B018
        assert store.drives() == []


LOAD = """
import sys
from made_drives import drives, street
from workzone.geo.store import open_store
from workzone.geo.update import update
print("ready", flush=True)
with open_store(sys.argv[1]) as store:
    for car in drives(60, street(), lambda n: [(600.0, 800.0)] if n % 20 < 12 else []):
        update(store, [car])
        print("done", flush=True)
"""


def test_a_killed_update_leaves_the_store_exact(address):
    folder = str(Path(__file__).parents[1])
    for round_ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", LOAD, str(address)],
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": ":".join([folder, *sys.path])},
        )
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        for _ in range(1 + 5 * round_):
            assert process.stdout.readline() == b"done\n"
        time.sleep(0.01 * round_)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with open_store(address) as store:
            kept = store.drives()
            found = store.events()
        with open_store(":memory:") as store:
            update(store, kept)
            assert store.events() == found
    assert 11 <= len(kept) < 60


def test_old_drives_are_dropped_and_what_they_said_stays(address):
    cars = drives(12, street(), lambda number: ZONE if number < 9 else [], every=DAY)
    with open_store(address) as store, open_store(":memory:") as plain:
        for part in (cars[:6], cars[8:], cars[4:8], cars):
            done = [update(one, part, keep_days=5) for one in (store, plain)]
            assert done[0] == done[1]
            assert store.events() == plain.events() != []
        longer = drives(12, street(400), lambda _: ZONE, every=DAY)
        assert update(store, longer[10:]) == update(plain, longer[10:])
        assert store.events() == plain.events()


def test_a_store_of_another_version_is_refused(address):
    with open_store(address) as store, store.transaction():
        store.set_meta("format", "0")
    with pytest.raises(StoreError, match="another version of workzone"), open_store(address):
        pass


def test_several_write_at_once_to_a_server(server):
    address = server.new()
    cars = drives(12, street(), lambda number: ZONE if number < 9 else [])
    failed: list[BaseException] = []

    def work(part: int) -> None:
        try:
            with open_store(address) as store:
                for car in cars[part::3]:
                    update(store, [car])
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(part,)) for part in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert events_in(address) == expected(cars)


def events_in(address: str) -> list[Event]:
    with open_store(address, create=False) as store:
        return store.events()


def expected(cars: list) -> list[Event]:
    with open_store(":memory:") as store:
        update(store, cars)
        return store.events()


def test_who_waits_too_long_is_told(server, monkeypatch):
    monkeypatch.setattr("workzone.geo.postgis._WAIT", 0.05)
    address = server.new()
    with (
        open_store(address) as one,
        open_store(address) as other,
        one.transaction(),
        pytest.raises(StoreError, match="other processes write to it; try again") as told,
    ):
        update(other, drives(1, street(), lambda _: ZONE))
    assert "secret" not in str(told.value)


def test_postgis_knows_the_lines_and_the_commands_take_addresses(server, tmp_path):
    address = server.new()
    frames = write_frames(tmp_path / "a.jsonl", drives(6, street(), lambda _: ZONE))
    shown = invoke("map", "update", frames, "--store", address).stdout
    assert "6 drives added" in shown and "secret" not in shown
    (event,) = events_in(address)
    (row,) = server.query(
        "SELECT ST_Length(geom::geography), ST_X(ST_StartPoint(geom)), ST_NPoints(geom),"
        " ST_SRID(geom), first_seen FROM events",
        address,
    )
    assert row[0] == pytest.approx(event.length_m, rel=0.01)
    assert row[1:] == (event.line[0][0], len(event.line), 4326, event.first_seen)
    invoke("map", "export", address, "-o", tmp_path / "a.geojson")
    said = invoke("map", "show", address, "-o", tmp_path / "a.html").stdout
    assert f"Events: 1, pictures: 0. Written: {tmp_path / 'a.html'}" in said
    (tmp_path / "permits.geojson").write_text('{"features": []}')
    said = invoke("map", "compare", address, tmp_path / "permits.geojson").stdout
    assert "seen and not permitted: 1" in said
    assert event.id in (tmp_path / "a.geojson").read_text()


def test_what_is_no_map_on_a_server_is_told(server):
    address = server.new()
    with (
        pytest.raises(StoreError, match="is empty; make a map"),
        open_store(address, create=False),
    ):
        pass
    server.query("CREATE TABLE events (x INTEGER)", address)
    with pytest.raises(StoreError, match="has tables of these names"), open_store(address):
        pass
    assert server.query("SELECT * FROM events", address) == []
    nowhere = "postgresql://zones:secret@/postgres?host=/nowhere"
    with pytest.raises(StoreError, match=r"\*\*\*@.*; see that the server runs") as told:
        events_in(nowhere)
    assert "secret" not in str(told.value)


def test_a_connection_that_is_lost_is_told(server):
    address = server.new()
    with (
        pytest.raises(StoreError, match="see that the server runs"),
        open_store(address) as store,
        store.transaction(),
    ):
        server.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid != pg_backend_pid()"
        )
        store.clear()
    assert events_in(address) == []


def test_who_may_not_make_tables_is_told(server):
    server.query("CREATE ROLE guest LOGIN")
    address = server.new().replace("zones:secret", "guest")
    with pytest.raises(StoreError, match="grant CREATE on its schema"), open_store(address):
        pass


def test_what_an_address_may_not_say_is_told(server):
    address = server.new()
    with pytest.raises(StoreError, match='"channel_binding"; leave settings out of the address'):
        events_in(f"{address}&channel_binding=require")
    with pytest.raises(StoreError, match=r"sslmode.* must be one of.*the address is right"):
        events_in(f"{address}&sslmode=some")
    with pytest.raises(StoreError, match="cannot be read; write postgresql://USER@HOST") as told:
        events_in("postgresql://me:pass/word@host/zones")
    assert "word" not in str(told.value) and told.value.__suppress_context__


def test_the_environment_names_a_service_and_options(server, tmp_path, monkeypatch):
    address = server.new()
    with open_store(address) as store, store.transaction():
        store.set_meta("mine", "yes")
    parts = dict(parse_qsl(urlsplit(address).query))
    services = tmp_path / "services.conf"
    services.write_text(f"[zones]\nhost={parts['host']}\nuser=zones\ndbname=postgres\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    monkeypatch.setenv("PGSERVICE", "zones")
    monkeypatch.setenv("PGOPTIONS", parts["options"])
    with open_store("postgresql://", create=False) as store:
        assert store.meta("mine") == "yes"


def test_a_wait_can_be_interrupted(server):
    address = server.new()
    # A shell's job in the background ignores Ctrl-C, and the tests may be one.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with open_store(address) as one, open_store(address) as other:
        with one.transaction(), pytest.raises(KeyboardInterrupt):
            me = threading.main_thread().ident
            threading.Timer(0.1, signal.pthread_kill, [me, signal.SIGINT]).start()
            update(other, drives(1, street(), lambda _: ZONE))
        signal.signal(signal.SIGINT, before)
        assert update(other, drives(1, street(), lambda _: ZONE)).added == 1


def test_a_store_opens_where_an_event_loop_runs(server):
    async def cell_of_a_notebook() -> list[Event]:
        return events_in(address)

    address = server.new()
    with open_store(address):
        assert asyncio.run(cell_of_a_notebook()) == []


def test_moments_come_back_to_the_microsecond(server):
    with postgis.connect(server.new()) as database:
        database.run("CREATE TABLE moments (at TIMESTAMPTZ)")
        moments = [
            "2026-03-29T01:59:59.5Z",
            "2026-10-25T03:00:00+02:00",
            "1970-01-01T00:00:00.000001Z",
        ]
        database.many("INSERT INTO moments VALUES (?)", ([one] for one in moments))
        database.many("INSERT INTO moments VALUES (?)", [])
        found = [row[0] for row in database.run("SELECT at FROM moments")]
        assert found == [datetime.fromisoformat(one) for one in moments]


def test_signs_for_values_are_numbered_outside_of_quotes():
    assert numbered("""SELECT '?', 'it''s ?', "a?" WHERE a = ? AND b IN (?, ?)""") == (
        """SELECT '?', 'it''s ?', "a?" WHERE a = $1 AND b IN ($2, $3)"""
    )


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'workzone\[postgis\]'"):
        events_in("postgresql:///zones")
