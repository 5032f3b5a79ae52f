"""Plain ways from many views to one vector: mean, and gated attention beside the maximum."""

from __future__ import annotations

import torch
from torch import nn


class GatedAttentionPooling(nn.Module):
    """Weighted mean over views, the weights being learned from the views themselves.

    ``a = softmax_v(w . (tanh(P h_v) * sigmoid(G h_v)))`` (Ilse, Tomczak & Welling, "Attention-based
    Deep Multiple Instance Learning", ICML 2018, arXiv 1802.04712). The score vector ``w`` starts at
    zero: an untrained pooling is the plain mean.
    """

    def __init__(self, *, width: int, hidden: int) -> None:
        """Make the layers.

        Args:
            width: E of the views' vectors.
            hidden: width of the gate.
        """
        super().__init__()
        self.project = nn.Linear(width, hidden)
        self.gate = nn.Linear(width, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)
        nn.init.zeros_(self.score.weight)

    def forward(
        self, tokens: torch.Tensor, view_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pool.

        Args:
            tokens: ``[B, V, E]``.
            view_mask: bool ``[B, V]``, True for views that exist (at least one per image); None:
                all do.

        Returns:
            Pooled ``[B, E]`` and weights ``[B, V]``; each row of weights sums to 1.
        """
        gated = torch.tanh(self.project(tokens)) * torch.sigmoid(self.gate(tokens))
        scores = self.score(gated).squeeze(-1)
        if view_mask is not None:
            scores = scores.masked_fill(~view_mask, -torch.inf)
        weights = torch.softmax(scores, dim=1)
        return torch.einsum("bv,bvd->bd", weights, tokens), weights


class AttentionAndMaximum(nn.Module):
    """Gated attention pooling beside the standardised maximum over views, ``2 E`` wide.

    The maximum is there because road work is often small: a single view that shows it must be able
    to decide.
    """

    maximum_mean: torch.Tensor
    maximum_scale: torch.Tensor

    def __init__(self, *, width: int, hidden: int) -> None:
        """Make the layers; see :class:`GatedAttentionPooling`."""
        super().__init__()
        self.attention = GatedAttentionPooling(width=width, hidden=hidden)
        self.register_buffer("maximum_mean", torch.zeros(width))
        self.register_buffer("maximum_scale", torch.ones(width))

    @torch.no_grad()
    def fit_scaler(self, tokens: torch.Tensor) -> None:
        """Standardise the maximum with that of training tokens ``[B, V, E]``."""
        maxima = tokens.amax(dim=1)
        self.maximum_mean.copy_(maxima.mean(dim=0))
        self.maximum_scale.copy_(maxima.std(dim=0, correction=0).clamp(min=1e-4))

    def forward(
        self, tokens: torch.Tensor, view_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """From ``[B, V, E]`` to ``[B, 2 E]``, and the attention's weights ``[B, V]``."""
        attended, weights = self.attention(tokens, view_mask)
        if view_mask is not None:
            tokens = tokens.masked_fill(~view_mask[..., None], -torch.inf)
        maxima = (tokens.amax(dim=1) - self.maximum_mean) / self.maximum_scale
        return torch.cat([attended, maxima], dim=-1), weights


class MeanPooling(nn.Module):
    """The mean of the views that exist."""

    def forward(
        self, tokens: torch.Tensor, view_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """From ``[B, V, E]`` to ``[B, E]``, and equal weights ``[B, V]``."""
        counted = tokens.new_ones(tokens.shape[:2])
        if view_mask is not None:
            counted = counted * view_mask
            tokens = tokens.masked_fill(~view_mask[..., None], 0)
        weights = counted / counted.sum(dim=1, keepdim=True)
        return torch.einsum("bv,bvd->bd", weights, tokens), weights
