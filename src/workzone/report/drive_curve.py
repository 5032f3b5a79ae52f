"""The probability of road work along a video, with the place where it is now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from workzone.decide.threshold import HALF
from workzone.report.captions import DARK, LIGHT, decision_colour

Doubles = npt.NDArray[np.float64]

GREY = (120, 126, 136)
_GRID = (58, 62, 70)
_FINE = 2
"""Lines are drawn so many times as large, and made smooth by shrinking."""
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400)
_MOST_TICKS = 8


class Curve:
    """A curve that is drawn once, and marked for each picture."""

    def __init__(
        self,
        seconds: Doubles,
        probabilities: Doubles,
        smoothed: Doubles,
        size: tuple[int, int],
        *,
        text_size: int,
        gap: float,
    ) -> None:
        """Draw it.

        Args:
            seconds: ``[n]`` of the video, rising.
            probabilities: ``[n]`` of each frame alone, 0..1.
            smoothed: ``[n]`` with its neighbours, 0..1.
            size: width and height in pixels.
            text_size: in pixels.
            gap: seconds; across a longer time without a frame no line is drawn.
        """
        self.size = size
        margin = round(text_size * 0.8)
        self._left, self._right = round(text_size * 2.4), size[0] - 1 - margin
        self._top, self._bottom = round(text_size * 1.7), size[1] - 1 - round(text_size * 1.6)
        self._first = float(seconds[0])
        self._span = max(float(seconds[-1]) - self._first, 1e-6)
        self._values = smoothed
        self._seconds = seconds
        self._radius = max(3, text_size // 4)
        self._base = self._lines(probabilities, gap)
        self._write(text_size)

    def at(self, number: int) -> Image.Image:
        """The curve with a mark at one of the frames."""
        picture = self._base.copy()
        draw = ImageDraw.Draw(picture)
        x, y = self._point(float(self._seconds[number]), float(self._values[number]))
        draw.line([(round(x), self._top), (round(x), self._bottom)], fill=LIGHT, width=2)
        r = self._radius
        colour = decision_colour(float(self._values[number]))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour, outline=LIGHT, width=2)
        return picture

    def _point(self, second: float, value: float) -> tuple[float, float]:
        x = self._left + (second - self._first) / self._span * (self._right - self._left)
        return x, self._bottom - value * (self._bottom - self._top)

    def _lines(self, probabilities: Doubles, gap: float) -> Image.Image:
        large = Image.new("RGB", (self.size[0] * _FINE, self.size[1] * _FINE), DARK)
        draw = ImageDraw.Draw(large)

        def fine(second: float, value: float) -> tuple[float, float]:
            x, y = self._point(second, value)
            return x * _FINE, y * _FINE

        start, end = self._first, self._first + self._span
        for value in (0.0, HALF, 1.0):
            draw.line([fine(start, value), fine(end, value)], fill=_GRID, width=_FINE)
        for rows in _runs(self._seconds, gap):
            own = [fine(self._seconds[row], probabilities[row]) for row in rows]
            if len(own) > 1:
                draw.line(own, fill=GREY, width=_FINE, joint="curve")
            points = _with_crossings(
                [(float(self._seconds[row]), float(self._values[row])) for row in rows]
            )
            for one, two in pairwise(points):
                colour = decision_colour(max(one[1], two[1]))
                draw.line([fine(*one), fine(*two)], fill=colour, width=3 * _FINE, joint="curve")
        return large.resize(self.size, Image.Resampling.BOX)

    def _write(self, text_size: int) -> None:
        draw = ImageDraw.Draw(self._base)
        font = ImageFont.load_default(text_size)
        middle = self._top / 2
        title = "probability of road work: "
        draw.text((self._left, middle), title, font=font, fill=LIGHT, anchor="lm")
        x = self._left + draw.textlength(title, font=font)
        draw.text((x, middle), "each frame", font=font, fill=GREY, anchor="lm")
        x += draw.textlength("each frame", font=font)
        draw.text((x, middle), ", all together", font=font, fill=LIGHT, anchor="lm")
        for value in (0.0, HALF, 1.0):
            at = (self._left - text_size * 0.5, self._point(self._first, value)[1])
            draw.text(at, f"{value:g}", font=font, fill=GREY, anchor="rm")
        for second in ticks(self._first, self._first + self._span):
            x = self._point(second, 0)[0]
            draw.line([(x, self._bottom), (x, self._bottom + 3)], fill=GREY)
            half = draw.textlength(clock(second), font=font) / 2
            x = min(max(x, half), self.size[0] - half)
            at = (x, self._bottom + text_size * 0.9)
            draw.text(at, clock(second), font=font, fill=GREY, anchor="mm")


def clock(second: float) -> str:
    """A second of a video as ``1:05`` or ``1:01:05``."""
    minutes, seconds = divmod(int(second), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def ticks(first: float, last: float) -> list[float]:
    """Whole seconds that an axis tells, at most nine of them."""
    step = next((s for s in _STEPS if (last - first) / s <= _MOST_TICKS), _STEPS[-1])
    return [float(n * step) for n in range(int(-(-first // step)), int(last // step) + 1)]


def _runs(seconds: Doubles, gap: float) -> Iterator[npt.NDArray[np.intp]]:
    """Rows without a longer time between them."""
    yield from np.split(np.arange(len(seconds)), np.flatnonzero(np.diff(seconds) > gap) + 1)


def _with_crossings(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points of a line, and those where it crosses a half."""
    found = list(points[:1])
    for (x0, y0), (x1, y1) in pairwise(points):
        if (y0 > HALF) != (y1 > HALF):
            found.append((x0 + (HALF - y0) / (y1 - y0) * (x1 - x0), HALF))
        found.append((x1, y1))
    return found
