from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workzone.errors import UsageError
from workzone.model.encoder import linear_attention as module
from workzone.model.encoder.attention import GroupedQueryAttention
from workzone.model.encoder.config import AttentionConfig
from workzone.model.encoder.linear_attention import GatedLinearAttention, feature_map
from workzone.model.encoder.positions import apply_rotary, rotary_angles

B, N, E, H, G = 2, 7, 16, 4, 2
C = E // H
CONFIG = AttentionConfig(width=E, heads=H, kv_heads=G, gate="element")


def made(config: AttentionConfig = CONFIG) -> GatedLinearAttention:
    torch.manual_seed(0)
    layer = GatedLinearAttention(config).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return layer


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(B, N, E, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def angles(ids: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    cos, sin = rotary_angles(torch.tensor([ids]), head_width=C, theta=100.0)
    return cos.double(), sin.double()


def phi(x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.elu(x) + 1


def norm(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight


def quadratic(
    layer: GatedLinearAttention,
    x: torch.Tensor,
    *,
    rotary: tuple[torch.Tensor, torch.Tensor] | None = None,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """The same attention through its N x N weights, head by head."""
    heads = []
    for head in range(H):
        own = slice(head * C, (head + 1) * C)
        shared = slice(head // (H // G) * C, (head // (H // G) + 1) * C)
        query = phi(norm(x @ layer.q_proj.weight[own].T, layer.q_norm.weight))
        key = phi(norm(x @ layer.k_proj.weight[shared].T, layer.k_norm.weight))
        value = x @ layer.v_proj.weight[shared].T
        weights = query @ key.mT
        total = weights if mask is None else weights * mask[:, None]
        if rotary is not None:
            turned = [apply_rotary(part[:, None], rotary)[:, 0] for part in (query, key)]
            weights = turned[0] @ turned[1].mT
        if mask is not None:
            weights = weights * mask[:, None]
        heads.append(weights / total.sum(-1, keepdim=True) @ value)
    mixed = torch.cat(heads, dim=-1)
    if layer.gate_proj is not None:
        gate = torch.sigmoid(x @ layer.gate_proj.weight.T)
        mixed = mixed * (gate if gate.shape[-1] == E else gate.repeat_interleave(C, dim=-1))
    return mixed @ layer.o_proj.weight.T


@pytest.mark.parametrize("gate", ["element", "head", "none"])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_it_equals_its_quadratic_form(
    x: torch.Tensor, gate: str, turned: bool, masked: bool
) -> None:
    layer = made(AttentionConfig(width=E, heads=H, kv_heads=G, gate=gate))
    rotary = angles([0, 1, 4, 5, 8, 9, 11]) if turned else None
    mask = torch.arange(N).expand(B, N) < torch.tensor([[4], [7]]) if masked else None
    mixed = layer(x, rotary=rotary, mask=mask)
    expected = quadratic(layer, x, rotary=rotary, mask=mask)
    torch.testing.assert_close(mixed, expected, rtol=1e-9, atol=1e-9)


def test_alike_keys_give_the_mean_of_the_values(x: torch.Tensor) -> None:
    layer = made()
    with torch.no_grad():
        layer.k_norm.weight.zero_()
        layer.gate_proj.weight.zero_()  # each gate is then 1/2
    mean = layer.v_proj(x).mean(1).view(B, G, C).repeat_interleave(H // G, dim=1).reshape(B, E)
    expected = layer.o_proj(mean / 2)[:, None].expand(B, N, E)
    torch.testing.assert_close(layer(x), expected)


def test_masked_tokens_are_as_good_as_left_out(x: torch.Tensor) -> None:
    layer = made()
    mask = torch.tensor([True, False, True, True, False, True, False])
    x[:, ~mask] = torch.nan
    mixed = layer(x, mask=mask.expand(B, N))
    torch.testing.assert_close(mixed[:, mask], layer(x[:, mask]))


def test_tokens_are_a_set(x: torch.Tensor) -> None:
    layer = made()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(layer(x[:, order]), layer(x)[:, order])


def test_rotary_positions_are_relative(x: torch.Tensor) -> None:
    layer = made()
    mixed = layer(x, rotary=angles([0, 1, 2, 3, 5, 6, 9]))
    moved = layer(x, rotary=angles([20, 21, 22, 23, 25, 26, 29]))
    torch.testing.assert_close(moved, mixed, rtol=0, atol=1e-5)
    assert (mixed - layer(x)).abs().max() > 1e-3


def test_a_bias_is_refused(x: torch.Tensor) -> None:
    with pytest.raises(UsageError, match=r"cannot add a bias.*positions 'rope'.*mixer='softmax'"):
        made()(x, bias=torch.zeros(B, H, N, N))


def test_weights_are_those_of_softmax_attention() -> None:
    softmax = GroupedQueryAttention(CONFIG).double()
    layer = made()
    layer.load_state_dict(softmax.state_dict())
    softmax.load_state_dict(made().state_dict())


def test_gradients_and_second_derivatives_are_right() -> None:
    config = AttentionConfig(width=4, heads=2, kv_heads=1)
    layer = made(config)
    mask = torch.tensor([[True, True, False]])
    x = torch.randn(1, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    names = [name for name, _ in layer.named_parameters()]

    def mixed(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        state = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(layer, state, (x,), {"mask": mask})

    values = [p.detach().clone() for p in layer.parameters()]
    arguments = [value.requires_grad_() for value in (x, *values)]
    assert torch.autograd.gradcheck(mixed, arguments, fast_mode=True)
    assert torch.autograd.gradgradcheck(mixed, arguments, fast_mode=True)


def test_sums_are_float32_in_half_precision() -> None:
    """Half precision rounds what goes in and what comes out, and nothing between."""
    random = torch.Generator().manual_seed(4)
    query = torch.randn(1, H, 50, C, generator=random).bfloat16()
    key, value = torch.randn(2, 1, G, 50, C, generator=random).bfloat16()
    rotary = tuple(part.float() for part in angles(list(range(50))))
    exact = module.linear_attention(query.float(), key.float(), value.float(), rotary=rotary)
    mixed = module.linear_attention(query, key, value, rotary=rotary)
    assert mixed.dtype == torch.bfloat16
    assert torch.equal(mixed, exact.bfloat16())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = module.linear_attention(query.float(), key.float(), value.float(), rotary=rotary)
    assert torch.equal(inside, exact)


def test_bfloat16_stays_near_float32(x: torch.Tensor) -> None:
    layer = made().float()
    exact = layer(x.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = layer(x.float())
    rounded = layer.bfloat16()(x.bfloat16())
    assert rounded.dtype == torch.bfloat16
    for mixed in (inside, rounded):
        assert (mixed.float() - exact).abs().max() < 0.03 * exact.detach().abs().max()


@settings(max_examples=50, deadline=None)
@given(st.floats(-80, 80, width=32))
def test_the_feature_map_is_elu_plus_one_and_never_zero(value: float) -> None:
    expected = value + 1 if value > 0 else math.exp(value)
    assert float(feature_map(torch.tensor(value))) == pytest.approx(expected, rel=1e-5)
    assert expected > 0


def test_keys_far_below_zero_give_finite_numbers_and_gradients() -> None:
    query, key = torch.full((2, 1, 1, 5, 4), -200.0)
    value = torch.ones(1, 1, 5, 4)
    for part in (query, key, value):
        part.requires_grad_()
    mixed = module.linear_attention(query, key, value)
    mixed.sum().backward()
    assert all(torch.isfinite(part).all() for part in (mixed, query.grad, key.grad, value.grad))


def test_it_compiles_without_graph_breaks(x: torch.Tensor) -> None:
    layer = made()
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    mask = torch.ones(B, N, dtype=torch.bool)
    rotary = angles(list(range(N)))
    expected = layer(x, rotary=rotary, mask=mask)
    torch.testing.assert_close(compiled(x, rotary=rotary, mask=mask), expected)
