"""The detector: from the features of an image's views, and what else is known, to logits.

One configuration covers all of it, from the small detector (no projection, no encoder, pooling and
one linear layer) to the reference: views pruned 12 -> 8, projected, encoded, fused, joined with
metadata, classified; masks of the six classes learned beside it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

import torch
import torch.nn.functional as F
from torch import nn

from workzone.errors import UsageError, nearest
from workzone.features.tiles import take_views
from workzone.model.cells import CellHead, CellHeadConfig, by_scale
from workzone.model.encoder.attention import RMSNorm
from workzone.model.encoder.encoder import EncoderConfig, ViewEncoder
from workzone.model.inputs import DetectorInput
from workzone.model.masks.head import MaskHead, MaskHeadConfig, mask_evidence, place_grids
from workzone.model.metadata.batch import MetadataBatch
from workzone.model.metadata.config import MetadataConfig
from workzone.model.metadata.encoder import MetadataEncoder
from workzone.model.views.fusion import FusionConfig, GatedAttentionFusion
from workzone.model.views.glance import Glance, GlanceConfig
from workzone.model.views.pooling import AttentionAndMaximum, MeanPooling
from workzone.model.views.pruning import PrunerConfig, ViewPruner, on_all_views
from workzone.types import OBJECT_CLASSES, DetectorOutput
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
        if self.cells is not None:
            self._check_cells_alone()
        if self.glance is not None and self.needs_all_grids:
            raise UsageError(
                "masks.canvas takes the grids of all views, and the glance leaves most unread: "
                "glance: null, or masks.canvas: 0"
            )

    def _check_cells_alone(self) -> None:
        """Refuse parts beside the dense head that would be neither built nor read."""
        parts = ("glance", "pruner", "metadata", "masks")
        beside = [name for name in parts if getattr(self, name) is not None]
        if self.encoder.depth:
            beside.append("encoder")
        if self.head:
            beside.append("head")
        if beside:
            raise UsageError(
                "cells: the dense head judges the cells of the views and reads nothing else; "
                f"leave out {', '.join(beside)}, or cells"
            )

    @property
    def needs_grid(self) -> bool:
        """Whether the patch grid of the global view must be there."""
        return any(part is not None for part in (self.glance, self.masks, self.cells))

    @property
    def needs_all_grids(self) -> bool:
        """Whether those of all views must be there."""
        return self.cells is not None or (self.masks is not None and self.masks.canvas > 0)

    def grid_views(self, layout: ViewLayout) -> tuple[int, ...]:
        """The views whose patch grids are needed, as in ``FeatureSpec.grid_views``."""
        if self.needs_all_grids:
            return tuple(range(layout.count))
        return (0,) if self.needs_grid and layout.global_view else ()

    def sized(
        self,
        *,
        width: int,
        grid_width: int = 0,
        grid_size: tuple[int, int] = (0, 0),
        view_size: int = 0,
    ) -> DetectorConfig:
        """The same for features of ``width``, and grids of ``grid_width`` (0: there are none).

        ``grid_size`` are the rows and columns of a view's grid, ``view_size`` its side in pixels.
        """
        glance, masks = self.glance, self.masks
        if masks is not None and grid_width:
            stride = view_size // masks.cells(grid_size)[0]
            masks = dataclasses.replace(masks, width=grid_width, stride=stride)
        return dataclasses.replace(
            self,
            width=width,
            glance=glance and dataclasses.replace(glance, width=grid_width),
            masks=masks,
            cells=self.cells and dataclasses.replace(self.cells, width=grid_width),
        )

    @property
    def token_width(self) -> int:
        """E, of the tokens between projection and fusion."""
        return self.projection or self.width

    @property
    def fused_width(self) -> int:
        """Of the one vector that the views become."""
        return self.token_width * (2 if self.fusion == "attention+maximum" else 1)


class Detector(nn.Module):
    """The whole of it.

    Features are standardised with statistics of the training views (buffers, see
    :meth:`fit_scaler`). Permuting the views together with ids, boxes and mask changes nothing; a
    masked view is as good as left out; with no metadata the learned vectors for "missing" stand in.
    """

    feature_mean: torch.Tensor
    feature_scale: torch.Tensor

    def __init__(self, config: DetectorConfig) -> None:
        """Make the layers; the last one starts at zero: an untrained detector says 0.5."""
        super().__init__()
        if config.width < 1:
            raise UsageError("a detector needs the width of its features: give width")
        self.config = config
        self.cells: CellHead | None = None
        self.register_buffer("feature_mean", torch.zeros(config.width))
        self.register_buffer("feature_scale", torch.ones(config.width))
        self.glance = None if config.glance is None else Glance(config.glance)
        if config.cells is not None:  # in place of all that follows
            self.cells = CellHead(config.cells)
            return
        self.pruner = (
            None if config.pruner is None else ViewPruner(width=config.width, config=config.pruner)
        )
        self.projection = (
            nn.Linear(config.width, config.projection) if config.projection else nn.Identity()
        )
        self.encoder = ViewEncoder(config.encoder)
        self.fusion = _make_fusion(config)
        self.metadata = None if config.metadata is None else MetadataEncoder(config.metadata)
        self.head = _make_head(config)
        self.masks: MaskHead | None = None
        if config.masks is not None:
            # A head that only stands beside the classifier must not change it, not even through
            # the random numbers that dropout draws after these.
            with torch.random.fork_rng(devices=[]):
                self.masks = MaskHead(config.masks)

    def run(self, given: DetectorInput) -> DetectorOutput:
        """Classify; see :meth:`forward`."""
        return cast(DetectorOutput, self(**vars(given)))

    def choose_views(self, given: DetectorInput) -> DetectorInput:
        """Leave the views that the glance tells to read; all, where there is no glance.

        Raises:
            UsageError: there is a choice to make, but no grid of the global view, or no boxes.
        """
        rows, views, _ = given.features.shape
        if self.glance is None or views <= self.glance.config.keep:
            return given
        if given.grid is None or given.grid_size is None or given.boxes is None:
            raise UsageError(
                "the glance chooses views by the global view's patch grid and the boxes of the "
                "views: give grid, grid_size and boxes"
            )
        ids = given.view_ids
        if ids is None:
            ids = torch.arange(views, device=given.features.device).expand(rows, views)
        kept = self.glance(
            given.grid,
            grid_size=given.grid_size,
            boxes=given.boxes,
            view_ids=ids,
            view_mask=given.view_mask,
        )
        mask = given.view_mask
        return dataclasses.replace(
            given,
            features=take_views(given.features, kept),
            boxes=take_views(given.boxes, kept),
            view_ids=take_views(ids, kept),
            view_mask=None if mask is None else take_views(mask, kept),
        )

    def _dense(self, head: CellHead, given: DetectorInput) -> DetectorOutput:
        if given.grid is None or given.grid_size is None:
            raise UsageError("cells are those of the views' grids: give grid and grid_size")
        grid = given.grid[:, None] if given.grid.ndim == 3 else given.grid  # one view alone
        packed, logit = head(grid, given.grid_size, given.boxes)
        weights, cells = [], []
        for part, size in by_scale(packed, given.grid_size):
            deciding = head.strongest(part.detach().flatten(1)).indices // part.shape[2]
            weights.append(F.one_hot(deciding, part.shape[1]).to(logit).mean(dim=1))
            cells.append(part.unflatten(2, size))
        return DetectorOutput(
            logits=torch.stack([-logit / 2, logit / 2], dim=-1),
            view_weights=torch.stack(weights).mean(dim=0),
            balance_loss=logit.new_zeros(()),
            cells=cells[0],
            half_cells=cells[1] if len(cells) > 1 else None,
        )

    def _masks(
        self,
        head: MaskHead,
        grid: torch.Tensor,
        grid_size: tuple[int, int],
        boxes: torch.Tensor | None,
        view_mask: torch.Tensor | None,
    ) -> torch.Tensor:
        shape = head.config.cells(grid_size)
        if head.config.canvas:
            if boxes is None:
                raise UsageError("masks.canvas places grids by the boxes of the views: give boxes")
            grid = place_grids(grid, boxes, grid_size=grid_size, shape=shape, view_mask=view_mask)
        masks: torch.Tensor = head(grid, shape)
        return masks

    @torch.no_grad()
    def fit_scaler(self, features: torch.Tensor, *, least: float = 0.0) -> None:
        """Take the standardisation from training features ``[B, V, D]``.

        Views are scaled by the spread of an image's mean view, so that a pooled vector has about
        unit variance; by ``least`` times the median feature's spread at least.
        """
        spread = features.mean(dim=1).std(dim=0, correction=0)
        self.feature_mean.copy_(features.mean(dim=(0, 1)))
        self.feature_scale.copy_(spread.clamp(min=max(1e-4, least * float(spread.median()))))
        if (
            self.cells is None
            and isinstance(self.fusion, AttentionAndMaximum)
            and not self.config.projection
        ):
            self.fusion.fit_scaler(self._standardise(features))

    def _standardise(self, features: torch.Tensor) -> torch.Tensor:
        return (features - self.feature_mean) / self.feature_scale

    def forward(
        self,
        features: torch.Tensor,
        *,
        boxes: torch.Tensor | None = None,
        view_ids: torch.Tensor | None = None,
        view_mask: torch.Tensor | None = None,
        metadata: MetadataBatch | None = None,
        grid: torch.Tensor | None = None,
        grid_size: tuple[int, int] | None = None,
    ) -> DetectorOutput:
        """Classify.

        Args:
            features: ``[B, V, D]``.
            boxes: ``[B, V, 4]`` in fractions of the frame; needed by ALiBi.
            view_ids: int64 ``[B, V]``, numbers of the views in their layout; None: 0, 1, ...
            view_mask: bool ``[B, V]``, True for views that exist (at least one per image).
            metadata: of the images; None: nothing is known of any.
            grid: ``[B, N, D]``, patch grid of the global view, for the masks and the glance;
                ``[B, V, N, D]``, those of all views, for masks on a canvas and for cells.
            grid_size: its rows and columns.

        Returns:
            Logits ``[B, 2]``, view weights ``[B, V]`` (0 for views that were left out), masks
            ``[B, 6, h, w]`` where there is a mask head and a grid, logits of cells
            ``[B, V, h, w]`` where there is a dense head.

        Raises:
            UsageError: boxes or a grid are needed and not there.
        """
        if self.cells is not None:
            return self._dense(
                self.cells,
                DetectorInput(features=features, boxes=boxes, grid=grid, grid_size=grid_size),
            )
        B, V, _ = features.shape
        if view_ids is None:
            view_ids = torch.arange(V, device=features.device).expand(B, V)
        if boxes is None and self.config.encoder.depth and self.config.encoder.positions == "alibi":
            raise UsageError("positions='alibi' needs the boxes of the views: give boxes")
        read = self.choose_views(
            DetectorInput(
                features=features,
                boxes=boxes,
                view_ids=view_ids,
                view_mask=view_mask,
                grid=grid,
                grid_size=grid_size,
            )
        )
        assert read.view_ids is not None
        kept_ids, kept_boxes, kept_mask = read.view_ids, read.boxes, read.view_mask
        if kept_boxes is None:
            kept_boxes = features.new_zeros(*kept_ids.shape, 4)
        tokens = self._standardise(read.features)
        scores = None
        if self.pruner is not None:
            pruned = self.pruner(tokens, view_ids=kept_ids, boxes=kept_boxes, view_mask=kept_mask)
            tokens, kept_ids, kept_boxes = pruned.tokens, pruned.view_ids, pruned.boxes
            kept_mask, scores = pruned.mask, pruned.scores
        encoded = self.encoder(
            self.projection(tokens), view_ids=kept_ids, boxes=kept_boxes, view_mask=kept_mask
        )
        fused, weights = self.fusion(encoded.tokens, kept_mask)
        masks = None
        if self.masks is not None and grid is not None and grid_size is not None:
            masks = self._masks(self.masks, grid, grid_size, boxes, view_mask)
        if self.config.mask_evidence:
            if masks is None:
                raise UsageError("mask_evidence needs the grid: give grid and grid_size")
            fused = torch.cat([fused, mask_evidence(masks).to(fused.dtype)], dim=-1)
        if self.metadata is not None:
            known = self.metadata.image_only(B) if metadata is None else self.metadata(metadata)
            fused = torch.cat([fused, known.to(fused.dtype)], dim=-1)
        penultimate = self.head[:-1](fused)
        return DetectorOutput(
            logits=self.head[-1](penultimate),
            penultimate=penultimate,
            view_weights=on_all_views(weights, kept_ids, kept_mask, view_ids),
            masks=masks,
            view_scores=scores,
            balance_loss=encoded.balance_loss,
            router_statistics=encoded.router_statistics,
        )


def _make_fusion(config: DetectorConfig) -> nn.Module:
    if config.fusion == "gated":
        return GatedAttentionFusion(FusionConfig(width=config.token_width))
    if config.fusion == "mean":
        return MeanPooling()
    return AttentionAndMaximum(width=config.token_width, hidden=config.gate_hidden)


def _make_head(config: DetectorConfig) -> nn.Sequential:
    width = config.fused_width
    layers: list[nn.Module] = []
    if config.head:
        layers.append(_ImageNorm(width))
    if config.masks is not None and config.mask_evidence:
        width += len(OBJECT_CLASSES)
    width += 0 if config.metadata is None else config.metadata.width
    for hidden in config.head:
        layers += [nn.Linear(width, hidden), nn.SiLU(), nn.Dropout(config.dropout)]
        width = hidden
    if not config.head:
        layers.append(nn.Dropout(config.dropout))
    last = nn.Linear(width, 2)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


class _ImageNorm(nn.Module):
    """RMSNorm of the views' part of the joint vector; masks and metadata pass as they are."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.norm = RMSNorm(width)

    def forward(self, joint: torch.Tensor) -> torch.Tensor:
        """``[B, width + M]`` to the same shape."""
        return torch.cat([self.norm(joint[:, : self.width]), joint[:, self.width :]], dim=-1)
