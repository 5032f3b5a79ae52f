"""How good masks are: cells of classes, objects by their height, regions in boxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from boxes import Box
from PIL import Image
from scipy import ndimage

from workzone.data.masks.load import load_masks
from workzone.model.base import AnyDetector
from workzone.model.cells import frame_shapes
from workzone.run.objects import MARKED, SURE, Labels, object_labels
from workzone.train.feed.examples import Examples, Rows
from workzone.types import OBJECT_CLASSES

Mask = npt.NDArray[np.bool_]
HEIGHTS = ((8, 16), (16, 32), (32, 4096))
"""Of objects, in pixels of the picture."""
LEAST_AREA = 16
"""Pixels: what is smaller is no object, and no region."""
HALF = 0.5
"""Of an object's pixels that must be marked, and of a region's that must be right."""
BOX_SHARE = 0.25
"""Of a box's pixels that must be marked: a cone fills half of its own."""


@torch.no_grad()
def mask_logits(detector: AnyDetector, examples: Examples, row: int) -> torch.Tensor:
    """What a detector says of a picture's cells ``[K, h, w]``, without those behind its frame."""
    given = examples.batch(torch.tensor([row]))
    masks = detector.run(given).masks
    assert masks is not None and given.boxes is not None and given.grid_size is not None
    ((rows, columns),) = frame_shapes(given.boxes[:, 0], given.grid_size)
    by = masks.shape[2] // given.grid_size[0]
    return masks[0, :, : rows * by, : columns * by]


def objects_in(
    logits: torch.Tensor, size: tuple[int, int], marked: float = MARKED
) -> tuple[Mask, Labels]:
    """Masks bool ``[K, H, W]``, and the numbers of their objects likewise, as `found_objects` does.

    Args:
        logits: of cells ``[K, h, w]``.
        size: H and W, of the picture.
        marked: the lower threshold; `SURE`: one alone.
    """
    fine = F.interpolate(logits[None], size, mode="bilinear")[0].sigmoid().numpy()
    union = np.stack([surely_marked(part, marked) for part in fine])
    numbers = np.stack([object_labels(part, marked=marked) for part in logits.sigmoid().numpy()])
    near = F.interpolate(torch.from_numpy(numbers).double()[None], size, mode="nearest")[0]
    return union, union * near.long().numpy()


def predicted(
    detector: AnyDetector, examples: Examples, rows: Rows, marked: float = MARKED
) -> Iterator[tuple[Mask, Labels]]:
    """See `objects_in`, of some pictures at their own size."""
    for row in rows:
        with Image.open(examples.samples[row].image.path) as image:
            size = (image.height, image.width)
        yield objects_in(mask_logits(detector, examples, row), size, marked)


def surely_marked(probabilities: npt.NDArray[np.float32], marked: float) -> Mask:
    """The parts of a class's mask above the lower threshold that are above `SURE` somewhere."""
    labels, count = ndimage.label(probabilities > marked, np.ones((3, 3)))
    sure = np.zeros(count + 1, np.bool_)
    sure[labels[probabilities > SURE]] = True
    return np.asarray(sure[labels])


