from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import matthews_corrcoef

from workzone.decide.threshold import choose_threshold, map_to_half, matthews
from workzone.errors import UsageError

probability = st.floats(0, 1)
cut = st.floats(0, 1, exclude_min=True, exclude_max=True)
scored_rows = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12)), min_size=2, max_size=40)


def best_mcc_by_trying(labels, probabilities):
    levels = sorted(set(probabilities))
    cuts = [(a + b) / 2 for a, b in itertools.pairwise(levels)]
    return max(
        (matthews_corrcoef(labels, np.asarray(probabilities) > c) for c in cuts), default=0.0
    )


@settings(max_examples=60, deadline=None)
@given(scored_rows)
def test_no_cut_has_a_higher_mcc(rows):
    labels, probabilities = [y for y, _ in rows], [p / 12 for _, p in rows]
    assume(0 < sum(labels) < len(labels))
    best = best_mcc_by_trying(labels, probabilities)
    threshold = choose_threshold(labels, probabilities, minimum_per_class=1)
    assert 0 < threshold.value < 1
    at_value = matthews_corrcoef(labels, np.asarray(probabilities) > threshold.value)
    assert threshold.mcc_at_value == pytest.approx(at_value, abs=1e-12)
    if best > 1e-12:
        assert at_value == pytest.approx(best, abs=1e-9)
    else:
        assert threshold.value == 0.5
    at_half = matthews_corrcoef(labels, np.asarray(probabilities) > 0.5)
    assert threshold.mcc_at_half == pytest.approx(at_half, abs=1e-12)
    assert threshold.guarded == (best <= 1e-12)


def test_the_middle_of_a_clean_gap_is_taken():
    labels = [0] * 10 + [1] * 10
    threshold = choose_threshold(labels, [0.1] * 5 + [0.6] * 5 + [0.8] * 10)
    assert threshold.value == pytest.approx(0.7)
    assert threshold.mcc_at_value == 1.0
    assert threshold.mcc_at_half == pytest.approx(matthews_corrcoef(labels, [0] * 5 + [1] * 15))
    assert (threshold.rows, threshold.positives, threshold.guarded) == (20, 10, False)
    assert "0.700 has the highest MCC on 20 rows: 1.000" in threshold.reason


def test_of_two_equally_good_cuts_the_wider_plateau_is_taken():
    # Cutting below 0.2..0.3 or above 0.6..0.9 leaves one error of either kind: MCC is symmetric.
    labels = [0, 1, 0, 1]
    probabilities = [0.2, 0.3, 0.6, 0.9]
    assert choose_threshold(labels, probabilities, minimum_per_class=1).value == pytest.approx(0.75)


def test_of_equally_wide_plateaus_the_one_nearest_half_is_taken():
    probabilities = np.array([0.125, 0.25, 0.5, 0.625])  # gaps 1 and 3 are as good, as wide
    threshold = choose_threshold([0, 1, 0, 1], probabilities, minimum_per_class=1)
    assert threshold.value == 0.5625


@pytest.mark.parametrize(("positives", "negatives"), [(9, 50), (50, 9), (0, 30), (30, 0), (0, 0)])
def test_few_rows_keep_half(positives, negatives):
    labels = [1] * positives + [0] * negatives
    probabilities = [0.3] * positives + [0.1] * negatives
    threshold = choose_threshold(labels, probabilities)
    assert threshold.value == 0.5
    assert threshold.guarded
    assert f"0.5 is kept: {positives} rows with road work and {negatives} without" in (
        threshold.reason
    )
    assert "at least 10 of each" in threshold.reason
    assert (threshold.mcc_at_value is None) == (0 in (positives, negatives))


def test_a_useless_model_keeps_half():
    labels = [0, 1] * 10
    assert choose_threshold(labels, [0.2] * 20).value == 0.5
    upside_down = choose_threshold(labels, [0.3, 0.1] * 10)
    assert upside_down.value == 0.5
    assert "no cut separates the classes better than chance" in upside_down.reason


