"""The feed-forward layer of an encoder block."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from workzone.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class FeedForwardConfig:
    """Shape of a feed-forward layer."""

    width: int = 512  # E
    hidden: int = 2048  # channels between the projections

    def __post_init__(self) -> None:
        if self.width < 1 or self.hidden < 1:
            raise UsageError(f"width and hidden are positive: got {self}")


class SwiGLU(nn.Module):
    """``down(silu(gate(x)) * up(x))``, without biases (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, config: FeedForwardConfig) -> None:
        """Make the layers."""
        super().__init__()
        self.config = config
        self.gate_proj = nn.Linear(config.width, config.hidden, bias=False)
        self.up_proj = nn.Linear(config.width, config.hidden, bias=False)
        self.down_proj = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform each token of ``x`` ``[..., E]`` by itself; same shape."""
        transformed: torch.Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return transformed
