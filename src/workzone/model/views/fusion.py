"""Gated attention fusion: the views of an image look at each other once more and become one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from workzone.errors import UsageError
from workzone.model.encoder.attention import RMSNorm


@dataclass(frozen=True, kw_only=True)
class FusionConfig:
    """Shape of a fusion."""

    width: int = 512  # E
    heads: int = 8  # H, of the attention and of the pooling
    hidden: int = 64  # of each head's gate

    def __post_init__(self) -> None:
        if min(self.width, self.heads, self.hidden) < 1 or self.width % self.heads:
            raise UsageError(
                f"width must be a multiple of heads, and all three positive: got {self}"
            )


class GatedAttentionFusion(nn.Module):
    """From V view tokens to one vector (GAFM).

    First pre-norm multi-head attention across the views, with residual. Then gated attention
    pooling (Ilse et al. 2018, arXiv 1802.04712): each head weighs the views by
    ``a = softmax_v(w . (tanh(P h_v) * sigmoid(G h_v)))`` and averages its own ``E / H`` channels.

    The attention's output projection and the score vectors ``w`` start at zero: an untrained fusion
    is the plain mean of the views.
    """

    def __init__(self, config: FusionConfig) -> None:
        """Make the layers."""
        super().__init__()
        self.config = config
        width, heads = config.width, config.heads
        self.norm = RMSNorm(width)
        self.qkv_proj = nn.Linear(width, 3 * width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.o_proj.weight)
        # One [E / H, hidden] matrix per head: tanh's half first, the sigmoid's after it.
        self.gate_weight = nn.Parameter(torch.empty(heads, width // heads, 2 * config.hidden))
        self.gate_bias = nn.Parameter(torch.zeros(heads, 2 * config.hidden))
        nn.init.normal_(self.gate_weight, std=(width // heads) ** -0.5)
        self.score_weight = nn.Parameter(torch.zeros(heads, config.hidden))

    def forward(
        self, tokens: torch.Tensor, view_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Fuse.

        Args:
            tokens: ``[B, V, E]``.
            view_mask: bool ``[B, V]``, True for views that exist (at least one per image); None:
                all do.

        Returns:
            Pooled ``[B, E]``, and view weights ``[B, V]``: the mean over the heads, rows sum to 1.
        """
        if view_mask is not None:  # not even a NaN in a masked place may matter
            tokens = tokens.masked_fill(~view_mask[..., None], 0)
        views = self._attend(tokens, view_mask)
        B, V, _ = views.shape
        heads = views.view(B, V, self.config.heads, -1)
        weights = torch.softmax(self._scores(heads, view_mask), dim=1)
        pooled = (weights[..., None] * heads).sum(dim=1).flatten(1)
        return pooled, weights.mean(dim=-1)

    def _attend(self, tokens: torch.Tensor, view_mask: torch.Tensor | None) -> torch.Tensor:
        """Residual attention across views, ``[B, V, E]``."""
        B, V, E = tokens.shape
        qkv = self.qkv_proj(self.norm(tokens)).view(B, V, 3, self.config.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        keys = None if view_mask is None else view_mask[:, None, None, :]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=keys)
        attended: torch.Tensor = self.o_proj(mixed.transpose(1, 2).reshape(B, V, E))
        return tokens + attended

    def _scores(self, heads: torch.Tensor, view_mask: torch.Tensor | None) -> torch.Tensor:
        """Before the softmax over views: ``[B, V, H]`` from ``[B, V, H, E / H]``."""
        gates = torch.einsum("bvhc,hcg->bvhg", heads, self.gate_weight) + self.gate_bias
        signal, gate = gates.chunk(2, dim=-1)
        scores = (torch.tanh(signal) * torch.sigmoid(gate) * self.score_weight).sum(dim=-1)
        if view_mask is not None:
            scores = scores.masked_fill(~view_mask[..., None], -torch.inf)
        return scores
