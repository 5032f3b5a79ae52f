from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workzone.decide.calibration_error import bin_numbers
from workzone.report.bootstrap import resample_figures, weighted_figures
from workzone.report.metrics import point_metrics

weighted_rows = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 20), st.integers(0, 3)), min_size=1, max_size=25
)


@settings(max_examples=80, deadline=None)
@given(weighted_rows, st.randoms(use_true_random=False))
def test_weights_equal_scikit_learn_on_copied_rows(rows, random):
    labels, probabilities, weights = (np.array(column) for column in zip(*rows, strict=True))
    probabilities = probabilities / 20
    weights[random.randrange(len(rows))] += 1  # a resample is never empty
    copied = np.repeat(np.arange(len(rows)), weights)
    expected = point_metrics(labels[copied], probabilities[copied])
    actual = weighted_figures(labels, probabilities, weights[None])
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        if value is None:
            assert math.isnan(actual[name][0]), name
        else:
            assert actual[name][0] == pytest.approx(value, abs=1e-9), name


def test_chunks_of_resamples_are_joined(monkeypatch):
    random = np.random.default_rng(0)
    labels, scores = random.integers(0, 2, 30), random.random(30)
    arguments = (labels, scores, np.arange(30) // 3, 10)
    whole = resample_figures(*arguments, resamples=11, seed=5)
    monkeypatch.setattr("workzone.report.bootstrap._CELLS_AT_ONCE", 120)  # four at a time
    parts = resample_figures(*arguments, resamples=11, seed=5)
    for name, values in whole.items():
        assert values.shape == (11,)
        np.testing.assert_allclose(parts[name], values)


def test_bins_open_at_their_lower_end():
    scores = np.array([0.0, 0.0999, 0.1, 0.5, 0.9, 1.0])
    assert bin_numbers(scores).tolist() == [0, 0, 1, 5, 9, 9]
