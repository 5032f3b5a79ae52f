"""The feed-forward layer of an encoder block."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from workzone.model.encoder.config import FeedForwardConfig


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
