"""Shape of a view encoder and of its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from workzone.errors import UsageError, nearest

PositionName = Literal["none", "learned", "rope", "alibi"]


@dataclass(frozen=True, kw_only=True)
class PositionConfig:
    """How views are told apart."""

    width: int  # E
    heads: int  # H
    kind: PositionName = "alibi"
    learned_ids: int = 64  # view ids that the learned embedding knows: 0 .. learned_ids - 1
    rope_theta: float = 10_000.0  # base of the rotation's wavelengths, in view ids
    alibi_step: float = 0.3  # distance that counts as 1, in frame sides; 0.3: 3x3 tiles' stride

    def __post_init__(self) -> None:
        if self.kind not in get_args(PositionName):
            hint = nearest(str(self.kind), get_args(PositionName))
            raise UsageError(f"positions={self.kind!r} is not known; {hint}")
        if self.kind == "rope" and (self.width // self.heads) % 2:
            raise UsageError(
                f"rope turns pairs of channels: width / heads must be even, got "
                f"{self.width} / {self.heads} = {self.width // self.heads}"
            )
        if self.learned_ids < 1 or self.rope_theta <= 0 or self.alibi_step <= 0:
            raise UsageError(f"learned_ids, rope_theta and alibi_step are positive: got {self}")


GateName = Literal["none", "head", "element"]


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Shape of an attention layer."""

    width: int = 512  # E
    heads: int = 8  # H, query heads
    kv_heads: int = 2  # key/value heads, each serving H / kv_heads query heads
    gate: GateName = "element"  # a gate per head, per channel of each head, or none

    def __post_init__(self) -> None:
        if self.gate not in get_args(GateName):
            hint = nearest(str(self.gate), get_args(GateName))
            raise UsageError(f"gate={self.gate!r} is not known; {hint}")
        if min(self.width, self.heads, self.kv_heads) < 1 or self.width % self.heads:
            raise UsageError(f"width must be a multiple of heads, both positive: got {self}")
        if self.heads % self.kv_heads:
            raise UsageError(f"heads must be a multiple of kv_heads: got {self}")

    @property
    def head_width(self) -> int:
        """Channels of one head, E / H."""
        return self.width // self.heads


@dataclass(frozen=True, kw_only=True)
class FeedForwardConfig:
    """Shape of a feed-forward layer."""

    width: int = 512  # E
    hidden: int = 2048  # channels between the projections

    def __post_init__(self) -> None:
        if self.width < 1 or self.hidden < 1:
            raise UsageError(f"width and hidden are positive: got {self}")


@dataclass(frozen=True, kw_only=True)
class ExpertsConfig:
    """Shape of a mixture of experts."""

    width: int = 512  # E
    experts: int = 4
    hidden: int = 1024  # channels between the projections of one expert
    per_token: int = 2  # experts whose answers a token takes
    normalise: bool = True  # the chosen experts' weights sum to 1

    def __post_init__(self) -> None:
        if min(self.width, self.experts, self.hidden) < 1:
            raise UsageError(f"width, experts and hidden are positive: got {self}")
        if not 1 <= self.per_token <= self.experts:
            raise UsageError(
                f"experts per token must be between 1 and the {self.experts} experts: "
                f"got {self.per_token}"
            )


MixerName = Literal["softmax", "linear"]


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Shape of a view encoder."""

    width: int = 512  # E
    depth: int = 4  # blocks; 0: the encoder is the identity
    heads: int = 8  # H, query heads
    kv_heads: int = 2
    feed_forward: int = 2048  # channels of the dense feed-forward layer
    experts: int = 0  # per block; 0: dense feed-forward
    expert_width: int = 1024  # channels of one expert
    experts_per_token: int = 2
    gate: GateName = "element"  # on the attention's output
    positions: PositionName = "alibi"
    learned_ids: int = 64  # see PositionConfig for these three
    rope_theta: float = 10_000.0
    alibi_step: float = 0.3
    mixer: MixerName = "softmax"
    dropout: float = 0.0  # on what each layer adds to the tokens, 0..1
    final_norm: bool = False  # RMSNorm after the last block, as Qwen3 has it

    def __post_init__(self) -> None:
        if self.mixer not in get_args(MixerName):
            hint = nearest(str(self.mixer), get_args(MixerName))
            raise UsageError(f"mixer={self.mixer!r} is not known; {hint}")
        if self.mixer == "linear" and self.positions == "alibi":
            raise UsageError(
                "mixer='linear' never forms the scores that positions='alibi' is added to; "
                "take positions 'rope', 'learned' or 'none', or mixer='softmax'"
            )
        if self.depth < 0 or self.experts < 0 or not 0 <= self.dropout < 1:
            raise UsageError(f"depth and experts are 0 or more, dropout is in [0, 1): got {self}")
        _ = self.attention_config, self.position_config, self.feed_forward_config  # their checks

    @property
    def attention_config(self) -> AttentionConfig:
        """Of each block's attention."""
        return AttentionConfig(
            width=self.width, heads=self.heads, kv_heads=self.kv_heads, gate=self.gate
        )

    @property
    def position_config(self) -> PositionConfig:
        """Of the positions that all blocks share."""
        return PositionConfig(
            width=self.width,
            heads=self.heads,
            kind=self.positions,
            learned_ids=self.learned_ids,
            rope_theta=self.rope_theta,
            alibi_step=self.alibi_step,
        )

    @property
    def feed_forward_config(self) -> FeedForwardConfig | ExpertsConfig:
        """Of each block's second layer."""
        if self.experts == 0:
            return FeedForwardConfig(width=self.width, hidden=self.feed_forward)
        return ExpertsConfig(
            width=self.width,
            experts=self.experts,
            hidden=self.expert_width,
            per_token=self.experts_per_token,
        )
