"""From an image to its views: the one preprocessing of training, evaluation and prediction.

An image is decoded once; every view is cropped from the uint8 frame and resized with antialiasing
(bilinear) by Pillow. Normalisation is left to the backbone, which does it once, on its own device,
so that pixels travel as bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.data.augmentation import Augmentation
from workzone.data.images import content_hash, decode, decode_pixels, read_bytes
from workzone.errors import ImageError, UsageError, nearest, needing_train
from workzone.types import Box, Sample, Views

PREPROCESSING_VERSION = 3
"""Part of every feature key: raise it when this module changes what a view looks like."""

MAX_VIEWS = 1024
"""Of one image; a slip of the keyboard must not ask for ten billion tiles."""

SQUARES = ("centre", "right", "left")

STEP = 64
"""Pixels: two cells of an embedded backbone, one at half the size."""

USUAL_FRAME = (1280, 720)
"""Width and height, pixels, of what is taken for an image where costs are told."""

PADDING = 128
"""Of all channels, 0..255, around a whole frame whose aspect ratio is kept."""


@dataclass(frozen=True)
class ViewLayout:
    """Which views an image is cut into; 1 + 3x3 + 2 = 12 by default.

    Views come in this order: the whole frame, the tiles row by row, the squares, the boxes.

    Views are squares, but for one kind of layout: with ``shorter`` the one view is the whole frame
    in its own shape, each side rounded to whole steps of ``step`` pixels.

    Raises:
        UsageError: a value out of range, an unknown square, or no view at all.
    """

    size: int = 224  # pixels; the side S of every view, or the most that one of a frame has
    shorter: int = 0  # pixels of a frame's shorter side, where `size` allows; 0: views are squares
    step: int = STEP  # pixels that the sides of a frame in its own shape are multiples of
    global_view: bool = True  # the whole frame
    keep_aspect: bool = False  # pad the whole frame to a square instead of squeezing it
    tiles: int = 3  # tiles a side; 0 for none
    overlap: float = 0.25  # share of a tile that its neighbour covers too, 0..0.9
    squares: tuple[str, ...] = ("centre", "right")  # of the shorter side; along the longer one
    boxes: tuple[Box, ...] = ()  # further views, in fractions of the frame
    halves: bool = False  # the backbone reads every view at half its size too; for a dense head

    def __post_init__(self) -> None:
        for square in self.squares:
            if square not in SQUARES:
                raise UsageError(f"unknown square {square!r}; {nearest(square, SQUARES)}")
        if not 0 <= self.overlap <= 0.9:
            raise UsageError(f"overlap is a share from 0 to 0.9, not {self.overlap}")
        if self.size < 1 or self.tiles < 0:
            raise UsageError(f"size and tiles are positive, not {self.size} and {self.tiles}")
        for x0, y0, x1, y1 in self.boxes:
            if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
                raise UsageError(
                    f"a box is (x0, y0, x1, y1) in fractions with x0 < x1 and y0 < y1, "
                    f"not {(x0, y0, x1, y1)}"
                )
        if self.shorter:
            self._check_frame()
        elif self.step != STEP:
            raise UsageError(f"step={self.step} is of frames in their own shape: give shorter too")
        if not 1 <= self.count <= MAX_VIEWS:
            raise UsageError(f"a layout has 1 to {MAX_VIEWS} views, not {self.count}")

    def _check_frame(self) -> None:
        """Raises: UsageError."""
        if not self.global_view or self.keep_aspect or self.count > 1:
            raise UsageError(
                "with shorter the one view is the whole frame in its own shape: keep_aspect: "
                "false, tiles: 0, squares: [], boxes: []"
            )
        if not 0 < self.step <= self.shorter <= self.size or self.size % self.step:
            raise UsageError(
                "with shorter, step <= shorter <= size, and size is a multiple of step; not "
                f"shorter={self.shorter}, step={self.step}, size={self.size}"
            )

    def with_view_size(self, size: int) -> ViewLayout:
        """The same of another ``size``; where frames have their own shape, of another ``shorter``,
        their longer side growing with it."""
        if not self.shorter:
            return replace(self, size=size)
        steps = math.ceil(size * self.size / self.shorter / self.step)
        return replace(self, shorter=size, size=steps * self.step)

    @property
    def view_size(self) -> int:
        """What users call the size of views, see :meth:`with_view_size`."""
        return self.shorter or self.size

    def shape(self, width: int, height: int) -> tuple[int, int]:
        """Rows and columns, in pixels, of the views of a frame."""
        if not self.shorter:
            return self.size, self.size
        scale = min(self.shorter / min(width, height), self.size / max(width, height))
        rows, columns = (
            max(1, round(scale * side / self.step)) * self.step for side in (height, width)
        )
        return rows, columns

    def told(self) -> str:
        """Number and size of the views, for people."""
        if self.shorter:
            return f"the frame, its shorter side {self.shorter} px"
        return f"{self.count} views of {self.size} px"

    @property
    def count(self) -> int:
        """V, the number of views."""
        return int(self.global_view) + self.tiles**2 + len(self.squares) + len(self.boxes)

    @property
    def tile_share(self) -> float:
        """A tile's side as a share of the frame's: n tiles with overlap o cover it exactly."""
        return 1 / (self.tiles - (self.tiles - 1) * self.overlap)

    def names(self) -> list[str]:
        """A name for each view, for people: ``whole frame``, ``tile 1,3``, ``right square``."""
        names = ["whole frame"] if self.global_view else []
        names += [f"tile {r + 1},{c + 1}" for r in range(self.tiles) for c in range(self.tiles)]
        names += [f"{square} square" for square in self.squares]
        return names + [f"box {number + 1}" for number in range(len(self.boxes))]


def view_boxes(layout: ViewLayout, width: int, height: int) -> npt.NDArray[np.float32]:
    """The boxes of a frame's views.

    Squares slide along the longer side: on a portrait frame ``left`` is the top and ``right`` the
    bottom.

    Args:
        layout: which views.
        width: of the upright frame, pixels.
        height: of the upright frame, pixels.

    Returns:
        ``[V, 4]`` (x0, y0, x1, y1) in fractions of the frame: 0..1, but for a padded whole frame,
        whose view reaches beyond it on two sides.
    """
    boxes: list[Box] = [(0.0, 0.0, 1.0, 1.0)] if layout.global_view else []
    if layout.tiles:
        side = layout.tile_share
        starts = np.linspace(0.0, 1.0 - side, layout.tiles)
        boxes += [(x, y, x + side, y + side) for y in starts for x in starts]
    share = min(width, height) / max(width, height)
    for square in layout.squares:
        start = {"left": 0.0, "centre": (1 - share) / 2, "right": 1 - share}[square]
        along = (start, start + share)
        if width >= height:
            boxes.append((along[0], 0.0, along[1], 1.0))
        else:
            boxes.append((0.0, along[0], 1.0, along[1]))
    edges = np.clip(np.array(boxes + list(layout.boxes), dtype=np.float32), 0, 1)
    if layout.global_view and layout.keep_aspect:
        top, left, rows, columns = _place(layout.size, width, height)
        side = layout.size
        edges[0] = (-left / columns, -top / rows, (side - left) / columns, (side - top) / rows)
    return edges


def _place(side: int, width: int, height: int) -> tuple[int, int, int, int]:
    """Where a frame lies in the square of its view: top, left, rows and columns in pixels."""
    longer = max(width, height)
    rows, columns = (max(1, round(side * length / longer)) for length in (height, width))
    return (side - rows) // 2, (side - columns) // 2, rows, columns


def make_views(frame: npt.NDArray[np.uint8], layout: ViewLayout) -> Views:
    """Cut a frame into views.

    Args:
        frame: ``[H, W, 3]``, upright.
        layout: which views.

    Returns:
        Pixels uint8 ``[V, 3, S, S]`` (channels last in memory), or ``[1, 3, h, w]`` of a frame in
        its own shape, and their boxes.
    """
    height, width, _ = frame.shape
    boxes = view_boxes(layout, width, height)
    image = Image.fromarray(frame)
    if layout.shorter:
        rows, columns = layout.shape(width, height)
        whole = _resized(image, columns, rows).copy()  # Pillow's own is not to be written to
        return Views(whole.transpose(2, 0, 1)[None], boxes)
    side = layout.size
    pixels = np.empty((layout.count, side, side, 3), dtype=np.uint8)
    first = 0
    if layout.global_view and layout.keep_aspect:
        first = 1
        top, left, rows, columns = _place(side, width, height)
        pixels[0] = PADDING
        pixels[0, top : top + rows, left : left + columns] = _resized(image, columns, rows)
    edges = np.rint(boxes[first:] * [width, height, width, height]).astype(int).tolist()
    for view, (x0, y0, x1, y1) in enumerate(edges, first):
        top, left = min(y0, height - 1), min(x0, width - 1)  # a sliver still has one pixel
        # Cut first: Pillow's own `box` lets the filter look beyond the view's edges.
        crop = image.crop((left, top, max(x1, left + 1), max(y1, top + 1)))
        pixels[view] = _resized(crop, side, side)
    return Views(pixels.transpose(0, 3, 1, 2), boxes)


def _resized(image: Image.Image, width: int, height: int) -> npt.NDArray[np.uint8]:
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def halved(view: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A view ``[3, h, w]`` at half its size, antialiased."""
    image = Image.fromarray(view.transpose(1, 2, 0))
    return _resized(image, image.width // 2, image.height // 2).transpose(2, 0, 1)


def enough_side(layout: ViewLayout) -> int:
    """The shorter side, in pixels, that a frame must have so that no view is enlarged for lack."""
    if layout.shorter:
        return layout.shorter
    shares = [1.0]
    if layout.tiles:
        shares.append(layout.tile_share)
    shares += [min(x1 - x0, y1 - y0) for x0, y0, x1, y1 in layout.boxes]
    return math.ceil(layout.size / min(shares))


def preprocess(data: bytes, layout: ViewLayout, *, name: str = "image") -> Views:
    """Encoded bytes to views; very large JPEGs are decoded at a fraction of their size.

    Raises:
        ImageError: see :func:`workzone.data.images.decode`.
    """
    return make_views(decode_pixels(data, enough_side=enough_side(layout), name=name), layout)


def whole_view(data: bytes, layout: ViewLayout, *, name: str = "image") -> Views:
    """The view of the whole frame alone, as `preprocess` makes it first of a layout that has one.

    Raises:
        ImageError: see :func:`workzone.data.images.decode`.
    """
    frame = decode_pixels(data, enough_side=enough_side(layout), name=name)
    return make_views(frame, replace(layout, tiles=0, squares=(), boxes=()))


def sample_bytes(sample: Sample, root: Path) -> bytes:
    """The encoded bytes of a manifest's sample.

    Raises:
        ImageError: there are none, or they are not the ones that were imported.
    """
    data = read_bytes(sample.image, root)
    if sample.content_hash is not None and content_hash(data) != sample.content_hash:
        raise ImageError("changed", f"{sample.image}: its bytes changed since it was imported")
    return data


def sample_views(
    sample: Sample,
    data: bytes,
    layout: ViewLayout,
    *,
    augmentation: Augmentation | None = None,
    copy: int = 0,
) -> Views:
    """The views of a manifest's sample.

    Args:
        sample: which image.
        data: its encoded bytes, see :func:`sample_bytes`.
        layout: which views.
        augmentation: how copies other than 0 are changed; copy 0 is the image as it is.
        copy: number of the augmented copy.

    Raises:
        ImageError: see :func:`workzone.data.images.decode`.
    """
    if copy == 0 or augmentation is None:
        return preprocess(data, layout, name=str(sample.image))
    with needing_train("looking at augmented copies (--tta)"):
        from workzone.data.augment import augment

    frame = decode(data, enough_side=2 * enough_side(layout), name=str(sample.image))
    seed_text = sample.content_hash or sample.id
    changed = augment(frame, augmentation, identity=seed_text, copy=copy)
    return make_views(changed.permute(1, 2, 0).contiguous().numpy(), layout)
