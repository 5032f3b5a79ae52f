"""What a source's own photographs are worth without their labels.

    python benchmarks/self_training.py data more --signs package
        -o benchmarks/results/self_training.json

Goes on from what `accuracy.py` left in its folder, with permitted photographs: a model that has not
seen a source labels those of its photographs that it is sure of (``workzone pseudo-label``), and is
trained again with them. A source's groups are parted in two halves: what learns from one half,
without its labels, is judged on the other. As an archive is scored, it is also judged on the
photographs that it learned from, all of a source's. Probabilities are those of a calibration on
the other two folds, so no label of the source plays a part. What was done is not done again.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import accuracy_figures
import numpy as np
import numpy.typing as npt
import recipe
import torch
from journal import append, read_journal
from photographs import LEFT_OUT
from record import write_record
from scipy.special import expit
from sklearn.metrics import matthews_corrcoef

from workzone import progress
from workzone.backbones.registry import load_backbone
from workzone.data.manifest import Manifest
from workzone.data.pseudo_labels import pseudo_label
from workzone.features.extract import Extraction
from workzone.features.store import FeatureStore
from workzone.model.presets import preset
from workzone.subnet.challenge import LEVEL, write_challenge
from workzone.train.feed.examples import Examples, copy_rows
from workzone.train.job import examples_of
from workzone.types import Sample

STARTS = tuple(start for starts in LEFT_OUT.values() for start in starts)
RECIPE = preset("dense")
OTHERS, SAME = "other clips", "the same photographs"
"""What a model is judged on that learned from a source's photographs without their labels."""
PARTS = {OTHERS: (({0}, {1}), ({1}, {0})), SAME: (({0, 1}, {0, 1}),)}
"""Of each, the halves to learn from and those to judge on."""


def half_of(samples: list[Sample]) -> dict[str, int]:
    """Which half each group is in: every other one, by name."""
    names = sorted({str(sample.group) for sample in samples})
    return {name: number % 2 for number, name in enumerate(names)}


def sure_labels(
    test: list[Sample], half: dict[str, int], learned: set[int], probabilities: dict[str, float]
) -> dict[str, int]:
    """Labels by id, of the photographs of some halves that a model is sure of."""
    rows = [dataclasses.replace(s, label=None) for s in test if half[str(s.group)] in learned]
    scores = {row.id: probabilities[row.id] for row in rows}
    return {s.id: int(s.label or 0) for s in pseudo_label(Manifest(rows, Path()), scores).manifest}


def with_labels(
    examples: Examples, store: FeatureStore, samples: list[Sample], sure: dict[str, int]
) -> Examples:
    """The examples with other labels for some photographs, whose masks nobody knows then."""
    relabelled = [
        dataclasses.replace(s, label=sure[s.id]) if not recipe.is_made(s) and s.id in sure else s
        for s in samples
    ]
    assert examples.masks is not None
    told = np.array([s.id in sure and not recipe.is_made(s) for s in samples])
    masks = dataclasses.replace(examples.masks, annotated=examples.masks.annotated & ~told[:, None])
    return dataclasses.replace(
        examples,
        labels=torch.tensor([s.label for s in relabelled]),
        rows=copy_rows(store, relabelled, masks, copies=recipe.FRAMES.copies),
        masks=masks,
        samples=relabelled,
    )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--signs", type=Path, required=True, help="drawings, see docs/signs.md")
    parser.add_argument("--cutouts", type=Path, default=Path("runs/cutouts"))
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/accuracy-dense"))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    progress.enabled = True
    work: Path = options.work
    samples, groups = recipe.gather(options.photos, options.signs, options.cutouts, work)
    backbone = load_backbone(RECIPE.backbone)
    spec = recipe.spec_of(RECIPE, backbone, RECIPE.layout.view_size)
    everything = Manifest(samples, work)
    store = Extraction(
        everything, backbone, spec, work / "features", copies=recipe.FRAMES.copies
    ).run()
    examples = examples_of(
        samples, work, store, recipe.settings(RECIPE, 0), copies=recipe.FRAMES.copies
    )
    tested = [s for s in samples if not recipe.is_made(s) and (s.group or "").startswith(STARTS)]
    challenge = list(write_challenge(Manifest(tested, work), work / "challenge"))
    before = [
        run
        for run in read_journal(work / "accuracy.jsonl")
        if run["left_out"] in LEFT_OUT
        and run["seed"] in range(options.seeds)
        and run["pasted"] == "all"
    ]
    journal = work / "self_training.jsonl"
    done = [row for row in read_journal(journal) if row["seed"] in range(options.seeds)]
    for run in before:
        for judged_on in PARTS:
            key = {name: run[name] for name in ("seed", "left_out")} | {"judged on": judged_on}
            if any(key.items() <= row.items() for row in done):
                continue
            row = key | adapted(
                run, judged_on, samples, groups, examples, store, tested, challenge, before
            )
            done.append(row)
            append(journal, row)
            print(key, row["figures"], flush=True)
    parts = {name: [row for row in done if row["judged on"] == name] for name in PARTS}
    found = {name: summary(before, rows) for name, rows in parts.items()}
    write_record(options.output, {"summary": found, "runs": briefly(done)})


