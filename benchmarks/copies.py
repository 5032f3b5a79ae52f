"""Augmented copies, and augmentation of stored features: what they bring, in the same folds.

    python benchmarks/copies.py PHOTOS -o benchmarks/results/copies.json

PHOTOS holds ``labels.csv`` (file, label, group). The default detector learns from the photographs
and from copies of them by the recipes of `workzone extract --augment`, or with one of the settings
of `augment:`. It is judged on the photographs of its test fold as they are, and on challenges made
of them, each at every level, whose random numbers no copy has. Five folds by group; the seed
shuffles the folds and initialises. Threshold, slope and epochs come from one validation fold (a
quarter of the training rows) of photographs as they are. Features are computed in bfloat16.

Features are extracted once into ``--work``. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from copies_features import challenge_examples, challenges, examples, prepare, subset
from copies_tables import tables
from photographs import Rows, Scores, group_folds, inner_folds
from record import write_record

from workzone import progress
from workzone.data.augmentation import Recipe
from workzone.data.challenge import LEVELS
from workzone.files import write_text
from workzone.report.bootstrap import resample_figures
from workzone.subnet.challenge import reward_figure
from workzone.train.feed.augment import AugmentConfig
from workzone.train.fit import fit
from workzone.train.judging import predict_probabilities
from workzone.train.settings import TrainConfig

FOLDS = 5
RESAMPLES = 1000


@dataclass(frozen=True)
class Variant:
    """What a detector learns from."""

    recipe: Recipe = "mild"
    copies: int = 0
    augment: AugmentConfig = field(default_factory=AugmentConfig)


VARIANTS = {
    "none": Variant(),
    "challenge x 1": Variant("challenge", 1),
    "challenge x 2": Variant("challenge", 2),
    "challenge x 4": Variant("challenge", 4),
    "mild x 2": Variant("mild", 2),
    "trivial x 2": Variant("trivial", 2),
    "label_smoothing 0.1": Variant(augment=AugmentConfig(label_smoothing=0.1)),
    "focal 2": Variant(augment=AugmentConfig(focal=2.0)),
    "mixup 0.2": Variant(augment=AugmentConfig(mixup=0.2)),
    "cutmix 1": Variant(augment=AugmentConfig(cutmix=1.0)),
    "view_dropout 0.25": Variant(augment=AugmentConfig(view_dropout=0.25)),
}


def run_task(name: str, seed: int, fold: int, work: Path) -> dict[str, Any]:
    """Train on all folds but one and score that one, unless that was done before."""
    variant = VARIANTS[name]
    settings = json.dumps(dataclasses.asdict(variant), sort_keys=True)
    digest = hashlib.blake2b(settings.encode(), digest_size=6).hexdigest()
    done = work / "runs" / f"{name.replace(' ', '-')}-{seed}-{fold}-{digest}.json"
    if done.exists():
        result: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        return result
    torch.set_num_threads(1)
    progress.enabled = False
    photographs = examples(work, variant.recipe, variant.copies)
    labels, groups = _labels_and_groups(work)
    test = group_folds(labels, groups, FOLDS, seed)[fold]
    train = np.setdiff1d(np.arange(len(labels)), test)
    config = TrainConfig(seed=seed, augment=variant.augment)
    validation = inner_folds(labels, groups, train, seed)[:1]
    fitted = fit(subset(photographs, train), validation, config)
    scores = {}
    of_test = (test[:, None] * len(LEVELS) + np.array(LEVELS)).ravel()
    for kind, judged in (
        ("photographs", subset(photographs, test)),
        ("challenges", subset(challenge_examples(work), of_test)),
    ):
        raw = predict_probabilities(fitted.detector, judged.batch(torch.arange(len(judged))))
        scores[kind] = fitted.calibration.apply(raw).tolist()
    result = {"variant": name, "seed": seed, "test": test.tolist(), "scores": scores}
    write_text(done, json.dumps(result))
    return result


def _copies_of(names: list[str]) -> dict[Recipe, int]:
    """Of each recipe, the most copies that a variant needs."""
    most: dict[Recipe, int] = {}
    for name in names:
        variant = VARIANTS[name]
        most[variant.recipe] = max(variant.copies, most.get(variant.recipe, 0))
    return most


def _labels_and_groups(work: Path) -> tuple[Rows, list[str]]:
    photographs = examples(work, "mild", 0)
    labels = photographs.labels.numpy()
    assert len(challenges(work)) == len(labels) * len(LEVELS)  # image by image, level by level
    return labels, [s.group or s.id for s in photographs.samples]


def summarise(work: Path, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures of one variant: means over seeds, intervals from resampled groups."""
    labels, groups = _labels_and_groups(work)
    seeds = sorted({run["seed"] for run in runs})
    plain = np.full((len(seeds), len(labels)), np.nan)
    of_levels = np.full((len(seeds), len(labels), len(LEVELS)), np.nan)
    for run in runs:
        row = seeds.index(run["seed"])
        plain[row, run["test"]] = run["scores"]["photographs"]
        shape = (-1, len(LEVELS))
        of_levels[row, run["test"]] = np.array(run["scores"]["challenges"]).reshape(shape)
    summary: dict[str, Any] = {"seeds": len(seeds)}
    summary["photographs"] = _figures(labels, plain, groups)
    for level in LEVELS:
        scores = of_levels[:, :, level]
        summary[f"level {level}"] = _figures(labels, scores, groups) | {
            "expected reward": _reward(labels, scores, groups)
        }
    everything = of_levels.reshape(len(seeds), -1)
    repeated = np.repeat(labels, len(LEVELS)), [g for g in groups for _ in LEVELS]
    summary["all levels"] = _figures(repeated[0], everything, repeated[1]) | {
        "expected reward": _reward(repeated[0], everything, repeated[1])
    }
    return summary


