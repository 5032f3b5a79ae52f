"""Masks of copies that are made anew in each epoch, against those of stored copies."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from made_images import ORANGE, blob_image, sample_of
from workzone.data.augmentation import Augmentation
from workzone.data.masks.formats.bit_images import write_bit_image
from workzone.data.masks.objects import ImageMasks, MaskObject, MaskSource
from workzone.data.masks.store import write_masks
from workzone.features.masks import mask_targets
from workzone.features.spec import FeatureSpec
from workzone.train.batches import cut, load
from workzone.train.feed.examples import Examples
from workzone.train.feed.pixels import PixelExamples
from workzone.train.settings import TrainConfig
from workzone.types import Sample
from workzone.views import ViewLayout

NAN = float("nan")
COPIES, EPOCHS, SHAPE = 4, 5, (8, 8)
VARIED = Augmentation(recipe="varied", least_area=0.2)
IMAGES = torch.arange(8)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("masks")


@pytest.fixture(scope="module")
def samples(root: Path) -> list[Sample]:
    """Eight streets, road work in every other one; of the last two there are no masks."""
    found = []
    for number in range(8):
        label, path = number % 2, root / f"{number}.png"
        image = blob_image(number, label, width=160, height=96)
        image.save(path)
        masks = np.zeros((6, 96, 160), np.bool_)
        masks[2] = (np.asarray(image) == ORANGE).all(axis=2)
        write_bit_image(masks, root / f"{number}.mask.png")
        known = f"{number}.mask.png" if number < 6 else None
        found.append(sample_of(path, label=label, masks=known))
    return found


def stored(
    samples: list[Sample], root: Path, augmentation: Augmentation, *, copies: int
) -> Examples:
    return Examples(
        labels=torch.tensor([s.label for s in samples], dtype=torch.int64),
        rows=torch.zeros(len(samples), 1 + copies, dtype=torch.int64),
        features=torch.zeros(1, 1, 4),
        masks=mask_targets(samples, root, SHAPE, augmentation=augmentation, copies=copies),
        samples=samples,
    )


def from_pixels(
    samples: list[Sample], root: Path, augmentation: Augmentation = VARIED
) -> PixelExamples:
    spec = FeatureSpec(
        backbone="none",
        weight_hash="",
        width=4,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        pooling="mean",
        layout=ViewLayout(size=64, tiles=0, squares=()),
        augmentation=augmentation,
    )
    return PixelExamples.of(
        stored(samples, root, augmentation, copies=0), spec, root, copies=COPIES
    )


@pytest.mark.parametrize("recipe", ["mild", "challenge", "varied", "trivial"])
def test_masks_and_labels_are_those_of_the_stored_copy_of_the_same_number(
    samples: list[Sample], root: Path, recipe: str
) -> None:
    crops = {"least_area": 0.2} if recipe in ("mild", "varied") else {}
    augmentation = Augmentation(recipe=recipe, **crops)  # type: ignore[arg-type]
    known, images = samples[:6], IMAGES[:6]
    all_copies = stored(known, root, augmentation, copies=COPIES * EPOCHS)
    pixels = from_pixels(known, root, augmentation)
    lost = 0
    for epoch in range(EPOCHS):
        for copy in range(1 + COPIES):
            number = copy and copy + COPIES * epoch
            found = pixels.at_epoch(epoch).truth(images, torch.full((6,), copy))
            expected = all_copies.truth(images, torch.full((6,), number))
            assert found.masks is not None and expected.masks is not None
            assert found.annotated is not None and expected.annotated is not None
            assert torch.equal(found.masks, expected.masks)
            assert torch.equal(found.annotated, expected.annotated)
            assert torch.equal(found.labels, expected.labels)
            assert bool(found.annotated.all()) == (copy == 0 or recipe != "trivial")
            lost += int((found.labels != pixels.labels[images]).sum())
    assert (lost > 0) == (recipe != "trivial")


def test_what_is_not_known_stays_so_from_pixels(samples: list[Sample], root: Path) -> None:
    """Around the middle of a box, and of classes that nobody looked for."""
    box = np.zeros((96, 160), np.bool_)
    box[20:70, 30:90] = True
    cone = MaskObject.from_mask("cone", "box", box)
    image = ImageMasks("1", 96, 160, {"cone": None}, (cone,))
    write_masks(root / "boxes.masks", MaskSource("box", "ann"), [image])
    boxed = [dataclasses.replace(samples[1], masks="boxes.masks#1")]
    images = torch.zeros(1, dtype=torch.int64)
    pixels = from_pixels(boxed, root)
    all_copies = stored(boxed, root, VARIED, copies=COPIES)
    for copy in range(1 + COPIES):
        found, expected = (
            part.truth(images, torch.tensor([copy])) for part in (pixels, all_copies)
        )
        assert found.masks is not None and expected.masks is not None
        assert torch.equal(found.masks.nan_to_num(-1), expected.masks.nan_to_num(-1))
        assert torch.equal(found.labels, expected.labels)
        assert found.masks[0, 1:].isnan().all()
        assert copy or found.masks[0, 0].isnan().any()


def test_masks_lie_where_the_copy_shows_road_work(samples: list[Sample], root: Path) -> None:
    plain = Augmentation(least_area=0.2, light=0.0, blur=0.0)
    pixels = from_pixels(samples, root, plain)
    images = torch.tensor([1, 3, 5])
    for copy in range(1, 1 + COPIES):
        copies = torch.full((3,), copy)
        views = pixels.batch(images, copies).pixels[:, 0].float()
        orange = (views - torch.tensor(ORANGE)[:, None, None]).abs().amax(dim=1) < 30
        shown = torch.nn.functional.adaptive_avg_pool2d(orange.float(), SHAPE)
        masks = pixels.truth(images, copies).masks
        assert masks is not None
        torch.testing.assert_close(masks[:, 2], shown, rtol=0, atol=0.25)  # edges are resampled
        assert float((masks[:, 2] - shown).abs().mean()) < 0.03


def test_a_copy_that_lost_its_road_work_is_learned_as_one_without(
    samples: list[Sample], root: Path
) -> None:
    pixels = dataclasses.replace(from_pixels(samples[:6], root), teacher=torch.arange(6.0))
    images = torch.tensor([1, 3, 5, 0])
    lost = kept = 0
    for epoch in range(EPOCHS):
        parts = cut(images, torch.tensor([2, 4, 1, 2]), 1)
        device = torch.device("cpu")
        now = pixels.at_epoch(epoch)
        (batch,) = load(now, None, parts, TrainConfig(), epoch=epoch, device=device)
        assert batch.masks is not None and batch.annotated is not None
        assert batch.annotated.all()
        shows = batch.masks.amax(dim=1).mean(dim=(1, 2)) >= 20 / 224**2
        assert torch.equal(batch.targets[:, 1] == 1, shows)
        assert batch.teacher is not None
        said = [NAN if gone else image for image, gone in zip([1, 3, 5], ~shows[:3], strict=True)]
        np.testing.assert_array_equal(batch.teacher.numpy(), np.float32([*said, 0]))
        lost, kept = lost + int((~shows[:3]).sum()), kept + int(shows.sum())
    assert lost > 0 and kept > 0


def test_a_challenge_that_may_have_lost_its_road_work_gives_way_to_the_copy_before(
    samples: list[Sample], root: Path
) -> None:
    pixels = from_pixels(samples, root).at_epoch(1)
    images = torch.tensor([7, 6, 1])  # with road work and no masks, without road work, with masks
    before, challenge = (
        pixels.batch(images, torch.full((3,), copy)).pixels for copy in (COPIES - 1, COPIES)
    )
    assert [torch.equal(a, b) for a, b in zip(before, challenge, strict=True)] == [
        *(True, False, False)
    ]
    truth = pixels.truth(images, torch.full((3,), COPIES))
    assert truth.annotated is not None
    assert truth.annotated.tolist() == [False, False, True]
    assert truth.labels[:2].tolist() == [1, 0]
    all_challenges = from_pixels(samples, root, Augmentation(recipe="challenge"))
    as_it_is, given_way = (
        all_challenges.batch(images, torch.full((3,), copy)).pixels for copy in (0, 2)
    )
    assert torch.equal(as_it_is[0], given_way[0])
    assert not torch.equal(as_it_is[1], given_way[1])


def test_where_masks_tell_of_nothing_all_challenges_are_learned_from(
    samples: list[Sample], root: Path
) -> None:
    bare = [dataclasses.replace(s, masks=None) for s in samples]
    pixels = from_pixels(bare, root)
    images = torch.tensor([7])
    first, second = (pixels.batch(images, torch.tensor([copy])).pixels for copy in (1, 2))
    assert not torch.equal(first, second)
    assert pixels.truth(images, torch.tensor([2])).labels.tolist() == [1]
