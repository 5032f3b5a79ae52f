"""Videos to a folder of scores, segments, tracks and annotated videos."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from made_images import blob_image
from made_tracks import START, gpx, place
from made_videos import Pixels, make_video
from workzone.data.places import haversine
from workzone.data.track.reading import read_track
from workzone.data.video import decode
from workzone.data.video.choose import FrameSettings
from workzone.data.video.pictures import to_rgb
from workzone.decide.drive import Chain, smooth
from workzone.errors import UsageError, WorkzoneError
from workzone.run import annotate
from workzone.run.annotate import annotate_videos
from workzone.run.predictor import Predictor

SECONDS = 16
WORK = range(5, 13)
"""Seconds of the made drive with road work in view."""

FILES = (
    *("scores.parquet", "scores.parquet.quarantine.csv", "smoothed.parquet", "segments.csv"),
    *("segments.geojson", "track.gpx", "drive.mp4.annotated.mp4"),
)


def street(second: float) -> Pixels:
    """Road work is an orange blob, as in what the small model learned from."""
    return np.asarray(blob_image(700 + int(second), int(second) in WORK))


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen seconds with a log that begins with them and lasts as long."""
    folder = tmp_path_factory.mktemp("drive")
    (folder / "drive.gpx").write_text(gpx(range(SECONDS + 1)))
    seconds = [n / 2 for n in range(2 * SECONDS)]
    return make_video(folder / "drive.mp4", seconds, street, options={"crf": "10"})


