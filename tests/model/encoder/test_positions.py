from __future__ import annotations

import cmath
import math

import pytest
import torch
from transformers import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3RotaryEmbedding, apply_rotary_pos_emb

from workzone.errors import UsageError
from workzone.model.encoder.config import PositionConfig
from workzone.model.encoder.positions import (
    ViewPositions,
    alibi_bias,
    alibi_slopes,
    apply_rotary,
    rotary_angles,
)

B, V, H, E = 2, 5, 4, 32
IDS = torch.tensor([[0, 3, 4, 9, 11], [7, 2, 0, 1, 40]])


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randn(B, V, E, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def boxes() -> torch.Tensor:
    corners = torch.rand(B, V, 2, 2, generator=torch.Generator().manual_seed(1)).sort(dim=2).values
    return corners.flatten(2)


def place(kind: str, tokens: torch.Tensor, boxes: torch.Tensor, **options: object):
    positions = ViewPositions(PositionConfig(width=E, heads=H, kind=kind, **options))
    return positions, positions(tokens, view_ids=IDS, boxes=boxes)


def test_none_says_nothing(tokens: torch.Tensor, boxes: torch.Tensor) -> None:
    _, (same, rotary, bias) = place("none", tokens, boxes)
    assert same is tokens
    assert rotary is None
    assert bias is None


def test_learned_adds_the_vector_of_the_original_id(
    tokens: torch.Tensor, boxes: torch.Tensor
) -> None:
    positions, (placed, rotary, bias) = place("learned", tokens, boxes)
    expected = tokens.clone()
    for row in range(B):
        for view in range(V):
            expected[row, view] += positions.embedding.weight[IDS[row, view]]
    torch.testing.assert_close(placed, expected)
    assert (rotary, bias) == (None, None)
    assert not torch.equal(placed, tokens)


@pytest.mark.parametrize("theta", [100.0, 10_000.0])
def test_rope_is_that_of_qwen3(tokens: torch.Tensor, boxes: torch.Tensor, theta: float) -> None:
    _, (same, rotary, bias) = place("rope", tokens, boxes, rope_theta=theta)
    assert same is tokens
    assert bias is None
    reference = Qwen3RotaryEmbedding(
        Qwen3Config(
            hidden_size=E,
            num_attention_heads=H,
            head_dim=E // H,
            rope_parameters={"rope_type": "default", "rope_theta": theta},
        )
    )
    cos, sin = reference(tokens, IDS)
    torch.testing.assert_close(rotary, (cos, sin), rtol=0, atol=0)
    queries = torch.randn(B, H, V, E // H)
    expected, _ = apply_rotary_pos_emb(queries, queries, cos, sin)
    torch.testing.assert_close(apply_rotary(queries, rotary), expected, rtol=0, atol=0)


def test_rope_turns_pairs_of_channels_in_the_complex_plane() -> None:
    width, theta, ids = 6, 50.0, torch.tensor([[0, 5, 2]])
    x = torch.randn(1, 1, 3, width)
    turned = apply_rotary(x, rotary_angles(ids, head_width=width, theta=theta))
    for view, number in enumerate(ids[0].tolist()):
        for pair in range(width // 2):
            z = complex(x[0, 0, view, pair], x[0, 0, view, pair + width // 2])
            z *= cmath.exp(1j * number * theta ** (-2 * pair / width))
            assert turned[0, 0, view, pair] == pytest.approx(z.real, abs=1e-6)
            assert turned[0, 0, view, pair + width // 2] == pytest.approx(z.imag, abs=1e-6)


def test_a_model_in_bfloat16_keeps_its_angles(boxes: torch.Tensor) -> None:
    config = PositionConfig(width=E, heads=H, kind="rope", rope_theta=3.0)
    exact = ViewPositions(config)(torch.zeros(B, V, E), view_ids=IDS, boxes=boxes)[1]
    rounded = ViewPositions(config).bfloat16()(
        torch.zeros(B, V, E, dtype=torch.bfloat16), view_ids=IDS, boxes=boxes
    )[1]
    for ours, theirs in zip(rounded, exact, strict=True):
        assert ours.dtype == torch.bfloat16
        assert torch.equal(ours, theirs.bfloat16())


def published_slopes(heads: int) -> list[float]:
    """``get_slopes`` of the code published with Press et al. 2022."""

    def power_of_two(n: int) -> list[float]:
        start = 2 ** (-(2 ** -(math.log2(n) - 3)))
        return [start * start**i for i in range(n)]

    if math.log2(heads).is_integer():
        return power_of_two(heads)
    closest = 2 ** math.floor(math.log2(heads))
    return power_of_two(closest) + published_slopes(2 * closest)[0::2][: heads - closest]


@pytest.mark.parametrize("heads", [1, 2, 3, 6, 8, 12, 16])
def test_slopes_are_the_published_ones(heads: int) -> None:
    assert alibi_slopes(heads).tolist() == pytest.approx(published_slopes(heads), rel=1e-6)


def test_eight_heads_halve_their_slopes_from_a_half() -> None:
    assert alibi_slopes(8).tolist() == [2.0**-i for i in range(1, 9)]


def test_alibi_is_slope_times_distance_of_centres(
    tokens: torch.Tensor, boxes: torch.Tensor
) -> None:
    step = 0.25
    _, (same, rotary, bias) = place("alibi", tokens, boxes, alibi_step=step)
    assert same is tokens
    assert rotary is None
    assert bias.shape == (B, H, V, V)
    for row in range(B):
        centres = [((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in boxes[row].tolist()]
        for head, slope in enumerate(published_slopes(H)):
            for i in range(V):
                for j in range(V):
                    expected = -slope * math.dist(centres[i], centres[j]) / step
                    assert bias[row, head, i, j] == pytest.approx(expected, abs=1e-6)


def test_neighbouring_tiles_of_the_default_layout_are_one_apart() -> None:
    tile = 1 / (3 - 2 * 0.25)
    stride = 0.75 * tile
    boxes = torch.tensor([[[0.0, 0.0, tile, tile], [stride, 0.0, stride + tile, tile]]])
    step = PositionConfig(width=E, heads=H).alibi_step
    bias = alibi_bias(boxes, heads=8, step=step)
    assert bias[0, :, 0, 1].tolist() == pytest.approx([-(2.0**-i) for i in range(1, 9)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "alibbi"}, "positions='alibbi' is not known; did you mean 'alibi'"),
        ({"kind": "rope", "width": 12}, "must be even, got 12 / 4 = 3"),
        ({"learned_ids": 0}, "learned_ids, rope_theta and alibi_step are positive"),
        ({"rope_theta": 0.0}, "learned_ids, rope_theta and alibi_step are positive"),
        ({"alibi_step": -1.0}, "learned_ids, rope_theta and alibi_step are positive"),
    ],
)
def test_mistakes_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PositionConfig(**{"width": E, "heads": H, **options})
