"""Planted label errors found by `workzone data doubt`, beside cleanlab, in one run.

    python benchmarks/doubt.py SCENES PHOTOS -o benchmarks/results/doubt.json

SCENES is a folder of ``workzone scenes``, PHOTOS one with ``labels.csv`` (file, label, group). Of
each set 5 % of the labels are turned over, by lot, for each seed; the measure is the precision
among as many images as were turned over. Evidence:

- ``out of fold``: logistic regression (standardised features of the plain backbone `lite0`, the
  global view and the maximum over views; C = 1e-3, balanced) that has learned from the labels with
  the errors, in five folds by group;
- ``own scores`` (scenes alone): the model within workzone, which has seen none of the scenes;
- ``masks`` (with ``--masks``): objects that a model found, of a manifest of the same scenes;
- ``cleanlab``: ranked by its label quality scores of the same out-of-fold probabilities.

The photographs' labels may have errors of their own, so that precision there is a lower bound.
cleanlab (2.9.0, Apache-2.0) is not among the project's packages: install it beside them.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from photographs import logistic
from record import write_record
from sklearn.model_selection import StratifiedGroupKFold

from workzone import progress
from workzone.backbones.registry import load_backbone
from workzone.data.doubt import find_doubts
from workzone.data.importing import import_source
from workzone.data.manifest import Manifest, read_manifest
from workzone.data.pseudo_labels import read_scores
from workzone.features.extract import Extraction, make_spec
from workzone.run.bulk import predict_many
from workzone.run.predictor import load

SHARE = 0.05
Labels = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]


def features_of(manifest: Manifest, work: Path) -> npt.NDArray[np.float32]:
    """The global view's features beside the maximum over views, ``[n, 2 D]``."""
    backbone = load_backbone("lite0")
    store = Extraction(manifest, backbone, make_spec(backbone), work / "features").run()
    rows = [store.row(sample.content_hash or "") for sample in manifest]
    pooled = store.read("pooled", rows).float()
    joined = np.concatenate([pooled[:, 0].numpy(), pooled.amax(dim=1).numpy()], axis=1)
    return joined.astype(np.float32)


def out_of_fold(features: Any, labels: Labels, groups: list[str], seed: int) -> Scores:
    """Probabilities of road work by models that have not learned from the row's group."""
    found = np.zeros(len(labels))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    method = logistic(features, labels, choose_cut=False)
    for train, test in folds.split(labels, labels, groups):
        found[test] = method(train, test, [], seed)
    return found


def ranked(
    manifest: Manifest, labels: Labels, scores: Scores | None, *, masks: bool = False
) -> list[int]:
    """Rows as `workzone data doubt` ranks them."""
    rows = {sample.id: row for row, sample in enumerate(manifest)}
    wrong = manifest.with_samples(
        [
            dataclasses.replace(sample, label=int(label), masks=sample.masks if masks else None)
            for sample, label in zip(manifest, labels, strict=True)
        ]
    )
    given = None
    if scores is not None:
        given = {sample.id: float(p) for sample, p in zip(manifest, scores, strict=True)}
    return [rows[one.sample.id] for one in find_doubts(wrong, given, masks=masks, least=0)]


def by_cleanlab(labels: Labels, scores: Scores, method: str) -> list[int]:
    """Rows as cleanlab ranks them."""
    both = np.stack([1 - scores, scores], axis=1)
    quality = get_label_quality_scores(labels, both, method=method, adjust_pred_probs=False)
    return np.argsort(quality, kind="stable").tolist()


def judge(
    manifest: Manifest,
    features: Any,
    own: Scores | None,
    masked: Manifest | None,
    seeds: int,
) -> dict[str, Any]:
    """Precision at the number planted of each ranking, and its mean over seeds."""
    truth = np.array([sample.label for sample in manifest])
    groups = [sample.group or sample.id for sample in manifest]
    planted = round(SHARE * len(truth))
    found: dict[str, list[float]] = {}
    issues = []
    for seed in range(seeds):
        turned = np.random.default_rng([seed, 20]).choice(len(truth), planted, replace=False)
        labels = truth.copy()
        labels[turned] ^= 1
        wrong = set(turned.tolist())
        scores = out_of_fold(features, labels, groups, seed)
        rankings = {
            "doubt, out of fold": ranked(manifest, labels, scores),
            "cleanlab, self_confidence": by_cleanlab(labels, scores, "self_confidence"),
            "cleanlab, normalized_margin": by_cleanlab(labels, scores, "normalized_margin"),
        }
        if own is not None:
            rankings["doubt, own scores"] = ranked(manifest, labels, own)
            rankings["cleanlab, own scores"] = by_cleanlab(labels, own, "self_confidence")
        if masked is not None:
            rankings["doubt, masks"] = ranked(masked, labels, None, masks=True)
            rankings["doubt, masks and own scores"] = ranked(masked, labels, own, masks=True)
        for name, ranking in rankings.items():
            hits = sum(row in wrong for row in ranking[:planted])
            found.setdefault(name, []).append(hits / planted)
        listed = find_label_issues(labels, np.stack([1 - scores, scores], axis=1))
        hits = int(listed[turned].sum())
        issues.append({"listed": int(listed.sum()), "planted among them": hits})
    return {
        "images": len(truth),
        "road work": int(truth.sum()),
        "planted": planted,
        "precision": {
            name: {"mean": float(np.mean(each)), "by seed": each} for name, each in found.items()
        },
        "cleanlab.filter.find_label_issues": issues,
    }


def own_scores(manifest: Manifest, path: Path, work: Path) -> Scores:
    """The scores of the model within workzone, written once."""
    output = work / "own.parquet"
    if not output.exists():
        predict_many(load(), path, output)
    scores: Mapping[str, float] = read_scores(output)
    return np.array([scores[sample.id] for sample in manifest])


def main() -> None:
    """Run and write the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("scenes", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for features")
    parser.add_argument("--masks", type=Path, help="manifest of the scenes with found masks")
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    progress.enabled = True
    scenes = read_manifest(given.scenes / "manifest.parquet")
    given.work.mkdir(parents=True, exist_ok=True)
    own = own_scores(scenes, given.scenes / "manifest.parquet", given.work)
    masked = None if given.masks is None else read_manifest(given.masks)
    results = {
        "cleanlab": version("cleanlab"),
        "scenes": judge(
            scenes, features_of(scenes, given.work / "scenes"), own, masked, given.seeds
        ),
    }
    summary = import_source(str(given.photos / "labels.csv"), given.work / "photographs.parquet")
    photographs = read_manifest(summary.manifest)
    features = features_of(photographs, given.work / "photographs")
    results["photographs"] = judge(photographs, features, None, None, given.seeds)
    write_record(given.output, results)


if __name__ == "__main__":
    main()
