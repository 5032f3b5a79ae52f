"""The dense detector: cells to logits, and what else every detector does."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from workzone.errors import UsageError
from workzone.features.reading import in_square
from workzone.model.cells import OUTSIDE, CellHead
from workzone.model.cells_config import CellHeadConfig
from workzone.model.config import DetectorConfig
from workzone.model.dense import DenseDetector
from workzone.model.inputs import DetectorInput
from workzone.model.scene import scene_vector
from workzone.types import BackboneOutput

CONFIG = DetectorConfig(width=6, cells=CellHeadConfig(width=6))


def input_of(grid: torch.Tensor, grid_size: tuple[int, int]) -> DetectorInput:
    return DetectorInput(features=torch.zeros(*grid.shape[:2], 6), grid=grid, grid_size=grid_size)


def test_a_dense_detector_tells_the_cells_of_both_scales() -> None:
    torch.manual_seed(0)
    detector = DenseDetector(CONFIG).eval()
    grid = torch.randn(2, 3, 10, 6)
    given = DetectorInput(features=torch.zeros(2, 3, 6), grid=grid, grid_size=(2, 4))
    output = detector.run(given)
    assert output.cells is not None and output.half_cells is not None
    assert (output.cells.shape, output.half_cells.shape) == ((2, 3, 2, 4), (2, 3, 1, 2))
    alone = [
        detector.run(dataclasses.replace(given, grid=part, grid_size=size))
        for part, size in ((grid[:, :, :8], (2, 4)), (grid[:, :, 8:], (1, 2)))
    ]
    torch.testing.assert_close(output.logits, (alone[0].logits + alone[1].logits) / 2)
    weights = (alone[0].view_weights + alone[1].view_weights) / 2
    torch.testing.assert_close(output.view_weights, weights)


def test_a_dense_detector_says_where() -> None:
    torch.manual_seed(0)
    detector = DenseDetector(CONFIG).eval()
    given = DetectorInput(
        features=torch.zeros(2, 3, 6), grid=torch.randn(2, 3, 6, 6), grid_size=(2, 3)
    )
    output = detector.run(given)
    assert output.cells is not None
    assert output.cells.shape == (2, 3, 2, 3)
    strongest = output.cells.flatten(1).topk(4).values.mean(dim=1)
    torch.testing.assert_close(output.logits[:, 1] - output.logits[:, 0], strongest)
    deciding = output.cells.flatten(1).topk(4).indices // 6
    shares = [[(row == view).sum() / 4 for view in range(3)] for row in deciding]
    assert output.view_weights.tolist() == shares
    assert detector.view_shares(given, views=3).tolist() == shares
    assert {name.split(".")[0] for name, _ in detector.named_parameters()} == {"cells"}
    with pytest.raises(UsageError, match="give grid and grid_size"):
        detector.run(dataclasses.replace(given, grid=None))


@pytest.mark.parametrize("tail", [False, True], ids=["plain", "tail"])
def test_a_frame_in_a_square_is_judged_as_it_is_alone(tail: bool) -> None:
    """As it lies in a store, and as prediction reads it."""
    width, side, sizes = (192 if tail else 6), 8, [(8, 8), (4, 8), (8, 2), (6, 8)]
    torch.manual_seed(0)
    cells = CellHeadConfig(width=width, tail=tail, hidden=0)
    detector = DenseDetector(DetectorConfig(width=width, cells=cells)).eval()
    torch.nn.init.normal_(detector.cells.classifier.weight)
    grids, boxes, said = [], [], []
    whole = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 1, 4)
    for rows, columns in sizes:
        frame = 3 * torch.randn(1, rows * columns + rows * columns // 4, width)
        given = dataclasses.replace(input_of(frame[None], (rows, columns)), boxes=whole)
        said.append(detector.run(given))
        grids.append(in_square(BackboneOutput(None, frame, (rows, columns)), side).grid)
        boxes.append(whole * torch.tensor([1, 1, side / columns, side / rows]))
    square = input_of(torch.stack(grids), (side, side))
    together = detector.run(dataclasses.replace(square, boxes=torch.cat(boxes)))
    assert together.cells is not None and together.half_cells is not None
    for row, (alone, (rows, columns)) in enumerate(zip(said, sizes, strict=True)):
        torch.testing.assert_close(together.logits[row], alone.logits[0])
        for found, expected, by in (
            (together.cells, alone.cells, 1),
            (together.half_cells, alone.half_cells, 2),
        ):
            assert expected is not None
            in_frame = found[row, :, : rows // by, : columns // by]
            torch.testing.assert_close(in_frame, expected[0], rtol=1e-4, atol=1e-4)
            assert (found[row] > OUTSIDE).sum() == rows * columns // by**2


def test_a_frame_in_a_square_looks_as_it_does_alone() -> None:
    """As it lies in a store, alone, and as a program computes it; by hand."""
    side, sizes = 8, [(8, 8), (4, 8), (8, 2), (6, 8), (1, 8)]
    torch.manual_seed(0)
    detector = DenseDetector(CONFIG).eval()
    whole = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 1, 4)
    frames = [torch.randn(1, rows * columns, 6) for rows, columns in sizes]
    stored = [
        in_square(BackboneOutput(None, frame, size), side).grid
        for frame, size in zip(frames, sizes, strict=True)
    ]
    boxes = [whole * torch.tensor([1, 1, side / columns, side / rows]) for rows, columns in sizes]
    square = input_of(torch.stack(stored), (side, side))
    together = detector.scene(dataclasses.replace(square, boxes=torch.cat(boxes)))
    for found, frame, (rows, columns) in zip(together, frames, sizes, strict=True):
        cells = frame[0].unflatten(0, (rows, columns))
        first = round(2 * rows / 3) if rows > 1 else 0  # of one row the centre is at a half
        by_hand = torch.cat([cells.mean(dim=(0, 1)), cells[first:].mean(dim=(0, 1))])
        torch.testing.assert_close(found, by_hand)
        alone = input_of(frame[None], (rows, columns))
        torch.testing.assert_close(detector.scene(alone)[0], by_hand)
        computed = scene_vector(cells[None].numpy(), whole[0].numpy())
        torch.testing.assert_close(torch.from_numpy(computed), by_hand)


def test_what_lies_beyond_the_frame_is_not_its_lower_part() -> None:
    cells = torch.arange(8.0).reshape(1, 8, 1, 1).expand(1, 8, 8, 6)
    boxes = torch.tensor([[0.0, -0.5, 1.0, 1.5]])  # a square with a wide frame in its middle
    computed = scene_vector(cells.numpy(), boxes.numpy())
    assert computed.tolist() == [3.5] * 6 + [5.0] * 6  # of rows 2 to 5 the last alone
    detector = DenseDetector(CONFIG).eval()
    given = dataclasses.replace(input_of(cells.flatten(1, 2)[None], (8, 8)), boxes=boxes[None])
    assert detector.scene(given)[0].tolist() == computed.tolist()


def test_no_view_is_left_out() -> None:
    detector, given = DenseDetector(CONFIG), input_of(torch.randn(2, 3, 6, 6), (2, 3))
    assert detector.choose_views(given) is given


def test_cells_are_scaled_by_those_of_all_parts() -> None:
    grids = 3 + 2 * torch.randn(5, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    head = CellHead(CellHeadConfig(width=6))
    head.fit([(grids, None)], (2, 3))
    detector = DenseDetector(CONFIG)
    parts = [input_of(part, (2, 3)) for part in grids.split(2)]
    detector.fit(lambda: parts, torch.ones(5, dtype=torch.int64))  # of any labels
    assert torch.equal(detector.cells.mean, head.mean)
    assert torch.equal(detector.cells.scale, head.scale)
    assert detector.feature_mean.tolist() == [0.0] * 6
    with pytest.raises(UsageError, match="give grid and grid_size"):
        detector.fit(lambda: [dataclasses.replace(parts[0], grid=None)], torch.ones(2))


def test_the_penalty_is_of_the_last_layer() -> None:
    detector = DenseDetector(CONFIG)
    expected = 0.5 * detector.cells.classifier.weight.square().sum()
    assert torch.equal(detector.penalty(classifier=0.5, attention=3.0), expected)


def test_what_it_cannot_be_made_of_is_refused() -> None:
    with pytest.raises(UsageError, match="needs cells"):
        DenseDetector(DetectorConfig(width=6))
    with pytest.raises(UsageError, match="give width"):
        DenseDetector(DetectorConfig(cells=CellHeadConfig(width=6)))
