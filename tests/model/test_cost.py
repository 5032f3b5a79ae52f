"""Costs: counting held to closed forms."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workzone.backbones.names import SIZES, ViTSize
from workzone.model.cost import META, PeakMemory, counted, meta_backbone, preset_cost
from workzone.model.costs import TRAINING_BATCH, preset_costs, views_read
from workzone.model.presets import PRESETS, preset
from workzone.views import USUAL_FRAME, ViewLayout


def empty(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, device=META)


def flops(work: Callable[[], object]) -> int:
    return counted(work, []).flops


@torch.no_grad()
def test_a_multiply_add_counts_as_two() -> None:
    linear = nn.Linear(7, 5, device=META)
    assert flops(lambda: linear(empty(3, 7))) == 2 * 3 * 7 * 5
    convolution = nn.Conv2d(8, 12, 3, stride=2, padding=1, groups=4, device=META)
    assert flops(lambda: convolution(empty(2, 8, 10, 10))) == 2 * 2 * 12 * 25 * (8 // 4) * 9
    query, shared, mask = empty(2, 6, 5, 4), empty(2, 6, 5, 4), empty(2, 1, 1, 5) > 0
    scores = 2 * 2 * 6 * 5 * 5 * 4
    attend = F.scaled_dot_product_attention
    assert flops(lambda: attend(query, shared, shared)) == 2 * scores
    assert flops(lambda: attend(query, shared, shared, attn_mask=mask)) == 2 * scores


def test_attention_holds_no_scores() -> None:
    query = empty(1, 2, 1000, 4)
    with torch.no_grad():
        work = counted(lambda: F.scaled_dot_product_attention(query, query, query), [query])
    scores = 4 * 2 * 1000 * 1000
    assert 2 * query.nbytes <= work.peak < scores


def test_the_backbones_work_follows_from_its_shape() -> None:
    size = SIZES["dinov3-vits16"]
    assert isinstance(size, ViTSize)
    backbone = meta_backbone("dinov3-vits16")
    pixels = torch.empty(3, 3, 64, 64, dtype=torch.uint8, device=META)
    patches, width = 16, size.width
    tokens = patches + 1 + 4
    embedding = patches * width * 3 * 16 * 16
    layer = 4 * tokens * width**2 + 2 * tokens**2 * width + 2 * tokens * width * size.hidden
    assert flops(lambda: backbone(pixels)) == 2 * 3 * (embedding + size.layers * layer)


def test_the_peak_of_a_chain_in_prediction() -> None:
    chain = nn.Sequential(*[nn.Linear(40, 40, bias=False) for _ in range(5)]).to(META)
    rows = empty(10, 40)
    with torch.no_grad():
        work = counted(lambda: chain(rows), [*chain.parameters(), rows])
    weights, vectors = 5 * 40 * 40 * 4, 10 * 40 * 4
    assert work.peak == weights + 3 * vectors  # the input, and each layer's own input and output
    assert work.flops == 5 * 2 * 10 * 40 * 40


def test_the_peak_of_a_chain_in_training() -> None:
    rows = empty(10, 40).requires_grad_()

    def work() -> None:
        value = rows
        for _ in range(6):
            value = value.sin()
        value.sum().backward()

    memory = PeakMemory([rows])
    with memory:
        work()
    # The input and all six results are kept for the way back. On it, a cosine and a new gradient
    # come beside them, then always one result less and one gradient more; the sum, its gradient.
    vectors = 10 * 40 * 4
    assert memory.peak == (1 + 6 + 2) * vectors + 2 * 4


def test_views_share_and_what_is_dropped_is_free_again() -> None:
    memory = PeakMemory()
    with memory:
        first = torch.empty(100, device=META)
        assert first.view(10, 10)[2:4].numel() == 20
        assert memory.peak == 400
        del first
        _ = torch.empty(60, device=META)
        assert memory.peak == 400
        _ = torch.empty(70, device=META)  # made while the other one still has its name
    assert memory.peak == (60 + 70) * 4


def test_experts_count_as_they_are_executed() -> None:
    dense, experts = preset_cost(preset("huge")), preset_cost(preset("huge-moe"))
    mixture = 4 * 3 * 512 * 1024 + 4 * 512  # every expert sees every token; the router
    tokens, blocks = 8, 4
    assert experts.flops - dense.flops == 2 * blocks * tokens * (mixture - 3 * 512 * 2048)
    grown = 4 * (4 * 3 * 512 * 1024 + 4 * 512 - 3 * 512 * 2048)
    assert experts.trainable_parameters - dense.trainable_parameters == grown
    assert dense.frozen_parameters == experts.frozen_parameters == 840_592_640
    assert dense.backbone_flops / 12 == pytest.approx(1902e9, rel=1e-3)


def test_lites_figures_hang_together() -> None:
    entry = preset("lite")
    cost = preset_cost(entry)
    assert cost.frozen_parameters == 3_371_008
    # gate: two layers of 32 and their scores; classifier on both halves
    assert cost.trainable_parameters == 2 * (2560 * 32 + 32) + 32 + (2 * 2560 * 2 + 2)
    assert cost.weights_float32 == 2 * cost.weights_bfloat16 > 4 * cost.frozen_parameters
    assert cost.predict_memory == cost.weights_float32 + cost.predict_activations
    # uint8 pixels and their float32 form are there together
    assert cost.predict_activations > 5 * 4 * 3 * 224 * 224
    features = TRAINING_BATCH * 12 * 2560 * 4
    assert cost.train_step > 4 * 4 * cost.trainable_parameters + features
    assert views_read(entry) == 4
    plain = dataclasses.replace(entry.detector, glance=None)
    whole = preset_cost(dataclasses.replace(entry, detector=plain))
    assert whole.backbone_flops * 4 == cost.backbone_flops * 12
    assert cost.train_step - whole.train_step >= TRAINING_BATCH * 49 * 1280 * 4  # the grid


def test_frames_in_their_own_shape_are_counted_for_a_usual_one() -> None:
    """1280 x 720 px are seen at 896 x 512; stored grids are squares of the longest side."""
    entry = preset("dense")
    assert entry.layout.shape(*USUAL_FRAME) == (512, 896)
    squares = ViewLayout(size=512, tiles=0, squares=(), halves=True)
    cost, square = preset_cost(entry), preset_cost(dataclasses.replace(entry, layout=squares))
    assert cost.backbone_flops * 512 == square.backbone_flops * 896
    assert cost.flops * 512 == square.flops * 896  # cells are judged one like another
    assert cost.weights_float32 == square.weights_float32
    assert cost.predict_activations > 5 * 3 * 512 * 896  # uint8 pixels and their float32 form
    grids = TRAINING_BATCH * (28 * 28 + 14 * 14) * 192 * 4
    small = TRAINING_BATCH * (16 * 16 + 8 * 8) * 192 * 4
    assert cost.train_step - square.train_step > grids - small
    half = preset_cost(dataclasses.replace(entry, layout=entry.layout.with_view_size(256)))
    assert half.backbone_flops * 4 == cost.backbone_flops


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_written_down_is_what_is_counted(name: str) -> None:
    assert preset_costs()[name] == preset_cost(PRESETS[name])  # else: benchmarks/preset_costs.py


def test_no_other_costs_are_written_down() -> None:
    assert list(preset_costs()) == list(PRESETS)
