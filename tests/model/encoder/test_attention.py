from __future__ import annotations

import math

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers.models.qwen3_5.configuration_qwen3_5 import Qwen3_5TextConfig
from transformers.models.qwen3_5.modeling_qwen3_5 import Qwen3_5Attention
from transformers.models.qwen3_next.configuration_qwen3_next import Qwen3NextConfig
from transformers.models.qwen3_next.modeling_qwen3_next import Qwen3NextAttention

from workzone.errors import UsageError
from workzone.model.encoder.attention import GroupedQueryAttention
from workzone.model.encoder.config import AttentionConfig
from workzone.model.encoder.positions import rotary_angles

B, V, E, H, KV = 2, 5, 32, 4, 2
C = E // H
IDS = torch.tensor([[0, 3, 4, 9, 11], [7, 2, 0, 1, 10]])


def make(gate: str = "element", *, heads: int = H, kv_heads: int = KV) -> GroupedQueryAttention:
    torch.manual_seed(0)
    layer = GroupedQueryAttention(
        AttentionConfig(width=E, heads=heads, kv_heads=kv_heads, gate=gate)
    ).double()
    for norm in (layer.q_norm, layer.k_norm):
        torch.nn.init.uniform_(norm.weight, 0.5, 2.0)  # ones would hide a norm left out
    return layer


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(B, V, E, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def bias() -> torch.Tensor:
    return torch.randn(B, H, V, V, generator=torch.Generator().manual_seed(2)).double()


@pytest.fixture
def mask() -> torch.Tensor:
    return torch.tensor([[True, False, True, True, False], [True, True, True, True, True]])


def rotary() -> tuple[torch.Tensor, torch.Tensor]:
    cos, sin = rotary_angles(IDS, head_width=C, theta=20.0)
    return cos.double(), sin.double()


def normalised(vector: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return vector / math.sqrt(sum(v * v for v in vector.tolist()) / len(vector) + 1e-6) * weight


def turned(vector: torch.Tensor, view_id: int) -> torch.Tensor:
    result = vector.clone()
    for pair in range(C // 2):
        angle = view_id * 20.0 ** (-2 * pair / C)
        a, b = vector[pair].item(), vector[pair + C // 2].item()
        result[pair] = a * math.cos(angle) - b * math.sin(angle)
        result[pair + C // 2] = b * math.cos(angle) + a * math.sin(angle)
    return result


@torch.no_grad()
def slow_reference(
    layer: GroupedQueryAttention,
    x: torch.Tensor,
    *,
    turn: bool,
    bias: torch.Tensor | None,
    mask: torch.Tensor | None,
) -> torch.Tensor:
    """One row, one head and one view at a time."""
    output = torch.zeros_like(x)
    for row in range(B):
        queries, keys = x[row] @ layer.q_proj.weight.T, x[row] @ layer.k_proj.weight.T
        values = x[row] @ layer.v_proj.weight.T
        mixed = torch.zeros(V, E, dtype=x.dtype)
        for head in range(H):
            own = slice(head * C, (head + 1) * C)
            served = head // (H // KV)
            shared = slice(served * C, (served + 1) * C)
            q = [normalised(v, layer.q_norm.weight) for v in queries[:, own]]
            k = [normalised(v, layer.k_norm.weight) for v in keys[:, shared]]
            if turn:
                q = [turned(v, int(i)) for v, i in zip(q, IDS[row], strict=True)]
                k = [turned(v, int(i)) for v, i in zip(k, IDS[row], strict=True)]
            for i in range(V):
                weights = []
                for j in range(V):
                    score = float(q[i] @ k[j]) / math.sqrt(C)
                    score += 0.0 if bias is None else bias[row, head, i, j].item()
                    exists = mask is None or bool(mask[row, j])
                    weights.append(math.exp(score) if exists else 0.0)
                total = sum(weights)
                for j in range(V):
                    mixed[i, own] += weights[j] / total * values[j, shared]
        if layer.gate_proj is not None:
            gates = torch.sigmoid(x[row] @ layer.gate_proj.weight.T)
            mixed *= gates if gates.shape[1] == E else gates.repeat_interleave(C, dim=1)
        output[row] = mixed @ layer.o_proj.weight.T
    return output


@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("gate", ["none", "head", "element"])
def test_it_is_the_slow_reference(
    x: torch.Tensor,
    bias: torch.Tensor,
    mask: torch.Tensor,
    gate: str,
    with_bias: bool,
    with_mask: bool,
) -> None:
    layer = make(gate)
    chosen_bias, chosen_mask = bias if with_bias else None, mask if with_mask else None
    turn = not with_bias  # both would do, but they are never used together
    result = layer(x, rotary=rotary() if turn else None, bias=chosen_bias, mask=chosen_mask)
    expected = slow_reference(layer, x, turn=turn, bias=chosen_bias, mask=chosen_mask)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6 if turn else 1e-12)


@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize(
    ("kind", "config_kind"),
    [(Qwen3NextAttention, Qwen3NextConfig), (Qwen3_5Attention, Qwen3_5TextConfig)],
)
def test_the_element_gate_is_that_of_qwen(
    x: torch.Tensor, mask: torch.Tensor, kind: type, config_kind: type, with_mask: bool
) -> None:
    config = config_kind(
        hidden_size=E,
        num_attention_heads=H,
        num_key_value_heads=KV,
        head_dim=C,
        rms_norm_eps=1e-6,
        attention_bias=False,
        attn_implementation="sdpa",
    )
    layer = make("element")
    reference = kind(config, layer_idx=0).double().eval()
    queries = layer.q_proj.weight.view(H, C, E)
    gates = layer.gate_proj.weight.view(H, C, E)
    weights = {
        "q_proj.weight": torch.cat((queries, gates), dim=1).reshape(2 * E, E),  # q, gate per head
        "k_proj.weight": layer.k_proj.weight,
        "v_proj.weight": layer.v_proj.weight,
        "o_proj.weight": layer.o_proj.weight,
        "q_norm.weight": layer.q_norm.weight - 1,  # held around zero there
        "k_norm.weight": layer.k_norm.weight - 1,
    }
    reference.load_state_dict(weights)
    attention_mask = mask[:, None, None].expand(B, 1, V, V) if with_mask else None
    expected, _ = reference(
        x, position_embeddings=rotary(), attention_mask=attention_mask, is_causal=False
    )
    result = layer(x, rotary=rotary(), mask=mask if with_mask else None)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("gate", ["head", "element"])
def test_a_gate_of_one_is_plain_attention(x: torch.Tensor, gate: str) -> None:
    gated, plain = make(gate), make("none")
    plain.load_state_dict({k: v for k, v in gated.state_dict().items() if "gate" not in k})
    x[..., 0] = 1.0
    torch.nn.init.zeros_(gated.gate_proj.weight)
    torch.testing.assert_close(gated(x), plain(x) / 2)  # sigmoid(0)
    with torch.no_grad():
        gated.gate_proj.weight[:, 0] = 1000.0
    assert torch.equal(gated(x), plain(x))


def test_as_many_key_heads_as_query_heads(x: torch.Tensor) -> None:
    """Grouped heads are ungrouped ones whose key and value weights are repeated."""
    grouped, full = make(), make(kv_heads=H)
    weights = dict(grouped.state_dict())
    for name in ("k_proj.weight", "v_proj.weight"):
        weights[name] = weights[name].view(KV, C, E).repeat_interleave(H // KV, 0).reshape(E, E)
    full.load_state_dict(weights)
    torch.testing.assert_close(full(x), grouped(x))
    nothing = torch.zeros(1, 1, 1, 1)
    torch.testing.assert_close(grouped(x, bias=nothing), grouped(x))  # expanded = grouped kernel


@pytest.mark.parametrize("with_bias", [False, True])
def test_masked_views_are_as_good_as_left_out(
    x: torch.Tensor, bias: torch.Tensor, with_bias: bool
) -> None:
    layer = make()
    keep = torch.tensor([0, 2, 3])
    mask = torch.zeros(B, V, dtype=torch.bool)
    mask[:, keep] = True
    few_bias = bias[:, :, keep][..., keep] if with_bias else None
    result = layer(x, bias=bias if with_bias else None, mask=mask)
    torch.testing.assert_close(result[:, keep], layer(x[:, keep], bias=few_bias))


def test_every_view_sees_every_view(x: torch.Tensor) -> None:
    layer = make()
    jacobian = torch.autograd.functional.jacobian(lambda t: layer(t).sum(-1), x)
    reach = jacobian.abs().sum(-1)  # [B, V, B, V]
    assert (reach[0, :, 0] > 1e-6).all()
    assert (reach[0, :, 1] == 0).all()


@pytest.mark.parametrize("gate", ["none", "head", "element"])
def test_second_derivatives_with_the_math_kernel(gate: str) -> None:
    torch.manual_seed(3)
    layer = GroupedQueryAttention(AttentionConfig(width=4, heads=2, kv_heads=1, gate=gate)).double()
    x = torch.randn(1, 2, 4, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, True]])
    bias = torch.randn(1, 2, 2, 2, dtype=torch.float64)
    with sdpa_kernel(SDPBackend.MATH):
        assert torch.autograd.gradcheck(layer, x)
        assert torch.autograd.gradgradcheck(layer, x)
        assert torch.autograd.gradgradcheck(lambda t: layer(t, bias=bias, mask=mask), x)


def test_half_precision_is_close(x: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor) -> None:
    layer = make()
    expected = layer(x, bias=bias, mask=mask)
    half = layer.bfloat16()(x.bfloat16(), bias=bias.float(), mask=mask)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double(), expected, rtol=0, atol=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gate": "elements"}, "gate='elements' is not known; did you mean 'element'"),
        ({"width": 500}, "width must be a multiple of heads.*width=500"),
        ({"heads": 0}, "width must be a multiple of heads, both positive"),
        ({"kv_heads": 3}, "heads must be a multiple of kv_heads: got .*kv_heads=3"),
    ],
)
def test_mistakes_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        AttentionConfig(**options)
