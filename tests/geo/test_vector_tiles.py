"""Events as vector tiles, and the tiles of a served map."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from made_events import event
from map_serving import serving, write_store
from serving import Running
from vector_tiles import read_tile
from workzone.geo.event import Event, Place
from workzone.geo.out import mvt
from workzone.geo.out.mvt import box_of_tile, to_mvt
from workzone.geo.rounding import rounded
from workzone.geo.serve import asked, service
from workzone.geo.serve.room import AT_ONCE
from workzone.geo.store import Store

EVENTS = [event(number) for number in range(30)]


def tile_of(place: Place, zoom: int) -> tuple[int, int, int]:
    """The tile in which a place lies."""
    lon, lat = place
    x = (lon + 180) / 360 * 2**zoom
    y = (1 - math.log(math.tan(math.pi / 4 + math.radians(lat) / 2)) / math.pi) / 2 * 2**zoom
    return zoom, int(x), int(y)


def degrees(step: tuple[float, float], tile: tuple[int, int, int]) -> Place:
    zoom, x, y = tile
    column, row = x + step[0] / 4096, y + step[1] / 4096
    north = math.atan(math.sinh(math.pi * (1 - 2 * row / 2**zoom)))
    return 360 * column / 2**zoom - 180, math.degrees(north)


@pytest.mark.parametrize("number", range(5))
def test_a_line_comes_back_to_a_step(number: int) -> None:
    one = EVENTS[number]
    tile = tile_of(one.line[0], 15)
    (((places,), properties),) = read_tile(to_mvt([one], *tile))
    found = [degrees(step, tile) for step in places]
    assert len(found) > 1
    step = 360 / 2**15 / 4096
    assert found[0] == pytest.approx(one.line[0], abs=step)
    at_border = {-64, 4160} & set(places[-1])
    assert at_border or found[-1] == pytest.approx(one.line[-1], abs=step)
    assert properties["id"] == one.id and properties["state"] == one.state
    assert properties["confidence"] == pytest.approx(one.confidence, abs=1e-3)
    assert (properties["passes"], properties["sightings"]) == (one.passes, one.sightings)
    assert ("road" in properties) == (one.road is not None)
    assert properties.get("classes", "") == "|".join(one.classes)


def test_what_is_shorter_than_a_step_is_a_point_and_properties_share_values() -> None:
    found = read_tile(to_mvt(EVENTS, *tile_of(EVENTS[0].line[0], 3)))
    assert min(len(places) for (places,), _ in found) == 1
    assert [told["id"] for _, told in found] == [one.id for one in EVENTS]
    assert to_mvt([], 0, 0, 0) == b""


def test_one_and_a_double_of_the_same_size_stay_apart() -> None:
    odd = dataclasses.replace(EVENTS[0], confidence=1.0, passes=1, sightings=1, heading=1.0)
    ((_, told),) = read_tile(to_mvt([odd], 0, 0, 0))
    assert [type(told[name]) for name in ("confidence", "passes")] == [float, int]


def test_lines_beyond_the_map_are_cut_where_it_ends_at_every_zoom() -> None:
    pole = dataclasses.replace(EVENTS[0], line=((40.0, 90.0), (40.0, 80.0), (40.0, -90.0)))
    (((places,), _),) = read_tile(to_mvt([pole], 0, 0, 0))
    assert [places[0][1], places[-1][1]] == [-64, 4160]
    for zoom in (0, 4, 9):
        column = tile_of((40.0, 0.0), zoom)[1]
        (((places,), _),) = read_tile(to_mvt([pole], zoom, column, 0))
        assert places[0][1] == -64
        (((places,), _),) = read_tile(to_mvt([pole], zoom, column, 2**zoom - 1))
        assert places[-1][1] == 4160
        arctic = dataclasses.replace(pole, line=((40.0, 89.0), (40.001, 88.0)))
        assert to_mvt([arctic], zoom, column, 0) == b""


def test_a_line_that_touches_the_buffer_is_no_point() -> None:
    tile = (15, 17600, 10700)
    touching = ((4160, 2000), (9000, 2000)), ((-64, -64), (-300, -64)), ((4020, 4300), (4300, 4020))
    for ends in touching:
        line = tuple(degrees(step, tile) for step in ends)
        assert to_mvt([dataclasses.replace(EVENTS[0], line=line)], *tile) == b""
    short = tuple(degrees(step, tile) for step in ((4159.9, 2000.1), (4160.2, 1999.9)))
    (((places,), _),) = read_tile(to_mvt([dataclasses.replace(EVENTS[0], line=short)], *tile))
    assert places == [(4160, 2000)]


def test_what_lies_outside_of_a_tile_is_cut_off() -> None:
    tile = zoom, x, y = (15, 17600, 10700)
    outside = (-5000, 2000), (9000, 2000), (9000, -9000), (2000, -9000), (2000, 5000)
    line = tuple(degrees(step, tile) for step in outside)
    found = read_tile(to_mvt([dataclasses.replace(EVENTS[0], line=line)], *tile))
    ((parts, _),) = found
    assert parts == [[(-64, 2000), (4160, 2000)], [(2000, -64), (2000, 4160)]]
    beside = dataclasses.replace(EVENTS[0], line=line[:2])
    assert to_mvt([beside], zoom, x, y + 1) == b""
    assert to_mvt([beside], zoom, x + 5, y) == b""
    corner = tuple(degrees(step, tile) for step in ((-3000, 2000), (2000, -3000)))
    assert to_mvt([dataclasses.replace(beside, line=corner)], *tile) == b""


@pytest.mark.parametrize("east", [0.004, 0.02])  # within the tile; through its border
def test_a_line_of_more_places_takes_no_more_calls_to_cut(east: float) -> None:
    zoom, x, y = tile_of((13.0, 52.0), 15)
    counts = []
    for many in (50, 500):
        line = [(13.0 + east * n / many, 52.0) for n in range(many + 1)]
        places = mvt._places(dataclasses.replace(EVENTS[0], line=tuple(line)), zoom, x, y)
        called: list[str] = []
        sys.setprofile(lambda _, what, __, called=called: called.append(what))
        try:
            parts = mvt._clipped(places)
        finally:
            sys.setprofile(None)
        assert len(parts) == 1 and (len(parts[0]) == many + 1) == (east < 0.01)
        counts.append(len(called))
    assert counts[0] == counts[1]


def test_boxes_of_tiles_are_the_world_and_its_quarters() -> None:
    assert box_of_tile(0, 0, 0) == pytest.approx((-180, -85.5, 180, 85.5), abs=0.6)
    west, south, east, north = box_of_tile(1, 1, 0)
    assert (west, south, east) == pytest.approx((-2.8, -2.8, 180), abs=0.1) and north > 85


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    store = write_store(tmp_path_factory.mktemp("city") / "zones.gpkg", EVENTS)
    with serving(store) as found:
        yield found


def ids(city: Running, path: str) -> list[str]:
    said = city.ask("GET", path)
    assert said.status == 200, said.body
    assert said.headers["Content-Type"] == "application/vnd.mapbox-vector-tile"
    return [told["id"] for _, told in read_tile(said.body)]


def shown(*states: str) -> list[str]:
    return sorted(one.id for one in EVENTS if one.state in states)


def test_tiles_of_a_served_map(city: Running) -> None:
    assert ids(city, "/v1/tiles/0/0/0.mvt") == shown("present", "gone")
    assert ids(city, "/v1/tiles/0/0/0.mvt?state=suspected") == shown("suspected")
    zoom, x, y = tile_of(EVENTS[0].line[0], 16)
    near = ids(city, f"/v1/tiles/{zoom}/{x}/{y}.mvt?state=present,gone,suspected")
    assert EVENTS[0].id in near and len(near) < len(EVENTS)
    assert ids(city, "/v1/tiles/16/0/0.mvt") == []
    said = city.ask("GET", f"/v1/tiles/{zoom}/{x}/{y}.mvt")
    again = {"If-None-Match": said.headers["ETag"]}
    assert city.ask("GET", f"/v1/tiles/{zoom}/{x}/{y}.mvt", headers=again).status == 304
    assert city.ask("GET", f"/v1/tiles/{zoom}/{x}/{y + 1}.mvt", headers=again).status == 200


def test_tiles_are_counted_by_their_address_without_its_numbers(city: Running) -> None:
    routes = re.compile(r'requests_total\{outcome="([^"]+)",route="([^"]+)",status="(\d+)"\} (\d+)')

    def counted() -> Counter[tuple[str, ...]]:
        found = routes.findall(city.ask("GET", "/metrics").body.decode())
        return Counter({(route, status): int(n) for _, route, status, n in found})

    before = counted()
    for method, path in (("GET", "3/1/1"), ("GET", "4/1/1"), ("HEAD", "4/1/2"), ("GET", "0/0/1")):
        city.ask(method, f"/v1/tiles/{path}.mvt")
    city.ask("GET", "/v1/tiles/1/2")
    found = counted() - before
    tiles = "/v1/tiles/{zoom}/{x}/{y}.mvt"
    assert found[tiles, "200"] == 3 and found[tiles, "422"] == 1
    assert {route for route, _ in found} == {tiles, "other", "/metrics"}
    times = city.ask("GET", "/metrics").body.decode()
    assert f'workzone_request_seconds_count{{route="{tiles}"}}' in times


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("0/0/1", "zooms are 0 to 22, columns and rows below 2^zoom"),
        ("23/0/0", "zooms are 0 to 22"),
        ("a/0/0", "are whole numbers"),
        ("1/-1/0", "are whole numbers"),
        ("1/0/0.5", "are whole numbers"),
        ("0/0/0", "'bbox' is no parameter"),
    ],
)
def test_what_is_no_tile_is_told(city: Running, path: str, told: str) -> None:
    query = "?bbox=0,0,1,1" if "parameter" in told else ""
    said = city.ask("GET", f"/v1/tiles/{path}.mvt{query}")
    assert said.status == 422 and told in said.json["detail"]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three events are the most of a tile."""
    monkeypatch.setattr(asked, "MOST", 3)
    monkeypatch.setattr(asked, "_USUAL", 1)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("metres", [None, 1000.0])
