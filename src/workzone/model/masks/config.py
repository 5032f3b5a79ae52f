"""Shape of a mask head."""

from __future__ import annotations

import math
from dataclasses import dataclass

from workzone.errors import UsageError

OUTPUT_STRIDE = 4
"""Pixels of a view, a side, per cell of the predicted masks."""


@dataclass(frozen=True, kw_only=True)
class MaskHeadConfig:
    """Shape of a mask head.

    With ``levels`` it is a feature pyramid: maps from within the backbone are added to what comes
    of the grid, the coarsest first.
    """

    width: int = 0  # D of the grid; 0: taken from it when training starts
    hidden: int = 128  # channels at the grid's resolution; halved at every doubling
    stride: int = 16  # pixels of a view, a side, per cell; taken from the grid when training starts
    canvas: int = 0  # cells a side onto which all views' grids are placed; 0: the global view's own
    levels: tuple[int, ...] = ()  # of the backbone, finest first, see `Backbone.level_widths`
    level_widths: tuple[int, ...] = ()  # their channels; taken from them when training starts
    level_strides: tuple[int, ...] = ()  # their strides; likewise

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
        if sorted(set(self.levels)) != list(self.levels) or min(self.levels, default=1) < 1:
            raise UsageError(
                f"mask head: levels are positive and rise, as [4, 8, 16]; not {list(self.levels)}"
            )
        if self.levels and self.canvas:
            raise UsageError("mask head: levels are of the global view, canvas of all: give one")
        if {len(self.level_widths), len(self.level_strides)} - {0, len(self.levels)}:
            raise UsageError("mask head: level_widths and level_strides are one for each level")
        halvings = _doublings(self.stride, OUTPUT_STRIDE)
        if self.hidden < 1 or self.hidden % 2**halvings:
            raise UsageError(
                f"mask head: hidden is {self.hidden}; a stride of {self.stride} halves it "
                f"{halvings} times, so it must be a multiple of {2**halvings}"
            )

    @property
    def finest(self) -> int:
        """Pixels, a side, per cell of the finest map that is read."""
        return min((self.stride, *self.level_strides))

    @property
    def doublings(self) -> int:
        """Up-sampling steps from the finest map to the masks."""
        return _doublings(self.finest, OUTPUT_STRIDE)

    def width_at(self, stride: int) -> int:
        """Channels of the head where a cell has so many pixels a side."""
        return self.hidden >> _doublings(self.stride, stride)

    def cells(self, grid_size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns that the head works on, where a view's grid has ``grid_size``."""
        return (self.canvas, self.canvas) if self.canvas else grid_size

    def mask_size(self, grid_size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the masks of a grid: a quarter of the view's pixels a side."""
        rows, columns = grid_size
        return rows * self.stride // OUTPUT_STRIDE, columns * self.stride // OUTPUT_STRIDE


def _doublings(stride: int, finer: int) -> int:
    return math.ceil(math.log2(stride / finer))
