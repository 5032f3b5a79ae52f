"""The dense head against numpy, and what it learns."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from workzone.errors import UsageError
from workzone.model.cells import FIRST_BIAS, LEAST_SPREAD, CellHead, CellHeadConfig
from workzone.model.detector import Detector, DetectorConfig
from workzone.model.encoder import EncoderConfig
from workzone.model.evidence import cell_box, view_shares
from workzone.model.glance import GlanceConfig
from workzone.model.inputs import DetectorInput
from workzone.model.masks import MaskHeadConfig
from workzone.model.metadata_config import MetadataConfig
from workzone.model.pruning import PrunerConfig


def head_of(**changes: object) -> CellHead:
    torch.manual_seed(0)
    head = CellHead(dataclasses.replace(CellHeadConfig(width=6, hidden=5), **changes)).eval()
    head.fit([3 + 2 * torch.randn(4, 9, 6)])
    return head


@pytest.mark.parametrize("hidden", [0, 5])
@pytest.mark.parametrize("top", [1, 4, 100])
def test_logits_are_those_of_numpy(hidden: int, top: int) -> None:
    head = head_of(hidden=hidden, top=top)
    grid = 3 + 2 * torch.randn(2, 9, 6)
    cells, images = head(grid)
    weights = {name: value.detach().double().numpy() for name, value in head.named_parameters()}
    x = (grid.double().numpy() - head.mean.double().numpy()) / head.scale.double().numpy()
    if hidden:
        x = np.maximum(x @ weights["hidden.weight"].T + weights["hidden.bias"], 0)
    z = (x @ weights["classifier.weight"].T + weights["classifier.bias"])[..., 0]
    expected = [np.sort(row)[::-1][:top].mean() for row in z]
    np.testing.assert_allclose(cells.detach().numpy(), z, rtol=0, atol=1e-5)
    np.testing.assert_allclose(images.detach().numpy(), expected, rtol=0, atol=1e-5)


def test_statistics_are_those_of_all_cells_however_they_are_cut() -> None:
    grids = torch.randn(6, 9, 6) * torch.arange(1, 7) + 100
    grids[..., 0] = 5 + 1e-6 * torch.randn(6, 9)  # next to dead
    head = head_of()
    head.fit(grids.split(4))
    cells = grids.double().flatten(0, 1).numpy()
    spread = cells.std(axis=0)
    spread[0] = LEAST_SPREAD * np.sort(spread)[2]  # the lower median of six
    np.testing.assert_allclose(head.mean.numpy(), cells.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(head.scale.numpy(), spread, rtol=2e-3)


def test_the_order_of_cells_changes_nothing() -> None:
    head, grid = head_of(), torch.randn(3, 9, 6)
    order = torch.randperm(9)
    cells, images = head(grid)
    permuted, same = head(grid[:, order])
    torch.testing.assert_close(permuted, cells[:, order])
    torch.testing.assert_close(same, images)


def test_dropout_leaves_out_whole_channels_of_a_batch() -> None:
    head = head_of(hidden=0, dropout=0.5).train()
    torch.nn.init.ones_(head.classifier.weight)
    torch.nn.init.zeros_(head.classifier.bias)
    head.mean.zero_()
    head.scale.fill_(1)
    grid = torch.eye(6).repeat(2, 1, 1)  # a cell per channel
    cells = head(grid)[0].detach()
    assert set(cells.unique().tolist()) == {0.0, 2.0}  # kept ones are scaled by 1 / (1 - 0.5)
    assert torch.equal(cells[0], cells[1])


def test_cells_start_below_a_half() -> None:
    assert head_of().classifier.bias.tolist() == [FIRST_BIAS]


def test_mistakes_are_named() -> None:
    with pytest.raises(UsageError, match=r"top is 1 or more.*got width=0, hidden=16, top=0"):
        CellHeadConfig(top=0)
    with pytest.raises(UsageError, match="width of the grid is needed"):
        CellHead(CellHeadConfig())
    with pytest.raises(UsageError, match=r"the grid is \[1, 9, 4\]; give \[B, N, 6\]"):
        head_of()(torch.zeros(1, 9, 4))


def dense(**changes: object) -> DetectorConfig:
    return DetectorConfig(width=6, cells=CellHeadConfig(width=6), **changes)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("glance", GlanceConfig()),
        ("pruner", PrunerConfig(keep=8)),
        ("metadata", MetadataConfig()),
        ("masks", MaskHeadConfig()),
        ("encoder", EncoderConfig(width=6, heads=1, kv_heads=1, depth=1)),
        ("head", (4,)),
    ],
)
def test_nothing_else_is_read(name: str, part: object) -> None:
    with pytest.raises(UsageError, match=f"reads nothing else; leave out {name}, or cells"):
        dense(**{name: part})


def test_a_dense_detector_says_where() -> None:
    torch.manual_seed(0)
    detector = Detector(dense()).eval()
    given = DetectorInput(
        features=torch.zeros(2, 3, 6), grid=torch.randn(2, 6, 6), grid_size=(2, 3)
    )
    output = detector.run(given)
    assert output.cells is not None
    assert output.cells.shape == (2, 2, 3)
    strongest = output.cells.flatten(1).topk(4).values.mean(dim=1)
    torch.testing.assert_close(output.logits[:, 1] - output.logits[:, 0], strongest)
    assert output.view_weights.tolist() == [[1, 0, 0]] * 2
    assert view_shares(detector, given, views=3).tolist() == [[1, 0, 0]] * 2
    assert {name.split(".")[0] for name, _ in detector.named_parameters()} == {"cells"}
    with pytest.raises(UsageError, match="give grid and grid_size"):
        detector.run(dataclasses.replace(given, grid=None))


def test_the_box_of_a_cell_is_in_fractions_of_the_frame() -> None:
    assert cell_box(0, (2, 4)) == (0, 0, 0.25, 0.5)
    assert cell_box(6, (2, 4)) == (0.5, 0.5, 0.75, 1)
