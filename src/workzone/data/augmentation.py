"""Augmented copies of a frame, each under its own seed, so that they can be stored once.

Recipes:

=============  ==================================================================================
``mild``       a crop, a flip, other light, some blur: another camera, another lane, another hour
``trivial``    one change of any strength (TrivialAugment Wide, Müller & Hutter 2021, ICCV)
``rand``       two changes of medium strength (RandAugment, Cubuk et al. 2020, NeurIPS)
``challenge``  what the subnet's validator does, at a random level (`workzone.data.challenge`)
``varied``     mild and challenge in turn, mild first
=============  ==================================================================================
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch

from workzone.data.challenge import challenge_image, changes_of, turned_and_cropped
from workzone.errors import UsageError, nearest

Recipe = Literal["mild", "trivial", "rand", "challenge", "varied"]
RECIPES: tuple[Recipe, ...] = get_args(Recipe)

LEAST_SIDE = 8
"""Pixels; a crop keeps at least as many a side, which the blur needs."""

_DRAWING = threading.Lock()
"""Held while torch's generator, of which a process has one, is seeded for a frame."""


@dataclass(frozen=True)
class Augmentation:
    """How a copy differs from its image.

    The defaults are mild: what another camera, another lane or another hour would change.

    Raises:
        UsageError: no such recipe, a value is not a share of 1, or it is not the recipe's.
    """

    seed: int = 0
    recipe: Recipe = "mild"
    # Of `mild`, also in `varied`; the other recipes are what their authors made them.
    flip: float = 0.5  # probability of a left-right flip
    least_area: float = 0.5  # share of the frame that a random crop keeps at least, 0..1
    light: float = 0.3  # brightness, contrast, saturation are scaled within 1 +- this
    blur: float = 0.2  # probability of a Gaussian blur, sigma 0.5..2 px

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise UsageError(
                f"there is no augmentation {self.recipe!r}; {nearest(self.recipe, RECIPES)}"
            )
        for field in dataclasses.fields(self):
            if field.name in ("seed", "recipe"):
                continue
            value = getattr(self, field.name)
            if not 0 <= value <= 1:
                raise UsageError(f"{field.name} is a share from 0 to 1, not {value}")
            if self.recipe not in ("mild", "varied") and value != field.default:
                raise UsageError(
                    f"{field.name}={value} belongs to the augmentations 'mild' and 'varied', not "
                    f"to {self.recipe!r}: leave it out, or take one of them"
                )


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


def recipe_of(recipe: Augmentation, copy: int) -> Recipe:
    """By which one a copy is made: of ``varied``, one of two."""
    if recipe.recipe == "varied":
        return "mild" if copy % 2 else "challenge"
    return recipe.recipe


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
