"""The protocol of teachers, and what is known of one beside its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from workzone.teach.exemplars import Exemplar
from workzone.teach.findings import Findings
from workzone.teach.prompts import Prompts

CONVERSION_VERSION = 1
"""Part of every key of masks: raise it when the same model's answers become other masks."""

Picture = npt.NDArray[np.uint8]
"""RGB ``[H, W, 3]``, upright."""

Gives = Literal["masks", "boxes"]


@dataclass(frozen=True)
class About:
    """Which teacher it is; all of it changes its masks.

    ``weights``: hash of its files; ``settings``: how it computes.
    """

    name: str
    weights: str
    gives: Gives  # boxes: an object's mask is the inside of its box
    side: int  # pixels; the square that it looks at, whatever a picture's shape
    parameters: int
    settings: Mapping[str, str | float | int | bool | None] = field(default_factory=dict)


class Teacher(Protocol):
    """A model that finds what phrases name."""

    about: About
    prompts: Prompts
    takes_exemplars: bool

    def look(
        self, pictures: Sequence[Picture], exemplars: Sequence[Sequence[Exemplar]]
    ) -> list[Findings]:
        """What it finds in some pictures that fit into memory together, in order.

        Args:
            pictures: whole frames or tiles.
            exemplars: of each picture, in its pixels.

        Raises:
            TeacherError: scores that are no finite numbers.
        """
        ...
