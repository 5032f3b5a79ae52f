"""Videos in; scores, smoothed scores, segments, tracks and annotated videos out, in one folder.

Each step's result is kept with what it depends on (``job.json``): a job that was stopped goes on
where it was, and one that is run again does nothing that is done.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workzone.data.find_files import ANNOTATED_SUFFIX, FRAMES_LIST
from workzone.data.images import decode_pixels
from workzone.data.manifest import Manifest
from workzone.data.video.choose import FrameSettings
from workzone.decide.drive import Chain, smooth
from workzone.decide.share import BALANCED
from workzone.errors import UsageError
from workzone.files import write_text
from workzone.progress import track
from workzone.report.drive_picture import DrivePictures, Moment
from workzone.run.bulk import predict_many
from workzone.run.drive_files import write_frames, write_segments
from workzone.run.drive_track import write_video_tracks
from workzone.run.drives import Drives, along_drives
from workzone.run.encode import check_rate, write_mp4
from workzone.run.explaining import overlay_places
from workzone.run.journal import job_identity
from workzone.run.predictor import Predictor
from workzone.run.scorer import Judged, Scorer
from workzone.run.sources import Found, Item, SourceLike, find_images
from workzone.run.videos import VideoFrames
from workzone.types import Sample

FRAMES, SCORES, SMOOTHED, TRACK = "frames", "scores.parquet", "smoothed.parquet", "track.gpx"
SEGMENTS = ("segments.csv", "segments.geojson")
"""What the folder holds, beside an annotated video of each."""

RATE = 4.0
"""Pictures a second of an annotated video: with a frame a second, four times as fast."""

_JOB = "job.json"
_VERSION = 1


@dataclass(frozen=True)
class AnnotatedVideos:
    """What a job made of videos."""

    folder: Path
    videos: int
    frames: int  # that were scored
    roadwork: int  # of them, each on its own
    unreadable: int  # videos and frames; why is in the quarantine table of the scores
    segments: int | None  # None: nothing tells when the videos were taken
    files: tuple[Path, ...]
    remarks: tuple[str, ...]


def annotate_videos(
    predictor: Scorer[Judged],
    sources: Sequence[SourceLike],
    folder: Path,
    *,
    settings: FrameSettings | None = None,
    metres: float | None = None,
    rate: float = RATE,
    image_only: bool = False,
) -> AnnotatedVideos:
    """Score videos, smooth the scores along them, and draw what was found.

    Args:
        predictor: the model.
        sources: videos, and folders of them.
        folder: of all that is written.
        settings: which frames; None: one a second.
        metres: to which positions are rounded wherever they are written; None: they are not.
        rate: pictures a second of annotated videos, one for each frame that was scored.
        image_only: do not use times and places, with a model that was trained with such.

    Raises:
        UsageError: no videos, a source that is not there, a folder that is a source itself, or
            such a rate.
        MissingExtraError: PyAV is not installed.
        WorkzoneError: something cannot be written, or another process writes there.
    """
    check_rate(rate)
    if folder.resolve() in [Path(source).resolve() for source in sources]:
        raise UsageError(f"{folder} is what is read from; name another folder to write to")
    settings = settings or FrameSettings()
    share = _share_of(predictor)
    frames = VideoFrames(folder / FRAMES, folder, settings, metres)
    found = _of_videos(find_images(sources, frames))
    done = _Done(folder / _JOB)
    key = _key(job_identity(predictor, found, image_only=image_only), found)
    scores = folder / SCORES
    if not done.holds(scores, key):
        predict_many(predictor, found, scores, image_only=image_only)
        done.add(scores, key)
    rows = _rows(scores)
    samples = [item.sample for name, item in found.images if item.sample and name in rows]
    files = [scores, folder / f"{SCORES}.quarantine.csv"]
    drives = _along(samples, rows, share)
    for name in (SMOOTHED, *SEGMENTS, TRACK):
        (folder / name).unlink(missing_ok=True)  # of an earlier run, perhaps of other videos
    files += [] if drives is None else _write_drives(drives, folder)
    if write_video_tracks(found.videos, folder / TRACK, settings, metres=metres):
        files.append(folder / TRACK)
    films = _films(samples, rows, drives, share)
    for film, place in zip(films, overlay_places(films, ANNOTATED_SUFFIX), strict=True):
        drawn = f"{_VERSION} {key} {rate:g} {share:g}"
        if not done.holds(folder / place, drawn):
            _write_film(films[film], folder / place, film, rate)
            done.add(folder / place, drawn)
        files.append(folder / place)
    remarks = list(found.remarks)
    if drives is None or len(drives.frames) < len(samples):
        remarks.append(
            "nothing tells when some of the videos were taken, so they have no segments; --start "
            "tells it of one video"
        )
    return AnnotatedVideos(
        folder=folder,
        videos=len(found.videos),
        frames=len(rows),
        roadwork=sum(row["decision"] == "roadwork" for row in rows.values()),
        unreadable=len(found.images) - len(rows),
        segments=None if drives is None else len(drives.segments),
        files=tuple(file for file in files if file.is_file()),
        remarks=tuple(remarks),
    )


def _share_of(predictor: Scorer[Judged]) -> float:
    """The share of road work that a model's probabilities hold for, as far as it is told."""
    told = predictor.description.calibration.share if isinstance(predictor, Predictor) else None
    return BALANCED if told is None else told


