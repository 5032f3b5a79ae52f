"""Bit images: 8-bit PNG files; bit ``k`` of a pixel is class ``k``, so that classes may overlap.

What masks rest on stands in a text chunk `KNOWLEDGE_CHUNK`, as ``drawn`` of scenes; a file without
one does not tell.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from workzone.data.masks import rle
from workzone.data.masks.formats.shapes import AnnotatedImage, Annotations, Shape
from workzone.data.masks.objects import KNOWLEDGE, Knowledge, as_knowledge, weakest
from workzone.errors import ManifestError
from workzone.files import writing
from workzone.types import OBJECT_CLASSES

KNOWLEDGE_CHUNK = "workzone-knowledge"
"""Keyword of the text chunk that says what masks rest on, one of `KNOWLEDGE`."""

_VALUES = ", ".join(f"{1 << bit} {name}" for bit, name in enumerate(OBJECT_CLASSES))
_NO_BITS = (
    f"each 8-bit pixel must be the sum of its classes ({_VALUES}), 0 for none and "
    f"{(1 << len(OBJECT_CLASSES)) - 1} for all"
)


def read_bit_images(path: Path) -> Annotations:
    """The bit images below a folder.

    Raises:
        ManifestError: none is there, or a file is none.
    """
    files = sorted(path.rglob("*.png")) if path.is_dir() else [path]
    if not files:
        raise ManifestError(f"{path} holds no .png files; name the folder of bit images")
    root = path if path.is_dir() else path.parent
    images = tuple(
        dataclasses.replace(
            bit_image_shapes(file), name=file.relative_to(root).with_suffix("").as_posix()
        )
        for file in files
    )
    told = [image.knowledge for image in images]
    knowledge = weakest(one or "polygon" for one in told) if any(told) else None
    return Annotations(path, images, OBJECT_CLASSES, knowledge=knowledge)


def bit_image_shapes(file: Path) -> AnnotatedImage:
    """A bit image as shapes, one for each class in it.

    Raises:
        ManifestError: as `read_bit_image`.
    """
    masks, knowledge = read_bit_image(file)
    shapes = tuple(
        Shape(name, counts=rle.encode(mask), crowd=True)
        for name, mask in zip(OBJECT_CLASSES, masks, strict=True)
        if mask.any()
    )
    size = masks.shape[1], masks.shape[2]
    return AnnotatedImage(file.stem, str(file), size, shapes, knowledge=knowledge)


def read_bit_image(path: Path) -> tuple[npt.NDArray[np.bool_], Knowledge | None]:
    """A bit image as bool ``[6, H, W]``, and what it rests on, where the file tells.

    Raises:
        ManifestError: it is missing or damaged, or has values that no classes sum up to.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in ("L", "P"):
                raise ManifestError(
                    f"{path} is no mask: it is of mode {image.mode}, but {_NO_BITS}"
                )
            bits = np.asarray(image)
            told = image.info.get(KNOWLEDGE_CHUNK)
    except FileNotFoundError as error:
        raise ManifestError(f"no mask file at {path}; add it, or name another") from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ManifestError(f"{path} is not a readable mask image: {error}") from error
    largest = int(bits.max())
    if largest >= 1 << len(OBJECT_CLASSES):
        raise ManifestError(f"{path} is no mask: it has the value {largest}, but {_NO_BITS}")
    channels = np.arange(len(OBJECT_CLASSES), dtype=np.uint8)[:, None, None]
    masks = (bits[None] >> channels & 1).astype(bool)
    return masks, as_knowledge(told) if told in KNOWLEDGE else None


def write_bit_image(
    masks: npt.NDArray[np.bool_], path: Path, *, knowledge: Knowledge | None = None
) -> None:
    """Write bool ``[6, H, W]`` as a bit image, and what it rests on, where that is known.

    Raises:
        ValueError: another shape.
    """
    if masks.ndim != 3 or len(masks) != len(OBJECT_CLASSES):
        raise ValueError(f"masks must be [{len(OBJECT_CLASSES)}, H, W], got {list(masks.shape)}")
    bits = np.zeros(masks.shape[1:], np.uint8)
    for channel, mask in enumerate(masks):
        bits |= mask.astype(np.uint8) << channel
    chunks = PngInfo()
    if knowledge is not None:
        chunks.add_text(KNOWLEDGE_CHUNK, knowledge)
    with writing(path) as aside:
        Image.fromarray(bits).save(aside, format="PNG", pnginfo=chunks)
