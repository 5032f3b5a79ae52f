"""What NATIX StreetVision (Bittensor subnet 72) pays for answers.

The reward of one answer is ``(max(0, MCC) / 2 + accuracy / 2) ** 3``, MCC over the last 100
challenges and accuracy over the last 10, this one included (``natix/validator/reward.py`` and
``miner_performance_tracker.py`` in the package natix 2.0.4,
github.com/natixnetwork/streetvision-subnet).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import comb
from scipy.stats import hypergeom

from workzone.decide.threshold import matthews
from workzone.errors import UsageError

MCC_WINDOW = 100
ACCURACY_WINDOW = 10
EXPONENT = 3
NO_ANSWER = -1.0

_Floats = npt.NDArray[np.float64]


def reward(labels: npt.ArrayLike, answers: npt.ArrayLike) -> float:
    """The reward of the last answer of a history.

    An answer of -1 means that none came: it takes its place in the windows without counting in
    them. Answers are rounded to the nearest whole number, so 0.5 is none. MCC is 0 until both
    classes occur among labels and answers. An answer that is not finite, or that rounds to neither
    0 nor 1, makes the figures of its windows fail: they are 0 until it has left them.

    Args:
        labels: ``[T]``, 1 road work, 0 none, oldest first.
        answers: ``[T]``, probabilities of road work.

    Returns:
        0..1; 0 where the last answer is -1 or lies outside 0..1.

    Raises:
        UsageError: no answers, or not one label per answer.
    """
    truth, given = np.asarray(labels, np.float64), np.asarray(answers, np.float64)
    if truth.ndim != 1 or truth.shape != given.shape or not len(truth):
        raise UsageError(
            f"labels of shape {truth.shape} and answers of shape {given.shape}: give one label "
            "per answer, and at least one"
        )
    if given[-1] < 0 or given[-1] > 1:
        return 0.0
    mcc, _ = _figures(truth[-MCC_WINDOW:], given[-MCC_WINDOW:])
    _, accuracy = _figures(truth[-ACCURACY_WINDOW:], given[-ACCURACY_WINDOW:])
    return (0.5 * mcc + 0.5 * accuracy) ** EXPONENT


def _figures(truth: _Floats, given: _Floats) -> tuple[float, float]:
    """MCC, not below 0, and accuracy of one window."""
    came = given != NO_ANSWER
    truth, rounded = truth[came], np.round(given[came])
    if not len(truth) or not np.isin(rounded, (0, 1)).all():
        return 0.0, 0.0
    said, is_work = rounded == 1, truth == 1
    mcc = matthews(
        tp=np.sum(said & is_work),
        fp=np.sum(said & ~is_work),
        fn=np.sum(~said & is_work),
        tn=np.sum(~said & ~is_work),
    )
    return max(0.0, float(mcc)), float(np.mean(said == is_work))


def expected_reward(recall: npt.ArrayLike, specificity: npt.ArrayLike) -> _Floats:
    """The mean reward of an answerer with full windows, exactly.

    Challenges are independent; each shows road work with probability 1/2 and is answered rightly
    with the probability ``recall`` if it does and ``specificity`` if not. All numbers of images
    and of right answers among 100 are summed over with their probabilities; given the right
    answers among the 100, those among the last 10 are hypergeometric, as every order is equally
    likely.

    Args:
        recall: ``[R]`` or a number, 0..1.
        specificity: of the same shape, 0..1.

    Returns:
        Of the same shape, 0..1; NaN where one of them is NaN.

    Raises:
        UsageError: a value outside 0..1.
    """
    right_1, right_0 = np.broadcast_arrays(
        np.asarray(recall, np.float64), np.asarray(specificity, np.float64)
    )
    for name, values in (("recall", right_1), ("specificity", right_0)):
        outside = values[(values < 0) | (values > 1)]
        if outside.size:
            raise UsageError(f"{name} {outside.flat[0]} is not a share from 0 to 1")
    powers_1, powers_0 = _powers(right_1.ravel()), _powers(right_0.ravel())
    total = np.zeros(right_1.size)
    for positives, table in enumerate(_reward_tables()):
        share = comb(MCC_WINDOW, positives) / 2**MCC_WINDOW
        found = _binomial(*powers_1, positives)  # [R, positives + 1]
        passed = _binomial(*powers_0, MCC_WINDOW - positives)
        total += share * ((found @ table) * passed).sum(axis=1)
    return total.reshape(right_1.shape)


def _powers(share: _Floats) -> tuple[_Floats, _Floats]:
    """``share ** k`` and ``(1 - share) ** k`` for k = 0..100, each ``[R, 101]``."""
    exponents = np.arange(MCC_WINDOW + 1)
    return share[:, None] ** exponents, (1 - share[:, None]) ** exponents


def _binomial(right: _Floats, wrong: _Floats, count: int) -> _Floats:
    """Probabilities ``[R, count + 1]`` of 0..count right answers among ``count``."""
    successes = np.arange(count + 1)
    probabilities: _Floats = comb(count, successes) * right[:, : count + 1] * wrong[:, count::-1]
    return probabilities


@lru_cache(maxsize=1)
def _reward_tables() -> list[_Floats]:
    """For 0..100 images with road work: mean reward by images found and images rightly passed."""
    last = np.arange(ACCURACY_WINDOW + 1)
    right = np.arange(MCC_WINDOW + 1)
    right_among_last = hypergeom.pmf(last, MCC_WINDOW, right[:, None], ACCURACY_WINDOW)
    tables = []
    for positives in range(MCC_WINDOW + 1):
        negatives = MCC_WINDOW - positives
        found = np.arange(positives + 1)[:, None]
        passed = np.arange(negatives + 1)[None]
        mcc = matthews(tp=found, fp=negatives - passed, fn=positives - found, tn=passed)
        paid = (0.5 * mcc.clip(min=0)[..., None] + 0.5 * last / ACCURACY_WINDOW) ** EXPONENT
        tables.append((right_among_last[found + passed] * paid).sum(axis=-1))
    return tables
