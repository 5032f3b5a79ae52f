from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from workzone.data.augment import LEAST_SIDE, augment
from workzone.data.augmentation import RECIPES, Augmentation
from workzone.data.challenge import challenge_image
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


# Recipes


def test_the_mild_recipe_draws_what_it_always_drew(monkeypatch):
    told = hashlib.blake2b(digest_size=8)
    for name in ("adjust_brightness", "adjust_contrast", "adjust_saturation", "gaussian_blur"):

        def note(frame, *factor, _name=name, **more):
            told.update(f"{_name}{factor}{sorted(more.items())}".encode())
            return frame

        monkeypatch.setattr(functional, name, note)
    frame = torch.arange(3 * 40 * 60, dtype=torch.uint8).view(3, 40, 60)
    for copy in range(1, 9):
        result = augment(frame, Augmentation(), identity="a", copy=copy)
        told.update(result.contiguous().numpy().tobytes())
    assert told.hexdigest() == "1af219070acf3b93"  # noted before there were other recipes


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_depends_on_seed_identity_and_copy_alone(frame, recipe):
    def pixels(seed=0, identity="a", copy=1):
        named = Augmentation(seed=seed, recipe=recipe)
        return augment(frame, named, identity=identity, copy=copy).contiguous().numpy()

    names = [(0, "a", copy) for copy in range(1, 30)]
    first = [pixels(*name) for name in names]
    torch.manual_seed(11)
    with ThreadPoolExecutor(4) as pool:  # other threads draw at the same time
        again = list(pool.map(lambda name: pixels(*name), reversed(names)))
    assert all(np.array_equal(a, b) for a, b in zip(first, reversed(again), strict=True))
    for others in (
        [pixels(1, "a", copy) for _, _, copy in names],
        [pixels(0, "b", copy) for _, _, copy in names],
        [first[0]] * len(names),
    ):
        assert sum(np.array_equal(a, b) for a, b in zip(first, others, strict=True)) < 10


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_recipe_moves_torchs_generator_or_the_frame(frame, recipe):
    torch.manual_seed(3)
    expected, before = torch.rand(4), frame.clone()
    torch.manual_seed(3)
    for copy in range(1, 8):
        augment(frame, Augmentation(recipe=recipe), identity="a", copy=copy)
    assert torch.equal(torch.rand(4), expected)
    assert torch.equal(frame, before)


@pytest.mark.parametrize(
    ("recipe", "policy"), [("trivial", v2.TrivialAugmentWide), ("rand", v2.RandAugment)]
)
def test_policies_are_torchvisions_under_a_seed_of_their_own(frame, recipe, policy):
    digest = hashlib.blake2b(b"5/a/2", digest_size=8).digest()
    torch.manual_seed(int.from_bytes(digest, "little"))
    expected = policy()(frame)
    result = augment(frame, Augmentation(seed=5, recipe=recipe), identity="a", copy=2)
    assert torch.equal(result, expected)


def test_challenge_copies_are_challenges_of_all_levels():
    random = np.random.default_rng(5)
    frame = torch.from_numpy(random.integers(0, 256, (3, 90, 120), dtype=np.uint8))
    recipe = Augmentation(seed=4, recipe="challenge")
    levels = []
    for copy in range(1, 41):
        made = challenge_image(frame, identity=f"a/{copy}", seed=4)
        assert torch.equal(augment(frame, recipe, identity="a", copy=copy), made.pixels)
        levels.append(made.changes.level)
    assert set(levels) == {0, 1, 2, 3}


def test_varied_copies_are_mild_and_challenges_in_turn(frame):
    for copy in range(1, 5):
        own = augment(frame, Augmentation(recipe="varied"), identity="a", copy=copy)
        kind = Augmentation(recipe="mild" if copy % 2 else "challenge")
        assert torch.equal(own, augment(frame, kind, identity="a", copy=copy))


def test_an_unknown_recipe_is_refused_with_the_nearest_one():
    with pytest.raises(UsageError, match="no augmentation 'chalenge'; did you mean 'challenge'"):
        Augmentation(recipe="chalenge")


def test_shares_belong_to_the_mild_recipe():
    match = r"flip=0\.25 belongs to the augmentations 'mild' and 'varied', not to 'rand'"
    with pytest.raises(UsageError, match=match):
        Augmentation(recipe="rand", flip=0.25)
