"""``workzone video``, and videos given to ``workzone predict``."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from cli_invoke import invoke
from made_images import blob_image
from made_tracks import gpx
from made_videos import make_video
from trained import Tiny


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drive")
    (folder / "drive.gpx").write_text(gpx(range(-2, 11)))
    return make_video(folder / "drive.mp4")


def test_one_command_makes_all_of_it(tiny: Tiny, drive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "found"
    options = ("-m", tiny.bundle, "--every", 2, "--fps", 2, "--start", "2025-06-01T10:00:00Z")
    said = " ".join(invoke("video", drive, "-o", folder, *options).stdout.split())
    assert "1 video, 4 frames, " in said
    names = ["scores.parquet", "smoothed.parquet", "segments.csv", "track.gpx"]
    for name in [*names, "drive.mp4.annotated.mp4", "frames/manifest.parquet"]:
        assert (folder / name).is_file(), name
        assert name in said or name.startswith("frames")
    told = json.loads(invoke("video", drive, "-o", folder, *options, "--json").stdout)
    assert (told["videos"], told["frames"], told["unreadable"]) == (1, 4, 0)
    assert f"{folder}/drive.mp4.annotated.mp4" in told["files"]


def test_a_video_is_predicted_with_the_frames_that_are_asked_for(
    tiny: Tiny, drive: Path, tmp_path: Path
) -> None:
    output = tmp_path / "scores.parquet"
    invoke(
        *("predict", drive, "-m", tiny.bundle, "-o", output, "--every", 4),
        *("--start", "2025-06-01T12:00:00", "--zone", "Europe/Berlin", "--round-positions", 3000),
    )
    rows = pq.read_table(output).to_pylist()
    assert [row["id"] for row in rows] == ["drive.mp4/000000000", "drive.mp4/000004000"]
    assert rows[1]["time"].isoformat() == "2025-06-01T10:00:04+00:00"
    assert rows[0]["latitude"] == rows[1]["latitude"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "drive.mp4 is a video: name what to write"),
        (("--every", 2), "options of videos and --round-positions are for what is written"),
        (("--round-positions", 10), "options of videos and --round-positions are for what is"),
        (("-o", "a.csv", "--start", "noon"), "--start 'noon' is no time"),
        (("-o", "a.csv", "--round-positions", 0), "positions are rounded to metres above 0, got 0"),
        (("-o", "a.csv", "--blur"), "--blur: no detector of faces and of number plates is to be"),
    ],
)
def test_wrong_calls(
    drive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str | int, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("predict", drive, *options, expect=2)
    assert said in " ".join(result.stderr.split())


def test_blurring_is_refused_before_anything_is_written(drive: Path, tmp_path: Path) -> None:
    said = invoke("video", drive, "-o", tmp_path / "out", "--blur", expect=2).stderr
    assert "blurring faces alone is no privacy" in " ".join(said.split())
    assert not (tmp_path / "out").exists()


def test_pictures_written_out_have_no_exif(tiny: Tiny, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.0), 3: "E", 4: (13.0, 24.0, 0.0)})
    blob_image(1, 1).save(tmp_path / "a.jpg", exif=exif)
    invoke("predict", tmp_path / "a.jpg", "-m", tiny.bundle, "--explain", tmp_path / "out")
    (overlay,) = (tmp_path / "out").rglob("*.jpg")
    with Image.open(tmp_path / "a.jpg") as before, Image.open(overlay) as after:
        assert before.getexif().get_ifd(0x8825)
        assert dict(after.getexif()) == {} and "exif" not in after.info
    assert b"a camera" not in overlay.read_bytes()
