"""Videos among the images to score: frames taken once, with time, place and group."""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from made_images import blob_image
from made_tracks import START, gpx, place
from made_videos import make_video, telling
from workzone.data.images import content_hash
from workzone.data.manifest import read_manifest
from workzone.data.places import haversine
from workzone.data.video import decode
from workzone.data.video.choose import FrameSettings
from workzone.errors import MissingExtraError, UsageError, WorkzoneError
from workzone.run.bulk import predict_many
from workzone.run.predictor import Predictor
from workzone.run.sources import find_images
from workzone.run.videos import VideoFrames, folders_of, frames_beside


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds, and a GPX that begins with them and lasts as long."""
    folder = tmp_path_factory.mktemp("drive")
    (folder / "drive.gpx").write_text(gpx(np.arange(0, 8.5, 0.5)))
    return make_video(folder / "drive.mp4")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The videos whose frames were decoded."""
    names: list[str] = []
    frames = decode.Video.frames

    def counting(video: decode.Video) -> Any:
        names.append(video.path.name)
        return frames(video)

    monkeypatch.setattr(decode.Video, "frames", counting)
    return names


def test_a_video_is_scored_with_time_place_and_group(
    drive: Path, tmp_path: Path, predictor: Predictor, decoded: list[str]
) -> None:
    output = tmp_path / "out.parquet"
    summary = predict_many(predictor, drive, output)
    rows = pq.read_table(output).to_pylist()
    assert summary.scored == len(rows) == 8
    for second, row in enumerate(rows):
        assert row["id"] == f"drive.mp4/{second * 1000:09d}"
        assert row["group"] == "drive.mp4"
        assert row["time"] - START == timedelta(seconds=second)
        assert haversine(row["latitude"], row["longitude"], *place(second)) < 1
    listed = read_manifest(tmp_path / "out.parquet.frames" / "manifest.parquet")
    assert [sample.id for sample in listed] == [row["id"] for row in rows]
    assert all((listed.root / sample.image.path).is_file() for sample in listed)
    predict_many(predictor, drive, output)
    assert decoded == ["drive.mp4"]  # once


