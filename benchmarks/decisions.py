"""What decisions gain from calibrations, several looks, and several models, on sources left out.

    python benchmarks/decisions.py data more -o benchmarks/results/decisions.json

PHOTOS are folders with ``labels.csv`` (file, label, group). Leave one source out (`LEFT_OUT` in
photographs.py): trained on all other photographs and on drawn scenes, judged on the source as it
is and as the subnet would send it. What shipped weights may learn from does not matter here, as
nothing of this ships. The six members are small (an eighth of the reference's width, half its
depth), on features of the whole frame and four tiles, so that all of them train in minutes; see
decisions_material.py and decisions_scores.py.

Every calibration, weight and temperature is found on validation folds inside what is learned from,
by models that had not seen the rows. Intervals draw whole groups of each source, the same for all
methods; a mean is over the three sources.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from decisions_material import BACKBONES, LAYOUT, LEVELS, Material
from decisions_scores import Scores, Trainer, variants
from photographs import LEFT_OUT
from record import write_record

from workzone import progress
from workzone.decide.calibration import METHODS, Calibration
from workzone.decide.calibration_fit import compare_methods, fit_calibration
from workzone.decide.mixture import Mixture
from workzone.decide.mixture_fit import diversity, fit_mixture, log_loss, select_greedily
from workzone.decide.test_time import TestTimeConfig, combine_looks, settled
from workzone.decide.test_time_fit import fit_look_temperature
from workzone.decide.threshold import HALF
from workzone.report.bootstrap import weighted_figures
from workzone.subnet.challenge import LEVEL
from workzone.subnet.reward import expected_reward
from workzone.types import Sample

Floats = npt.NDArray[np.float64]
Judged = dict[str, tuple[npt.NDArray[np.int64], Floats, list[str]]]
"""By what is judged ("as it is", "level 0", ...): labels, probabilities, groups."""
RESAMPLES = 500
FIGURES = ("mcc", "auc", "ece", "reward")
AS_IT_IS, OF_LEVELS = "as it is", "all levels"
KINDS = (AS_IT_IS, *(f"level {level}" for level in LEVELS), OF_LEVELS)
MARGIN = 1.0
"""Of the early exit, in log-odds."""


def figures(
    labels: npt.NDArray[np.int64], told: Floats, weights: npt.NDArray[np.int64]
) -> dict[str, Floats]:
    """`FIGURES` of rows that count so often ``[R, B]``, each ``[R]``; NaN where not defined."""
    found = weighted_figures(labels, told, weights)
    right = (told > HALF) == (labels == 1)
    with np.errstate(invalid="ignore"):
        found_share, passed_share = (
            weights @ (right & (labels == label)) / (weights @ (labels == label))
            for label in (1, 0)
        )
    return {name: found[name] for name in FIGURES[:3]} | {
        "reward": expected_reward(found_share, passed_share)
    }


def drawn(groups: Sequence[list[str]]) -> list[Any]:
    """How often each row counts ``[1 + R, B]`` for each set of rows: as it is, then in draws.

    All sets are of the same groups; a figure that is not defined in a draw is NaN there.
    """
    names = sorted({name for own in groups for name in own})
    numbers = [np.array([names.index(name) for name in own]) for own in groups]
    random = np.random.default_rng(0)
    share = np.full(len(names), 1 / len(names))
    counts = random.multinomial(len(names), share, size=RESAMPLES)
    counts = np.concatenate([np.ones((1, len(names)), np.int64), counts])
    return [counts[:, own] for own in numbers]


class Table:
    """Methods by name, each judged on every source left out."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, dict[str, dict[str, Floats]]]] = {}
        self.costs: dict[str, list[float]] = {}

    def add(self, method: str, fold: str, judged: Judged, cost: float) -> None:
        """What a method says of a source, and its passes through a backbone for an image."""
        weights = drawn([groups for _, _, groups in judged.values()])
        own = {
            kind: figures(truth, told, weight)
            for (kind, (truth, told, _)), weight in zip(judged.items(), weights, strict=True)
        }
        self.values.setdefault(method, {})[fold] = own
        self.costs.setdefault(method, []).append(cost)

    def mean(self, method: str, kind: str, figure: str) -> Floats:
        """Over sources: ``[1 + R]``, NaN where one of them has none in a draw."""
        return np.mean([own[kind][figure] for own in self.values[method].values()], axis=0)

    def to_json(self, beside: str) -> dict[str, Any]:
        """Means over sources with 95 % intervals, and what each method has over another one."""
        table: dict[str, Any] = {}
        for method, folds in self.values.items():
            kinds = [kind for kind in KINDS if all(kind in own for own in folds.values())]
            row: dict[str, Any] = {"passes": round(float(np.mean(self.costs[method])), 2)}
            for kind in kinds:
                row[kind] = {}
                for figure in FIGURES:
                    values = self.mean(method, kind, figure)
                    more = values - self.mean(beside, kind, figure)
                    row[kind][figure] = summed(values) | {f"over {beside}": summed(more)}
                row[kind]["by source"] = {
                    fold: {figure: round(float(own[kind][figure][0]), 4) for figure in FIGURES}
                    for fold, own in folds.items()
                }
            table[method] = row
        return table


