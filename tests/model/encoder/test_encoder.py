from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import Qwen3Config, Qwen3Model, Qwen3MoeConfig, Qwen3MoeModel

from workzone.errors import UsageError
from workzone.model.encoder.config import EncoderConfig
from workzone.model.encoder.encoder import ViewEncoder

B, V, E = 2, 6, 32
SMALL = EncoderConfig(
    width=E, depth=2, heads=4, kv_heads=2, feed_forward=48, expert_width=24, learned_ids=12
)
IDS = torch.tensor([[0, 3, 4, 9, 11, 5], [7, 2, 0, 1, 10, 11]])
MASK = torch.tensor([[True, True, False, True, True, False], [True] * 5 + [False]])
POSITIONS = ("none", "learned", "rope", "alibi")
KINDS = [(position, "softmax") for position in POSITIONS]
KINDS += [(position, "linear") for position in POSITIONS if position != "alibi"]


def make(**options: object) -> ViewEncoder:
    torch.manual_seed(0)
    encoder = ViewEncoder(dataclasses.replace(SMALL, **options)).double().eval()
    for name, weight in encoder.named_parameters():
        if "norm" in name:  # ones would hide a norm left out or in the wrong place
            torch.nn.init.uniform_(weight, 0.5, 2.0)
    return encoder


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randn(B, V, E, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def boxes() -> torch.Tensor:
    corners = torch.rand(B, V, 2, 2, generator=torch.Generator().manual_seed(2)).sort(dim=2).values
    return corners.flatten(2)


def qwen_weights(encoder: ViewEncoder) -> dict[str, torch.Tensor]:
    """The encoder's weights under the names of Qwen3Model and Qwen3MoeModel."""
    weights = {}
    for name, weight in encoder.state_dict().items():
        if ".experts." in name:
            continue
        for ours, theirs in (
            ("blocks.", "layers."),
            ("attention_norm.", "input_layernorm."),
            ("feed_forward_norm.", "post_attention_layernorm."),
            ("feed_forward.router.", "mlp.gate."),
            ("attention.", "self_attn."),
            ("feed_forward.", "mlp."),
            ("final_norm.", "norm."),
        ):
            name = name.replace(ours, theirs)  # noqa: PLW2901
        weights[name] = weight
    for number, block in enumerate(encoder.blocks):
        if encoder.config.experts:
            experts = block.feed_forward.experts
            gate_up = [torch.cat((e.gate_proj.weight, e.up_proj.weight)) for e in experts]
            prefix = f"layers.{number}.mlp.experts."
            weights[prefix + "gate_up_proj"] = torch.stack(gate_up)
            weights[prefix + "down_proj"] = torch.stack([e.down_proj.weight for e in experts])
    weights["embed_tokens.weight"] = torch.zeros(1, E, dtype=torch.float64)
    return weights


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "padded"])
@pytest.mark.parametrize("depth", [1, 4])
@pytest.mark.parametrize("experts", [0, 4], ids=["dense", "experts"])
def test_it_is_qwen3_weight_for_weight(
    tokens: torch.Tensor,
    boxes: torch.Tensor,
    experts: int,
    depth: int,
    mask: torch.Tensor | None,
) -> None:
    encoder = make(depth=depth, experts=experts, gate="none", positions="rope", final_norm=True)
    shape = {
        "vocab_size": 1,
        "hidden_size": E,
        "num_hidden_layers": depth,
        "num_attention_heads": SMALL.heads,
        "num_key_value_heads": SMALL.kv_heads,
        "head_dim": E // SMALL.heads,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": SMALL.rope_theta},
        "is_causal": False,
        "attn_implementation": "sdpa",
    }
    reference: torch.nn.Module
    if experts:
        reference = Qwen3MoeModel(
            Qwen3MoeConfig(
                **shape,
                num_experts=experts,
                num_experts_per_tok=SMALL.experts_per_token,
                moe_intermediate_size=SMALL.expert_width,
                norm_topk_prob=True,
                decoder_sparse_step=1,
                mlp_only_layers=[],
                experts_implementation="eager",  # the grouped kernel has no float64
            )
        )
    else:
        reference = Qwen3Model(Qwen3Config(**shape, intermediate_size=SMALL.feed_forward))
    reference.double().eval()
    reference.load_state_dict(qwen_weights(encoder))
    expected = reference(
        inputs_embeds=tokens,
        position_ids=IDS,
        attention_mask=None if mask is None else mask.long(),
        use_cache=False,
    ).last_hidden_state
    result = encoder(tokens, view_ids=IDS, boxes=boxes, view_mask=mask).tokens
    exists = torch.ones(B, V, dtype=torch.bool) if mask is None else mask
    torch.testing.assert_close(result[exists], expected[exists], rtol=0, atol=1e-6)


