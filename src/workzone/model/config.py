"""Shape of a detector, of any kind: what is written in settings and bundles."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from workzone.errors import UsageError, nearest
from workzone.model.cells_config import CELL_MASKS, CellHeadConfig
from workzone.model.encoder.config import EncoderConfig
from workzone.model.masks.config import MaskHeadConfig
from workzone.model.metadata.config import MetadataConfig
from workzone.model.scene import PARTS
from workzone.model.views.config import GlanceConfig, PrunerConfig
from workzone.views import ViewLayout

FusionName = Literal["mean", "attention+maximum", "gated"]


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """Shape of a detector; the defaults are the small one."""

    width: int = 0  # D of the stored features; 0: taken from them when training starts
    glance: GlanceConfig | None = None  # choice of views before the backbone; None: all are read
    projection: int = 0  # E; 0: features keep their width
    pruner: PrunerConfig | None = None  # choice among the views read; None: all are kept
    encoder: EncoderConfig = field(default_factory=lambda: EncoderConfig(depth=0))
    fusion: FusionName = "attention+maximum"
    gate_hidden: int = 32  # of the gate of "attention+maximum"
    metadata: MetadataConfig | None = None  # None: the image alone
    head: tuple[int, ...] = ()  # widths of hidden layers; none: one linear layer
    dropout: float = 0.0  # after each hidden layer, or on what the linear layer sees, 0..1
    masks: MaskHeadConfig | None = None  # None: no auxiliary masks
    mask_evidence: bool = False  # whether the head is told what the masks show
    cells: CellHeadConfig | None = None  # a dense head in place of all of the above; None: not

    def __post_init__(self) -> None:
        if self.fusion not in get_args(FusionName):
            hint = nearest(str(self.fusion), get_args(FusionName))
            raise UsageError(f"fusion={self.fusion!r} is not known; {hint}")
        if self.width < 0 or self.projection < 0 or not 0 <= self.dropout < 1:
            raise UsageError(
                f"width and projection are 0 or more, dropout in [0, 1): got width="
                f"{self.width}, projection={self.projection}, dropout={self.dropout}"
            )
        if self.encoder.depth and self.token_width not in (0, self.encoder.width):
            raise UsageError(
                f"encoder.width={self.encoder.width} must be the width of the tokens, "
                f"{self.token_width} (projection, or width where projection is 0)"
            )
        if self.mask_evidence and self.masks is None:
            raise UsageError("mask_evidence: true needs masks, as in masks: {hidden: 128}")
        if self.dense:
            self._check_cells_alone()
        if self.glance is not None and self.needs_all_grids:
            raise UsageError(
                "masks.canvas takes the grids of all views, and the glance leaves most unread: "
                "glance: null, or masks.canvas: 0"
            )

    def _check_cells_alone(self) -> None:
        """Refuse parts beside the dense head that would be neither built nor read."""
        parts = ("glance", "pruner", "metadata") + ("masks",) * (not self.levels)
        beside = [name for name in parts if getattr(self, name) is not None]
        if self.encoder.depth:
            beside.append("encoder")
        if self.head:
            beside.append("head")
        if beside:
            raise UsageError(
                "cells: the dense head judges the cells of the views and reads nothing else; "
                f"leave out {', '.join(beside)}, or cells (masks may stand beside it that read "
                "masks.levels of the backbone)"
            )

    @property
    def levels(self) -> tuple[int, ...]:
        """Of the backbone, whose maps the masks are made from; see `Backbone.level_widths`."""
        return () if self.masks is None else self.masks.levels

    @property
    def scene_parts(self) -> int:
        """Equally long parts of what an image looks like, see `AnyDetector.scene`."""
        return 1 if self.cells is None else PARTS

    def check_width(self) -> None:
        """Make sure that a detector can be made.

        Raises:
            UsageError: the width of the features is not told.
        """
        if self.width < 1:
            raise UsageError("a detector needs the width of its features: give width")

    @property
    def dense(self) -> bool:
        """Whether every cell of the views is judged, and no view as a whole."""
        return self.cells is not None

    @property
    def needs_grid(self) -> bool:
        """Whether the patch grid of the global view must be there."""
        return any(part is not None for part in (self.glance, self.masks, self.cells))

    @property
    def needs_all_grids(self) -> bool:
        """Whether those of all views must be there."""
        return self.dense or (self.masks is not None and self.masks.canvas > 0)

    def grid_views(self, layout: ViewLayout) -> tuple[int, ...]:
        """The views whose patch grids are needed, as in ``FeatureSpec.grid_views``."""
        if self.needs_all_grids:
            return tuple(range(layout.count))
        return (0,) if self.needs_grid and layout.global_view else ()

    def views_read(self, count: int) -> int:
        """How many of an image's ``count`` views the backbone reads to predict."""
        return count if self.glance is None else min(self.glance.keep, count)

    def target_size(self, grid_size: tuple[int, int], view_size: int) -> tuple[int, int] | None:
        """Rows and columns of the masks of frames that it learns from; None: from none.

        ``grid_size`` are the rows and columns of a view's grid, ``view_size`` its side in pixels.
        """
        if self.cells is not None and self.masks is None:
            return CELL_MASKS * grid_size[0], CELL_MASKS * grid_size[1]
        if self.masks is None:
            return None
        cells = self.masks.cells(grid_size)
        return dataclasses.replace(self.masks, stride=view_size // cells[0]).mask_size(cells)

    def sized(
        self,
        *,
        width: int,
        grid_width: int = 0,
        grid_size: tuple[int, int] = (0, 0),
        view_size: int = 0,
        level_shapes: Mapping[int, Sequence[int]] | None = None,
    ) -> DetectorConfig:
        """The same for features of ``width``, and grids of ``grid_width`` (0: there are none).

        ``grid_size`` are the rows and columns of a view's grid, ``view_size`` its side in pixels,
        ``level_shapes`` channels, rows and columns of the maps of its levels.
        """
        glance, masks = self.glance, self.masks
        cells = self.cells and dataclasses.replace(self.cells, width=grid_width)
        if masks is not None and grid_width:
            masks = dataclasses.replace(
                masks,
                width=grid_width if cells is None else cells.judged_width,
                stride=view_size // masks.cells(grid_size)[0],
            )
        if masks is not None and level_shapes:
            shapes = [level_shapes[level] for level in masks.levels]
            masks = dataclasses.replace(
                masks,
                level_widths=tuple(shape[0] for shape in shapes),
                level_strides=tuple(view_size // shape[1] for shape in shapes),
            )
        return dataclasses.replace(
            self,
            width=width,
            glance=glance and dataclasses.replace(glance, width=grid_width),
            masks=masks,
            cells=cells,
        )

    @property
    def token_width(self) -> int:
        """E, of the tokens between projection and fusion."""
        return self.projection or self.width

    @property
    def fused_width(self) -> int:
        """Of the one vector that the views become."""
        return self.token_width * (2 if self.fusion == "attention+maximum" else 1)
