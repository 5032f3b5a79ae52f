"""What passes between stages, and the shape legend of the whole package.

The spine: *samples -> views -> features -> detector -> probability -> decision*.

Shape legend, used in every docstring:

====== ==========================================================================
``B``  batch: images
``V``  views of one image (12 by default)
``N``  patch tokens (cells of the backbone's grid) of one view
``D``  width of the backbone's features
``E``  width of the detector
``H``  attention heads
``K``  the six object classes of :data:`OBJECT_CLASSES`
``S``  side of a view in pixels
====== ==========================================================================

Boxes are ``(x0, y0, x1, y1)`` in fractions of the upright frame, 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:  # only named in annotations: `workzone --help` need not wait for torch
    import numpy as np
    import numpy.typing as npt
    import torch

OBJECT_CLASSES = ("cone", "barrier", "sign", "worker", "vehicle", "equipment")
"""The six classes of masks, in channel order (``K``)."""

Box = tuple[float, float, float, float]
InputsName = Literal["image", "image+metadata"]
DecisionName = Literal["roadwork", "none", "unsure"]


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Where the bytes of one image are.

    ``path`` alone is an image file. With ``member`` and no ``row`` it is a zip or tar archive and
    the name inside it. With ``row`` it is a parquet file, ``member`` being the image column.
    """

    path: str
    member: str | None = None
    row: int | None = None

    def __str__(self) -> str:
        """A short form for messages: ``file.parquet[image][17]`` or ``file.zip!a/b.jpg``."""
        if self.row is not None:
            return f"{self.path}[{self.member}][{self.row}]"
        return f"{self.path}!{self.member}" if self.member is not None else self.path


@dataclass(frozen=True, slots=True)
class Sample:
    """One image reference with what is known of it; the row of a manifest."""

    id: str
    image: ImageRef
    label: int | None = None  # 1 road work, 0 none, None not labelled
    group: str | None = None  # sequence; frames of one group never part in a split
    latitude: float | None = None  # degrees, -90..90
    longitude: float | None = None  # degrees, -180..180
    time: datetime | None = None  # UTC
    weather: str | None = None
    daytime: str | None = None
    scene: str | None = None
    text: str | None = None
    masks: str | None = None  # see workzone.data.masks.load
    source: str | None = None
    content_hash: str | None = None  # of the image's bytes
    split: str | None = None  # train, val, test, or fold-0, fold-1, ...
    extra: dict[str, str] = field(default_factory=dict)  # the source's other columns


@dataclass(frozen=True, slots=True)
class Views:
    """The crops of one image.

    ``pixels``: ``[V, 3, S, S]``, or ``[1, 3, h, w]`` of a frame in its own shape, channels last in
    memory; ``boxes``: ``[V, 4]`` in fractions.
    """

    pixels: npt.NDArray[np.uint8]
    boxes: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class BackboneOutput:
    """What a frozen backbone says of ``M`` views.

    ``cls``: ``[M, D]`` or None where the architecture has no class token; ``grid``: ``[M, N, D]``
    patch tokens in row-major order, registers left out, or ``[M, N + N / 4, D]`` with those of the
    views' halves; ``grid_size``: rows and columns, ``N = rows * columns``; ``levels``: maps
    ``[M, C, h, w]`` from within the network, by level, see ``Backbone.level_widths``.
    """

    cls: torch.Tensor | None
    grid: torch.Tensor
    grid_size: tuple[int, int]
    levels: Mapping[int, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DetectorOutput:
    """``logits``: ``[B, 2]`` (none, road work); ``view_weights``: ``[B, V]``, rows sum to 1."""

    logits: torch.Tensor
    view_weights: torch.Tensor
    balance_loss: torch.Tensor  # scalar, of the experts' routers; 0 without experts
    masks: torch.Tensor | None = None  # logits [B, K, h, w]
    cells: torch.Tensor | None = None  # logits of road work [B, V, h, w], of the dense head
    half_cells: torch.Tensor | None = None  # and of the views at half their size [B, V, h/2, w/2]
    view_scores: torch.Tensor | None = None  # [B, V], of the pruner
    penultimate: torch.Tensor | None = None  # [B, D'], what the last layer sees
    router_statistics: Sequence[Any] = ()  # one per block with experts


Ring = tuple[tuple[float, float], ...]
"""Corners of a closed outline, the last the first, as ``(x, y)`` in fractions of the frame."""


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object that a mask shows, in fractions of the upright frame."""

    name: str  # of OBJECT_CLASSES
    score: float  # mean probability of its cells, above 0.5
    box: Box
    rings: tuple[Ring, ...]  # its outline, then the holes in it


@dataclass(frozen=True, slots=True)
class Prediction:
    """The decision on one image, with its evidence."""

    id: str
    probability: float  # of road work, 0..1, always finite; above 0.5 is road work
    decision: DecisionName
    view: int  # index of the view that weighed most
    view_weight: float  # its share, 0..1
    box: Box  # where that view lies in the frame, fractions
    inputs: InputsName  # what the model looked at
    engine: str  # onnx, openvino or torch
    precision: str  # that the engine computed in
    reason: str = ""  # for doubt, in words; "": none was found, or none was looked for
    unlike: float | None = None  # how unlike training: 0 as usual, above 1 too far; None: not told
