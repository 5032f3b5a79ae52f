"""Shape of a dense head."""

from __future__ import annotations

from dataclasses import dataclass

from workzone.backbones.names import HEAD_WIDTH, VARIANTS, Variant
from workzone.errors import UsageError

TRUNKS = {variant.trunk_width: variant for variant in VARIANTS if not variant.tuned_from}
"""The embedded backbones that a tail goes on from, by the width of their trunks."""


def trunk_of(backbone: str, width: int) -> Variant:
    """The embedded backbone of a trunk's name, or of its width where it has another name."""
    fitting = [variant for variant in VARIANTS if variant.trunk_width == width]
    return next((variant for variant in fitting if variant.trunk == backbone), TRUNKS[width])


CELL_MASKS = 2
"""How much finer, a side, than a view's grid the frame's masks are: views show parts of it."""


@dataclass(frozen=True, kw_only=True)
class CellHeadConfig:
    """Shape of a dense head on the cells of the whole frame."""

    width: int = 0  # D of the grid; 0: taken from it when training starts
    tail: bool = False  # learn what comes after a trunk too, from the backbone's weights on
    hidden: int = 16  # units of the one hidden layer; 0: none, a linear head
    top: int = 4  # cells whose mean logit is the image's
    dropout: float = 0.2  # of channels, the same ones in all cells of a batch, 0..1
    mix_style: float = 0.0  # share of training images that borrow another one's style, 0..1

    def __post_init__(self) -> None:
        if min(self.width, self.hidden) < 0 or self.top < 1 or not 0 <= self.dropout < 1:
            raise UsageError(
                "cells: width and hidden are 0 or more, top is 1 or more, dropout in [0, 1): got "
                f"width={self.width}, hidden={self.hidden}, top={self.top}, "
                f"dropout={self.dropout}"
            )
        if not 0 <= self.mix_style <= 1:
            raise UsageError(f"cells: mix_style is a share from 0 to 1, got {self.mix_style}")
        if self.tail and self.width not in (0, *TRUNKS):
            known = " or ".join(f"{v.trunk} ({width} channels)" for width, v in TRUNKS.items())
            raise UsageError(
                f"cells: the tail goes on from {known}; these cells have {self.width}: take one of "
                "those backbones, or tail: false"
            )

    @property
    def judged_width(self) -> int:
        """Channels of the cells that the head itself sees."""
        return HEAD_WIDTH if self.tail else self.width
