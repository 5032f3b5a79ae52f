"""The parts of a bundle as modules of tensors alone: what is exported, and the reference.

A program is up to three of them. The *reader* is the backbone; the *chooser* is the glance, of
models that have one; the *judge* is the detector. What the chooser leaves out, the reader never
sees.
"""

from __future__ import annotations

from dataclasses import fields, replace

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from workzone.backbones.base import Backbone, pool
from workzone.engine.program import GraphName
from workzone.model.base import AnyDetector
from workzone.model.cells import OUTSIDE, beyond_frame
from workzone.model.dense import DenseDetector
from workzone.model.detector import Detector
from workzone.model.inputs import DetectorInput
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

    def __init__(self, backbone: Backbone, *, pooling: str | None) -> None:
        """Take the parts.

        Args:
            backbone: in evaluation mode.
            pooling: how a view's tokens become its features; None: nobody asks for them.
        """
        super().__init__()
        self.backbone, self.pooling = backbone, pooling

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Read.

        Args:
            pixels: uint8 ``[M, 3, h, w]``.

        Returns:
            ``grid`` ``[M, rows, columns, D]``; ``features`` ``[M, D']`` where there is a pooling.
        """
        backbone = self.backbone
        size = (pixels.shape[2] // backbone.multiple, pixels.shape[3] // backbone.multiple)
        cls, grid = backbone.tokens(backbone.normalise(pixels.float()))
        read = {"grid": grid.unflatten(1, size)}
        if self.pooling is not None:
            read["features"] = pool(BackboneOutput(cls, grid, size), self.pooling)
        return read


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
        if detector.config.masks is not None:
            self.inputs += ("grid",)
        if detector.config.metadata is not None:
            self.inputs += tuple(f"metadata_{field.name}" for field in fields(MetadataBatch))

    def forward(
        self,
        features: torch.Tensor,
        boxes: torch.Tensor,
        view_ids: torch.Tensor,
        view_mask: torch.Tensor,
        grid: torch.Tensor | None = None,
        **metadata: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Judge.

        Args:
            features: ``[B, V, D]`` of the views that were read.
            boxes: ``[B, V, 4]`` in fractions of the frame.
            view_ids: int64 ``[B, V]``, in the layout.
            view_mask: bool ``[B, V]``, True for views that exist.
            grid: ``[B, h, w, D]`` of the global view or ``[B, V, h, w, D]`` of all, where there
                are masks.
            metadata: the fields of `MetadataBatch`, each led by ``metadata_``, of a detector that
                takes some.

        Returns:
            ``logits`` ``[B, 2]``; ``view_weights`` ``[B, V]``; ``penultimate`` ``[B, D']``;
            ``view_evidence`` ``[B, V]`` and ``feature_gradient`` ``[B, V, D]``, see
            :mod:`workzone.model.evidence`; ``masks`` ``[B, K, h, w]`` where there is a head.
        """
        output, gradient = self._with_gradient(
            DetectorInput(
                features=features,
                boxes=boxes,
                view_ids=view_ids,
                view_mask=view_mask,
                grid=None if grid is None else grid.flatten(-3, -2),
                grid_size=None if grid is None else self.grid_size,
                metadata=_batch(metadata),
            )
        )
        assert output.penultimate is not None
        against = features - self.detector.feature_mean
        outputs = {
            "logits": output.logits.detach(),
            "view_weights": output.view_weights.detach(),
            "penultimate": output.penultimate.detach(),
            "view_evidence": (gradient * against).sum(dim=-1),
            "feature_gradient": gradient,
        }
        if output.masks is not None:
            outputs["masks"] = output.masks.detach()
        return outputs

    def _with_gradient(self, inputs: DetectorInput) -> tuple[DetectorOutput, torch.Tensor]:
        """The output, and the gradient of its logit by the features ``[B, V, D]``."""
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            features = inputs.features.detach().requires_grad_()
            output = self.detector.run(replace(inputs, features=features))
            logit = (output.logits[:, 1] - output.logits[:, 0]).sum()
            (gradient,) = torch.autograd.grad(logit, features)
        return output, gradient


def _batch(metadata: dict[str, torch.Tensor]) -> MetadataBatch | None:
    if not metadata:
        return None
    return MetadataBatch(**{name.removeprefix("metadata_"): v for name, v in metadata.items()})


def judging_graphs(
    detector: AnyDetector, *, grid_size: tuple[int, int]
) -> dict[GraphName, GraphModule]:
    """The chooser, of a detector that has a glance, and the judge.

    Args:
        detector: in evaluation mode.
        grid_size: rows and columns of a view's grid.
    """
    if isinstance(detector, DenseDetector):
        return {"judge": CellsJudge(detector)}
    assert isinstance(detector, Detector)
    judge = ViewsJudge(detector, grid_size=grid_size)
    if detector.glance is None:
        return {"judge": judge}
    return {"chooser": Chooser(detector.glance), "judge": judge}
