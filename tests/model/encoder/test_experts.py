from __future__ import annotations

import math

import pytest
import torch
from transformers import Qwen3MoeConfig
from transformers.models.qwen3_moe.modeling_qwen3_moe import (
    Qwen3MoeSparseMoeBlock,
    load_balancing_loss_func,
)

from workzone.errors import UsageError
from workzone.model.encoder.config import ExpertsConfig
from workzone.model.encoder.experts import MixtureOfExperts, balance

B, V, E, EXPERTS, HIDDEN = 2, 6, 8, 4, 5
MASK = torch.tensor([[True, True, False, True, False, True], [True] * 5 + [False]])


def make(per_token: int = 2, *, normalise: bool = True) -> MixtureOfExperts:
    torch.manual_seed(0)
    return MixtureOfExperts(
        ExpertsConfig(
            width=E, experts=EXPERTS, hidden=HIDDEN, per_token=per_token, normalise=normalise
        )
    ).double()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(B, V, E, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("per_token", [1, 2, 4])
def test_it_is_the_block_of_qwen3_moe(x: torch.Tensor, per_token: int, normalise: bool) -> None:
    layer = make(per_token, normalise=normalise)
    reference = Qwen3MoeSparseMoeBlock(
        Qwen3MoeConfig(
            hidden_size=E,
            num_experts=EXPERTS,
            moe_intermediate_size=HIDDEN,
            num_experts_per_tok=per_token,
            norm_topk_prob=normalise,
        )
    ).double()
    gate_up = [torch.cat((e.gate_proj.weight, e.up_proj.weight)) for e in layer.experts]
    reference.load_state_dict(
        {
            "gate.weight": layer.router.weight,
            "experts.gate_up_proj": torch.stack(gate_up),
            "experts.down_proj": torch.stack([e.down_proj.weight for e in layer.experts]),
        }
    )
    torch.testing.assert_close(layer(x)[0], reference(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("per_token", [1, 2, 4])
def test_the_loss_is_that_of_qwen3_moe(
    x: torch.Tensor, per_token: int, mask: torch.Tensor | None
) -> None:
    layer = make(per_token)
    logits = layer.router(x).view(-1, EXPERTS)
    expected = load_balancing_loss_func((logits,), EXPERTS, per_token, mask)
    torch.testing.assert_close(layer(x, mask)[1], expected.double(), rtol=0, atol=1e-6)


def test_loss_and_statistics_of_a_small_table() -> None:
    """Three tokens, two experts, one each: every number by hand."""
    probabilities = torch.tensor([[[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]]], dtype=torch.float64)
    chosen = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]], dtype=torch.float64)
    loss, statistics = balance(probabilities, chosen, None)
    assert loss.item() == pytest.approx(2 * (2 / 3 * 1.75 / 3 + 1 / 3 * 1.25 / 3))
    assert statistics.share.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert statistics.mean_probability.tolist() == pytest.approx([1.75 / 3, 1.25 / 3])
    doubt = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert statistics.entropy.item() == pytest.approx((math.log(2) + doubt) / 3)
    loss, statistics = balance(probabilities, chosen, torch.tensor([[True, False, True]]))
    assert loss.item() == pytest.approx(2 * 1.5 / 2)
    assert statistics.share.tolist() == [1.0, 0.0]
    assert statistics.mean_probability.tolist() == [0.75, 0.25]
    assert statistics.entropy.item() == pytest.approx(math.log(2) / 2)


def test_equal_experts_are_one_expert(x: torch.Tensor) -> None:
    layer = make()
    for expert in layer.experts:
        expert.load_state_dict(layer.experts[0].state_dict())
    torch.testing.assert_close(layer(x)[0], layer.experts[0](x))


def test_all_experts_at_equal_weights_are_their_mean(x: torch.Tensor) -> None:
    layer = make(EXPERTS)
    torch.nn.init.zeros_(layer.router.weight)
    output, loss, statistics = layer(x)
    mean = torch.stack([expert(x) for expert in layer.experts]).mean(0)
    torch.testing.assert_close(output, mean)
    assert loss.item() == pytest.approx(EXPERTS)  # even load: the number of experts per token
    assert statistics.share.tolist() == pytest.approx([1 / EXPERTS] * EXPERTS)
    assert statistics.entropy.item() == pytest.approx(math.log(EXPERTS))


def test_a_router_that_is_sure_of_one_expert(x: torch.Tensor) -> None:
    layer = make(1)
    x[..., 0] = 1.0
    with torch.no_grad():
        layer.router.weight.zero_()
        layer.router.weight[2, 0] = 1000.0
    output, loss, statistics = layer(x)
    torch.testing.assert_close(output, layer.experts[2](x))
    assert loss.item() == pytest.approx(EXPERTS)  # the worst there is for one expert per token
    assert statistics.share.tolist() == [0, 0, 1, 0]
    assert statistics.entropy.item() == pytest.approx(0)


def test_masked_tokens_are_not_counted(x: torch.Tensor) -> None:
    layer = make()
    keep = torch.tensor([0, 3, 4])
    mask = torch.zeros(B, V, dtype=torch.bool)
    mask[:, keep] = True
    output, loss, statistics = layer(x, mask)
    few_output, few_loss, few_statistics = layer(x[:, keep])
    torch.testing.assert_close(output[:, keep], few_output)
    torch.testing.assert_close(loss, few_loss)
    for name in ("share", "mean_probability", "entropy"):
        torch.testing.assert_close(getattr(statistics, name), getattr(few_statistics, name))
    assert not torch.isclose(loss, layer(x)[1])


def test_no_token_at_all_costs_nothing(x: torch.Tensor) -> None:
    layer = make()
    _, loss, statistics = layer(x, torch.zeros(B, V, dtype=torch.bool))
    assert loss.item() == 0
    assert statistics.share.tolist() == [0] * EXPERTS


def test_the_loss_teaches_the_router_alone(x: torch.Tensor) -> None:
    layer = make()
    before = layer(x, MASK)[1]
    before.backward()
    assert all(p.grad is None for p in layer.experts.parameters())
    with torch.no_grad():
        layer.router.weight -= 0.01 * layer.router.weight.grad
    assert layer(x, MASK)[1] < before


def test_second_derivatives(x: torch.Tensor) -> None:
    layer = make()
    few = x[:1, :2].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda t: layer(t)[:2], few)
    assert torch.autograd.gradgradcheck(lambda t: layer(t)[:2], few)


@pytest.mark.parametrize("autocast", [False, True])
def test_the_router_stays_precise_in_half_precision(x: torch.Tensor, autocast: bool) -> None:
    layer = make().float() if autocast else make().bfloat16()
    tokens = x.to(layer.router.weight.dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        output, loss, statistics = layer(tokens)
    assert output.dtype == tokens.dtype
    assert loss.dtype == torch.float32
    logits = tokens.float() @ layer.router.weight.float().T
    expected = torch.softmax(logits, dim=-1).mean(dim=(0, 1))
    torch.testing.assert_close(statistics.mean_probability, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 0}, "width, experts and hidden are positive: got .*hidden=0"),
        ({"per_token": 5}, "between 1 and the 4 experts: got 5"),
        ({"per_token": 0}, "between 1 and the 4 experts: got 0"),
    ],
)
def test_mistakes_are_named(options: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ExpertsConfig(**options)
