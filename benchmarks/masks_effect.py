"""Whether the masks' task helps the classifier: with and without it, over seeds.

    python benchmarks/masks_effect.py data --work runs/masks -o benchmarks/results/masks_effect.json

Preset `masks` with its mask head and without, on the same drawn scenes and photographs in the same
order. The photographs that may be learned from are parted by group: one half is learned from, the
other judged, beside scenes of other seeds. Intervals are of resampled groups.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from masks import learn, settings
from masks_data import Data, gather
from record import write_record
from sklearn.metrics import matthews_corrcoef, roc_auc_score

from workzone import progress
from workzone.backbones.registry import load_backbone
from workzone.model.base import AnyDetector
from workzone.model.make import make_detector
from workzone.model.presets import Preset, preset
from workzone.train.feed.examples import Rows
from workzone.train.judging import predict_probabilities

RESAMPLES = 1000
Scores = npt.NDArray[np.float64]


def halves(data: Data) -> tuple[Data, Rows]:
    """Half of the photographs' groups, by name, are left out of training."""
    samples = data.examples.samples
    photographs = [row for row in data.train if samples[row].source != "scenes"]
    groups = sorted({str(samples[row].group) for row in photographs})
    judged = set(groups[::2])
    test = np.array([row for row in photographs if str(samples[row].group) in judged])
    return dataclasses.replace(data, train=np.setdiff1d(data.train, test)), test


def without_masks(recipe: Preset) -> Preset:
    """The same with the dense head alone."""
    return dataclasses.replace(recipe, detector=dataclasses.replace(recipe.detector, masks=None))


def scored(detector: AnyDetector, data: Data, rows: Rows) -> Scores:
    """Probabilities of road work, before calibration."""
    parts = [
        predict_probabilities(detector, data.examples.batch(part))
        for part in torch.from_numpy(rows).split(8)
    ]
    return np.concatenate(parts)


def difference(labels: Rows, groups: list[str], pairs: list[tuple[Scores, Scores]]) -> Any:
    """With minus without, the mean over seeds, with the interval of resampled groups."""
    random = np.random.default_rng(0)
    rows_of = [np.flatnonzero(np.array(groups) == name) for name in sorted(set(groups))]

    def figures(rows: Rows) -> tuple[float, float] | None:
        if len(np.unique(labels[rows])) < 2:
            return None
        auc, mcc = (
            np.mean([f(w) - f(o) for w, o in pairs])
            for f in (
                lambda p: roc_auc_score(labels[rows], p[rows]),
                lambda p: matthews_corrcoef(labels[rows], p[rows] > 0.5),
            )
        )
        return float(auc), float(mcc)

    draws = [
        figures(
            np.concatenate([rows_of[i] for i in random.integers(len(rows_of), size=len(rows_of))])
        )
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile([draw for draw in draws if draw is not None], [2.5, 97.5], axis=0)
    value = figures(np.arange(len(labels)))
    assert value is not None
    return {
        name: {"value": round(value[i], 4), "low": round(low[i], 4), "high": round(high[i], 4)}
        for i, name in enumerate(("auc", "mcc"))
    }


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder with labels.csv and boxes.csv")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--work", type=Path, default=Path("runs/masks"))
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--scenes", type=int, default=3, help="seeds to learn from")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    progress.enabled = False
    recipe = preset("masks")
    data, photographs = halves(
        gather(
            recipe,
            load_backbone(recipe.backbone),
            options.work,
            train=range(100, 100 + options.scenes),
            validation=(800,),
            test=(900, 901),
            photos=options.photos,
        )
    )
    tests = {"scenes": data.scenes, "photographs": photographs}
    probabilities: dict[str, list[tuple[Scores, Scores]]] = {name: [] for name in tests}
    results: dict[str, Any] = {"learned from": len(data.train), "epochs": options.epochs}
    for seed in range(options.seeds):
        told = []
        for name, own in (("with", recipe), ("without", without_masks(recipe))):
            config = settings(own, epochs=options.epochs, seed=seed)
            folder = options.work / f"effect-{name}-{seed}.run"
            detector = learn(data, own, config, make_detector, folder)
            told.append([scored(detector, data, rows) for rows in tests.values()])
        for number, name in enumerate(tests):
            probabilities[name].append((told[0][number], told[1][number]))
        for name, rows in tests.items():
            labels = data.examples.labels[rows].numpy()
            samples = [data.examples.samples[row] for row in rows]
            groups = [str(sample.group) for sample in samples]
            results[name] = {
                "rows": len(rows),
                "positives": int(labels.sum()),
                "with": [round(roc_auc_score(labels, w), 4) for w, _ in probabilities[name]],
                "without": [round(roc_auc_score(labels, o), 4) for _, o in probabilities[name]],
                "with minus without": difference(labels, groups, probabilities[name]),
            }
        print(seed, results, flush=True)
        write_record(options.output, results)


if __name__ == "__main__":
    main()
