"""A mixture of experts in the place of the feed-forward layer."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from workzone.model.encoder.config import ExpertsConfig, FeedForwardConfig
from workzone.model.encoder.feed_forward import SwiGLU


@dataclass(frozen=True)
class RouterStatistics:
    """What one router did with a batch, tokens of masked views left out; carries no gradient."""

    share: torch.Tensor  # [experts], each expert's part of all assignments; sums to 1
    mean_probability: torch.Tensor  # [experts], before the choice; sums to 1
    entropy: torch.Tensor  # scalar, nats: mean over tokens; log(experts) is undecided


class MixtureOfExperts(nn.Module):
    """Each token's feed-forward is a weighted sum of its ``per_token`` likeliest experts.

    Router and weights as in Qwen3-MoE: softmax over all experts, in float32 at least, then the top
    k, then normalised. Every expert sees every token, and the weights of those not chosen are 0:
    for four experts this costs ``experts / per_token`` times the arithmetic of a sparse dispatch,
    but its shapes never depend on the data, so that it compiles, exports and differentiates twice.
    """

    def __init__(self, config: ExpertsConfig) -> None:
        """Make router and experts."""
        super().__init__()
        self.config = config
        self.router = nn.Linear(config.width, config.experts, bias=False)
        expert = FeedForwardConfig(width=config.width, hidden=config.hidden)
        self.experts = nn.ModuleList(SwiGLU(expert) for _ in range(config.experts))

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, RouterStatistics]:
        """Transform each token by its experts.

        Args:
            x: ``[B, V, E]``.
            mask: bool ``[B, V]``, True for views that exist; only they count in loss and
                statistics.

        Returns:
            ``[B, V, E]``; the load-balancing loss, a scalar; what the router did.
        """
        probabilities = self._route(x)
        chosen = torch.zeros_like(probabilities).scatter(
            -1, probabilities.topk(self.config.per_token, dim=-1).indices, 1.0
        )
        weights = probabilities * chosen
        if self.config.normalise:
            weights = weights / weights.sum(dim=-1, keepdim=True)
        weights = weights.to(x.dtype)
        mixed = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            mixed = mixed + weights[..., number, None] * expert(x)
        loss, statistics = balance(probabilities, chosen, mask)
        return mixed, loss, statistics

    def _route(self, x: torch.Tensor) -> torch.Tensor:
        """Probabilities of the experts ``[B, V, experts]``, float32 (float64 for float64)."""
        precise = torch.promote_types(x.dtype, torch.float32)
        with _no_autocast(x.device):
            logits = F.linear(x.to(precise), self.router.weight.to(precise))
        return torch.softmax(logits, dim=-1)


def _no_autocast(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Compute in the precision of the operands; the meta device knows no autocast to switch off."""
    if device.type == "meta":
        return contextlib.nullcontext()
    return torch.autocast(device.type, enabled=False)


def balance(
    probabilities: torch.Tensor, chosen: torch.Tensor, mask: torch.Tensor | None
) -> tuple[torch.Tensor, RouterStatistics]:
    """The load-balancing loss of the Switch Transformer, and what it is made of.

    ``experts * sum_i f_i P_i`` with ``f_i`` the assignments to expert i per token and ``P_i`` its
    mean probability (Fedus et al. 2021, arXiv 2101.03961, equations 4 to 6; for k experts per
    token as Mixtral and Qwen3-MoE do it). It is k when the load is even, and ``experts`` when all
    tokens agree with certainty (k = 1). The gradient reaches the router through ``P`` alone.

    Args:
        probabilities: ``[B, V, experts]``.
        chosen: ``[B, V, experts]``, 1 for the experts that a token takes, else 0.
        mask: bool ``[B, V]`` or None.
    """
    experts = probabilities.shape[-1]
    if mask is None:
        counted = torch.ones_like(probabilities[..., :1])
    else:
        counted = mask[..., None].to(probabilities.dtype)
    tokens = counted.sum().clamp(min=1)
    load = (chosen * counted).sum(dim=(0, 1)) / tokens
    mean_probability = (probabilities * counted).sum(dim=(0, 1)) / tokens
    loss = experts * (load.detach() * mean_probability).sum()
    entropies = torch.special.entr(probabilities.detach()) * counted
    statistics = RouterStatistics(
        share=load.detach() / load.detach().sum().clamp(min=1),
        mean_probability=mean_probability.detach(),
        entropy=entropies.sum() / tokens,
    )
    return loss, statistics
