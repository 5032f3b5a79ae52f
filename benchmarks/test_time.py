"""Does looking at augmented copies help? The default detector on real photographs.

    python benchmarks/test_time.py PHOTOS -o benchmarks/results/test_time.json

PHOTOS holds ``labels.csv`` (file, label, group). Five folds by group, as in ``photographs.py``. Of
the rows never seen, all with road work and as many without, drawn once, are judged from one look
and from five (four augmented copies), averaged with and without the filter. Features are stored:
a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from photographs import Rows, Scores, group_folds, inner_folds, paired_difference
from record import write_record
from sklearn.metrics import log_loss, matthews_corrcoef, roc_auc_score

from workzone import progress
from workzone.backbones.registry import load_backbone
from workzone.data.importing import import_source
from workzone.data.manifest import read_manifest
from workzone.decide.test_time import TestTimeConfig, confident_mean
from workzone.features.extract import Extraction, make_spec
from workzone.train.feed.examples import Examples
from workzone.train.fit import fit
from workzone.train.judging import predict_probabilities
from workzone.train.settings import TrainConfig

COPIES = 4
KEEPS = (0.2, 0.5, 1.0)
"""Shares that are averaged; 1 is no filter."""


def chosen_rows(labels: Rows) -> Rows:
    """All rows with road work, and as many without."""
    negatives = np.random.default_rng(0).permutation(np.flatnonzero(labels == 0))
    positives = np.flatnonzero(labels == 1)
    return np.sort(np.concatenate([positives, negatives[: len(positives)]]))


def run(photos: Path, work: Path) -> dict[str, Any]:
    """Train in each fold, judge its rows from every look."""
    manifest = read_manifest(
        import_source(str(photos / "labels.csv"), work / "photographs.parquet").manifest
    )
    samples = list(manifest)
    labels = np.array([s.label for s in samples])
    groups = [s.group or s.id for s in samples]
    judged = chosen_rows(labels)
    backbone = load_backbone("lite0")
    spec = make_spec(backbone, grid_views=(0,))
    Extraction(manifest, backbone, spec, work / "features").run()
    few = manifest.with_samples([samples[row] for row in judged])
    store = Extraction(few, backbone, spec, work / "features", copies=COPIES).run()
    # Images that are not judged have their first look everywhere.
    rows = [
        [
            store.rows.get((s.content_hash or "", copy), store.row(s.content_hash or ""))
            for copy in range(1 + COPIES)
        ]
        for s in samples
    ]
    examples = Examples(
        labels=torch.from_numpy(labels),
        rows=torch.tensor(rows),
        features=store.mapped("pooled"),
        boxes=store.mapped("boxes"),
        grid=store.grid((0,)),
        grid_size=store.spec.grid_size,
        view_size=store.spec.layout.size,
    )
    names = ["one look", *(f"keep {keep:g}" for keep in KEEPS)]
    scores: dict[str, Scores] = {name: np.zeros(len(labels)) for name in names}
    for test in group_folds(labels, groups, 5, 0):
        train = np.setdiff1d(np.arange(len(labels)), test)
        learned = dataclasses.replace(
            examples, labels=examples.labels[train], rows=examples.rows[train][:, :1]
        )
        fitted = fit(learned, inner_folds(labels, groups, train, 0), TrainConfig())
        looks = np.stack(
            [
                predict_probabilities(fitted.detector, examples.batch(torch.from_numpy(test), copy))
                for copy in range(1 + COPIES)
            ],
            axis=-1,
        )
        scores["one look"][test] = fitted.calibration.apply(looks[:, 0])
        for keep in KEEPS:
            mean = confident_mean(looks, TestTimeConfig(copies=COPIES, keep=keep))
            scores[f"keep {keep:g}"][test] = fitted.calibration.apply(mean)
    truth = labels[judged]
    results: dict[str, Any] = {"judged": len(judged), "copies": COPIES, "looks": {}}
    for name, score in scores.items():
        of = score[judged]
        row: dict[str, Any] = {
            "auc": float(roc_auc_score(truth, of)),
            "mcc": float(matthews_corrcoef(truth, of > 0.5)),
            "log loss": float(log_loss(truth, of)),
        }
        if name != "one look":
            names_of = [groups[i] for i in judged]
            row["minus one look"] = paired_difference(
                truth, of, scores["one look"][judged], names_of
            )
        results["looks"][name] = row
        print(name, row, flush=True)
    return results


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder with labels.csv")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--work", type=Path, default=Path("runs/photographs"))
    options = parser.parse_args()
    progress.enabled = False
    torch.set_num_threads(1)
    write_record(options.output, run(options.photos, options.work))


if __name__ == "__main__":
    main()
