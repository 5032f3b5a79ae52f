"""What the backbone says of an image's views, at their size and at half of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from workzone import views
from workzone.backbones.base import Backbone, run
from workzone.features.spec import FeatureSpec, LevelShape
from workzone.types import BackboneOutput, Views
from workzone.views import ViewLayout


def read_views(backbone: Backbone, pixels: torch.Tensor, spec: FeatureSpec) -> BackboneOutput:
    """Tokens of views, without gradients; views that are alike, as those of a square frame, once.

    Args:
        backbone: that of ``spec``.
        pixels: uint8 ``[M, 3, h, w]``, of one image.
        spec: how features are made.

    Returns:
        As `workzone.backbones.base.run` gives them; with ``spec.layout.halves`` the cells of halves
        follow those of the views: the grid is ``[M, N + N / 4, D]``, ``grid_size`` that of N.
    """
    sums = pixels.flatten(1).sum(dim=1).tolist()
    alike = [_first_like(pixels, sums, view) for view in range(len(pixels))]
    distinct = sorted(set(alike))
    if len(distinct) < len(alike):
        pixels = pixels[distinct]
    output = run(backbone, pixels, precision=spec.precision, levels=spec.levels)
    if spec.layout.halves:
        output = with_halves(output, run(backbone, halved(pixels), precision=spec.precision))
    if len(distinct) == len(alike):
        return output
    back = [distinct.index(view) for view in alike]
    cls = None if output.cls is None else output.cls[back]
    levels = {level: maps[back] for level, maps in output.levels.items()}
    return BackboneOutput(cls, output.grid[back], output.grid_size, levels)


def _first_like(pixels: torch.Tensor, sums: list[int], view: int) -> int:
    """The first view of the same pixels; those of another sum are not looked at."""
    return next(
        first
        for first in range(view + 1)
        if sums[first] == sums[view] and torch.equal(pixels[first], pixels[view])
    )


def in_square(output: BackboneOutput, side: int) -> BackboneOutput:
    """The cells of a frame in its own shape at the upper left of a square grid, zeros around them.

    In it frames of all shapes lie in one array. See :func:`square_boxes`.

    Args:
        output: of one image's views, see :func:`read_views`.
        side: cells a side of the square.
    """
    rows, columns = output.grid_size
    if rows == columns == side:
        return output
    cells, halves = output.grid.tensor_split([rows * columns], dim=1)
    parts = []
    for part, by in ((cells, 1), (halves, 2)):
        if part.shape[1]:
            maps = part.unflatten(1, (rows // by, columns // by))
            around = (0, 0, 0, side // by - columns // by, 0, side // by - rows // by)
            parts.append(F.pad(maps, around).flatten(1, 2))
    levels = {level: _square(maps, rows, columns, side) for level, maps in output.levels.items()}
    return BackboneOutput(output.cls, torch.cat(parts, dim=1), (side, side), levels)


def _square(maps: torch.Tensor, rows: int, columns: int, side: int) -> torch.Tensor:
    """Maps ``[M, C, h, w]`` of rows x columns cells, with zeros up to side x side cells."""
    by = maps.shape[2] // rows
    return F.pad(maps, (0, (side - columns) * by, 0, (side - rows) * by))


def square_boxes(views: Views, layout: ViewLayout) -> npt.NDArray[np.float32]:
    """The boxes ``[V, 4]`` of views in squares, see :func:`in_square`: they reach beyond the frame.

    Those of square views are their own.
    """
    height, width = views.pixels.shape[2:]
    reach = np.array([1, 1, layout.size / width, layout.size / height], dtype=np.float32)
    return views.boxes * reach


def halved(pixels: torch.Tensor) -> torch.Tensor:
    """Views uint8 ``[M, 3, h, w]`` at half their size, antialiased.

    On the CPU as engines make them, bit for bit: torch's own may be a grey level off.
    """
    if pixels.device.type == "cpu":
        return torch.from_numpy(np.stack([views.halved(view) for view in pixels.numpy()]))
    side = (pixels.shape[-2] // 2, pixels.shape[-1] // 2)
    resized = F.interpolate(pixels.float(), side, mode="bilinear", antialias=True)
    return resized.round().clamp(0, 255).byte()


def with_halves(output: BackboneOutput, halves: BackboneOutput) -> BackboneOutput:
    """Join what was read of views and of their halves, see :func:`read_views`."""
    grid = torch.cat([output.grid, halves.grid], dim=1)
    return BackboneOutput(output.cls, grid, output.grid_size, output.levels)


def level_shapes(backbone: Backbone, levels: Sequence[int], size: int) -> tuple[LevelShape, ...]:
    """Of a view of ``size`` pixels a side, the maps of some levels.

    Raises:
        BackboneError: the backbone has no such level.
    """
    backbone.check_levels(levels)
    sides = {level: size // backbone.level_stride(level) for level in levels}
    return tuple(LevelShape(n, backbone.level_widths[n], side, side) for n, side in sides.items())
