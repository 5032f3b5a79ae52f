"""Whether an image is like what a model learned from: its distance, and the cut beyond which not.

The cut is chosen on training rows whose group the statistics were fitted without, so that a stated
share of them is beyond it (split conformal prediction: Vovk et al., *Algorithmic Learning in a
Random World*, 2005; an image of a source that is further away is beyond it more often).
"""

from __future__ import annotations

import hashlib
import io
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from workzone.decide.distance import (
    DistanceName,
    Doubles,
    TrainingDistance,
    checked,
    fit_distance,
)
from workzone.errors import BundleError, UsageError
from workzone.files import writing

FILE = "familiarity.npz"
"""The arrays, beside `bundle.json`, which has the rest."""
FOLDS = 5
"""Parts of the training rows that the statistics are fitted without, in turn."""
MEASURES: tuple[tuple[int, DistanceName], ...] = (
    (0, "mahalanobis"),
    (0, "neighbours"),
    (1, "neighbours"),
)
"""Which distances decide together, each of one of the vector's parts, where no other are named;
those of parts that a vector does not have are left out (docs/judge/unsure.md compares them)."""
RATE = 0.05
"""Share of rows like those of training that may be beyond the cut."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One distance, on a scale of its own: 0 is as usual, 1 the cut that it would have alone."""

    part: int  # of the vector
    name: DistanceName
    centre: float  # the median distance of rows whose group the statistics were fitted without
    cut: float  # above it

    def __post_init__(self) -> None:
        if self.name not in get_args(DistanceName):
            raise BundleError(f"familiarity by {self.name!r}, which this version does not know")
        if type(self.part) is not int:
            raise BundleError(f"familiarity by part {self.part!r} of a vector: parts are numbered")
        _check_scale(self.centre, self.cut)

    def scaled(self, distances: Doubles) -> Doubles:
        """Of distances ``[B]``."""
        return np.asarray((distances - self.centre) / (self.cut - self.centre))


@dataclass(frozen=True, kw_only=True, eq=False)
class Familiarity:
    """What training looked like, and how far is too far.

    A vector is cut into as many equally long parts as there are ``distances``; the mean of the
    ``measures`` decides.
    """

    distances: tuple[TrainingDistance, ...]  # of each part of the vector
    measures: tuple[Measure, ...]
    centre: float  # the median mean of rows whose group the statistics were fitted without
    cut: float  # beyond it an image is unlike training; above the centre
    rate: float  # share of those rows beyond it, 0..1
    rows: int  # that all was fitted on
    groups: int

    def __post_init__(self) -> None:
        parts = len(self.distances)
        if not self.measures or any(not 0 <= one.part < parts for one in self.measures):
            raise BundleError(f"familiarity by other parts of a vector than its {parts}")
        if len({one.width for one in self.distances}) > 1:
            raise BundleError("familiarity by parts of a vector that differ in length")
        if not 0 <= self.rate <= 1 or min(self.rows, self.groups) < 1:
            raise BundleError(
                f"familiarity of {self.rows} rows and {self.groups} groups, {self.rate} of them "
                "beyond the cut"
            )
        _check_scale(self.centre, self.cut)

    @property
    def width(self) -> int:
        """D, of the vectors."""
        return sum(one.width for one in self.distances)

    def score(self, vectors: npt.ArrayLike) -> Doubles:
        """How unlike training images are ``[B]``: 0 as usual, above 1 beyond the cut.

        Args:
            vectors: ``[B, D]``, see `workzone.model.base.AnyDetector.scene`.

        Raises:
            UsageError: vectors of another width.
            BundleError: a vector is not finite, or further away than a number can tell.
        """
        parts = np.split(checked(vectors, self.width), len(self.distances), axis=1)
        scaled = [
            one.scaled(self.distances[one.part].measure(parts[one.part], one.name))
            for one in self.measures
        ]
        scores = np.asarray((np.mean(scaled, axis=0) - self.centre) / (self.cut - self.centre))
        if not np.isfinite(scores).all():
            raise BundleError(
                "the distance of an image from training is not a finite number; the model's "
                "weights or its statistics are damaged: export or train again"
            )
        return scores


