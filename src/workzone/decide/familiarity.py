"""Whether an image is like what a model learned from: its distance, and the cut beyond which not.

The cut is chosen on training rows whose group the statistics were fitted without, so that a stated
share of them is beyond it (split conformal prediction: Vovk et al., *Algorithmic Learning in a
Random World*, 2005; an image of a source that is further away is beyond it more often).
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from workzone.decide.distance import DistanceName, Doubles, TrainingDistance, fit_distance
from workzone.errors import BundleError, UsageError
from workzone.files import writing

FILE = "familiarity.npz"
"""The arrays, beside `bundle.json`, which has the rest."""
FOLDS = 5
"""Parts of the training rows that the statistics are fitted without, in turn."""
DISTANCE: DistanceName = "mahalanobis"
"""What decides, where no other word is said (docs/judge/unsure.md compares them)."""
RATE = 0.05
"""Share of rows like those of training that may be beyond the cut."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Familiarity:
    """What training looked like, and how far is too far."""

    distance: TrainingDistance
    name: DistanceName  # which distance decides
    centre: float  # the median distance of rows whose group the statistics were fitted without
    cut: float  # beyond it an image is unlike training; above the centre
    rate: float  # share of those rows beyond it, 0..1
    rows: int  # that all was fitted on
    groups: int

    def __post_init__(self) -> None:
        if self.name not in get_args(DistanceName):
            raise BundleError(f"familiarity by {self.name!r}, which this version does not know")
        if not -math.inf < self.centre < self.cut < math.inf:
            raise BundleError(
                f"familiarity needs a cut above the centre, both finite: {self.cut}, {self.centre}"
            )

    def score(self, vectors: npt.ArrayLike) -> Doubles:
        """How unlike training images are ``[B]``: 0 as usual, above 1 beyond the cut.

        Args:
            vectors: ``[B, D]``, see `workzone.model.base.AnyDetector.scene`.

        Raises:
            UsageError, BundleError: see `TrainingDistance.measure`.
        """
        distances = self.distance.measure(vectors, self.name)
        return np.asarray((distances - self.centre) / (self.cut - self.centre))


def fit_familiarity(
    vectors: npt.ArrayLike,
    labels: npt.ArrayLike,
    groups: Sequence[str | None],
    *,
    name: DistanceName = DISTANCE,
    rate: float = RATE,
) -> Familiarity:
    """Statistics of training rows, and the cut.

    Args:
        vectors: of training rows ``[B, D]``, see `workzone.model.base.AnyDetector.scene`.
        labels: ``[B]``, 0 or 1.
        groups: ``[B]``, rows that look alike; a row with None is a group of its own.
        name: which distance decides.
        rate: share of rows like these that may be beyond the cut, in (0, 1).

    Raises:
        UsageError: fewer than two groups, too few rows, or a rate out of range.
        BundleError: a vector holds a value that is not a finite number.
    """
    if not 0 < rate < 1:
        raise UsageError(f"rate {rate}: give a share between 0 and 1, such as {RATE}")
    rows, truth = np.asarray(vectors, dtype=np.float64), np.asarray(labels)
    folds = _folds(groups)
    held_out = np.concatenate(
        [fit_distance(rows[~fold], truth[~fold]).measure(rows[fold], name) for fold in folds]
    )
    count = len(held_out)
    place = min(count, math.ceil((count + 1) * (1 - rate)))
    cut, centre = float(np.sort(held_out)[place - 1]), float(np.median(held_out))
    return Familiarity(
        distance=fit_distance(rows, truth),
        name=name,
        centre=centre,
        cut=max(cut, math.nextafter(centre, math.inf)),  # all are alike
        rate=float((held_out > cut).mean()),
        rows=count,
        groups=len(set(_named(groups))),
    )


def _named(groups: Sequence[str | None]) -> list[str]:
    return [f"row {row}" if group is None else f"group {group}" for row, group in enumerate(groups)]


def _folds(groups: Sequence[str | None]) -> list[npt.NDArray[np.bool_]]:
    """Rows of each fold, bool ``[B]``; no group is in two, and their sizes are alike."""
    names, numbers, sizes = np.unique(_named(groups), return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise UsageError("how far is too far is told by rows of other groups: give two or more")
    count = min(FOLDS, len(names))
    filled, fold_of = np.zeros(count), np.zeros(len(names), dtype=np.int64)
    for group in np.argsort(-sizes, kind="stable"):
        fold_of[group] = filled.argmin()
        filled[fold_of[group]] += sizes[group]
    return [fold_of[numbers] == fold for fold in range(count)]


def familiarity_bytes(familiarity: Familiarity) -> bytes:
    """The arrays, as `FILE` holds them."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **familiarity.distance.arrays())
    return buffer.getvalue()


def familiarity_json(familiarity: Familiarity | None) -> dict[str, Any] | None:
    """What `bundle.json` says of it; None where there is none."""
    if familiarity is None:
        return None
    facts = ("name", "centre", "cut", "rate", "rows", "groups")
    arrays = familiarity_bytes(familiarity)
    return {fact: getattr(familiarity, fact) for fact in facts} | {"blake2b": _hash(arrays)}


def write_familiarity(familiarity: Familiarity | None, folder: Path) -> None:
    """Write `FILE` into a folder; nothing where there is none."""
    if familiarity is not None:
        with writing(folder / FILE) as path:
            path.write_bytes(familiarity_bytes(familiarity))


def read_familiarity(folder: Path, held: Mapping[str, Any] | None) -> Familiarity | None:
    """What :func:`write_familiarity` wrote; None for a bundle without.

    Args:
        folder: of the bundle.
        held: what `bundle.json` says of it.

    Raises:
        BundleError: the file is missing, another one, or damaged.
    """
    if held is None:
        return None
    path = folder / FILE
    data = path.read_bytes() if path.is_file() else b""
    facts = dict(held)
    if _hash(data) != facts.pop("blake2b"):
        raise BundleError(
            f"{path} is not the file that bundle.json describes; copy the bundle again, whole"
        )
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        distance = TrainingDistance.from_arrays(dict(arrays))
    return Familiarity(distance=distance, **facts)


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
