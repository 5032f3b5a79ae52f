"""Attention whose cost grows with the number of tokens and not with its square.

For the patch tokens of all views (12 x 1,029), not for a dozen views: on a processor, softmax
attention is the quicker one below about 256 tokens (``benchmarks/linear_attention.py``).
"""

from __future__ import annotations

import torch

from workzone.errors import UsageError
from workzone.model.encoder.attention import GroupedQueryAttention
from workzone.model.encoder.positions import Rotary, apply_rotary


class GatedLinearAttention(GroupedQueryAttention):
    """Bidirectional linear attention, with the layers of :class:`GroupedQueryAttention`.

    ``y_i = phi(q_i) . sum_j phi(k_j) v_j^T / (phi(q_i) . sum_j phi(k_j))`` with ``phi = elu + 1``
    (Katharopoulos et al. 2020, arXiv 2006.16236), computed in float32 or better whatever the
    tokens' type, then the output gate and the output projection. Query heads that share a
    key/value head share its sum. Rotary positions turn the numerator only, so that the weights'
    sum stays positive (Su et al. 2021, arXiv 2104.09864, section 3.3).

    Names and shapes of the weights are those of softmax attention: either loads the other's.
    """

    def forward(
        self,
        x: torch.Tensor,
        *,
        rotary: Rotary | None = None,
        bias: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Mix the tokens.

        Args:
            x: ``[B, N, E]``.
            rotary: cosine and sine ``[B, N, E / H]`` that turn queries and keys.
            bias: must be None: the scores that it would be added to are never formed.
            mask: bool ``[B, N]``, True for tokens that exist (at least one per image). Others are
                not attended to; what comes out in their own places means nothing.

        Returns:
            ``[B, N, E]``.

        Raises:
            UsageError: a bias is given.
        """
        if bias is not None:
            raise UsageError(
                "linear attention cannot add a bias (ALiBi) to scores that it never forms; "
                "take positions 'rope', 'learned' or 'none', or mixer='softmax'"
            )
        B, N, _ = x.shape
        heads, kv_heads = self.config.heads, self.config.kv_heads
        query = self.q_norm(self.q_proj(x).view(B, N, heads, -1)).transpose(1, 2)
        key = self.k_norm(self.k_proj(x).view(B, N, kv_heads, -1)).transpose(1, 2)
        value = self.v_proj(x).view(B, N, kv_heads, -1).transpose(1, 2)
        mixed = linear_attention(query, key, value, rotary=rotary, mask=mask).transpose(1, 2)
        if self.gate_proj is not None:
            mixed = mixed * torch.sigmoid(self.gate_proj(x)).view(B, N, heads, -1)
        projected: torch.Tensor = self.o_proj(mixed.reshape(B, N, -1))
        return projected


def feature_map(x: torch.Tensor) -> torch.Tensor:
    """``elu(x) + 1``, without the rounding to zero that adding the 1 brings below -17."""
    return torch.where(x > 0, x + 1, x.clamp(max=0).exp())


def linear_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    rotary: Rotary | None = None,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Normalised linear attention in both directions; see :class:`GatedLinearAttention`.

    Args:
        query: ``[B, H, N, C]``.
        key: ``[B, G, N, C]``; each of the G key/value heads serves ``H / G`` query heads in turn.
        value: ``[B, G, N, C]``.
        rotary: cosine and sine ``[B, N, C]``.
        mask: bool ``[B, N]``, True for tokens that exist.

    Returns:
        ``[B, H, N, C]`` in the type of ``query``; each token is a weighted mean of the values,
        unless rotary positions make some weights negative.
    """
    B, H, N, C = query.shape
    G = key.shape[1]
    precise = torch.promote_types(query.dtype, torch.float32)
    with torch.autocast(query.device.type, enabled=False):
        q, k, v = feature_map(query.to(precise)), feature_map(key.to(precise)), value.to(precise)
        if mask is not None:
            absent = ~mask[:, None, :, None]
            k, v = k.masked_fill(absent, 0), v.masked_fill(absent, 0)
        total = k.sum(dim=2)
        turned_q, turned_k = q, k
        if rotary is not None:
            angles = (rotary[0].to(precise), rotary[1].to(precise))
            turned_q, turned_k = apply_rotary(q, angles), apply_rotary(k, angles)
        state = turned_k.transpose(2, 3) @ v  # [B, G, C, C]: its size knows nothing of N
        numerator = turned_q.reshape(B, G, -1, C) @ state
        denominator = q.reshape(B, G, -1, C) @ total[..., None]
        mixed = numerator / denominator.clamp(min=torch.finfo(precise).tiny)
    return mixed.reshape(B, H, N, C).to(query.dtype)
