"""The map behind HTTP, asked as clients ask it."""

from __future__ import annotations

import gzip
import json
import math
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from cli_invoke import invoke
from made_events import NOW, PUBLISHER, event
from map_serving import serving, write_store
from serving import Running, Said
from workzone.cli import map_serve
from workzone.data.places import EARTH_RADIUS, round_places
from workzone.errors import StoreError
from workzone.geo.event import Event
from workzone.geo.out.fields import box, ended, iso
from workzone.geo.out.geojson import to_geojson
from workzone.geo.rounding import rounded
from workzone.geo.serve import service as served
from workzone.geo.serve.app import serve_map
from workzone.geo.serve.config import MapServeConfig
from workzone.geo.store import open_store
from workzone.geo.validate.feed import validate_feed
from workzone.serve.config import Limits

EVENTS = [event(number) for number in range(60)]
FIJI = [
    event(100, id="wz-west", line=((179.5, -17.0), (179.501, -17.0))),
    event(101, id="wz-east", line=((-179.5, -17.0), (-179.499, -17.0))),
]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A map that no test changes."""
    store = write_store(tmp_path_factory.mktemp("city") / "zones.gpkg", [*EVENTS, *FIJI])
    with serving(store, publisher=PUBLISHER) as found:
        yield found


def ids(said: Said) -> list[str]:
    assert said.status == 200, said.body
    return [feature["id"] for feature in said.json["features"]]


def test_the_page_is_that_of_map_show_and_holds_no_way_of_a_car(city: Running) -> None:
    said = city.ask("GET", "/")
    assert said.headers["Content-Type"] == "text/html; charset=utf-8"
    text = said.body.decode()
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    found = json.loads(data)
    assert {row[0] for row in found["rows"]} == {one.id for one in [*EVENTS, *FIJI]}
    assert [line[:2] for line in found["streets"]] == [[13_000_000, 52_000_000]]
    policy = said.headers["Content-Security-Policy"]
    assert policy.endswith("frame-ancestors 'none'") and "connect-src 'none'" in policy
    assert policy.removesuffix("; frame-ancestors 'none'") in text


def test_events_come_as_map_export_writes_them(city: Running) -> None:
    said = city.ask("GET", "/v1/events")
    assert said.headers["Content-Type"] == "application/geo+json"
    wanted = [one for one in [*EVENTS, *FIJI] if one.state != "suspected"]
    told = to_geojson(sorted(wanted, key=lambda one: one.id))
    assert said.json == json.loads(json.dumps(told)) | {"numberReturned": len(wanted), "links": []}


def test_events_by_state(city: Running) -> None:
    for states in ("suspected", "present,gone", "gone"):
        found = ids(city.ask("GET", f"/v1/events?state={states}"))
        wanted = [one.id for one in [*EVENTS, *FIJI] if one.state in states.split(",")]
        assert found == sorted(wanted) != []


def test_links_lead_through_all_events(city: Running) -> None:
    address, found = "?limit=7&state=present,gone,suspected&bbox=13,52,14,53", []
    while address:
        said = city.ask("GET", f"/v1/events{address}")
        assert len(ids(said)) == said.json["numberReturned"] <= 7
        found += ids(said)
        address = next((link["href"] for link in said.json["links"]), "")
    assert found == [one.id for one in EVENTS if meets(one, (13, 52, 14, 53))]
    assert len(found) > 50


def meets(one: Event, wanted: tuple[float, float, float, float]) -> bool:
    west, south, east, north = box(one.line)
    return west <= wanted[2] and wanted[0] <= east and south <= wanted[3] and wanted[1] <= north


def test_events_by_place(city: Running) -> None:
    rng = np.random.default_rng(1)
    counts = []
    for _ in range(20):
        west, east = sorted(rng.uniform(13, 14, 2).tolist())
        south, north = sorted(rng.uniform(52, 53, 2).tolist())
        said = city.ask(
            "GET", f"/v1/events?bbox={west},{south},{east},{north}&state=gone,present,suspected"
        )
        wanted = [one.id for one in EVENTS if meets(one, (west, south, east, north))]
        assert ids(said) == wanted
        counts.append(len(wanted))
    assert 0 < sum(counts) < 20 * len(EVENTS)


def test_a_box_across_the_date_line(city: Running) -> None:
    def within(text: str) -> list[str]:
        return ids(city.ask("GET", f"/v1/events?bbox={text}"))

    assert within("179,-18,-179,-16") == ["wz-east", "wz-west"]
    assert within("179.8,-18,-179,-16") == ["wz-east"]
    assert within("179,-18,180,-16") == ["wz-west"]
    assert within("-180,-90,180,90") == ids(city.ask("GET", "/v1/events"))


def test_events_by_time(city: Running) -> None:
    begin, end = NOW - timedelta(days=30), NOW - timedelta(days=20, hours=5)
    day = begin.replace(hour=0)
    spans = {
        f"{begin:%Y-%m-%dT%H:%M:%S}": (begin, begin),
        quote("2026-05-02T14:00:00+02:00"): (begin, begin),
        f"{begin:%Y-%m-%d}": (day, day + timedelta(days=1)),
        f"{iso(begin)}/{iso(end)}": (begin, end),
        f"../{iso(begin)}": (NOW - timedelta(days=400), begin),
        f"{iso(end)}/..": (end, NOW),
    }
    known = sorted([*EVENTS, *FIJI], key=lambda one: one.id)
    for text, (first, last) in spans.items():
        wanted = [
            one.id
            for one in known
            if one.first_seen <= last and (ended(one) or NOW) >= first and one.state != "suspected"
        ]
        assert ids(city.ask("GET", f"/v1/events?time={text}")) == wanted
        assert 0 < len(wanted) < len(known), text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("bbox=13,52,14", "bbox '13,52,14': give west,south,east,north"),
        ("bbox=13,52,14,nan", "longitudes are -180 to 180"),
        ("bbox=13,52,181,53", "longitudes are -180 to 180"),
        ("bbox=13,53,14,52", "south is above north"),
        ("bbox=", "give west,south,east,north"),
        ("time=yesterday", "time 'yesterday': give ISO 8601"),
        ("time=2026-06-01T00:00:00+02:00", "written %2B in an address"),
        ("time=2026-06-02/2026-06-01", "it begins after its end"),
        ("time=0001-01-01T00:00:00%2B14:00", "give ISO 8601"),
        ("state=presnt", "did you mean 'present'"),
        ("limit=0", "1 to 10000 events"),
        ("limit=%C2%B2", "1 to 10000 events"),
        ("after=%00", "give the id of an event"),
        ("bbx=1", "'bbx' is no parameter; did you mean 'bbox'"),
        ("state=gone&state=present", "state is there twice"),
        ("after=" + "a" * 20_000, "the query has 20,006 bytes"),
    ],
)
def test_what_cannot_be_asked_is_told(city: Running, query: str, words: str) -> None:
    said = city.ask("GET", f"/v1/events?{query}")
    assert said.status == (414 if "bytes" in words else 422)
    assert said.headers["Content-Type"] == "application/problem+json"
    assert said.code == ("query-too-long" if said.status == 414 else "option")
    assert words in said.json["detail"]


def test_the_feed_is_valid_and_dated_as_the_store_is(city: Running, tmp_path: Path) -> None:
    said = city.ask("GET", "/v1/wzdx")
    (tmp_path / "feed.json").write_bytes(said.body)
    report = validate_feed(tmp_path / "feed.json")
    assert not report.faults
    assert report.events == sum(one.state != "suspected" for one in [*EVENTS, *FIJI])
    with open_store(city.service.config.store, create=False) as store:
        assert said.json["feed_info"]["update_date"] == iso(store.published())


@pytest.mark.parametrize("path", ["/", "/v1/events?limit=9", "/v1/wzdx"])
def test_who_has_an_answer_is_told_so(city: Running, path: str) -> None:
    first = city.ask("GET", path)
    tag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "no-cache" and "Last-Modified" in first.headers
    for told in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = city.ask("GET", path, headers={"If-None-Match": told})
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
    for told in ('"other"', tag.strip('W/"'), ""):
        assert city.ask("GET", path, headers={"If-None-Match": told}).body == first.body
    tags = {city.ask("GET", f"/v1/events?limit={n}").headers["ETag"] for n in range(1, 5)}
    assert len(tags) == 4


def test_answers_are_compressed_where_that_is_taken(city: Running) -> None:
    plain = city.ask("GET", "/v1/wzdx")
    assert plain.headers["Content-Encoding"] is None and plain.headers["Vary"] == "Accept-Encoding"
    for accepted in ("gzip", "br, GZIP;q=0.5", "deflate,gzip"):
        packed = city.ask("GET", "/v1/wzdx", headers={"Accept-Encoding": accepted})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body and len(packed.body) < len(plain.body)
        assert packed.headers["ETag"] == plain.headers["ETag"]
    for refused in ("gzip;q=0", "identity", "gzip; q=0.0, br"):
        said = city.ask("GET", "/v1/wzdx", headers={"Accept-Encoding": refused})
        assert said.body == plain.body


def test_health_description_and_counts(city: Running) -> None:
    assert city.ask("GET", "/livez").json == {"status": "live"}
    assert city.ask("GET", "/readyz").json == {"status": "ready"}
    description = city.ask("GET", "/openapi.json").json
    for name in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(description)):
        assert name in description["components"]["schemas"]
    paths = description["paths"]
    answers = paths["/v1/events"]["get"]["responses"]
    assert list(answers["200"]["content"]) == ["application/geo+json"]
    assert list(answers["422"]["content"]) == ["application/problem+json"]
    tiles = "/v1/tiles/{zoom}/{x}/{y}.mvt"
    of_map = {"/", "/v1/events", tiles, "/v1/wzdx"}
    assert set(paths) == of_map | {"/metrics", "/livez", "/readyz"}
    words = re.sub(r"\s+", " ", map_serve.serve.__doc__)
    assert all(f"{path} " in words for path in of_map)
    parameters = {one["name"] for one in paths["/v1/events"]["get"]["parameters"]}
    assert parameters == {"bbox", "time", "state", "limit", "after", "authorization"}
    counts = city.ask("GET", "/metrics").body.decode()
    assert 'workzone_requests_total{outcome="ok",route="/livez",status="200"}' in counts
    assert "workzone_images" not in counts


def test_requests_pass_the_gate(city: Running) -> None:
    said = city.ask("GET", "/v1/events", headers={"X-Request-ID": "mine-1"})
    assert said.headers["X-Request-ID"] == "mine-1"
    assert said.headers["X-Content-Type-Options"] == "nosniff"
    said = city.ask("GET", "/v1/places/1", headers={"X-Request-ID": "a b<script>"})
    assert (said.status, said.code) == (404, "not-found")
    assert "see /openapi.json" in said.json["detail"] and " " not in said.json["request_id"]
    assert city.ask("POST", "/v1/events").code == "method-not-allowed"
    said = city.ask("GET", "/v1/wzdx", headers={"If-None-Match": '"' * 50_000})
    assert said.status == 200
    head = b"GET /v1/events HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 70_000
    assert b" 431 " in city.send(head).split(b"\r\n")[0]


def test_an_updated_store_is_seen_and_a_feed_is_made_once_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    to_wzdx = served.to_wzdx
    monkeypatch.setattr(served, "to_wzdx", lambda *a, **k: made.append(1) or to_wzdx(*a, **k))
    store = write_store(tmp_path / "zones.gpkg", EVENTS[:3])
    with serving(store, publisher=PUBLISHER) as city:
        old = [city.ask("GET", "/v1/wzdx") for _ in range(3)]
        assert len(made) == 1 and len({said.body for said in old}) == 1
        write_store(store, [replace(EVENTS[0], confidence=0.111)])
        tag = {"If-None-Match": old[0].headers["ETag"]}
        new = city.ask("GET", "/v1/wzdx", headers=tag)
        assert new.status == 200 and ids(new) == [EVENTS[0].id]
        assert "confidence 0.11" in new.body.decode() and len(made) == 2
        assert ids(city.ask("GET", "/v1/events")) == [EVENTS[0].id]


def test_a_store_that_cannot_be_read_is_a_problem_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workzone.geo.geopackage._WAIT", 0.05)
    store = write_store(tmp_path / "zones.gpkg", EVENTS)
    paths = ("/", "/v1/events", "/v1/wzdx")
    with serving(store, publisher=PUBLISHER) as city:
        store.rename(tmp_path / "aside.gpkg")
        for path in paths:
            said = city.ask("GET", path)
            assert (said.status, said.code) == (503, "map-unavailable")
            assert said.headers["Retry-After"] == "5" and "gpkg" not in said.body.decode()
        assert city.ask("GET", "/readyz").json == {"status": "not-ready"}
        assert city.ask("GET", "/livez").status == 200 and not store.exists()
        (tmp_path / "aside.gpkg").rename(store)
        assert [city.ask("GET", path).status for path in (*paths, "/readyz")] == [200] * 4
        with open_store(store) as writer:
            writer._run("BEGIN EXCLUSIVE")
            assert city.ask("GET", "/v1/events").code == "map-unavailable"
            writer._run("ROLLBACK")
        assert city.ask("GET", "/v1/events").status == 200
        store.write_text("no database, and long enough to be one " * 100)
        assert city.ask("GET", "/v1/events").code == "map-unavailable"


def test_a_long_update_keeps_nobody_from_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workzone.geo.geopackage._WAIT", 0.05)
    store = write_store(tmp_path / "zones.gpkg", EVENTS)
    with serving(store) as city, open_store(store) as writer, writer.transaction():
        for number in range(20):  # more than SQLite holds in memory by itself
            writer.set_meta(f"large-{number}", "a" * 1_000_000)
        writer.put_events("road", [])
        assert len(ids(city.ask("GET", "/v1/events?state=present,gone,suspected"))) == len(EVENTS)
        writer.put_events("road", EVENTS)


def test_a_page_that_takes_long_keeps_no_other_answer_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, make_page = threading.Event(), served.make_page
    monkeypatch.setattr(served, "make_page", lambda *a, **k: made.wait(600) and make_page(*a, **k))
    waiting = 40  # more than asyncio has threads
    with serving(write_store(tmp_path / "zones.gpkg", EVENTS)) as city:
        with ThreadPoolExecutor(waiting) as clients:
            pages = [clients.submit(city.ask, "GET", "/") for _ in range(waiting)]
            city.until(lambda: city.service.accepted == waiting)
            assert city.ask("GET", "/readyz", timeout=60).json == {"status": "ready"}
            assert city.ask("GET", "/v1/events", timeout=60).status == 200
            made.set()
        assert {page.result().status for page in pages} == {200}


def test_a_page_that_takes_longer_than_the_drain_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, make_page = threading.Event(), served.make_page
    monkeypatch.setattr(served, "make_page", lambda *a, **k: made.wait(600) and make_page(*a, **k))
    store = write_store(tmp_path / "zones.gpkg", EVENTS)
    with ThreadPoolExecutor(3) as clients, serving(store, limits=Limits(drain_seconds=0.2)) as city:
        pages = [clients.submit(city.ask, "GET", "/") for _ in range(3)]
        city.until(lambda: city.service.accepted == 3)
        city.server.handle_exit(signal.SIGTERM, None)
        said = [page.result() for page in pages]
    made.set()
    assert {(one.status, one.code) for one in said} == {(503, "draining")}


def test_rounded_places_are_all_that_can_be_learned(tmp_path: Path) -> None:
    metres = 1000.0
    store = write_store(tmp_path / "zones.gpkg", EVENTS)
    everything = "/v1/events?state=present,gone,suspected"
    with serving(store, publisher=PUBLISHER, metres=metres) as city:
        shown = city.ask("GET", everything).json["features"]
        assert len(shown) == len(EVENTS)
        for one, feature in zip(EVENTS, shown, strict=True):
            line = feature["geometry"]["coordinates"]
            lon, lat = np.array(line).T
            np.testing.assert_allclose(np.stack(round_places(lat, lon, metres)), [lat, lon])
            west, south, east, north = box(tuple(map(tuple, line)))
            asked = f"bbox={west},{south},{east},{north}"
            assert one.id in ids(city.ask("GET", f"{everything}&{asked}"))
            exact, e = one.line[0], 1e-5
            asked = f"bbox={exact[0] - e},{exact[1] - e},{exact[0] + e},{exact[1] + e}"
            said = city.ask("GET", f"{everything}&{asked}&limit=1").json
            inside = west <= exact[0] + e and exact[0] - e <= east
            inside &= south <= exact[1] + e and exact[1] - e <= north
            assert (one.id in {found["id"] for found in said["features"]}) == inside
            assert all(one.id not in link["href"] or inside for link in said["links"])
        feed = city.ask("GET", "/v1/wzdx").json["features"]
        by_id = {feature["id"]: feature["geometry"]["coordinates"] for feature in shown}
        assert all(by_id[one["id"]] == one["geometry"]["coordinates"] for one in feed)


def test_a_rounded_line_stays_one_and_is_near() -> None:
    for number in range(50):
        one = event(number)
        for metres in (10.0, 300.0, 5000.0):
            line = rounded(one, metres).line
            assert len(line) >= 2 and all(a != b for a, b in pairwise(line))
            east, north = np.abs(np.array(line[0]) - one.line[0]) * 111_195
            assert east * np.cos(np.radians(52)) < 0.52 * metres and north < 0.51 * metres
    loop = ((13.0, 52.0), (13.01, 52.0), (13.01, 52.01), (13.0, 52.0))
    assert len(rounded(replace(event(1), line=loop), 10).line) == 4


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("heading", [90.0, 270.0])
def test_a_rounded_line_stays_on_its_side_of_the_date_line(side: int, heading: float) -> None:
    rng = np.random.default_rng(3)
    for metres in (10.0, 100.0, 1000.0, 20_000.0):
        for latitude in rng.uniform(-80, 80, 25):  # rows with odd and with even numbers of points
            step = math.degrees(metres / EARTH_RADIUS) / math.cos(math.radians(latitude))
            away = (0, 0.2, 0.4) if rng.random() < 0.5 else rng.uniform(0, 2, 3)
            way = side * (180 - step * np.sort(away))
            way = np.sort(way) if heading < 180 else np.sort(way)[::-1]
            line = tuple((longitude, latitude) for longitude in way.tolist())
            one = replace(event(1), line=line, heading=heading)
            found = np.array(rounded(one, metres).line)
            assert len(found) >= 2
            assert ((found[:, 0] * side > 0) & (np.abs(found[:, 0]) <= 180)).all()
            assert (np.diff(found[:, 0]) * (180 - heading) > 0).all()  # along travel
            np.testing.assert_allclose(found[0, 0], way[0], atol=1.6 * step)
            assert rounded(replace(one, line=tuple(map(tuple, found))), metres).line == tuple(
                map(tuple, found)
            )


def test_without_a_publisher_there_is_no_feed_and_suspected_ones_are_asked_for(
    tmp_path: Path,
) -> None:
    store = write_store(tmp_path / "zones.gpkg", EVENTS)
    with serving(store) as city:
        said = city.ask("GET", "/v1/wzdx")
        assert said.status == 404 and "with --publisher" in said.json["detail"]
    states = ("suspected", "present", "gone")
    with serving(store, publisher=PUBLISHER, states=states) as city:
        assert len(ids(city.ask("GET", "/v1/wzdx"))) == len(EVENTS)


def test_holders_of_a_token_alone_see_the_map(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("0123456789abcdef\n")
    store = write_store(tmp_path / "zones.gpkg", EVENTS[:1])
    settings = {"tokens": tmp_path / "tokens", "origins": ("https://a.example",)}
    with serving(store, publisher=PUBLISHER, **settings) as city:
        for path in ("/", "/v1/events", "/v1/wzdx", "/metrics"):
            assert city.ask("GET", path).code == "unauthorised"
            token = {"Authorization": "Bearer 0123456789abcdef", "Origin": "https://a.example"}
            said = city.ask("GET", path, headers=token)
            assert said.status == 200
            assert said.headers["Access-Control-Allow-Origin"] == "https://a.example"
        assert city.ask("GET", "/readyz").status == 200
        city.service.accepted = city.service.config.limits.queue
        said = city.ask("GET", "/v1/events", headers=token)
        assert (said.status, said.code) == (429, "overloaded")
        city.service.accepted = 0
        city.service.draining = True
        assert city.ask("GET", "/v1/events", headers=token).code == "draining"
        assert city.ask("GET", "/readyz").json == {"status": "draining"}


def test_an_empty_map_is_one(tmp_path: Path) -> None:
    with open_store(tmp_path / "zones.gpkg"):
        pass
    with serving(tmp_path / "zones.gpkg", publisher=PUBLISHER) as city:
        assert ids(city.ask("GET", "/v1/events")) == ids(city.ask("GET", "/v1/wzdx")) == []
        said = city.ask("GET", "/")
        assert said.status == 200 and said.headers["Last-Modified"] is None


def test_mistakes_end_the_command(tmp_path: Path) -> None:
    store = write_store(tmp_path / "zones.gpkg", EVENTS[:1])
    for options, words, code in (
        ((tmp_path / "none.gpkg", "--port", 0), "none.gpkg does not exist; make it with", 1),
        ((store, "--port", 70_000), "--port 70000", 2),
        ((store, "--tiles", "streets.pmtiles"), "give an address", 2),
        ((store, "--round-positions", 0), "metres above 0", 2),
        ((store, "--tokens", tmp_path / "none"), "cannot be read", 2),
    ):
        result = invoke("map", "serve", *options, expect=code)
        assert words in re.sub(r"\s+", " ", result.stderr)
    with pytest.raises(StoreError, match="does not exist"):
        serve_map(MapServeConfig(store=tmp_path / "none.gpkg", port=0))


def test_the_command_answers_until_it_is_told_to_stop(tmp_path: Path) -> None:
    store = write_store(tmp_path / "zones.gpkg", EVENTS)
    command = [sys.executable, "-m", "workzone", "map", "serve", str(store), "--port", "0"]
    for sign in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen(
            [*command, "--publisher", "City of Example"], stderr=subprocess.PIPE, text=True
        )
        assert process.stderr
        with process:
            line = json.loads(process.stderr.readline())
            while line["event"] != "listening":
                line = json.loads(process.stderr.readline())
            address = f"http://127.0.0.1:{line['port']}/v1/wzdx"
            with urllib.request.urlopen(address, timeout=600) as answer:
                feed = json.load(answer)
            assert feed["feed_info"]["publisher"] == "City of Example"
            process.send_signal(sign)
            assert process.wait() == 0
