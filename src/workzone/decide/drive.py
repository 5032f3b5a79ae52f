"""Probabilities along a drive: what its frames say together, and the segments of road work in it.

Road work comes into view and leaves it again, as a Markov chain of two states in continuous time,
so that frames may come at any distance in time. A frame's calibrated probability is evidence for
one of the states, and forward-backward (Rabiner, "A tutorial on hidden Markov models and selected
applications in speech recognition", Proceedings of the IEEE 77(2), 1989) gives the probability of
road work in each frame from all frames of the drive.

Neighbouring frames err together, so their evidence counts for less than that of as many
independent ones: it is raised to an exponent, as in a power posterior (Bissiri, Holmes & Walker,
"A general framework for updating belief distributions", JRSS B 78(5), 2016), and frames that are
closer to each other than ``together`` seconds share what one frame says.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from workzone.decide.calibration import CLOSEST_TO_CERTAIN
from workzone.decide.log_odds import Doubles, expit, logit
from workzone.decide.share import BALANCED, check_share
from workzone.decide.threshold import HALF
from workzone.errors import UsageError
from workzone.files import write_text

HOLDS = 0.3
"""A segment begins with the first frame above this, and between its frames none falls to it."""


@dataclass(frozen=True, slots=True)
class Chain:
    """How road work comes and goes along a drive, and what a frame is worth.

    The defaults were fitted on drives of drawn scenes (``docs/score/drives.md``).
    """

    entering: float = 0.02599  # times a second that road work comes into view where there is none
    leaving: float = 0.08524  # times a second that it leaves the view; both above 0
    exponent: float = 0.3538  # 0..1, of each frame's evidence
    offset: float = 1.163  # log-odds that each frame's evidence gains
    together: float = 1.0  # seconds, above 0, within which frames repeat each other
    gap: float = 30.0  # seconds, above 0; a longer time without a frame starts a drive anew

    def __post_init__(self) -> None:
        rates = (self.entering, self.leaving, self.together, self.gap)
        if not all(0 < value < math.inf for value in rates):
            raise UsageError(
                f"a chain's entering, leaving, together and gap are above 0: got {self}"
            )
        if not (0 <= self.exponent <= 1 and math.isfinite(self.offset)):
            raise UsageError(f"a chain has an exponent from 0 to 1 and a finite offset: got {self}")

    @property
    def usual(self) -> float:
        """The share of time with road work in view, of a frame of which nothing else is known."""
        return self.entering / (self.entering + self.leaving)


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a drive with road work in view."""

    first: int  # rows of the drive
    last: int
    evidence: int  # the row whose own probability is highest
    seconds: float  # from the first to the last frame
    mean: float  # of the smoothed probabilities
    peak: float  # the highest of them


def smooth(
    seconds: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    chain: Chain,
    *,
    share: float = BALANCED,
) -> Doubles:
    """Probabilities of road work in each frame, from all frames of one drive.

    Args:
        seconds: ``[n]``, times of the frames, rising; equal ones are allowed.
        probabilities: ``[n]`` in 0..1, calibrated; NaN where a frame says nothing.
        chain: see `Chain`.
        share: of road work, for which the probabilities hold.

    Returns:
        float64 ``[n]``, within 1e-6..1-1e-6; time and memory are linear in ``n``.

    Raises:
        UsageError: times that fall or are no numbers, probabilities out of range, or not as many.
    """
    times, values = _checked(seconds, probabilities)
    evidence = _evidence(times, values, chain, share)
    log_odds = _forward_backward(np.diff(times), evidence, chain)
    smoothed: Doubles = np.clip(expit(log_odds), CLOSEST_TO_CERTAIN, 1 - CLOSEST_TO_CERTAIN)
    return smoothed


def find_segments(
    seconds: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    smoothed: npt.ArrayLike,
    chain: Chain,
) -> list[Segment]:
    """Segments of one drive, in order.

    A segment has a frame above 0.5, and ends with its last such. It begins where the smoothed
    probability rose above `HOLDS`, and holds while it stays there: road work comes into view far
    away and small, and leaves it at once, and a doubtful second does not make two zones of one. The
    most probable path would need no thresholds, but it drops short zones that are likely in each of
    their frames, and has no probabilities.

    Args:
        seconds: ``[n]``, as of :func:`smooth`.
        probabilities: ``[n]``, as of :func:`smooth`.
        smoothed: ``[n]``, what it gave.
        chain: whose ``gap`` ends a segment.
    """
    times, values = _checked(seconds, probabilities)
    likely = np.asarray(smoothed, np.float64)
    cuts = (likely[1:] <= HOLDS) != (likely[:-1] <= HOLDS)
    edges = np.flatnonzero(cuts | (np.diff(times) > chain.gap)) + 1
    found = []
    for rows in np.split(np.arange(len(times)), edges):
        sure = rows[likely[rows] > HALF]
        if len(sure):
            found.append(_segment(int(rows[0]), int(sure[-1]), times, values, likely))
    return found


def _segment(first: int, last: int, times: Doubles, values: Doubles, likely: Doubles) -> Segment:
    part = slice(first, last + 1)
    own = np.where(np.isnan(values[part]), -1.0, values[part])
    return Segment(
        first=first,
        last=last,
        evidence=first + int(np.lexsort((likely[part], own))[-1]),
        seconds=float(times[last] - times[first]),
        mean=float(likely[part].mean()),
        peak=float(likely[part].max()),
    )


