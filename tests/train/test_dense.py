"""The dense detector: its loss, and from photographs to a bundle that says where."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from made_images import sample_of
from predictors import bundle_predictor
from workzone.backbones.base import Backbone
from workzone.config import from_mapping
from workzone.data.manifest import Manifest
from workzone.decide.bundle import read_bundle, write_bundle
from workzone.errors import UsageError
from workzone.features.extract import make_spec
from workzone.features.masks import FULL, MaskTargets
from workzone.model.cells_config import CellHeadConfig
from workzone.model.config import DetectorConfig
from workzone.model.inputs import DetectorInput
from workzone.run.evaluate import evaluate
from workzone.train.batches import Batch, cut
from workzone.train.feed.augment import AugmentConfig
from workzone.train.feed.examples import GRID_NUMBERS, Examples, images_at_once
from workzone.train.fit import Fit, fit
from workzone.train.job import train
from workzone.train.losses import BARE, COVERED, cell_loss, cell_truth
from workzone.train.protection import check_grid
from workzone.train.settings import TrainConfig
from workzone.views import ViewLayout

NAN = float("nan")


def test_the_loss_weighs_positive_and_negative_cells_alike() -> None:
    logits = np.array([[2.0, -1.0, 0.5, 3.0], [1.0, 1.0, 1.0, 1.0], [0.0, 2.0, 0.0, 0.0]])
    truth = np.array([[1, 0, 0, NAN], [NAN] * 4, [1, 1, NAN, NAN]])
    expected = []
    for row, known in zip(logits, truth, strict=True):
        positive, negative = row[known == 1], row[known == 0]
        total = 0.0
        if len(positive):
            total -= np.log(1 / (1 + np.exp(-positive))).mean()
        if len(negative):
            total -= np.log(1 - 1 / (1 + np.exp(-negative))).mean()
        expected.append(total)
    found = cell_loss(torch.from_numpy(logits), torch.from_numpy(truth))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def whole(count: int) -> torch.Tensor:
    """Boxes of images of which one view, the whole frame, is seen."""
    return torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(count, 1, 4)


def batch_of(labels: list[int], masks: torch.Tensor | None, annotated: list[bool]) -> Batch:
    rows = torch.arange(len(labels))
    return Batch(
        part=cut(rows, rows * 0, 1)[0],
        given=DetectorInput(features=torch.zeros(len(labels), 1, 2), boxes=whole(len(labels))),
        targets=torch.nn.functional.one_hot(torch.tensor(labels), 2).float(),
        masks=masks,
        annotated=torch.tensor(annotated),
    )


def test_halves_are_read_for_the_dense_head_alone(lite0: Backbone) -> None:
    layout = ViewLayout(size=64, tiles=0, squares=(), halves=True)
    spec = make_spec(lite0, layout=layout, pooling="mean", grid_views=(0,))
    check_grid(DetectorConfig(cells=CellHeadConfig()), spec)
    with pytest.raises(UsageError, match=r"halves: the dense head alone .* take --preset dense"):
        check_grid(DetectorConfig(glance=None), spec)


def test_what_is_known_of_cells() -> None:
    shares = torch.tensor([[0.0, BARE / 2, BARE * 2, COVERED * 2]])
    masks = torch.zeros(3, 6, 1, 4)
    masks[:, 3] = shares
    truth = cell_truth(batch_of([1, 1, 0], masks, [True, False, True]), torch.Size((1, 4)))
    expected = [[[0, 0, NAN, 1]], [[NAN] * 4], [[0, 0, 0, 0]]]
    np.testing.assert_array_equal(truth[:, 0].numpy(), expected)
    truth = cell_truth(batch_of([1, 0], None, [False, False]), torch.Size((1, 1)))
    np.testing.assert_array_equal(truth[:, 0].numpy(), [[[NAN]], [[0]]])


def test_of_cells_at_the_rim_of_a_box_nothing_is_known() -> None:
    """A cell shows road work where what is known of it suffices, whatever else it may hold."""
    masks = torch.zeros(1, 6, 1, 16)
    masks[0, 0, 0, :9] = torch.tensor([1, 1, NAN, NAN, NAN, NAN, 0, 0, NAN])
    truth = cell_truth(batch_of([1], masks, [True]), torch.Size((1, 4)))
    np.testing.assert_array_equal(truth[0, 0].numpy(), [[1, NAN, NAN, 0]])
    masks[0, 4] = torch.nan  # nobody looked for it
    truth = cell_truth(batch_of([1], masks, [True]), torch.Size((1, 4)))
    np.testing.assert_array_equal(truth[0, 0].numpy(), [[1, NAN, NAN, NAN]])


def test_nothing_is_known_beyond_a_frame_in_its_own_shape() -> None:
    """Its grid lies in a square of 4 x 4 cells: of 2 x 4 ones, and of 4 x 3."""
    masks = torch.zeros(3, 6, 8, 12)
    masks[1, 2, :4, :3] = 1  # the upper left quarter of its columns
    batch = batch_of([0, 1, 1], masks, [False, True, False])
    boxes = torch.tensor([[0, 0, 1, 2.0], [0, 0, 4 / 3, 1], [0, 0, 1, 2.0]])[:, None]
    batch = dataclasses.replace(batch, given=dataclasses.replace(batch.given, boxes=boxes))
    truth = cell_truth(batch, torch.Size((4, 4)))[:, 0]
    known = [[0.0] * 4] * 2 + [[NAN] * 4] * 2
    np.testing.assert_array_equal(truth[0].numpy(), known)
    known = [[1, 0, 0, NAN]] * 2 + [[0, 0, 0, NAN]] * 2
    np.testing.assert_array_equal(truth[1].numpy(), known)
    assert truth[2].isnan().all()
    logits = torch.zeros(3, 16, requires_grad=True)
    cell_loss(logits, truth.flatten(1)).sum().backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad.view(3, 4, 4) == 0, truth.isnan())


def examples(*, masks: bool) -> Examples:
    """120 images of 3 x 4 cells: where there is work, one cell has a direction of its own.

    A second direction comes with road work too, in another cell: it is not what masks show.
    """
    random = np.random.default_rng(0)
    n = 120
    labels = np.arange(n) % 2
    grid = random.normal(size=(n, 12, 8)).astype(np.float32)
    covered = np.zeros((n, 6, 3, 4), np.uint8)
    for row in np.flatnonzero(labels):
        work, beside = random.choice(12, 2, replace=False)
        grid[row, work, 0] += 6
        grid[row, beside, 1] += 6
        covered[row, 0].flat[work] = FULL
    known = np.arange(n) % 4 == 1  # every second image with road work
    return Examples(
        labels=torch.from_numpy(labels),
        rows=torch.arange(n)[:, None],
        features=torch.zeros(n, 1, 8),
        boxes=whole(n),
        grid=torch.from_numpy(grid)[:, None],
        grid_size=(3, 4),
        view_size=96,
        masks=MaskTargets(covered[:, None], known[:, None]) if masks else None,
    )


def fitted(data: Examples, **changes: Any) -> Fit:
    config = TrainConfig(
        detector=DetectorConfig(cells=CellHeadConfig(top=1, dropout=0.0)),
        epochs=30,
        batch=24,
        classifier_penalty=0.0,
    )
    config = dataclasses.replace(config, **changes)
    optimizer = dataclasses.replace(config.optimizer, learning_rate=1e-2)
    return fit(data, [np.arange(40)], dataclasses.replace(config, optimizer=optimizer))


def logits_of_a_cell(result: Fit, channel: int) -> float:
    grid = torch.zeros(1, 1, 12, 8)
    grid[0, 0, 7, channel] = 6
    given = DetectorInput(features=torch.zeros(1, 1, 8), grid=grid, grid_size=(3, 4))
    output = result.detector.run(given)
    assert output.cells is not None
    assert int(output.cells.argmax()) == 7
    return float(output.cells.detach()[0, 0, 1, 3])


def test_masks_teach_which_cell_it_is() -> None:
    told, alone = fitted(examples(masks=True)), fitted(examples(masks=False))
    labels = np.arange(120)[told.validation_rows] % 2
    assert ((told.validation_probabilities > 0.5) == labels).mean() > 0.95
    assert ((alone.validation_probabilities > 0.5) == labels).mean() > 0.95
    assert logits_of_a_cell(told, 0) > 1 > -1 > logits_of_a_cell(told, 1)
    assert logits_of_a_cell(alone, 1) > 1  # image labels alone take either for road work


def test_without_its_weight_the_cells_teach_nothing() -> None:
    data, plain = examples(masks=True), examples(masks=False)
    with_masks = fitted(data, cell_weight=0.0, epochs=2)
    without = fitted(plain, cell_weight=0.0, epochs=2)
    assert with_masks.validation_losses == without.validation_losses


def test_large_grids_are_judged_a_few_at_a_time() -> None:
    assert images_at_once(0) == images_at_once(49 * 1280) == 256
    assert images_at_once(33 * 33 * 1280) == GRID_NUMBERS // (33 * 33 * 1280) == 48
    assert images_at_once(2 * GRID_NUMBERS) == 1


def test_mixing_vectors_is_refused() -> None:
    with pytest.raises(UsageError, match=r"mix vectors of views; detector\.cells read none"):
        TrainConfig(
            detector=DetectorConfig(cells=CellHeadConfig()), augment=AugmentConfig(mixup=0.2)
        )


def street(number: int, label: int) -> tuple[Image.Image, tuple[int, int]]:
    """Grey noise of 256 x 128, with an orange box in one of 4 x 4 places where there is work."""
    random = np.random.default_rng(number)
    pixels = random.integers(90, 130, (128, 256, 3), dtype=np.uint8)
    row, column = int(random.integers(4)), int(random.integers(4))
    if label:
        pixels[32 * row : 32 * row + 32, 64 * column : 64 * column + 64] = (255, 120, 0)
    return Image.fromarray(pixels), (row, column)


@pytest.mark.parametrize("halves", [False, True], ids=["views", "halves too"])
def test_from_photographs_to_a_bundle_that_says_where(
    lite0: Backbone, tmp_path: Path, halves: bool
) -> None:
    samples = []
    for number in range(60):
        label = number % 2
        image, (row, column) = street(number, label)
        image.save(tmp_path / f"{number}.png")
        mask = np.zeros((4, 4), np.uint8)
        mask[row, column] = label  # a bit per class; the first one is cones
        Image.fromarray(mask).save(tmp_path / f"{number}.mask.png")
        split = "train" if number < 40 else "val"
        samples.append(
            sample_of(
                tmp_path / f"{number}.png",
                label=label,
                split=split,
                group=str(number),
                source="made",
                masks=f"{number}.mask.png",
            )
        )
    manifest = Manifest(samples, tmp_path)
    layout = ViewLayout(size=256, tiles=0, squares=(), halves=halves)
    settings = {
        "detector": {"cells": {}, "glance": None},
        "optimizer": {"learning_rate": 1e-2},
        "sampling": {"class_balance": True, "source_balance": 0.5},
        "batch": 8,
        "epochs": 15,
    }
    config = from_mapping(TrainConfig, settings, where="test")
    spec = make_spec(lite0, layout=layout, pooling="mean", grid_views=(0,))
    trained = train(manifest, lite0, spec, tmp_path / "features", config)
    write_bundle(trained.bundle, tmp_path / "model")
    bundle = read_bundle(tmp_path / "model")
    assert bundle.detector.config.cells == CellHeadConfig(width=1280)
    assert bundle.identity() == trained.bundle.identity()
    predictor = bundle_predictor(bundle, lite0)
    found = right = 0
    for number in range(100, 110):
        image, (row, column) = street(number, 1)
        prediction, overlay = predictor.explain(image)
        assert (prediction.view, prediction.view_weight) == (0, 1)
        x0, y0, x1, y1 = prediction.box
        assert (x1 - x0, y1 - y0) == (1 / 8, 1 / 8)  # a cell, the box covers four
        found += column <= 4 * x0 < column + 1 and row <= 4 * y0 < row + 1
        assert overlay.width == 360
        right += prediction.decision == "roadwork"
        right += predictor.predict(street(number + 50, 0)[0])[0].decision == "none"
    assert found >= 9  # of 10
    assert right >= 18  # of 20
    unseen = manifest.with_samples([dataclasses.replace(s, split=None) for s in samples[40:]])
    judged = evaluate(bundle, unseen, trained.store, title="made")
    assert judged.report.metrics.figures["auc"].value > 0.9
