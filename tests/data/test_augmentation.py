from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workzone.data.augmentation import LEAST_SIDE, Augmentation, augment
from workzone.errors import UsageError

NOTHING = {"flip": 0.0, "least_area": 1.0, "light": 0.0, "blur": 0.0}


@pytest.fixture
def frame() -> torch.Tensor:
    random = np.random.default_rng(3)
    return torch.from_numpy(random.integers(0, 256, (3, 60, 90), dtype=np.uint8))


def test_equal_names_give_equal_pixels_whatever_else_was_drawn(frame):
    recipe = Augmentation()
    first = augment(frame, recipe, identity="a", copy=1)
    torch.manual_seed(5)
    augment(frame, recipe, identity="b", copy=1)
    assert torch.equal(augment(frame, recipe, identity="a", copy=1), first)


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"identity": "b"}, {"copy": 2}], ids=["seed", "identity", "copy"]
)
def test_seed_identity_and_copy_each_change_the_pixels(frame, other):
    def pixels(seed=0, identity="a", copy=1):
        return augment(frame, Augmentation(seed=seed), identity=identity, copy=copy)

    changed, first = pixels(**other), pixels()
    assert changed.shape != first.shape or not torch.equal(changed, first)


def test_the_frame_itself_is_not_touched(frame):
    before = frame.clone()
    for copy in range(1, 6):
        augment(frame, Augmentation(blur=1.0), identity="a", copy=copy)
    assert torch.equal(frame, before)


def test_a_recipe_of_nothing_changes_nothing(frame):
    result = augment(frame, Augmentation(**NOTHING), identity="a", copy=1)
    assert torch.equal(result, frame)


def test_a_flip_mirrors_left_and_right(frame):
    result = augment(frame, Augmentation(**NOTHING | {"flip": 1.0}), identity="a", copy=1)
    assert torch.equal(result, frame.flip(2))


def test_flips_are_as_frequent_as_asked(frame):
    recipe = Augmentation(**NOTHING | {"flip": 0.3})
    flipped = sum(
        not torch.equal(augment(frame, recipe, identity=str(number), copy=1), frame)
        for number in range(400)
    )
    assert 85 <= flipped <= 155  # 120 +- 4 deviations


def test_a_crop_is_a_part_of_the_frame(frame):
    recipe = Augmentation(**NOTHING | {"least_area": 0.25})
    areas = []
    for copy in range(1, 40):
        crop = augment(frame, recipe, identity="a", copy=copy)
        _, height, width = crop.shape
        areas.append(height * width / (60 * 90))
        windows = frame.unfold(1, height, 1).unfold(2, width, 1)
        assert (windows == crop[:, None, None]).all(-1).all(-1).all(0).any()
    assert min(areas) >= 0.24
    assert min(areas) < 0.35
    assert max(areas) > 0.85


def test_light_stays_within_its_range():
    grey = torch.full((3, 20, 20), 100, dtype=torch.uint8)
    recipe = Augmentation(**NOTHING | {"light": 0.2})
    levels = [
        float(augment(grey, recipe, identity="a", copy=copy).float().mean()) for copy in range(200)
    ]
    assert 78 <= min(levels) < 85  # each step rounds to whole levels
    assert 115 < max(levels) <= 121


def test_blur_smooths(frame):
    blurred = augment(frame, Augmentation(**NOTHING | {"blur": 1.0}), identity="a", copy=1)
    assert blurred.shape == frame.shape
    assert blurred.float().std() < 0.7 * frame.float().std()


@given(
    st.integers(16, 80),
    st.integers(16, 80),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 9),
)
@settings(deadline=None, max_examples=50)
def test_any_recipe_gives_a_frame_no_larger(height, width, least_area, light, copy):
    frame = torch.zeros((3, height, width), dtype=torch.uint8)
    recipe = Augmentation(least_area=least_area, light=light, blur=1.0)
    result = augment(frame, recipe, identity="a", copy=copy)
    assert result.dtype == torch.uint8
    assert LEAST_SIDE <= result.shape[1] <= height
    assert LEAST_SIDE <= result.shape[2] <= width


def test_the_smallest_crops_of_the_smallest_frames_can_be_blurred():
    frame = torch.zeros((3, 16, 16), dtype=torch.uint8)
    recipe = Augmentation(least_area=0.0, blur=1.0)
    sides = [augment(frame, recipe, identity="a", copy=copy).shape[1:] for copy in range(100)]
    assert min(min(side) for side in sides) == LEAST_SIDE


@pytest.mark.parametrize("name", ["flip", "least_area", "light", "blur"])
@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_values_that_are_no_shares_are_refused(name, value):
    with pytest.raises(UsageError, match=rf"{name} is a share from 0 to 1, not {value}"):
        Augmentation(**{name: value})
