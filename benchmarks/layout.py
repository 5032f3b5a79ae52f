"""Frames in their own shape beside the views that the default model had before.

    python benchmarks/accuracy.py PHOTOS -o FILE --permitted --squares
    python benchmarks/accuracy.py PHOTOS -o FILE --permitted
    python benchmarks/layout.py -o benchmarks/results/layout.json

Reads what both left in their work folders: leave one source out, three seeds, the recipe and the
photographs that shipped weights may learn from. *squares*: the whole frame padded to 512 x 512, and
its left and right square, each read at half its size too. *frame*: the frame in its own shape, 512
px on its shorter side and at most 896 on its longer, read at half its size too. Differences have
95 % intervals over groups of photographs, the same groups drawn for both.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from accuracy import RESAMPLES, SQUARES, figures_of_groups
from photographs import LEFT_OUT
from record import write_record

from workzone.model.presets import preset
from workzone.views import ViewLayout

Runs = Sequence[dict[str, Any]]
FRAME_SHAPES = ((1280, 720), (640, 480), (224, 224))


def read_runs(work: Path) -> Runs:
    """What `accuracy.py` left, of models with photographs that shipped weights may learn from."""
    rows = [json.loads(line) for line in (work / "accuracy.jsonl").read_text().splitlines()]
    return [row for row in rows if row["setting"] == "permitted"]


def means(runs: Runs) -> dict[str, dict[str, dict[str, float]]]:
    """By what was judged: figures of each fold, and their mean."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for kind in runs[0]["judged"]:
        folds = {
            name: {
                figure: float(
                    np.mean([r["judged"][kind][figure] for r in runs if r["left_out"] == name])
                )
                for figure in ("auc", "mcc")
            }
            for name in LEFT_OUT
        }
        folds["mean"] = {
            figure: float(np.mean([fold[figure] for fold in folds.values()]))
            for figure in ("auc", "mcc")
        }
        table[kind] = {
            name: {figure: round(value, 4) for figure, value in fold.items()}
            for name, fold in folds.items()
        }
    return table


def differences(before: Runs, after: Runs) -> dict[str, dict[str, Any]]:
    """After minus before, of the mean over folds and seeds, with its interval over groups."""
    random = np.random.default_rng(0)
    groups = {
        name: np.unique(next(r for r in before if r["left_out"] == name)["groups"])
        for name in LEFT_OUT
    }
    drawn: dict[tuple[str, str], list[float]] = {}
    while min(map(len, drawn.values()), default=0) < RESAMPLES:
        chosen = {name: random.choice(of_fold, len(of_fold)) for name, of_fold in groups.items()}
        both = [_mean_over_folds(runs, chosen) for runs in (before, after)]
        if both[0] is None or both[1] is None:
            continue
        for key, value in both[1].items():
            drawn.setdefault(key, []).append(value - both[0][key])
    point = [_mean_over_folds(runs, groups) for runs in (before, after)]
    assert point[0] is not None
    assert point[1] is not None
    table: dict[str, dict[str, Any]] = {}
    for (kind, figure), values in drawn.items():
        table.setdefault(kind, {})[figure] = {
            "difference": round(point[1][kind, figure] - point[0][kind, figure], 4),
            "interval": np.quantile(values, (0.025, 0.975)).round(4).tolist(),
        }
    return table


def _mean_over_folds(
    runs: Runs, chosen: dict[str, npt.NDArray[np.str_]]
) -> dict[tuple[str, str], float] | None:
    values: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        found = figures_of_groups(run, chosen[run["left_out"]])
        if found is None:
            return None
        for kind, figures in found.items():
            for figure, value in figures.items():
                values.setdefault((kind, figure), []).append(value)
    return {key: float(np.mean(of_key)) for key, of_key in values.items()}


def pixels_read(layout: ViewLayout) -> dict[str, int]:
    """Pixels that the backbone reads of a frame, by its size; equal views are read once."""
    table = {}
    for width, height in FRAME_SHAPES:
        rows, columns = layout.shape(width, height)
        views = 1 if width == height else layout.count
        halves = rows * columns // 4 if layout.halves else 0
        table[f"{width} x {height}"] = views * (rows * columns + halves)
    return table


def main() -> None:
    """Compare and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--before", type=Path, default=Path("runs/accuracy-squares"))
    parser.add_argument("--after", type=Path, default=Path("runs/accuracy-dense"))
    options = parser.parse_args()
    before, after = read_runs(options.before), read_runs(options.after)
    results = {
        "squares": {"pixels read": pixels_read(SQUARES), "judged": means(before)},
        "frame": {"pixels read": pixels_read(preset("dense").layout), "judged": means(after)},
        "frame minus squares": differences(before, after),
        "seeds": len({run["seed"] for run in after}),
    }
    print(json.dumps(results["frame minus squares"], indent=1))
    write_record(options.output, results)


if __name__ == "__main__":
    main()
