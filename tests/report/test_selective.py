"""Figures by coverage, against a plain count."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef

from workzone.errors import UsageError
from workzone.report.selective import coverage_table, selective


def drawn(rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, rows)
    return labels, 1 / (1 + np.exp(-(random.normal(size=rows) * 2 + 3 * labels - 1.5)))


def test_the_surest_are_decided_first() -> None:
    labels, probabilities = drawn()
    order = np.argsort(-np.abs(probabilities - 0.5))
    wrong = (probabilities > 0.5) != (labels == 1)
    found = selective(labels, probabilities)
    expected = [wrong[order[: i + 1]].mean() for i in range(200)]
    np.testing.assert_allclose(found.risks, expected)
    assert found.area == pytest.approx(np.mean(expected))
    assert [part.decided for part in found.at] == [160, 180, 190, 200]
    for part in found.at:
        kept = order[: part.decided]
        assert part.mistakes == wrong[kept].sum()
        assert part.accuracy == pytest.approx(1 - wrong[kept].mean())
        mcc = matthews_corrcoef(labels[kept], probabilities[kept] > 0.5)
        assert part.mcc == pytest.approx(mcc)
    assert found.in_doubt is None
    assert "risks" not in json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert "80%" in str(list(coverage_table(found).columns[0].cells))


def test_what_is_in_doubt_is_left_out_first_and_told_by_slice() -> None:
    labels, probabilities = drawn()
    wrong = (probabilities > 0.5) != (labels == 1)
    sources = ["left" if row < 100 else None for row in range(200)]
    found = selective(labels, probabilities, doubtful=wrong, slices={"source": sources})
    right = 200 - int(wrong.sum())
    assert found.in_doubt == wrong.sum()
    assert found.risks[right - 1] == 0
    assert found.risks[-1] == pytest.approx(wrong.mean())
    told = {part.value: (part.rows, part.refused) for part in found.refused}
    assert told == {"left": (100, wrong[:100].sum()), None: (100, wrong[100:].sum())}


def test_one_class_and_one_row_have_what_is_defined() -> None:
    found = selective([1], [0.9])
    assert [(part.decided, part.mcc, part.accuracy) for part in found.at] == [(1, None, 1.0)] * 4


def test_mistakes_are_told() -> None:
    with pytest.raises(UsageError, match="0 rows to decide on"):
        selective([], [])
    with pytest.raises(UsageError, match="'doubtful': 3"):
        selective([0, 1], [0.1, 0.9], doubtful=np.zeros(3, bool))
    with pytest.raises(UsageError, match=r"must be a number in 0\.\.1"):
        selective([0, 1], [0.1, float("nan")])
