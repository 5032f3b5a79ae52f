"""Smoothing along a drive, against the sum over all paths."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from workzone.decide.drive import Chain, find_segments, read_chain, smooth, write_chain
from workzone.decide.drive_fit import LabelledDrive, fit_chain, log_loss
from workzone.errors import UsageError

CHAIN = Chain(entering=0.05, leaving=0.2, exponent=0.7, offset=0.3, together=0.5, gap=20.0)


def by_all_paths(seconds, probabilities, chain, share=0.5):
    """Smoothed probabilities as sums over all paths, with the matrix exponential of the rates.

    For frames that are at least ``together`` apart.
    """
    rates = np.array([[-chain.entering, chain.entering], [chain.leaving, -chain.leaving]])
    usual = np.array([chain.leaving, chain.entering]) / (chain.entering + chain.leaving)
    likelihoods = []
    for p in probabilities:
        if math.isnan(p):
            likelihoods.append((1.0, 1.0))
        else:
            ratio = p / (1 - p) * (1 - share) / share * math.exp(chain.offset)
            likelihoods.append((1.0, ratio**chain.exponent))
    steps = [
        expm(rates * step) if step <= chain.gap else np.stack([usual, usual])
        for step in np.diff(seconds)
    ]
    total = np.zeros((len(seconds), 2))
    for path in itertools.product((0, 1), repeat=len(seconds)):
        weight = usual[path[0]]
        for (a, b), step in zip(itertools.pairwise(path), steps, strict=True):
            weight *= step[a, b]
        weight *= math.prod(like[s] for like, s in zip(likelihoods, path, strict=True))
        total[range(len(path)), path] += weight
    return total[:, 1] / total.sum(axis=1)


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_it_is_the_sum_over_all_paths(share):
    seconds = [0.0, 1.0, 1.5, 4.0, 30.0, 31.0, 32.5, 45.0]
    values = [0.2, 0.9, math.nan, 0.97, 0.4, 0.6, 0.01, 0.8]
    expected = by_all_paths(seconds, values, CHAIN, share)
    np.testing.assert_allclose(smooth(seconds, values, CHAIN, share=share), expected, rtol=1e-9)


def test_each_frame_twice_says_no_more():
    rng = np.random.default_rng(0)
    seconds, values = np.cumsum(rng.uniform(0.1, 3, 40)), rng.uniform(0.01, 0.99, 40)
    values[::7] = math.nan
    once = smooth(seconds, values, CHAIN)
    twice = smooth(seconds.repeat(2), values.repeat(2), CHAIN)
    np.testing.assert_allclose(twice, once.repeat(2), rtol=1e-9)


def test_ten_times_the_frames_of_a_second_say_about_the_same():
    chain = Chain(entering=0.05, leaving=0.1, exponent=0.6, together=1.0)
    shown = np.where((np.arange(60) > 20) & (np.arange(60) < 40), 0.8, 0.2)
    once = smooth(np.arange(60.0), shown, chain)
    often = smooth(np.arange(600) / 10, shown.repeat(10), chain)
    middle = often.reshape(60, 10)[:, 5]
    assert abs(middle - once)[[5, 30, 55]].max() < 0.02
    assert often.max() < 1 - 1e-4  # ten times the evidence would be sure of it


def test_frames_of_one_moment_are_one_state():
    both = smooth([0.0, 0.0], [0.9, 0.3], Chain(together=1e-9, exponent=1.0))
    assert both[0] == pytest.approx(both[1])


def test_a_gap_parts_a_drive():
    seconds = np.concatenate([np.arange(5.0), np.arange(5.0) + 4 + CHAIN.gap + 0.1])
    values = np.array([0.9] * 5 + [0.2] * 5)
    apart = np.concatenate([smooth(seconds[k], values[k], CHAIN) for k in (slice(5), slice(5, 10))])
    np.testing.assert_allclose(smooth(seconds, values, CHAIN), apart, rtol=1e-12)


def test_a_frame_that_says_nothing_follows_its_neighbours():
    smoothed = smooth([0, 1, 2], [0.95, math.nan, 0.95], Chain(exponent=1.0))
    assert smoothed[1] > 0.9
    assert smooth([0.0], [math.nan], CHAIN)[0] == pytest.approx(CHAIN.usual)
    assert smooth([], [], CHAIN).shape == (0,)


drives = st.lists(
    st.tuples(
        st.floats(0, 1e5),
        st.one_of(st.floats(0, 1), st.just(math.nan)),
    ),
    max_size=12,
)
chains = st.builds(
    Chain,
    entering=st.floats(1e-6, 10),
    leaving=st.floats(1e-6, 10),
    exponent=st.floats(0, 1),
    offset=st.floats(-20, 20),
    together=st.floats(1e-3, 1e3),
    gap=st.floats(1e-3, 1e4),
)


@settings(max_examples=60)
@given(frames=drives, chain=chains)
def test_probabilities_and_segments_are_always_finite(frames, chain):
    frames = sorted(frames, key=lambda frame: frame[0])
    seconds, values = [f[0] for f in frames], [f[1] for f in frames]
    smoothed = smooth(seconds, values, chain)
    assert ((smoothed >= 1e-6) & (smoothed <= 1 - 1e-6)).all()
    inside = np.zeros(len(frames), bool)
    for one in find_segments(seconds, values, smoothed, chain):
        assert smoothed[one.first] > 0.3 and smoothed[one.last] > 0.5
        assert one.first <= one.evidence <= one.last
        assert 0.3 < one.mean < one.peak + 1e-9 and math.isfinite(one.seconds)
        assert not inside[one.first : one.last + 1].any()
        inside[one.first : one.last + 1] = True
    assert inside[smoothed > 0.5].all()  # a frame that says road work is in a segment


def test_a_long_drive_of_certain_frames_is_finite():
    values = np.random.default_rng(0).integers(0, 2, 100_000).astype(float)
    smoothed = smooth(np.arange(100_000) / 30, values, Chain(exponent=1.0, together=1e-3))
    assert np.isfinite(smoothed).all()


def test_segments_begin_early_hold_through_a_dip_and_end_at_a_gap():
    seconds = [0, 1, 2, 3, 4, 5, 6, 100, 101]
    smoothed = [0.4, 0.6, 0.35, 0.9, 0.4, 0.2, 0.6, 0.7, 0.1]
    own = [0.9, 0.5, math.nan, 0.8, 0.95, 0.1, 0.2, math.nan, 0.1]
    found = find_segments(seconds, own, smoothed, Chain())
    assert [(one.first, one.last) for one in found] == [(0, 3), (6, 6), (7, 7)]
    assert [one.evidence for one in found] == [0, 6, 7]
    assert [one.seconds for one in found] == [3, 0, 0]
    assert found[0].mean == pytest.approx((0.4 + 0.6 + 0.35 + 0.9) / 4)
    assert found[0].peak == 0.9
    assert find_segments([0, 1], [0.9, 0.9], [0.5, 0.4], Chain()) == []


@pytest.mark.parametrize(
    ("seconds", "values", "said"),
    [
        ([1, 0], [0.5, 0.5], "in order"),
        ([0, math.inf], [0.5, 0.5], "in order"),
        ([0, 1], [0.5], "same length"),
        ([0, 1], [0.5, 1.5], "frame 1: probability 1.5"),
    ],
)
def test_what_is_no_drive_is_refused(seconds, values, said):
    with pytest.raises(UsageError, match=said):
        smooth(seconds, values, CHAIN)


def made_drive(rng, chain, frames=600):
    """States of the chain itself, and frames that err independently of each other."""
    seconds = np.cumsum(rng.uniform(0.8, 1.2, frames))
    states = [rng.random() < chain.usual]
    for step in np.diff(seconds):
        rate = chain.leaving if states[-1] else chain.entering
        mixed = -math.expm1(-(chain.entering + chain.leaving) * step)
        changes = rng.random() < mixed * rate / (chain.entering + chain.leaving)
        states.append(states[-1] ^ changes)
    labels = np.array(states, float)
    evidence = rng.normal(2 * labels - 1, 1)  # its log likelihood ratio is twice this
    return LabelledDrive(seconds, 1 / (1 + np.exp(-2 * evidence)), labels)


def test_a_fit_finds_the_chain_that_made_the_drives():
    rng, true = np.random.default_rng(0), Chain(entering=0.02, leaving=0.08, exponent=1.0)
    made = [made_drive(rng, true) for _ in range(4)]
    found = fit_chain(made)
    assert found.entering == pytest.approx(true.entering, rel=0.35)
    assert found.leaving == pytest.approx(true.leaving, rel=0.35)
    assert found.exponent > 0.8 and abs(found.offset) < 0.4
    assert found.together == pytest.approx(1.0, abs=0.05)
    unseen = [made_drive(rng, true)]
    deaf = Chain(entering=found.entering, leaving=found.leaving, exponent=0.0)
    assert log_loss(unseen, found) < 0.6 * log_loss(unseen, deaf)


def test_frames_that_all_say_the_same_count_for_less():
    """Errors that last: the same word for five frames each."""
    rng, true = np.random.default_rng(1), Chain(entering=0.02, leaving=0.08, exponent=1.0)
    made = []
    for _ in range(4):
        one = made_drive(rng, true)
        lasting = one.probabilities[np.arange(len(one.seconds)) // 5 * 5]
        made.append(LabelledDrive(one.seconds, lasting, one.labels))
    assert fit_chain(made).exponent < 0.5


def test_a_fit_needs_both_classes():
    alike = LabelledDrive(np.arange(3.0), np.full(3, 0.5), np.array([0, 0, math.nan]))
    with pytest.raises(UsageError, match="with road work and without"):
        fit_chain([alike])
    with pytest.raises(UsageError, match="with road work and without"):
        fit_chain([])


def test_a_chain_is_written_and_read(tmp_path):
    write_chain(CHAIN, tmp_path / "chain.json")
    assert read_chain(tmp_path / "chain.json") == CHAIN


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read as a chain"),
        ("[]", "no object"),
        ('{"entering": 1}', "leaving is missing"),
        (json.dumps({"exponent": "1", "speed": 2}), "exponent is no number.*speed is unknown"),
    ],
)
def test_what_is_no_chain_is_refused(tmp_path, text, said):
    (tmp_path / "chain.json").write_text(text)
    with pytest.raises(UsageError, match=said):
        read_chain(tmp_path / "chain.json")


def test_numbers_out_of_range_are_refused_with_the_file(tmp_path):
    write_chain(CHAIN, tmp_path / "chain.json")
    fields = json.loads((tmp_path / "chain.json").read_text())
    (tmp_path / "chain.json").write_text(json.dumps(fields | {"leaving": 0}))
    with pytest.raises(UsageError, match=r"chain\.json: .*above 0"):
        read_chain(tmp_path / "chain.json")
    with pytest.raises(UsageError, match="exponent from 0 to 1"):
        Chain(exponent=1.1)