class _Done:
    """Which files are made, and of what."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._keys: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._keys = {}

    def holds(self, file: Path, key: str) -> bool:
        """Whether a file is there, and made of this."""
        return file.is_file() and self._keys.get(self._name(file)) == key

    def add(self, file: Path, key: str) -> None:
        """Write down that it is."""
        self._keys[self._name(file)] = key
        write_text(self._path, json.dumps(self._keys, indent=1) + "\n")

    def _name(self, file: Path) -> str:
        return file.relative_to(self._path.parent).as_posix()


def _of_videos(found: Found) -> Found:
    """Without the images beside videos."""
    images = [(name, item) for name, item in found.images if _is_frame(item)]
    return dataclasses.replace(found, images=images)


def _is_frame(item: Item) -> bool:
    return item.problem is not None or (item.sample is not None and "video" in item.sample.extra)


def _key(identity: Mapping[str, str], found: Found) -> str:
    """Changes with the model and with any frame: lists of frames tell the date of their video."""
    digest = hashlib.blake2b(json.dumps(identity).encode(), digest_size=16)
    for name, item in found.images:
        digest.update(repr((name, item.sample)).encode())
    folders = {Path(item.ref.path).parent for _, item in found.images if item.problem is None}
    for folder in sorted(folders):
        digest.update((folder / FRAMES_LIST).read_bytes())
    return digest.hexdigest()


def _rows(scores: Path) -> dict[str, dict[str, Any]]:
    """Rows of the scores by id."""
    import pyarrow.parquet as pq

    return {row["id"]: row for row in pq.read_table(scores).to_pylist()}


def _along(
    samples: Sequence[Sample], rows: Mapping[str, dict[str, Any]], share: float
) -> Drives | None:
    """Drives of the frames that have a time; None where none has."""
    timed = [sample for sample in samples if sample.time is not None]
    if not timed:
        return None
    probabilities = {sample.id: float(rows[sample.id]["probability"]) for sample in timed}
    return along_drives(Manifest(timed, Path()), probabilities, Chain(), share=share)


def _write_drives(drives: Drives, folder: Path) -> list[Path]:
    table, on_map = (folder / name for name in SEGMENTS)
    write_frames(drives.frames, folder / SMOOTHED)
    write_segments(drives, table)
    if not any(one.places for one in drives.segments):
        return [folder / SMOOTHED, table]
    write_segments(drives, on_map)
    return [folder / SMOOTHED, table, on_map]


@dataclass(frozen=True)
class _Film:
    """The frames of one video that were scored, in order."""

    moments: Sequence[Moment]
    pictures: Sequence[Path]


def _films(
    samples: Sequence[Sample],
    rows: Mapping[str, dict[str, Any]],
    drives: Drives | None,
    share: float,
) -> dict[str, _Film]:
    """By the ids of videos; those that are on no drive are smoothed by themselves."""
    likely = {} if drives is None else {frame.id: frame.smoothed for frame in drives.frames}
    by_video: dict[str, list[Sample]] = {}
    for sample in samples:
        by_video.setdefault(sample.id.rpartition("/")[0], []).append(sample)
    films = {}
    for video, shown in by_video.items():
        shown.sort(key=_offset)
        seconds = [_offset(sample) for sample in shown]
        own = [float(rows[sample.id]["probability"]) for sample in shown]
        alone = smooth(seconds, own, Chain(), share=share).tolist()
        smoothed = [
            likely.get(sample.id, value) for sample, value in zip(shown, alone, strict=True)
        ]
        moments = [
            _moment(sample, rows[sample.id], value)
            for sample, value in zip(shown, smoothed, strict=True)
        ]
        films[video] = _Film(moments, [Path(sample.image.path) for sample in shown])
    return films


def _offset(sample: Sample) -> float:
    return float(sample.extra["offset"])


def _moment(sample: Sample, row: Mapping[str, Any], smoothed: float) -> Moment:
    latitude, longitude = sample.latitude, sample.longitude
    return Moment(
        seconds=_offset(sample),
        probability=float(row["probability"]),
        smoothed=smoothed,
        box=(row["x0"], row["y0"], row["x1"], row["y1"]),
        time=sample.time,
        latitude=math.nan if latitude is None else latitude,
        longitude=math.nan if longitude is None else longitude,
    )


def _write_film(film: _Film, path: Path, name: str, rate: float) -> None:
    frames = (decode_pixels(file.read_bytes(), name=str(file)) for file in film.pictures)
    first = decode_pixels(film.pictures[0].read_bytes(), name=str(film.pictures[0]))
    pictures = DrivePictures(film.moments, (first.shape[0], first.shape[1]), gap=Chain().gap)
    drawn = (pictures.draw(frame, number) for number, frame in enumerate(frames))
    shown = track(drawn, f"drawing {name}", total=len(film.pictures))
    write_mp4(shown, path, pictures.size, rate)