@pytest.mark.parametrize("experts", [0, 4])
@pytest.mark.parametrize(("positions", "mixer"), KINDS)
def test_views_are_a_set(
    tokens: torch.Tensor, boxes: torch.Tensor, positions: str, mixer: str, experts: int
) -> None:
    encoder = make(positions=positions, mixer=mixer, experts=experts)
    order = torch.tensor([3, 0, 5, 4, 2, 1])
    straight = encoder(tokens, view_ids=IDS, boxes=boxes, view_mask=MASK)
    shuffled = encoder(
        tokens[:, order],
        view_ids=IDS[:, order],
        boxes=boxes[:, order],
        view_mask=MASK[:, order],
    )
    torch.testing.assert_close(shuffled.tokens, straight.tokens[:, order], rtol=0, atol=1e-12)
    torch.testing.assert_close(shuffled.balance_loss, straight.balance_loss)


@pytest.mark.parametrize("positions", POSITIONS)
def test_positions_matter(tokens: torch.Tensor, boxes: torch.Tensor, positions: str) -> None:
    """Moving ids or boxes alone changes what the named kind looks at, and nothing else."""
    encoder = make(positions=positions)
    order = torch.tensor([3, 0, 5, 4, 2, 1])
    here = encoder(tokens, view_ids=IDS, boxes=boxes).tokens
    other_ids = encoder(tokens, view_ids=IDS[:, order], boxes=boxes).tokens
    other_boxes = encoder(tokens, view_ids=IDS, boxes=boxes[:, order]).tokens
    assert torch.equal(here, other_ids) == (positions in ("none", "alibi"))
    assert torch.equal(here, other_boxes) == (positions != "alibi")


@pytest.mark.parametrize("experts", [0, 4])
@pytest.mark.parametrize(("positions", "mixer"), KINDS)
def test_masked_views_are_as_good_as_left_out(
    tokens: torch.Tensor, boxes: torch.Tensor, positions: str, mixer: str, experts: int
) -> None:
    encoder = make(positions=positions, mixer=mixer, experts=experts, final_norm=True)
    keep, gone = torch.tensor([0, 2, 3, 5]), torch.tensor([1, 4])
    mask = torch.ones(B, V, dtype=torch.bool)
    mask[:, gone] = False
    few = encoder(tokens[:, keep], view_ids=IDS[:, keep], boxes=boxes[:, keep])
    ids = IDS.clone()
    tokens[:, gone], boxes[:, gone], ids[:, gone] = torch.nan, torch.nan, -1
    masked = encoder(tokens, view_ids=ids, boxes=boxes, view_mask=mask)
    torch.testing.assert_close(masked.tokens[:, keep], few.tokens, rtol=0, atol=1e-6)
    assert (masked.tokens[:, gone] == 0).all()
    torch.testing.assert_close(masked.balance_loss, few.balance_loss)
    for ours, theirs in zip(masked.router_statistics, few.router_statistics, strict=True):
        torch.testing.assert_close(ours.share, theirs.share)


def test_the_mixers_differ_in_nothing_but_the_mixing(
    tokens: torch.Tensor, boxes: torch.Tensor
) -> None:
    softmax, linear = make(positions="rope"), make(positions="rope", mixer="linear")
    linear.load_state_dict(softmax.state_dict())
    place = {"view_ids": IDS, "boxes": boxes}
    assert not torch.allclose(softmax(tokens, **place).tokens, linear(tokens, **place).tokens)
    alone = {"view_ids": IDS[:, :1], "boxes": boxes[:, :1]}
    torch.testing.assert_close(  # a single view attends to itself, however it is weighted
        linear(tokens[:, :1], **alone).tokens, softmax(tokens[:, :1], **alone).tokens
    )


@pytest.mark.parametrize("positions", POSITIONS)
def test_without_blocks_it_is_the_identity(
    tokens: torch.Tensor, boxes: torch.Tensor, positions: str
) -> None:
    encoder = make(depth=0, positions=positions, final_norm=True)
    output = encoder(tokens, view_ids=IDS, boxes=boxes)
    assert torch.equal(output.tokens, tokens)
    assert list(encoder.parameters()) == []


def test_what_the_routers_did_comes_out(tokens: torch.Tensor, boxes: torch.Tensor) -> None:
    dense = make()(tokens, view_ids=IDS, boxes=boxes)
    assert dense.balance_loss.item() == 0
    assert dense.router_statistics == []
    encoder = make(experts=4, depth=3)
    output = encoder(tokens, view_ids=IDS, boxes=boxes)
    assert len(output.router_statistics) == 3
    losses = [4 * 2 * (s.share * s.mean_probability).sum().item() for s in output.router_statistics]
    assert output.balance_loss.item() == pytest.approx(sum(losses) / 3)
    output.balance_loss.backward()
    for block in encoder.blocks:
        assert block.feed_forward.router.weight.grad.abs().sum() > 0


