"""Every setting of a served map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workzone.data.places import check_grid
from workzone.geo.event import State
from workzone.geo.out.fields import PUBLISHED
from workzone.geo.out.publisher import Publisher
from workzone.geo.show import origin_of
from workzone.serve.config import HttpConfig


@dataclass(frozen=True, kw_only=True)
class MapServeConfig(HttpConfig):
    """A served map.

    Raises:
        UsageError: a port out of range, ``tiles`` that are no address, or ``metres`` not above 0.
    """

    store: Path | str
    """A GeoPackage, or the address of a database; see `workzone.geo.store.open_store`."""
    publisher: Publisher | None = None
    """Of the feed; None: there is no feed."""
    states: tuple[State, ...] = PUBLISHED
    """What is in the feed."""
    tiles: str | None = None
    """Pictures of the ground, for the page."""
    attribution: str | None = None
    """Whom the page names for tiles or roads."""
    metres: float | None = None
    """All places are rounded to a grid of so many metres."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tiles is not None:
            origin_of(self.tiles)
        if self.metres is not None:
            check_grid(self.metres)