def test_a_tile_with_too_many_events_is_refused_before_any_is_read(
    city: Running, monkeypatch: pytest.MonkeyPatch, metres: float | None
) -> None:
    read: list[object] = []
    events = Store.events
    monkeypatch.setattr(Store, "events", lambda *args: read.append(args) or events(*args))
    with serving(city.service.config.store, metres=metres) as other:
        said = other.ask("GET", "/v1/tiles/0/0/0.mvt")
        assert said.status == 422 and "more than 3 events lie in it" in said.json["detail"]
        assert not read
        assert other.ask("GET", "/v1/tiles/0/0/0.mvt?time=2020-01-01").status == 200


@pytest.mark.usefixtures("few")
def test_no_client_has_a_tile_that_is_refused(city: Running) -> None:
    anything = {"If-None-Match": "*"}
    assert city.ask("GET", "/v1/tiles/0/0/0.mvt", headers=anything).status == 422
    assert city.ask("GET", "/v1/tiles/16/0/0.mvt", headers=anything).status == 304


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(("metres", "inside"), [(None, 3), (None, 4), (300.0, 3), (300.0, 4)])
def test_events_are_counted_to_the_border_of_a_tile(
    tmp_path: Path, metres: float | None, inside: int
) -> None:
    tile = tile_of((13.0, 52.0), 15)
    west, south, _, north = box_of_tile(*tile)
    grid = 0.0 if metres is None else 3 * metres / 111_195
    step = 3e-6  # degrees: a fifth of a metre
    begins = [west + step + grid] * inside + [west - step - 2 * grid] * 2
    events = [
        dataclasses.replace(
            EVENTS[0], id=f"wz-{number}", line=((lon, (south + north) / 2), (lon - 1e-4, south))
        )
        for number, lon in enumerate(begins)
    ]
    store = write_store(tmp_path / "zones.gpkg", events)
    with serving(store, metres=metres) as other:
        said = other.ask("GET", "/v1/tiles/{}/{}/{}.mvt".format(*tile))
    assert said.status == (200 if inside == 3 else 422)


