"""How far an image is from what a model learned from, by a vector that tells what it looks like.

- Mahalanobis distance to the nearer class mean, one covariance for both (Lee et al., "A Simple
  Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks", NeurIPS
  2018, arXiv 1807.03888).
- Relative Mahalanobis: less the distance to the mean of all (Ren et al., "A Simple Fix to
  Mahalanobis Distance for Improving Near-OOD Detection", 2021, arXiv 2106.09022).
- To the k-th nearest neighbour among reference vectors of unit length (Sun et al.,
  "Out-of-Distribution Detection with Deep Nearest Neighbors", ICML 2022, arXiv 2204.06507).

Covariances of few rows are shrunk (OAS: Chen et al., "Shrinkage Algorithms for MMSE Covariance
Estimation", IEEE TSP 2010, in the form of scikit-learn), and only their first axes are kept; all
others have the mean of what is left. NumPy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from workzone.errors import BundleError, UsageError, nearest

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
DistanceName = Literal["mahalanobis", "relative", "neighbours"]

AXES = 32
"""Of a covariance that are kept."""
REFERENCES = 256
"""Reference vectors at most."""
NEIGHBOURS = 5
"""k: the distance is to the k-th nearest."""
LEAST_SPREAD = 0.3
"""Of the quadratic mean of all spreads: the least that an entry is divided by."""
FEWEST = 20
"""Rows that statistics are fitted on at least."""


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """A covariance by its first axes; all other directions have one variance."""

    axes: Floats  # [A, D], of unit length and orthogonal
    variances: Floats  # [A], above 0
    rest: float  # of every other direction, above 0

    def squared(self, offsets: Doubles) -> Doubles:
        """Squared Mahalanobis length ``[B]`` of ``[B, D]``."""
        along = offsets @ self.axes.T.astype(np.float64)
        across = np.square(offsets).sum(axis=1) - np.square(along).sum(axis=1)
        weighted: Doubles = np.square(along) @ (1 / self.variances.astype(np.float64))
        return np.asarray(weighted + np.maximum(across, 0) / self.rest)


@dataclass(frozen=True, kw_only=True)
class TrainingDistance:
    """What is kept of the vectors of training rows, to tell how far others are."""

    scale: Floats  # [D], what each entry is divided by
    means: Floats  # [C, D], of the classes there were, after scaling
    within: Gaussian  # about the mean of a row's class
    mean: Floats  # [D], of all
    overall: Gaussian  # about it
    references: Floats  # [R, D], of unit length after scaling

    @property
    def width(self) -> int:
        """D, of the vectors."""
        return len(self.mean)

    def measure(self, vectors: npt.ArrayLike, name: DistanceName) -> Doubles:
        """The distance of each vector; the larger, the further from training.

        Args:
            vectors: ``[B, D]``.
            name: which distance.

        Returns:
            ``[B]``, finite. Mahalanobis distances are square roots of a mean over the D
            directions: about 1 for training rows; the relative one is a difference of two such
            means, and may be negative. That to neighbours is Euclidean, 0..2.

        Raises:
            UsageError: no such distance, or vectors of another width.
            BundleError: a vector holds a value that is not a finite number.
        """
        if name not in get_args(DistanceName):
            raise UsageError(f"distance {name!r}: {nearest(str(name), get_args(DistanceName))}")
        scaled = checked(vectors, self.width) / self.scale
        if name == "neighbours":
            return self._to_neighbours(scaled)
        squared = np.min([self.within.squared(scaled - mean) for mean in self.means], axis=0)
        if name == "mahalanobis":
            return np.asarray(np.sqrt(squared / self.width))
        return np.asarray((squared - self.overall.squared(scaled - self.mean)) / self.width)

    def _to_neighbours(self, scaled: Doubles) -> Doubles:
        cosines = unit(scaled) @ self.references.T.astype(np.float64)
        k = min(NEIGHBOURS, len(self.references))
        nearest_k = -np.partition(-cosines, k - 1, axis=1)[:, k - 1]
        return np.asarray(np.sqrt(np.maximum(2 - 2 * nearest_k, 0)))

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """As arrays to store: axes and references in 16 bits; a mean may be beyond these."""
        half = np.float16
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "scale": self.scale.astype(np.float32),
            "means": self.means.astype(np.float32),
            "mean": self.mean.astype(np.float32),
            "references": self.references.astype(half),
        }
        for name, gaussian in (("within", self.within), ("overall", self.overall)):
            arrays[f"{name}_axes"] = gaussian.axes.astype(half)
            arrays[f"{name}_variances"] = gaussian.variances.astype(np.float32)
            arrays[f"{name}_rest"] = np.asarray(gaussian.rest, dtype=np.float32)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> TrainingDistance:
        """From what :meth:`arrays` gave.

        Raises:
            KeyError: an array is missing.
            BundleError: arrays that do not fit each other, or values that cannot be.
        """
        taken = {name: np.asarray(arrays[name], dtype=np.float32) for name in _ARRAYS}
        width = taken["mean"].size
        for name, value in taken.items():
            if not np.isfinite(value).all():
                raise BundleError(f"{name} holds values that are not finite numbers")
            if name not in _SIZES and value.shape[-1:] != (width,):
                raise BundleError(f"{name} is {list(value.shape)}, of vectors of width {width}")
            if name in _ROWS and (value.ndim != 2 or not len(value)):
                raise BundleError(f"{name} is {list(value.shape)}: it has rows, one at least")
            if name in _POSITIVE and not (value > 0).all():
                raise BundleError(f"{name} holds values that are not above 0")
        gaussians = {
            name: Gaussian(
                axes=taken[f"{name}_axes"],
                variances=taken[f"{name}_variances"],
                rest=float(taken[f"{name}_rest"]),
            )
            for name in ("within", "overall")
        }
        for name, gaussian in gaussians.items():
            if gaussian.axes.shape[0] != len(gaussian.variances):
                raise BundleError(
                    f"{name}_axes has {gaussian.axes.shape[0]} axes, {name}_variances "
                    f"{len(gaussian.variances)}"
                )
        return cls(
            scale=taken["scale"],
            means=taken["means"],
            within=gaussians["within"],
            mean=taken["mean"],
            overall=gaussians["overall"],
            references=taken["references"],
        )


_SIZES = ("within_variances", "within_rest", "overall_variances", "overall_rest")
_POSITIVE = ("scale", *_SIZES)
_ROWS = ("means", "references")
_ARRAYS = ("means", "mean", "references", "within_axes", "overall_axes", *_POSITIVE)


def fit_distance(
    vectors: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    axes: int = AXES,
    references: int = REFERENCES,
    seed: int = 0,
) -> TrainingDistance:
    """Statistics of training rows.

    Args:
        vectors: ``[B, D]``, see `workzone.model.base.AnyDetector.scene`.
        labels: ``[B]``, 0 or 1; one class alone will do.
        axes: of each covariance that are kept, at most.
        references: vectors that are kept, drawn at random where there are more rows.
        seed: of that.

    Returns:
        As they are once stored and read again, in 16 bits.

    Raises:
        UsageError: too few rows, or not one label for each.
        BundleError: a vector holds a value that is not a finite number.
    """
    given = np.asarray(vectors)
    truth = np.asarray(labels)
    if given.ndim != 2 or len(given) < FEWEST or truth.shape != given.shape[:1]:
        raise UsageError(
            f"distances are fitted on {FEWEST} rows or more with a label each: got vectors "
            f"{list(given.shape)} and labels {list(truth.shape)}"
        )
    rows = checked(given, given.shape[1])
    spread = rows.std(axis=0)
    # What hardly differs between rows must not be blown up; of sparse vectors that is most.
    scale = np.maximum(spread, max(1e-6, LEAST_SPREAD * float(np.sqrt(np.square(spread).mean()))))
    scaled = rows / scale
    classes = np.unique(truth)
    means = np.stack([scaled[truth == label].mean(axis=0) for label in classes])
    mean = scaled.mean(axis=0)
    about_class = scaled - means[np.searchsorted(classes, truth)]
    chosen = np.random.default_rng(seed).permutation(len(rows))[:references]
    fitted = TrainingDistance(
        scale=scale.astype(np.float32),
        means=means.astype(np.float32),
        within=_gaussian(about_class, axes),
        mean=mean.astype(np.float32),
        overall=_gaussian(scaled - mean, axes),
        references=unit(scaled[np.sort(chosen)]).astype(np.float32),
    )
    return TrainingDistance.from_arrays(fitted.arrays())  # as it will be read again


def checked(vectors: npt.ArrayLike, width: int) -> Doubles:
    """Vectors as float64 ``[B, width]``.

    Raises:
        UsageError: they have another shape.
        BundleError: a value is not a finite number.
    """
    rows = np.asarray(vectors, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != width:
        raise UsageError(f"vectors are [B, {width}] for this model, got {rows.shape}")
    for row in np.flatnonzero(~np.isfinite(rows).all(axis=1))[:1]:
        raise BundleError(
            f"the vector of image {row} holds a value that is not a finite number, so "
            "its distance from training cannot be told: export or train again"
        )
    return rows


def unit(vectors: Doubles) -> Doubles:
    """Each ``[B, D]`` divided by its length; zero stays zero."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1))


def _gaussian(offsets: Doubles, axes: int) -> Gaussian:
    """The shrunk covariance of rows ``[B, D]`` about zero."""
    count, width = offsets.shape
    # Of the covariance, or of the products of rows where these are fewer.
    small = offsets.T @ offsets if count > width else offsets @ offsets.T
    found, vectors = (part[..., ::-1] for part in np.linalg.eigh(small / count))
    variances = np.zeros(width)
    variances[: len(found)] = np.maximum(found, 0)
    directions = vectors.T if count > width else unit(vectors.T @ offsets)
    total, squares = variances.sum(), np.square(variances).sum()
    if total == 0:
        raise UsageError("distances are fitted on rows that differ: all of these are alike")
    apart = (count + 1) * (squares - total**2 / width)
    shrink = 1.0 if apart <= 0 else min(1.0, (squares + total**2) / apart)
    shrunk = (1 - shrink) * variances + shrink * total / width
    kept = min(axes, int((variances > 1e-9 * total).sum()), width - 1)
    return Gaussian(
        axes=directions[:kept].astype(np.float32),
        variances=shrunk[:kept].astype(np.float32),
        rest=float(shrunk[kept:].mean()),
    )
