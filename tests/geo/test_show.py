"""The map as one file: what is in it, and what it cannot do."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from made_drives import START, drives, street
from made_events import NOW, event
from made_images import blob_image
from page_data import data_of, rows_of
from workzone.errors import UsageError, WorkzoneError
from workzone.geo import given_roads as given
from workzone.geo.given_roads import given_roads
from workzone.geo.pictures import find_pictures, read_outlines
from workzone.geo.roads import NETWORK, make_line
from workzone.geo.show import PAGE, make_page
from workzone.geo.store import open_store
from workzone.geo.update import update


def test_a_page_holds_all_that_is_known_of_events(tmp_path):
    events = [event(number) for number in range(5)]
    make_page(events, newest=NOW).write(tmp_path / "map.html")
    data = data_of(tmp_path / "map.html")
    assert data["newest"] == NOW.timestamp() and data["tiles"] is None
    rows = {row["id"]: row for row in rows_of(data)}
    for one in events:
        row = rows[one.id]
        places = np.cumsum(np.array(row["line"]).reshape(-1, 2), axis=0) * 1e-6
        np.testing.assert_allclose(places, one.line, atol=1e-6)
        assert data["states"][row["state"]] == one.state
        assert row["confidence"] == pytest.approx(one.confidence, abs=1e-3)
        assert (data["roads"][row["road"]] if row["road"] >= 0 else None) == one.road
        assert row["last_passed"] == int(one.last_passed.timestamp())
        assert (row["gone_since"] is None) == (one.gone_since is None)
        assert tuple(data["classes"][number] for number in row["classes"]) == one.classes
        assert row["images"] == list(one.images) and row["passes"] == one.passes
        told = [(time, data["changes"][what], other) for time, what, other in row["history"]]
        assert told == [(int(c.time.timestamp()), c.what, c.other) for c in one.history]
    make_page(reversed(events), newest=NOW).write(tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == (tmp_path / "map.html").read_bytes()


def test_what_is_newest_follows_from_events_and_no_events_are_a_page_too(tmp_path):
    make_page([event(1), event(2)]).write(tmp_path / "map.html")
    last = max(event(1).last_passed, event(2).last_passed)
    assert data_of(tmp_path / "map.html")["newest"] == int(last.timestamp())
    assert f"<title>Work zones, {last:%Y-%m-%d}</title>" in (tmp_path / "map.html").read_text()
    make_page([]).write(tmp_path / "empty.html")
    assert data_of(tmp_path / "empty.html")["newest"] is None


def test_text_of_events_ends_no_element(tmp_path):
    hostile = "</script><script>document.title = 'gone'</script><!-- script -->"
    make_page([event(1, road=hostile, id=hostile)], attribution=hostile).write(
        tmp_path / "map.html"
    )
    text = (tmp_path / "map.html").read_text()
    data = data_of(tmp_path / "map.html")
    assert data["roads"] == [hostile] and rows_of(data)[0]["id"] == hostile
    assert data["attribution"] == hostile
    assert text.count("document.title = 'gone'") == 3 and hostile not in text


def test_the_policy_names_tiles_alone(tmp_path):
    make_page([]).write(tmp_path / "map.html")
    policy = re.search(
        r'Content-Security-Policy" content="([^"]+)"', (tmp_path / "map.html").read_text()
    )
    assert policy and "connect-src 'none'" in policy[1] and "unsafe" not in policy[1]
    tiles = "https://tiles.example.org:8443/{z}/{x}/{y}.png?key=a"
    make_page([], tiles=tiles, attribution="© Somebody").write(tmp_path / "map.html")
    policy = re.search(
        r'Content-Security-Policy" content="([^"]+)"', (tmp_path / "map.html").read_text()
    )
    assert policy and "connect-src https://tiles.example.org:8443;" in policy[1]
    assert data_of(tmp_path / "map.html")["tiles"] == tiles
    for wrong, words in (
        ("streets.pmtiles", "give an address, such as https://"),
        ("https://a b'; script-src *; x/{z}/{x}/{y}", "give an address"),
        ("https://tiles.example.org/{z}/{x}.png", "{y} is missing in the address"),
    ):
        with pytest.raises(UsageError, match=re.escape(words)):
            make_page([], tiles=wrong).write(tmp_path / "map.html")


def test_files_of_the_page_are_short_and_can_be_put_into_one():
    own = [*sorted(PAGE.glob("*.js")), PAGE / "page.css", PAGE / "index.html"]
    assert len(own) > 10
    for path in own:
        assert len(path.read_text().splitlines()) < 300, path.name
    for path in [*own, *sorted((PAGE / "vendor").glob("maplibre-gl.*"))]:
        text = path.read_bytes().decode()
        assert "\r" not in text and "sourceMappingURL" not in text, path.name
        if path.suffix in (".js", ".css"):
            assert not re.search(r"</(script|style)|<!--", text, re.IGNORECASE), path.name


@pytest.fixture
def frames(tmp_path):
    """A folder of frames as their ids name them, and what lies beside it."""
    folder = tmp_path / "frames"
    for name in ("drive-1/0001.jpg", "drive-2/0001.png", "../secret.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x010F] = "a camera"
        blob_image(1, 1).resize((900, 600)).save(folder / name, exif=exif)
    (folder / "drive-3").mkdir()
    (folder / "drive-3" / "0001").write_bytes(b"no picture")
    return folder


def test_pictures_are_found_by_their_ids_and_say_nothing_but_pixels(frames, tmp_path):
    table = tmp_path / "objects.jsonl"
    ring = [[90.0, 60.0], [180.0, 60.0], [180.0, 120.0]]
    image = {"id": "drive-1/0001", "width": 900, "height": 600}
    cone = {"class": "cone", "score": 0.9, "box": [90.0, 60.0, 180.0, 120.0], "polygon": [ring]}
    table.write_text(json.dumps(image | {"objects": [cone]}) + "\n")
    events = [event(number) for number in (1, 2, 3)]
    events.append(event(7, images=("../secret", "../secret.jpg", "a" * 5000)))
    found = find_pictures(events, frames, objects=read_outlines(table))
    assert sorted(found.pictures) == ["drive-1/0001", "drive-2/0001"]
    assert (found.missing, found.unreadable, found.left_out) == (5, 1, 0)
    first = found.pictures["drive-1/0001"].for_page()
    assert first["objects"] == [{"name": "cone", "rings": [((0.1, 0.1), (0.2, 0.1), (0.2, 0.2))]}]
    jpeg = found.pictures["drive-1/0001"].jpeg
    assert b"a camera" not in jpeg and len(jpeg) < 60_000
    make_page(events, pictures=found.pictures).write(tmp_path / "map.html")
    assert set(data_of(tmp_path / "map.html")["pictures"]) == set(found.pictures)


def test_folders_and_tables_that_are_none_are_refused(frames, tmp_path):
    with pytest.raises(UsageError, match="nowhere is no folder; name the one"):
        find_pictures([event(1)], tmp_path / "nowhere")
    with pytest.raises(WorkzoneError, match=r"objects.jsonl cannot be read"):
        read_outlines(tmp_path / "objects.jsonl")
    for line in ("no json", "[]", '{"id": "a", "width": 0, "height": 1, "objects": 3}'):
        (tmp_path / "objects.jsonl").write_text(f"{line}\n")
        with pytest.raises(WorkzoneError, match="line 1: no objects of an image"):
            read_outlines(tmp_path / "objects.jsonl")


def test_roads_that_were_given_are_thinned_and_those_of_cars_left_out(monkeypatch):
    degrees = np.linspace(0, np.pi / 2, 200)
    bend = np.stack([13 + 0.01 * np.sin(degrees), 52 + 0.01 * np.cos(degrees)], axis=1)
    straight = np.stack([np.linspace(13, 13.01, 50), np.full(50, 52.0)], axis=1)
    ways = [
        make_line("a", NETWORK, *bend.T, None),
        make_line("b", NETWORK, *bend[::-1].T, None),
        make_line("c", NETWORK, *straight.T, "B 1"),
        make_line("d", (1.0, "car", 0), *straight.T, None),
    ]
    found = given_roads(ways)
    curve, line = found.lines
    assert line == [(pytest.approx(13), 52), (pytest.approx(13.01), 52)] and found.left_out == 0
    assert 30 < len(curve) < 60
    monkeypatch.setattr(given, "MOST", len(curve))
    assert given_roads(ways).left_out == 1


def test_roads_of_cars_are_left_out_after_their_frames_were_dropped():
    network = make_line("a", NETWORK, np.linspace(9, 9.01, 50), np.full(50, 52.0))
    with open_store(":memory:") as store:
        update(store, drives(1, street(), lambda _: []), network=[network])
        later = drives(1, street(), lambda _: [], name="later", start=START + 40 * 86400)
        assert update(store, later, keep_days=30).dropped == 1
        lines = store.lines()
    assert [line.key[0] for line in lines] == [-np.inf] * 2  # settled, both
    (road,) = given_roads(lines).lines
    assert road[0] == (9, 52)