def test_tiles_hold_places_as_they_are_served(tmp_path_factory: pytest.TempPathFactory) -> None:
    one: Event = EVENTS[0]
    store = write_store(tmp_path_factory.mktemp("private") / "zones.gpkg", [one])
    with serving(store, metres=1000.0) as city:
        tile = tile_of(rounded(one, 1000.0).line[0], 16)
        path = "/v1/tiles/{}/{}/{}.mvt?state=present,gone,suspected".format(*tile)
        (((places,), _),) = read_tile(city.ask("GET", path).body)
    assert degrees(places[0], tile) == pytest.approx(rounded(one, 1000.0).line[0], abs=1e-5)


class Slow:
    """Tiles that wait until they may be made, and how many were begun."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.at_once, self.most, self.go = 0, 0, 0, threading.Event()
        self._lock = threading.Lock()
        monkeypatch.setattr(service, "to_mvt", self._make)

    def _make(self, *args: Any) -> bytes:
        with self._lock:
            self.begun, self.at_once = self.begun + 1, self.at_once + 1
            self.most = max(self.most, self.at_once)
        self.go.wait(600)
        with self._lock:
            self.at_once -= 1
        return to_mvt(*args)


def test_few_tiles_are_made_at_once(city: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, many = Slow(monkeypatch), 4 * AT_ONCE
    with ThreadPoolExecutor(many) as clients:
        asked = [clients.submit(city.ask, "GET", "/v1/tiles/0/0/0.mvt") for _ in range(many)]
        city.until(lambda: city.service.accepted == many and slow.begun == AT_ONCE)
        assert city.ask("GET", "/v1/events?limit=1").status == 200
        slow.go.set()
        assert {one.result().status for one in asked} == {200}
    assert (slow.begun, slow.most) == (many, AT_ONCE)


def test_clients_that_left_hold_no_place_and_no_tile_is_begun_for_them(
    city: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, many = Slow(monkeypatch), city.service.config.limits.queue
    with contextlib.ExitStack() as stack:
        for _ in range(many):
            address = ("127.0.0.1", city.port)
            client = stack.enter_context(socket.create_connection(address, timeout=600))
            client.sendall(b"GET /v1/tiles/0/0/0.mvt HTTP/1.1\r\nHost: x\r\n\r\n")
        city.until(lambda: city.service.accepted == many and slow.begun == AT_ONCE)
        assert city.ask("GET", "/v1/events?limit=1").status == 429
    city.until(lambda: not city.service.accepted, 60)
    assert city.ask("GET", "/v1/events?limit=1").status == 200
    slow.go.set()
    assert city.ask("GET", "/v1/tiles/0/0/0.mvt").status == 200
    assert slow.begun == AT_ONCE + 1
    assert 'outcome="gone"' in city.ask("GET", "/metrics").body.decode()
