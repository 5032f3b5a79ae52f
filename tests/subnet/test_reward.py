from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, matthews_corrcoef

from workzone.errors import UsageError
from workzone.subnet.reward import expected_reward, reward


def history(*, positives: int, missed: int, false_alarms: int) -> tuple[list[int], list[float]]:
    """A hundred answers, the wrong ones first."""
    wrong = [(1, 0.1)] * missed + [(0, 0.9)] * false_alarms
    right = [(1, 0.8)] * (positives - missed) + [(0, 0.2)] * (100 - positives - false_alarms)
    right = [right[n] for n in np.random.default_rng(0).permutation(len(right))]
    labels, answers = zip(*wrong, *right, strict=True)
    return list(labels), list(answers)


@pytest.mark.parametrize(
    ("missed", "false_alarms", "expected"),
    [
        (0, 0, 1.000),
        (0, 1, 0.970),
        (1, 1, 0.940),
        (3, 2, 0.855),
        (6, 4, 0.725),
        (11, 9, 0.505),
    ],
)
def test_the_reference_table_of_errors_in_a_hundred(
    missed: int, false_alarms: int, expected: float
) -> None:
    """The table's last digits are those of 44 images of road work in 100."""
    labels, answers = history(positives=44, missed=missed, false_alarms=false_alarms)
    assert round(reward(labels, answers), 3) == expected


