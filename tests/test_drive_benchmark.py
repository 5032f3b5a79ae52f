"""How the benchmark of drives matches segments, and the chain that it fitted."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from workzone.decide.drive import Chain

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def drives(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("drives")


def test_the_defaults_are_what_the_record_fitted() -> None:
    record = json.loads((BENCHMARKS / "results" / "drives.json").read_text())
    assert record["results"]["shipped chain"] == dataclasses.asdict(Chain())


def test_runs_are_joined_over_short_breaks(drives: ModuleType) -> None:
    shown = np.array([0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1], bool)
    assert drives.runs(shown) == [(1, 2), (6, 6), (11, 11)]
    assert drives.runs(shown, 3) == [(1, 6), (11, 11)]
    assert drives.runs(shown[:1]) == []


def test_pairs_are_one_to_one_and_those_that_share_most_come_first(drives: ModuleType) -> None:
    true = [(10, 19), (40, 49)]
    found = [(8, 12), (13, 21), (30, 39), (45, 60)]
    assert sorted(drives.pairs(found, true, by_half=False)) == [(1, 0), (3, 1)]
    assert drives.pairs(found, true, by_half=True) == [(1, 0)]  # 7 of 12 frames, and 5 of 21


def test_errors_of_ends_and_of_frames(drives: ModuleType) -> None:
    labels = np.array([0, 0, 1, 1, 1, 1, 0, 0, 0, 0], float)
    scores = np.where(labels == 1, 0.8, 0.4)
    one = drives.Judged(labels, scores, np.arange(10.0) * 2, [(1, 5), (8, 9)])
    figures = drives.overall([one])
    assert drives.missed([one]) == []
    assert drives.missed([drives.Judged(labels, scores, one.seconds, [(0, 1)])]) == [4]
    assert (figures["precision"], figures["recall"], figures["F1, by half"]) == (0.5, 1.0, 2 / 3)
    assert figures["start, median error, s"] == 2 and figures["start, within 2 s"] == 1
    assert figures["end, median error, s"] == 0
    assert figures["Brier score"] == pytest.approx((4 * 0.2**2 + 6 * 0.4**2) / 10)
    assert figures["log loss"] == pytest.approx(-(4 * np.log(0.8) + 6 * np.log(0.6)) / 10)


def test_a_median_of_what_is_there(drives: ModuleType) -> None:
    assert drives.median(np.array([0.9, 0.1, 0.2, 0.8]), 3).tolist() == [0.5, 0.2, 0.2, 0.5]
