"""What a job over many images did, in figures and words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from workzone.data.quarantine import QuarantineEntry

MOST_REASONS = 5
"""That are told, the most frequent ones."""


@dataclass(frozen=True)
class BulkSummary:
    """What a bulk job did."""

    output: Path
    quarantine: Path
    scored: int
    roadwork: int
    quarantined: int
    reasons: dict[str, int]  # the most frequent ones why not, and of how many images
    resumed: int  # results that an earlier run had left
    ignored: int  # files that were passed over
    passed_over: dict[str, int]  # the same by kind: a suffix such as .mp4, or a few words
    share: float | None = None  # of road work, as estimated; None: not asked for
    unsure: int = 0  # images on which it was not decided, of those scored
    doubts: dict[str, int] = field(default_factory=dict)  # reasons for doubt, and of how many


def refusals(codes: Counter[str]) -> str:
    """How many could not be read, and why, in a few words."""
    told = ", ".join(f"{count:,} {code}" for code, count in codes.most_common(MOST_REASONS))
    return f"{codes.total():,} could not be read: {told}"


def frequent_reasons(entries: Iterable[QuarantineEntry]) -> dict[str, int]:
    """Reasons without the names of images, most frequent first."""
    reasons = Counter(entry.reason.partition(": ")[2] or entry.reason for entry in entries)
    return dict(reasons.most_common(MOST_REASONS))
