"""The detector beside logistic regression, on real photographs, in the same folds and one run.

    python benchmarks/photographs.py PHOTOS -o benchmarks/results/photographs.json

PHOTOS holds ``labels.csv`` (file, label, group). Three protocols:

- five folds by group, over seeds (the seed shuffles the folds and initialises the detector);
- the same with groups of one collection joined (`FAMILIES`), so that no collection is on both
  sides: stricter, and further from the folds that published floors used;
- leave one source out: trained on everything else, tested on one family of sources.

The detector's threshold and slope come from validation folds inside the training rows. Logistic
regression (standardised features, C = 1e-3, balanced classes) is the floor: at 0.5 as it comes,
and with its threshold chosen on the same validation folds.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from record import write_record
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from workzone import progress
from workzone.backbones.registry import load_backbone
from workzone.data.importing import import_source
from workzone.data.manifest import read_manifest
from workzone.decide.calibration_fit import fit_calibration
from workzone.features.extract import Extraction, make_spec
from workzone.model.config import DetectorConfig
from workzone.report.metrics import summarise
from workzone.train.feed.examples import Examples
from workzone.train.fit import fit
from workzone.train.judging import predict_probabilities
from workzone.train.settings import TrainConfig

Rows = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]
Method = Callable[[Rows, Rows, list[Rows], int], Scores]

LEFT_OUT = {
    "us": ("mi3-", "roadwork-nb", "camvid-"),
    "web": ("tracon", "succ"),
    "br": ("dnit", "kitti", "kagan"),
}
"""Families of sources, by how their groups' names begin."""
ORDINARY = {"fr": ("pxfr",), "mly": ("mply",)}
"""Further ones, with next to no road work, for false alarms."""
RELABELLED = {"photos/mply_0041.jpg": 1}
"""By eye: a lit arrow board with cones, far off, where the list says that there is nothing."""


FAMILIES = {"tracon": "web", "succ": "web", "dnit": "dnit", "mi3-": "us", "roadwork-nb": "us"}
"""Collections that look alike, by how their groups' names begin."""


def family(group: str) -> str:
    """The collection of a group; its own name where it is alone."""
    return next((name for start, name in FAMILIES.items() if group.startswith(start)), group)


def group_folds(labels: Rows, groups: list[str], folds: int, seed: int) -> list[Rows]:
    """Row numbers of each fold; no group is in two folds."""
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return [test for _, test in splitter.split(labels, labels, groups)]


def inner_folds(labels: Rows, groups: list[str], rows: Rows, seed: int) -> list[Rows]:
    """Validation folds inside some rows, as positions in ``rows``."""
    return group_folds(labels[rows], [groups[row] for row in rows], 4, seed)


def logistic(features: npt.NDArray[np.float32], labels: Rows, *, choose_cut: bool) -> Method:
    """Logistic regression on one vector per image."""

    def probabilities(train: Rows, test: Rows) -> Scores:
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=1e-3, class_weight="balanced", max_iter=2000)
        )
        model.fit(features[train], labels[train])
        return model.predict_proba(features[test])[:, 1]

    def method(train: Rows, test: Rows, validation: list[Rows], seed: int) -> Scores:
        scores = probabilities(train, test)
        if not choose_cut:
            return scores
        everything = np.arange(len(train))
        held_out = np.concatenate(
            [probabilities(train[np.setdiff1d(everything, v)], train[v]) for v in validation]
        )
        calibration, _ = fit_calibration(labels[train[np.concatenate(validation)]], held_out)
        return calibration.apply(scores)

    return method


def detector(examples: Examples, config: TrainConfig) -> Method:
    """The package's own detector, trained as `workzone train` trains it."""

    def subset(rows: Rows) -> Examples:
        return dataclasses.replace(examples, labels=examples.labels[rows], rows=examples.rows[rows])

    def method(train: Rows, test: Rows, validation: list[Rows], seed: int) -> Scores:
        fitted = fit(subset(train), validation, dataclasses.replace(config, seed=seed))
        given = subset(test).batch(torch.arange(len(test)))
        return fitted.calibration.apply(predict_probabilities(fitted.detector, given))

    return method


