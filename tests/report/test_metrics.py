from __future__ import annotations

import json
import math

import numpy as np
import pytest
from rich.console import Console

from workzone.errors import UsageError
from workzone.report.metrics import (
    FIGURES,
    point_metrics,
    summarise,
    summarise_by,
    to_table,
    worst_mistakes,
)


def made_rows(rows=120, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, rows)
    probabilities = np.clip(0.25 * labels + 0.8 * random.random(rows), 0, 1)
    return labels, probabilities


def test_figures_of_a_small_case_by_hand():
    labels = [1, 1, 1, 0, 0, 0, 0, 0]
    probabilities = [0.9, 0.8, 0.5, 0.7, 0.4, 0.2, 0.1, 0.1]  # 0.5 itself is "none"
    tp, fp, fn, tn = 2, 1, 1, 4
    figures = point_metrics(labels, probabilities)
    assert list(figures) == list(FIGURES)
    assert figures["accuracy"] == pytest.approx(6 / 8)
    assert figures["precision"] == pytest.approx(2 / 3)
    assert figures["recall"] == pytest.approx(2 / 3)
    assert figures["f1"] == pytest.approx(2 / 3)
    assert figures["mcc"] == pytest.approx(
        (tp * tn - fp * fn) / math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    )
    assert figures["auc"] == pytest.approx(14 / 15)  # of 3 x 5 pairs one is the wrong way round
    assert figures["average_precision"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert figures["brier"] == pytest.approx(
        sum((p - y) ** 2 for p, y in zip(probabilities, labels, strict=True)) / 8
    )
    # Bins hold 0.1 twice, and every other probability alone; 0.5 and 0.9 open their bins.
    assert figures["ece"] == pytest.approx((0.2 + 0.2 + 0.4 + 0.5 + 0.7 + 0.2 + 0.1) / 8)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_leaves_figures_undefined_not_nan(label):
    figures = point_metrics([label] * 3, [0.2, 0.6, 0.9])
    assert figures["mcc"] is figures["auc"] is figures["average_precision"] is None
    assert (figures["recall"] is None) == (label == 0)
    assert figures["accuracy"] == pytest.approx(2 / 3 if label else 1 / 3)
    json.dumps(figures, allow_nan=False)


def test_no_positive_prediction():
    figures = point_metrics([0, 1], [0.1, 0.2])
    assert figures["precision"] is None
    assert (figures["mcc"], figures["recall"], figures["f1"]) == (0, 0, 0)
    assert point_metrics([0, 0], [0.1, 0.2])["f1"] is None


def test_intervals_equal_a_slow_bootstrap_over_copied_rows():
    labels, probabilities = made_rows(60)
    groups = [None if row % 7 == 0 else f"clip-{row // 4}" for row in range(60)]
    metrics = summarise(labels, probabilities, groups, resamples=50, seed=3)

    names = list(dict.fromkeys(g if g is not None else i for i, g in enumerate(groups)))
    rows_of = {
        name: [i for i, g in enumerate(groups) if (g if g is not None else i) == name]
        for name in names
    }
    assert metrics.groups == len(names)
    times = np.random.default_rng(3).multinomial(len(names), [1 / len(names)] * len(names), 50)
    drawn = []
    for draw in times:
        rows = [i for name, n in zip(names, draw, strict=True) for i in rows_of[name] * n]
        drawn.append(point_metrics(labels[rows], probabilities[rows]))
    for name, figure in metrics.figures.items():
        values = [figures[name] for figures in drawn]
        assert figure.low == pytest.approx(np.quantile(values, 0.025)), name
        assert figure.high == pytest.approx(np.quantile(values, 0.975)), name
        assert figure.value == point_metrics(labels, probabilities)[name]


def test_groups_widen_the_interval():
    labels, probabilities = made_rows(20)
    labels, probabilities = np.repeat(labels, 10), np.repeat(probabilities, 10)
    groups = [f"clip-{row // 10}" for row in range(200)]

    def width(groups):
        figure = summarise(labels, probabilities, groups, resamples=300).figures["accuracy"]
        return figure.high - figure.low

    # Ten equal frames a clip: the truth is as uncertain as with a tenth of the rows.
    assert width(groups) == pytest.approx(math.sqrt(10) * width(None), rel=0.3)


def test_undefined_resamples_are_counted_and_left_out():
    labels, probabilities = [1, 0, 0, 0, 0, 0], [0.9, 0.1, 0.2, 0.3, 0.4, 0.7]
    figures = summarise(labels, probabilities, resamples=2000).figures
    share = figures["auc"].undefined_resamples / 2000
    assert share == pytest.approx((5 / 6) ** 6 + (1 / 6) ** 6, abs=0.04)  # one class drawn
    assert figures["auc"].low == figures["auc"].high == 1.0
    assert figures["accuracy"].undefined_resamples == 0


def test_seed_and_level():
    labels, probabilities = made_rows()
    first = summarise(labels, probabilities, resamples=100, seed=1)
    assert first == summarise(labels, probabilities, resamples=100, seed=1)
    assert first != summarise(labels, probabilities, resamples=100, seed=2)
    narrow = summarise(labels, probabilities, resamples=100, seed=1, level=0.5).figures["mcc"]
    wide = first.figures["mcc"]
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_few_groups_have_no_interval():
    labels, probabilities = made_rows(40)
    metrics = summarise(labels, probabilities, [f"clip-{row % 4}" for row in range(40)])
    assert metrics.groups == 4
    assert all(f.low is None and f.high is None for f in metrics.figures.values())
    assert "no intervals: 4 groups, 5 are needed" in printed(to_table(metrics))


def test_slices_are_the_figures_of_their_rows():
    labels, probabilities = made_rows(100)
    values = ["day"] * 50 + ["night"] * 40 + [None] * 10
    groups = [f"clip-{row // 2}" for row in range(100)]
    slices = summarise_by(labels, probabilities, groups, values, resamples=20)
    assert [(s.value, s.metrics.rows) for s in slices] == [("day", 50), ("night", 40), (None, 10)]
    assert slices[1].metrics == summarise(
        labels[50:90], probabilities[50:90], groups[50:90], resamples=20
    )
    small = slices[2].metrics
    assert list(small.figures) == ["accuracy"]
    assert small.confusion.true_positives == sum(
        y == 1 and p > 0.5 for y, p in zip(labels[90:], probabilities[90:], strict=True)
    )


def test_a_slice_of_one_class_keeps_accuracy_only():
    slices = summarise_by([0] * 40, [0.1] * 30 + [0.9] * 10, None, ["web"] * 40, resamples=0)
    assert list(slices[0].metrics.figures) == ["accuracy"]
    assert slices[0].metrics.figures["accuracy"].value == 0.75
    assert slices[0].metrics.confusion.false_positives == 10


def test_a_slice_with_few_of_one_class_keeps_accuracy_only():
    def figures(positives):
        labels = [1] * positives + [0] * 40
        values = ["web"] * len(labels)
        (part,) = summarise_by(labels, [0.4] * len(labels), None, values, resamples=0)
        return part.metrics.figures

    assert list(figures(4)) == ["accuracy"]
    assert list(figures(5)) == list(FIGURES)


def test_json_is_finite_and_complete():
    labels, probabilities = made_rows(40)
    data = summarise(labels, probabilities, resamples=10).to_json()
    again = json.loads(json.dumps(data, allow_nan=False))
    assert again["figures"]["mcc"].keys() == {"value", "low", "high", "undefined_resamples"}
    assert sum(again["confusion"].values()) == again["rows"] == 40
    one_class = summarise_by([1] * 8, [0.3] * 8, None, ["x"] * 8, resamples=10)
    json.dumps([part.to_json() for part in one_class], allow_nan=False)


def test_worst_mistakes_come_furthest_first():
    labels = [1, 0, 1, 0, 1, 0]
    probabilities = [0.45, 0.99, 0.01, 0.2, 0.9, 0.5]
    assert worst_mistakes(labels, probabilities, 10).tolist() == [1, 2, 0]
    assert worst_mistakes(labels, probabilities, 2).tolist() == [1, 2]
    assert worst_mistakes([1, 0], [0.9, 0.1], 5).tolist() == []


def printed(table):
    console = Console(width=100)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_the_table_names_every_figure():
    labels, probabilities = made_rows(40)
    metrics = summarise(labels, probabilities, resamples=10)
    text = printed(to_table(metrics, title="Held-out rows"))
    mcc = metrics.figures["mcc"]
    assert "Held-out rows" in text
    assert f"{mcc.value:.3f}" in text
    assert f"{mcc.low:.3f} to {mcc.high:.3f}" in text
    assert all(title in text for title in FIGURES.values())
    assert "not defined" in printed(to_table(summarise([0], [0.1])))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([], []), {}, "no rows to evaluate"),
        (([0, 1], [0.2, 0.3], ["a"]), {}, "1 groups for 2 rows: give one per row"),
        (([0, 1], [0.2, 0.3]), {"resamples": -1}, "resamples -1: give 0"),
        (([0, 1], [0.2, 0.3]), {"level": 95}, "level 95: give a number between 0 and 1"),
        (([0, 3], [0.2, 0.3]), {}, "row 1: label 3"),
    ],
)
def test_wrong_calls(arguments, options, message):
    with pytest.raises(UsageError, match=message):
        summarise(*arguments, **options)


def test_one_slice_value_per_row():
    with pytest.raises(UsageError, match="1 values for 2 rows"):
        summarise_by([0, 1], [0.2, 0.3], None, ["day"])