def test_dropout_acts_in_training_alone(tokens: torch.Tensor, boxes: torch.Tensor) -> None:
    plain, dropping = make(depth=1), make(depth=1, dropout=0.5)
    place = {"view_ids": IDS, "boxes": boxes}
    assert torch.equal(dropping(tokens, **place).tokens, plain(tokens, **place).tokens)
    dropping.train()
    assert not torch.equal(dropping(tokens, **place).tokens, plain(tokens, **place).tokens)
    # what a block adds is dropped, never the tokens themselves
    for weights in (dropping.blocks[0].attention.o_proj, dropping.blocks[0].feed_forward.down_proj):
        torch.nn.init.zeros_(weights.weight)
    assert torch.equal(dropping(tokens, **place).tokens, tokens)


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("experts", [0, 2])
def test_second_derivatives_with_the_math_kernel(positions: str, experts: int) -> None:
    torch.manual_seed(0)
    encoder = ViewEncoder(
        EncoderConfig(
            width=4,
            depth=1,
            heads=2,
            kv_heads=1,
            feed_forward=3,
            experts=experts,
            expert_width=3,
            experts_per_token=1,
            positions=positions,
        )
    ).double()
    x = torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True)
    ids, boxes = torch.tensor([[0, 2, 5]]), torch.rand(1, 3, 4)
    mask = torch.tensor([[True, True, False]])

    def outputs(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        output = encoder(x, view_ids=ids, boxes=boxes, view_mask=mask)
        return (output.tokens, output.balance_loss) if experts else (output.tokens,)

    with sdpa_kernel(SDPBackend.MATH):
        assert torch.autograd.gradcheck(outputs, x)
        assert torch.autograd.gradgradcheck(outputs, x)
        loss = sum(o.square().sum() for o in outputs(x))
        first = torch.autograd.grad(loss, list(encoder.parameters()), create_graph=True)
        torch.stack([g.square().sum() for g in first]).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())


class JustTokens(torch.nn.Module):
    def __init__(self, encoder: ViewEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, tokens: torch.Tensor, ids: torch.Tensor, boxes: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        tokens = self.encoder(tokens, view_ids=ids, boxes=boxes, view_mask=mask).tokens
        return tokens


@pytest.mark.parametrize(("positions", "experts"), [("alibi", 0), ("rope", 4)])
def test_it_compiles_without_a_graph_break_and_exports(
    tokens: torch.Tensor, boxes: torch.Tensor, positions: str, experts: int
) -> None:
    encoder = make(positions=positions, experts=experts, depth=1)
    place = {"view_ids": IDS, "boxes": boxes, "view_mask": MASK}
    expected = encoder(tokens, **place)
    compiled = torch.compile(encoder, fullgraph=True, backend="aot_eager")(tokens, **place)
    torch.testing.assert_close(compiled.tokens, expected.tokens)
    torch.testing.assert_close(compiled.balance_loss, expected.balance_loss)
    assert len(compiled.router_statistics) == len(expected.router_statistics)
    exported = torch.export.export(JustTokens(encoder), (tokens, IDS, boxes, MASK)).module()
    torch.testing.assert_close(exported(tokens, IDS, boxes, MASK), expected.tokens)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("experts", [0, 4])
@pytest.mark.parametrize("positions", POSITIONS)
def test_half_precision_is_close(
    tokens: torch.Tensor, boxes: torch.Tensor, positions: str, experts: int
) -> None:
    encoder = make(positions=positions, experts=experts, experts_per_token=4 if experts else 2)
    place = {"view_ids": IDS, "boxes": boxes, "view_mask": MASK}
    expected = encoder(tokens, **place).tokens
    encoder.float()
    single = encoder(tokens.float(), **place).tokens
    torch.testing.assert_close(single.double(), expected, rtol=0, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = encoder(tokens.float(), **place).tokens
        projected = encoder(tokens.bfloat16(), **place).tokens  # as a projection hands them over
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed.double(), expected, rtol=0, atol=0.2)
    torch.testing.assert_close(projected.double(), expected, rtol=0, atol=0.2)
    half = encoder.bfloat16()(tokens.bfloat16(), **place).tokens
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double(), expected, rtol=0, atol=0.2)


def test_the_reference_shape() -> None:
    """Parameters of four blocks, counted by hand."""
    with torch.device("meta"):
        dense, experts = ViewEncoder(EncoderConfig()), ViewEncoder(EncoderConfig(experts=4))
    attention = 512 * 512 * 3 + 512 * 128 * 2 + 2 * 64  # q, gate, o; k, v; the heads' norms
    norms = 2 * 512
    assert sum(p.numel() for p in dense.parameters()) == 4 * (attention + norms + 3 * 512 * 2048)
    assert sum(p.numel() for p in experts.parameters()) == 4 * (
        attention + norms + 4 * 3 * 512 * 1024 + 4 * 512
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mixer": "linnear"}, "mixer='linnear' is not known; did you mean 'linear'"),
        ({"mixer": "linear"}, "mixer='linear' never forms the scores that positions='alibi'"),
        ({"depth": -1}, "depth and experts are 0 or more.*depth=-1"),
        ({"dropout": 1.0}, r"dropout is in \[0, 1\).*dropout=1.0"),
        ({"gate": "heads"}, "gate='heads' is not known; did you mean 'head'"),
        ({"positions": "rop"}, "positions='rop' is not known; did you mean 'rope'"),
        ({"feed_forward": 0}, "width and hidden are positive: got .*hidden=0"),
        ({"experts": 1}, "between 1 and the 1 experts: got 2"),
    ],
)
def test_mistakes_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        EncoderConfig(**options)
