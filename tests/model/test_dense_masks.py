"""The mask head beside the dense one: shapes of frames, and what is shared."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from workzone.backbones.base import Backbone, run
from workzone.backbones.lite import load_trunk
from workzone.backbones.names import LITE0
from workzone.errors import BackboneError, UsageError
from workzone.features.reading import in_square
from workzone.model.cells import OUTSIDE, frame_shapes
from workzone.model.cells_config import CellHeadConfig
from workzone.model.config import DetectorConfig
from workzone.model.dense import DenseDetector
from workzone.model.inputs import DetectorInput
from workzone.model.masks.config import MaskHeadConfig

LEVELS = (4, 8, 16)
GRID = (4, 4)  # of 128 px
SHAPES = ((64, 128), (128, 96), (64, 128))
"""Rows and columns of frames in their own shape, pixels."""


@pytest.fixture(scope="module")
def trunk() -> Backbone:
    return load_trunk(LITE0, random=True)


def detector_of(trunk: Backbone) -> DenseDetector:
    torch.manual_seed(0)
    config = DetectorConfig(
        cells=CellHeadConfig(tail=True, hidden=0), masks=MaskHeadConfig(hidden=16, levels=LEVELS)
    ).sized(
        width=trunk.width,
        grid_width=trunk.width,
        grid_size=GRID,
        view_size=128,
        level_shapes={n: (trunk.level_widths[n], 128 // n, 128 // n) for n in LEVELS},
    )
    return DenseDetector(config).eval()


def frames(trunk: Backbone) -> tuple[list[DetectorInput], DetectorInput]:
    """Frames of their own shapes, each alone, and all of them in squares."""
    generator = torch.Generator().manual_seed(1)
    alone, squares, boxes = [], [], []
    for rows, columns in SHAPES:
        pixels = torch.randint(
            0, 256, (1, 3, rows, columns), dtype=torch.uint8, generator=generator
        )
        output = run(trunk, pixels, levels=LEVELS)
        alone.append(
            DetectorInput(
                features=torch.zeros(1, 1, trunk.width),
                grid=output.grid[:, None],
                grid_size=output.grid_size,
                levels=output.levels,
            )
        )
        squares.append(in_square(output, GRID[0]))
        boxes.append([0, 0, 128 / columns, 128 / rows])
    together = DetectorInput(
        features=torch.zeros(len(SHAPES), 1, trunk.width),
        boxes=torch.tensor(boxes)[:, None],
        grid=torch.cat([square.grid for square in squares])[:, None],
        grid_size=GRID,
        levels={n: torch.cat([square.levels[n] for square in squares]) for n in LEVELS},
    )
    return alone, together


def test_frames_in_one_square_have_the_masks_that_they_have_alone(trunk: Backbone) -> None:
    detector = detector_of(trunk)
    alone, together = frames(trunk)
    with torch.no_grad():
        masks = detector.run(together).masks
        assert masks is not None
        assert masks.shape == (3, 6, 32, 32)
        for row, (own, (rows, columns)) in enumerate(zip(alone, SHAPES, strict=True)):
            expected = detector.run(own).masks
            assert expected is not None
            inside = masks[row, :, : rows // 4, : columns // 4]
            torch.testing.assert_close(inside, expected[0], atol=1e-4, rtol=1e-4)
            assert (masks[row, :, rows // 4 :] == OUTSIDE).all()
            assert (masks[row, :, :, columns // 4 :] == OUTSIDE).all()


def test_shapes_are_told_by_boxes() -> None:
    boxes = torch.tensor([[0, 0, 1, 2.0], [0, 0, 4 / 3, 1], [0, 0, 1, 1], [0, -0.5, 1, 1.5]])
    assert frame_shapes(boxes, GRID) == [(2, 4), (4, 3), (4, 4), (4, 4)]


def test_masks_teach_the_tail_that_the_classifier_reads(trunk: Backbone) -> None:
    detector = detector_of(trunk)
    _, together = frames(trunk)
    masks = detector.run(together).masks
    assert masks is not None and detector.cells.tail is not None
    masks[:, :, :16, :24].square().mean().backward()
    assert all((w.grad != 0).any() for w in detector.cells.tail.parameters() if w.grad is not None)
    assert next(detector.cells.tail.parameters()).grad is not None
    assert detector.cells.classifier.weight.grad is None


def test_without_levels_there_are_no_masks_and_the_same_probabilities(trunk: Backbone) -> None:
    detector = detector_of(trunk)
    _, together = frames(trunk)
    with torch.no_grad():
        full = detector.run(together)
        bare = detector.run(dataclasses.replace(together, levels=None))
    assert bare.masks is None
    assert torch.equal(bare.logits, full.logits)


def test_masks_beside_cells_need_levels() -> None:
    with pytest.raises(UsageError, match=r"leave out masks, or cells .* masks\.levels"):
        DetectorConfig(cells=CellHeadConfig(), masks=MaskHeadConfig())


def test_levels_are_maps_of_the_network_itself(trunk: Backbone) -> None:
    pixels = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    output = run(trunk, pixels, levels=(4, 16))
    assert {n: tuple(maps.shape) for n, maps in output.levels.items()} == {
        4: (2, 24, 16, 24),
        16: (2, 112, 4, 6),
    }
    torch.testing.assert_close(output.grid, run(trunk, pixels).grid)
    with torch.no_grad():
        last = trunk.model[7](output.levels[16])  # the stage that the trunk ends with
    torch.testing.assert_close(last.permute(0, 2, 3, 1).flatten(1, 2), output.grid)


def test_an_unknown_level_is_refused(trunk: Backbone) -> None:
    with pytest.raises(BackboneError, match=r"has no level 5: masks\.levels may be of 4, 8, 16"):
        run(trunk, torch.zeros(1, 3, 64, 64, dtype=torch.uint8), levels=(5,))
