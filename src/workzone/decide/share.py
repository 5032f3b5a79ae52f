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

_STEPS = 1000
_CLOSE = 1e-6  # a step that moves the share by less is the last


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

    Expectation-maximisation: each image's probability at the share so far, then their mean as the
    next share. Two images are thought of besides, one of each class, so that few images, or many of
    one kind, are not taken for certainty (Laplace's rule of succession).

    Args:
        probabilities: ``[B]`` in 0..1, calibrated for the share ``assumed``.
        assumed: that share.

    Raises:
        UsageError: no image, or a share out of range.
    """
    given = np.asarray(probabilities, dtype=np.float64)
    if not given.size:
        raise UsageError("the share of road work cannot be estimated from no image at all")
    with np.errstate(divide="ignore"):
        evidence: Doubles = logit(given)
    share = check_share(assumed)
    for _ in range(_STEPS):
        told = expit(evidence + prior_step(share, assumed))
        found = float((told.sum() + 1) / (given.size + 2))
        if abs(found - share) < _CLOSE:
            break
        share = found
    return found