def scene_scores(
    judged: Iterable[tuple[Mask, Labels]], examples: Examples, rows: Rows
) -> dict[str, Any]:
    """On drawn scenes, whose masks are exact, by class and over all; see `objects_in`."""
    kinds = len(OBJECT_CLASSES)
    both, either, right, regions = (np.zeros(kinds, np.int64) for _ in range(4))
    found, objects = (np.zeros((kinds, len(HEIGHTS)), np.int64) for _ in range(2))
    for row, (masks, numbers) in zip(rows, judged, strict=True):
        reference = examples.samples[row].masks
        assert reference is not None
        true = load_masks(reference, Path(), *masks.shape[1:]).covered  # an absolute path
        both += (masks & true).sum(axis=(1, 2))
        either += (masks | true).sum(axis=(1, 2))
        for kind in range(kinds):
            for height, share in parts(true[kind], masks[kind]):
                for column, (low, high) in enumerate(HEIGHTS):
                    if low <= height < high:
                        objects[kind, column] += 1
                        found[kind, column] += share >= HALF
            for share in shares(numbers[kind], true[kind]):
                regions[kind] += 1
                right[kind] += share >= HALF
    iou = both / np.maximum(either, 1)
    return {
        "iou": dict(zip(OBJECT_CLASSES, iou.round(4).tolist(), strict=True)),
        "mean iou": round(float(iou.mean()), 4),
        "objects": {
            f"{low} px": {
                name: {"objects": int(objects[k, c]), "found": int(found[k, c])}
                for k, name in enumerate(OBJECT_CLASSES)
            }
            | {"recall": ratio(found[:, c].sum(), objects[:, c].sum())}
            for c, (low, _) in enumerate(HEIGHTS)
        },
        "recall above 16 px": ratio(found[:, 1:].sum(), objects[:, 1:].sum()),
        "precision of regions": {
            name: ratio(right[k], regions[k]) for k, name in enumerate(OBJECT_CLASSES)
        }
        | {"all": ratio(right.sum(), regions.sum())},
    }


def ratio(part: Any, whole: Any) -> float | None:
    """None where there is nothing."""
    return round(float(part) / float(whole), 4) if whole else None


def parts(own: Mask, other: Mask) -> Iterator[tuple[int, float]]:
    """Of each connected part of a mask its height, and the share of it that another one marks."""
    labels, count = ndimage.label(own, np.ones((3, 3)))
    places = ndimage.find_objects(labels)
    for number, place in enumerate(places[:count], start=1):
        mine = labels[place] == number
        if mine.sum() >= LEAST_AREA:
            yield mine.shape[0], float(other[place][mine].mean())


def shares(numbers: Labels, other: Mask) -> Iterator[float]:
    """Of each numbered region the share of it that a mask marks."""
    sizes = np.bincount(numbers.ravel())
    inside = np.bincount(numbers.ravel(), weights=other.ravel())
    for number in np.flatnonzero(sizes >= LEAST_AREA).tolist():
        if number:
            yield float(inside[number] / sizes[number])


def box_scores(
    judged: Iterable[tuple[Mask, Labels]],
    examples: Examples,
    rows: Rows,
    boxes: dict[str, list[Box]],
) -> dict[str, Any]:
    """On photographs with boxes: those found, and regions that lie in one; see `objects_in`."""
    kinds = len(OBJECT_CLASSES)
    there, found, regions, right = (np.zeros(kinds, np.int64) for _ in range(4))
    for row, (masks, numbers) in zip(rows, judged, strict=True):
        own = boxes[examples.samples[row].id]
        inside = np.stack([filled(own, kind, masks.shape[1:]) for kind in range(kinds)])
        for box in own:
            kind = box[0]
            area = filled([box], kind, masks.shape[1:])
            there[kind] += 1
            found[kind] += masks[kind][area].mean() >= BOX_SHARE
        for kind in range(kinds):
            for share in shares(numbers[kind], inside[kind]):
                regions[kind] += 1
                right[kind] += share >= HALF
    return {
        name: {
            "boxes": int(there[k]),
            "recall": ratio(found[k], there[k]),
            "regions": int(regions[k]),
            "precision": ratio(right[k], regions[k]),
        }
        for k, name in enumerate(OBJECT_CLASSES)
    } | {
        "all": {
            "boxes": int(there.sum()),
            "recall": ratio(found.sum(), there.sum()),
            "regions": int(regions.sum()),
            "precision": ratio(right.sum(), regions.sum()),
        }
    }


def filled(boxes: Sequence[Box], kind: int, size: tuple[int, ...]) -> Mask:
    """The pixels of the boxes of a class, each at least one."""
    area = np.zeros(size, np.bool_)
    for own, x0, y0, x1, y1 in boxes:
        if own == kind:
            top, left = round(max(y0, 0) * size[0]), round(max(x0, 0) * size[1])
            bottom, right = max(round(y1 * size[0]), top + 1), max(round(x1 * size[1]), left + 1)
            area[top:bottom, left:right] = True
    return area
