"""Tracks written as GPX and GeoJSON, and read again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from made_tracks import START, gpmf5, gpx, mp4, place
from workzone.data.track.files import write_tracks
from workzone.data.track.fixes import Fix, Log
from workzone.data.track.reading import read_track
from workzone.data.track.track import build
from workzone.errors import UsageError


def test_gpx_comes_back_the_same(tmp_path: Path) -> None:
    film = read_track(mp4(tmp_path / "a & b.mp4", [gpmf5(s) for s in (0, 1, 2)]))
    write_tracks([film], tmp_path / "out.gpx")
    again = read_track(tmp_path / "out.gpx")
    assert np.abs(again.utc - film.utc).max() < 0.001
    assert np.abs(again.latitude - film.latitude).max() < 1e-7
    assert np.abs(again.altitude - film.altitude).max() < 0.01
    assert "<name>a &amp; b.mp4</name>" in (tmp_path / "out.gpx").read_text()


def test_gaps_part_segments_and_lines(tmp_path: Path) -> None:
    (tmp_path / "a.gpx").write_text(gpx([0, 1, 2, 30, 60, 61]))
    track = read_track(tmp_path / "a.gpx")
    write_tracks([track], tmp_path / "b.gpx")
    assert (tmp_path / "b.gpx").read_text().count("<trkseg>") == 3
    write_tracks([track, track], tmp_path / "b.geojson")
    written = json.loads((tmp_path / "b.geojson").read_text())
    kinds = [feature["geometry"]["type"] for feature in written["features"]]
    assert kinds == ["LineString", "Point", "LineString"] * 2
    first = written["features"][0]
    latitude, longitude = place(1)
    assert first["geometry"]["coordinates"][1] == pytest.approx([longitude, latitude], abs=1e-6)
    assert first["properties"]["coordTimes"][1] == "2025-06-01T10:00:01.000Z"
    assert first["properties"]["speed"][1] == pytest.approx(10, abs=0.05)
    assert first["properties"]["reader"] == "GPX"
    assert written["features"][1]["properties"]["speed"] == [None]


def test_lines_are_parted_at_the_date_line(tmp_path: Path) -> None:
    begun = START.timestamp()
    fixes = [Fix(10, longitude, begun + n) for n, longitude in enumerate((179.9, 180, -179.9))]
    write_tracks([build(Path("a"), Log("GPX", fixes))], tmp_path / "a.geojson")
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert [len(feature["properties"]["coordTimes"]) for feature in features] == [2, 1]


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"out\.kml: tracks are written as \.gpx or \.geojson"):
        write_tracks([], tmp_path / "out.kml")
