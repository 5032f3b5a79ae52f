"""What the masks column of a manifest refers to, read as sources' word on one image.

A reference is one of

* ``FOLDER#ID``: an image of a mask store (`workzone.data.masks.store`);
* ``file.png``: a bit image (`workzone.data.masks.formats.bit_images`);
* ``annotations.json#ID``: an image of a COCO file, by its id there;

the latter two with ``#orientation=N`` behind where masks are of the pixels as the image's file
stores them and its EXIF orientation N turns these upright. Relative paths start at the manifest's
folder.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from workzone.data.masks.categories import choose_classes
from workzone.data.masks.fit import Frame, MisfitError, turned_upright
from workzone.data.masks.formats.bit_images import bit_image_shapes
from workzone.data.masks.formats.coco import coco_image, read_coco
from workzone.data.masks.formats.shapes import AnnotatedImage
from workzone.data.masks.merge import Said
from workzone.data.masks.objects import ImageMasks, Knowledge, MaskObject, MaskSource
from workzone.data.masks.store import MaskStore
from workzone.errors import ManifestError
from workzone.types import OBJECT_CLASSES

_ORIENTATION = re.compile(r"#orientation=([1-8])$")
_TO_CLASS = {name: name for name in OBJECT_CLASSES}


def read_said(reference: str, root: Path) -> Said:
    """What sources say of the image that a reference names, in its upright frame.

    Raises:
        ManifestError: a file that is missing or is no mask, or an image that it does not know.
        StoreError: a damaged store.
    """
    place = split_store(reference)
    if place is not None:
        folder, image_id = place
        said = MaskStore(root / folder).image(image_id)
        if not said:
            raise ManifestError(
                f"the mask store {root / folder} says nothing of {image_id!r}; make its masks "
                "again, or clear the masks column"
            )
        return said
    path, coco_id = split_reference(reference)
    if coco_id is None:
        image = bit_image_shapes(root / path)
        bits = MaskSource(image.knowledge or "polygon", PurePosixPath(path).parent.as_posix())
        return [_of_image(image, _TO_CLASS, reference, bits)]
    coco = read_coco(root / path)
    known = choose_classes(coco.categories, own=coco.source is not None, some=False)
    source = coco.source or MaskSource("polygon", path)
    return [_of_image(coco_image(root / path, coco_id), known, reference, source)]


def place_shapes(
    image: AnnotatedImage,
    sample_id: str,
    frame: Frame,
    classes: dict[str, str],
    *,
    turn: int = 1,
    knowledge: Knowledge = "polygon",
) -> ImageMasks:
    """The shapes of an image as masks of its upright frame.

    Args:
        image: as annotated, in its own size.
        sample_id: the id that the masks get.
        frame: of the image, upright.
        classes: by category; other categories are left out.
        turn: the EXIF orientation by which the shapes are to be turned upright.
        knowledge: what outlines rest on; boxes are told as such.

    Raises:
        ManifestError: shapes that cannot be read or do not fit.
    """
    wrong = [why for category, why in image.wrong if category is None or category in classes]
    if wrong:
        raise MisfitError("masks-incomplete", "; ".join(wrong[:3]))
    target = (frame.height, frame.width) if turn == 1 else frame.stored
    objects: list[MaskObject] = []
    for number, shape in enumerate(image.shapes):
        name = classes.get(shape.category)
        if name is None:
            continue
        try:
            item = shape.to_object(name, image.size, target)
        except ValueError as error:
            raise ManifestError(
                f"{image.where}: shape {number} ({shape.category}): {error}"
            ) from error
        if shape.knowledge is None and item.knowledge != "box":
            item = dataclasses.replace(item, knowledge=knowledge)
        objects.append(turned_upright(item, target, turn))
    looked = dict.fromkeys(classes.values()) if image.looked is None else image.looked
    return ImageMasks(sample_id, frame.height, frame.width, looked, tuple(objects))


def _of_image(
    image: AnnotatedImage, classes: dict[str, str], reference: str, source: MaskSource
) -> tuple[MaskSource, ImageMasks]:
    if image.size is None:
        raise MisfitError(
            "masks-size",
            f"{image.where} tells no width and height; add them, or clear the masks column",
        )
    turn = stated_orientation(reference) or 1
    sideways = Frame(*image.size, turn).stored
    masks = place_shapes(
        image, reference, Frame(*sideways, turn), classes, turn=turn, knowledge=source.knowledge
    )
    return source, masks


def store_reference(folder: str, image_id: str) -> str:
    """The reference to an image of a store.

    ``%`` and ``#`` of the id, and the dot of a suffix ``.png``, are written as in web addresses,
    so that the reference is not taken for another kind.
    """
    quoted = image_id.replace("%", "%25").replace("#", "%23")
    if quoted.lower().endswith(".png"):
        quoted = f"{quoted[:-4]}%2E{quoted[-3:]}"
    return f"{folder}#{quoted}"


def split_store(reference: str) -> tuple[str, str] | None:
    """The folder of a store and the image's id in it; None: a reference of another kind."""
    path, image_id = split_reference(reference)
    if image_id is None or path.lower().endswith(".json"):
        return None
    return path, unquote(image_id)


def split_reference(reference: str) -> tuple[str, str | None]:
    """The path of a reference, and the image's id where it names a store or annotations."""
    reference = _ORIENTATION.sub("", reference)
    path, mark, image_id = reference.rpartition("#")
    if mark and not reference.lower().endswith(".png"):
        return path, image_id
    return reference, None


def with_path(reference: str, move: Callable[[str], str]) -> str:
    """The reference with another path, which ``move`` makes of the one that it has."""
    path, _ = split_reference(reference)
    return move(path) + reference.removeprefix(path)


def stated_orientation(reference: str) -> int | None:
    """The EXIF orientation that a reference states, 1 to 8."""
    found = _ORIENTATION.search(reference)
    return int(found[1]) if found else None


def with_orientation(reference: str, orientation: int) -> str:
    """The reference with another orientation; 1, upright, goes without saying."""
    plain = _ORIENTATION.sub("", reference)
    return plain if orientation == 1 else f"{plain}#orientation={orientation}"
