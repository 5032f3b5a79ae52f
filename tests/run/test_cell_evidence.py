"""Where evidence lies: cells of views, against autograd; boxes of cells in the frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workzone.backbones.base import pool
from workzone.engine.program import Answer
from workzone.model.config import DetectorConfig
from workzone.model.detector import Detector
from workzone.model.inputs import DetectorInput
from workzone.run.evidence import cell_box, cell_evidence, heat, merged, strongest
from workzone.types import BackboneOutput

VIEWS, ROWS, COLUMNS, D = 4, 3, 2, 5


def grid_with_a_cone(view: int, cell: int) -> torch.Tensor:
    """Weak noise; one cell of one view points where no other does."""
    grid = torch.randn(VIEWS, ROWS * COLUMNS, D, generator=torch.Generator().manual_seed(6)) * 0.05
    grid[view, cell, 2] = 5.0
    return grid


def made_detector(pooling: str) -> Detector:
    """Every weight at random."""
    torch.manual_seed(7)
    width = D * len(pooling.split("+"))
    detector = Detector(DetectorConfig(width=width, gate_hidden=3, head=(6,))).eval().double()
    for parameter in detector.parameters():
        torch.nn.init.normal_(parameter)
    return detector


def by_autograd(
    detector: Detector, grid: torch.Tensor, pooling: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient times input of the cells, through the pooling; and the gradient by the features."""
    cells = grid.double().requires_grad_()
    cls = torch.ones(VIEWS, D, dtype=torch.float64, requires_grad=True)
    features = pool(BackboneOutput(cls, cells, (ROWS, COLUMNS)), pooling)
    logits = detector.run(DetectorInput(features=features[None])).logits[0]
    by_features, by_cells = torch.autograd.grad(
        logits[1] - logits[0], [features, cells], allow_unused=True
    )
    if by_cells is None:
        by_cells = torch.zeros_like(cells)
    against = cells.detach() - cells.detach().mean(dim=(0, 1))
    return (by_cells * against).sum(dim=-1), by_features


@pytest.mark.parametrize("pooling", ["mean", "max", "cls", "mean+max", "cls+mean"])
def test_cells_have_the_evidence_that_autograd_gives_them(pooling: str) -> None:
    grid = grid_with_a_cone(1, 4)
    expected, gradient = by_autograd(made_detector(pooling), grid, pooling)
    shaped = grid.double().numpy().reshape(VIEWS, ROWS, COLUMNS, D)
    evidence = cell_evidence(shaped, gradient.numpy(), pooling)
    np.testing.assert_allclose(evidence.reshape(VIEWS, -1), expected.numpy(), atol=1e-9)
    assert (evidence == 0).all() == (pooling == "cls")


def test_cells_that_share_the_maximum_share_its_evidence() -> None:
    grid = np.zeros((1, 1, 3, 1), np.float32)
    grid[0, 0, :2] = 3
    evidence = cell_evidence(grid, np.ones((1, 1), np.float32), "max")
    np.testing.assert_allclose(evidence, [[[0.5, 0.5, 0]]])


def answer(cells: tuple[np.ndarray, ...], boxes: np.ndarray) -> Answer:
    shares = np.full(len(boxes), 1 / len(boxes), np.float32)
    read = np.arange(len(boxes))
    return Answer(
        0.5,
        0.5,
        boxes,
        shares,
        read,
        np.zeros(1, np.float32),
        np.zeros(1, np.float32),
        False,
        cells=cells,
    )


def test_the_box_of_a_cell_is_in_fractions_of_the_frame() -> None:
    whole = (0.0, 0.0, 1.0, 1.0)
    assert cell_box(0, (2, 4), whole) == (0, 0, 0.25, 0.5)
    assert cell_box(6, (2, 4), whole) == (0.5, 0.5, 0.75, 1)
    assert cell_box(3, (2, 2), (0.5, 0.0, 1.0, 0.5)) == (0.75, 0.25, 1, 0.5)
    assert cell_box(1, (2, 2), (0.0, -0.5, 1.0, 1.5)) == (0.5, 0, 1, 0.5)  # half in the padding


def test_the_strongest_cell_is_of_either_scale() -> None:
    boxes = np.array([(0, 0, 1, 1), (0, 0, 0.5, 1)], np.float32)
    cells, halves = np.zeros((2, 4, 4), np.float32), np.zeros((2, 2, 2), np.float32)
    cells[0, 1, 2], halves[1, 0, 1] = 1, 2
    assert strongest(answer((cells, halves), boxes)) == (1, (0.25, 0, 0.5, 0.5))
    assert strongest(answer((cells,), boxes)) == (0, (0.5, 0.25, 0.75, 0.5))
    hot = merged((cells, halves))
    assert hot[0, 1, 2] == 1
    assert (hot[1, :2, 2:] == 2).all()
    grids, seen = heat(answer((cells - 1, halves), boxes), "mean")
    assert grids.min() == 0
    assert grids.max() == 2
    assert seen is boxes
