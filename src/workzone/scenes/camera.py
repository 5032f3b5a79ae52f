"""The dashcam: from metres on the road to pixels.

World coordinates are metres: ``x`` to the right of the camera, ``y`` above the ground, ``z`` ahead
along the road. A curve of the road bends the world sideways by ``curve * z**2``, so that everything
placed along the road follows it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Point = tuple[float, float, float]
"""``(x, y, z)`` in metres."""

NEAREST = 0.7
"""Metres; whatever is nearer is drawn as if it were here."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera that looks along the road."""

    width: int  # pixels
    height: int
    focal: float  # pixels
    horizon: float  # row of the horizon in the image's centre
    centre: float  # column of the vanishing point of a straight road
    eye: float  # metres above the ground
    roll: float = 0.0  # radians, clockwise
    curve: float = 0.0  # 1/m, positive bends to the right
    mirrored: bool = False  # left-hand traffic

    def lateral(self, x: float, z: float) -> float:
        """Metres to the right of the camera's axis."""
        return x + self.curve * z * z

    def project(self, point: Point) -> tuple[float, float]:
        """Column and row of a point; fractions of pixels, possibly outside the frame."""
        x, y, z = point
        depth = max(z, NEAREST)
        across = self.focal * self.lateral(x, z) / depth
        down = self.focal * (self.eye - y) / depth
        if self.mirrored:
            across = -across
        column = self.centre + across
        sin, cos = math.sin(self.roll), math.cos(self.roll)
        from_middle = column - self.width / 2
        return self.width / 2 + from_middle * cos - down * sin, (
            self.horizon + from_middle * sin + down * cos
        )

    def pixels(self, metres: float, z: float) -> float:
        """How long ``metres`` across the view are at distance ``z``."""
        return self.focal * metres / max(z, NEAREST)
