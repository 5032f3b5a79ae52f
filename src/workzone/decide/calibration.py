"""From a detector's probability to the published one: calibrated, with the cut at 0.5."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workzone.decide.log_odds import Doubles, expit, log_expit, logit
from workzone.decide.share import BALANCED, check_share, prior_step
from workzone.decide.threshold import (
    HALF,
    Probabilities,
    Threshold,
    check_scores,
    choose_threshold,
    map_to_half,
)
from workzone.errors import UsageError

_LOG_SCALE_BOUNDS = (-2.0, 2.0)  # the slope stays between 0.14 and 7.4
_CLOSEST_TO_CERTAIN = 1e-6  # probabilities are kept this far from 0 and 1


@dataclass(frozen=True)
class Calibration:
    """A monotone map: ``sigmoid(slope * (logit p - logit threshold) + shift)``."""

    threshold: float = 0.5  # is sent to 0.5, where nothing is shifted; in (0, 1)
    slope: float = 1.0  # above 0; above 1: the detector was too timid
    share: float | None = BALANCED  # of road work, among the images that the results hold for
    shift: float = 0.0  # in log-odds: what another share than that of the cut gives or takes

    def __post_init__(self) -> None:
        if not (0 < self.threshold < 1 and 0 < self.slope < math.inf):
            raise UsageError(
                f"a calibration has a threshold between 0 and 1 and a slope above 0: got {self}"
            )
        if not math.isfinite(self.shift):
            raise UsageError(f"a calibration's shift is a finite number: got {self}")
        if self.share is not None:
            check_share(self.share)

    @property
    def cut(self) -> float:
        """The log-odds, before calibration, above which an image is road work."""
        return float(logit(self.threshold)) - self.shift / self.slope

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
            log_odds = self.slope * logit(at_half) + self.shift
        scaled = np.clip(expit(log_odds), _CLOSEST_TO_CERTAIN, 1 - _CLOSEST_TO_CERTAIN)
        above = at_half > HALF if self.shift == 0 else log_odds > 0  # decided before rounding
        decided: Probabilities = np.where(
            above, np.maximum(scaled, np.nextafter(HALF, 1)), np.minimum(scaled, HALF)
        )
        return decided


def fit_calibration(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, choose_cut: bool = True
) -> tuple[Calibration, Threshold]:
    """Choose the cut for MCC, then the slope for likelihood, on validation rows.

    The slope is temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", ICML
    2017) about the cut; where the cut was kept for lack of rows, the slope is kept at 1 too. 0.5
    holds for balanced classes; a cut that was chosen, for the share from which Bayes' rule leads to
    as much road work as there is among these rows: the best MCC is not where odds are even.

    Args:
        labels: ``[B]``, 1 road work, 0 none; validation rows, never test rows.
        probabilities: ``[B]`` in 0..1.
        choose_cut: False keeps 0.5 and chooses the slope alone.
    """
    truth, scores = check_scores(labels, probabilities)
    threshold = choose_threshold(truth, scores)
    if threshold.guarded:
        return Calibration(threshold.value, 1.0), threshold
    if not choose_cut:
        threshold = dataclasses.replace(
            threshold,
            value=HALF,
            mcc_at_value=threshold.mcc_at_half,
            guarded=True,
            reason=f"0.5 is kept, as choose_cut: false asks; {threshold.reason}",
        )
    clipped = np.clip(scores, _CLOSEST_TO_CERTAIN, 1 - _CLOSEST_TO_CERTAIN)
    distance = np.where(truth == 1, 1, -1) * (logit(clipped) - logit(threshold.value))

    def loss(log_slope: float) -> float:
        return -float(log_expit(np.exp(log_slope) * distance).mean())

    from scipy.optimize import minimize_scalar  # a second of every start, were it at the top

    best = minimize_scalar(loss, bounds=_LOG_SCALE_BOUNDS, method="bounded")
    slope = float(np.exp(best.x))
    evidence = slope * (logit(clipped) - logit(threshold.value))
    share = _share_behind(evidence, float(truth.mean())) if choose_cut else BALANCED
    return Calibration(threshold.value, slope, share), threshold


def _share_behind(evidence: Doubles, share: float) -> float:
    """The share that log-odds hold for which, moved to ``share``, have it as their mean."""
    from scipy.optimize import brentq

    far = float(np.abs(evidence).max()) + abs(float(logit(share))) + 1
    step = brentq(lambda moved: float(expit(evidence + moved).mean()) - share, -far, far)
    behind = float(expit(logit(share) - step))
    return min(max(behind, _CLOSEST_TO_CERTAIN), 1 - _CLOSEST_TO_CERTAIN)


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
