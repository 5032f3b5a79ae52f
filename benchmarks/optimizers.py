"""Optimizers on the same detector, folds and photographs.

    python benchmarks/optimizers.py PHOTOS -o benchmarks/results/optimizers.json

PHOTOS holds ``labels.csv`` (file, label, group). For each optimizer the learning rate is chosen
first, of `RATES`, by the lowest validation loss over three folds of one further split (seed 100);
then the default detector is trained in five folds by group, over five seeds, with one validation
fold (a quarter of the training rows). A step is a batch of 64.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ablation import load, prepare
from optimizer_table import TARGET_LOSS, tables
from photographs import Rows, group_folds, inner_folds
from record import write_record

from workzone import progress
from workzone.report.bootstrap import resample_figures
from workzone.train.feed.examples import Examples
from workzone.train.fit import fit
from workzone.train.judging import predict_probabilities
from workzone.train.optim.optimizers import OptimizerConfig
from workzone.train.settings import TrainConfig

RATES = {
    "adamw": (3e-4, 1e-3, 3e-3),
    "sophia": (3e-4, 1e-3, 3e-3),
    "muon": (3e-4, 1e-3, 3e-3),
    "lion": (1e-4, 3e-4, 1e-3),
    "schedulefree": (1e-3, 3e-3, 1e-2),
    "sgd": (1e-3, 3e-3, 1e-2),
}
CHOOSING_SEED = 100
SEEDS = 5
RESAMPLES = 1000


def subset(examples: Examples, rows: Rows) -> Examples:
    """Some of the images."""
    return dataclasses.replace(examples, labels=examples.labels[rows], rows=examples.rows[rows])


def run_fit(work: Path, name: str, rate: float, seed: int, fold: int) -> dict[str, Any]:
    """Train on all folds but one, score that one."""
    torch.set_num_threads(1)
    progress.enabled = False
    manifest, examples = load(work, "photographs")
    labels = examples.labels.numpy()
    groups = [s.group or s.id for s in manifest]
    test = group_folds(labels, groups, 5, seed)[fold]
    train = np.setdiff1d(np.arange(len(labels)), test)
    optimizer = OptimizerConfig(name=name, learning_rate=rate)  # type: ignore[arg-type]
    config = TrainConfig(optimizer=optimizer, seed=seed)
    start = time.perf_counter()
    fitted = fit(subset(examples, train), inner_folds(labels, groups, train, seed)[:1], config)
    seconds = time.perf_counter() - start
    given = subset(examples, test).batch(torch.arange(len(test)))
    raw = predict_probabilities(fitted.detector, given)
    (losses,) = fitted.validation_losses
    return {
        "seed": seed,
        "test": test,
        "scores": fitted.calibration.apply(raw),
        "losses": losses,
        "steps an epoch": int(np.ceil(0.75 * len(train) / config.batch)),
        "seconds an epoch": seconds / (len(losses) + fitted.epochs),
    }


def summarise(work: Path, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, intervals from resampled groups; when the target loss was reached."""
    manifest, examples = load(work, "photographs")
    labels = examples.labels.numpy()
    _, group_of_row = np.unique([s.group or s.id for s in manifest], return_inverse=True)
    draws: dict[str, list[Any]] = {"auc": [], "mcc": []}
    for seed in range(SEEDS):
        scores = np.full(len(labels), np.nan)
        for run in runs:
            if run["seed"] == seed:
                scores[run["test"]] = run["scores"]
        count = int(group_of_row.max()) + 1
        zeros = np.zeros_like(group_of_row)
        whole = resample_figures(labels, scores, zeros, 1, resamples=1, seed=0)
        drawn = resample_figures(labels, scores, group_of_row, count, resamples=RESAMPLES, seed=0)
        for figure, values in draws.items():
            values.append(np.concatenate([whole[figure], drawn[figure]]))
    summary: dict[str, Any] = {}
    for figure, values in draws.items():
        mean = np.mean(values, axis=0)
        low, high = np.nanpercentile(mean[1:], [2.5, 97.5])
        summary[figure] = {"value": float(mean[0]), "low": float(low), "high": float(high)}
    reached = [
        (run, next((n + 1 for n, loss in enumerate(run["losses"]) if loss <= TARGET_LOSS), None))
        for run in runs
    ]
    steps = [epochs * run["steps an epoch"] for run, epochs in reached if epochs]
    seconds = [epochs * run["seconds an epoch"] for run, epochs in reached if epochs]
    return summary | {
        "best validation loss": float(np.mean([min(run["losses"]) for run in runs])),
        "reached": len(steps) / len(runs),
        "steps": float(np.median(steps)) if steps else None,
        "seconds": float(np.median(seconds)) if seconds else None,
    }


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder with labels.csv")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--work", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    options = parser.parse_args()
    prepare(options.photos, options.work)
    results: dict[str, Any] = {}
    with ProcessPoolExecutor(options.workers) as pool:
        for name, rates in RATES.items():
            trials = {
                rate: [
                    pool.submit(run_fit, options.work, name, rate, CHOOSING_SEED, fold)
                    for fold in range(3)
                ]
                for rate in rates
            }
            losses = {
                rate: float(np.mean([min(t.result()["losses"]) for t in tried]))
                for rate, tried in trials.items()
            }
            rate = min(losses, key=lambda r: losses[r])
            futures = [
                pool.submit(run_fit, options.work, name, rate, seed, fold)
                for seed in range(SEEDS)
                for fold in range(5)
            ]
            runs = [future.result() for future in futures]
            results[name] = {
                "learning rate": rate,
                "tried": {f"{r:g}": loss for r, loss in losses.items()},
                **summarise(options.work, runs),
            }
            print(name, results[name], flush=True)
    record = {"optimizers": results}
    write_record(options.output, record)
    print(tables(record))


if __name__ == "__main__":
    main()
