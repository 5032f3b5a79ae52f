"""Predictions that hold for the share of road work among the images themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from workzone.decide.calibration import Calibration
from workzone.decide.share import estimate_share
from workzone.decide.threshold import decision_of
from workzone.errors import ImageError
from workzone.run.predictor import Scored
from workzone.types import DecisionName


def at_estimated_share(
    results: Sequence[tuple[str, Scored | ImageError]],
) -> tuple[list[tuple[str, Scored | ImageError]], float | None]:
    """The results with the share of road work that they speak for themselves, and that share.

    Args:
        results: of a predictor whose bundle holds for balanced classes
            (``bundle.with_share(BALANCED)``), all of them.

    Returns:
        None for the share where no image could be read.
    """
    good = [r.prediction.probability for _, r in results if isinstance(r, Scored)]
    if not good:
        return list(results), None
    share = estimate_share(good)
    calibration = Calibration().at_share(share)

    def at_share(result: Scored | ImageError) -> Scored | ImageError:
        if isinstance(result, ImageError):
            return result
        prediction = result.prediction
        values = decided(calibration, prediction.probability, prediction.decision)
        return dataclasses.replace(result, prediction=dataclasses.replace(prediction, **values))

    return [(name, at_share(result)) for name, result in results], share


def decided(calibration: Calibration, probability: float, decision: DecisionName) -> dict[str, Any]:
    """Probability and decision of a prediction after a calibration; unsure stays unsure."""
    value = float(calibration.apply(probability))
    return {
        "probability": value,
        "decision": decision if decision == "unsure" else decision_of(value),
    }
