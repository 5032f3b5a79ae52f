"""A sample's masks, from the reference that its row of the manifest has."""

from __future__ import annotations

from pathlib import Path

from workzone.data.masks.merge import ObjectMasks, frame_size, merge_masks
from workzone.data.masks.references import read_said


def load_masks(
    reference: str,
    root: Path,
    height: int,
    width: int,
    *,
    least_middle: tuple[float, float] | None = None,
) -> ObjectMasks:
    """The masks of one image's upright frame, by all who say something, merged.

    Args:
        reference: see `workzone.data.masks.references`.
        root: the manifest's folder.
        height: rows wanted; see `merge_masks` for other sizes than the frame's.
        width: columns wanted.
        least_middle: as in `merge_masks`; for what is learned from.

    Raises:
        ManifestError: masks that are missing or damaged, or of frames of different sizes.
        StoreError: a damaged store.
    """
    return merge_masks(read_said(reference, root), height, width, least_middle=least_middle)


def mask_size(reference: str, root: Path) -> tuple[int, int]:
    """Height and width of the upright frame that masks are of, in pixels.

    Raises:
        ManifestError, StoreError: as `load_masks`.
    """
    return frame_size(read_said(reference, root))
