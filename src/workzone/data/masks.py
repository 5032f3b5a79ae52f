"""Object masks of the six classes, from bit images or from COCO annotations.

A reference is one of

* ``file.png``: an 8-bit image in which bit ``k`` of a pixel is class ``k`` of
  :data:`workzone.types.OBJECT_CLASSES`, so that classes may overlap;
* ``annotations.json#IMAGE_ID``: COCO polygons; run-length masks are not supported.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, UnidentifiedImageError

from workzone.errors import ManifestError
from workzone.files import writing
from workzone.types import OBJECT_CLASSES

CATEGORY_CLASSES: Mapping[str, str | None] = {
    "Cone": "cone",
    "Drum": "cone",
    "Tubular Marker": "cone",
    "Vertical Panel": "cone",
    "Barricade": "barrier",
    "Barrier": "barrier",
    "Fence": "barrier",
    "Temporary Traffic Control Sign": "sign",
    "Temporary Traffic Control Message Board": "sign",
    "Arrow Board": "sign",
    "Worker": "worker",
    "Police Officer": "worker",
    "Work Vehicle": "vehicle",
    "Police Vehicle": "vehicle",
    "Work Equipment": "equipment",
    "Other Roadwork Objects": "equipment",
    "Bike Lane": None,
}
"""ROADWork's categories to ours; None: known, but no object of a work zone."""

_SIGN = "Temporary Traffic Control Sign"


def is_known_category(name: str) -> bool:
    """Whether a category of the annotations has a place in :data:`CATEGORY_CLASSES`."""
    return name in CATEGORY_CLASSES or name.startswith(_SIGN)


def class_of_category(name: str) -> str | None:
    """Which of our classes a category belongs to; None: none, or unknown.

    The files ``*_with_signs.json`` carry one category per kind of sign; all begin alike.
    """
    return "sign" if name.startswith(_SIGN) else CATEGORY_CLASSES.get(name)


def load_masks(reference: str, root: Path, height: int, width: int) -> npt.NDArray[np.bool_]:
    """The masks of one image.

    Args:
        reference: see the module; a relative path starts at ``root``.
        root: the manifest's folder.
        height: rows wanted; other sizes are scaled (bit images by the nearest pixel).
        width: columns wanted.

    Returns:
        bool ``[6, height, width]``, a channel per class of ``OBJECT_CLASSES``.

    Raises:
        ManifestError: a file that is missing or is no mask, or an image it does not know.
    """
    path, image_id = split_reference(reference)
    if image_id is None:
        return _from_png(root / path, height, width)
    return _from_annotations(root / path, image_id, height, width)


def mask_size(reference: str, root: Path) -> tuple[int, int]:
    """Height and width of the image that masks are of, in pixels: of a bit image, its own.

    Raises:
        ManifestError: a file that is missing or is no mask, or an image it does not know.
    """
    path, image_id = split_reference(reference)
    if image_id is not None:
        outlines = _outlines_of(root / path, image_id)
        return outlines.height, outlines.width
    with _mask_image(root / path) as image:
        return image.height, image.width


def split_reference(reference: str) -> tuple[str, str | None]:
    """The path of a reference, and the image's id where it points into annotations."""
    path, mark, image_id = reference.rpartition("#")
    if mark and path.lower().endswith(".json"):
        return path, image_id
    return reference, None


def write_masks(masks: npt.NDArray[np.bool_], path: Path) -> None:
    """Write bool ``[6, H, W]`` as a bit image for :func:`load_masks`.

    Raises:
        ValueError: another shape.
    """
    if masks.ndim != 3 or len(masks) != len(OBJECT_CLASSES):
        raise ValueError(f"masks must be [{len(OBJECT_CLASSES)}, H, W], got {list(masks.shape)}")
    bits = np.zeros(masks.shape[1:], np.uint8)
    for channel, mask in enumerate(masks):
        bits |= mask.astype(np.uint8) << channel
    with writing(path) as aside:
        Image.fromarray(bits).save(aside, format="PNG")


@contextlib.contextmanager
def _mask_image(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError as error:
        raise ManifestError(f"no mask file at {path}; clear the masks column or add it") from error
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise ManifestError(f"{path} is not a readable mask image: {error}") from error


def _from_png(path: Path, height: int, width: int) -> npt.NDArray[np.bool_]:
    with _mask_image(path) as image:
        mode = image.mode
        bits = np.asarray(image.resize((width, height), Image.Resampling.NEAREST))
    if mode not in ("L", "P") or bits.max() >= 1 << len(OBJECT_CLASSES):
        raise ManifestError(
            f"{path} is not a mask: pixels must be 8-bit, bit k standing for class k of "
            f"{', '.join(OBJECT_CLASSES)}; got mode {mode}, largest value {bits.max()}"
        )
    channels = np.arange(len(OBJECT_CLASSES), dtype=np.uint8)[:, None, None]
    return (bits[None] >> channels & 1).astype(bool)


@dataclass(frozen=True, slots=True)
class _Outlines:
    width: int
    height: int
    polygons: tuple[tuple[int, tuple[float, ...]], ...]  # class, x0, y0, x1, y1, ...


def _outlines_of(path: Path, image_id: str) -> _Outlines:
    try:
        outlines = _outlines(str(path), path.stat().st_mtime_ns).get(image_id)
    except FileNotFoundError as error:
        raise ManifestError(f"no annotations at {path}; clear the masks column") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(f"{path} is not a COCO file: {error!r}") from error
    if outlines is None:
        raise ManifestError(f"{path} has no image with id {image_id!r}; import the set again")
    return outlines


def _from_annotations(path: Path, image_id: str, height: int, width: int) -> npt.NDArray[np.bool_]:
    outlines = _outlines_of(path, image_id)
    masks = np.zeros((len(OBJECT_CLASSES), height, width), np.bool_)
    scale = np.array([width / outlines.width, height / outlines.height])
    for channel in sorted({channel for channel, _ in outlines.polygons}):
        canvas = Image.new("1", (width, height))
        draw = ImageDraw.Draw(canvas)
        for owner, corners in outlines.polygons:
            if owner == channel:
                points = np.asarray(corners).reshape(-1, 2) * scale
                draw.polygon([(x, y) for x, y in points.tolist()], fill=1)
        masks[channel] = np.asarray(canvas)
    return masks


@lru_cache(maxsize=4)
def _outlines(path: str, _modified: int) -> dict[str, _Outlines]:
    """By image id; parsed once per version of the file."""
    data = json.loads(Path(path).read_text(encoding="utf-8"))
    classes = {c["id"]: class_of_category(c["name"]) for c in data["categories"]}
    polygons: dict[str, list[tuple[int, tuple[float, ...]]]] = {}
    for annotation in data["annotations"]:
        name = classes.get(annotation["category_id"])
        if name is None:
            continue
        held = polygons.setdefault(str(annotation["image_id"]), [])
        held += [(OBJECT_CLASSES.index(name), corners) for corners in polygons_of(annotation)]
    return {
        str(image["id"]): _Outlines(
            image["width"], image["height"], tuple(polygons.get(str(image["id"]), ()))
        )
        for image in data["images"]
    }


def polygons_of(annotation: Mapping[str, Any]) -> Iterator[tuple[float, ...]]:
    """The polygons of a COCO annotation with at least three corners, as x0, y0, x1, y1, ..."""
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, list):
        for corners in segmentation:
            if isinstance(corners, list) and len(corners) >= 6 and len(corners) % 2 == 0:
                yield tuple(map(float, corners))
