"""What the docs say was measured is what the records of the benchmarks hold."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_tables_of_the_ablation_are_those_of_its_record() -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "ablation.json").read_text())
    tables = runpy.run_path(str(ROOT / "benchmarks" / "ablation_tables.py"))["tables"]
    documented = (ROOT / "docs" / "ablation.md").read_text()
    missing = [line for line in tables(record["results"]).splitlines() if line not in documented]
    assert missing == []
    assert record["command"] in documented
