"""Where videos were driven, as one file of tracks beside what was found in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workzone.data.track.files import write_tracks
from workzone.data.track.track import Track
from workzone.data.video.choose import FrameSettings
from workzone.data.video.decode import open_video
from workzone.data.video.places import positions_of
from workzone.errors import VideoError
from workzone.run.rounding import rounded_track


def write_video_tracks(
    videos: Sequence[Path], path: Path, settings: FrameSettings, *, metres: float | None = None
) -> bool:
    """Write the track of each video, as long as the video lasts, to a ``.gpx`` file.

    Args:
        videos: those that cannot be opened, or have no positions, are left out.
        path: the file.
        settings: zone, weeks and start of the videos.
        metres: to which positions are rounded; None: they are not.

    Returns:
        Whether any has positions; without any there is no file.

    Raises:
        MissingExtraError: PyAV is not installed.
        WorkzoneError: it cannot be written.
    """
    tracks = [track for video in videos if (track := _track(video, settings)) is not None]
    if metres is not None:
        tracks = [rounded_track(track, metres) for track in tracks]
    if tracks:
        write_tracks(tracks, path)
    return bool(tracks)


def _track(video: Path, settings: FrameSettings) -> Track | None:
    """The part of a video's track that lies within it; None where that is not known."""
    try:
        with open_video(video) as opened:
            duration = opened.duration
            found = positions_of(video, duration, settings)
    except VideoError:
        return None
    if found.track is None or not found.known:
        return None
    track = dataclasses.replace(found.track, path=video)
    begun = 0.0 if track.axis == "offset" or found.start is None else found.start
    ends = np.inf if duration is None else begun + duration
    within = np.flatnonzero((track.seconds >= begun) & (track.seconds <= ends))
    return _rows(track, within) if len(within) else None


def _rows(track: Track, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Track:
    """Some fixes of a track."""
    columns = {
        field.name: getattr(track, field.name)[rows]
        for field in dataclasses.fields(track)
        if isinstance(getattr(track, field.name), np.ndarray)
    }
    images = tuple(track.images[row] for row in rows.tolist())
    return dataclasses.replace(track, images=images, **columns)
