"""What the docs say was measured is what the records of the benchmarks hold."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("script", "name", "page"),
    [
        ("ablation_tables", "ablation", "ablation.md"),
        ("optimizer_table", "optimizers", "training.md"),
        ("adapters_table", "adapters", "training.md"),
    ],
)
def test_the_documented_tables_are_those_of_the_record(script: str, name: str, page: str) -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
    tables = runpy.run_path(str(ROOT / "benchmarks" / f"{script}.py"))["tables"]
    documented = (ROOT / "docs" / page).read_text()
    missing = [line for line in tables(record["results"]).splitlines() if line not in documented]
    assert missing == []
    assert record["command"] in documented
