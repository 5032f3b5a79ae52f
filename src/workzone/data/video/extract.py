"""The chosen frames of a video as JPEG files in a folder, and a list of them beside them.

The folder takes its place when it is whole. A second run with the same video, track and settings
takes it as it is, so that an import that was stopped goes on at the video where it was.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workzone.data.find_files import FRAMES_LIST
from workzone.data.images import content_hash
from workzone.data.passed_over import counted
from workzone.data.video.choose import FrameSettings, choose, windows
from workzone.data.video.decode import Video, open_video
from workzone.data.video.pictures import sharpness, to_rgb
from workzone.data.video.places import Positions, positions_of
from workzone.errors import VideoError, WorkzoneError
from workzone.files import replacing_folder, write_text

QUALITY = 95
_VERSION = 2


@dataclass(frozen=True)
class Frames:
    """What was taken of a video: its frames, where it was, and remarks.

    ``frames``: file name, second, and content hash of each.
    """

    folder: Path
    frames: tuple[tuple[str, float, str], ...]
    positions: Positions
    remarks: tuple[str, ...]


def extract(video: Path, folder: Path, settings: FrameSettings) -> Frames:
    """Write the chosen frames of one video.

    Args:
        video: the file.
        folder: its frames' own; what was in it is replaced.
        settings: which frames.

    Raises:
        VideoError: it cannot be decoded, or not one frame of it.
        WorkzoneError: the folder cannot be written.
    """
    with open_video(video, keyframes=settings.keyframes) as opened:
        positions = positions_of(video, opened.duration, settings)
        key = _key(video, settings, positions)
        listed = _listed(folder, key) or _taken(opened, folder, key, settings, positions)
    return Frames(
        folder,
        tuple((str(name), float(at), str(content)) for name, at, content in listed["frames"]),
        positions,
        tuple(listed["remarks"]),
    )


def _taken(
    opened: Video,
    folder: Path,
    key: dict[str, Any],
    settings: FrameSettings,
    positions: Positions,
) -> dict[str, Any]:
    """The list of the frames that are written now."""
    with replacing_folder(folder) as aside:
        frames = [
            _write(seconds, jpeg, aside) for seconds, jpeg in _jpegs(opened, settings, positions)
        ]
        remarks = _remarks(opened)
        if not frames:
            raise VideoError(
                f"{opened.path}: not one frame could be decoded. {' '.join(remarks)}".rstrip()
            )
        listed = {"key": key, "frames": frames, "remarks": remarks}
        write_text(aside / FRAMES_LIST, json.dumps(listed))
    return listed


def _jpegs(
    opened: Video, settings: FrameSettings, positions: Positions
) -> Iterator[tuple[float, bytes]]:
    """Second and file of each chosen frame.

    Raises:
        VideoError: whatever its decoder raises, so that one odd video ends no other.
    """
    import simplejpeg

    chosen = choose(
        opened.frames(),
        windows(settings, positions.metres if positions.known else None),
        (lambda decoded: sharpness(decoded.frame)) if settings.sharpest else None,
    )
    try:
        for decoded in chosen:
            pixels = to_rgb(decoded.frame, opened.aspect)
            yield (
                decoded.seconds,
                simplejpeg.encode_jpeg(pixels, quality=QUALITY, colorspace="RGB"),
            )
    except WorkzoneError:
        raise
    except Exception as error:
        raise VideoError(
            f"{opened.path}: its frames cannot be taken: {type(error).__name__}: {error}. Convert "
            "it to H.264 in MP4, or leave it out"
        ) from error


def _write(seconds: float, jpeg: bytes, folder: Path) -> tuple[str, float, str]:
    name = f"{round(seconds * 1000):09d}.jpg"
    (folder / name).write_bytes(jpeg)
    return name, seconds, content_hash(jpeg)


def _remarks(opened: Video) -> list[str]:
    video, said = opened.path, []
    if opened.damaged:
        said.append(f"{video}: {counted(opened.damaged, 'damaged frame')} left out")
    if opened.untimed:
        said.append(f"{video}: {counted(opened.untimed, 'frame')} without an own time left out")
    if opened.jumps:
        said.append(
            f"{video}: its clock jumps back {counted(opened.jumps, 'time')}; what follows is taken "
            "to go on at once, so times and places after it may be wrong"
        )
    if opened.ends_early:
        said.append(f"{video}: its end cannot be read; the frames before it are taken")
    return said


def _key(video: Path, settings: FrameSettings, positions: Positions) -> dict[str, Any]:
    """What the choice of frames depends on."""
    stat = video.stat()
    way = b""
    if settings.metres is not None and positions.track is not None:
        track = positions.track
        way = b"".join(part.tobytes() for part in (track.seconds, track.metres, track.stretch))
        way += repr(positions.start).encode()
    chosen = dataclasses.asdict(settings)
    return {
        "version": _VERSION,
        "size": stat.st_size,
        "changed": stat.st_mtime_ns,
        "way": hashlib.blake2b(way, digest_size=16).hexdigest(),
    } | {name: chosen[name] for name in ("seconds", "metres", "keyframes", "sharpest")}


def _listed(folder: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    try:
        listed: dict[str, Any] = json.loads((folder / FRAMES_LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    complete = listed.get("key") == key and all(
        (folder / name).is_file() for name, *_ in listed["frames"]
    )
    return listed if complete else None