def adapted(
    run: dict[str, Any],
    judged_on: str,
    samples: list[Sample],
    groups: set[str],
    examples: Examples,
    store: FeatureStore,
    tested: list[Sample],
    challenge: list[Sample],
    runs: list[dict[str, Any]],
) -> dict[str, Any]:
    """One source and seed: trained once more on each of `PARTS`, and judged."""
    name = run["left_out"]
    test = [s for s in tested if (s.group or "").startswith(LEFT_OUT[name])]
    sent = [s for s in challenge if (s.group or "").startswith(LEFT_OUT[name])]
    half = half_of(test)
    others = accuracy_figures.calibration_of([other for other in runs if other["left_out"] != name])
    told = others.apply(expit(np.array(run["logits"])))
    probabilities = {s.id: float(p) for s, p in zip(test, told, strict=True)}
    known = recipe.learned_from(samples, groups, name)
    found = {"logits": np.zeros(len(test)), "challenge logits": np.zeros(len(sent))}
    labels: list[dict[str, int]] = []
    for learned, judged_halves in PARTS[judged_on]:
        sure = sure_labels(test, half, learned, probabilities)
        more = [row for row, s in enumerate(samples) if not recipe.is_made(s) and s.id in sure]
        rows = np.union1d(known, np.array(more, np.int64))
        taught = with_labels(examples, store, samples, sure)
        config = recipe.settings(RECIPE, run["seed"])
        detector = recipe.learn(taught, rows, RECIPE, config).eval()
        for part, judged in (("logits", test), ("challenge logits", sent)):
            chosen = [row for row, s in enumerate(judged) if half[str(s.group)] in judged_halves]
            values = recipe.logits(detector, store, [judged[row] for row in chosen])
            found[part][chosen] = values[recipe.BOTH]
        right = sum(sure[s.id] == s.label for s in test if s.id in sure)
        labels.append({"sure": len(sure), "road work": sum(sure.values()), "right": right})
    levels = np.array([int(s.extra[LEVEL]) for s in sent])
    figures = {accuracy_figures.AS_IT_IS: accuracy_figures.figures(test, found["logits"])}
    for level in sorted(set(levels)):
        rows = np.flatnonzero(levels == level)
        figures[f"level {level}"] = accuracy_figures.figures(
            [sent[row] for row in rows], found["challenge logits"][rows]
        )
    return {
        "pseudo-labels": labels,
        "figures": figures,
        "labels": [s.label for s in test],
        "groups": [s.group for s in test],
        "levels": levels.tolist(),
        "challenge labels": [s.label for s in sent],
        "challenge groups": [s.group for s in sent],
        **{part: values.round(4).tolist() for part, values in found.items()},
    }


def summary(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds with intervals over groups, and what was gained on the same photographs."""
    first = {(run["seed"], run["left_out"]): run["logits"] for run in before}
    paired = [run | {"before": first[run["seed"], run["left_out"]]} for run in after]

    def gained(run: dict[str, Any], rows: npt.NDArray[np.int64]) -> float:
        labels = np.array(run["labels"])[rows]
        then, now = (
            matthews_corrcoef(labels, np.array(run[name])[rows] > 0)
            for name in ("before", "logits")
        )
        return float(now - then)

    return {
        "intervals": accuracy_figures.intervals(after),
        "gained, MCC at 0.5": accuracy_figures.with_interval(paired, gained),
    } | {kind: means(after, kind) for kind in after[0]["figures"]}


def means(runs: list[dict[str, Any]], kind: str) -> dict[str, dict[str, float]]:
    """AUC and MCC at 0.5, by fold and of all."""
    table = {
        name: {
            figure: round(
                float(np.mean([r["figures"][kind][figure] for r in runs if r["left_out"] == name])),
                4,
            )
            for figure in ("auc", "mcc")
        }
        for name in LEFT_OUT
    }
    mean = {f: round(float(np.mean([row[f] for row in table.values()])), 4) for f in ("auc", "mcc")}
    return table | {"mean": mean}


def briefly(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is kept of each."""
    kept = ("seed", "left_out", "judged on", "pseudo-labels", "figures")
    return [{name: run[name] for name in kept} for run in runs]


if __name__ == "__main__":
    main()
