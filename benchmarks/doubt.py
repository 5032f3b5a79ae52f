"""Planted label errors found by `workzone data doubt`, beside cleanlab, in one run.

    workzone scenes -o scenes --count 600 --seed 2020
    workzone predict scenes/images -o scene_scores.csv
    workzone predict scenes/images --model MASKS --masks outlines -o mask_scores.csv
    workzone data masks import BARE outlines/coco.json -o scenes/found.parquet --knowledge pseudo
    python benchmarks/doubt.py scenes scene_scores.csv PHOTOS --masks scenes/found.parquet
        -o benchmarks/results/doubt.json --work work

MASKS is a model with a mask head that has learned from none of these scenes (of masks.py), BARE
their manifest without the masks they were drawn with. PHOTOS holds ``labels.csv`` (file, label,
group). Of each set 5 % of the labels are turned over, by lot, for each seed; the measure is the
precision among as many images as were turned over. Evidence:

- on scenes, the scores of the model within workzone, which has seen none of them; scenes without a
  score are left out;
- with ``--masks``, objects that a model found in them: a manifest of the same scenes;
- on photographs, logistic regression (standardised features of the plain backbone `lite0`: the
  whole frame and the maximum over five views; C = 1e-3, balanced) that has learned from the labels
  with the errors, in five folds by group.

cleanlab ranks by its label quality scores of the same probabilities. The photographs' labels may
have errors of their own, so that precision there is a lower bound. cleanlab (2.9.0, Apache-2.0) is
not among the project's packages: install it beside them.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
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
from workzone.views import ViewLayout

SHARE = 0.05
Labels = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]


def features_of(manifest: Manifest, work: Path) -> npt.NDArray[np.float32]:
    """Pooled features of the whole frame, and their maximum over five views, ``[n, 2 D]``."""
    backbone = load_backbone("lite0")
    layout = ViewLayout(tiles=2, squares=())
    spec = make_spec(backbone, layout=layout, pooling="mean+max")
    store = Extraction(manifest, backbone, spec, work / "features").run()
    rows = [store.row(sample.content_hash or "") for sample in manifest]
    pooled = store.read("pooled", rows).float().numpy()
    return np.concatenate([pooled[:, 0], pooled.max(axis=1)], axis=1)


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
    return [rows[one.sample.id] for one in find_doubts(wrong, given, masks=masks, least=0).ranked]


def by_cleanlab(labels: Labels, scores: Scores, method: str) -> list[int]:
    """Rows as cleanlab ranks them."""
    both = np.stack([1 - scores, scores], axis=1)
    quality = get_label_quality_scores(labels, both, method=method, adjust_pred_probs=False)
    return np.argsort(quality, kind="stable").tolist()


def judge(
    manifest: Manifest,
    scores_of: Callable[[Labels, int], Scores],
    masked: Manifest | None,
    seeds: int,
) -> dict[str, Any]:
    """Precision at the number planted of each ranking, and its mean over seeds.

    ``scores_of`` gives probabilities of road work for labels, some of them wrong, and a seed.
    """
    truth = np.array([sample.label for sample in manifest])
    planted = round(SHARE * len(truth))
    found: dict[str, list[float]] = {}
    issues = []
    for seed in range(seeds):
        turned = np.random.default_rng([seed, 20]).choice(len(truth), planted, replace=False)
        labels = truth.copy()
        labels[turned] ^= 1
        wrong = set(turned.tolist())
        scores = scores_of(labels, seed)
        rankings = {
            "doubt, scores": ranked(manifest, labels, scores),
            "cleanlab, self_confidence": by_cleanlab(labels, scores, "self_confidence"),
            "cleanlab, normalized_margin": by_cleanlab(labels, scores, "normalized_margin"),
        }
        if masked is not None:
            rankings["doubt, masks"] = ranked(masked, labels, None, masks=True)
            rankings["doubt, masks and scores"] = ranked(masked, labels, scores, masks=True)
        for name, ranking in rankings.items():
            hits = sum(row in wrong for row in ranking[:planted])
            found.setdefault(name, []).append(hits / planted)
        listed = find_label_issues(labels, np.stack([1 - scores, scores], axis=1))
        issues.append(
            {"listed": int(listed.sum()), "planted among them": int(listed[turned].sum())}
        )
    return {
        "images": len(truth),
        "road work": int(truth.sum()),
        "planted": planted,
        "precision": {
            name: {"mean": float(np.mean(each)), "by seed": each} for name, each in found.items()
        },
        "cleanlab.filter.find_label_issues": issues,
    }


def judge_scenes(folder: Path, scores: Path, masks: Path | None, seeds: int) -> dict[str, Any]:
    """Scenes that have a score, by it and by masks."""
    by_name = {Path(name).stem: score for name, score in read_scores(scores).items()}
    drawn = read_manifest(folder / "manifest.parquet")
    scenes = drawn.with_samples([sample for sample in drawn if sample.id in by_name])
    own = np.array([by_name[sample.id] for sample in scenes])
    masked = None
    if masks is not None:
        found = read_manifest(masks)
        by_id = {sample.id: sample for sample in found}
        masked = found.with_samples([by_id[sample.id] for sample in scenes])
    return judge(scenes, lambda _labels, _seed: own, masked, seeds)


def judge_photographs(photos: Path, work: Path, seeds: int) -> dict[str, Any]:
    """Photographs, by models that have learned from labels with the errors."""
    summary = import_source(str(photos / "labels.csv"), work / "photographs.parquet")
    manifest = read_manifest(summary.manifest)
    features = features_of(manifest, work)
    groups = [sample.group or sample.id for sample in manifest]

    def scores_of(labels: Labels, seed: int) -> Scores:
        return out_of_fold(features, labels, groups, seed)

    return judge(manifest, scores_of, None, seeds)


def main() -> None:
    """Run and write the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("scenes", type=Path)
    parser.add_argument("scores", type=Path, help="of the scenes, by `workzone predict`")
    parser.add_argument("photos", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for features")
    parser.add_argument("--masks", type=Path, help="manifest of the scenes with found masks")
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    progress.enabled = True
    results = {
        "cleanlab": version("cleanlab"),
        "scenes": judge_scenes(given.scenes, given.scores, given.masks, given.seeds),
        "photographs": judge_photographs(given.photos, given.work, given.seeds),
    }
    write_record(given.output, results)


if __name__ == "__main__":
    main()
