"""Videos to a manifest: frames, places and times, groups, and what cannot be had."""

from __future__ import annotations

import errno
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from made_tracks import START, gpx, place
from made_videos import cut, make_video, retitled, second_of
from workzone.data.importing import ImportSummary, import_source
from workzone.data.manifest import Manifest, read_manifest
from workzone.data.places import haversine
from workzone.data.video import decode, extract
from workzone.data.video.choose import FrameSettings
from workzone.errors import ManifestError, MissingExtraError, UsageError, WorkzoneError


def imported(source: Path, output: Path, **settings: Any) -> tuple[Manifest, ImportSummary]:
    frames = FrameSettings(**settings) if settings else None
    summary = import_source(str(source), output, frames=frames)
    return read_manifest(output), summary


def shown(manifest: Manifest) -> list[int]:
    return [
        second_of(np.asarray(Image.open(manifest.root / sample.image.path))) for sample in manifest
    ]


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds in MP4, with a GPX beside it that begins 2 s before and ends 2 s after."""
    folder = tmp_path_factory.mktemp("drive")
    (folder / "drive.gpx").write_text(gpx(np.arange(-2, 11, 0.5)))
    return make_video(folder / "drive.mp4")


def test_a_frame_a_second_with_place_and_time(drive: Path, tmp_path: Path) -> None:
    manifest, summary = imported(drive, tmp_path / "m.parquet", start=START)
    assert shown(manifest) == list(range(8))
    for second, sample in enumerate(manifest):
        assert sample.time is not None
        assert abs(sample.time - START - timedelta(seconds=second)) < timedelta(seconds=0.05)
        where = (sample.latitude, sample.longitude)
        assert haversine(*where, *place(second)) < 1
        assert sample.extra["offset"] == f"{second}.000"
        assert float(sample.extra["speed"]) == pytest.approx(10, abs=0.2)
    assert manifest.samples[3].id == "drive.mp4/000003000"
    assert {sample.group for sample in manifest} == {"drive.mp4"}
    assert summary.rows_read == summary.rows_kept == 8


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_cut_clip_s_frames_are_at_the_right_places(
    drive: Path, tmp_path: Path, suffix: str
) -> None:
    clip = cut(drive, tmp_path / f"clip{suffix}", 3.0)
    (tmp_path / "clip.gpx").write_text((drive.parent / "drive.gpx").read_text())
    manifest, _ = imported(clip, tmp_path / "m.parquet", start=START + timedelta(seconds=3))
    assert shown(manifest) == [3, 4, 5, 6, 7]
    for second, sample in enumerate(manifest, start=3):
        assert haversine(sample.latitude, sample.longitude, *place(second)) < 1


def test_a_log_as_long_as_its_video_begins_with_it(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4")
    (tmp_path / "a.gpx").write_text(gpx(np.arange(0, 9, 1.0)))
    manifest, summary = imported(tmp_path / "a.mp4", tmp_path / "m.parquet")
    assert manifest.samples[2].time == START + timedelta(seconds=2)
    assert any("a.gpx lasts as long as the video" in warning for warning in summary.warnings)


def test_a_log_of_another_length_is_not_guessed_at(drive: Path, tmp_path: Path) -> None:
    manifest, summary = imported(drive, tmp_path / "m.parquet")
    assert all(sample.time is None and sample.latitude is None for sample in manifest)
    assert any("nothing tells when it began" in warning for warning in summary.warnings)


def test_a_track_of_another_day_gives_no_places_and_says_so(drive: Path, tmp_path: Path) -> None:
    start = START - timedelta(days=1)
    manifest, summary = imported(drive, tmp_path / "m.parquet", start=start)
    assert [sample.latitude for sample in manifest] == [None] * 8
    assert manifest.samples[0].time == start
    assert any("no frame has a place" in warning for warning in summary.warnings)


def test_the_time_of_positions_within_a_video_is_taken(tmp_path: Path) -> None:
    """A described track has offsets and times, as one in the video; --start says otherwise."""
    make_video(tmp_path / "a.mp4", [0, 0.5, 1.0, 1.5])
    points = [[500 * n, place(n / 2)[1], place(n / 2)[0], None, None] for n in range(4)]
    timed = [[*point, START.timestamp() + point[0] / 1000] for point in points]
    described = {"MAPGPSTrack": timed, "filename": "a.mp4", "filetype": "gopro"}
    (tmp_path / "mapillary_image_description.json").write_text(json.dumps([described]))
    late = START + timedelta(seconds=7)
    manifest, summary = imported(tmp_path / "a.mp4", tmp_path / "m.parquet", start=late)
    assert [sample.time for sample in manifest] == [START, START + timedelta(seconds=1)]
    assert haversine(manifest.samples[1].latitude, manifest.samples[1].longitude, *place(1)) < 1
    assert any("by its own positions it began at" in warning for warning in summary.warnings)


def test_a_disk_that_cannot_be_written(drive: Path, tmp_path: Path) -> None:
    (tmp_path / "m.images").write_text("a file where the frames' folder should be")
    with pytest.raises(WorkzoneError, match=r"cannot write .*m\.images"):
        imported(drive, tmp_path / "m.parquet")


def test_creation_times_are_not_believed(tmp_path: Path) -> None:
    made = make_video(tmp_path / "a.mp4", [0, 1.0])
    manifest, summary = imported(made, tmp_path / "m.parquet")
    assert [sample.time for sample in manifest] == [None, None]
    assert any("a.mp4 has no positions in it" in warning for warning in summary.warnings)


def test_metres_between_frames(drive: Path, tmp_path: Path) -> None:
    manifest, _ = imported(drive, tmp_path / "m.parquet", start=START, metres=20.0)
    offsets = [float(sample.extra["offset"]) for sample in manifest]
    assert np.diff(offsets)[1:] == pytest.approx(2.0, abs=0.21)


def test_clips_of_one_drive_are_one_group(drive: Path, tmp_path: Path) -> None:
    begins = {"a-front": 0, "a-rear": 0.5, "b-front": 8, "b-rear": 8.4, "c": 400}
    for name, begin in begins.items():
        (tmp_path / f"{name}.mp4").write_bytes(drive.read_bytes())
        start = START + timedelta(seconds=begin)
        (tmp_path / f"{name}.gpx").write_text(gpx(np.arange(0, 9, 1.0), start=start))
    manifest, _ = imported(tmp_path, tmp_path / "out" / "m.parquet", seconds=4.0)
    groups = {sample.extra["video"]: sample.group for sample in manifest}
    one = {f"{name}.mp4": "a-front.mp4" for name in begins if name != "c"}
    assert groups == {**one, "c.mp4": "c.mp4"}


def test_a_folder_with_classes_and_a_broken_video(drive: Path, tmp_path: Path) -> None:
    for name in ("roadwork", "none"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "drive.mp4").write_bytes(drive.read_bytes())
    (tmp_path / "none" / "broken.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    manifest, summary = imported(tmp_path, tmp_path / "m.parquet", seconds=4.0)
    assert [(sample.id, sample.label) for sample in manifest] == [
        ("none/drive.mp4/000000000", 0),
        ("none/drive.mp4/000004000", 0),
        ("roadwork/drive.mp4/000000000", 1),
        ("roadwork/drive.mp4/000004000", 1),
    ]
    assert [entry.code for entry in summary.entries] == ["unreadable"]
    assert "broken.mp4 cannot be opened as a video" in summary.entries[0].reason


def test_odd_videos_end_nothing_beside_them(
    drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A title in GBK; a codec without a decoder; an error that nobody foresaw, in the middle."""
    videos = tmp_path / "in"
    videos.mkdir()
    for name in ("ok.mp4", "odd.mp4"):
        (videos / name).write_bytes(drive.read_bytes())
    titled = retitled(drive, videos / "gbk.mp4", b"ABCDEFGH", "中国车载".encode("gbk"))
    assert "中国车载".encode("gbk") in titled.read_bytes()
    unknown = drive.read_bytes().replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC")
    (videos / "unknown.mp4").write_bytes(unknown)
    frames = decode.Video.frames

    def failing(video: decode.Video) -> Any:
        for number, one in enumerate(frames(video)):
            if video.path.name == "odd.mp4" and number == 10:
                raise OverflowError("a number too large")
            yield one

    monkeypatch.setattr(decode.Video, "frames", failing)
    manifest, summary = imported(videos, tmp_path / "m.parquet", seconds=4.0)
    assert [sample.id for sample in manifest] == [
        f"{name}/{moment}"
        for name in ("gbk.mp4", "ok.mp4")
        for moment in ("000000000", "000004000")
    ]
    told = {entry.id: entry.reason for entry in summary.entries}
    assert "OverflowError: a number too large. Convert it" in told["odd.mp4"]
    assert "holds no film that can be decoded; convert it" in told["unknown.mp4"]


