"""Familiarity: the cut keeps its promise, and what is stored is checked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from workzone.decide.familiarity import (
    FILE,
    Familiarity,
    familiarity_json,
    fit_familiarity,
    read_familiarity,
    write_familiarity,
)
from workzone.errors import BundleError, UsageError

D = 12


def rows(count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=(count, D)) * np.linspace(0.5, 2, D) + 4


def fitted(rate: float = 0.05, count: int = 400) -> Familiarity:
    groups = [f"drive {row // 4}" if row % 3 else None for row in range(count)]
    return fit_familiarity(rows(count, 0), np.arange(count) % 2, groups, rate=rate)


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_as_many_of_others_like_them_are_beyond_the_cut_as_stated(rate: float) -> None:
    familiarity = fitted(rate)
    beyond = (familiarity.score(rows(4000, 1)) > 1).mean()
    assert 0.5 * rate < beyond < 2 * rate
    assert familiarity.rate == pytest.approx(rate, abs=0.01)
    assert abs(np.median(familiarity.score(rows(4000, 1)))) < 0.2  # 0: as usual
    assert familiarity.score(rows(50, 2) * -3).min() > 1


def test_groups_are_left_out_whole() -> None:
    """Rows of a group that are all alike are far from all others, and near each other."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(20, D)) * 5
    vectors = np.repeat(centres, 10, axis=0) + random.normal(size=(200, D)) * 0.1
    names = [f"drive {row // 10}" for row in range(200)]
    apart = fit_familiarity(vectors, np.arange(200) % 2, names)
    mixed = fit_familiarity(vectors, np.arange(200) % 2, [None] * 200)
    assert apart.cut > 1.5 * mixed.cut
    assert (apart.rows, apart.groups, mixed.groups) == (200, 20, 200)


def test_it_is_stored_whole_and_read_again(tmp_path: Path) -> None:
    familiarity = fitted()
    write_familiarity(familiarity, tmp_path)
    held = json.loads(json.dumps(familiarity_json(familiarity)))
    again = read_familiarity(tmp_path, held)
    assert again is not None
    np.testing.assert_array_equal(again.score(rows(9, 3)), familiarity.score(rows(9, 3)))
    assert read_familiarity(tmp_path, None) is None
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"is not the file that bundle\.json describes"):
        read_familiarity(tmp_path, held)
    (tmp_path / FILE).unlink()
    with pytest.raises(BundleError, match="copy the bundle again"):
        read_familiarity(tmp_path, held)


def test_mistakes_are_told() -> None:
    vectors, labels = rows(40, 0), np.arange(40) % 2
    with pytest.raises(UsageError, match="two or more"):
        fit_familiarity(vectors, labels, ["one"] * 40)
    with pytest.raises(UsageError, match="between 0 and 1"):
        fit_familiarity(vectors, labels, [None] * 40, rate=0)
    with pytest.raises(BundleError, match="not a finite number"):
        fit_familiarity(np.where(vectors > 5, np.nan, vectors), labels, [None] * 40)
    made = fitted()
    for change, told in (
        ({"cut": made.centre}, "a cut above the centre"),
        ({"centre": float("nan")}, "a cut above the centre"),
        ({"name": "nearest"}, "does not know"),
    ):
        with pytest.raises(BundleError, match=told):
            Familiarity(**(vars(made) | change))
