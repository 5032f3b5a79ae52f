"""From a file to a track: which reader, and which log beside a video."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import tzinfo
from pathlib import Path

from workzone.data.find_files import nearest_name
from workzone.data.kinds import is_video
from workzone.data.track import (
    blackvue,
    camm,
    gopro,
    gpx,
    mapillary,
    nmea,
    novatek,
    seventy_mai,
    stills,
    table,
)
from workzone.data.track.boxes import is_mp4
from workzone.data.track.film import Film, FilmReader
from workzone.data.track.fixes import HEAD, Clock, Log, Reader
from workzone.data.track.track import MAX_GAP, Track, build
from workzone.errors import TrackError

IN_VIDEOS: tuple[FilmReader, ...] = (gopro.read, camm.read, blackvue.read, novatek.read)
LOGS: tuple[Reader, ...] = (
    *(gpx.read, mapillary.read, seventy_mai.read, nmea.read, table.read, stills.read),
)

_BESIDE = (".gpx", ".nmea", ".csv", ".log", ".txt")
_CARD = "GPSData*.txt"
_ABOVE = 4  # folders up to which 70mai's log lies above its videos


def read_track(
    path: Path,
    *,
    zone: tzinfo | None = None,
    weeks: int | None = None,
    max_gap: float = MAX_GAP,
) -> Track:
    """The positions in a video or beside it, in a log, a photograph, or a folder of photographs.

    Args:
        path: the file or folder.
        zone: of times that name none.
        weeks: see `workzone.data.track.track.build`.
        max_gap: seconds between fixes up to which the way is taken as known.

    Raises:
        TrackError: nothing there, no positions in it, or none that can be trusted.
    """
    if not path.exists():
        raise TrackError(f"nothing at {path}{nearest_name(path)}")
    clock = Clock(zone)
    empty = []
    with closing(_found(path, clock)) as logs:
        for found, log in logs:
            if log.fixes:
                return build(found, log, weeks=weeks, max_gap=max_gap)
            empty.append(str(log))
    if empty:
        raise TrackError(f"{path} has no positions that can be used. {'; '.join(empty)}")
    if is_video(path):
        raise TrackError(
            f"{path} has no positions in it that are known (GoPro, CAMM, BlackVue, Novatek), and "
            f"there is no log beside it: {path.stem} with {', '.join(_BESIDE)}"
        )
    raise TrackError(
        f"{path} is no log of positions that is known: GPX, NMEA, CSV with time, latitude and "
        "longitude, 70mai's GPSData, mapillary_image_description.json, or photographs with EXIF"
    )


def _found(path: Path, clock: Clock) -> Generator[tuple[Path, Log], None, None]:
    """What readers find, the surest first: within the video, beside it, on the card."""
    if path.is_dir():
        description = path / mapillary.FILE
        if description.is_file():
            path = description
        yield from _read(path, LOGS, clock)
        return
    if not is_video(path):
        yield from _read(path, LOGS, clock)
        return
    refused = None
    try:
        yield from _within(path, clock)
    except TrackError as error:  # a sound log beside it may do
        refused = error
    for found, log in _outside(path, clock):
        if refused is not None:
            log.note(str(refused))
        yield found, log
    if refused is not None:
        raise refused


def _within(video: Path, clock: Clock) -> Iterator[tuple[Path, Log]]:
    """What a video itself holds."""
    if not is_mp4(_head(video)):
        return
    with video.open("rb") as handle:
        film = Film(video, handle)
        for reader in IN_VIDEOS:
            log = reader(film, clock)
            if log is not None:
                yield video, log


def _outside(video: Path, clock: Clock) -> Iterator[tuple[Path, Log]]:
    """What logs beside a video, and on its card, hold of it."""
    for beside in _logs_beside(video):
        yield from _read(beside, LOGS, clock)
    description = video.parent / mapillary.FILE
    if description.is_file():
        log = mapillary.read_video(description, _head(description), video)
        if log is not None:
            yield description, log
    for card in _cards(video):
        log = seventy_mai.read_video(card, _head(card), clock, video)
        if log is not None:
            yield card, log


def _read(path: Path, readers: tuple[Reader, ...], clock: Clock) -> Iterator[tuple[Path, Log]]:
    head = b"" if path.is_dir() else _head(path)
    for reader in readers:
        log = reader(path, head, clock)
        if log is not None:
            yield path, log


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as handle:
            return handle.read(HEAD)
    except OSError as error:
        raise TrackError(f"{path} cannot be read: {error.strerror}; allow reading it") from error


def _logs_beside(video: Path) -> Iterator[Path]:
    """Files named as the video, in the order of `_BESIDE`."""
    for suffix in _BESIDE:
        spellings = (video.with_suffix(spelling) for spelling in (suffix, suffix.upper()))
        beside = next((file for file in spellings if file.is_file()), None)
        if beside is not None:
            yield beside


def _cards(video: Path) -> Iterator[Path]:
    """70mai's logs in the folders above one of its videos."""
    if seventy_mai.is_video_of(video):
        for folder in list(video.absolute().parents)[:_ABOVE]:
            yield from sorted(folder.glob(_CARD))
