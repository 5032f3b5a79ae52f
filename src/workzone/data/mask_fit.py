"""Whether masks are of their image: checked once, as the image is imported.

Cameras that are turned store the pixels as the sensor lies and write an EXIF orientation beside
them. Some annotation tools show the stored pixels, others turn them upright first; the size that
the annotations tell says which, as far as a size can.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from workzone.data.kinds import address_advice, is_address
from workzone.data.masks.annotated import (
    SIDEWAYS,
    annotated_image,
    check_bit_image,
    class_of_category,
    mask_size,
    split_reference,
    stated_orientation,
    with_orientation,
)
from workzone.data.sources.values import FieldError
from workzone.errors import ManifestError

SHAPE = 0.01
"""By how much, relatively, the shapes of a picture and of its masks may differ."""


@dataclass(frozen=True, slots=True)
class Frame:
    """An image after decoding: upright, with the EXIF orientation that made it so."""

    height: int
    width: int
    orientation: int = 1


def fit_masks(reference: str, root: Path, frame: Frame) -> str:
    """The reference with the orientation that lays the masks over the upright frame.

    An orientation that the reference states itself is believed.

    Raises:
        FieldError: masks that are missing, unreadable, incomplete, of another shape than the
            frame, or of which nothing tells whether EXIF turns them.
    """
    if is_address(reference):
        raise FieldError("masks-unreadable", address_advice(reference))
    try:
        _check_content(reference, root)
        size = mask_size(reference, root)
    except ManifestError as error:
        raise FieldError("masks-unreadable", str(error)) from error
    upright = (frame.height, frame.width)
    stored = upright[::-1] if frame.orientation in SIDEWAYS else upright
    stated = stated_orientation(reference)
    if stated is not None or frame.orientation == 1:
        fitting = {stated or 1} if _alike(size, upright) else set()
    elif stored == upright:
        fitting = {1, frame.orientation} if _alike(size, upright) else set()
    else:
        sizes = {1: upright, frame.orientation: stored}
        fitting = {turn for turn, side in sizes.items() if _alike(size, side)}
        if len(fitting) > 1:  # nearly square: to the pixel, then
            fitting = {turn for turn, side in sizes.items() if size == side} or fitting
    if not fitting:
        raise FieldError(
            "masks-size",
            f"the masks are of a picture of {_shown(size)}, this one has {_shown(upright)}",
        )
    if len(fitting) > 1:
        raise FieldError(
            "masks-orientation",
            f"EXIF orientation {frame.orientation} turns the picture, and nothing tells whether "
            f"its masks are of the turned one; write #orientation=1 behind their reference if "
            f"they are, #orientation={frame.orientation} if not",
        )
    return with_orientation(reference, fitting.pop())


def _check_content(reference: str, root: Path) -> None:
    path, image_id = split_reference(reference)
    if image_id is None:
        check_bit_image(root / path)
        return
    image = annotated_image(root / path, image_id)
    if image.size is None:
        raise FieldError("masks-size", f"{path} tells no width and height of image {image_id!r}")
    lacking = Counter(
        item.category or "object of no category"
        for item in image.objects
        if item.category is None or (class_of_category(item.category) and not item.complete)
    )
    if lacking:
        told = ", ".join(f"{count} {name}" for name, count in sorted(lacking.items()))
        raise FieldError(
            "masks-incomplete", f"{path} has no outlines that can be read of {told} in the picture"
        )


def _alike(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes have one shape, up to a pixel of rounding and `SHAPE`."""
    difference = abs(size[0] * other[1] - size[1] * other[0])
    return difference <= max(other) + SHAPE * size[0] * other[1]


def _shown(size: tuple[int, int]) -> str:
    return f"{size[1]} x {size[0]} pixels"
