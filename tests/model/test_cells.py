"""The dense head against numpy, and what it learns."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from workzone.backbones.lite import load_tail
from workzone.backbones.names import LITE0, LITE0_ROAD, VARIANTS, Variant
from workzone.backbones.registry import load_backbone
from workzone.errors import UsageError
from workzone.model.cells import (
    FIRST_BIAS,
    LEAST_SPREAD,
    OUTSIDE,
    CellHead,
    Tail,
    beyond_frame,
    by_scale,
    mix_style,
)
from workzone.model.cells_config import CellHeadConfig
from workzone.model.config import DetectorConfig
from workzone.model.encoder.config import EncoderConfig
from workzone.model.masks.config import MaskHeadConfig
from workzone.model.metadata.config import MetadataConfig
from workzone.model.views.config import GlanceConfig, PrunerConfig

SIZE = (3, 3)


def head_of(**changes: object) -> CellHead:
    torch.manual_seed(0)
    head = CellHead(dataclasses.replace(CellHeadConfig(width=6, hidden=5), **changes)).eval()
    head.fit([(3 + 2 * torch.randn(4, 1, 9, 6), None)], SIZE)
    return head


@pytest.mark.parametrize("hidden", [0, 5])
@pytest.mark.parametrize("top", [1, 4, 100])
def test_logits_are_those_of_numpy(hidden: int, top: int) -> None:
    head = head_of(hidden=hidden, top=top)
    grid = 3 + 2 * torch.randn(2, 2, 9, 6)
    cells, images, _ = head(grid, SIZE)
    weights = {name: value.detach().double().numpy() for name, value in head.named_parameters()}
    x = (grid.double().numpy() - head.mean.double().numpy()) / head.scale.double().numpy()
    if hidden:
        x = np.maximum(x @ weights["hidden.weight"].T + weights["hidden.bias"], 0)
    z = (x @ weights["classifier.weight"].T + weights["classifier.bias"])[..., 0]
    expected = [np.sort(row.ravel())[::-1][:top].mean() for row in z]
    np.testing.assert_allclose(cells.detach().numpy(), z, rtol=0, atol=1e-5)
    np.testing.assert_allclose(images.detach().numpy(), expected, rtol=0, atol=1e-5)


def test_statistics_are_those_of_all_cells_however_they_are_cut() -> None:
    grids = torch.randn(6, 1, 9, 6) * torch.arange(1, 7) + 100
    grids[..., 0] = 5 + 1e-6 * torch.randn(6, 1, 9)  # next to dead
    head = head_of()
    head.fit([(part, None) for part in grids.split(4)], SIZE)
    cells = grids.double().flatten(0, 2).numpy()
    spread = cells.std(axis=0)
    spread[0] = LEAST_SPREAD * np.sort(spread)[2]  # the lower median of six
    np.testing.assert_allclose(head.mean.numpy(), cells.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(head.scale.numpy(), spread, rtol=2e-3)


def test_the_order_of_cells_changes_nothing() -> None:
    head, grid = head_of(), torch.randn(3, 2, 9, 6)
    order = torch.randperm(9)
    cells, images, _ = head(grid, SIZE)
    permuted, same, _ = head(grid[:, :, order], SIZE)
    torch.testing.assert_close(permuted, cells[..., order])
    torch.testing.assert_close(same, images)


def test_dropout_leaves_out_whole_channels_of_a_batch() -> None:
    head = head_of(hidden=0, dropout=0.5).train()
    torch.nn.init.ones_(head.classifier.weight)
    torch.nn.init.zeros_(head.classifier.bias)
    head.mean.zero_()
    head.scale.fill_(1)
    grid = torch.eye(6).repeat(2, 1, 1, 1)  # a cell per channel
    cells = head(grid, (2, 3))[0].detach()
    assert set(cells.unique().tolist()) == {0.0, 2.0}  # kept ones are scaled by 1 / (1 - 0.5)
    assert torch.equal(cells[0], cells[1])


def test_cells_start_below_a_half() -> None:
    assert head_of().classifier.bias.tolist() == [FIRST_BIAS]


def test_a_linear_head_starts_at_its_bias() -> None:
    cells, images, _ = head_of(hidden=0)(torch.randn(2, 1, 9, 6), SIZE)
    assert cells.unique().tolist() == [FIRST_BIAS]
    assert images.tolist() == [FIRST_BIAS] * 2


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_tail_goes_on_where_the_trunk_ended(variant: Variant) -> None:
    """Trunk and tail are the embedded backbone, and only the tail learns."""
    pixels = torch.randint(0, 256, (2, 3, 96, 64), dtype=torch.uint8)[..., :64, :]
    trunk, whole = load_backbone(variant.trunk), load_backbone(variant.name)
    tail = Tail(variant)
    tail.start()
    seen = trunk(pixels).grid.unflatten(1, (2, 2)).permute(0, 3, 1, 2)
    made = tail(seen).flatten(2).transpose(1, 2)
    torch.testing.assert_close(made, whole(pixels).grid, rtol=0, atol=1e-4)


def test_a_tail_starts_as_the_end_of_its_own_backbone() -> None:
    config = CellHeadConfig(width=192, tail=True, hidden=0)
    for backbone, variant in (
        ("lite0-road-trunk", LITE0_ROAD),
        ("lite0-trunk", LITE0),
        ("", LITE0),
    ):
        tail = CellHead(config, backbone=backbone).tail
        assert tail is not None
        tail.start()
        for own, published in zip(tail.parameters(), load_tail(variant), strict=True):
            assert torch.equal(own, published)


def test_a_head_with_a_tail_starts_from_the_package_and_scales_what_it_makes() -> None:
    torch.manual_seed(0)
    head = CellHead(CellHeadConfig(width=192, tail=True, hidden=0, dropout=0.0))
    grids = torch.randn(3, 2, 4, 192)
    head.fit([(grids[:2], None), (grids[2:], None)], (2, 2))
    assert head.tail is not None
    for own, given in zip(head.tail.parameters(), load_tail(LITE0), strict=True):
        assert torch.equal(own, given)
    maps = grids.flatten(0, 1).unflatten(1, (2, 2)).permute(0, 3, 1, 2)
    made = head.tail(maps).permute(0, 2, 3, 1).flatten(0, 2)
    torch.testing.assert_close(head.mean, made.mean(dim=0), rtol=1e-4, atol=1e-5)
    torch.nn.init.normal_(head.classifier.weight)
    cells, images, _ = head(grids, (2, 2))
    expected = head.classifier((made - head.mean) / head.scale).view(3, 2, 4)
    torch.testing.assert_close(cells, expected, rtol=1e-3, atol=1e-2)
    with torch.no_grad():  # image by image
        torch.testing.assert_close(head.eval()(grids, (2, 2))[0], cells, rtol=1e-4, atol=1e-3)
    images.sum().backward()
    assert all(p.grad is not None for p in head.parameters())


def test_cells_beyond_the_frame_never_decide() -> None:
    boxes = torch.tensor([[[0.0, -0.5, 1.0, 1.5], [0.0, 0.0, 1.0, 1.0]]])
    beyond = beyond_frame(boxes, (4, 2)).view(1, 2, 4, 2)
    assert beyond[0, :, :, 0].tolist() == [[True, False, False, True], [False] * 4]
    assert torch.equal(beyond[..., 0], beyond[..., 1])
    head = head_of(top=1)
    grid = torch.randn(1, 2, 8, 6)
    cells, images, _ = head(grid, (4, 2), boxes)
    free = head(grid, (4, 2))[0]
    assert (cells[beyond.flatten(2)] == OUTSIDE).all()
    torch.testing.assert_close(cells[~beyond.flatten(2)], free[~beyond.flatten(2)])
    assert images.item() == free[~beyond.flatten(2)].max()


FRAMES = ((4, 4), (3, 4), (4, 1), (2, 4))
"""Rows and columns of frames in their own shape, of 4 cells the longer side at most."""


def in_a_square(
    grids: list[torch.Tensor], beside: float, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Grids ``[h, w, D]`` at the upper left of squares of 4 x 4 cells, with numbers beside them.

    Returns:
        ``[B, 1, 16, D]`` and the boxes ``[B, 1, 4]``, which reach beyond the frames.
    """
    generator = torch.Generator().manual_seed(seed)
    square = beside * torch.randn(len(grids), 4, 4, grids[0].shape[2], generator=generator)
    boxes = torch.zeros(len(grids), 1, 4)
    for row, grid in enumerate(grids):
        height, width, _ = grid.shape
        square[row, :height, :width] = grid
        boxes[row, 0, 2:] = torch.tensor([4 / width, 4 / height])
    return square.flatten(1, 2)[:, None], boxes


