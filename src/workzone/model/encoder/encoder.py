"""The view encoder: pre-norm blocks of attention and feed-forward over the views of an image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from workzone.model.encoder.attention import GroupedQueryAttention, RMSNorm
from workzone.model.encoder.config import (
    EncoderConfig,
    ExpertsConfig,
)
from workzone.model.encoder.experts import MixtureOfExperts, RouterStatistics
from workzone.model.encoder.feed_forward import SwiGLU
from workzone.model.encoder.positions import Rotary, ViewPositions


@dataclass(frozen=True)
class EncoderOutput:
    """What an encoder makes of the views."""

    tokens: torch.Tensor  # [B, V, E]; zero in the places of masked views
    balance_loss: torch.Tensor  # scalar, mean over blocks; 0 without experts
    router_statistics: list[RouterStatistics]  # one per block; none without experts


class EncoderBlock(nn.Module):
    """``x + attention(norm(x))``, then ``x + feed_forward(norm(x))``, as a layer of Qwen3."""

    def __init__(self, config: EncoderConfig) -> None:
        """Make the layers."""
        super().__init__()
        self.attention_norm = RMSNorm(config.width)
        self.attention = _make_mixer(config)
        self.feed_forward_norm = RMSNorm(config.width)
        shape = config.feed_forward_config
        self.feed_forward: SwiGLU | MixtureOfExperts = (
            MixtureOfExperts(shape) if isinstance(shape, ExpertsConfig) else SwiGLU(shape)
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: torch.Tensor,
        *,
        rotary: Rotary | None,
        bias: torch.Tensor | None,
        mask: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor | None, RouterStatistics | None]:
        """One block over ``x`` ``[B, V, E]``; the loss and statistics are None without experts."""
        mixed = self.attention(self.attention_norm(x), rotary=rotary, bias=bias, mask=mask)
        x = x + self.dropout(mixed)
        normed = self.feed_forward_norm(x)
        if isinstance(self.feed_forward, MixtureOfExperts):
            transformed, loss, statistics = self.feed_forward(normed, mask)
            return x + self.dropout(transformed), loss, statistics
        return x + self.dropout(self.feed_forward(normed)), None, None


class ViewEncoder(nn.Module):
    """Let the views of an image look at each other.

    Views are a set: permuting them with their ids, boxes and mask permutes the output and nothing
    else. A masked view is as good as left out, whatever stands in its place.
    """

    def __init__(self, config: EncoderConfig) -> None:
        """Make the blocks."""
        super().__init__()
        self.config = config
        self.positions: ViewPositions | None = None
        self.final_norm: RMSNorm | None = None
        if config.depth:
            self.positions = ViewPositions(config.position_config)
            if config.final_norm:
                self.final_norm = RMSNorm(config.width)
        self.blocks = nn.ModuleList(EncoderBlock(config) for _ in range(config.depth))

    def forward(
        self,
        tokens: torch.Tensor,
        *,
        view_ids: torch.Tensor,
        boxes: torch.Tensor,
        view_mask: torch.Tensor | None = None,
    ) -> EncoderOutput:
        """Encode.

        Args:
            tokens: ``[B, V, E]``.
            view_ids: int64 ``[B, V]``, the original numbers of the views in their layout.
            boxes: float32 ``[B, V, 4]``, in fractions of the frame.
            view_mask: bool ``[B, V]``, True for views that exist (at least one per image); None:
                all do.

        Returns:
            Tokens ``[B, V, E]``, the routers' load-balancing loss and their statistics.
        """
        if view_mask is not None:  # not even a NaN or an unknown id in a masked place may matter
            tokens = tokens.masked_fill(~view_mask[..., None], 0)
            view_ids = view_ids.masked_fill(~view_mask, 0)
            boxes = boxes.masked_fill(~view_mask[..., None], 0)
        rotary: Rotary | None = None
        bias: torch.Tensor | None = None
        if self.positions is not None:
            tokens, rotary, bias = self.positions(tokens, view_ids=view_ids, boxes=boxes)
        losses: list[torch.Tensor] = []
        statistics: list[RouterStatistics] = []
        for block in self.blocks:
            tokens, loss, routed = block(tokens, rotary=rotary, bias=bias, mask=view_mask)
            if loss is not None:
                losses.append(loss)
                statistics.append(routed)
        if self.final_norm is not None:
            tokens = self.final_norm(tokens)
        if view_mask is not None:
            tokens = tokens.masked_fill(~view_mask[..., None], 0)
        balance_loss = torch.stack(losses).mean() if losses else tokens.new_zeros(())
        return EncoderOutput(tokens, balance_loss, statistics)


def _make_mixer(config: EncoderConfig) -> nn.Module:
    if config.mixer == "linear":
        from workzone.model.encoder.linear_attention import GatedLinearAttention

        return GatedLinearAttention(config.attention_config)
    return GroupedQueryAttention(config.attention_config)
