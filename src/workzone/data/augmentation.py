"""Which augmented copies a frame can have; :mod:`workzone.data.augment` makes them.

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
from dataclasses import dataclass
from typing import Literal, get_args

from workzone.errors import UsageError, nearest

Recipe = Literal["mild", "trivial", "rand", "challenge", "varied"]
RECIPES: tuple[Recipe, ...] = get_args(Recipe)

RECIPE_VERSION = 1
"""Part of the names of stored challenge images and of the keys of features of challenge copies:
raise it when :mod:`workzone.data.challenge` changes pixels."""


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


def recipe_of(recipe: Augmentation, copy: int) -> Recipe:
    """By which one a copy is made: of ``varied``, one of two."""
    if recipe.recipe == "varied":
        return "mild" if copy % 2 else "challenge"
    return recipe.recipe