def alone(grid: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
    """The same as ``[1, 1, N, D]``, with rows and columns."""
    return grid.flatten(0, 1)[None, None], (grid.shape[0], grid.shape[1])


def test_cells_beside_a_frame_in_a_square_are_beyond_it() -> None:
    grids = [torch.ones(*size, 1) for size in FRAMES]
    square, boxes = in_a_square(grids, beside=0.0)
    assert torch.equal(beyond_frame(boxes, (4, 4)), square[..., 0] == 0)


@pytest.mark.parametrize("tail", [False, True], ids=["plain", "tail"])
def test_a_head_starts_from_the_cells_of_frames_whatever_lies_beside_them(tail: bool) -> None:
    width = 192 if tail else 6
    head = CellHead(CellHeadConfig(width=width, tail=tail, hidden=0))
    grids = [3 + 2 * torch.randn(*size, width) for size in FRAMES]
    square, boxes = in_a_square(grids, beside=50.0)
    head.fit([(square[:3], boxes[:3]), (square[3:], boxes[3:])], (4, 4))
    with torch.no_grad():
        judged = torch.cat([head.judged(*alone(grid)).flatten(0, 2) for grid in grids])
    torch.testing.assert_close(head.mean, judged.mean(dim=0), rtol=1e-4, atol=1e-5)
    spread = judged.std(dim=0, correction=0)
    expected = spread.clamp(min=max(1e-4, LEAST_SPREAD * float(spread.median())))
    torch.testing.assert_close(head.scale, expected, rtol=1e-3, atol=1e-5)


def test_styles_are_those_of_the_frame_whatever_lies_beside_it() -> None:
    grids = [5 + torch.randn(3, 4, 6) * (1 + row) for row in range(8)]
    mixed = []
    for beside, seed in ((0.0, 0), (50.0, 1)):
        square, boxes = in_a_square(grids, beside, seed)
        inside = ~beyond_frame(boxes, (4, 4))
        torch.manual_seed(2)
        mixed.append(mix_style(square, 1.0, inside)[inside].view(8, 1, 12, 6))
    torch.manual_seed(2)
    expected = mix_style(torch.stack(grids).flatten(1, 2)[:, None], 1.0)
    assert (expected - torch.stack(grids).flatten(1, 2)[:, None]).abs().max() > 0.5  # it is mixed
    for found in mixed:
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tail", [False, True], ids=["plain", "tail"])
def test_training_looks_at_nothing_beside_a_frame(tail: bool) -> None:
    width = 192 if tail else 6
    config = CellHeadConfig(width=width, tail=tail, hidden=0, dropout=0.2, mix_style=1.0)
    head = CellHead(config).train()
    torch.nn.init.normal_(head.classifier.weight)
    grids = [3 + 2 * torch.randn(*size, width) for size in FRAMES]
    said = []
    for beside, seed in ((0.0, 0), (50.0, 1)):
        square, boxes = in_a_square(grids, beside, seed)
        torch.manual_seed(2)
        cells, logits, _ = head(square, (4, 4), boxes)
        assert (cells[beyond_frame(boxes, (4, 4))] == OUTSIDE).all()
        said.append((cells, logits))
    torch.testing.assert_close(said[0], said[1], rtol=1e-4, atol=1e-4)


def test_mixed_styles_are_those_of_another_image() -> None:
    torch.manual_seed(1)
    grid = torch.randn(64, 2, 50, 4) * (1 + torch.rand(64, 2, 1, 4)) + torch.randn(64, 2, 1, 4)
    torch.testing.assert_close(mix_style(grid, 0.0), grid, rtol=1e-3, atol=1e-4)
    mixed = mix_style(grid, 1.0)
    shape = (grid - grid.mean(dim=2, keepdim=True)) / grid.std(dim=2, keepdim=True)
    kept = (mixed - mixed.mean(dim=2, keepdim=True)) / mixed.std(dim=2, keepdim=True)
    torch.testing.assert_close(kept, shape, rtol=1e-3, atol=1e-3)  # content stays
    means, drawn = grid.mean(dim=2), mixed.mean(dim=2)
    moved = (drawn - means).abs().amax(dim=(1, 2)) > 1e-3
    assert 0.3 < moved.float().mean() < 1  # shares near 1 move hardly
    # On the line to one other image's mean, at most half of the way.
    ways = means[None] - means[:, None]  # [from, to, V, D]
    steps = ((drawn - means)[:, None] * ways).sum(dim=(2, 3)) / ways.square().sum(dim=(2, 3))
    off = (steps[..., None, None] * ways - (drawn - means)[:, None]).abs().amax(dim=(2, 3))
    nearest = off.nan_to_num(1e9).min(dim=1)
    assert (nearest.values[moved] < 1e-2).all()
    assert (steps.gather(1, nearest.indices[:, None])[moved] <= 0.5 + 1e-3).all()


def test_mixing_styles_is_for_training_alone() -> None:
    head, grid = head_of(mix_style=1.0, dropout=0.0), torch.randn(4, 1, 9, 6)
    torch.testing.assert_close(head(grid, SIZE)[0], head(grid, SIZE)[0], rtol=0, atol=0)
    assert not torch.equal(head.train()(grid, SIZE)[0], head.eval()(grid, SIZE)[0])


def test_mistakes_are_named() -> None:
    with pytest.raises(UsageError, match=r"top is 1 or more.*got width=0, hidden=16, top=0"):
        CellHeadConfig(top=0)
    with pytest.raises(UsageError, match="width of the grid is needed"):
        CellHead(CellHeadConfig())
    with pytest.raises(UsageError, match=r"the grid is \[1, 9, 4\]; give \[B, V, N, 6\]"):
        head_of()(torch.zeros(1, 9, 4), SIZE)
    with pytest.raises(UsageError, match=r"mix_style is a share from 0 to 1, got 1\.5"):
        CellHeadConfig(mix_style=1.5)
    with pytest.raises(
        UsageError, match=r"lite0-trunk \(192 channels\) or lite2-trunk \(208.*have 6"
    ):
        CellHeadConfig(width=6, tail=True)


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


def test_the_logit_of_views_and_their_halves_is_the_mean_of_both() -> None:
    head = head_of(top=2)
    grid = 3 + 2 * torch.randn(2, 3, 4 * 6 + 2 * 3, 6)
    boxes = torch.tensor([0.0, -0.5, 1.0, 1.5]).expand(2, 3, 4)
    cells, logits, _ = head(grid, (4, 6), boxes)
    own, own_logits, _ = head(grid[:, :, :24], (4, 6), boxes)
    half, half_logits, _ = head(grid[:, :, 24:], (2, 3), boxes)
    torch.testing.assert_close(cells, torch.cat([own, half], dim=2))
    torch.testing.assert_close(logits, (own_logits + half_logits) / 2)
    assert (half == OUTSIDE).sum() == 0 < (own == OUTSIDE).sum()


def test_what_is_learned_is_of_the_views_alone() -> None:
    grids = 5 + torch.randn(4, 2, 20, 6)
    grids[:, :, 16:] += 100
    head = CellHead(CellHeadConfig(width=6, dropout=0.0))
    head.fit([(grids, None)], (4, 4))
    own = grids[:, :, :16]
    torch.testing.assert_close(head.mean, own.flatten(0, 2).mean(dim=0), rtol=1e-5, atol=0)
    head.train()
    for found, expected in zip(head(grids, (4, 4))[:2], head(own, (4, 4))[:2], strict=True):
        assert torch.equal(found, expected)


def test_cells_are_parted_by_scale() -> None:
    packed = torch.arange(80).view(1, 1, 80)
    (own, size), (half, half_size) = by_scale(packed, (8, 8))
    assert (size, half_size) == ((8, 8), (4, 4))
    assert torch.equal(torch.cat([own, half], dim=2), packed)
    assert [size for _, size in by_scale(packed[:, :, :64], (8, 8))] == [(8, 8)]
    assert [size for _, size in by_scale(packed[:, :, :1], (1, 1))] == [(1, 1)]  # without a half
    with pytest.raises(UsageError, match=r"grid of 8 x 8 has 64 or 80 cells .* not 79"):
        by_scale(packed[:, :, :79], (8, 8))
