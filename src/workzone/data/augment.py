"""Augmented copies of a frame, each under its own seed, so that they can be stored once.

The recipes are those of :mod:`workzone.data.augmentation`.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass

import numpy as np
import torch

from workzone.data.augmentation import Augmentation, recipe_of
from workzone.data.challenge import challenge_image, changes_of, turned_and_cropped

LEAST_SIDE = 8
"""Pixels; a crop keeps at least as many a side, which the blur needs."""


_DRAWING = threading.Lock()
"""Held while torch's generator, of which a process has one, is seeded for a frame."""


def augment(frame: torch.Tensor, recipe: Augmentation, *, identity: str, copy: int) -> torch.Tensor:
    """Change a frame at random, reproducibly.

    The random numbers depend on (recipe.seed, identity, copy) alone: not on the order of images,
    nor on the number of workers. Torch's generator is left as it was.

    Args:
        frame: uint8 ``[3, H, W]``.
        recipe: what may change.
        identity: of the image, such as its content hash.
        copy: number of the copy, or of the epoch.

    Returns:
        uint8: ``[3, h, w]`` with h <= H and w <= W of ``mild``, ``[3, 224, 224]`` of ``challenge``,
        either of ``varied``, ``[3, H, W]`` of the others.
    """
    kind = recipe_of(recipe, copy)
    if kind == "challenge":
        return challenge_image(frame, identity=f"{identity}/{copy}", seed=recipe.seed).pixels
    seed = _seed(recipe, identity, copy)
    if kind == "mild":
        return _mild(frame, recipe, np.random.default_rng(seed))
    from torchvision.transforms import v2  # a second of every start, were it at the top

    policies = {"trivial": v2.TrivialAugmentWide, "rand": v2.RandAugment}
    with _DRAWING, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # of the CPU; others stay as they are
        changed: torch.Tensor = policies[kind]()(frame)
    return changed


def augment_masks(
    masks: torch.Tensor,
    recipe: Augmentation,
    *,
    size: tuple[int, int],
    identity: str,
    copy: int,
) -> torch.Tensor | None:
    """What is left of a frame's masks, and where, in the copy that `augment` makes.

    Args:
        masks: uint8 ``[K, h, w]``, 0 or 255, of the frame's shape, at any scale.
        recipe: as `augment` was given.
        size: height and width of the frame, in pixels.
        identity: as `augment` was given.
        copy: as `augment` was given.

    Returns:
        Shares ``[K, h', w']``, 0..1; None of recipes that torchvision draws, which tell nobody.
    """
    kind = recipe_of(recipe, copy)
    if kind == "challenge":
        changes = changes_of(*size, identity=f"{identity}/{copy}", seed=recipe.seed)
        small = changes.scaled(masks.shape[1] / size[0])
        return turned_and_cropped(masks, small).clamp(0, 1)  # antialiasing may overshoot
    if kind == "mild":
        crop = _draw_crop(*size, recipe, np.random.default_rng(_seed(recipe, identity, copy)))
        return crop.scaled(masks.shape[1] / size[0]).of(masks).float() / 255
    return None


def _seed(recipe: Augmentation, identity: str, copy: int) -> int:
    text = f"{recipe.seed}/{identity}/{copy}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _mild(frame: torch.Tensor, recipe: Augmentation, random: np.random.Generator) -> torch.Tensor:
    frame = _draw_crop(frame.shape[1], frame.shape[2], recipe, random).of(frame)
    factors = random.uniform(1 - recipe.light, 1 + recipe.light, size=3)
    from torchvision.transforms.v2 import functional as T

    frame = T.adjust_brightness(frame, float(factors[0]))
    frame = T.adjust_contrast(frame, float(factors[1]))
    frame = T.adjust_saturation(frame, float(factors[2]))
    sigma = float(random.uniform(0.5, 2))
    if random.random() < recipe.blur:
        frame = T.gaussian_blur(frame, kernel_size=[9, 9], sigma=[sigma, sigma])
    return frame


@dataclass(frozen=True)
class _Crop:
    """A part of a frame, in pixels, flipped or not."""

    top: int
    left: int
    height: int
    width: int
    flipped: bool

    def scaled(self, scale: float) -> _Crop:
        """The same part of the frame at another size."""
        ends = self.top + self.height, self.left + self.width
        top, left, bottom, right = (round(v * scale) for v in (self.top, self.left, *ends))
        return _Crop(top, left, max(1, bottom - top), max(1, right - left), self.flipped)

    def of(self, image: torch.Tensor) -> torch.Tensor:
        """That part of ``[C, H, W]``."""
        part = image[:, self.top : self.top + self.height, self.left : self.left + self.width]
        return part.flip(-1) if self.flipped else part


def _draw_crop(height: int, width: int, recipe: Augmentation, random: np.random.Generator) -> _Crop:
    """The first random numbers of a mild copy."""
    share = float(np.sqrt(random.uniform(recipe.least_area, 1)))
    crop_height = max(round(height * share), min(height, LEAST_SIDE))
    crop_width = max(round(width * share), min(width, LEAST_SIDE))
    top = int(random.integers(0, height - crop_height + 1))
    left = int(random.integers(0, width - crop_width + 1))
    return _Crop(top, left, crop_height, crop_width, bool(random.random() < recipe.flip))
