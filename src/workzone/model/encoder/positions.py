"""Where a view lies: four ways to tell the encoder, chosen by name."""

from __future__ import annotations

import math

import torch
from torch import nn

from workzone.model.encoder.config import PositionConfig

Rotary = tuple[torch.Tensor, torch.Tensor]
"""Cosine and sine of the rotation angles, each ``[B, V, E / H]``."""


class ViewPositions(nn.Module):
    """Turn view ids and boxes into what the attention blocks take.

    ======= ===================================================================================
    none    nothing: the encoder sees a bag of views
    learned one vector per view id, added once before the blocks
    rope    queries and keys turned by angles of the view ids (Su et al. 2021, arXiv 2104.09864)
    alibi   scores lowered in proportion to the distance of the views' boxes, each head at its own
            slope (after Press et al. 2022, arXiv 2108.12409, where the distance is in tokens)
    ======= ===================================================================================

    RoPE turns the order of the ids into an order of the views; ALiBi knows where in the frame a
    view lies, and needs no ids. One module is one kind, so they never meet.
    """

    def __init__(self, config: PositionConfig) -> None:
        """Make the layers; only ``learned`` has weights, and they start near zero."""
        super().__init__()
        self.config = config
        self.embedding: nn.Embedding | None = None
        if config.kind == "learned":
            self.embedding = nn.Embedding(config.learned_ids, config.width)
            nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(
        self, tokens: torch.Tensor, *, view_ids: torch.Tensor, boxes: torch.Tensor
    ) -> tuple[torch.Tensor, Rotary | None, torch.Tensor | None]:
        """Place the views.

        Args:
            tokens: ``[B, V, E]``.
            view_ids: int64 ``[B, V]``, the original numbers of the views in their layout.
            boxes: float32 ``[B, V, 4]``, in fractions of the frame.

        Returns:
            Tokens ``[B, V, E]``, rotary angles or None, and additive bias ``[B, H, V, V]`` or None.
        """
        config = self.config
        if self.embedding is not None:
            return tokens + self.embedding(view_ids), None, None
        if config.kind == "rope":
            rotary = rotary_angles(
                view_ids, head_width=config.width // config.heads, theta=config.rope_theta
            )
            return tokens, (rotary[0].to(tokens.dtype), rotary[1].to(tokens.dtype)), None
        if config.kind == "alibi":
            bias = alibi_bias(boxes, heads=config.heads, step=config.alibi_step)
            return tokens, None, bias.to(tokens.dtype)
        return tokens, None, None


def rotary_angles(view_ids: torch.Tensor, *, head_width: int, theta: float) -> Rotary:
    """Cosine and sine of RoPE's angles, in Qwen3's order: both halves hold the same angles.

    Args:
        view_ids: int64 ``[B, V]``.
        head_width: E / H, even.
        theta: base of the wavelengths.

    Returns:
        Two float32 tensors ``[B, V, head_width]``. The angles are made anew in float32 and not
        kept in a buffer, which a model's ``.bfloat16()`` would round.
    """
    channel = torch.arange(0, head_width, 2, device=view_ids.device, dtype=torch.float32)
    frequency = 1.0 / theta ** (channel / head_width)
    angles = view_ids[..., None].float() * frequency
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def apply_rotary(x: torch.Tensor, rotary: Rotary) -> torch.Tensor:
    """Turn ``x`` ``[B, H, V, E / H]`` by the angles; channel i pairs with i + E / H / 2."""
    cos, sin = rotary[0][:, None], rotary[1][:, None]
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def alibi_slopes(heads: int, device: torch.device | None = None) -> torch.Tensor:
    """The heads' slopes, float32 ``[H]``.

    A geometric series from ``2 ** (-8 / H)`` down to ``2 ** -8`` where H is a power of two;
    otherwise that of the power below, filled up with every other slope of the power above
    (Press et al. 2022, section 3 and their published code).
    """
    power = 2 ** math.floor(math.log2(heads))
    exponents = torch.arange(1, power + 1, device=device, dtype=torch.float32) * (8 / power)
    between = torch.arange(0, heads - power, device=device, dtype=torch.float32)
    exponents = torch.cat((exponents, (2 * between + 1) * (4 / power)))
    return torch.exp2(-exponents)


def alibi_bias(boxes: torch.Tensor, *, heads: int, step: float) -> torch.Tensor:
    """Minus slope times distance between box centres, float32 ``[B, H, V, V]``.

    Args:
        boxes: ``[B, V, 4]``, fractions.
        heads: H.
        step: the distance that counts as one, in frame sides.
    """
    boxes = boxes.float()
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    distances = torch.linalg.vector_norm(centres[:, :, None] - centres[:, None], dim=-1) / step
    bias: torch.Tensor = -alibi_slopes(heads, boxes.device)[:, None, None] * distances[:, None]
    return bias
