from __future__ import annotations

import math

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from workzone.errors import UsageError
from workzone.model.views.fusion import FusionConfig, GatedAttentionFusion
from workzone.model.views.pooling import GatedAttentionPooling

B, V, E, H, HIDDEN = 3, 5, 8, 2, 3


@pytest.fixture
def fusion() -> GatedAttentionFusion:
    """With weights that are nowhere zero, as after training."""
    torch.manual_seed(0)
    layer = GatedAttentionFusion(FusionConfig(width=E, heads=H, hidden=HIDDEN)).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randn(B, V, E, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def slow_attention(layer: GatedAttentionFusion, views: torch.Tensor) -> torch.Tensor:
    """Residual attention of one image ``[V, E]``, one pair of views at a time."""
    normed = views / (views.square().mean(-1, keepdim=True) + 1e-6).sqrt() * layer.norm.weight
    query, key, value = (normed @ w.T for w in layer.qkv_proj.weight.chunk(3))
    mixed = torch.zeros_like(views)
    for head in range(H):
        part = slice(head * E // H, (head + 1) * E // H)
        for i in range(len(views)):
            scores = [
                math.exp(float(query[i, part] @ key[j, part]) / math.sqrt(E / H))
                for j in range(len(views))
            ]
            for j, score in enumerate(scores):
                mixed[i, part] += score / sum(scores) * value[j, part]
    return views + mixed @ layer.o_proj.weight.T


def pool_of_head(layer: GatedAttentionFusion, head: int) -> GatedAttentionPooling:
    """One head's pooling as the package's single-head pooling, which has tests of its own."""
    pool = GatedAttentionPooling(width=E // H, hidden=HIDDEN).double()
    weight, bias = layer.gate_weight[head].T, layer.gate_bias[head]
    state = {
        "project.weight": weight[:HIDDEN],
        "project.bias": bias[:HIDDEN],
        "gate.weight": weight[HIDDEN:],
        "gate.bias": bias[HIDDEN:],
        "score.weight": layer.score_weight[head : head + 1],
    }
    pool.load_state_dict(state)
    return pool


@torch.no_grad()
def test_it_is_attention_then_one_gated_pooling_per_head(
    fusion: GatedAttentionFusion, tokens: torch.Tensor
) -> None:
    pooled, weights = fusion(tokens)
    for row in range(B):
        views = slow_attention(fusion, tokens[row])
        parts = [
            pool_of_head(fusion, head)(part[None])
            for head, part in enumerate(views.chunk(H, dim=-1))
        ]
        torch.testing.assert_close(pooled[row], torch.cat([part[0] for part, _ in parts]))
        expected = torch.stack([weight[0] for _, weight in parts]).mean(0)
        torch.testing.assert_close(weights[row], expected)
    torch.testing.assert_close(weights.sum(1), torch.ones(B, dtype=torch.float64))
    assert weights.std() > 0.01


def test_untrained_it_is_the_plain_mean(tokens: torch.Tensor) -> None:
    torch.manual_seed(2)
    fusion = GatedAttentionFusion(FusionConfig(width=E, heads=H, hidden=HIDDEN)).double()
    pooled, weights = fusion(tokens)
    torch.testing.assert_close(pooled, tokens.mean(1), rtol=0, atol=1e-14)
    torch.testing.assert_close(weights, torch.full((B, V), 1 / V, dtype=torch.float64))


@pytest.mark.parametrize("flat", ["score_weight", "gate_weight"])
def test_flat_gates_average_what_attention_gives(
    fusion: GatedAttentionFusion, tokens: torch.Tensor, flat: str
) -> None:
    with torch.no_grad():
        getattr(fusion, flat).zero_()
        pooled, _ = fusion(tokens)
        expected = torch.stack([slow_attention(fusion, row).mean(0) for row in tokens])
    torch.testing.assert_close(pooled, expected)


def test_masked_views_are_as_good_as_left_out(
    fusion: GatedAttentionFusion, tokens: torch.Tensor
) -> None:
    mask = torch.tensor([True, False, True, True, False])
    tokens[:, ~mask] = torch.nan
    pooled, weights = fusion(tokens, mask.expand(B, V))
    expected_pooled, expected_weights = fusion(tokens[:, mask])
    torch.testing.assert_close(pooled, expected_pooled)
    torch.testing.assert_close(weights[:, mask], expected_weights)
    assert (weights[:, ~mask] == 0).all()
    pooled.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in fusion.parameters())


def test_views_are_a_set(fusion: GatedAttentionFusion, tokens: torch.Tensor) -> None:
    order = torch.tensor([3, 0, 4, 2, 1])
    pooled, weights = fusion(tokens)
    shuffled_pooled, shuffled_weights = fusion(tokens[:, order])
    torch.testing.assert_close(shuffled_pooled, pooled)
    torch.testing.assert_close(shuffled_weights, weights[:, order])


def test_every_part_learns_within_two_steps(tokens: torch.Tensor) -> None:
    """What starts at zero gets a gradient at once; what stands behind it, one step later."""
    torch.manual_seed(3)
    fusion = GatedAttentionFusion(FusionConfig(width=E, heads=H, hidden=HIDDEN)).double()
    optimizer = torch.optim.SGD(fusion.parameters(), lr=0.1)
    for step in range(2):
        optimizer.zero_grad()
        fusion(tokens)[0].square().sum().backward()
        learning = {n for n, p in fusion.named_parameters() if p.grad.abs().sum() > 0}
        if step == 0:
            assert learning == {"o_proj.weight", "score_weight"}
        optimizer.step()
    assert learning == {name for name, _ in fusion.named_parameters()}


def test_gradients_and_second_derivatives_are_right(
    fusion: GatedAttentionFusion, tokens: torch.Tensor
) -> None:
    mask = torch.tensor([[True, True, False]])
    names = [name for name, _ in fusion.named_parameters()]

    def fused(tokens: torch.Tensor, *parameters: torch.Tensor) -> tuple[torch.Tensor, ...]:
        state = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(fusion, state, (tokens, mask))

    values = [p.detach().clone() for p in fusion.parameters()]
    arguments = [value.requires_grad_() for value in (tokens[:1, :3].clone(), *values)]
    with sdpa_kernel(SDPBackend.MATH):
        assert torch.autograd.gradcheck(fused, arguments, fast_mode=True)
        assert torch.autograd.gradgradcheck(fused, arguments, fast_mode=True)


def test_it_compiles_without_graph_breaks(
    fusion: GatedAttentionFusion, tokens: torch.Tensor
) -> None:
    compiled = torch.compile(fusion, fullgraph=True, backend="eager")
    mask = torch.ones(B, V, dtype=torch.bool)
    torch.testing.assert_close(compiled(tokens, mask), fusion(tokens, mask))


def test_bfloat16_stays_near_float32(fusion: GatedAttentionFusion, tokens: torch.Tensor) -> None:
    for parameter in fusion.parameters():
        parameter.data *= 0.3
    exact, exact_weights = fusion.float()(tokens.float())
    rounded, weights = fusion.bfloat16()(tokens.bfloat16())
    assert rounded.dtype == weights.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, atol=0.05, rtol=0.05)
    torch.testing.assert_close(weights.float(), exact_weights, atol=0.01, rtol=0.05)


@pytest.mark.parametrize("wrong", [{"width": 10}, {"hidden": 0}, {"heads": 0}])
def test_a_wrong_configuration_is_refused(wrong: dict[str, int]) -> None:
    name, value = next(iter(wrong.items()))
    with pytest.raises(UsageError, match=rf"multiple of heads.*{name}={value}"):
        FusionConfig(**wrong)
