"""The parts of a bundle as modules of tensors alone: what is exported, and the reference.

A program is up to four of them. The *reader* is the backbone; the *chooser* is the glance, of
models that have one; the *judge* is the detector, and the *outliner* its mask head. What the
chooser leaves out, the reader never sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from workzone.backbones.base import Backbone, pool
from workzone.engine.program import GraphName
from workzone.model.base import AnyDetector
from workzone.model.cells import OUTSIDE, beyond_frame
from workzone.model.config import DetectorConfig
from workzone.model.dense import DenseDetector
from workzone.model.detector import Detector
from workzone.model.inputs import DetectorInput
from workzone.model.masks.head import place_grids
from workzone.model.metadata.batch import MetadataBatch
from workzone.model.views.glance import Glance
from workzone.types import BackboneOutput, DetectorOutput


class GraphModule(nn.Module):
    """A graph that says by name what it takes and how it computes.

    A program offers what it has under these names: ``boxes``, ``view_ids`` and ``view_mask`` of the
    views that were read, what the reader gave of them, and ``metadata_`` with each field.
    """

    inputs: tuple[str, ...] = ()
    """Names of what its `forward` takes, of all that is offered."""
    gives_gradients = False
    """Whether it differentiates as it runs."""


class Reader(GraphModule):
    """Views to what the backbone says of them."""

    inputs = ("pixels",)

    def __init__(
        self, backbone: Backbone, *, pooling: str | None, levels: Sequence[int] = ()
    ) -> None:
        """Take the parts.

        Args:
            backbone: in evaluation mode.
            pooling: how a view's tokens become its features; None: nobody asks for them.
            levels: of the backbone, whose maps are asked for.
        """
        super().__init__()
        backbone.check_levels(levels)
        self.backbone, self.pooling, self.levels = backbone, pooling, tuple(levels)

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Read.

        Args:
            pixels: uint8 ``[M, 3, h, w]``.

        Returns:
            ``grid`` ``[M, rows, columns, D]``; ``features`` ``[M, D']`` where there is a pooling;
            ``level_N`` ``[M, C, h, w]`` of each level N.
        """
        backbone = self.backbone
        size = (pixels.shape[2] // backbone.multiple, pixels.shape[3] // backbone.multiple)
        normalised = backbone.normalise(pixels.float())
        cls, grid, levels = backbone.tokens_and_levels(normalised, self.levels)
        read = {"grid": grid.unflatten(1, size)}
        if self.pooling is not None:
            read["features"] = pool(BackboneOutput(cls, grid, size), self.pooling)
        return read | {f"level_{level}": maps.contiguous() for level, maps in levels.items()}


class Chooser(GraphModule):
    """The glance: which views are worth reading, from the global view's grid."""

    inputs = ("grid", "boxes", "view_ids")

    def __init__(self, glance: Glance) -> None:
        super().__init__()
        self.glance = glance

    def forward(
        self, grid: torch.Tensor, boxes: torch.Tensor, view_ids: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """``kept`` ``[B, k]``, from ``[B, h, w, D]``, boxes ``[B, V, 4]``, ids ``[B, V]``."""
        size = (grid.shape[1], grid.shape[2])
        kept = self.glance(grid.flatten(1, 2), grid_size=size, boxes=boxes, view_ids=view_ids)
        return {"kept": kept}


class CellsJudge(GraphModule):
    """The dense detector: cells of one scale to logits.

    A judge of both scales would hold each of its weights twice over: OpenVINO does not fuse a
    convolution with biases that another one has too.
    """

    inputs = ("boxes", "grid")

    def __init__(self, detector: DenseDetector) -> None:
        """Take the head."""
        super().__init__()
        self.head = detector.cells

    def forward(self, boxes: torch.Tensor, grid: torch.Tensor) -> dict[str, torch.Tensor]:
        """Judge.

        Args:
            boxes: of the views ``[B, V, 4]``, in fractions of the frame.
            grid: ``[B, V, h, w, D]``.

        Returns:
            ``logits`` ``[B, 2]``; ``view_weights`` ``[B, V]``; ``cells`` ``[B, V, h, w]``, logits;
            ``penultimate`` ``[B, D']``, the mean of the deciding cells.
        """
        head, size = self.head, (grid.shape[2], grid.shape[3])
        beyond = beyond_frame(boxes, size)
        judged = head.judged(grid.flatten(2, 3), size)
        cells = head.score(judged, head.scale).masked_fill(beyond, OUTSIDE)
        top = head.config.top
        if not torch.compiler.is_exporting():  # a graph has as many cells: see its folder
            top = min(top, cells.shape[1] * cells.shape[2])
        strongest = cells.flatten(1).topk(top, dim=1)
        views = strongest.indices // cells.shape[2]
        numbers = torch.arange(boxes.shape[1], device=views.device)
        flat = judged.flatten(1, 2)
        places = strongest.indices[..., None].expand(-1, -1, flat.shape[2])
        logit = strongest.values.mean(dim=1)
        return {
            "logits": torch.stack([-logit / 2, logit / 2], dim=-1),
            "view_weights": (views[..., None] == numbers).to(cells.dtype).mean(dim=1),
            "penultimate": flat.gather(1, places).mean(dim=1),
            "cells": cells.unflatten(2, size),
        }


class ViewsJudge(GraphModule):
    """The detector of whole views: features to logits, and what argued for them."""

    gives_gradients = True

    def __init__(self, detector: Detector, *, grid_size: tuple[int, int]) -> None:
        """Take the detector; ``grid_size``: rows and columns of a view's grid."""
        super().__init__()
        self.detector, self.grid_size = detector, grid_size
        self.inputs = ("features", "boxes", "view_ids", "view_mask")
        if detector.config.mask_evidence:
            self.inputs += ("grid", *_level_names(detector.config))
        if detector.config.metadata is not None:
            self.inputs += tuple(f"metadata_{field.name}" for field in fields(MetadataBatch))

    def forward(
        self,
        features: torch.Tensor,
        boxes: torch.Tensor,
        view_ids: torch.Tensor,
        view_mask: torch.Tensor,
        grid: torch.Tensor | None = None,
        **named: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Judge.

        Args:
            features: ``[B, V, D]`` of the views that were read.
            boxes: ``[B, V, 4]`` in fractions of the frame.
            view_ids: int64 ``[B, V]``, in the layout.
            view_mask: bool ``[B, V]``, True for views that exist.
            grid: ``[B, h, w, D]`` of the global view or ``[B, V, h, w, D]`` of all, where masks
                have a say.
            named: the fields of `MetadataBatch`, each led by ``metadata_``, of a detector that
                takes some; maps of levels, where masks have a say and are made from some.

        Returns:
            ``logits`` ``[B, 2]``; ``view_weights`` ``[B, V]``; ``penultimate`` ``[B, D']``;
            ``view_evidence`` ``[B, V]`` and ``feature_gradient`` ``[B, V, D]``, see
            :mod:`workzone.model.evidence`.
        """
        output, gradient = self._with_gradient(
            DetectorInput(
                features=features,
                boxes=boxes,
                view_ids=view_ids,
                view_mask=view_mask,
                grid=None if grid is None else grid.flatten(-3, -2),
                grid_size=None if grid is None else self.grid_size,
                levels=_levels(named, self.detector.config.levels if grid is not None else ()),
                metadata=_batch(named),
            )
        )
        assert output.penultimate is not None
        against = features - self.detector.feature_mean
        return {
            "logits": output.logits.detach(),
            "view_weights": output.view_weights.detach(),
            "penultimate": output.penultimate.detach(),
            "view_evidence": (gradient * against).sum(dim=-1),
            "feature_gradient": gradient,
        }

    def _with_gradient(self, inputs: DetectorInput) -> tuple[DetectorOutput, torch.Tensor]:
        """The output, and the gradient of its logit by the features ``[B, V, D]``."""
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            features = inputs.features.detach().requires_grad_()
            output = self.detector.run(replace(inputs, features=features))
            logit = (output.logits[:, 1] - output.logits[:, 0]).sum()
            (gradient,) = torch.autograd.grad(logit, features)
        return output, gradient


def _batch(named: dict[str, torch.Tensor]) -> MetadataBatch | None:
    metadata = {n.removeprefix("metadata_"): v for n, v in named.items() if n.startswith("meta")}
    return MetadataBatch(**metadata) if metadata else None


def _level_names(config: DetectorConfig) -> tuple[str, ...]:
    """What a reader calls the maps of the levels that masks are made from."""
    return tuple(f"level_{level}" for level in config.levels)


def _levels(
    named: Mapping[str, torch.Tensor], levels: Sequence[int]
) -> dict[int, torch.Tensor] | None:
    return {level: named[f"level_{level}"] for level in levels} or None


class Outliner(GraphModule):
    """The mask head: from the grid, and maps of levels, to masks of the six classes."""

    def __init__(self, detector: DenseDetector | Detector) -> None:
        """Take the detector that has the head."""
        super().__init__()
        assert detector.masks is not None
        self.head = detector.masks
        self.cells = detector.cells if isinstance(detector, DenseDetector) else None
        self.levels = detector.config.levels
        self.inputs = ("grid", *_level_names(detector.config))
        if self.head.config.canvas:
            self.inputs += ("boxes", "view_mask")

    def forward(
        self,
        grid: torch.Tensor,
        boxes: torch.Tensor | None = None,
        view_mask: torch.Tensor | None = None,
        **levels: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Outline.

        Args:
            grid: ``[B, h, w, D]`` of the global view or ``[B, V, h, w, D]`` of all.
            boxes: ``[B, V, 4]``, where all views' grids are placed on one canvas.
            view_mask: bool ``[B, V]``, likewise.
            levels: maps ``level_N`` ``[B, C, h, w]`` of the first view.

        Returns:
            ``masks``: logits ``[B, K, h, w]``, of the frame.
        """
        size = (grid.shape[-3], grid.shape[-2])
        cells, shape = grid.flatten(-3, -2), self.head.config.cells(size)
        if self.cells is not None:
            cells = self.cells.judged(cells[:, :1], size)[:, 0]
        elif boxes is not None:
            cells = place_grids(cells, boxes, grid_size=size, shape=shape, view_mask=view_mask)
        return {"masks": self.head(cells, shape, _levels(levels, self.levels))}


def judging_graphs(
    detector: AnyDetector, *, grid_size: tuple[int, int]
) -> dict[GraphName, GraphModule]:
    """The judge, and of a detector that has them, chooser and outliner.

    Args:
        detector: in evaluation mode.
        grid_size: rows and columns of a view's grid.
    """
    assert isinstance(detector, DenseDetector | Detector)
    graphs: dict[GraphName, GraphModule] = {}
    if isinstance(detector, DenseDetector):
        graphs["judge"] = CellsJudge(detector)
    else:
        if detector.glance is not None:
            graphs["chooser"] = Chooser(detector.glance)
        graphs["judge"] = ViewsJudge(detector, grid_size=grid_size)
    if detector.masks is not None:
        graphs["outliner"] = Outliner(detector)
    return graphs
