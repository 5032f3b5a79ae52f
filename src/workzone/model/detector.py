"""The detector of whole views: from their features, and what else is known, to logits.

One configuration covers all of it, from the small detector (no projection, no encoder, pooling and
one linear layer) to the reference: views pruned 12 -> 8, projected, encoded, fused, joined with
metadata, classified; masks of the six classes learned beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import cast

import torch
from torch import nn

from workzone.errors import UsageError
from workzone.features.tiles import take_views
from workzone.model.base import AnyDetector
from workzone.model.config import DetectorConfig
from workzone.model.encoder.attention import RMSNorm
from workzone.model.encoder.encoder import ViewEncoder
from workzone.model.evidence import gradient_times_input, shares
from workzone.model.inputs import DetectorInput
from workzone.model.masks.head import MaskHead, mask_evidence, place_grids
from workzone.model.metadata.batch import MetadataBatch
from workzone.model.metadata.encoder import MetadataEncoder
from workzone.model.views.fusion import FusionConfig, GatedAttentionFusion
from workzone.model.views.glance import Glance
from workzone.model.views.pooling import AttentionAndMaximum, MeanPooling
from workzone.model.views.pruning import ViewPruner, on_all_views
from workzone.types import OBJECT_CLASSES, DetectorOutput


class Detector(AnyDetector):
    """The whole of it.

    Features are standardised with statistics of the training views (buffers, see
    :meth:`fit_scaler`). Permuting the views together with ids, boxes and mask changes nothing; a
    masked view is as good as left out; with no metadata the learned vectors for "missing" stand in.
    """

    feature_mean: torch.Tensor
    feature_scale: torch.Tensor

    def __init__(self, config: DetectorConfig) -> None:
        """Make the layers; the last one starts at zero: an untrained detector says 0.5.

        Raises:
            UsageError: the configuration has cells, or no width.
        """
        super().__init__()
        if config.dense:
            raise UsageError("cells: only a DenseDetector judges them, see make_detector")
        config.check_width()
        self.config = config
        self.register_buffer("feature_mean", torch.zeros(config.width))
        self.register_buffer("feature_scale", torch.ones(config.width))
        self.glance = None if config.glance is None else Glance(config.glance)
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

    @torch.no_grad()
    def scene(self, given: DetectorInput) -> torch.Tensor:
        """What the last layer sees; see :meth:`run`."""
        vectors = self.run(given).penultimate
        assert vectors is not None
        return vectors

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

    def has_masks(
        self, grid: torch.Tensor | None, levels: Mapping[int, torch.Tensor] | None
    ) -> bool:
        """Whether there is a mask head, and all that it is made from is given."""
        return (
            self.masks is not None
            and grid is not None
            and (levels is not None or not self.config.levels)
        )

    def _masks(
        self,
        head: MaskHead,
        grid: torch.Tensor,
        grid_size: tuple[int, int],
        boxes: torch.Tensor | None,
        view_mask: torch.Tensor | None,
        levels: Mapping[int, torch.Tensor] | None,
    ) -> torch.Tensor:
        shape = head.config.cells(grid_size)
        if head.config.canvas:
            if boxes is None:
                raise UsageError("masks.canvas places grids by the boxes of the views: give boxes")
            grid = place_grids(grid, boxes, grid_size=grid_size, shape=shape, view_mask=view_mask)
        masks: torch.Tensor = head(grid, shape, levels)
        return masks

    def fit(
        self,
        parts: Callable[[], Iterable[DetectorInput]],
        labels: torch.Tensor,
        *,
        least: float = 0.0,
    ) -> None:
        """Fit the glance's probe, and take the scale of the views that it chooses."""
        if self.glance is not None:
            grids = (part.grid for part in parts())
            means = torch.cat([grid.mean(dim=1) for grid in grids if grid is not None])
            self.glance.fit(means, labels)
        read = [self.choose_views(part).features for part in parts()]
        self.fit_scaler(torch.cat(read), least=least)

    @torch.no_grad()
    def fit_scaler(self, features: torch.Tensor, *, least: float = 0.0) -> None:
        """Take the standardisation from training features ``[B, V, D]``.

        Views are scaled by the spread of an image's mean view, so that a pooled vector has about
        unit variance; by ``least`` times the median feature's spread at least.
        """
        spread = features.mean(dim=1).std(dim=0, correction=0)
        self.feature_mean.copy_(features.mean(dim=(0, 1)))
        self.feature_scale.copy_(spread.clamp(min=max(1e-4, least * float(spread.median()))))
        if isinstance(self.fusion, AttentionAndMaximum) and not self.config.projection:
            self.fusion.fit_scaler(self._standardise(features))

    def penalty(self, *, classifier: float, attention: float) -> torch.Tensor:
        """Of the last layer, and of the gate of "attention+maximum"."""
        gated = self.fusion.attention if isinstance(self.fusion, AttentionAndMaximum) else None
        last = self.head[-1]
        assert isinstance(last, nn.Linear)
        gate = sum(
            (parameter.square().sum() for parameter in (gated.parameters() if gated else ())),
            start=last.weight.new_zeros(()),
        )
        return classifier * last.weight.square().sum() + attention * gate

    def view_evidence(self, given: DetectorInput) -> torch.Tensor:
        """How much each view adds to the logit of road work, against the average training view.

        Args:
            given: ``B`` images; the detector is in evaluation mode.

        Returns:
            ``[B, V]``; negative where a view argues against road work, zero where it was not read.
        """
        return gradient_times_input(
            lambda views: self.run(dataclasses.replace(given, features=views)).logits,
            given.features,
            against=self.feature_mean,
        )

    def view_shares(self, given: DetectorInput, *, views: int) -> torch.Tensor:
        """Of the positive evidence; equal shares where nothing argues for road work."""
        read = self.choose_views(given)
        of_read = shares(self.view_evidence(read))
        if read.view_ids is None:
            return of_read
        return torch.zeros(len(given), views).scatter(1, read.view_ids, of_read)

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
        levels: Mapping[int, torch.Tensor] | None = None,
    ) -> DetectorOutput:
        """Classify.

        Args:
            features: ``[B, V, D]``.
            boxes: ``[B, V, 4]`` in fractions of the frame; needed by ALiBi.
            view_ids: int64 ``[B, V]``, numbers of the views in their layout; None: 0, 1, ...
            view_mask: bool ``[B, V]``, True for views that exist (at least one per image).
            metadata: of the images; None: nothing is known of any.
            grid: ``[B, N, D]``, patch grid of the global view, for the masks and the glance;
                ``[B, V, N, D]``, those of all views, for masks on a canvas.
            grid_size: its rows and columns.
            levels: maps ``[B, C, h, w]`` of the global view, for masks that are made from levels.

        Returns:
            Logits ``[B, 2]``, view weights ``[B, V]`` (0 for views that were left out), masks
            ``[B, 6, h, w]`` where there is a mask head and a grid.

        Raises:
            UsageError: boxes or a grid are needed and not there.
        """
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
        if self.has_masks(grid, levels):
            assert self.masks is not None and grid is not None and grid_size is not None
            masks = self._masks(self.masks, grid, grid_size, boxes, view_mask, levels)
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