@pytest.mark.parametrize("errors", [2, 10, 20])
def test_with_balanced_classes_and_errors_it_has_a_closed_form(errors: int) -> None:
    labels, answers = history(positives=50, missed=errors // 2, false_alarms=errors // 2)
    assert reward(labels, answers) == pytest.approx((1 - errors / 100) ** 3)


def test_the_documented_table_says_for_which_share_it_holds() -> None:
    page = (Path(__file__).parents[2] / "docs" / "judge" / "challenge.md").read_text(
        encoding="utf-8"
    )
    assert "| errors in 100 | 50 with road work | 44 with road work |" in page
    for errors in (0, 2, 5, 10, 20):
        missed = errors - errors // 2
        paid = (
            reward(*history(positives=share, missed=missed, false_alarms=errors // 2))
            for share in (50, 44)
        )
        assert f"| {errors} | {' | '.join(f'{value:.3f}' for value in paid)} |" in page


def slow_reward(labels: np.ndarray, answers: np.ndarray) -> float:
    """Word by word, with scikit-learn; of answers in 0..1 or -1."""
    if answers[-1] == -1:
        return 0.0
    windows = []
    for size in (100, 10):
        pairs = list(zip(labels, answers, strict=True))[-size:]
        windows.append(np.array([(label, answer) for label, answer in pairs if answer != -1]).T)
    mcc = matthews_corrcoef(windows[0][0], np.round(windows[0][1]))
    return (0.5 * max(0, mcc) + 0.5 * accuracy_score(windows[1][0], np.round(windows[1][1]))) ** 3


@pytest.mark.filterwarnings("ignore:A single label was found")
@pytest.mark.parametrize("length", [1, 5, 10, 60, 100, 250])
def test_any_history_is_paid_as_described(length: int) -> None:
    random = np.random.default_rng(length)
    for _ in range(20):
        labels = random.integers(0, 2, length)
        answers = np.clip(0.5 * labels + 0.6 * random.random(length), 0, 1)
        answers[random.random(length) < 0.1] = -1
        assert reward(labels, answers) == pytest.approx(slow_reward(labels, answers))


def test_only_the_last_hundred_and_the_last_ten_count() -> None:
    labels, answers = history(positives=50, missed=5, false_alarms=5)
    assert reward([1] * 30 + labels, [0.0] * 30 + answers) == reward(labels, answers)
    wrong_last = [*answers[:-1], 1 - answers[-1]]
    assert reward(labels, wrong_last) < reward(labels, [1 - answers[0], *answers[1:]])


@pytest.mark.parametrize("last", [-1.0, -0.01, 1.01, 17.0, float("inf")])
def test_no_answer_and_answers_out_of_range_earn_nothing(last: float) -> None:
    labels, answers = history(positives=50, missed=0, false_alarms=0)
    assert reward(labels, [*answers[:-1], last]) == 0


def test_a_half_is_none() -> None:
    labels, answers = history(positives=50, missed=0, false_alarms=0)
    halves = [0.5 if label == 0 else answer for label, answer in zip(labels, answers, strict=True)]
    assert reward(labels, halves) == 1
    barely = [0.5 if label == 1 else answer for label, answer in zip(labels, answers, strict=True)]
    assert reward(labels, barely) < 0.2


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 7.0, -3.0])
def test_an_answer_that_is_no_probability_caps_the_reward_until_it_scrolls_out(bad: float) -> None:
    labels, answers = history(positives=50, missed=0, false_alarms=0)
    assert reward(labels, [bad, *answers[1:]]) == 0.125
    assert reward(labels, [*answers[:95], bad, *answers[96:]]) == 0
    assert reward([0, *labels], [bad, *answers]) == 1


def test_one_class_alone_has_no_mcc() -> None:
    assert reward([1] * 20, [0.9] * 20) == 0.125
    assert reward([0, 1] * 20, [0.9] * 40) == pytest.approx(0.25**3)


@pytest.mark.parametrize(
    ("labels", "answers"), [([], []), ([1], [0.5, 0.5]), ([[1]], [[0.5]])], ids=str
)
def test_labels_and_answers_must_fit(labels: list, answers: list) -> None:
    with pytest.raises(UsageError, match=r"give one label per answer, and at least one"):
        reward(labels, answers)


# The expected reward


def test_always_right_and_always_wrong() -> None:
    np.testing.assert_allclose(expected_reward([1, 0], [1, 0]), [1, 0], atol=1e-12)


@pytest.mark.parametrize(("recall", "specificity"), [(0, 1), (1, 0)])
def test_one_answer_to_all_earns_the_third_moment_of_the_last_ten(
    recall: float, specificity: float
) -> None:
    # E[K^3] = n(n-1)(n-2)p^3 + 3n(n-1)p^2 + np of a binomial K, n = 10, p = 1/2
    third = 720 / 8 + 270 / 4 + 5
    assert float(expected_reward(recall, specificity)) == pytest.approx(third / 20**3)


@pytest.mark.parametrize(("recall", "specificity"), [(0.9, 0.95), (0.6, 0.7), (0.99, 0.8)])
def test_it_is_the_mean_of_simulated_rewards(recall: float, specificity: float) -> None:
    random = np.random.default_rng(1)
    paid = []
    for _ in range(3000):
        labels = random.integers(0, 2, 100)
        right = random.random(100) < np.where(labels == 1, recall, specificity)
        paid.append(reward(labels, np.where(right, labels, 1 - labels)))
    error = np.std(paid) / np.sqrt(len(paid))
    assert float(expected_reward(recall, specificity)) == pytest.approx(
        np.mean(paid), abs=4 * error
    )


def test_the_classes_are_alike_and_better_answers_earn_more() -> None:
    values = np.linspace(0.5, 1, 6)
    grid = expected_reward(values[:, None], values[None])
    np.testing.assert_allclose(grid, grid.T, rtol=1e-10)
    assert (np.diff(grid, axis=0) > 0).all()
    assert grid.shape == (6, 6)
    for row, column in itertools.product(range(6), repeat=2):
        assert grid[row, column] == pytest.approx(
            float(expected_reward(values[row], values[column]))
        )


def test_what_is_not_known_stays_so() -> None:
    assert np.isnan(expected_reward([np.nan, 0.5], [0.5, 0.5])).tolist() == [True, False]


@pytest.mark.parametrize(("recall", "specificity"), [(1.2, 0.5), (-0.1, 0.5)])
def test_shares_are_checked(recall: float, specificity: float) -> None:
    with pytest.raises(UsageError, match=rf"recall {recall} is not a share from 0 to 1"):
        expected_reward(recall, specificity)
    with pytest.raises(UsageError, match=rf"specificity {recall} is not a share"):
        expected_reward(specificity, recall)
