"""The first detector: gated attention pooling over views, then a linear layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from workzone.errors import UsageError
from workzone.model.pooling import GatedAttentionPooling
from workzone.types import DetectorOutput


@dataclass(frozen=True)
class DetectorConfig:
    """Shape of a detector."""

    width: int  # D of the stored features
    hidden: int = 32  # of the attention gate
    dropout: float = 0.0  # on the pooled vector, 0..1

    def __post_init__(self) -> None:
        if self.width < 1 or self.hidden < 1 or not 0 <= self.dropout < 1:
            raise UsageError(f"width and hidden are positive, dropout is in [0, 1): got {self}")


class Detector(nn.Module):
    """From the features of an image's views to logits.

    Features are standardised with statistics of the training views (buffers, set by
    :meth:`fit_scaler`), pooled twice, by gated attention and by the maximum over views, and
    classified by one linear layer. The maximum is there because road work is often small: a single
    view that shows it must be able to decide.
    """

    def __init__(self, config: DetectorConfig) -> None:
        """Make the layers; the classifier starts at zero: an untrained detector says 0.5."""
        super().__init__()
        self.config = config
        self.register_buffer("feature_mean", torch.zeros(config.width))
        self.register_buffer("feature_scale", torch.ones(config.width))
        self.register_buffer("maximum_mean", torch.zeros(config.width))
        self.register_buffer("maximum_scale", torch.ones(config.width))
        self.pooling = GatedAttentionPooling(width=config.width, hidden=config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(2 * config.width, 2)
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    feature_mean: torch.Tensor
    feature_scale: torch.Tensor
    maximum_mean: torch.Tensor
    maximum_scale: torch.Tensor

    @torch.no_grad()
    def fit_scaler(self, features: torch.Tensor) -> None:
        """Take the standardisation from training features ``[B, V, D]``.

        Views are scaled by the spread of an image's mean view, so that a pooled vector has about
        unit variance.
        """
        self.feature_mean.copy_(features.mean(dim=(0, 1)))
        self.feature_scale.copy_(features.mean(dim=1).std(dim=0, correction=0).clamp(min=1e-4))
        maxima = self._standardise(features).amax(dim=1)
        self.maximum_mean.copy_(maxima.mean(dim=0))
        self.maximum_scale.copy_(maxima.std(dim=0, correction=0).clamp(min=1e-4))

    def _standardise(self, features: torch.Tensor) -> torch.Tensor:
        return (features - self.feature_mean) / self.feature_scale

    def forward(
        self, features: torch.Tensor, view_mask: torch.Tensor | None = None
    ) -> DetectorOutput:
        """Classify.

        Args:
            features: ``[B, V, D]``.
            view_mask: bool ``[B, V]``, True for views that exist (at least one per image).

        Returns:
            Logits ``[B, 2]`` and view weights ``[B, V]``.
        """
        views = self._standardise(features)
        attended, weights = self.pooling(views, view_mask)
        if view_mask is not None:
            views = views.masked_fill(~view_mask[..., None], -torch.inf)
        maxima = (views.amax(dim=1) - self.maximum_mean) / self.maximum_scale
        pooled = self.dropout(torch.cat([attended, maxima], dim=-1))
        return DetectorOutput(self.classifier(pooled), weights)
