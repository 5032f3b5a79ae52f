"""The light that cut-outs are rendered in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CLEAR = ("clear-ahead", "clear-side", "clear-behind")
OVERCAST = "overcast"
CONDITIONS = (*CLEAR, OVERCAST)
"""Names of lights. A clear day's sun stands to the right, ahead of the viewer, beside or behind."""


@dataclass(frozen=True, slots=True)
class Sun:
    """Where the sun stands, degrees: ``azimuth`` from straight ahead to the right."""

    azimuth: float
    elevation: float
    turbidity: float

    @property
    def direction(self) -> tuple[float, float, float]:
        """Towards the sun."""
        turn, up = math.radians(self.azimuth), math.radians(self.elevation)
        return math.sin(turn) * math.cos(up), math.cos(turn) * math.cos(up), math.sin(up)


Sky = npt.NDArray[np.float32]
"""Radiance ``[H, W, 3]`` of all directions, from the zenith to the nadir."""
SKY_SIZE = (32, 64)
ELEVATIONS = np.radians(90 - (np.arange(SKY_SIZE[0]) + 0.5) * 180 / SKY_SIZE[0])
"""Of its rows, radians above the horizon."""

SUNS = {
    "clear-ahead": Sun(42, 38, 4.0),
    "clear-side": Sun(98, 47, 3.2),
    "clear-behind": Sun(146, 34, 3.6),
}


def overcast_sky() -> Sky:
    """Radiance of a cloudy sky above houses.

    Three times as bright at the zenith as at the horizon (the CIE's overcast sky).
    """
    up = np.sin(ELEVATIONS)
    tint = np.array([0.97, 1.0, 1.05], np.float32)
    grey = np.where(up > 0, (1 + 2 * up) / 3, 0.0)[:, None, None]
    return with_houses(np.broadcast_to(grey * tint, (*SKY_SIZE, 3)).astype(np.float32))


def with_houses(sky: Sky, sun: Sun | None = None, irradiance: Sky | None = None) -> Sky:
    """Houses, trees and gaps between them along the horizon: a street's sky ends above it.

    Args:
        sky: radiance of all directions.
        sun: those that face it are bright, and light what stands with its back to the sun.
        irradiance: ``[3]``, the sun's, of a surface that faces it.
    """
    rng = np.random.default_rng(7)
    blocks = SKY_SIZE[1] // 4
    height = np.repeat(rng.uniform(4, 24, blocks), 4)
    tone = np.repeat(rng.uniform(0.15, 0.5, blocks), 4)
    level = sky[ELEVATIONS > 0].mean(axis=(0, 1))
    houses = tone[:, None] * level * np.array([1.04, 1.0, 0.95])
    if sun is not None and irradiance is not None:
        away = (np.arange(SKY_SIZE[1]) + 0.5) * 2 * math.pi / SKY_SIZE[1]
        x, y, _ = sun.direction
        facing = np.clip(-(np.sin(away) * x + np.cos(away) * y), 0, 1)
        lit = 0.6 * tone * facing  # some stand in shade
        houses = houses + lit[:, None] * irradiance / math.pi
    low = (np.degrees(ELEVATIONS)[:, None] < height)[..., None]
    return np.where(low, houses[None], sky).astype(np.float32)
