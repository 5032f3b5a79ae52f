"""Made features for tests of training: noise, with a shift where there is road work."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from workzone.model.config import DetectorConfig
from workzone.train.feed.examples import Examples

V, D = 3, 6
PLAIN = DetectorConfig()


def made_data(
    rows: int = 160,
    *,
    positives: float = 0.5,
    copies: int = 1,
    seed: int = 0,
    shift: float = 6.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise; in a positive, one view of the three is shifted in one dimension."""
    random = torch.Generator().manual_seed(seed)
    labels = (torch.arange(rows) < round(rows * positives)).long()
    labels = labels[torch.randperm(rows, generator=random)]
    features = torch.randn(rows, copies, V, D, generator=random)
    view = torch.randint(V, (rows,), generator=random)
    features[torch.arange(rows), :, view, 0] += shift * labels[:, None]
    return features, labels


def examples_of(features: torch.Tensor, labels: torch.Tensor, **more: Any) -> Examples:
    """Of features ``[n, C, V, D]``; boxes and grids likewise."""
    images, copies = features.shape[:2]
    arrays = {"features": features} | {n: more.pop(n) for n in ("boxes", "grid") if n in more}
    return Examples(
        labels=labels,
        rows=torch.arange(images * copies).view(images, copies),
        **{name: array.flatten(0, 1) for name, array in arrays.items()},
        **more,
    )


def two_folds(rows: int) -> list[np.ndarray]:
    return [np.arange(0, rows, 2), np.arange(1, rows, 2)]
