"""Familiarity: the cut keeps its promise, and what is stored is checked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from workzone.decide.familiarity import (
    FILE,
    MEASURES,
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


def fitted(rate: float = 0.05, count: int = 400, parts: int = 1) -> Familiarity:
    groups = [f"drive {row // 4}" if row % 3 else None for row in range(count)]
    labels = np.arange(count) % 2
    return fit_familiarity(rows(count, 0), labels, groups, parts=parts, rate=rate)


@pytest.mark.parametrize(("rate", "parts"), [(0.05, 1), (0.2, 1), (0.05, 2)])
def test_as_many_of_others_like_them_are_beyond_the_cut_as_stated(rate: float, parts: int) -> None:
    familiarity = fitted(rate, parts=parts)
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


def test_the_mean_of_the_distances_of_the_parts_decides() -> None:
    """Against each distance by itself."""
    both = fitted(parts=2)
    assert [(one.part, one.name) for one in both.measures] == list(MEASURES)
    assert both.width == D
    assert [(one.part, one.name) for one in fitted().measures] == list(MEASURES[:2])
    seen = rows(30, 5) * 1.3
    scaled = []
    for part, name in MEASURES:
        own = both.distances[part].measure(np.split(seen, 2, axis=1)[part], name)
        (measure,) = [one for one in both.measures if (one.part, one.name) == (part, name)]
        scaled.append((own - measure.centre) / (measure.cut - measure.centre))
    expected = (np.mean(scaled, axis=0) - both.centre) / (both.cut - both.centre)
    np.testing.assert_allclose(both.score(seen), expected)


def test_a_part_that_is_strange_is_noticed() -> None:
    seen = rows(60, 6)
    seen[:, D // 2 :] = rows(60, 7)[:, D // 2 :] * -2
    assert (fitted(parts=2).score(seen) > 1).mean() > 0.9


def test_statistics_of_before_are_not_used_and_a_word_says_how_to_renew_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held = {"name": "mahalanobis", "centre": 1.0, "cut": 2.0, "rate": 0.05, "rows": 9, "groups": 3}
    assert read_familiarity(tmp_path, held | {"blake2b": "0"}) is None
    assert f"workzone models familiarise {tmp_path} --data" in caplog.text


@pytest.mark.parametrize("parts", [1, 2])
def test_it_is_stored_whole_and_read_again(tmp_path: Path, parts: int) -> None:
    familiarity = fitted(parts=parts)
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
    (first, *_) = made.measures
    for change, told in (
        ({"cut": made.centre}, "a cut above the centre"),
        ({"centre": float("nan")}, "a cut above the centre"),
        ({"measures": ()}, "other parts of a vector than its 1"),
        ({"measures": (replace(first, part=1),)}, "other parts of a vector than its 1"),
    ):
        with pytest.raises(BundleError, match=told):
            Familiarity(**(vars(made) | change))
    for change, told in (
        ({"cut": first.centre}, "a cut above the centre"),
        ({"centre": float("nan")}, "a cut above the centre"),
        ({"name": "nearest"}, "does not know"),
    ):
        with pytest.raises(BundleError, match=told):
            replace(first, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"parts": 3},
        {"parts": "x"},
        {"measures": [{"part": 0.5, "name": "relative", "centre": 0.0, "cut": 1.0}]},
        {"measures": [{"name": "relative", "centre": 0.0, "cut": 1.0}]},
        {"measures": []},
        {"measures": 4},
        {"rate": "x"},
        {"rate": float("nan")},
        {"rows": -4},
        {"strange": 1},
    ],
    ids=str,
)
def test_what_bundles_say_wrongly_is_an_error_that_names_the_file(
    tmp_path: Path, change: dict[str, object]
) -> None:
    familiarity = fitted(parts=2)
    write_familiarity(familiarity, tmp_path)
    held = json.loads(json.dumps(familiarity_json(familiarity)))
    with pytest.raises(BundleError, match=FILE):
        read_familiarity(tmp_path, held | change)
    for other in ("x", [1], {}):
        with pytest.raises(BundleError, match=FILE):
            read_familiarity(tmp_path, other)  # type: ignore[arg-type]


def test_vectors_that_do_not_fit_are_refused() -> None:
    labels = np.arange(40) % 2
    for vectors, parts in ((rows(40, 0)[:, :7], 2), (rows(40, 0), 0), (rows(40, 0)[:, 0], 1)):
        with pytest.raises(UsageError, match="equally long parts"):
            fit_familiarity(vectors, labels, [None] * 40, parts=parts)
    with pytest.raises(UsageError, match="no distance"):
        fit_familiarity(rows(40, 0), labels, [None] * 40, measures=((1, "relative"),))
    with np.errstate(all="ignore"), pytest.raises(BundleError, match="not a finite number"):
        fitted().score(np.full((1, D), 1e300))