def test_parts_of_a_folder_hold_the_same(drive: Path, tmp_path: Path, predictor: Predictor) -> None:
    videos = tmp_path / "videos"
    for name in ("a/1.mp4", "a/2.mp4", "b.mp4"):
        (videos / name).parent.mkdir(parents=True, exist_ok=True)
        (videos / name).write_bytes(drive.read_bytes())
    (videos / "broken.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    frames = frames_beside(videos / "out", FrameSettings(4.0))
    for scored in (6, 6):  # what the first run wrote into the folder is no source of the second
        summary = predict_many(predictor, find_images(videos, frames), videos / "out")
        assert (summary.scored, summary.quarantined) == (scored, 1)
    table = pq.read_table(videos / "out").to_pylist()
    assert {row["id"].rpartition("/")[0]: row["group"] for row in table} == {
        "a/1.mp4": "a",
        "a/2.mp4": "a",
        "b.mp4": "b.mp4",
    }
    assert "broken.mp4 cannot be opened as a video" in (
        videos / "out" / "_quarantine.csv"
    ).read_text(encoding="utf-8")


def test_several_videos_of_one_name_keep_apart(drive: Path, tmp_path: Path) -> None:
    sources = []
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        sources.append(tmp_path / folder / "drive.mp4")
        sources[-1].write_bytes(drive.read_bytes())
    frames = frames_beside(tmp_path / "out", FrameSettings(4.0))
    found = find_images(sources, frames)
    assert [name for name, _ in found.images] == [
        f"{source.as_posix()}/{moment:09d}" for source in sources for moment in (0, 4000)
    ]
    assert len({item.ref.path for _, item in found.images}) == 4
    assert len({item.sample.group for _, item in found.images if item.sample}) == 2


@pytest.mark.parametrize("folder", [False, True])
def test_a_start_is_of_one_video_however_several_are_named(
    drive: Path, tmp_path: Path, folder: bool
) -> None:
    named = [tmp_path / "a.mp4", tmp_path / "in" / "b.mp4"]
    for video in named:
        video.parent.mkdir(exist_ok=True)
        video.write_bytes(drive.read_bytes())
    sources = [named[0], named[1].parent if folder else named[1]]
    frames = frames_beside(tmp_path / "out", FrameSettings(4.0, start=START))
    with pytest.raises(UsageError, match=r"--start is of one video, but what is named holds 2"):
        find_images(sources, frames)
    found = find_images([named[0], named[0]], frames)  # the same one
    assert found.remarks[-1] == "1 video named again: frames are taken once"
    assert found.videos == (named[0],)
    times = [item.sample.time for _, item in found.images if item.sample]
    assert times == [START, START + timedelta(seconds=4)]


def test_videos_beside_images_are_taken_if_asked_for(drive: Path, tmp_path: Path) -> None:
    blob_image(1, 1).save(tmp_path / "a.png")
    (tmp_path / "b.mp4").write_bytes(drive.read_bytes())
    found = find_images(tmp_path, frames_beside(tmp_path / "out"))
    assert [name for name, _ in found.images] == ["a.png"]
    assert found.passed_over.kinds == {".mp4": 1}
    found = find_images(tmp_path, frames_beside(tmp_path / "out", FrameSettings(4.0)))
    assert [name for name, _ in found.images] == ["a.png", "b.mp4/000000000", "b.mp4/000004000"]
    assert found.passed_over.total == 0
    (tmp_path / "b.mp4").unlink()
    with pytest.raises(UsageError, match=r"which frames is for videos, but .* holds none"):
        find_images(tmp_path / "a.png", frames_beside(tmp_path / "out", FrameSettings(4.0)))


def test_another_video_of_the_same_name_has_other_content(drive: Path, tmp_path: Path) -> None:
    """Ids and groups are alike; what is known of each frame, and the manifest, tell them apart."""
    video, frames = tmp_path / "a.mp4", frames_beside(tmp_path / "out", FrameSettings(2.0))
    video.write_bytes(drive.read_bytes())
    jobs = []
    for _ in range(2):
        found = [item.sample for _, item in find_images(video, frames).images if item.sample]
        listed = read_manifest(frames.store / "manifest.parquet")
        for sample, row in zip(found, listed, strict=True):
            data = Path(sample.image.path).read_bytes()
            assert sample.content_hash == row.content_hash == content_hash(data)
        jobs.append(found)
        make_video(video, [n / 5 for n in range(40)], lambda second: telling(9 - second))
    first, second = ([(one.id, one.group) for one in job] for job in jobs)
    assert first == second
    assert all(a.content_hash != b.content_hash for a, b in zip(*jobs, strict=True))


def test_what_another_job_wrote_is_no_source(drive: Path, tmp_path: Path) -> None:
    """Frames beside another output, and annotated videos; lists of other programs say nothing."""
    (tmp_path / "a.mp4").write_bytes(drive.read_bytes())
    find_images(tmp_path, frames_beside(tmp_path / "s1.parquet"))
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "a.mp4.annotated.mp4").write_bytes(drive.read_bytes())
    found = find_images(tmp_path, frames_beside(tmp_path / "s2.parquet", FrameSettings(4.0)))
    assert [name for name, _ in found.images] == ["a.mp4/000000000", "a.mp4/000004000"]
    assert str(found.passed_over).startswith("3 files passed over: 1 folder of frames (taken of a")
    (tmp_path / "film").mkdir()
    blob_image(1, 1).save(tmp_path / "film" / "1.png")
    (tmp_path / "film" / "frames.json").write_text('{"frames": []}')
    assert [name for name, _ in find_images(tmp_path).images] == ["film/1.png"]
    frames = tmp_path / "s1.parquet.frames" / "a.mp4"
    assert len(find_images(frames).images) == 8  # named themselves