def run(photos: Path, work: Path, seeds: int) -> dict[str, Any]:
    """All methods under both protocols."""
    summary = import_source(str(photos / "labels.csv"), work / "photographs.parquet")
    manifest = read_manifest(summary.manifest)
    backbone = load_backbone("lite0")
    spec = make_spec(backbone, grid_views=(0,))
    store = Extraction(manifest, backbone, spec, work / "features").run()
    labels = np.array([s.label for s in manifest])
    groups = [s.group or s.id for s in manifest]
    rows = [store.row(s.content_hash or "") for s in manifest]
    pooled = store.read("pooled", rows)
    examples = Examples(
        labels=torch.from_numpy(labels),
        rows=torch.tensor(rows)[:, None],
        features=store.mapped("pooled"),
        boxes=store.mapped("boxes"),
        grid=store.grid((0,)),
        grid_size=store.spec.grid_size,
        view_size=store.spec.layout.size,
    )
    everything = DetectorConfig()  # no glance
    mean = pooled[..., : backbone.width].numpy()
    best = mean.max(1)
    both = np.concatenate([mean[:, 0], best], axis=1)
    methods: dict[str, Method] = {
        "logistic, global view": logistic(mean[:, 0], labels, choose_cut=False),
        "logistic, maximum over 12 views": logistic(best, labels, choose_cut=False),
        "logistic, global + maximum": logistic(both, labels, choose_cut=False),
        "logistic, global + maximum, cut chosen": logistic(both, labels, choose_cut=True),
        "detector": detector(examples, TrainConfig()),
        "detector, all 12 views read": detector(examples, TrainConfig(detector=everything)),
        "detector, all 12 views, attention left free": detector(
            examples, TrainConfig(detector=everything, attention_penalty=0.01)
        ),
    }
    results: dict[str, Any] = {"rows": len(labels), "positives": int(labels.sum()), "methods": {}}
    families = [family(group) for group in groups]
    scores = {}
    for name, method in methods.items():
        start = time.perf_counter()
        # What a part is worth is asked of one seed; the detector and its floor of all.
        count = 1 if name.endswith("left free") else seeds
        five, scores[name] = five_folds(method, labels, groups, count)
        joined, _ = five_folds(method, labels, families, 1)
        left = leave_out(method, labels, groups, count)
        seconds = time.perf_counter() - start
        results["methods"][name] = {
            "five folds": five,
            "five folds, collections joined": joined,
            "left out": left,
            "seconds": seconds,
        }
        print_row(name, five, joined, left, seconds)
    for other in ("logistic, global + maximum", "detector, all 12 views read"):
        difference = paired_difference(labels, scores["detector"], scores[other], groups)
        results[f"detector minus {other}"] = difference
        print(f"detector minus {other}: {difference}")
    return results


def paired_difference(
    labels: Rows, better: Scores, floor: Scores, groups: list[str], resamples: int = 1000
) -> dict[str, Any]:
    """MCC and AUC of one method minus another's, with 95 % intervals from resampled groups."""
    random = np.random.default_rng(0)
    rows_of: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        rows_of.setdefault(group, []).append(row)
    blocks = [np.array(rows) for rows in rows_of.values()]

    def difference(rows: Rows) -> tuple[float, float]:
        truth, a, b = labels[rows], better[rows], floor[rows]
        mcc = matthews_corrcoef(truth, a > 0.5) - matthews_corrcoef(truth, b > 0.5)
        return mcc, roc_auc_score(truth, a) - roc_auc_score(truth, b)

    drawn = [
        difference(
            np.concatenate([blocks[i] for i in random.integers(len(blocks), size=len(blocks))])
        )
        for _ in range(resamples)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    whole = difference(np.arange(len(labels)))
    return {
        name: {"value": float(whole[i]), "low": float(low[i]), "high": float(high[i])}
        for i, name in enumerate(("mcc", "auc"))
    }


def five_folds(
    method: Method, labels: Rows, groups: list[str], seeds: int
) -> tuple[dict[str, Any], Scores]:
    """Figures per seed, with bootstrap intervals of the first; and the first seed's predictions."""
    per_seed = []
    first: dict[str, Any] = {}
    first_scores = np.zeros(0)
    for seed in range(seeds):
        scores = np.zeros(len(labels))
        for test in group_folds(labels, groups, 5, seed):
            train = np.setdiff1d(np.arange(len(labels)), test)
            validation = inner_folds(labels, groups, train, seed)
            scores[test] = method(train, test, validation, seed)
        metrics = summarise(labels, scores, groups, resamples=1000 if seed == 0 else 1)
        per_seed.append({name: metrics.figures[name].value for name in ("mcc", "auc", "ece")})
        first = first or metrics.to_json()
        first_scores = scores if seed == 0 else first_scores
    return {"seeds": per_seed, "first seed": first}, first_scores


def leave_out(method: Method, labels: Rows, groups: list[str], seeds: int) -> dict[str, Any]:
    """Figures for each family of sources that was left out of training."""
    results = {}
    for family, prefixes in LEFT_OUT.items():
        test = np.array([i for i, group in enumerate(groups) if group.startswith(prefixes)])
        train = np.setdiff1d(np.arange(len(labels)), test)
        per_seed = []
        first: dict[str, Any] = {}
        for seed in range(seeds):
            scores = method(train, test, inner_folds(labels, groups, train, seed), seed)
            metrics = summarise(
                labels[test], scores, [groups[i] for i in test], resamples=1000 if seed == 0 else 1
            )
            per_seed.append({name: metrics.figures[name].value for name in ("mcc", "auc", "ece")})
            first = first or metrics.to_json()
        results[family] = {"seeds": per_seed, "first seed": first}
    return results


def print_row(
    name: str, five: dict[str, Any], joined: dict[str, Any], left: dict[str, Any], seconds: float
) -> None:
    """One line of the table, AUC / MCC at 0.5."""

    def mean(block: dict[str, Any], figure: str) -> float:
        return float(np.mean([seed[figure] for seed in block["seeds"]]))

    def spread(block: dict[str, Any], figure: str) -> float:
        return float(np.std([seed[figure] for seed in block["seeds"]]))

    cells = [f"{mean(b, 'auc'):.3f} / {mean(b, 'mcc'):.2f}" for b in (joined, *left.values())]
    print(
        f"{name:40s} {mean(five, 'auc'):.3f}+-{spread(five, 'auc'):.3f} / "
        f"{mean(five, 'mcc'):.3f}+-{spread(five, 'mcc'):.3f} | {' | '.join(cells)} | "
        f"{seconds:.0f} s",
        flush=True,
    )


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder with labels.csv")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--work", type=Path, default=Path("runs/photographs"))
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    progress.enabled = False
    results = run(options.photos, options.work, options.seeds)
    write_record(options.output, results)


if __name__ == "__main__":
    main()
