"""Made street images for tests: grey noise, with an orange blob where there is road work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from workzone.data.images import content_hash
from workzone.types import ImageRef, Sample

ORANGE = (240, 120, 10)
BLUE = (30, 60, 200)


def blob_image(
    seed: int,
    label: int,
    *,
    width: int = 96,
    height: int = 64,
    at: tuple[int, int] | None = None,
) -> Image.Image:
    """Noise with a square, orange for label 1 and blue for 0, at pixel ``at`` or anywhere."""
    random = np.random.default_rng(seed)
    coarse = random.integers(60, 160, (height // 8, width // 8, 1)).repeat(3, axis=2)
    image = Image.fromarray(coarse.astype(np.uint8)).resize((width, height))
    pixels = np.array(image)
    side = height // 3
    left, top = at or (random.integers(0, width - side), random.integers(0, height - side))
    pixels[top : top + side, left : left + side] = ORANGE if label else BLUE
    return Image.fromarray(pixels)


def sample_of(path: Path, **known: Any) -> Sample:
    """The sample of an image file, with its content hash; its path is relative to its folder."""
    return Sample(
        path.stem,
        ImageRef(path.name),
        content_hash=content_hash(path.read_bytes()),
        **known,
    )