def test_a_stopped_job_goes_on(
    drive: Path,
    tmp_path: Path,
    predictor: Predictor,
    decoded: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped while it scores: no video is decoded again, and no frame scored again."""
    output = tmp_path / "out.jsonl"
    monkeypatch.setattr("workzone.run.bulk.FLUSH_EVERY", 2)
    real = Predictor.score
    read: list[str] = []

    def score(self: Predictor, inputs: Any, load: Any, **options: Any) -> Any:
        for name, result in real(self, inputs, load, **options):
            read.append(name)
            yield name, result
            if len(read) == 5:
                raise KeyboardInterrupt

    monkeypatch.setattr(Predictor, "score", score)
    with pytest.raises(KeyboardInterrupt):
        predict_many(predictor, drive, output)
    assert not output.exists()
    summary = predict_many(predictor, drive, output)
    assert (summary.scored, summary.resumed, decoded) == (8, 4, ["drive.mp4"])
    assert read[5:] == [f"drive.mp4/{second * 1000:09d}" for second in range(4, 8)]


def test_of_a_corrupted_tail_what_comes_before_is_scored(
    tmp_path: Path, predictor: Predictor
) -> None:
    made = make_video(tmp_path / "a.ts")
    data = made.read_bytes()
    made.write_bytes(data[: len(data) * 5 // 8] + b"\0" * 1000)
    output = tmp_path / "out.jsonl"
    found = find_images(made, frames_beside(output))
    assert 3 <= len(found.images) < 8
    assert predict_many(predictor, found, output).scored == len(found.images)


def test_rounded_positions_are_all_that_is_written(
    drive: Path, tmp_path: Path, predictor: Predictor
) -> None:
    output = tmp_path / "out.parquet"
    frames = frames_beside(output, metres=100.0)
    predict_many(predictor, find_images(drive, frames), output)
    rows = pq.read_table(output).to_pylist()
    listed = read_manifest(frames.store / "manifest.parquet").samples
    for table in (rows, [{"latitude": s.latitude, "longitude": s.longitude} for s in listed]):
        places = {(row["latitude"], row["longitude"]) for row in table}
        assert 1 <= len(places) <= 2  # 70 m due north
        for second, row in enumerate(table):
            assert haversine(row["latitude"], row["longitude"], *place(second)) < 71
    assert min(haversine(*at, *place(second)) for at in places for second in range(8)) > 0


def test_a_job_does_not_go_on_with_positions_of_another_kind(
    drive: Path, tmp_path: Path, predictor: Predictor
) -> None:
    output = tmp_path / "out"
    predict_many(predictor, find_images(drive, frames_beside(output)), output)
    with pytest.raises(WorkzoneError, match="--round-positions"):
        rounded = find_images(drive, frames_beside(output, metres=100.0))
        predict_many(predictor, rounded, output)


def test_a_name_that_no_table_holds_is_told(
    drive: Path, tmp_path: Path, predictor: Predictor
) -> None:
    (tmp_path / "in").mkdir()
    for name in (b"a.mp4", b"\xff.mp4"):
        (tmp_path / "in" / os.fsdecode(name)).write_bytes(drive.read_bytes())
    found = find_images(tmp_path / "in", frames_beside(tmp_path / "out.csv", FrameSettings(4.0)))
    summary = predict_many(predictor, found, tmp_path / "out.csv")
    assert (summary.scored, summary.quarantined) == (2, 1)
    assert list(summary.reasons) == ["its name is no UTF-8; rename the video"]


def test_frames_hold_no_metadata(drive: Path, tmp_path: Path) -> None:
    store = tmp_path / "frames"
    found = find_images(drive, VideoFrames(store, tmp_path / "out"))
    for _, item in found.images:
        with Image.open(item.ref.path) as picture:
            assert dict(picture.getexif()) == {}
    kept = json.loads((store / "drive.mp4" / "frames.json").read_text())
    assert kept.keys() == {"key", "frames", "remarks"}


def test_without_the_extra_it_is_named(
    drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'workzone\[video\]'"):
        find_images(drive, frames_beside(tmp_path / "out.csv"))


def test_without_an_output_there_is_no_place_for_frames(drive: Path) -> None:
    with pytest.raises(UsageError, match=r"drive\.mp4 is a video: name what to write, such as -o"):
        find_images(drive)


def test_folders_of_frames_are_never_shared(tmp_path: Path) -> None:
    """Whatever sources are called: numbers, too, which stand in for names that are taken."""
    sources = []
    for name in ("mon/1", "tue/1", "mon/2", "wed/1"):
        (tmp_path / name).mkdir(parents=True)
        sources.append(tmp_path / name)
    sources += [tmp_path / "a" / "x.mp4", tmp_path / "b" / "x.mp4", tmp_path / "c" / "x.mp4"]
    store = tmp_path / "store"
    places = [
        place / source.name if place == store else place
        for source, place in zip(sources, folders_of(sources, store), strict=True)
    ]
    assert len(set(places)) == len(sources)
    assert folders_of([tmp_path / "a.mp4"], store) == [store]
