"""Test-time augmentation: of several looks at an image, some are chosen and averaged.

``surest``: predictions with the lowest entropy, their log-odds averaged (Shu et al., "Test-Time
Prompt Tuning for Zero-Shot Generalization in Vision-Language Models", NeurIPS 2022, arXiv
2209.07511, section 3.2: confidence selection; nothing is tuned here).

``familiar``: those whose penultimate vector is nearest to what the model learned from, the image
itself always among them, weighed by ``softmax(-z / temperature)`` of that distance, probabilities
averaged (filtering out-of-distribution samples; the distance is that of Lee et al., NeurIPS 2018,
arXiv 1807.03888).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from workzone.decide.log_odds import Doubles, expit, logit
from workzone.errors import UsageError, nearest

ChooseName = Literal["surest", "familiar"]
LooksName = Literal["all", "surest", "familiar"]

MOST_COPIES = 64
FIRST = 4
"""Looks after which an early exit is thought of, the image itself among them."""
_CLOSEST_TO_CERTAIN = 1e-12
"""Probabilities are kept this far from 0 and 1, where log-odds end."""


@dataclass(frozen=True, kw_only=True)
class TestTimeConfig:
    """Several looks at an image, of which some decide."""

    __test__ = False  # pytest takes the name for a test's

    copies: int = 4  # augmented copies beside the image itself, 1 to 64
    keep: float = 0.5  # share of the predictions that is averaged, above 0 to 1
    choose: ChooseName = "surest"  # which of them; familiar: those nearest to training
    temperature: float = 1.0  # of the weights of familiar ones, above 0; large: all alike
    margin: float = 0.0  # log-odds beyond the cut at which the first 4 looks decide; 0: never

    def __post_init__(self) -> None:
        mistakes = []
        if not 1 <= self.copies <= MOST_COPIES:
            mistakes.append(f"copies={self.copies}, allowed: 1 to {MOST_COPIES}")
        if not 0 < self.keep <= 1:  # NaN is in no range
            mistakes.append(f"keep={self.keep}, allowed: above 0 to 1")
        if self.choose not in get_args(ChooseName):
            hint = nearest(str(self.choose), get_args(ChooseName))
            mistakes.append(f"choose={self.choose!r} is not known; {hint}")
        if not 0 < self.temperature < math.inf:
            mistakes.append(f"temperature={self.temperature}, allowed: above 0")
        if not 0 <= self.margin < math.inf:
            mistakes.append(f"margin={self.margin}, allowed: 0 and more")
        if mistakes:
            raise UsageError(f"test_time: {'; '.join(mistakes)}")

    @property
    def kept(self) -> int:
        """How many of the ``1 + copies`` predictions are averaged, rounded up."""
        return math.ceil(self.keep * (1 + self.copies))

    @property
    def first(self) -> int:
        """Looks that are judged at first; all of them where there is no early exit."""
        return min(FIRST, 1 + self.copies) if self.margin else 1 + self.copies

    def by(self, looks: str) -> TestTimeConfig:
        """The same by other looks: all alike, the surest half, or the nearest 80 % to training.

        Raises:
            UsageError: another word.
        """
        if looks not in get_args(LooksName):
            raise UsageError(
                f"looks {looks!r} are not known; {nearest(looks, get_args(LooksName))}"
            )
        if looks == "familiar":
            return dataclasses.replace(self, choose="familiar", keep=0.8)
        return dataclasses.replace(self, choose="surest", keep=1.0 if looks == "all" else 0.5)

    def of_first(self) -> TestTimeConfig:
        """The same of the first looks alone."""
        if self.first == 1 + self.copies:
            return dataclasses.replace(self, margin=0.0)
        return dataclasses.replace(self, copies=self.first - 1, margin=0.0)


def settled(
    probabilities: npt.ArrayLike, config: TestTimeConfig, cut: float
) -> npt.NDArray[np.bool_]:
    """Whether the first looks agree, each further from the cut than the margin.

    Args:
        probabilities: ``[..., L]`` before calibration, of at least the first looks.
        config: with the margin; without one nothing is settled.
        cut: log-odds before calibration above which an image is road work.

    Returns:
        bool ``[...]``.
    """
    beyond = _odds(probabilities)[..., : config.first] - cut
    agree = (beyond > config.margin).all(axis=-1) | (beyond < -config.margin).all(axis=-1)
    return np.asarray(agree & (config.margin > 0))


def combine_looks(
    probabilities: npt.ArrayLike,
    config: TestTimeConfig,
    *,
    cut: float = 0.0,
    distances: npt.ArrayLike | None = None,
) -> Doubles:
    """One probability of several looks.

    Args:
        probabilities: ``[..., 1 + copies]`` before calibration, 0..1, the image itself first.
        config: which looks are kept, and what they weigh.
        cut: log-odds before calibration above which an image is road work, for an early exit.
        distances: of the same shape, from training: what `Familiarity.score` gives; for
            ``familiar``.

    Returns:
        ``[...]``, before calibration. Where the first looks settle it, of those alone.

    Raises:
        UsageError: ``familiar`` without distances, or one that is not a finite number.
    """
    given = np.asarray(probabilities, np.float64)
    apart = None if distances is None else np.asarray(distances, np.float64)
    mean = confident_mean if config.choose == "surest" else _familiar_mean
    found = mean(given, config, apart)
    if not config.margin:
        return found
    part = slice(0, config.first)
    early = mean(given[..., part], config.of_first(), None if apart is None else apart[..., part])
    return np.where(settled(given, config, cut), early, found)


def confident_mean(
    probabilities: npt.ArrayLike, config: TestTimeConfig, distances: Doubles | None = None
) -> Doubles:
    """The mean log-odds of the predictions with the lowest entropy, as a probability.

    Args:
        probabilities: ``[..., 1 + copies]`` before calibration, 0..1, the image itself first.
        config: how many are kept.
        distances: do not matter here.

    Returns:
        ``[...]``. Of equally sure predictions the first is kept; the order of the copies does
        not matter otherwise.
    """
    odds = _odds(probabilities)
    # The entropy of two classes falls with the distance of the log-odds from 0.
    surest = np.argsort(-np.abs(odds), axis=-1, kind="stable")[..., : config.kept]
    mean: Doubles = expit(np.take_along_axis(odds, surest, axis=-1).mean(axis=-1))
    return mean


def look_weights(distances: npt.ArrayLike, config: TestTimeConfig) -> Doubles:
    """What looks weigh by their distance from training: 0 for those left out, sum 1.

    The nearest ``config.kept`` are kept; the image itself takes the place of the furthest of them
    where it is none.

    Args:
        distances: ``[..., 1 + copies]``, the image itself first.
        config: how many are kept, and the temperature.

    Raises:
        UsageError: a distance that is not a finite number.
    """
    apart = np.asarray(distances, np.float64)
    if not np.isfinite(apart).all():
        raise UsageError("a look's distance from training is not a finite number")
    order = np.argsort(apart[..., 1:], axis=-1, kind="stable") + 1
    nearest_copies = order[..., : config.kept - 1]
    kept = np.zeros(apart.shape, np.bool_)
    np.put_along_axis(kept, nearest_copies, True, axis=-1)
    kept[..., 0] = True
    least = np.where(kept, apart, np.inf).min(axis=-1, keepdims=True)
    weights = np.where(kept, np.exp((least - np.where(kept, apart, least)) / config.temperature), 0)
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def _familiar_mean(
    probabilities: Doubles, config: TestTimeConfig, distances: Doubles | None
) -> Doubles:
    if distances is None or distances.shape != probabilities.shape:
        raise UsageError("test_time: choose=familiar needs a distance of each look from training")
    return np.asarray((probabilities * look_weights(distances, config)).sum(axis=-1))


def _odds(probabilities: npt.ArrayLike) -> Doubles:
    return logit(np.clip(probabilities, _CLOSEST_TO_CERTAIN, 1 - _CLOSEST_TO_CERTAIN))
