"""Cuts that travel: what decides beside the logit, fitted on sources other than the one judged.

    python benchmarks/cut.py data more --work runs/accuracy-dense -o benchmarks/results/cut.json

After `accuracy.py`, from whose work folder the logits of the averaged models are read. Each way is
fitted on the photographs of the other two folds, each judged by a model that had not seen its own
source, though it had seen the one judged now; MCC at its cut on the third, 95 % intervals over
groups. False alarms are those on ordinary photographs of the two further sources, by what was
fitted on the three folds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from accuracy import AVERAGE
from accuracy_figures import share_of_groups, with_interval
from journal import read_journal
from photographs import LEFT_OUT, ORDINARY
from PIL import Image, ImageFilter
from recipe import ALL_LEFT_OUT, FOLDS, FRAMES, Floats, gather_folders
from record import write_record
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from workzone import progress

Run = dict[str, Any]
Labels = npt.NDArray[np.int64]
Cut = Callable[[Floats], Floats]
"""From what is known of images, ``[n, F]``, to numbers above 0 where there is road work."""
SIZE = f"{FRAMES.own_size} px"
ALARMS = 0.03
"""Of photographs without road work, those that a conformal cut lets through."""


def quality(path: str) -> list[float]:
    """Logarithms of size and sharpness, and brightness, of a photograph."""
    with Image.open(path) as image:
        shorter = min(image.size)
        grey = image.convert("L")
    edges = np.asarray(grey.filter(ImageFilter.FIND_EDGES), np.float64)[1:-1, 1:-1]
    bright = float(np.asarray(grey, np.float64).mean()) / 255
    return [float(np.log(shorter)), float(np.log(1 + edges.std())), bright]


def known_of(run: Run, qualities: Floats) -> Floats:
    """``[n, 6]``: logit, that of the views, that of their halves, and the quality."""
    both = np.array(run["logits by size"][SIZE])
    views = np.array(run["logits by size"][f"{SIZE} alone"])
    return np.column_stack([both, views, 2 * both - views, qualities])


def logistic(columns: Sequence[int]) -> Callable[[Floats, Labels], Cut]:
    """Fitted by likelihood, both classes alike; more than the logit with weights held down."""

    def fit(known: Floats, labels: Labels) -> Cut:
        weight = np.inf if len(columns) == 1 else 1.0
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=weight, class_weight="balanced")
        )
        model.fit(known[:, columns], labels)
        return lambda given: np.asarray(model.decision_function(given[:, columns]))

    return fit


def conformal(known: Floats, labels: Labels) -> Cut:
    """The logit that so few photographs without road work exceed (Vovk et al. 2005)."""
    ordinary = np.append(np.sort(known[labels == 0, 0]), np.inf)  # too few: nothing is above
    cut = float(ordinary[int(np.ceil((1 - ALARMS) * len(ordinary))) - 1])
    return lambda given: given[:, 0] - cut


def plain(column: Callable[[Floats], Floats]) -> Callable[[Floats, Labels], Cut]:
    """Nothing is fitted."""
    return lambda known, labels: column


WAYS: dict[str, Callable[[Floats, Labels], Cut]] = {
    "as it comes": plain(lambda known: known[:, 0]),
    "the views alone": plain(lambda known: known[:, 1]),
    "the larger of views and halves": plain(lambda known: known[:, 1:3].max(axis=1)),
    "cut and slope": logistic([0]),
    "a temperature for each scale": logistic([1, 2]),
    "cut, slope and quality": logistic([0, 3, 4, 5]),
    "a temperature for each scale, and quality": logistic([1, 2, 3, 4, 5]),
    "conformal": conformal,
}


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, default=Path("runs/accuracy-dense"))
    parser.add_argument("--seeds", type=int, default=3, help="that were averaged")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    progress.enabled = True
    real, _ = gather_folders(options.photos, options.work)
    tested = [s for s in real if (s.group or "").startswith(ALL_LEFT_OUT)]
    qualities = {
        name: np.array([quality(s.image.path) for s in tested if (s.group or "").startswith(start)])
        for name, start in FOLDS.items()
    }
    runs = [
        run
        for run in read_journal(options.work / "accuracy.jsonl")
        if run["pasted"] == "all" and run["seed"] == AVERAGE and run["seeds"] == options.seeds
    ]
    missing = set(FOLDS) - {run["left_out"] for run in runs}
    if missing:
        parser.error(f"{', '.join(sorted(missing))} not left out yet: run accuracy.py")
    known = {run["left_out"]: known_of(run, qualities[run["left_out"]]) for run in runs}
    labels = {run["left_out"]: np.array(run["labels"]) for run in runs}
    groups = {run["left_out"]: run["groups"] for run in runs}
    three = [run for run in runs if run["left_out"] in LEFT_OUT]
    results = {}
    for name, way in WAYS.items():
        decided = {}
        for fold in FOLDS:
            others = [other for other in LEFT_OUT if other != fold]
            cut = way(
                np.concatenate([known[other] for other in others]),
                np.concatenate([labels[other] for other in others]),
            )
            decided[fold] = cut(known[fold]) > 0

        def figure(run: Run, rows: Labels, decided: Any = decided) -> float:
            fold = run["left_out"]
            return float(matthews_corrcoef(labels[fold][rows], decided[fold][rows]))

        row: dict[str, Any] = {"mcc": with_interval(three, figure)}
        for fold in ORDINARY:
            ordinary = labels[fold] == 0
            row[f"false alarms, {fold}"] = share_of_groups(
                decided[fold][ordinary], np.array(groups[fold])[ordinary]
            )
        results[name] = row
        print(name, row, flush=True)
    write_record(options.output, results)


if __name__ == "__main__":
    main()
