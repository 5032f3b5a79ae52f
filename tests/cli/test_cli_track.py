"""``workzone data track``: what was found, in words, as JSON and as files."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from cli_invoke import invoke
from made_tracks import START, free_gps, gpmf5, gpx, mp4, novatek


def test_track_says_what_it_found_and_writes_it(tmp_path: Path) -> None:
    film = mp4(tmp_path / "drive.mp4", [gpmf5(0, fix=0), gpmf5(1), gpmf5(2)])
    said = invoke("data", "track", film, "-o", tmp_path / "drive.gpx").stdout
    assert "drive.mp4: GoPro GPMF: 36 fixes, 18 without fix dropped" in said
    assert "2025-06-01 10:00:01" in said
    assert f"Written: {tmp_path / 'drive.gpx'}" in said
    assert (tmp_path / "drive.gpx").read_text().count("<trkpt") == 36


def test_track_as_json(tmp_path: Path) -> None:
    film = novatek(tmp_path / "a.mp4", [free_gps(0, valid=b"V"), free_gps(1), free_gps(2)])
    told = json.loads(invoke("data", "track", film, "--json").stdout)
    assert told[0]["dropped"] == {"without fix": 1}
    assert told[0]["fixes"][0]["time"] is None
    assert told[0]["fixes"][0]["offset"] == 1
    assert "--zone UTC" in told[0]["notes"][0]
    told = json.loads(invoke("data", "track", film, "--zone", "UTC", "--json").stdout)
    assert told[0]["fixes"][1]["time"] == "2025-06-01T10:00:02.000Z"
    assert told[0]["fixes"][1]["latitude"] == pytest.approx(52.50018, abs=1e-5)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "+02:00"])
def test_stated_zones(tmp_path: Path, zone: str) -> None:
    (tmp_path / "a.gpx").write_text(gpx(range(3), zone="", start=START + timedelta(hours=2)))
    said = invoke("data", "track", tmp_path / "a.gpx", "--zone", zone, "--json").stdout
    assert json.loads(said)[0]["fixes"][0]["time"] == "2025-06-01T10:00:00.000Z"


def test_wrong_calls(tmp_path: Path) -> None:
    (tmp_path / "a.gpx").write_text(gpx(range(3)))
    result = invoke("data", "track", tmp_path / "a.gpx", "--zone", "Mars", expect=2)
    assert "--zone 'Mars' is no zone" in result.stderr
    result = invoke("data", "track", tmp_path / "a.gpx", "-o", "a.kml", expect=2)
    assert "a.kml: tracks are written as .gpx or .geojson" in result.stderr
    result = invoke("data", "track", tmp_path / "b.gpx", expect=1)
    assert "did you mean 'a.gpx'" in result.stderr
