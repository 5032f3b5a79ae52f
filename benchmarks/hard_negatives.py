r"""Fewer false alarms by more of what looks alike? Mining, and composites without road work.

    python benchmarks/hard_negatives.py data more --signs package \
        -o benchmarks/results/hard_negatives.json

PHOTOS are folders with ``labels.csv`` and ``boxes.csv``, ``--signs`` names the drawings of traffic
signs (docs/signs.md), as for accuracy.py, whose recipe is followed: ``--preset dense``, one source
left out of three, permitted photographs; but without rendered composites. Beside it:

- ``look-alikes``: `MORE` composites more, of ordinary things alone, in the same streets;
- ``mined``: rows without road work are drawn the oftener the surer the model of the same seed and
  sources, as it was trained first, is of the wrong answer (``sampling.hard_examples``).

Judged as the shipped model looks, on the photographs of the source left out. Differences are of the
same photographs, seed by seed, with intervals over groups. What was done is not done again; jobs of
other ``--seeds`` may share a work folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
from accuracy_figures import figures, mean_of, with_interval
from filelock import FileLock
from hard_negatives_table import table
from journal import append, bind, read_journal
from photographs import LEFT_OUT
from recipe import (
    BOTH,
    COMPOSITES,
    FRAMES,
    MADE,
    SIGNS,
    Floats,
    gather_folders,
    groups_of,
    learn,
    learned_from,
    logits,
    paste,
    scenes,
    settings,
    spec_of,
    streets,
)
from record import write_record
from scipy.special import expit
from sklearn.metrics import matthews_corrcoef

from workzone import progress
from workzone.backbones.registry import load_backbone
from workzone.data.manifest import Manifest
from workzone.features.extract import Extraction
from workzone.features.store import FeatureStore
from workzone.model.base import AnyDetector
from workzone.model.presets import preset
from workzone.scenes.roadsigns.compositor import SignObjects
from workzone.scenes.roadsigns.drawings import read_drawings
from workzone.train.feed.examples import Rows
from workzone.train.job import examples_of
from workzone.train.settings import TrainConfig
from workzone.types import Sample

RECIPE = preset("dense")
MORE = 400
"""Composites of ordinary things alone."""
LOOKALIKES = "look-alikes"
"""Their source, and what is learned from them too."""
AS_IT_IS, MINED = "as it is", "mined"
KINDS = (AS_IT_IS, LOOKALIKES, MINED)
HARDNESS = 9.0
"""A row without road work that a model is sure to show some is drawn ten times as often."""
STARTS = tuple(start for starts in LEFT_OUT.values() for start in starts)
Run = dict[str, Any]


class Material:
    """What is learned from and judged, with its features."""

    def __init__(self, photos: Sequence[Path], signs: Path, work: Path) -> None:
        self.work = work
        real, allowed = gather_folders(photos, work)
        self.groups = groups_of(real, allowed)
        bases = streets([s for s in real if s.id in allowed], work / "streets.parquet")
        faces = SignObjects(read_drawings(signs, part="learned"))
        made = scenes(work)
        made += paste(bases, work / "composites", "composite", count=COMPOSITES, seed=1)
        made += paste(bases, work / "signs", "signs", count=SIGNS, seed=2, compositor=faces)
        made += paste(bases, work / LOOKALIKES, LOOKALIKES, count=MORE, seed=4, positive_share=0.0)
        learned = [s for s in real if s.id in allowed]
        self.tested = [s for s in real if (s.group or "").startswith(STARTS)]
        self.samples = [*learned, *made]
        self.of_tested = self.stored(self.tested, FRAMES.own_size)
        self.of_samples = self.stored(self.samples, RECIPE.layout.view_size, FRAMES.copies)
        self.examples = examples_of(
            self.samples, work, self.of_samples, settings(RECIPE, 0), copies=FRAMES.copies
        )

    def stored(self, rows: Sequence[Sample], size: int, copies: int = 0) -> FeatureStore:
        """Features of some rows, with views of ``size`` pixels."""
        backbone = load_backbone(RECIPE.backbone)
        spec = spec_of(RECIPE, backbone, size)
        manifest = Manifest(list(rows), self.work)
        return Extraction(manifest, backbone, spec, self.work / "features", copies=copies).run()

    def judge(self, detector: AnyDetector, left_out: str) -> Run:
        """On the photographs of the source left out."""
        test = [s for s in self.tested if (s.group or "").startswith(LEFT_OUT[left_out])]
        found = logits(detector, self.of_tested, test)[BOTH]
        return {
            "labels": [s.label for s in test],
            "groups": [s.group for s in test],
            "logits": found.round(4).tolist(),
            "figures": figures(test, found),
        }


def rows_of(samples: Sequence[Sample], groups: set[str], left_out: str, kind: str) -> Rows:
    """Those that a model may see: one of `KINDS` alone has the look-alikes."""
    known = learned_from(samples, groups, left_out)
    return np.array([r for r in known if samples[r].source != LOOKALIKES or kind == LOOKALIKES])


def config_of(seed: int, kind: str, scores: Path) -> TrainConfig:
    """That of the recipe; with look-alikes as light as all that is made, or with mining."""
    config = settings(RECIPE, seed)
    sampling = config.sampling
    if kind == LOOKALIKES:
        weights = {**sampling.source_weights, LOOKALIKES: MADE["composite"]}
        sampling = dataclasses.replace(sampling, source_weights=weights)
    if kind == MINED:
        sampling = dataclasses.replace(sampling, hard_examples=str(scores), hardness=HARDNESS)
    weights = {k: v for k, v in sampling.source_weights.items() if k != "rendered"}
    return dataclasses.replace(
        config, sampling=dataclasses.replace(sampling, source_weights=weights)
    )


def write_scores(material: Material, detector: AnyDetector, rows: Rows, path: Path) -> None:
    """What a model says of the rows without road work that it learned from."""
    chosen = [material.samples[row] for row in rows if material.samples[row].label == 0]
    found = expit(logits(detector, material.of_samples, chosen)[BOTH])
    scores = pa.table({"id": [s.id for s in chosen], "probability": found})
    pyarrow.csv.write_csv(scores, path)


def differences(runs: Sequence[Run], first: Sequence[Run]) -> dict[str, Any]:
    """To the runs of the same seed and fold as the recipe is: MCC at 0.5, and false alarms."""
    before = {(run["seed"], run["left_out"]): run["logits"] for run in first}
    paired = [run | {"before": before[run["seed"], run["left_out"]]} for run in runs]

    def gained(run: Run, rows: npt.NDArray[np.int64], figure: Any) -> float:
        labels = np.array(run["labels"])[rows]
        now, then = (np.array(run[name])[rows] for name in ("logits", "before"))
        return float(figure(labels, now) - figure(labels, then))

    return {
        name: with_interval(paired, functools.partial(gained, figure=figure))
        for name, figure in (("mcc", at_half), ("false alarms", false_alarms))
    }


def at_half(labels: npt.NDArray[np.int64], found: Floats) -> float:
    """MCC at 0.5."""
    return float(matthews_corrcoef(labels, found > 0))


def false_alarms(labels: npt.NDArray[np.int64], found: Floats) -> float:
    """The share of photographs without road work that are called so at 0.5."""
    return float((found[labels == 0] > 0).mean())


def summary(runs: Sequence[Run], first: Sequence[Run]) -> dict[str, Any]:
    """Means over folds and seeds."""

    def alarms(run: Run) -> float:
        return false_alarms(np.array(run["labels"]), np.array(run["logits"]))

    folds = {name: [run for run in runs if run["left_out"] == name] for name in LEFT_OUT}
    found: dict[str, Any] = {
        name: mean_of([run["figures"] | {"false alarms": alarms(run)} for run in some])
        for name, some in {"means": runs, **folds}.items()
    }
    if runs is not first:
        found["less as it is"] = differences(runs, first)
    return found


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--signs", type=Path, required=True, help="drawings, see docs/signs.md")
    parser.add_argument("--work", type=Path, default=Path("runs/hard-negatives"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    progress.enabled = True
    work: Path = options.work
    bind(work, {"composites": COMPOSITES, "signs": SIGNS, "more": MORE, "hardness": HARDNESS})
    with FileLock(work / ".material.lock"):  # another job waits until all is made and extracted
        material = Material(options.photos, options.signs, work)
    journal = work / "hard_negatives.jsonl"
    for seed in options.seeds:
        for name in LEFT_OUT:
            scores = work / f"scores-{name}-{seed}.csv"
            for kind in KINDS:
                key = {"seed": seed, "left_out": name, "kind": kind}
                if any(key.items() <= row.items() for row in read_journal(journal)):
                    continue
                rows = rows_of(material.samples, material.groups, name, kind)
                config = config_of(seed, kind, scores)
                detector = learn(material.examples, rows, RECIPE, config).eval()
                if kind == AS_IT_IS:
                    write_scores(material, detector, rows, scores)
                append(journal, key | {"rows": len(rows)} | material.judge(detector, name))
                print(key, read_journal(journal)[-1]["figures"], flush=True)
    done = [row for row in read_journal(journal) if row["seed"] in options.seeds]
    runs = {kind: [row for row in done if row["kind"] == kind] for kind in KINDS}
    found = {kind: summary(own, runs[AS_IT_IS]) for kind, own in runs.items()}
    results = {"seeds": options.seeds, "kinds": found}
    write_record(options.output, results)
    print(table(results))


if __name__ == "__main__":
    main()