def _figures(labels: Rows, scores: Scores, groups: list[str]) -> dict[str, Any]:
    """``scores``: ``[seeds, rows]``."""
    _, group_of_row = np.unique(groups, return_inverse=True)
    count = int(group_of_row.max()) + 1
    zeros = np.zeros_like(group_of_row)
    figures: dict[str, Any] = {}
    of_seeds = [
        (
            resample_figures(labels, one, zeros, 1, resamples=1, seed=0),
            resample_figures(labels, one, group_of_row, count, resamples=RESAMPLES, seed=0),
        )
        for one in scores
    ]
    for figure in ("mcc", "auc"):
        drawn = np.mean([of[1][figure] for of in of_seeds], axis=0)
        low, high = np.nanpercentile(drawn, [2.5, 97.5])
        value = float(np.mean([of[0][figure] for of in of_seeds]))
        figures[figure] = {"value": value, "low": float(low), "high": float(high)}
    return figures


def _reward(labels: Rows, scores: Scores, groups: list[str]) -> dict[str, float | None]:
    """Means over seeds, of the ends of the intervals too."""
    found = [reward_figure(labels, one, groups, resamples=RESAMPLES) for one in scores]
    return {
        name: float(np.mean([getattr(figure, name) for figure in found]))
        for name in ("value", "low", "high")
    }


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder with labels.csv")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--work", type=Path, default=Path("runs/copies"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    options = parser.parse_args()
    prepare(options.photos, options.work, _copies_of(options.variants))
    results: dict[str, Any] = {}
    with ProcessPoolExecutor(options.workers) as pool:
        futures = {
            name: [
                pool.submit(run_task, name, seed, fold, options.work)
                for seed in range(options.seeds)
                for fold in range(FOLDS)
            ]
            for name in options.variants
        }
        for name, of_variant in futures.items():
            results[name] = summarise(options.work, [future.result() for future in of_variant])
            print(name, results[name]["photographs"], results[name]["all levels"], flush=True)
    record = {"variants": results}
    write_record(options.output, record)
    print(tables(record))


if __name__ == "__main__":
    main()
