"""Tiny videos whose pictures tell their second: made, cut and damaged here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

SIDE = 64
LEVELS = 12  # seconds that grey values can tell apart

Pixels = npt.NDArray[np.uint8]


def grey_of(second: float) -> int:
    """The grey value of all pictures of one second."""
    return 20 + 18 * int(second)


def second_of(pixels: Pixels) -> int:
    """The second that a picture's grey value tells."""
    return round((float(np.median(pixels)) - 20) / 18)


def telling(second: float) -> Pixels:
    return np.full((SIDE, SIDE, 3), grey_of(second), dtype=np.uint8)


def make_video(
    path: Path,
    seconds: Sequence[float] = tuple(n / 5 for n in range(40)),
    picture: Callable[[float], Pixels] = telling,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    gop: int = 5,
    options: dict[str, str] | None = None,
    rotation: float | None = None,
    aspect: Fraction | None = None,
) -> Path:
    """A video with a picture for each of ``seconds``, a key frame every ``gop``."""
    first = picture(seconds[0])
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=5)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.gop_size = gop
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = {"x265-params": "log-level=none", **(options or {})}
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for second in seconds:
            frame = av.VideoFrame.from_ndarray(picture(second), format="rgb24")
            frame.pts, frame.time_base = round(second * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut(source: Path, target: Path, start: float) -> Path:
    """The rest of a video from its first key frame at or after ``start``, as ``-c copy`` cuts it.

    Times stay as they were in the source, which containers keep, shift or take for an edit list.
    """
    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        film = read.streams.video[0]
        out = write.add_stream_from_template(film)
        started = False
        for packet in read.demux(film):
            if packet.dts is None:
                continue
            seconds = float(packet.pts * packet.time_base)
            started = started or (packet.is_keyframe and seconds >= start - 1e-6)
            if started:
                packet.stream = out
                write.mux(packet)
    return target


def retitled(source: Path, target: Path, title: bytes, other: bytes) -> Path:
    """A copy with a title, whose bytes are then others, as cameras write that know no UTF-8."""
    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        write.metadata["title"] = title.decode()
        out = write.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.stream = out
                write.mux(packet)
    target.write_bytes(target.read_bytes().replace(title, other))
    return target
