"""What puts objects into a photograph, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from workzone.types import Box


@dataclass(frozen=True, slots=True)
class PlacedObject:
    """One object in a composite.

    ``kind``: a class of ``OBJECT_CLASSES`` where it belongs to the road work, else what it is;
    ``drawing``: the file that its face was taken from, "" where it has none.
    """

    kind: str
    box: Box
    drawing: str = ""


@dataclass(frozen=True, slots=True)
class Composite:
    """A photograph with objects put into it.

    ``jpeg``: the encoded picture; ``masks``: bool ``[6, H, W]`` of the visible parts of the work
    zone in the order of ``OBJECT_CLASSES``; ``objects``: those of it, and others that are to be
    counted; ``darkened``: ``dusk`` or ``night`` where the photograph was made so, None where it was
    not.
    """

    jpeg: bytes
    masks: npt.NDArray[np.bool_]
    objects: list[PlacedObject]
    darkened: str | None = None


class Compositor(Protocol):
    """A way to put objects into photographs."""

    @property
    def version(self) -> str:
        """Names all that its pictures depend on beside photograph, seed and label."""

    @property
    def twins(self) -> bool:
        """Whether each photograph is used twice, once with either label, all else being equal."""

    def compose(
        self, photo: npt.NDArray[np.uint8], seed: tuple[int, ...], *, label: int
    ) -> Composite:
        """Put objects into a photograph; the same arguments give the same bytes.

        Args:
            photo: uint8 ``[H, W, 3]`` of a street without road work.
            seed: of everything; numbers that are not negative.
            label: 1 for road work, 0 for other things alone.
        """
