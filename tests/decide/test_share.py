from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from workzone.decide.calibration import Calibration
from workzone.decide.calibration_fit import fit_calibration
from workzone.decide.share import estimate_share
from workzone.errors import UsageError

shares = st.floats(0.01, 0.99)


def images(share: float, assumed: float, count: int = 20_000) -> np.ndarray:
    """Probabilities, calibrated for ``assumed``, of images of which ``share`` show road work."""
    random = np.random.default_rng(0)
    labels = random.random(count) < share
    evidence = random.normal(np.where(labels, 1, -1), 1)  # log-likelihood ratio: 2 * evidence
    odds: np.ndarray = expit(2 * evidence + np.log(assumed / (1 - assumed)))
    return odds


@pytest.mark.parametrize("assumed", [0.2, 0.5])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9])
def test_the_share_of_unlabelled_images_is_found(share: float, assumed: float) -> None:
    found = estimate_share(images(share, assumed), assumed=assumed)
    assert found == pytest.approx(share, abs=0.02)


def test_images_that_say_nothing_leave_the_share_as_it_was() -> None:
    assert estimate_share(np.full(10, 0.5)) == pytest.approx(0.5)


def test_few_images_of_one_kind_are_no_certainty() -> None:
    assert estimate_share([1.0]) == pytest.approx(2 / 3)
    assert estimate_share([0.0, 0.0]) == pytest.approx(1 / 4)


def test_the_share_found_is_the_mean_at_that_share() -> None:
    weak = expit(np.random.default_rng(0).normal(-0.02, 0.2, 30_000))  # next to no evidence
    found = estimate_share(weak)
    told = Calibration().at_share(found).apply(weak)
    assert (told.sum() + 1) / 30_002 == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize("wrong", [float("nan"), 1.5, -1.0])
def test_what_is_no_probability_has_no_share(wrong: float) -> None:
    with pytest.raises(UsageError, match="needs probabilities from 0 to 1"):
        estimate_share([0.5, wrong])


def test_no_image_has_no_share() -> None:
    with pytest.raises(UsageError, match="cannot be estimated from no image"):
        estimate_share([])


@given(st.floats(0.001, 0.999), shares, shares)
def test_odds_change_by_the_ratio_of_prior_odds(p: float, assumed: float, share: float) -> None:
    moved = Calibration(share=assumed).at_share(share)
    odds = p / (1 - p) * (share / (1 - share)) / (assumed / (1 - assumed))
    assert float(moved.apply(p)) == pytest.approx(max(min(odds / (1 + odds), 1 - 1e-6), 1e-6))
    assert moved.share == share


@given(st.floats(0.05, 0.95), st.floats(0.3, 3), shares)
def test_there_and_back_is_where_it_was(threshold: float, slope: float, share: float) -> None:
    back = Calibration(threshold, slope).at_share(share).at_share(0.5)
    assert back.cut == pytest.approx(logit(threshold), abs=1e-9)
    assert (back.threshold, back.slope, back.share) == (threshold, slope, 0.5)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match=r"share .*: give the share of images with road work"):
        Calibration().at_share(share)
    with pytest.raises(UsageError, match=r"share .*: give the share of images with road work"):
        Calibration(share=share)


@pytest.mark.parametrize("slope", [0.15, 0.3, 1.0])
@pytest.mark.parametrize("share", [0.01, 1e-4, 1e-6])
def test_a_tiny_share_of_a_timid_model(slope: float, share: float) -> None:
    """Its cut, as a probability, would be 1: it is kept in log-odds."""
    moved = Calibration(0.4, slope).at_share(share)
    p = np.array([0.0, 0.3, 0.9, 0.999, 1.0])
    with np.errstate(divide="ignore"):
        expected = expit(slope * (logit(p) - logit(0.4)) + logit(share))
    np.testing.assert_allclose(moved.apply(p), expected.clip(1e-6, 1 - 1e-6), rtol=1e-9)
    assert moved.cut > 0
    back = moved.at_share(0.5)
    np.testing.assert_allclose(back.apply(p), Calibration(0.4, slope).apply(p), rtol=1e-9)


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_from_a_chosen_cut_the_share_of_other_images_is_found(share: float) -> None:
    found = []
    for seed in range(5):
        random = np.random.default_rng(seed)
        labels = (random.random(2000) < share).astype(int)
        scores = expit(1.5 * random.normal(np.where(labels == 1, 0.75, -0.75), 1))  # of one half
        fitted = fit_calibration(labels[:1000], scores[:1000])[0]
        own = fitted.at_share(0.5).apply(scores[:1000])
        smoothed = (labels[:1000].sum() + 1) / 1002
        assert estimate_share(own) == pytest.approx(smoothed, abs=0.01)
        found.append(estimate_share(fitted.at_share(0.5).apply(scores[1000:])))
    assert np.mean(found) == pytest.approx(share, abs=0.03)


def test_a_cut_that_was_kept_holds_for_one_half() -> None:
    scores = images(0.25, 0.5, 400)
    labels = (scores > 0.8).astype(int)
    assert 0 < fit_calibration(labels, scores)[0].share < 1  # told apart without an error
    assert fit_calibration(labels, scores, choose_cut=False)[0].share == 0.5
    assert fit_calibration([0, 1], [0.2, 0.7])[0].share == 0.5  # too few to choose from
