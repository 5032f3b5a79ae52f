"""When a decision may be "I do not know", and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from workzone.decide.threshold import decision_of
from workzone.errors import UsageError, nearest
from workzone.types import DecisionName

UnsureName = Literal["off", "warn", "abstain"]
"""What is made of reasons for doubt: nothing, a warning, or the decision `unsure`."""

UNLIKE = "unlike anything it learned from"
UNDECIDED = "both answers are likely enough"
CONTRADICTED = "the members of the ensemble contradict each other"


def check_unsure(unsure: str) -> UnsureName:
    """One of `UnsureName`.

    Raises:
        UsageError: another word.
    """
    for name in get_args(UnsureName):
        if name == unsure:
            return name  # type: ignore[no-any-return]
    raise UsageError(f"unsure={unsure!r}: {nearest(unsure, get_args(UnsureName))}")


def decide(probability: float, reasons: Sequence[str], unsure: UnsureName) -> DecisionName:
    """The decision on an image.

    Args:
        probability: of road work, 0..1.
        reasons: for doubt, in words.
        unsure: what is made of them.
    """
    return "unsure" if reasons and unsure == "abstain" else decision_of(probability)
