"""The way of a drive as a line, without a map behind it: north up, with a scale in metres."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from workzone.data.places import offsets
from workzone.report.captions import DARK, LIGHT, decision_colour

Doubles = npt.NDArray[np.float64]

_GROUND = (*DARK, 205)  # RGBA
_LEAST = 50.0
"""Metres across, at least: a parked car's way is no street."""
_FINE = 2


class RouteMap:
    """A map that is drawn once, and marked for each picture."""

    def __init__(
        self,
        latitude: Doubles,
        longitude: Doubles,
        smoothed: Doubles,
        side: int,
        *,
        text_size: int,
    ) -> None:
        """Draw it.

        Args:
            latitude: ``[n]`` of frames in order, degrees; NaN where it is not known, which parts
                the line. At least one is known.
            longitude: ``[n]``.
            smoothed: ``[n]``, the probability of road work there, which gives the line its colour.
            side: of the square, pixels.
            text_size: in pixels.
        """
        self.side = side
        x, y = _metres(latitude, longitude)
        widest = max(float(np.nanmax(x) - np.nanmin(x)), float(np.nanmax(y) - np.nanmin(y)))
        room = side - 4 * text_size  # for the arrow above and the scale below
        self._scale = room / max(widest, _LEAST)  # pixels of a metre
        self._x = side / 2 + (x - (np.nanmax(x) + np.nanmin(x)) / 2) * self._scale
        self._y = side / 2 - (y - (np.nanmax(y) + np.nanmin(y)) / 2) * self._scale
        self._radius = max(4, text_size // 3)
        self._base = self._line(smoothed)
        self._write(text_size)

    def at(self, number: int) -> Image.Image:
        """The map, RGBA, with a mark at the place of a frame, if that is known."""
        picture = self._base.copy()
        x, y = float(self._x[number]), float(self._y[number])
        if not math.isnan(x):
            r = self._radius
            draw = ImageDraw.Draw(picture)
            draw.ellipse((x - r, y - r, x + r, y + r), fill=LIGHT, outline=DARK, width=2)
        return picture

    def _line(self, smoothed: Doubles) -> Image.Image:
        large = Image.new("RGBA", (self.side * _FINE, self.side * _FINE), _GROUND)
        draw = ImageDraw.Draw(large)
        points = np.stack([self._x, self._y], axis=1) * _FINE
        known = ~np.isnan(self._x)
        width = 3 * _FINE
        for row in np.flatnonzero(known):
            colour = decision_colour(float(smoothed[row]))
            (x, y), r = points[row], width / 2
            draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
            if row and known[row - 1]:
                colour = decision_colour(float(smoothed[row - 1 : row + 1].max()))
                draw.line([*points[row - 1].tolist(), x, y], fill=colour, width=width)
        return large.resize((self.side, self.side), Image.Resampling.BOX)

    def _write(self, text_size: int) -> None:
        draw = ImageDraw.Draw(self._base)
        font = ImageFont.load_default(text_size)
        margin = text_size * 0.7
        x, y = self.side - margin - text_size * 0.4, margin
        half, tall = text_size * 0.35, text_size * 0.7
        draw.polygon([(x, y), (x - half, y + tall), (x + half, y + tall)], fill=LIGHT)
        draw.text((x, y + text_size * 1.3), "N", font=font, fill=LIGHT, anchor="mm")
        metres = scale_metres(self.side * 0.5 / self._scale)
        length, bottom = metres * self._scale, self.side - margin
        draw.line([(margin, bottom), (margin + length, bottom)], fill=LIGHT, width=2)
        for end in (margin, margin + length):
            draw.line([(end, bottom - 4), (end, bottom)], fill=LIGHT, width=2)
        told = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
        draw.text((margin, bottom - 6), told, font=font, fill=LIGHT, anchor="lb")


def scale_metres(longest: float) -> float:
    """The longest of 1, 2, 5, 10, 20, ... metres that is at most ``longest``, which is above 0."""
    power = 10.0 ** math.floor(math.log10(longest))
    return max(step * power for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9))


def _metres(latitude: Doubles, longitude: Doubles) -> tuple[Doubles, Doubles]:
    """Metres to the east and north of the first known place, on a plane that touches there."""
    first = int(np.flatnonzero(~np.isnan(latitude))[0])
    return offsets(longitude, latitude, longitude[first], latitude[first])
