"""``workzone data import`` of a video, with its options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli_invoke import invoke
from made_tracks import gpx
from made_videos import make_video
from workzone.data.manifest import read_manifest


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drive")
    (folder / "drive.gpx").write_text(gpx(range(-2, 11)))
    return make_video(folder / "drive.mp4")


def test_import_of_a_video(drive: Path, tmp_path: Path) -> None:
    output = tmp_path / "m.parquet"
    result = invoke(
        *("data", "import", drive, "-o", output, "--every", 2, "--sharpest"),
        *("--start", "2025-06-01T12:00:00", "--zone", "Europe/Berlin", "--json"),
    )
    told = json.loads(result.stdout)
    assert (told["rows_kept"], told["warnings"]) == (4, [])
    first = read_manifest(output).samples[0]
    assert first.time is not None
    assert first.time.isoformat().startswith("2025-06-01T10:00:0")


def test_key_frames_by_metres(drive: Path, tmp_path: Path) -> None:
    output = tmp_path / "m.parquet"
    said = invoke(
        *("data", "import", drive, "-o", output, "--every-metres", 30, "--keyframes"),
        *("--start", "2025-06-01T10:00:00Z"),
    ).stdout
    assert "4 of 4 rows kept" in said
    offsets = [sample.extra["offset"] for sample in read_manifest(output)]
    assert offsets == ["0.000", "1.000", "4.000", "7.000"]  # 20, 30, 60, 90 m


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--start", "noon"), "--start 'noon' is no time"),
        (("--start", "2025-06-01T10:00:00"), "names no zone"),
        (("--every", "0"), "seconds between frames must be above 0"),
        (("--zone", "Mars"), "--zone 'Mars' is no zone"),
        (("--map", "image=a"), "columns are for tables and parquet"),
    ],
)
def test_wrong_calls(drive: Path, tmp_path: Path, options: tuple[str, str], said: str) -> None:
    result = invoke("data", "import", drive, "-o", tmp_path / "m.parquet", *options, expect=2)
    assert said in result.stderr
