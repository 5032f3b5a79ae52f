"""Distances from training: against the plain formulas and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import OAS
from sklearn.neighbors import NearestNeighbors

from workzone.decide.distance import NEIGHBOURS, TrainingDistance, fit_distance
from workzone.errors import BundleError, UsageError

D = 6


def training(rows: int = 80, width: int = D, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % 2
    spread = random.uniform(0.5, 2, width)
    return random.normal(size=(rows, width)) * spread + 3 * labels[:, None], labels


def others(rows: int = 9, width: int = D) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(rows, width)) * 4 + 1


def squared(offsets: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    return np.einsum("bi,ij,bj->b", offsets, np.linalg.inv(covariance), offsets)


def test_all_axes_give_the_distance_by_the_whole_shrunk_covariance() -> None:
    rows, labels = training()
    fitted = fit_distance(rows, labels, axes=D - 1)  # what is left is one direction: exact
    scaled, seen = rows / fitted.scale, others() / fitted.scale
    means = np.stack([scaled[labels == label].mean(axis=0) for label in (0, 1)])
    within = OAS(assume_centered=True).fit(scaled - means[labels]).covariance_
    overall = OAS(assume_centered=True).fit(scaled - scaled.mean(axis=0)).covariance_
    of_class = np.min([squared(seen - mean, within) for mean in means], axis=0)
    of_all = squared(seen - scaled.mean(axis=0), overall)
    np.testing.assert_allclose(
        fitted.measure(others(), "mahalanobis"), np.sqrt(of_class / D), rtol=5e-3
    )
    np.testing.assert_allclose(
        fitted.measure(others(), "relative"), (of_class - of_all) / D, rtol=2e-2, atol=2e-2
    )


def test_neighbours_are_those_that_scikit_learn_finds() -> None:
    rows, labels = training()
    fitted = fit_distance(rows, labels, references=len(rows))
    scaled, seen = rows / fitted.scale, others() / fitted.scale
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    found = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(scaled / lengths)
    distances, _ = found.kneighbors(seen / np.linalg.norm(seen, axis=1, keepdims=True))
    np.testing.assert_allclose(fitted.measure(others(), "neighbours"), distances[:, -1], atol=3e-3)


@pytest.mark.parametrize("name", ["mahalanobis", "neighbours"])
def test_what_is_far_is_further_with_few_rows_of_many_numbers(name: str) -> None:
    rows, labels = training(rows=80, width=300)
    fitted = fit_distance(rows[::2] + 3, labels[::2], axes=8)
    near = rows[1::2] + 3  # of the other class
    far = near * np.where(np.arange(300) % 2, 3, -3)
    assert fitted.measure(near, name).max() < fitted.measure(far, name).min()


def test_what_is_stored_measures_the_same() -> None:
    fitted = fit_distance(*training())
    again = TrainingDistance.from_arrays(fitted.arrays())
    for name in ("mahalanobis", "relative", "neighbours"):
        np.testing.assert_array_equal(again.measure(others(), name), fitted.measure(others(), name))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_an_error_never_a_distance(value: float) -> None:
    fitted = fit_distance(*training())
    seen = others()
    seen[3, 2] = value
    for name in ("mahalanobis", "relative", "neighbours"):
        with pytest.raises(BundleError, match="image 3 holds a value that is not a finite"):
            fitted.measure(seen, name)
    rows, labels = training()
    rows[1, 0] = value
    with pytest.raises(BundleError, match="image 1 holds"):
        fit_distance(rows, labels)


def test_means_far_from_zero_are_kept() -> None:
    """Beyond what 16 bits hold once divided by a small spread."""
    random = np.random.default_rng(0)
    rows = 1e4 + 1e-2 * random.normal(size=(60, 4))
    known = fit_distance(rows, np.tile([0, 1], 30))
    assert np.abs(known.means).max() > 65504
    assert known.measure(rows, "mahalanobis").mean() == pytest.approx(1, abs=0.1)


def test_mistakes_are_told() -> None:
    fitted = fit_distance(*training())
    with pytest.raises(UsageError, match="did you mean 'relative'"):
        fitted.measure(others(), "relativ")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"\[B, 6\] for this model, got \(9, 5\)"):
        fitted.measure(others(width=5), "relative")
    rows, labels = training(rows=10)
    with pytest.raises(UsageError, match="20 rows or more"):
        fit_distance(rows, labels)
    with pytest.raises(UsageError, match="all of these are alike"):
        fit_distance(np.ones((30, D)), np.zeros(30))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"scale": np.zeros(D)}, "scale holds values that are not above 0"),
        ({"means": np.full((2, D), np.nan)}, "means holds values that are not finite"),
        ({"references": np.ones((4, D + 1))}, "of vectors of width 6"),
        ({"within_variances": np.ones(2)}, "within_axes has 6 axes|5 axes"),
    ],
)
def test_damaged_arrays_are_refused(change: dict[str, np.ndarray], told: str) -> None:
    arrays = fit_distance(*training()).arrays()
    with pytest.raises(BundleError, match=told):
        TrainingDistance.from_arrays(arrays | change)
    with pytest.raises(KeyError, match="mean"):
        TrainingDistance.from_arrays({n: v for n, v in arrays.items() if n != "mean"})
