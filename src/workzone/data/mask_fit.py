"""Whether masks are of their image: checked once, as the image is imported.

Cameras that are turned store the pixels as the sensor lies and write an EXIF orientation beside
them. Some annotation tools show the stored pixels, others turn them upright first; the size that
the annotations tell says which, as far as a size can.
"""

from __future__ import annotations

from pathlib import Path

from workzone.data.kinds import address_advice, is_address
from workzone.data.masks.fit import Frame, MisfitError, fitting_orientation
from workzone.data.masks.load import mask_size
from workzone.data.masks.references import stated_orientation, with_orientation
from workzone.data.sources.values import FieldError
from workzone.errors import ManifestError, StoreError


def fit_masks(reference: str, root: Path, frame: Frame) -> str:
    """The reference with the orientation that lays the masks over the upright frame.

    An orientation that the reference states itself is believed.

    Raises:
        FieldError: masks that are missing, unreadable, incomplete, of another shape than the
            frame, or of which nothing tells whether EXIF turns them.
    """
    if is_address(reference):
        raise FieldError("masks-unreadable", address_advice(reference))
    stated = stated_orientation(reference)
    try:
        size = mask_size(reference, root)
    except MisfitError as error:
        raise FieldError(error.code, str(error)) from error
    except (ManifestError, StoreError) as error:
        raise FieldError("masks-unreadable", str(error)) from error
    try:
        turn = fitting_orientation(size, frame, stated)
    except MisfitError as error:
        raise FieldError(error.code, str(error)) from error
    return with_orientation(reference, turn)