def test_a_drive_s_folder_below_the_class_is_its_group(drive: Path, tmp_path: Path) -> None:
    """Even where the videos have no times by which they could be joined."""
    names = ["roadwork/drive7/a.mp4", "none/drive7/b.mp4", "none/drive8/c.mp4", "none/d.mp4"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(drive.read_bytes())
    manifest, _ = imported(tmp_path, tmp_path / "m.parquet", seconds=4.0)
    groups = {sample.extra["video"]: sample.group for sample in manifest}
    assert groups == dict(zip(names, ["drive7", "drive7", "drive8", "none/d.mp4"], strict=True))


def test_what_is_said_of_a_folder_is_of_videos(
    drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def scan(path: str | Path) -> Any:
        if Path(path).name == "secret":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    (tmp_path / "in" / "secret").mkdir(parents=True)
    (tmp_path / "in" / "a.mp4").write_bytes(drive.read_bytes())
    _, summary = imported(tmp_path / "in", tmp_path / "m.parquet", seconds=8.0)
    assert any("its videos are unlabelled" in warning for warning in summary.warnings)
    secret = "the folder secret cannot be listed: its videos are left out"
    assert any(secret in warning for warning in summary.warnings)


def test_a_second_import_decodes_nothing(
    drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(drive.read_bytes())
    output = tmp_path / "in" / "m.parquet"  # frames lie in the imported folder, and are none of it
    first, _ = imported(tmp_path / "in", output)
    decoded = []
    frames = decode.Video.frames

    def counting(video: decode.Video) -> Any:
        decoded.append(video.path)
        return frames(video)

    monkeypatch.setattr(decode.Video, "frames", counting)
    again, _ = imported(tmp_path / "in", output)
    assert (again.samples, decoded) == (first.samples, [])
    other, _ = imported(tmp_path / "in", output, seconds=2.0)
    assert (len(other), len(decoded)) == (4, 1)
    assert len(list((tmp_path / "in" / "m.images" / "a.mp4").glob("*.jpg"))) == 4


def test_a_stopped_import_leaves_no_photographs(
    drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.mp4").write_bytes(drive.read_bytes())
    killed = tmp_path / "m.images" / f".a.mp4.{2**22 + 1}.part"  # of a process that cannot be
    killed.mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(killed / "000000000.jpg")
    written = []

    def failing(decoded: decode.Decoded, folder: Path, aspect: float) -> tuple[str, float]:
        if len(written) == 2:
            raise RuntimeError("stopped")
        written.append(write(decoded, folder, aspect))
        return written[-1]

    write = extract._write
    with monkeypatch.context() as patched:
        patched.setattr(extract, "_write", failing)
        with pytest.raises(RuntimeError, match="stopped"):
            imported(tmp_path, tmp_path / "m.parquet")
    assert not killed.exists()
    manifest, _ = imported(tmp_path, tmp_path / "m.parquet")
    assert [sample.extra["offset"] for sample in manifest] == [f"{n}.000" for n in range(8)]


def test_the_sharpest_frame_of_each_second(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    sharp = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)

    def picture(second: float) -> np.ndarray:
        return sharp if round(second % 1, 1) == 0.6 else np.full_like(sharp, 90)

    made = make_video(tmp_path / "a.mp4", picture=picture)
    manifest, _ = imported(made, tmp_path / "m.parquet", sharpest=True)
    assert [sample.extra["offset"] for sample in manifest] == [f"{n}.600" for n in range(8)]


def test_what_is_refused(tmp_path: Path, drive: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    with pytest.raises(ManifestError, match=r"a\.mp4: none of its rows|a\.mp4: .*unreadable 1"):
        imported(tmp_path / "a.mp4", tmp_path / "m.parquet")
    (tmp_path / "b.mp4").write_bytes(b"")
    with pytest.raises(UsageError, match=r"--start is of one video, but .* holds 2"):
        imported(tmp_path, tmp_path / "m.parquet", start=datetime(2026, 5, 1, tzinfo=UTC))
    (tmp_path / "c").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "c" / "1.png")
    with pytest.raises(UsageError, match=r"which frames is for videos, but .* of kind folder"):
        imported(tmp_path / "c", tmp_path / "m.parquet", seconds=2.0)
    with pytest.raises(UsageError, match=r"holds no videos: 1 image; nothing else is there"):
        import_source(str(tmp_path / "c"), tmp_path / "m.parquet", kind="video")


def test_without_the_extra(tmp_path: Path, drive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'workzone\[video\]'"):
        imported(drive, tmp_path / "m.parquet")
