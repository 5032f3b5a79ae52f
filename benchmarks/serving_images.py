"""The images of serving.py: drawn streets as a camera and as the subnet's challenge send them."""

from __future__ import annotations

import io

from drawn_frames import drawn_frame
from PIL import Image

KINDS = ("224 px challenge", "1280x720 frame")
DISTINCT = 12


def images(kind: str, count: int) -> list[bytes]:
    """So many files of one of `KINDS`; after `DISTINCT` of them they repeat."""
    frames = [drawn_frame(number) for number in range(min(count, DISTINCT))]
    if kind == KINDS[0]:
        frames = [_challenge(frame) for frame in frames]
    return [frames[number % len(frames)] for number in range(count)]


def _challenge(frame: bytes) -> bytes:
    """The middle of a frame, 224 x 224, as JPEG of Pillow's default quality."""
    image = Image.open(io.BytesIO(frame))
    left = (image.width - image.height) // 2
    square = image.crop((left, 0, left + image.height, image.height)).resize((224, 224))
    buffer = io.BytesIO()
    square.save(buffer, "JPEG")
    return buffer.getvalue()
