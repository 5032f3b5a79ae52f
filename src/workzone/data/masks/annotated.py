"""Object masks of the six classes, from bit images or from COCO annotations.

A reference is one of

* ``file.png``: an 8-bit image in which bit ``k`` of a pixel is class ``k`` of
  :data:`workzone.types.OBJECT_CLASSES`, so that classes may overlap;
* ``annotations.json#IMAGE_ID``: COCO polygons; run-length masks are not supported;

either with ``#orientation=N`` behind it where the masks are of the pixels as the image's file
stores them and its EXIF orientation N turns these upright.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from workzone.data.coco import CocoImage, as_id, read_coco
from workzone.data.exif import turn_upright
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

SIDEWAYS = frozenset({5, 6, 7, 8})
"""EXIF orientations that exchange width and height."""

_ORIENTATION = re.compile(r"#orientation=([1-8])$")
_VALUES = ", ".join(f"{1 << bit} {name}" for bit, name in enumerate(OBJECT_CLASSES))
_NO_BITS = (
    f"each 8-bit pixel must be the sum of its classes ({_VALUES}), 0 for none and "
    f"{(1 << len(OBJECT_CLASSES)) - 1} for all; write it so, or clear the masks column"
)


def _plain(name: str) -> str:
    return " ".join(re.split(r"[\s_-]+", name.strip().casefold()))


_CLASSES = {_plain(name): owner for name, owner in CATEGORY_CLASSES.items()}
_SIGN = _plain("Temporary Traffic Control Sign")


def is_known_category(name: str) -> bool:
    """Whether a category of the annotations has a place in :data:`CATEGORY_CLASSES`."""
    return _plain(name) in _CLASSES or _plain(name).startswith(_SIGN)


def class_of_category(name: str) -> str | None:
    """Which of our classes a category belongs to; None: none, or unknown.

    Letter case, ``_`` and ``-`` are free. The files ``*_with_signs.json`` carry one category per
    kind of sign; all begin alike.
    """
    return "sign" if _plain(name).startswith(_SIGN) else _CLASSES.get(_plain(name))


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
    orientation = stated_orientation(reference) or 1
    stored = (width, height) if orientation in SIDEWAYS else (height, width)
    masks = (
        _from_png(root / path, *stored)
        if image_id is None
        else _from_annotations(root / path, image_id, *stored)
    )
    return _upright(masks, orientation)


def mask_size(reference: str, root: Path) -> tuple[int, int]:
    """Height and width of the upright image that masks are of, in pixels: of a bit image, its own.

    Raises:
        ManifestError: a file that is missing or is no mask, or an image it does not know.
    """
    path, image_id = split_reference(reference)
    if image_id is not None:
        height, width = _size(annotated_image(root / path, image_id), root / path)
    else:
        with _mask_image(root / path) as image:
            height, width = image.height, image.width
    return (width, height) if stated_orientation(reference) in SIDEWAYS else (height, width)


def stated_orientation(reference: str) -> int | None:
    """The EXIF orientation that a reference states, 1 to 8."""
    found = _ORIENTATION.search(reference)
    return int(found[1]) if found else None


def with_orientation(reference: str, orientation: int) -> str:
    """The reference with another orientation; 1, upright, goes without saying."""
    plain = _ORIENTATION.sub("", reference)
    return plain if orientation == 1 else f"{plain}#orientation={orientation}"


def with_path(reference: str, move: Callable[[str], str]) -> str:
    """The reference with another path, which ``move`` makes of the one that it has."""
    path, _ = split_reference(reference)
    return move(path) + reference.removeprefix(path)


def split_reference(reference: str) -> tuple[str, str | None]:
    """The path of a reference, and the image's id where it points into annotations."""
    reference = _ORIENTATION.sub("", reference)
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
            if image.mode not in ("L", "P"):
                raise ManifestError(
                    f"{path} is no mask: it is of mode {image.mode}, but {_NO_BITS}"
                )
            yield image
    except FileNotFoundError as error:
        raise ManifestError(f"no mask file at {path}; clear the masks column or add it") from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ManifestError(f"{path} is not a readable mask image: {error}") from error


def _from_png(path: Path, height: int, width: int) -> npt.NDArray[np.bool_]:
    with _mask_image(path) as image:
        _check_bits(image, path)
        bits = np.asarray(image.resize((width, height), Image.Resampling.NEAREST))
    channels = np.arange(len(OBJECT_CLASSES), dtype=np.uint8)[:, None, None]
    return (bits[None] >> channels & 1).astype(bool)


def check_bit_image(path: Path) -> None:
    """Read a bit image through.

    Raises:
        ManifestError: it is missing or damaged, or has values that no classes sum up to.
    """
    with _mask_image(path) as image:
        _check_bits(image, path)


def _check_bits(image: Image.Image, path: Path) -> None:
    largest = int(np.asarray(image).max())
    if largest >= 1 << len(OBJECT_CLASSES):
        raise ManifestError(f"{path} is no mask: it has the value {largest}, but {_NO_BITS}")


def annotated_image(path: Path, image_id: str) -> CocoImage:
    """An image of a COCO file.

    Raises:
        ManifestError: no such file, no COCO file, or not exactly one image with this id.
    """
    try:
        image = read_coco(path).by_id.get(as_id(image_id) or "")
    except FileNotFoundError as error:
        raise ManifestError(f"no annotations at {path}; clear the masks column") from error
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error}") from error
    if image is None:
        raise ManifestError(
            f"{path} has no image with id {image_id!r}, or several; import the set again"
        )
    return image


def _size(image: CocoImage, path: Path) -> tuple[int, int]:
    if image.size is None:
        raise ManifestError(
            f"{path} tells no width and height of the image with id {image.id!r}; add them, or "
            "clear the masks column"
        )
    return image.size


def _from_annotations(path: Path, image_id: str, height: int, width: int) -> npt.NDArray[np.bool_]:
    image = annotated_image(path, image_id)
    rows, columns = _size(image, path)
    scale = np.array([width / columns, height / rows])
    canvases: dict[str, Image.Image] = {}
    for item in image.objects:
        name = None if item.category is None else class_of_category(item.category)
        if name is not None:
            canvas = canvases.setdefault(name, Image.new("1", (width, height)))
            for polygon in item.polygons:
                corners = [(x, y) for x, y in (polygon * scale).tolist()]
                ImageDraw.Draw(canvas).polygon(corners, fill=1)
    masks = np.zeros((len(OBJECT_CLASSES), height, width), np.bool_)
    for name, canvas in canvases.items():
        masks[OBJECT_CLASSES.index(name)] = np.asarray(canvas)
    return masks


def _upright(masks: npt.NDArray[np.bool_], orientation: int) -> npt.NDArray[np.bool_]:
    """Masks ``[6, H, W]`` of stored pixels, turned as EXIF has it."""
    turned = turn_upright(masks.view(np.uint8).transpose(1, 2, 0), orientation)
    return np.ascontiguousarray(turned.transpose(2, 0, 1)).view(np.bool_)
