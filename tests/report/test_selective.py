"""Figures by coverage, against a plain count."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef

from workzone.errors import UsageError
from workzone.report.selective import coverage_table, refused_table, selective


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
    doubts = {
        "too dark": wrong & (np.arange(200) % 2 == 0),
        "too odd": wrong,
        "none": wrong & False,
    }
    found = selective(labels, probabilities, doubts=doubts, slices={"source": sources})
    right = 200 - int(wrong.sum())
    assert found.reasons == {name: images.sum() for name, images in doubts.items()}
    assert found.in_doubt == wrong.sum()
    assert found.risks[right - 1] == 0
    assert found.risks[-1] == pytest.approx(wrong.mean())
    told = {part.value: (part.rows, part.in_doubt) for part in found.refused["source"]}
    assert told == {"left": (100, wrong[:100].sum()), None: (100, wrong[100:].sum())}
    caption = str(coverage_table(found).caption)
    assert f"too odd: {wrong.sum()}" in caption and "none" not in caption


def test_what_each_coverage_leaves_undecided_is_told_by_slice() -> None:
    labels, probabilities = drawn()
    order = np.argsort(-np.abs(probabilities - 0.5))
    sources = np.array(["left", "right"])[np.arange(200) % 3 // 2].tolist()
    found = selective(labels, probabilities, slices={"source": sources, "one": ["a"] * 200})
    for part in found.refused["source"]:
        assert part.in_doubt is None
        mine = [row for row in range(200) if sources[row] == part.value]
        expected = [len({*order[count:]} & {*mine}) for count in (160, 180, 190)]
        assert list(part.at) == expected and part.rows == len(mine)
    assert found.refused["one"][0].at == (40, 20, 10)
    plain = json.loads(json.dumps(found.to_json()))["refused"]
    assert plain[-1]["at"] == {"0.8": 40, "0.9": 20, "0.95": 10}
    table = refused_table(found)
    assert [str(column.header) for column in table.columns] == [
        "field", "slice", "images", "at 80%", "at 90%", "at 95%",
    ]  # fmt: skip
    assert table.row_count == 3


def test_long_lists_of_slices_are_cut_in_the_terminal() -> None:
    labels, probabilities = drawn()
    groups = [f"[g{row // 2}]" for row in range(200)]
    found = selective(labels, probabilities, slices={"group": groups})
    table = refused_table(found)
    assert table.row_count == 8
    assert (
        str(table.caption) == f"and {len(found.refused['group']) - 8} more slices in metrics.json"
    )


def test_one_class_and_one_row_have_what_is_defined() -> None:
    found = selective([1], [0.9])
    assert [(part.decided, part.mcc, part.accuracy) for part in found.at] == [(1, None, 1.0)] * 4


def test_mistakes_are_told() -> None:
    with pytest.raises(UsageError, match="0 rows to decide on"):
        selective([], [])
    with pytest.raises(UsageError, match="'dark': 3"):
        selective([0, 1], [0.1, 0.9], doubts={"dark": np.zeros(3, bool)})
    with pytest.raises(UsageError, match=r"must be a number in 0\.\.1"):
        selective([0, 1], [0.1, float("nan")])
