"""Made pictures, copies of them as people make them, and how they are encoded."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from workzone.data.images import content_hash
from workzone.types import ImageRef, Sample


def picture(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A random scene of soft blobs, at any size the same."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def centred(image: Image.Image, side: float) -> Image.Image:
    """The middle of a picture, ``side`` as a share of its own."""
    left, top = (image.width * (1 - side) / 2, image.height * (1 - side) / 2)
    return image.crop(
        (round(left), round(top), round(image.width - left), round(image.height - top))
    )


def copies(image: Image.Image) -> dict[str, bytes]:
    """Copies of a picture, by the kind that the package calls them."""
    return {
        "re-encoded or resized": encoded(
            image.resize((image.width // 2, image.height // 2)), quality=50
        ),
        "mirrored": encoded(ImageOps.mirror(image), quality=70),
        "cropped": encoded(centred(image, 0.8), quality=70),
        "mirrored and cropped": encoded(ImageOps.mirror(centred(image, 0.72)), "PNG"),
    }


def stored(folder: Path, name: str, data: bytes, **known: object) -> Sample:
    """The sample of an image that is written to ``folder``."""
    (folder / name).write_bytes(data)
    return Sample(name, ImageRef(name), content_hash=content_hash(data), **known)  # type: ignore[arg-type]
