from __future__ import annotations

import math

import pytest
import torch
from transformers import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3MLP

from workzone.errors import UsageError
from workzone.model.encoder.config import FeedForwardConfig
from workzone.model.encoder.feed_forward import SwiGLU

E, HIDDEN = 4, 6


@pytest.fixture
def layer() -> SwiGLU:
    torch.manual_seed(0)
    return SwiGLU(FeedForwardConfig(width=E, hidden=HIDDEN)).double()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(2, 3, E, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_it_is_the_published_formula(layer: SwiGLU, x: torch.Tensor) -> None:
    gate, up, down = (p.weight.tolist() for p in (layer.gate_proj, layer.up_proj, layer.down_proj))
    token = x[1, 2].tolist()
    inner = []
    for unit in range(HIDDEN):
        g = sum(w * t for w, t in zip(gate[unit], token, strict=True))
        u = sum(w * t for w, t in zip(up[unit], token, strict=True))
        inner.append(g / (1 + math.exp(-g)) * u)
    expected = [sum(w * i for w, i in zip(row, inner, strict=True)) for row in down]
    assert layer(x)[1, 2].tolist() == pytest.approx(expected, abs=1e-12)


def test_it_is_that_of_qwen3_weight_for_weight(layer: SwiGLU, x: torch.Tensor) -> None:
    reference = Qwen3MLP(Qwen3Config(hidden_size=E, intermediate_size=HIDDEN)).double()
    reference.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(x), reference(x), rtol=0, atol=1e-12)


def test_second_derivatives(layer: SwiGLU, x: torch.Tensor) -> None:
    assert torch.autograd.gradgradcheck(layer, x[:1, :2].clone().requires_grad_())


def test_mistakes_are_named() -> None:
    with pytest.raises(UsageError, match=r"width and hidden are positive: got .*hidden=0"):
        FeedForwardConfig(hidden=0)