def _checked(seconds: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[Doubles, Doubles]:
    times, values = np.asarray(seconds, np.float64), np.asarray(probabilities, np.float64)
    if times.ndim != 1 or times.shape != values.shape:
        raise UsageError(
            f"times of shape {times.shape} and probabilities of shape {values.shape}: give one of "
            "each per frame, as two lists of the same length"
        )
    if not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise UsageError("the times of a drive's frames are numbers of seconds, in order")
    for row in np.flatnonzero((values < 0) | (values > 1))[:1]:
        raise UsageError(f"frame {row}: probability {values[row]}; it must be a number in 0..1")
    return times, values


def _evidence(times: Doubles, values: Doubles, chain: Chain, share: float) -> Doubles:
    """Log-odds that each frame adds, ``[n]``; 0 where it says nothing."""
    bounded = np.clip(values, CLOSEST_TO_CERTAIN, 1 - CLOSEST_TO_CERTAIN)
    ratios = logit(bounded) - float(logit(check_share(share))) + chain.offset
    told = np.flatnonzero(~np.isnan(values))
    evidence = np.zeros(len(values))
    evidence[told] = chain.exponent * ratios[told] / _crowd(times[told], chain.together)
    return evidence


def _crowd(times: Doubles, together: float) -> Doubles:
    """How many frames say what each one says, itself among them: ``[n]``, at least 1.

    One at the same time counts fully, one ``together`` seconds away not at all.
    """
    if not len(times):
        return np.zeros(0)
    times = times - times[0]
    low = np.searchsorted(times, times - together)
    high = np.searchsorted(times, times + together, side="right")
    total = np.concatenate([[0.0], np.cumsum(times)])
    row = np.arange(len(times))
    before = (row - low) * times - (total[row] - total[low])
    after = (total[high] - total[row]) - (high - row) * times
    crowd: Doubles = np.maximum((high - low) - (before + after) / together, 1)
    return crowd


def _forward_backward(steps: Doubles, evidence: Doubles, chain: Chain) -> Doubles:
    """Log-odds of road work given all evidence, ``[n]``, of ``steps`` ``[n - 1]`` in seconds.

    Of two states the ratio of their probabilities is all there is, so both passes carry one number,
    in logarithms, which neither underflows nor needs scaling.
    """
    usual = chain.usual
    with np.errstate(divide="ignore"):  # frames of one moment: no change, whose logarithm is -inf
        changed = -np.expm1(-(chain.entering + chain.leaving) * steps)
        changed = np.where(steps > chain.gap, 1.0, changed)
        enters, stays_out = np.log(usual * changed), np.log1p(-usual * changed)
        leaves, stays_in = np.log((1 - usual) * changed), np.log1p(-(1 - usual) * changed)
    count = len(evidence)
    ways = list(
        zip(stays_in.tolist(), enters.tolist(), leaves.tolist(), stays_out.tolist(), strict=True)
    )
    told = evidence.tolist()
    forward, backward = [0.0] * count, [0.0] * count  # without the frame's own evidence
    if count:
        forward[0] = math.log(chain.entering) - math.log(chain.leaving)
    for row, (inside, enter, leave, outside) in enumerate(ways, start=1):
        before = forward[row - 1] + told[row - 1]
        forward[row] = _either(inside + before, enter) - _either(leave + before, outside)
    for row in range(count - 2, -1, -1):
        inside, enter, leave, outside = ways[row]
        after = backward[row + 1] + told[row + 1]
        backward[row] = _either(inside + after, leave) - _either(enter + after, outside)
    log_odds: Doubles = np.array(forward) + evidence + np.array(backward)
    return log_odds


def _either(one: float, other: float) -> float:
    """``log(exp(one) + exp(other))``; one of them may be -inf."""
    return max(one, other) + math.log1p(math.exp(-abs(one - other)))


def write_chain(chain: Chain, path: Path) -> None:
    """Write a chain as JSON, whole or not at all.

    Raises:
        WorkzoneError: it cannot be written.
    """
    write_text(path, json.dumps(dataclasses.asdict(chain), indent=2, allow_nan=False) + "\n")


def read_chain(path: Path) -> Chain:
    """Read what :func:`write_chain` wrote.

    Raises:
        UsageError: no such file, or not such a one.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} cannot be read as a chain: {error}; make one with `workzone drives --fit`"
        ) from error
    names = {field.name for field in dataclasses.fields(Chain)}
    wrong = sorted(_wrong_fields(fields, names)) if isinstance(fields, dict) else ["no object"]
    if wrong:
        raise UsageError(
            f"{path} is not a chain ({', '.join(wrong)}); it is a JSON object with the numbers "
            f"{', '.join(sorted(names))}: make one with `workzone drives --fit`"
        )
    try:
        return Chain(**{name: float(value) for name, value in fields.items()})
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _wrong_fields(fields: dict[str, object], names: set[str]) -> Iterator[str]:
    yield from (f"{name} is missing" for name in names - fields.keys())
    for name, value in fields.items():
        if name not in names:
            yield f"{name} is unknown"
        elif isinstance(value, bool) or not isinstance(value, int | float):
            yield f"{name} is no number"
