"""Augmented copies of a frame, each under its own seed, so that they can be stored once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torchvision.transforms.v2 import functional as T

from workzone.errors import UsageError

LEAST_SIDE = 8
"""Pixels; a crop keeps at least as many a side, which the blur needs."""


@dataclass(frozen=True)
class Augmentation:
    """How a copy differs from its image.

    The defaults are mild: what another camera, another lane or another hour would change.

    Raises:
        UsageError: a value is not a share of 1.
    """

    seed: int = 0
    flip: float = 0.5  # probability of a left-right flip
    least_area: float = 0.5  # share of the frame that a random crop keeps at least, 0..1
    light: float = 0.3  # brightness, contrast, saturation are scaled within 1 +- this
    blur: float = 0.2  # probability of a Gaussian blur, sigma 0.5..2 px

    def __post_init__(self) -> None:
        for name in ("flip", "least_area", "light", "blur"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is a share from 0 to 1, not {getattr(self, name)}")


def augment(frame: torch.Tensor, recipe: Augmentation, *, identity: str, copy: int) -> torch.Tensor:
    """Change a frame at random, reproducibly.

    The random numbers depend on (recipe.seed, identity, copy) alone: not on the order of images,
    nor on the number of workers.

    Args:
        frame: uint8 ``[3, H, W]``.
        recipe: what may change.
        identity: of the image, such as its content hash.
        copy: number of the copy.

    Returns:
        uint8 ``[3, h, w]`` with h <= H and w <= W.
    """
    digest = hashlib.blake2b(f"{recipe.seed}/{identity}/{copy}".encode(), digest_size=8).digest()
    random = np.random.default_rng(int.from_bytes(digest, "little"))
    _, height, width = frame.shape
    share = float(np.sqrt(random.uniform(recipe.least_area, 1)))
    crop_height = max(round(height * share), min(height, LEAST_SIDE))
    crop_width = max(round(width * share), min(width, LEAST_SIDE))
    top = int(random.integers(0, height - crop_height + 1))
    left = int(random.integers(0, width - crop_width + 1))
    frame = frame[:, top : top + crop_height, left : left + crop_width]
    if random.random() < recipe.flip:
        frame = frame.flip(-1)
    factors = random.uniform(1 - recipe.light, 1 + recipe.light, size=3)
    frame = T.adjust_brightness(frame, float(factors[0]))
    frame = T.adjust_contrast(frame, float(factors[1]))
    frame = T.adjust_saturation(frame, float(factors[2]))
    sigma = float(random.uniform(0.5, 2))
    if random.random() < recipe.blur:
        frame = T.gaussian_blur(frame, kernel_size=[9, 9], sigma=[sigma, sigma])
    return frame
