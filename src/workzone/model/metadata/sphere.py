"""Places on the globe as numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

EARTH_RADIUS = 6371.0  # km
GEOCLIP_WIDTH = 512
"""Of the vectors that GeoCLIP makes of places."""


def is_position(latitude: float | None, longitude: float | None) -> bool:
    """Whether both are there and on the globe; NaN is not."""
    if latitude is None or longitude is None:
        return False
    return -90 <= latitude <= 90 and -180 <= longitude <= 180


def unit_vectors(degrees: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Points on the unit sphere: no seam at the date line, no crowding at the poles.

    Args:
        degrees: latitude and longitude ``[B, 2]``.

    Returns:
        ``[B, 3]``; exact to 0.4 m on the ground.
    """
    latitude, longitude = np.deg2rad(np.asarray(degrees, dtype=np.float64)).T
    parts = (
        np.cos(latitude) * np.cos(longitude),
        np.cos(latitude) * np.sin(longitude),
        np.sin(latitude),
    )
    return np.stack(parts, axis=-1).astype(np.float32)
