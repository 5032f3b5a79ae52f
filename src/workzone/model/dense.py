"""The dense detector: no whole view is judged, but every cell of all views."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain

import torch
import torch.nn.functional as F

from workzone.errors import UsageError
from workzone.model.base import AnyDetector
from workzone.model.cells import OUTSIDE, CellHead, by_scale, frame_shapes, unread
from workzone.model.config import DetectorConfig
from workzone.model.inputs import DetectorInput
from workzone.model.masks.head import MaskHead
from workzone.model.scene import LOWER
from workzone.types import DetectorOutput


class DenseDetector(AnyDetector):
    """A `CellHead` on the grids of all views; features of whole views are not read."""

    feature_mean: torch.Tensor
    feature_scale: torch.Tensor

    def __init__(self, config: DetectorConfig, *, backbone: str = "") -> None:
        """Make the layers; of ``backbone`` see `CellHead`.

        Raises:
            UsageError: the configuration has no cells, or no width.
        """
        super().__init__()
        if config.cells is None:
            raise UsageError("a dense detector needs cells, as in cells: {hidden: 16}")
        config.check_width()
        self.config = config
        # Read by nothing, but bundles hold them: their identity is that of all weights.
        self.register_buffer("feature_mean", torch.zeros(config.width))
        self.register_buffer("feature_scale", torch.ones(config.width))
        self.cells = CellHead(config.cells, backbone=backbone)
        self.masks = None if config.masks is None else MaskHead(config.masks)

    def run(self, given: DetectorInput) -> DetectorOutput:
        """Judge cells, and the image by the strongest, see `CellHead.forward`.

        Returns:
            Logits ``[B, 2]``; as the view weights ``[B, V]``, each view's share of the cells that
            decide; logits of cells ``[B, V, h, w]``, and of those of the views' halves; masks of
            the first view ``[B, K, h, w]``, where there is a mask head and levels are given.

        Raises:
            UsageError: no grid is given, or one of another width or size.
        """
        grid, grid_size = _grid(given)
        views = grid[:, None] if grid.ndim == 3 else grid  # one view alone
        output: DetectorOutput = self(views, grid_size, given.boxes, given.levels)
        return output

    def forward(
        self,
        grid: torch.Tensor,
        grid_size: tuple[int, int],
        boxes: torch.Tensor | None,
        levels: Mapping[int, torch.Tensor] | None = None,
    ) -> DetectorOutput:
        """See :meth:`run`; the grid is ``[B, V, N, D]``, or with the cells of halves."""
        keep = self.masks is not None and levels is not None
        packed, logit, features = self.cells(grid, grid_size, boxes, keep=keep)
        weights, cells = [], []
        for part, size in by_scale(packed, grid_size):
            deciding = self.cells.strongest(part.detach().flatten(1)).indices // part.shape[2]
            weights.append(F.one_hot(deciding, part.shape[1]).to(logit).mean(dim=1))
            cells.append(part.unflatten(2, size))
        return DetectorOutput(
            logits=torch.stack([-logit / 2, logit / 2], dim=-1),
            view_weights=torch.stack(weights).mean(dim=0),
            balance_loss=logit.new_zeros(()),
            cells=cells[0],
            half_cells=cells[1] if len(cells) > 1 else None,
            masks=self._masks(features, grid_size, boxes, levels),
        )

    @torch.no_grad()
    def scene(self, given: DetectorInput) -> torch.Tensor:
        """The means of the cells that were read, see `scene_vector`; not of halves."""
        grid, grid_size = _grid(given)
        packed = grid[:, None] if grid.ndim == 3 else grid  # one view alone
        cells, (rows, columns) = by_scale(packed, grid_size)[0]  # [B, V, N, D]
        across = cells.new_tensor([0.0, 0.0, 1.0, 1.0]).expand(*cells.shape[:2], 4)
        boxes = across if given.boxes is None else given.boxes.to(cells)
        centres = (torch.arange(rows, device=cells.device) + 0.5) / rows
        down = boxes[..., 1, None] + centres * (boxes[..., 3] - boxes[..., 1])[..., None]
        read = cells.new_ones(cells.shape[:3], dtype=torch.bool)
        if given.boxes is not None:
            read = ~unread(given.boxes, (rows, columns))
        low = read & ((down > LOWER) & (down < 1)).repeat_interleave(columns, dim=2)
        low = torch.where(low.any(dim=(1, 2), keepdim=True), low, read)
        return torch.cat([_mean_cell(cells, part) for part in (read, low)], dim=1)

    def _masks(
        self,
        features: torch.Tensor | None,
        grid_size: tuple[int, int],
        boxes: torch.Tensor | None,
        levels: Mapping[int, torch.Tensor] | None,
    ) -> torch.Tensor | None:
        """Of the first view; frames of one shape together, without what lies behind them."""
        if self.masks is None or features is None or levels is None:
            return None
        shapes = [grid_size] * len(features)
        if boxes is not None:
            shapes = frame_shapes(boxes[:, 0], grid_size)
        if set(shapes) == {grid_size}:
            masks: torch.Tensor = self.masks(features, grid_size, levels)
            return masks
        size = self.masks.config.mask_size(grid_size)
        parts: dict[int, torch.Tensor] = {}
        for shape in sorted(set(shapes)):
            rows = torch.tensor([row for row, own in enumerate(shapes) if own == shape])
            cells = features[rows].unflatten(1, grid_size)[:, : shape[0], : shape[1]]
            inside = {level: _cut(maps[rows], shape, grid_size) for level, maps in levels.items()}
            own = self.masks(cells.flatten(1, 2), shape, inside)
            behind = (0, size[1] - own.shape[3], 0, size[0] - own.shape[2])
            padded = F.pad(own, behind, value=OUTSIDE)
            parts |= dict(zip(rows.tolist(), padded, strict=True))
        return torch.stack([parts[row] for row in range(len(features))])

    def choose_views(self, given: DetectorInput) -> DetectorInput:
        """All of them."""
        return given

    def fit(
        self,
        parts: Callable[[], Iterable[DetectorInput]],
        labels: torch.Tensor,
        *,
        least: float = 0.0,
    ) -> None:
        """Start the tail, and take the scale of cells, which has a least of its own."""
        given = iter(parts())
        first = next(given)
        grids = ((_grid(part)[0], part.boxes) for part in chain([first], given))
        self.cells.fit(grids, _grid(first)[1])

    def penalty(self, *, classifier: float, attention: float) -> torch.Tensor:
        """Of the last layer alone: no weights weigh views."""
        return classifier * self.cells.classifier.weight.square().sum()

    def view_shares(self, given: DetectorInput, *, views: int) -> torch.Tensor:
        """Each view's share of the cells that decide."""
        with torch.no_grad():
            return self.run(given).view_weights


def _cut(maps: torch.Tensor, shape: tuple[int, int], grid_size: tuple[int, int]) -> torch.Tensor:
    """The part of maps ``[B, C, h, w]`` that lies in the first ``shape`` cells of a grid."""
    rows, columns = (
        cells * maps.shape[axis + 2] // grid_size[axis] for axis, cells in enumerate(shape)
    )
    return maps[:, :, :rows, :columns]


def _mean_cell(cells: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Of chosen ones, bool ``[B, V, N]``, among ``[B, V, N, D]``: ``[B, D]``."""
    total = (cells * chosen[..., None]).sum(dim=(1, 2))
    return total / chosen.sum(dim=(1, 2))[:, None]


def _grid(given: DetectorInput) -> tuple[torch.Tensor, tuple[int, int]]:
    """The cells, and the rows and columns of a view's grid."""
    if given.grid is None or given.grid_size is None:
        raise UsageError("cells are those of the views' grids: give grid and grid_size")
    return given.grid, given.grid_size
