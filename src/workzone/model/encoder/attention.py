"""Grouped-query attention over views, with normalised queries and keys and an output gate."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from workzone.model.encoder.config import AttentionConfig
from workzone.model.encoder.positions import Rotary, apply_rotary


class RMSNorm(nn.RMSNorm):
    """Root mean square norm with Qwen3's epsilon (Zhang & Sennrich 2019, arXiv 1910.07467).

    Input is taken in the precision of the weight: under autocast a projection hands over half
    precision, for which torch has no fused norm with a float32 weight, and warns.
    """

    def __init__(self, width: int) -> None:
        """Make the scale, ones ``[width]``."""
        super().__init__(width, eps=1e-6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise the last axis of ``x`` ``[..., width]``."""
        return super().forward(x.to(self.weight.dtype))


class GroupedQueryAttention(nn.Module):
    """Bidirectional attention in which several query heads share one key/value head.

    Grouped queries: Ainslie et al. 2023, arXiv 2305.13245. Queries and keys pass an RMSNorm per
    head before any rotation, as in Qwen3. The output gate is that of Qiu et al. 2025 (arXiv
    2505.06708): the heads' outputs times ``sigmoid(G x)``, before the output projection, ``x``
    being the layer's own (normalised) input. No layer has a bias.
    """

    def __init__(self, config: AttentionConfig) -> None:
        """Make the layers."""
        super().__init__()
        self.config = config
        width, kv_width = config.width, config.kv_heads * config.head_width
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, kv_width, bias=False)
        self.v_proj = nn.Linear(width, kv_width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)
        self.q_norm = RMSNorm(config.head_width)
        self.k_norm = RMSNorm(config.head_width)
        self.gate_proj: nn.Linear | None = None
        if config.gate != "none":
            gates = config.heads if config.gate == "head" else width
            self.gate_proj = nn.Linear(width, gates, bias=False)

    def forward(
        self,
        x: torch.Tensor,
        *,
        rotary: Rotary | None = None,
        bias: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Mix the views.

        Args:
            x: ``[B, V, E]``.
            rotary: cosine and sine ``[B, V, E / H]`` that turn queries and keys.
            bias: added to the scores, ``[B, H, V, V]`` (or broadcastable to it).
            mask: bool ``[B, V]``, True for views that exist (at least one per image). Others are
                not attended to; what comes out in their own places means nothing.

        Returns:
            ``[B, V, E]``.
        """
        B, V, _ = x.shape
        heads, kv_heads = self.config.heads, self.config.kv_heads
        query = self.q_norm(self.q_proj(x).view(B, V, heads, -1)).transpose(1, 2)
        key = self.k_norm(self.k_proj(x).view(B, V, kv_heads, -1)).transpose(1, 2)
        value = self.v_proj(x).view(B, V, kv_heads, -1).transpose(1, 2)
        if rotary is not None:
            query, key = apply_rotary(query, rotary), apply_rotary(key, rotary)
        score_mask = _score_mask(bias, mask, query.dtype)
        # Kernels that take a mask know no groups: there, sharing is spelled out by expanding.
        grouped = heads != kv_heads
        if grouped and score_mask is not None:
            key, value = _expand(key, heads), _expand(value, heads)
            grouped = False
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=score_mask, enable_gqa=grouped
        ).transpose(1, 2)
        if self.gate_proj is not None:
            mixed = mixed * torch.sigmoid(self.gate_proj(x)).view(B, V, heads, -1)
        projected: torch.Tensor = self.o_proj(mixed.reshape(B, V, -1))
        return projected


def _score_mask(
    bias: torch.Tensor | None, mask: torch.Tensor | None, dtype: torch.dtype
) -> torch.Tensor | None:
    """Bias and key mask as the one ``[B, 1 or H, 1 or V, V]`` that SDPA takes."""
    keys = None if mask is None else mask[:, None, None, :]
    if bias is None:
        return keys
    bias = bias.to(dtype)
    return bias if keys is None else bias.masked_fill(~keys, -torch.inf)


def _expand(x: torch.Tensor, heads: int) -> torch.Tensor:
    """Repeat each of ``[B, kv_heads, V, C]`` for the query heads that it serves."""
    B, kv_heads, V, C = x.shape
    repeated = x[:, :, None].expand(B, kv_heads, heads // kv_heads, V, C)
    return repeated.reshape(B, heads, V, C)
