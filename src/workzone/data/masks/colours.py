"""A colour for each class, told apart by the colour-blind too.

Okabe and Ito's palette (https://jfly.uni-koeln.de/color/).
"""

from __future__ import annotations

from collections.abc import Mapping

CLASS_COLOURS: Mapping[str, tuple[int, int, int]] = {
    "cone": (230, 159, 0),
    "barrier": (213, 94, 0),
    "sign": (86, 180, 233),
    "worker": (240, 228, 66),
    "vehicle": (0, 114, 178),
    "equipment": (204, 121, 167),
}
"""RGB by class."""
