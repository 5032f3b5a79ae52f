"""What every reader yields: shapes as an annotation file has them, of images as it names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.data.masks import rle
from workzone.data.masks.objects import Knowledge, MaskObject, MaskSource
from workzone.data.masks.rle import BoxXYXY

Polygon = npt.NDArray[np.float64]  # [corners, 2]: x and y in pixels, or fractions
Size = tuple[int, int]  # height and width, pixels


@dataclass(frozen=True, slots=True)
class Shape:
    """One annotated object: a mask, else polygons, else a box.

    ``fractions``: polygons and box are in fractions of the frame, not in pixels.
    """

    category: str
    polygons: tuple[Polygon, ...] = ()
    counts: bytes | None = None  # of a mask as large as the frame
    box: BoxXYXY | None = None
    score: float | None = None
    crowd: bool = False
    fractions: bool = False
    knowledge: Knowledge | None = None  # as our own export tells it
    named: str | None = None  # what the source before our export called it

    def to_object(self, name: str, told: Size | None, frame: Size) -> MaskObject:
        """The object of class ``name`` in a frame that may be larger or smaller than told.

        Raises:
            ValueError: no shape, or one that does not fit.
        """
        height, width = told or frame
        scale = np.array([frame[1] / width, frame[0] / height])
        if self.fractions:
            scale = np.array([frame[1], frame[0]], np.float64)
        box = None if self.box is None else _scaled(self.box, scale)
        known: Knowledge = "polygon"
        if self.counts is not None:
            counts = _resized(self.counts, (height, width), frame)
        elif self.polygons:
            counts = _outlined([polygon * scale for polygon in self.polygons], frame)
        elif box is not None:
            counts, known = rle.from_box(box, *frame), "box"
        else:
            raise ValueError("it has no outline and no box")
        return MaskObject(
            name=name,
            knowledge=self.knowledge or known,
            counts=counts,
            box=rle.bounds(counts, *frame) if box is None else box,
            score=self.score,
            crowd=self.crowd,
            category=self.category if self.knowledge is None else self.named,
        )


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """The shapes of one image."""

    name: str  # of its file, as the annotations have it; folders may be missing
    where: str  # for messages
    size: Size | None  # of the frame that shapes are of; None: not told
    shapes: tuple[Shape, ...] = ()
    wrong: tuple[tuple[str | None, str], ...] = ()  # category and why, of what cannot be read
    looked: Mapping[str, float | None] | None = None  # as our own export tells it
    knowledge: Knowledge | None = None  # as our own bit images tell it


@dataclass(frozen=True, slots=True)
class Annotations:
    """What a file or folder of annotations holds.

    ``categories``: those that were looked for in all images; None: the format does not tell, so
    that those that occur count.
    """

    path: Path
    images: tuple[AnnotatedImage, ...]
    categories: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()
    source: MaskSource | None = None  # as our own export tells it
    knowledge: Knowledge | None = None  # as our own bit images tell it

    @property
    def looked(self) -> Sequence[str]:
        """Names of categories, as they come."""
        if self.categories is not None:
            return self.categories
        return tuple(dict.fromkeys(s.category for image in self.images for s in image.shapes))


def _outlined(polygons: Sequence[Polygon], frame: Size) -> bytes:
    """What polygons enclose; below a pixel, the pixel they lie in."""
    counts = rle.from_polygons(polygons, *frame)
    if rle.area(counts):
        return counts
    (left, top), (right, bottom) = (
        end(np.concatenate(polygons), axis=0).tolist() for end in (np.min, np.max)
    )
    return rle.from_box((left, top, right, bottom), *frame)


def _scaled(box: BoxXYXY, scale: npt.NDArray[np.float64]) -> BoxXYXY:
    x, y = scale.tolist()
    return box[0] * x, box[1] * y, box[2] * x, box[3] * y


def _resized(counts: bytes, told: Size, frame: Size) -> bytes:
    if told == frame:
        rle.check(counts, *frame)
        return counts
    image = Image.fromarray(rle.decode(counts, *told))
    return rle.encode(np.asarray(image.resize(frame[::-1], Image.Resampling.NEAREST)))
