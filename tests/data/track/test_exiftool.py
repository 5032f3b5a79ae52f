"""What is read equals what ExifTool reads from the same files, where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from made_tracks import NORTH_EAST, SOUTH_WEST, camm6, free_gps, gpmf5, mp4, novatek
from workzone.data.places import haversine
from workzone.data.track.reading import read_track

pytestmark = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")


def read_by_exiftool(path: Path) -> list[dict[str, object]]:
    """Latitude, longitude and time of each record."""
    command = ["exiftool", "-ee", "-n", "-G3", "-j", "-GPSLatitude", "-GPSLongitude"]
    done = subprocess.run(
        [*command, "-GPSDateTime", path], check=True, capture_output=True, text=True
    )
    records: dict[int, dict[str, object]] = {}
    for key, value in json.loads(done.stdout)[0].items():
        document, _, name = key.partition(":")
        if document.startswith("Doc"):
            records.setdefault(int(document.removeprefix("Doc").split("-")[0]), {})[name] = value
    return [records[number] for number in sorted(records) if "GPSLatitude" in records[number]]


@pytest.mark.parametrize("origin", [NORTH_EAST, SOUTH_WEST])
@pytest.mark.parametrize("at", [0x30, 0x10])
def test_novatek(tmp_path: Path, origin: tuple[float, float], at: int) -> None:
    blocks = [free_gps(second, at=at, origin=origin) for second in range(5)]
    film = novatek(tmp_path / "a.mp4", blocks)
    records, track = read_by_exiftool(film), read_track(film, zone=UTC)
    assert len(records) == len(track)
    for record, latitude, longitude, utc in zip(
        records, track.latitude, track.longitude, track.utc, strict=True
    ):
        there = record["GPSLatitude"], record["GPSLongitude"]
        assert haversine(latitude, longitude, *there) < 0.01  # type: ignore[arg-type]
        moment = datetime.strptime(str(record["GPSDateTime"])[:19], "%Y:%m:%d %H:%M:%S")
        assert moment.replace(tzinfo=UTC).timestamp() == utc


@pytest.mark.parametrize("kind", ["gopro", "camm"])
def test_tracks_of_samples(tmp_path: Path, kind: str) -> None:
    if kind == "gopro":
        film = mp4(tmp_path / "a.mp4", [gpmf5(second, rate=1) for second in range(4)])
    else:
        film = mp4(tmp_path / "a.mp4", [camm6(second) for second in range(4)], b"camm", b"camm")
    records, track = read_by_exiftool(film), read_track(film)
    assert len(records) == len(track) == 4
    latitude = np.array([float(str(record["GPSLatitude"])) for record in records])
    longitude = np.array([float(str(record["GPSLongitude"])) for record in records])
    assert haversine(track.latitude, track.longitude, latitude, longitude).max() < 0.02
