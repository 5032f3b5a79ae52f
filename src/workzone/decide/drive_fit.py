"""A drive's chain, fitted on labelled frames; scipy is for this alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workzone.decide.drive import Chain, smooth
from workzone.decide.log_odds import Doubles
from workzone.decide.share import BALANCED
from workzone.errors import UsageError

_OFFSETS = (-6.0, 6.0)  # log-odds


@dataclass(frozen=True, slots=True)
class LabelledDrive:
    """One drive, in order of time."""

    seconds: Doubles  # [n]
    probabilities: Doubles  # [n], NaN where a frame says nothing
    labels: Doubles  # [n], 1 road work, 0 none, NaN not labelled


def fit_chain(drives: Sequence[LabelledDrive], *, share: float = BALANCED) -> Chain:
    """The likeliest chain: its rates from the labels alone, the worth of a frame from both.

    How often road work comes and goes is counted in the labels. Exponent and offset are those under
    which each frame's label is likeliest given all frames of its drive (the product of the frames'
    own likelihoods: Kakade, Teh & Roweis, "An alternate objective function for Markovian fields",
    ICML 2002), so that smoothed probabilities fit the labels as they are used, frame by frame.
    Fitted to that product too, the rates would be told badly: offset and exponent make up for them.

    Args:
        drives: with labels on at least some frames.
        share: of road work, for which the probabilities hold.

    Raises:
        UsageError: the labelled frames do not show both classes.
    """
    from scipy.optimize import minimize  # a second of every start, were it at the top

    labels = np.concatenate([drive.labels for drive in drives]) if drives else np.zeros(0)
    if not {0.0, 1.0} <= set(labels[~np.isnan(labels)].tolist()):
        raise UsageError(
            "a chain is fitted on labelled frames with road work and without: the rows of these "
            "drives do not have both"
        )
    entering, leaving = _rates(drives)
    start = Chain(entering, leaving, exponent=0.5, offset=0.0, together=_usual_step(drives))

    def chain_of(numbers: Doubles) -> Chain:
        return dataclasses.replace(start, exponent=float(numbers[0]), offset=float(numbers[1]))

    found = minimize(
        lambda numbers: log_loss(drives, chain_of(numbers), share=share),
        [start.exponent, start.offset],
        method="Nelder-Mead",
        bounds=[(0.0, 1.0), _OFFSETS],
        options={"xatol": 1e-3, "fatol": 1e-6},
    )
    fields = dataclasses.asdict(chain_of(found.x))
    return Chain(**{name: float(f"{value:.4g}") for name, value in fields.items()})


def log_loss(drives: Sequence[LabelledDrive], chain: Chain, *, share: float = BALANCED) -> float:
    """Mean of ``-log`` of what labelled frames are given for their label, nats a frame."""
    losses = []
    for drive in drives:
        smoothed = smooth(drive.seconds, drive.probabilities, chain, share=share)
        losses.append(-np.log(np.where(drive.labels == 1, smoothed, 1 - smoothed)))
    labels = np.concatenate([drive.labels for drive in drives])
    return float(np.concatenate(losses)[~np.isnan(labels)].mean())


def _usual_step(drives: Sequence[LabelledDrive]) -> float:
    """The median time between neighbouring frames, seconds; 1 where there are none."""
    steps = np.concatenate([np.diff(drive.seconds) for drive in drives])
    return float(np.median(steps[steps > 0])) if (steps > 0).any() else Chain().together


def _rates(drives: Sequence[LabelledDrive]) -> tuple[float, float]:
    """How often labels change from none to road work, and back, a second of the class before.

    One change in ten seconds of each is thought of besides, so that neither is 0.
    """
    changes, spent = np.ones(2), np.full(2, 10.0)
    for drive in drives:
        before, after, steps = drive.labels[:-1], drive.labels[1:], np.diff(drive.seconds)
        for label in (0, 1):
            rows = (before == label) & ~np.isnan(after)
            changes[label] += (after[rows] != label).sum()
            spent[label] += steps[rows].sum()
    entering, leaving = (changes / spent).tolist()
    return entering, leaving
