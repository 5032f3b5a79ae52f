"""What a source's own photographs are worth without their labels.

    python benchmarks/self_training.py PHOTOS -o benchmarks/results/self_training.json

Goes on from what `accuracy.py` left in its folder, with permitted photographs: a model that has not
seen a source labels those of its photographs that it is sure of (``workzone pseudo-label``), and is
trained again with them. A source's groups are parted in two halves: what learns from one half,
without its labels, is judged on the other. Probabilities are those of a calibration on the other
two folds, so no label of the source plays a part. What was done is not done again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import accuracy
import numpy as np
import numpy.typing as npt
from photographs import LEFT_OUT
from record import write_record
from scipy.special import expit
from sklearn.metrics import matthews_corrcoef

from workzone import progress
from workzone.data.manifest import Manifest
from workzone.data.pseudo_labels import pseudo_label
from workzone.features.extract import store_path
from workzone.features.store import FeatureStore
from workzone.subnet.challenge import LEVEL, write_challenge
from workzone.train.examples import Examples
from workzone.train.job import examples_of
from workzone.types import Sample

SETTING = "permitted"
HALVES = (0, 1)


def half_of(samples: list[Sample]) -> dict[str, int]:
    """Which half each group is in: every other one, by name."""
    names = sorted({str(sample.group) for sample in samples})
    return {name: number % 2 for number, name in enumerate(names)}


def sure_labels(
    test: list[Sample], half: dict[str, int], number: int, probabilities: dict[str, float]
) -> dict[str, int]:
    """Labels by id, of the photographs of one half that a model is sure of."""
    rows = [dataclasses.replace(s, label=None) for s in test if half[str(s.group)] == number]
    scores = {row.id: probabilities[row.id] for row in rows}
    return {s.id: int(s.label or 0) for s in pseudo_label(Manifest(rows, Path()), scores).manifest}


def with_labels(examples: Examples, samples: list[Sample], sure: dict[str, int]) -> Examples:
    """The examples with other labels for some photographs."""
    labels = examples.labels.clone()
    for row, sample in enumerate(samples):
        if not accuracy.is_made(sample) and sample.id in sure:
            labels[row] = sure[sample.id]
    return dataclasses.replace(examples, labels=labels)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/accuracy"))
    options = parser.parse_args()
    progress.enabled = True
    work: Path = options.work
    samples, groups = accuracy.gather(options.photos, work)
    store = FeatureStore(store_path(work / "features", accuracy.spec_of(accuracy.LEARNED)))
    examples = examples_of(samples, work, store, accuracy.settings(0), copies=accuracy.COPIES)
    tested = [
        s
        for s in samples
        if not accuracy.is_made(s) and (s.group or "").startswith(accuracy.ALL_LEFT_OUT)
    ]
    challenge = list(write_challenge(Manifest(tested, work), work / "challenge"))
    before = [json.loads(line) for line in (work / "accuracy.jsonl").read_text().splitlines()]
    before = [run for run in before if run["setting"] == SETTING]
    journal = work / "self_training.jsonl"
    done = [json.loads(x) for x in journal.read_text().splitlines()] if journal.exists() else []
    for run in before:
        key = {name: run[name] for name in ("seed", "left_out")}
        if any(key.items() <= row.items() for row in done):
            continue
        row = key | adapted(run, samples, groups, examples, store, tested, challenge, before)
        done.append(row)
        with journal.open("a") as lines:
            lines.write(json.dumps(row) + "\n")
        print(key, row["figures"], flush=True)
    write_record(options.output, {"summary": summary(before, done), "runs": briefly(done)})


def adapted(
    run: dict[str, Any],
    samples: list[Sample],
    groups: set[str],
    examples: Examples,
    store: FeatureStore,
    tested: list[Sample],
    challenge: list[Sample],
    runs: list[dict[str, Any]],
) -> dict[str, Any]:
    """One source and seed: trained twice more, on one half, judged on the other."""
    name = run["left_out"]
    test = [s for s in tested if (s.group or "").startswith(LEFT_OUT[name])]
    sent = [s for s in challenge if (s.group or "").startswith(LEFT_OUT[name])]
    half = half_of(test)
    others = accuracy.calibration_of([other for other in runs if other["left_out"] != name])
    told = others.apply(expit(np.array(run["logits"])))
    probabilities = {s.id: float(p) for s, p in zip(test, told, strict=True)}
    known = accuracy.learned_from(samples, groups, name)
    found = {"logits": np.zeros(len(test)), "challenge logits": np.zeros(len(sent))}
    labels: list[dict[str, int]] = []
    for number in HALVES:
        sure = sure_labels(test, half, number, probabilities)
        more = [row for row, s in enumerate(samples) if not accuracy.is_made(s) and s.id in sure]
        rows = np.union1d(known, np.array(more, np.int64))
        detector = accuracy.learn(with_labels(examples, samples, sure), rows, run["seed"]).eval()
        for part, judged in (("logits", test), ("challenge logits", sent)):
            other = [row for row, s in enumerate(judged) if half[str(s.group)] != number]
            values = accuracy.logits(detector, store, [judged[row] for row in other])
            found[part][other] = values[accuracy.BOTH]
        right = sum(sure[s.id] == s.label for s in test if s.id in sure)
        labels.append({"sure": len(sure), "road work": sum(sure.values()), "right": right})
    levels = np.array([int(s.extra[LEVEL]) for s in sent])
    figures = {accuracy.AS_IT_IS: accuracy.figures(test, found["logits"])}
    for level in sorted(set(levels)):
        rows = np.flatnonzero(levels == level)
        figures[f"level {level}"] = accuracy.figures(
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
        "intervals": accuracy.intervals(after),
        "calibration": accuracy.travelling(after),
        "gained, MCC at 0.5": accuracy.with_interval(paired, gained),
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
    kept = ("seed", "left_out", "pseudo-labels", "figures")
    return [{name: run[name] for name in kept} for run in runs]


if __name__ == "__main__":
    main()