def test_neighbouring_floats_are_still_separated():
    low, high = 0.7, math.nextafter(0.7, 1)
    probabilities = np.array([low] * 10 + [high] * 10)
    labels = [0] * 10 + [1] * 10
    threshold = choose_threshold(labels, probabilities)
    assert threshold.mcc_at_value == 1.0
    assert ((probabilities > threshold.value) == (np.array(labels) == 1)).all()


def test_a_cut_that_would_be_zero_is_refused():
    threshold = choose_threshold([0] * 10 + [1] * 10, [0.0] * 10 + [5e-324] * 10)
    assert threshold.value == 0.5
    assert "not distinguishable from 0" in threshold.reason


@given(probability, cut)
def test_mapping_keeps_the_decision_and_stays_in_range(p, t):
    mapped = float(map_to_half(p, t))
    assert 0 <= mapped <= 1
    assert (mapped > 0.5) == (p > t)


@given(cut)
def test_the_threshold_itself_becomes_exactly_half(t):
    assert map_to_half([t], t)[0] == 0.5
    assert map_to_half([0.0, 1.0], t).tolist() == [0.0, 1.0]
    below, above = map_to_half([math.nextafter(t, 0), math.nextafter(t, 1)], t)
    assert below <= 0.5 < above


@given(probability, probability, cut)
def test_mapping_never_reverses_an_order(a, b, t):
    low, high = map_to_half(sorted([a, b]), t)
    assert low <= high


@given(st.integers(1, 999), st.integers(1, 998), st.integers(1, 999))
def test_mapping_is_strictly_monotone_at_a_thousandth(a, step, t):
    b = a + step
    assume(b < 1000)
    low, high = map_to_half([a / 1000, b / 1000], t / 1000)
    assert low < high


@given(st.floats(1e-6, 1 - 1e-6), st.floats(1e-6, 1 - 1e-6))
def test_mapping_is_a_shift_of_the_logit(p, t):
    def logit(x):
        return math.log(x) - math.log1p(-x)

    expected = 1 / (1 + math.exp(logit(t) - logit(p)))
    assert map_to_half([p], t)[0] == pytest.approx(expected, rel=1e-9)


def test_mapping_at_half_changes_nothing_and_keeps_the_shape():
    p = np.linspace(0, 1, 12).reshape(3, 4)
    np.testing.assert_allclose(map_to_half(p, 0.5), p, atol=1e-15)


@settings(max_examples=50, deadline=None)
@given(*[st.integers(0, 40)] * 4)
def test_matthews_equals_scikit_learn(tp, fp, fn, tn):
    assume(tp + fn > 0 and fp + tn > 0)
    labels = [1] * tp + [0] * fp + [1] * fn + [0] * tn
    predicted = [1] * (tp + fp) + [0] * (fn + tn)
    expected = matthews_corrcoef(labels, predicted)
    assert matthews(tp=tp, fp=fp, fn=fn, tn=tn) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, math.nan])
def test_a_threshold_out_of_range_is_refused(threshold):
    with pytest.raises(UsageError, match=r"threshold .*: give a number between 0 and 1"):
        map_to_half([0.3], threshold)


def test_scores_that_are_no_scores_are_refused():
    with pytest.raises(UsageError, match=r"row 1: probability 1\.2; it must be a number in 0\.\.1"):
        map_to_half([0.3, 1.2], 0.5)
    with pytest.raises(UsageError, match="row 1: probability nan"):
        choose_threshold([0, 1], [0.1, math.nan])
    with pytest.raises(UsageError, match=r"row 2: label 2; labels are 1 \(road work\) or 0"):
        choose_threshold([0, 1, 2], [0.1, 0.2, 0.3])
    with pytest.raises(UsageError, match=r"shape \(2,\) and probabilities of shape \(1,\)"):
        choose_threshold([0, 1], [0.1])
