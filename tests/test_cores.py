"""How many cores a process may use: the least of what binds it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workzone import cores
from workzone.cores import core_count


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine of 16 cores, of which the process is bound to 8, outside any container."""
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_cores_are_those_that_the_process_is_bound_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert core_count() == 8
    monkeypatch.delattr(os, "sched_getaffinity")
    assert core_count() == 16
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert core_count() == 1


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),  # a part of a core is one to use
        ("50000 100000\n", 1),
        ("9900000 100000\n", 8),
        ("max 100000\n", 8),
        ("0 100000\n", 1),
        ("100000 0\n", 8),
        ("", 8),
    ],
)
def test_a_container_has_its_share(tmp_path: Path, quota: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    assert core_count() == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("3", 3), ("1", 1), ("4,2", 4), ("12", 8), ("0", 8), ("-1", 8), ("", 8), ("many", 8)],
)
def test_the_variable_of_other_libraries_counts_where_it_is_less(
    monkeypatch: pytest.MonkeyPatch, asked: str, expected: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert core_count() == expected


def test_the_least_of_all_binds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("500000 100000\n")
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    assert core_count() == 5
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert core_count() == 4
