"""Roads out of extracts of OpenStreetMap."""

from __future__ import annotations

import sys
from pathlib import Path

import osmium
import pytest

from workzone.errors import ManifestError, MissingExtraError
from workzone.geo.network import read_network
from workzone.geo.osm import read_ways

NODES = {1: (11.50, 48.10), 2: (11.51, 48.10), 3: (11.52, 48.10), 4: (11.52, 48.11)}
WAYS = [
    ([1, 2], {"highway": "primary", "name": "High Street"}),
    ([2, 3], {"highway": "primary", "name": "High Street"}),
    ([3, 4], {"highway": "motorway", "ref": "A 1"}),  # one way, though nothing says so
    ([4, 2], {"highway": "residential", "oneway": "-1"}),
    ([1, 4], {"highway": "footway"}),
    ([1, 2, 3, 1], {"highway": "service", "area": "yes"}),
    ([1, 3], {"waterway": "river"}),
    ([9, 1, 8, 4], {"highway": "track"}),  # 8 and 9 are not in the extract
    ([9, 1, 3, 8, 9, 4, 2], {"highway": "tertiary"}),
]


@pytest.fixture(params=["roads.osm", "roads.osm.pbf"])
def extract(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / str(request.param)
    with osmium.SimpleWriter(path) as file:
        for number, place in NODES.items():
            file.add_node(osmium.osm.mutable.Node(id=number, location=place))
        for number, (nodes, tags) in enumerate(WAYS, 1):
            file.add_way(osmium.osm.mutable.Way(id=number, nodes=nodes, tags=tags))
    return path


def test_ways_become_lines(extract: Path) -> None:
    lines = read_network(extract)
    found = {
        (line.road, round(x[0], 6), round(x[-1], 6), round(y[-1], 6))
        for line in lines
        for x, y in [(line.longitude, line.latitude)]
    }
    assert found == {
        ("High Street", 11.5, 11.52, 48.1),
        ("High Street", 11.52, 11.5, 48.1),
        ("A 1", 11.52, 11.52, 48.11),
        (None, 11.51, 11.52, 48.11),  # against its nodes
        (None, 11.5, 11.52, 48.1),
        (None, 11.52, 11.5, 48.1),
        (None, 11.52, 11.51, 48.1),
    }


def test_tags_are_properties(extract: Path) -> None:
    ways = list(read_ways(extract))
    assert [way["properties"] for way in ways] == [
        *(WAYS[number][1] for number in (0, 1, 2, 3, 4)),
        *[{"highway": "tertiary"}] * 2,
    ]


def test_ways_are_cut_where_nodes_are_missing(extract: Path) -> None:
    ways = [way for way in read_ways(extract) if way["properties"]["highway"] != "footway"]
    parts = [way["geometry"]["coordinates"] for way in ways[4:]]
    assert parts == [[[11.5, 48.1], [11.52, 48.1]], [[11.52, 48.11], [11.51, 48.1]]]


@pytest.mark.parametrize("name", ["none.osm.pbf", "text.osm", "text.osm.pbf"])
def test_what_is_no_extract(name: str, tmp_path: Path) -> None:
    if name.startswith("text"):
        (tmp_path / name).write_text("roads")
    with pytest.raises(ManifestError, match=rf"{name} cannot be read .*osmium extract"):
        read_network(tmp_path / name)


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, extract: Path) -> None:
    monkeypatch.setitem(sys.modules, "osmium", None)
    with pytest.raises(MissingExtraError, match=r"workzone\[geo\]"):
        read_network(extract)
