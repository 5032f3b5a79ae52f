"""From a detector's probability to the published one: calibrated, with the cut at 0.5."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from workzone.decide.log_odds import Doubles, expit, log_expit, logit
from workzone.decide.share import BALANCED, check_share, prior_step
from workzone.decide.threshold import HALF, Probabilities, map_to_half
from workzone.errors import UsageError

CLOSEST_TO_CERTAIN = 1e-6
"""Probabilities are kept this far from 0 and 1."""
_FURTHEST = 100.0  # log-odds before calibration, where curves end
_HALVINGS = 60  # of the interval that a cut lies in: to the last digit

MethodName = Literal["temperature", "platt", "beta", "isotonic"]
METHODS: tuple[MethodName, ...] = get_args(MethodName)
"""Ways to calibrate, the simplest first."""


@dataclass(frozen=True)
class Calibration:
    """A monotone map of log-odds x: ``sigmoid(curve(x) - curve(logit threshold) + shift)``.

    The curve is ``slope * x`` (temperature, Platt), ``slope * log p - slope_of_none * log(1 - p)``
    (beta), or straight lines between ``knots`` that go on with ``slope`` beyond them (isotonic).
    """

    threshold: float = 0.5  # is sent to 0.5, where nothing is shifted; in (0, 1)
    slope: float = 1.0  # above 0; above 1: the detector was too timid
    share: float | None = BALANCED  # of road work, among the images that the results hold for
    shift: float = 0.0  # in log-odds: what another share than that of the cut gives or takes
    method: MethodName = "temperature"  # by which it was fitted
    slope_of_none: float | None = None  # above 0, of beta; None: a straight line
    knots: tuple[tuple[float, float], ...] = ()  # log-odds before and after, both rising

    def __post_init__(self) -> None:
        if not (0 < self.threshold < 1 and 0 < self.slope < math.inf):
            raise UsageError(
                f"a calibration has a threshold between 0 and 1 and a slope above 0: got {self}"
            )
        if not math.isfinite(self.shift):
            raise UsageError(f"a calibration's shift is a finite number: got {self}")
        if self.slope_of_none is not None and not 0 < self.slope_of_none < math.inf:
            raise UsageError(f"a calibration's slope_of_none is above 0: got {self}")
        knots = np.array(self.knots, np.float64).reshape(-1, 2)
        if not np.isfinite(knots).all() or (np.diff(knots, axis=0) <= 0).any():
            raise UsageError(f"a calibration's knots are finite numbers that rise: got {self}")
        if self.share is not None:
            check_share(self.share)

    @property
    def straight(self) -> bool:
        """Whether the curve is one straight line."""
        return self.slope_of_none is None and not self.knots

    def curve(self, log_odds: npt.ArrayLike) -> Doubles:
        """Log-odds after calibration, but for a constant, of those before; rises."""
        x: Doubles = np.asarray(log_odds, np.float64)
        if self.straight:
            line: Doubles = self.slope * x
            return line
        x = np.clip(x, -_FURTHEST, _FURTHEST)
        if self.slope_of_none is not None:
            curved: Doubles = self.slope * log_expit(x) - self.slope_of_none * log_expit(-x)
            return curved
        before, after = np.array(self.knots).T
        inside: Doubles = np.interp(x, before, after)
        beyond = np.minimum(x - before[0], 0) + np.maximum(x - before[-1], 0)
        lines: Doubles = inside + self.slope * beyond
        return lines

    @property
    def cut(self) -> float:
        """The log-odds, before calibration, above which an image is road work."""
        at_threshold = float(logit(self.threshold))
        if self.straight:
            return at_threshold - self.shift / self.slope
        wanted = float(self.curve(at_threshold)) - self.shift
        low, high = -_FURTHEST, _FURTHEST
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.curve(middle) <= wanted else (low, middle)
        return (low + high) / 2

    def at_share(self, share: float) -> Calibration:
        """The same evidence, for images of which another share shows road work.

        Raises:
            UsageError: not above 0 and below 1, or it is not known for which share this one holds.
        """
        if self.share is None:
            raise UsageError(
                "this model was made before a chosen cut told the share of road work that it "
                "fits, so it cannot be moved to another one: train again, or leave --share out"
            )
        shift = self.shift + prior_step(share, self.share)
        return dataclasses.replace(self, share=share, shift=shift)

    def apply(self, probabilities: npt.ArrayLike) -> Probabilities:
        """Map probabilities of any shape; always finite, within 1e-6..1-1e-6.

        Where nothing is shifted, one ends above 0.5 if and only if it was above the threshold.
        """
        at_half = map_to_half(probabilities, self.threshold)
        with np.errstate(divide="ignore"):
            if self.straight:
                log_odds = self.slope * logit(at_half) + self.shift
            else:
                at_threshold = self.curve(logit(self.threshold))
                log_odds = self.curve(logit(probabilities)) - at_threshold + self.shift
        scaled = np.clip(expit(log_odds), CLOSEST_TO_CERTAIN, 1 - CLOSEST_TO_CERTAIN)
        above = at_half > HALF if self.shift == 0 else log_odds > 0  # decided before rounding
        decided: Probabilities = np.where(
            above, np.maximum(scaled, np.nextafter(HALF, 1)), np.minimum(scaled, HALF)
        )
        return decided


def apply_where_known(
    calibration: Calibration,
    probabilities: npt.ArrayLike,
    *,
    known: npt.NDArray[np.bool_],
    otherwise: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Calibrated probabilities with metadata; of the image alone where nothing is known.

    Args:
        calibration: of probabilities with metadata.
        probabilities: ``[B]`` with metadata, as the detector gives them.
        known: bool ``[B]``, whether anything is.
        otherwise: ``[B]``, calibrated probabilities of the image alone.
    """
    return np.where(known, calibration.apply(probabilities), otherwise)
