"""Shape of a mask head."""

from __future__ import annotations

import math
from dataclasses import dataclass

from workzone.errors import UsageError

OUTPUT_STRIDE = 4
"""Pixels of a view, a side, per cell of the predicted masks."""


@dataclass(frozen=True, kw_only=True)
class MaskHeadConfig:
    """Shape of a mask head."""

    width: int = 0  # D of the grid; 0: taken from it when training starts
    hidden: int = 128  # channels at the grid's resolution; halved at every doubling
    stride: int = 16  # pixels of a view, a side, per cell; taken from the grid when training starts
    canvas: int = 0  # cells a side onto which all views' grids are placed; 0: the global view's own

    def __post_init__(self) -> None:
        if min(self.width, self.canvas) < 0:
            raise UsageError(
                f"mask head: width and canvas are 0 or more, got {self.width} and {self.canvas}"
            )
        if self.stride < OUTPUT_STRIDE:
            raise UsageError(
                f"mask head: stride is {self.stride} pixels per grid cell; it must be at least "
                f"{OUTPUT_STRIDE}, the stride of the masks"
            )
        if self.hidden < 1 or self.hidden % 2**self.doublings:
            raise UsageError(
                f"mask head: hidden is {self.hidden}; a stride of {self.stride} halves it "
                f"{self.doublings} times, so it must be a multiple of {2**self.doublings}"
            )

    @property
    def doublings(self) -> int:
        """Up-sampling steps from the grid to the masks."""
        return math.ceil(math.log2(self.stride / OUTPUT_STRIDE))

    def cells(self, grid_size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns that the head works on, where a view's grid has ``grid_size``."""
        return (self.canvas, self.canvas) if self.canvas else grid_size

    def mask_size(self, grid_size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the masks of a grid: a quarter of the view's pixels a side."""
        rows, columns = grid_size
        return rows * self.stride // OUTPUT_STRIDE, columns * self.stride // OUTPUT_STRIDE
