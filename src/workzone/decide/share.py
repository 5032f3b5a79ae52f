"""How common road work is where images come from, and what that does to probabilities.

A calibrated probability holds for one share of road work among images. Elsewhere the evidence is
the same and the prior is not: where one frame in fifty shows road work, a picture that spoke for it
by two to one does so no longer. By Bayes' rule the odds change by the ratio of the prior odds, and
the new share can be found from unlabelled images (Saerens, Latinne & Decaestecker, "Adjusting the
outputs of a classifier to new a priori probabilities: a simple procedure", Neural Computation
14(1), 2002).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workzone.decide.log_odds import Doubles, expit, logit
from workzone.errors import UsageError

BALANCED = 0.5
"""The share at which both classes are alike."""

_HALVINGS = 60  # of the interval that the share lies in: to the last digit


def check_share(share: float) -> float:
    """The same share.

    Raises:
        UsageError: it is not above 0 and below 1.
    """
    if not 0 < share < 1:
        raise UsageError(
            f"share {share}: give the share of images with road work as a number above 0 and "
            "below 1, such as 0.05"
        )
    return share


def prior_step(share: float, assumed: float) -> float:
    """What log-odds that hold for one share, ``assumed``, gain where another one holds."""
    return float(logit(check_share(share)) - logit(check_share(assumed)))


def estimate_share(probabilities: npt.ArrayLike, *, assumed: float = BALANCED) -> float:
    """The likeliest share of road work among unlabelled images, in (0, 1).

    Where the mean of the probabilities at a share is that share: where expectation-maximisation,
    which takes the mean as the next share, ends. The likelihood is concave, so there is one such
    share, and halving an interval finds it. Two images are thought of besides, one of each class,
    so that few images, or many of one kind, are not taken for certainty (Laplace's rule of
    succession).

    Args:
        probabilities: ``[B]`` in 0..1, calibrated for the share ``assumed``.
        assumed: that share.

    Raises:
        UsageError: no image, a probability out of range, or a share out of range.
    """
    given = np.asarray(probabilities, dtype=np.float64)
    if not given.size:
        raise UsageError("the share of road work cannot be estimated from no image at all")
    if not ((given >= 0) & (given <= 1)).all():  # NaN is in no range
        raise UsageError("the share of road work needs probabilities from 0 to 1, and none missing")
    with np.errstate(divide="ignore"):
        evidence: Doubles = logit(given)
    low, high = 1 / (given.size + 2), (given.size + 1) / (given.size + 2)
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        told = expit(evidence + prior_step(share, assumed))
        if (told.sum() + 1) / (given.size + 2) > share:
            low = share
        else:
            high = share
    return (low + high) / 2