def fit_familiarity(
    vectors: npt.ArrayLike,
    labels: npt.ArrayLike,
    groups: Sequence[str | None],
    *,
    parts: int = 1,
    measures: Sequence[tuple[int, DistanceName]] = MEASURES,
    rate: float = RATE,
) -> Familiarity:
    """Statistics of training rows, and the cut.

    Args:
        vectors: of training rows ``[B, D]``, see `workzone.model.base.AnyDetector.scene`.
        labels: ``[B]``, 0 or 1.
        groups: ``[B]``, rows that look alike; a row with None is a group of its own.
        parts: of a vector, equally long.
        measures: which distances decide, each of a part; those of further parts are left out.
        rate: share of rows like these that may be beyond the cut, in (0, 1).

    Raises:
        UsageError: fewer than two groups, too few rows, a rate out of range, vectors that do not
            have as many equally long parts, or no distance of any of them.
        BundleError: a vector holds a value that is not a finite number.
    """
    if not 0 < rate < 1:
        raise UsageError(f"rate {rate}: give a share between 0 and 1, such as {RATE}")
    truth, whole = np.asarray(labels), np.asarray(vectors, dtype=np.float64)
    if whole.ndim != 2 or parts < 1 or whole.shape[1] % parts:
        raise UsageError(f"vectors {list(whole.shape)} do not have {parts} equally long parts")
    if not any(part < parts for part, _ in measures):
        raise UsageError(f"no distance is of one of the {parts} parts of the vectors")
    cells = np.split(whole, parts, axis=1)
    folds = _folds(groups)
    fitted = [[fit_distance(rows[~fold], truth[~fold]) for rows in cells] for fold in folds]

    def held_out(part: int, name: DistanceName) -> Doubles:
        return np.concatenate(
            [
                of_fold[part].measure(cells[part][fold], name)
                for of_fold, fold in zip(fitted, folds, strict=True)
            ]
        )

    own, scaled = [], []
    for part, name in measures:
        if part < parts:
            distances = held_out(part, name)
            centre, cut = _scale(distances, rate)
            own.append(Measure(part=part, name=name, centre=centre, cut=cut))
            scaled.append(own[-1].scaled(distances))
    together = np.mean(scaled, axis=0)
    centre, cut = _scale(together, rate)
    return Familiarity(
        distances=tuple(fit_distance(rows, truth) for rows in cells),
        measures=tuple(own),
        centre=centre,
        cut=cut,
        rate=float((together > cut).mean()),
        rows=len(truth),
        groups=len(set(_named(groups))),
    )


def _scale(values: Doubles, rate: float) -> tuple[float, float]:
    """Their median, and what a share of them is beyond, above it."""
    place = min(len(values), math.ceil((len(values) + 1) * (1 - rate)))
    centre = float(np.median(values))
    return centre, max(float(np.sort(values)[place - 1]), math.nextafter(centre, math.inf))


def _check_scale(centre: float, cut: float) -> None:
    if not -math.inf < centre < cut < math.inf:
        raise BundleError(f"familiarity needs a cut above the centre, both finite: {cut}, {centre}")


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
    """The arrays, as `FILE` holds them: those of a part have its number before their names."""
    buffer = io.BytesIO()
    arrays = {
        f"{part}_{name}": array
        for part, distance in enumerate(familiarity.distances)
        for name, array in distance.arrays().items()
    }
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def familiarity_json(familiarity: Familiarity | None) -> dict[str, Any] | None:
    """What `bundle.json` says of it; None where there is none."""
    if familiarity is None:
        return None
    facts = {
        fact: getattr(familiarity, fact) for fact in ("centre", "cut", "rate", "rows", "groups")
    }
    return facts | {
        "parts": len(familiarity.distances),
        "measures": [asdict(one) for one in familiarity.measures],
        "blake2b": _hash(familiarity_bytes(familiarity)),
    }


def write_familiarity(familiarity: Familiarity | None, folder: Path) -> None:
    """Write `FILE` into a folder; nothing where there is none."""
    if familiarity is not None:
        with writing(folder / FILE) as path:
            path.write_bytes(familiarity_bytes(familiarity))


def read_familiarity(folder: Path, held: Mapping[str, Any] | None) -> Familiarity | None:
    """What :func:`write_familiarity` wrote; None for a bundle without.

    Statistics of before there were `Measure`s are of other vectors: a word in the log, and None.

    Args:
        folder: of the bundle.
        held: what `bundle.json` says of it.

    Raises:
        BundleError: the file is missing, another one, or damaged.
    """
    if held is None:
        return None
    if isinstance(held, Mapping) and "name" in held and "parts" not in held:
        logger.warning(
            "%s: what it knows of its training images is of an earlier version and not used; "
            "renew it: workzone models familiarise %s --data MANIFEST",
            folder,
            folder,
        )
        return None
    path = folder / FILE
    try:
        return _read(path.read_bytes() if path.is_file() else b"", held)
    except (BundleError, UsageError) as error:
        raise BundleError(f"{path}, or what bundle.json says of it: {error}") from error
    except (TypeError, KeyError, ValueError, IndexError, OSError, BadZipFile) as error:
        raise BundleError(
            f"{path} is damaged, or what bundle.json says of it ({error}); copy the bundle again, "
            "whole, or renew it: workzone models familiarise BUNDLE --data MANIFEST"
        ) from error


def _read(data: bytes, held: Mapping[str, Any]) -> Familiarity:
    facts = dict(held)
    if _hash(data) != facts.pop("blake2b"):
        raise BundleError(
            f"{FILE} is not the file that bundle.json describes; copy the bundle again, whole"
        )
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        parts = [
            {n.removeprefix(f"{part}_"): arrays[n] for n in arrays if n.startswith(f"{part}_")}
            for part in range(facts.pop("parts"))
        ]
    measures = tuple(Measure(**one) for one in facts.pop("measures"))
    distances = tuple(TrainingDistance.from_arrays(own) for own in parts)
    return Familiarity(distances=distances, measures=measures, **facts)


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
