"""Gated attention pooling: many views become one vector."""

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
            width: D of the views' vectors.
            hidden: width of the gate.
        """
        super().__init__()
        self.project = nn.Linear(width, hidden)
        self.gate = nn.Linear(width, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)
        nn.init.zeros_(self.score.weight)

    def forward(
        self, features: torch.Tensor, view_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pool.

        Args:
            features: ``[B, V, D]``.
            view_mask: bool ``[B, V]``, True for views that exist (at least one per image); None:
                all do.

        Returns:
            Pooled ``[B, D]`` and weights ``[B, V]``; each row of weights sums to 1.
        """
        gated = torch.tanh(self.project(features)) * torch.sigmoid(self.gate(features))
        scores = self.score(gated).squeeze(-1)
        if view_mask is not None:
            scores = scores.masked_fill(~view_mask, -torch.inf)
        weights = torch.softmax(scores, dim=1)
        return torch.einsum("bv,bvd->bd", weights, features), weights
