"""What a detector is given of a batch of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import torch

from workzone.model.metadata.batch import MetadataBatch

Rows = slice | torch.Tensor


@dataclass(frozen=True, kw_only=True)
class DetectorInput:
    """``B`` images; None where a detector needs none of it, or nothing is known."""

    features: torch.Tensor  # [B, V, D]
    boxes: torch.Tensor | None = None  # [B, V, 4] in fractions of the frame; ALiBi needs them
    view_ids: torch.Tensor | None = None  # int64 [B, V], in the layout; None: 0, 1, ...
    view_mask: torch.Tensor | None = None  # bool [B, V], True for views that exist; None: all do
    metadata: MetadataBatch | None = None  # None: nothing is known of any image
    grid: torch.Tensor | None = None  # [B, N, D] of the global view; [B, V, N, D] of all views,
    # or [B, V, N + N / 4, D] with the cells of their halves, see ViewLayout.halves
    grid_size: tuple[int, int] | None = None  # its rows and columns
    levels: Mapping[int, torch.Tensor] | None = None  # [B, C, h, w] of the first view, by level

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: Rows) -> DetectorInput:
        """Some of the images, by a slice, row numbers or a mask."""
        apart = ("grid_size", "levels")
        named = [(f.name, getattr(self, f.name)) for f in fields(self) if f.name not in apart]
        chosen = {name: value[rows] for name, value in named if value is not None}
        if self.levels is not None:
            chosen["levels"] = {level: maps[rows] for level, maps in self.levels.items()}
        return replace(self, **chosen)

    def image_only(self) -> DetectorInput:
        """The same without metadata."""
        return replace(self, metadata=None)
