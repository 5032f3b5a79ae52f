"""Pictures as an MP4 file, through the extra ``video``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from workzone.errors import MissingExtraError, UsageError
from workzone.files import clear_left, writing

MOST = 60.0
"""Pictures a second, at most."""
_BT709 = 1  # of colours, ITU-T H.273
_ENCODERS = {"libx264": {"crf": "23", "preset": "veryfast"}, "mpeg4": {"qscale": "4"}}
"""The first that this FFmpeg has, with its settings: H.264 where there is x264."""


def check_rate(rate: float) -> None:
    """Make sure of a number of pictures a second.

    Raises:
        UsageError: it is not above 0, or above `MOST`.
    """
    if not (math.isfinite(rate) and 0 < rate <= MOST):
        raise UsageError(f"{rate:g} pictures a second: give a number above 0, up to {MOST:g}")


def write_mp4(
    pictures: Iterable[Image.Image], path: Path, size: tuple[int, int], rate: float
) -> None:
    """Write pictures as a film, one after the other, whole or not at all.

    Args:
        pictures: RGB of one size, taken one at a time.
        path: the file.
        size: width and height of the pictures, even.
        rate: pictures a second, see `check_rate`.

    Raises:
        UsageError: an odd side, or such a rate.
        MissingExtraError: PyAV is not installed.
        WorkzoneError: it cannot be written.
    """
    check_rate(rate)
    if size[0] % 2 or size[1] % 2:
        raise UsageError(f"pictures of {size[0]} x {size[1]} pixels: a film has even sides")
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "video", f"writing {path}") from error
    clear_left(path)
    each = Fraction(rate).limit_denominator(1000)
    with (
        writing(path) as aside,
        av.open(str(aside), "w", format="mp4", options={"movflags": "+faststart"}) as container,
    ):
        stream = _stream(container, each, size)
        for number, picture in enumerate(pictures):
            frame: Any = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
            frame.pts, frame.time_base = number, 1 / each
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _stream(container: Any, rate: Fraction, size: tuple[int, int]) -> Any:

    name = next(name for name in _ENCODERS if _has(name))
    stream = container.add_stream(name, rate=rate, options=_ENCODERS[name])
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.time_base = 1 / rate
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = 1  # 16 to 235
    return stream


def _has(encoder: str) -> bool:
    from av.codec.codec import Codec, UnknownCodecError

    try:
        Codec(encoder, "w")
    except UnknownCodecError:
        return False
    return True