def summed(values: Floats) -> dict[str, Any]:
    """The value as it is, and its interval."""
    low, high = np.nanquantile(values[1:], [0.025, 0.975])
    return {
        "value": round(float(values[0]), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
    }


def own_of(samples: Sequence[Sample], fold: str) -> list[Sample]:
    """Those of a source."""
    return [s for s in samples if (s.group or "").startswith(LEFT_OUT[fold])]


def judged(
    material: Material, fold: str, test: Floats, challenge: Floats, *, often: bool = False
) -> Judged:
    """Probabilities with what they are of."""
    tested = own_of(material.seen_often if often else material.tested, fold)
    sent = own_of(material.sent_often if often else material.challenge, fold)
    found: Judged = {AS_IT_IS: _part(tested, test), OF_LEVELS: _part(sent, challenge)}
    levels = np.array([int(s.extra[LEVEL]) for s in sent])
    for level in LEVELS:
        rows = np.flatnonzero(levels == level)
        part = _part([sent[row] for row in rows], challenge[rows])
        if not often and 0 < part[0].sum() < len(rows):
            found[f"level {level}"] = part
    return found


def _part(samples: Sequence[Sample], told: Floats) -> Any:
    labels = np.array([s.label for s in samples], np.int64)
    return labels, told, [s.group or s.id for s in samples]


def calibrations(trainer: Trainer, all_scores: Mapping[str, Scores]) -> dict[str, Any]:
    """The base member with each calibration."""
    material, table, chosen = trainer.material, Table(), {}
    for fold, scores in all_scores.items():
        rows = scores["validation"]
        labels = trainer.labels[rows]
        groups = [material.samples[row].group for row in rows]
        raw = scores["raw validation"]
        ways: dict[str, Calibration] = {"as it comes": Calibration()}
        for choose_cut in (False, True):
            cut = "cut chosen" if choose_cut else "cut kept"
            for method in (*METHODS, "auto"):
                ways[f"{method}, {cut}"] = fit_calibration(
                    *(labels, raw), choose_cut=choose_cut, method=method, groups=groups
                )[0]
        method, trials = compare_methods(labels, raw, groups)
        chosen[fold] = {
            "chosen": method,
            "rows": len(rows),
            "positives": int(labels.sum()),
            "trials": [dataclasses.asdict(trial) for trial in trials],
            "cut": ways["temperature, cut chosen"].threshold,
        }
        for name, calibration in ways.items():
            told = judged(
                material,
                fold,
                calibration.apply(scores["raw test"]),
                calibration.apply(scores["raw challenge"]),
            )
            table.add(name, fold, told, LAYOUT.count)
    return {"table": table.to_json("temperature, cut chosen"), "validation": chosen}


def looks(trainer: Trainer, all_scores: Mapping[str, Scores]) -> dict[str, Any]:
    """The base member with several looks, calibrated as with one."""
    material, table, fitted = trainer.material, Table(), {}
    for fold, scores in all_scores.items():
        labels = trainer.labels[scores["validation"]]
        calibration, _ = fit_calibration(labels, scores["raw validation"])
        count = scores["looks test"].shape[1]
        config = TestTimeConfig(copies=count - 1)
        familiar = fit_look_temperature(
            trainer.labels[scores["looked at validation"]],
            scores["looks validation"],
            scores["distances validation"],
            config.by("familiar"),
        )
        fitted[fold] = {
            "temperature": familiar.temperature,
            "rows": len(scores["looked at validation"]),
        }
        early = dataclasses.replace(familiar, margin=MARGIN)
        ways: dict[str, TestTimeConfig | None] = {
            "one look": None,
            "all": config.by("all"),
            "the surest half": config.by("surest"),
            "familiar": familiar,
            "familiar, early exit": early,
            "the surest half, early exit": dataclasses.replace(config.by("surest"), margin=MARGIN),
        }
        for name, way in ways.items():
            told, passes = {}, []
            for part in ("test", "challenge"):
                raw, apart = scores[f"looks {part}"], scores[f"distances {part}"]
                mean = raw[:, 0]
                seen = np.ones(len(raw))
                if way is not None:
                    mean = combine_looks(raw, way, cut=calibration.cut, distances=apart)
                    done = settled(raw, way, calibration.cut)
                    seen = np.where(done, way.first, count)
                told[part] = calibration.apply(mean)
                passes.append(float(seen.mean()) * LAYOUT.count)
            rows = judged(material, fold, told["test"], told["challenge"], often=True)
            table.add(name, fold, rows, float(np.mean(passes)))
    return {"table": table.to_json("one look"), "fitted": fitted}


def ensembles(
    trainer: Trainer, of_members: Mapping[str, Mapping[str, Scores]], soups: Mapping[str, Scores]
) -> dict[str, Any]:
    """Single members, and what becomes of several."""
    material, table, told_of = trainer.material, Table(), {}
    names = [v.name for v in variants() if ", seed" not in v.name]
    seeds = ["base", *(v.name for v in variants() if ", seed" in v.name)]
    for fold in LEFT_OUT:
        scores = {name: of_members[name][fold] for name in (*names, *seeds)}
        scores["soup of three seeds"] = soups[fold]
        rows = scores["base"]["validation"]
        labels = trainer.labels[rows]
        parts: dict[str, dict[str, Floats]] = {}
        for name, own in scores.items():
            assert (own["validation"] == rows).all()
            calibration, _ = fit_calibration(labels, own["raw validation"])
            parts[name] = {
                part: calibration.apply(own[f"raw {part}"])
                for part in ("validation", "test", "challenge")
            }

        def together(chosen: Sequence[str], part: str, own: Any = parts) -> Floats:
            return np.stack([own[name][part] for name in chosen], axis=-1)

        given = together(names, "validation")
        equal = (1 / len(names),) * len(names)
        mixtures: dict[str, tuple[list[str], Mixture]] = {
            "six, equal, log-odds": (names, Mixture(weights=equal)),
            "six, equal, probability": (names, Mixture(weights=equal, average="probability")),
            "six, fitted, log-odds": (names, fit_mixture(labels, given)),
            "six, fitted, probability": (names, fit_mixture(labels, given, average="probability")),
            "six, greedy, log-odds": (names, select_greedily(labels, given)),
            "five of one backbone, equal": (names[:5], Mixture(weights=(1 / 5,) * 5)),
            "three seeds, equal": (seeds, Mixture(weights=(1 / 3,) * 3)),
        }
        losses = {name: log_loss(labels, parts[name]["validation"]) for name in names}
        best = min(losses, key=losses.__getitem__)
        parts["best single"] = parts[best]
        passes = {name: float(LAYOUT.count) for name in parts}
        for name, (chosen, mixture) in mixtures.items():
            mixed = {
                p: mixture.apply(together(chosen, p)) for p in ("validation", "test", "challenge")
            }
            calibration, _ = fit_calibration(labels, mixed["validation"])
            parts[name] = {part: calibration.apply(values) for part, values in mixed.items()}
            weighing = [one for one, w in zip(chosen, mixture.weights, strict=True) if w > 0]
            readers = {"other" if one == "other-backbone" else "first" for one in weighing}
            passes[name] = float(LAYOUT.count * len(readers))
        told_of[fold] = {
            "best single": best,
            "log loss on validation rows": {
                name: round(log_loss(labels, own["validation"]), 4) for name, own in parts.items()
            },
            "weights": {
                name: dict(zip(c, m.weights, strict=True)) for name, (c, m) in mixtures.items()
            },
            "diversity": diversity(labels, given, mixtures["six, equal, log-odds"][1]).to_json(),
            "diversity on the source left out": diversity(
                np.array([s.label for s in own_of(material.tested, fold)]),
                together(names, "test"),
                mixtures["six, equal, log-odds"][1],
            ).to_json(),
        }
        for name, own in parts.items():
            table.add(
                name, fold, judged(material, fold, own["test"], own["challenge"]), passes[name]
            )
    return {"table": table.to_json("best single"), "told": told_of}


PARTS = {
    "calibrations": ((BACKBONES[0], "once"),),
    "looks": ((BACKBONES[0], "once"), (BACKBONES[0], "often")),
    "ensembles": tuple((backbone, "once") for backbone in BACKBONES),
}
"""Of the record, with the features that each needs."""


def main() -> None:
    """Run what the command line asks for; parts that a record has already stay in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/decisions"))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=tuple(PARTS))
    options = parser.parse_args()
    progress.enabled = False
    torch.set_num_threads(1)
    needed = list(dict.fromkeys(need for part in options.parts for need in PARTS[part]))
    material = Material(options.photos, options.work, needed)
    trainer = Trainer(material, options.work)
    results: dict[str, Any] = {}
    if options.output.exists():
        results = json.loads(options.output.read_text(encoding="utf-8"))["results"]
    results |= {
        "photographs": int(trainer.photograph.sum()),
        "scenes": int((~trainer.photograph).sum()),
        "judged": {fold: len(own_of(material.tested, fold)) for fold in LEFT_OUT},
    }
    members = variants()
    if "calibrations" in options.parts:
        base = {fold: trainer.scores(members[0], fold) for fold in LEFT_OUT}
        results["calibrations"] = calibrations(trainer, base)
    if "looks" in options.parts:
        often = {fold: trainer.scores(members[0], fold, often=True) for fold in LEFT_OUT}
        counts = {fold: len(own_of(material.seen_often, fold)) for fold in LEFT_OUT}
        results["looks"] = looks(trainer, often) | {"photographs": counts}
    if "ensembles" in options.parts:
        each = {v.name: {fold: trainer.scores(v, fold) for fold in LEFT_OUT} for v in members}
        soups = {fold: trainer.soup(fold) for fold in LEFT_OUT}
        results["ensembles"] = ensembles(trainer, each, soups)
    write_record(options.output, results)


if __name__ == "__main__":
    main()
