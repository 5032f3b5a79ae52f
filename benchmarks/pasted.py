"""Composites drawn, rendered, or half of each, at equal numbers: what `accuracy.py` judged of each.

    for kind in drawn rendered both; do
        python benchmarks/accuracy.py data more --signs package --preset dense-224 \
            --folds us web br --pasted $kind -o runs/$kind.json
    done
    python benchmarks/pasted.py --work runs/accuracy-dense-224 -o benchmarks/results/pasted.json

Beside them all composites of both kinds, as the recipe has them (``--pasted all``). Differences are
of the same photographs, seed by seed, less those of the drawn ones, with intervals over groups.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from accuracy_figures import AS_IT_IS, LEVELS, OF_LEVELS, mean_of, with_interval
from journal import read_journal
from pasted_table import table
from photographs import LEFT_OUT
from record import write_record

KINDS = ("drawn", "rendered", "both", "all")
FIRST = "drawn"
SEEDS = 3
Run = dict[str, Any]
Rows = npt.NDArray[np.int64]


def as_it_is(run: Run, rows: Rows, logits: str) -> float:
    """MCC at 0.5 of some photographs."""
    labels, found = np.array(run["labels"])[rows], np.array(run[logits])[rows] > 0
    counts = np.bincount(2 * labels + found, minlength=4)
    below = np.prod(
        [counts[[a, b]].sum() for a, b in ((0, 1), (2, 3), (0, 2), (1, 3))], dtype=float
    )
    above = counts[0] * counts[3] - counts[1] * counts[2]
    return float(above / np.sqrt(below)) if below else 0.0


def of_levels(run: Run, rows: Rows, logits: str) -> float:
    """The mean of the levels' figures."""
    levels = np.array(run["levels"])[rows]
    return float(np.mean([as_it_is(run, rows[levels == level], logits) for level in LEVELS]))


def challenged(run: Run) -> Run:
    """The challenges of a run in the places of its photographs."""
    parts = {name: run[f"challenge {name}"] for name in ("labels", "groups", "logits")}
    return {"left_out": run["left_out"], "seed": run["seed"], "levels": run["levels"]} | parts


def differences(runs: Sequence[Run], first: Sequence[Run]) -> dict[str, Any]:
    """Of MCC at 0.5, to the runs of the same seed and fold in ``first``; means over seeds."""
    table: dict[str, Any] = {}
    views = {AS_IT_IS: (dict, as_it_is), OF_LEVELS: (challenged, of_levels)}
    for kind, (view, figure) in views.items():
        before = {(run["seed"], run["left_out"]): view(run)["logits"] for run in first}
        paired = [view(run) | {"before": before[run["seed"], run["left_out"]]} for run in runs]

        def gained(run: Run, rows: Rows, figure: Any = figure) -> float:
            return float(figure(run, rows, "logits") - figure(run, rows, "before"))

        table[kind] = with_interval(paired, gained)
    return table


def means(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """AUC, MCC at 0.5 and reward, means over folds and models, by what was judged."""
    found = {AS_IT_IS: mean_of([next(iter(run["judged"].values())) for run in runs])}  # one size
    for level in LEVELS:
        found[f"level {level}"] = mean_of([run["judged"][f"level {level}"] for run in runs])
    return found | {OF_LEVELS: mean_of([found[f"level {level}"] for level in LEVELS])}


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--work", type=Path, required=True, help="that of accuracy.py")
    options = parser.parse_args()
    journal = [
        run for run in read_journal(options.work / "accuracy.jsonl") if run["left_out"] in LEFT_OUT
    ]
    single = {
        kind: [run for run in journal if run["pasted"] == kind and run["seed"] in range(SEEDS)]
        for kind in KINDS
    }
    found: dict[str, Any] = {}
    for kind, runs in single.items():
        if len(runs) != SEEDS * len(LEFT_OUT):
            parser.error(f"{len(runs)} runs of --pasted {kind} in {options.work}, not all")
        found[kind] = {
            "rows": {run["left_out"]: run["rows"] for run in runs},
            "means": means(runs),
        }
        if kind != FIRST:
            found[kind]["less drawn"] = differences(runs, single[FIRST])
    results = {"seeds": SEEDS, "composites": found}
    write_record(options.output, results)
    print(table(results))


if __name__ == "__main__":
    main()
