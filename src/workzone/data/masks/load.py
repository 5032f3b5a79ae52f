"""A sample's masks, from the reference that its row of the manifest has."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from workzone.data.masks import annotated
from workzone.data.masks.merge import ObjectMasks, Said, frame_size, merge_masks
from workzone.data.masks.store import MaskStore
from workzone.errors import ManifestError


def load_masks(reference: str, root: Path, height: int, width: int) -> ObjectMasks:
    """The masks of one image's upright frame, by all who say something, merged.

    Args:
        reference: ``FOLDER#ID``, an image of a mask store; a relative path starts at ``root``.
        root: the manifest's folder.
        height: rows wanted; see `merge_masks` for other sizes than the frame's.
        width: columns wanted.

    Raises:
        ManifestError: a store that does not know the image, or frames of different sizes.
        StoreError: a damaged store.
    """
    said = read_said(reference, root)
    if said is None:
        covered = annotated.load_masks(reference, root, height, width)
        return ObjectMasks(covered, np.zeros_like(covered))
    return merge_masks(said, height, width)


def mask_size(reference: str, root: Path) -> tuple[int, int]:
    """Height and width of the upright frame that masks are of, in pixels.

    Raises:
        ManifestError, StoreError: as `load_masks`.
    """
    said = read_said(reference, root)
    return annotated.mask_size(reference, root) if said is None else frame_size(said)


def read_said(reference: str, root: Path) -> Said | None:
    """What sources say of an image of a store; None: the reference names no folder.

    Raises:
        ManifestError, StoreError: as `load_masks`.
    """
    folder, mark, image_id = reference.rpartition("#")
    if not mark or not (root / folder).is_dir():
        return None
    said = MaskStore(root / folder).image(image_id)
    if not said:
        raise ManifestError(
            f"the mask store {root / folder} says nothing of {image_id!r}; make its masks again, "
            "or clear the masks column"
        )
    return said
