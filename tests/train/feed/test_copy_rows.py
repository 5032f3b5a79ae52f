"""Which copies of an image are learned from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from workzone.data.augmentation import Augmentation, Recipe
from workzone.features.masks import MaskTargets
from workzone.features.store import FeatureStore
from workzone.train.feed.examples import copy_rows
from workzone.types import Sample

COPIES = 4
EACH_ITS_OWN = np.arange(3 * (1 + COPIES)).reshape(3, -1)
SAMPLES = [
    Sample(id=name, image=f"{name}.jpg", label=label, content_hash=name)
    for name, label in {"with masks": 1, "without": 1, "no work": 0}.items()
]


def rows_of(recipe: Recipe | None, known: list[bool] | None) -> Any:
    """What is learned from of three images, the first of which may have masks."""
    store = SimpleNamespace(
        rows={
            (sample.content_hash, copy): int(EACH_ITS_OWN[image, copy])
            for image, sample in enumerate(SAMPLES)
            for copy in range(1 + COPIES)
        },
        spec=SimpleNamespace(augmentation=recipe and Augmentation(recipe=recipe)),
    )
    masks = None
    if known is not None:
        annotated = np.repeat(np.array(known)[:, None], 1 + COPIES, axis=1)
        masks = MaskTargets(np.zeros((*annotated.shape, 6, 1, 1), np.uint8), annotated)
    return copy_rows(cast(FeatureStore, store), SAMPLES, masks, copies=COPIES).numpy()


@pytest.mark.parametrize(
    ("recipe", "repeated"), [("varied", [0, 1, 1, 3, 3]), ("challenge", [0, 0, 0, 0, 0])]
)
def test_a_challenge_whose_road_work_may_be_gone_repeats_the_copy_before(
    recipe: Recipe, repeated: list[int]
) -> None:
    expected = EACH_ITS_OWN.copy()
    expected[1] = expected[1, repeated]
    np.testing.assert_array_equal(rows_of(recipe, [True, False, False]), expected)


@pytest.mark.parametrize(
    ("recipe", "known"),
    [
        ("varied", None),
        ("varied", [False, False, False]),
        ("varied", [False, False, True]),
        ("mild", [True, False, False]),
        (None, [True, False, False]),
    ],
)
def test_all_else_are_learned_from(recipe: Recipe | None, known: list[bool] | None) -> None:
    np.testing.assert_array_equal(rows_of(recipe, known), EACH_ITS_OWN)


def test_a_copy_that_could_not_be_made_is_the_image_without_its_own_masks() -> None:
    store = SimpleNamespace(
        rows={("with masks", 0): 3, ("with masks", 1): 4},
        spec=SimpleNamespace(augmentation=Augmentation()),
    )
    masks = MaskTargets(np.zeros((1, 3, 6, 1, 1), np.uint8), np.ones((1, 3), np.bool_))
    rows = copy_rows(cast(FeatureStore, store), SAMPLES[:1], masks, copies=2)
    assert rows.tolist() == [[3, 4, 3]]
    assert masks.annotated.tolist() == [[True, True, False]]
