"""One picture of an annotated video: frame, decision, curve below, map in a corner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from workzone.decide.threshold import HALF
from workzone.report.answer import shown_probability
from workzone.report.captions import DARK, LIGHT, decision_colour, outline_boxes
from workzone.report.drive_curve import GREY, Curve, clock
from workzone.report.drive_map import RouteMap
from workzone.types import Box

WIDEST = 1280
"""Pixels of the frame's longer side, at most: an annotated video is no larger."""
_SHORTEST, _NARROWEST = 640, 480  # of the longer side of the frame, and of the picture's width
_STRONGEST = "strongest evidence"


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame that was scored."""

    seconds: float  # of the video
    probability: float  # of the frame alone, 0..1
    smoothed: float  # with its neighbours, 0..1
    box: Box  # where the evidence is strongest
    time: datetime | None = None  # UTC
    latitude: float = float("nan")  # degrees; NaN where it is not known
    longitude: float = float("nan")


class DrivePictures:
    """The pictures of one video; what stays the same is drawn once."""

    def __init__(self, moments: Sequence[Moment], shape: tuple[int, int], *, gap: float) -> None:
        """Set them out.

        Args:
            moments: of the video, in order, at least one.
            shape: height and width of its frames, pixels.
            gap: seconds; across a longer time without a frame the curve has no line.
        """
        self._moments = moments
        height, width = shape
        longer = max(height, width)
        scale = min(max(longer, _SHORTEST), WIDEST) / longer
        self._frame = (_even(width * scale), _even(height * scale))
        across = max(self._frame[0], _NARROWEST)
        self._text = min(22, max(13, across // 52))
        self._strip = round(self._text * 2.4)
        seconds, own, smoothed, latitude, longitude = (
            np.array([getattr(moment, name) for moment in moments], dtype=np.float64)
            for name in ("seconds", "probability", "smoothed", "latitude", "longitude")
        )
        below = (across, round(self._text * 8))
        small = max(12, round(self._text * 0.8))
        self._curve = Curve(seconds, own, smoothed, below, text_size=small, gap=gap)
        self._map: RouteMap | None = None
        if not np.isnan(latitude).all():
            side = min(round(across * 0.22), round(self._frame[1] * 0.42))
            self._map = RouteMap(latitude, longitude, smoothed, side, text_size=small)
        self.size = (across, _even(self._frame[1] + self._strip + below[1]))

    def draw(self, frame: npt.NDArray[np.uint8], number: int) -> Image.Image:
        """The picture of a moment.

        Args:
            frame: ``[H, W, 3]``, upright RGB.
            number: of the moment.

        Returns:
            RGB of `size`, whose sides are even.
        """
        moment = self._moments[number]
        picture = Image.fromarray(frame).resize(self._frame, Image.Resampling.BICUBIC)
        if moment.probability > HALF:
            outline_boxes(picture, np.array([moment.box]), [_STRONGEST], text_size=self._text)
        if self._map is not None:
            inset = self._map.at(number)
            margin = self._text // 2
            picture.paste(inset, (self._frame[0] - inset.width - margin, margin), inset)
        canvas = Image.new("RGB", self.size, DARK)
        canvas.paste(picture, ((self.size[0] - self._frame[0]) // 2, 0))
        self._say(canvas, moment)
        canvas.paste(self._curve.at(number), (0, self._frame[1] + self._strip))
        return canvas

    def _say(self, canvas: Image.Image, moment: Moment) -> None:
        """The decision at the left of the strip, the time at its right."""
        draw = ImageDraw.Draw(canvas)
        top, colour = self._frame[1], decision_colour(moment.probability)
        middle, margin = top + self._strip / 2, round(self._text * 0.8)
        draw.rectangle((0, top, margin // 2, top + self._strip - 1), fill=colour)
        said = "road work" if moment.probability > HALF else "no road work"
        said = f"{said} {shown_probability(moment.probability)}"
        large = ImageFont.load_default(round(self._text * 1.3))
        draw.text((1.5 * margin, middle), said, font=large, fill=colour, anchor="lm")
        font = ImageFont.load_default(self._text)
        right = self.size[0] - margin
        draw.text((right, middle), clock(moment.seconds), font=font, fill=LIGHT, anchor="rm")
        if moment.time is not None:
            right -= round(draw.textlength(f"{clock(moment.seconds)}  ", font=font))
            told = f"{moment.time:%Y-%m-%d %H:%M:%S} UTC"
            draw.text((right, middle), told, font=font, fill=GREY, anchor="rm")


def _even(pixels: float) -> int:
    """The nearest even number: video codecs take no other sides."""
    return max(2, 2 * round(pixels / 2))
