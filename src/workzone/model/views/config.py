"""How views are chosen, before and after the backbone reads them."""

from __future__ import annotations

from dataclasses import dataclass

from workzone.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class GlanceConfig:
    """How many views are read."""

    keep: int = 4  # k, the global view counted in
    width: int = 0  # D of the grid; 0: taken from it when training starts

    def __post_init__(self) -> None:
        if self.keep < 1 or self.width < 0:
            raise UsageError(f"glance: keep is 1 or more, width 0 or more, got {self}")


@dataclass(frozen=True, kw_only=True)
class PrunerConfig:
    """How views are pruned."""

    keep: int = 8  # k, views kept of each image
    hidden: int = 64  # of the scorer
    hold_global: bool = True  # view id 0 is kept whatever its score
    noise: float = 1.0  # scale of the Gumbel noise on scores in training; 0: the highest, always

    def __post_init__(self) -> None:
        if self.keep < 1 or self.hidden < 1 or self.noise < 0:
            raise UsageError(f"keep and hidden are positive, noise is 0 or more: got {self}")