@pytest.fixture(scope="module")
def made(
    drive: Path, tmp_path_factory: pytest.TempPathFactory, predictor: Predictor
) -> annotate.AnnotatedVideos:
    return annotate_videos(predictor, [drive], tmp_path_factory.mktemp("out") / "found")


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Videos that are decoded, images that are scored, films that are written."""
    steps: list[str] = []
    frames, score, write = decode.Video.frames, Predictor.score, annotate.write_mp4

    def decoding(video: decode.Video) -> Any:
        steps.append(f"decoded {video.path.name}")
        return frames(video)

    def scoring(self: Predictor, *arguments: Any, **options: Any) -> Iterator[Any]:
        for result in score(self, *arguments, **options):
            steps.append("scored")
            yield result

    def writing(pictures: Any, path: Path, *rest: Any) -> None:
        steps.append(f"wrote {path.name}")
        write(pictures, path, *rest)

    monkeypatch.setattr(decode.Video, "frames", decoding)
    monkeypatch.setattr(Predictor, "score", scoring)
    monkeypatch.setattr(annotate, "write_mp4", writing)
    return steps


def shown(path: Path) -> list[tuple[float, Pixels]]:
    """Each picture of a film with its second."""
    with decode.open_video(path) as video:
        return [(one.seconds, to_rgb(one.frame)) for one in video.frames()]


def test_all_of_it_is_there(made: annotate.AnnotatedVideos) -> None:
    assert [path.name for path in made.files] == list(FILES)
    assert (made.videos, made.frames, made.unreadable, made.segments) == (1, SECONDS, 0, 1)
    rows = pq.read_table(made.folder / "scores.parquet").to_pylist()
    found = [n for n, row in enumerate(rows) if row["decision"] == "roadwork"]
    assert made.roadwork == len(found)
    assert len(set(found) & set(WORK)) >= 6
    smoothed = pq.read_table(made.folder / "smoothed.parquet").to_pylist()
    assert [row["id"] for row in smoothed] == [row["id"] for row in rows]
    (feature,) = json.loads((made.folder / "segments.geojson").read_text())["features"]
    begin, end = (feature["properties"][name] for name in ("start", "end"))
    assert begin <= (START + timedelta(seconds=WORK[1])).isoformat()
    assert end >= (START + timedelta(seconds=WORK[-2])).isoformat()
    longitude, latitude = feature["geometry"]["coordinates"][0]
    begun = (datetime.fromisoformat(begin) - START).total_seconds()
    assert haversine(latitude, longitude, *place(begun)) < 0.1


def test_the_track_is_that_of_the_video(made: annotate.AnnotatedVideos) -> None:
    track = read_track(made.folder / "track.gpx")
    assert len(track) == SECONDS  # the last fix is after the last frame
    assert haversine(track.latitude[3], track.longitude[3], *place(3)) < 0.1


def test_the_film_has_a_picture_for_each_frame(made: annotate.AnnotatedVideos) -> None:
    with av.open(str(made.files[-1])) as container:
        stream = container.streams.video[0]
        assert (stream.frames, stream.average_rate) == (SECONDS, 4)
        assert float(stream.duration * stream.time_base) == pytest.approx(SECONDS / 4)
        assert (stream.width, stream.height % 2) == (640, 0)
    for second, pixels in shown(made.files[-1]):
        known = np.asarray(Image.fromarray(street(4 * second)).resize((640, 426)), dtype=int)
        lower = np.s_[250:420, 20:480]  # below the map and mostly beside the outline
        assert np.abs(pixels[lower] - known[lower]).mean() < 16, second


def test_a_second_run_does_nothing(
    drive: Path, made: annotate.AnnotatedVideos, predictor: Predictor, done: list[str]
) -> None:
    before = [path.read_bytes() for path in made.files]
    assert annotate_videos(predictor, [drive], made.folder) == made
    assert done == []
    assert [path.read_bytes() for path in made.files] == before


def test_what_is_asked_otherwise_is_made_again_and_nothing_else(
    drive: Path, tmp_path: Path, predictor: Predictor, done: list[str]
) -> None:
    settings = FrameSettings(4.0)
    annotate_videos(predictor, [drive], tmp_path, settings=settings)
    done.clear()
    again = annotate_videos(predictor, [drive], tmp_path, settings=settings, rate=2)
    assert done == ["wrote drive.mp4.annotated.mp4"]
    assert len(shown(again.files[-1])) == 4
    done.clear()
    annotate_videos(predictor, [drive], tmp_path, settings=settings, metres=100)
    assert "decoded drive.mp4" not in done
    assert done.count("scored") == 4
    track = read_track(tmp_path / "track.gpx")
    assert len(set(track.latitude.tolist())) <= 3
    assert "<ele>" not in (tmp_path / "track.gpx").read_text()
    places = pq.read_table(tmp_path / "scores.parquet", columns=["latitude"]).to_pydict()
    assert set(places["latitude"]) <= set(track.latitude.tolist())


def test_frames_are_smoothed_by_the_share_that_the_model_holds_for(
    drive: Path, tmp_path: Path, predictor: Predictor
) -> None:
    def smoothed(share: float) -> list[float]:
        model = predictor.described(predictor.description.with_share(share))
        folder = tmp_path / str(share)
        annotate_videos(model, [drive], folder, settings=FrameSettings(4.0))
        scores: list[float] = pq.read_table(folder / "scores.parquet")["probability"].to_pylist()
        table = pq.read_table(folder / "smoothed.parquet")
        seconds = (
            [0.0, 4.0][: len(scores)] if len(scores) == 2 else [4.0 * n for n in range(len(scores))]
        )
        assert table["smoothed"].to_pylist() == pytest.approx(
            smooth(seconds, scores, Chain(), share=share).tolist(), abs=1e-6
        )
        return scores

    assert smoothed(0.05) != smoothed(0.5)


def test_a_stopped_job_goes_on(
    drive: Path,
    tmp_path: Path,
    predictor: Predictor,
    done: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped while it draws: what was decoded and scored is kept, and no half film is left."""

    def stopped(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    settings = FrameSettings(4.0)
    with monkeypatch.context() as patched:
        patched.setattr(annotate.DrivePictures, "draw", stopped)
        with pytest.raises(KeyboardInterrupt):
            annotate_videos(predictor, [drive], tmp_path, settings=settings)
    assert not list(tmp_path.glob("*.mp4")) and not list(tmp_path.glob(".*.part"))
    done.clear()
    made = annotate_videos(predictor, [drive], tmp_path, settings=settings)
    assert done == ["wrote drive.mp4.annotated.mp4"]
    assert len(shown(made.files[-1])) == 4


def test_a_phone_s_upright_video_is_upright(tmp_path: Path, predictor: Predictor) -> None:
    """Stored on its side, with an angle to turn it by: 90 wide, 160 high, red at the left top."""
    upright = np.full((160, 90, 3), 90, np.uint8)
    upright[:40, :30] = (200, 40, 40)
    stored = np.ascontiguousarray(np.rot90(upright, -1))
    make_video(tmp_path / "a.mp4", [0, 0.2, 1, 1.2], lambda _: stored, rotation=90)
    made = annotate_videos(predictor, [tmp_path / "a.mp4"], tmp_path / "out")
    for _, pixels in shown(made.files[-1]):
        height, width, _ = pixels.shape
        assert (width, height > 640) == (480, True)
        left = (width - 360) // 2
        assert np.abs(pixels[10:150, left + 10 : left + 110] - (200.0, 40, 40)).mean() < 14
        assert np.abs(pixels[200:630, left + 10 : left + 350] - 90.0).mean() < 14


def test_without_times_there_are_no_segments_and_that_is_said(
    tmp_path: Path, predictor: Predictor
) -> None:
    make_video(tmp_path / "a.mp4", [0, 1, 2, 3], street)
    (tmp_path / "out").mkdir()
    for name in FILES[2:6]:
        (tmp_path / "out" / name).write_text("of other videos")
    made = annotate_videos(predictor, [tmp_path / "a.mp4"], tmp_path / "out")
    assert [path.name for path in made.files] == [FILES[0], FILES[1], "a.mp4.annotated.mp4"]
    assert made.segments is None
    assert not any((tmp_path / "out" / name).exists() for name in FILES[2:6])
    assert any("they have no segments; --start" in remark for remark in made.remarks)
    assert len(shown(made.files[-1])) == 4


def test_a_folder_with_a_broken_video_and_a_corrupted_tail(
    drive: Path, tmp_path: Path, predictor: Predictor
) -> None:
    videos = tmp_path / "in"
    (videos / "day").mkdir(parents=True)
    whole = make_video(videos / "day" / "cut.ts", [n / 2 for n in range(16)], street)
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) * 5 // 8] + bytes(1000))
    (videos / "day" / "cut.gpx").write_text(gpx(range(9)))
    (videos / "broken.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    blob_image(1, 1).save(videos / "photo.png")
    start = FrameSettings(2.0)
    made = annotate_videos(predictor, [videos], videos / "out", settings=start)
    assert (made.videos, made.unreadable) == (2, 1)
    assert 1 <= made.frames <= 3
    assert "broken.mp4 cannot be opened" in made.files[1].read_text(encoding="utf-8")
    film = videos / "out" / "day" / "cut.ts.annotated.mp4"
    assert len(shown(film)) == made.frames
    again = annotate_videos(predictor, [videos], videos / "out", settings=start)
    assert again == made  # its own films and frames are no videos of the folder


def test_what_is_refused(drive: Path, tmp_path: Path, predictor: Predictor) -> None:
    with pytest.raises(UsageError, match="is what is read from; name another folder to write to"):
        annotate_videos(predictor, [drive.parent], drive.parent)
    with pytest.raises(UsageError, match="pictures a second"):
        annotate_videos(predictor, [drive], tmp_path / "out", rate=0)
    blob_image(1, 1).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match=r"a\.png holds none"):
        annotate_videos(predictor, [tmp_path / "a.png"], tmp_path / "out")
    with pytest.raises(WorkzoneError, match=r"drive\.mp5 does not exist: .*drive\.mp4"):
        annotate_videos(predictor, [drive.with_suffix(".mp5")], tmp_path / "out")
    assert not (tmp_path / "out").exists()
