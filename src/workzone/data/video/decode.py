"""Frames of a video in order, with the seconds since its first; what is damaged is counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workzone.errors import MissingExtraError, VideoError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


@dataclass(frozen=True, slots=True)
class Decoded:
    """A frame as it is stored, not upright, and its second since the video's first frame."""

    seconds: float
    frame: VideoFrame


@dataclass
class Video:
    """An open video; `frames` goes through it once."""

    path: Path
    container: InputContainer
    stream: VideoStream
    damaged: int = 0  # packets and frames that could not be decoded, or only in part
    untimed: int = 0  # frames without a time, or with one before the last
    ends_early: bool = False  # the file could not be read to its end
    _last: float | None = field(default=None, repr=False)
    _begins: float | None = field(default=None, repr=False)  # the least time of a packet so far

    @property
    def duration(self) -> float | None:
        """Seconds, as the file says."""
        if self.stream.duration is not None and self.stream.time_base is not None:
            return float(self.stream.duration * self.stream.time_base)
        return None if self.container.duration is None else self.container.duration / 1_000_000

    @property
    def aspect(self) -> float:
        """Width of a pixel over its height."""
        ratio = self.stream.sample_aspect_ratio
        return float(ratio) if ratio else 1.0

    def frames(self) -> Iterator[Decoded]:
        """Every frame in the order in which it is shown, decoded once.

        Damaged frames begin the video too: its zero is the least time of the packets up to the
        first frame that can be decoded, but of those that an edit list hides.

        Raises:
            VideoError: no frame has a time.
        """
        first: float | None = None
        for frame in self._decoded():
            time = self._time(frame)
            if time is None:
                self.untimed += 1
                continue
            if first is None:
                first = time if self._begins is None else min(time, self._begins)
            if frame.is_corrupt:
                self.damaged += 1
            elif self._last is not None and time <= self._last:
                self.untimed += 1
            else:
                self._last = time
                yield Decoded(time - first, frame)
        if first is None and self.untimed:
            raise VideoError(
                f"{self.path}: its frames have no times; put it into a container that keeps them, "
                f"for example with `ffmpeg -framerate 25 -i {self.path.name} -c copy out.mp4`"
            )

    def _time(self, frame: Any) -> float | None:
        """Seconds; the last frames of a file that broke off count by the stream's own clock."""
        base = frame.time_base or self.stream.time_base
        return None if frame.pts is None or base is None else float(frame.pts * base)

    def _decoded(self) -> Iterator[Any]:  # its types deny that times may be missing
        import av

        packets = self.container.demux(self.stream)
        flushed = False
        while not flushed:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                self.ends_early = True
                packet = None
            flushed = packet is None or packet.size == 0
            if packet is not None and packet.pts is not None and not packet.is_discard:
                seconds = float(packet.pts * packet.time_base)
                self._begins = min(seconds, seconds if self._begins is None else self._begins)
            try:
                frames: list[Any] = self.stream.decode(None) if packet is None else packet.decode()
            except av.FFmpegError:
                if not flushed:
                    self.damaged += 1
                continue
            yield from frames


@contextmanager
def open_video(path: Path, *, keyframes: bool = False) -> Iterator[Video]:
    """Open a video's first film.

    Args:
        path: the file.
        keyframes: decode key frames only, which is many times faster.

    Raises:
        VideoError: no video, or one that this FFmpeg cannot decode.
        MissingExtraError: PyAV is not installed.
    """
    try:
        import av
        from av.stream import Disposition
    except ImportError as error:
        raise MissingExtraError("av", "video", f"reading {path}") from error
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise VideoError(
            f"{path} cannot be opened as a video: {said}. The recording or the copy may have "
            "broken off: copy it again, or repair it, for example with untrunc"
        ) from error
    with container:
        streams = [
            stream
            for stream in container.streams.video
            if stream.codec_context.width and not stream.disposition & Disposition.attached_pic
        ]
        if not streams:
            raise VideoError(f"{path} holds no film that can be decoded")
        stream = max(streams, key=lambda one: one.codec_context.width * one.codec_context.height)
        stream.thread_type = "AUTO"
        if keyframes:
            stream.codec_context.skip_frame = "NONKEY"
        yield Video(path, container, stream)
