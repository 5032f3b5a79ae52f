from __future__ import annotations

import math

import pytest
import torch

from workzone.model.views.pooling import GatedAttentionPooling

B, V, D, HIDDEN = 3, 5, 4, 6


@pytest.fixture
def pooling() -> GatedAttentionPooling:
    torch.manual_seed(0)
    layer = GatedAttentionPooling(width=D, hidden=HIDDEN).double()
    torch.nn.init.normal_(layer.score.weight)
    return layer


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(B, V, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def slow_reference(
    layer: GatedAttentionPooling, views: list[list[float]]
) -> tuple[list[float], list[float]]:
    """Ilse et al. 2018, equation 9, one number at a time."""
    project, project_bias = layer.project.weight.tolist(), layer.project.bias.tolist()
    gate, gate_bias = layer.gate.weight.tolist(), layer.gate.bias.tolist()
    score = layer.score.weight[0].tolist()
    scores = []
    for view in views:
        total = 0.0
        for unit in range(HIDDEN):
            p = project_bias[unit] + sum(w * x for w, x in zip(project[unit], view, strict=True))
            g = gate_bias[unit] + sum(w * x for w, x in zip(gate[unit], view, strict=True))
            total += score[unit] * math.tanh(p) / (1 + math.exp(-g))
        scores.append(math.exp(total))
    weights = [s / sum(scores) for s in scores]
    pooled = [sum(w * view[d] for w, view in zip(weights, views, strict=True)) for d in range(D)]
    return pooled, weights


def test_it_is_the_published_formula(
    pooling: GatedAttentionPooling, features: torch.Tensor
) -> None:
    pooled, weights = pooling(features)
    for row in range(B):
        expected_pooled, expected_weights = slow_reference(pooling, features[row].tolist())
        assert pooled[row].tolist() == pytest.approx(expected_pooled, abs=1e-12)
        assert weights[row].tolist() == pytest.approx(expected_weights, abs=1e-12)


def test_weights_sum_to_one_and_differ(
    pooling: GatedAttentionPooling, features: torch.Tensor
) -> None:
    _, weights = pooling(features)
    assert weights.shape == (B, V)
    torch.testing.assert_close(weights.sum(1), torch.ones(B, dtype=torch.float64))
    assert weights.std() > 0.01


def test_untrained_it_is_the_plain_mean(features: torch.Tensor) -> None:
    layer = GatedAttentionPooling(width=D, hidden=HIDDEN).double()
    pooled, weights = layer(features)
    torch.testing.assert_close(pooled, features.mean(1))
    torch.testing.assert_close(weights, torch.full((B, V), 1 / V, dtype=torch.float64))


def test_masked_views_are_as_good_as_left_out(
    pooling: GatedAttentionPooling, features: torch.Tensor
) -> None:
    mask = torch.tensor([True, False, True, True, False])
    pooled, weights = pooling(features, mask.expand(B, V))
    expected_pooled, expected_weights = pooling(features[:, mask])
    torch.testing.assert_close(pooled, expected_pooled)
    torch.testing.assert_close(weights[:, mask], expected_weights)
    assert (weights[:, ~mask] == 0).all()


def test_views_are_a_set(pooling: GatedAttentionPooling, features: torch.Tensor) -> None:
    order = torch.tensor([3, 0, 4, 2, 1])
    pooled, weights = pooling(features)
    shuffled_pooled, shuffled_weights = pooling(features[:, order])
    torch.testing.assert_close(shuffled_pooled, pooled)
    torch.testing.assert_close(shuffled_weights, weights[:, order])
