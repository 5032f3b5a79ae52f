"""How the probabilities of several models become one, and how far apart they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from workzone.decide.log_odds import Doubles, expit, logit
from workzone.errors import UsageError, nearest

AverageName = Literal["log-odds", "probability"]

_CLOSEST_TO_CERTAIN = 1e-12
_TOLERANCE = 1e-6  # of the weights' sum


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """A weighted mean of members' calibrated probabilities, or of their log-odds."""

    weights: tuple[float, ...]  # of the members, 0 or more, sum 1
    average: AverageName = "log-odds"

    def __post_init__(self) -> None:
        mistakes = []
        if not self.weights or not all(weight >= 0 for weight in self.weights):
            mistakes.append(f"weights={self.weights}, allowed: numbers from 0 on")
        elif not abs(sum(self.weights) - 1) <= _TOLERANCE:
            mistakes.append(f"weights={self.weights} come to {sum(self.weights)}, not to 1")
        if self.average not in get_args(AverageName):
            hint = nearest(str(self.average), get_args(AverageName))
            mistakes.append(f"average={self.average!r} is not known; {hint}")
        if mistakes:
            raise UsageError(f"mixture: {'; '.join(mistakes)}")

    def apply(self, probabilities: npt.ArrayLike) -> Doubles:
        """One probability of those of the members.

        Args:
            probabilities: ``[..., M]``, 0..1, in the members' order.

        Returns:
            ``[...]``, 0..1.

        Raises:
            UsageError: another number of members, or a value that is no probability.
        """
        given = _checked(probabilities, len(self.weights))
        weights = np.array(self.weights)
        if self.average == "probability":
            return np.asarray(given @ weights)
        clipped = np.clip(given, _CLOSEST_TO_CERTAIN, 1 - _CLOSEST_TO_CERTAIN)
        return expit(logit(clipped) @ weights)

    def disagreement(self, probabilities: npt.ArrayLike) -> Doubles:
        """How far members are from each other: the weighted standard deviation, 0..0.5.

        Args:
            probabilities: ``[..., M]``, 0..1; a member without weight has no say.

        Raises:
            UsageError: as :meth:`apply`.
        """
        given, weights = _checked(probabilities, len(self.weights)), np.array(self.weights)
        mean = given @ weights
        return np.asarray(np.sqrt(np.square(given - mean[..., None]) @ weights))


def _checked(probabilities: npt.ArrayLike, members: int) -> Doubles:
    given = np.asarray(probabilities, np.float64)
    if given.ndim == 0 or given.shape[-1] != members:
        raise UsageError(
            f"probabilities of shape {list(given.shape)}: the last number must be {members}, one "
            "of each member"
        )
    if not ((given >= 0) & (given <= 1)).all():  # NaN is in no range
        raise UsageError("a member gave a probability that is not a number in 0..1")
    return given
