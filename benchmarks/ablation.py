"""What each part of the detector is worth: one part switched at a time, in the same folds.

    python benchmarks/ablation.py PHOTOS -o benchmarks/results/ablation.json

PHOTOS holds ``labels.csv`` (file, label, group). Beside the photographs stands a set of drawn
scenes, which has masks and metadata. Features are extracted once into ``--work``; every detector
learns from them. A run that was stopped goes on where it was.

Protocols (`ablation_variants.py` lists the detectors):

- photographs, five folds by group, five seeds (the seed shuffles the folds and initialises);
- photographs, one family of sources left out (three of them, see `photographs.LEFT_OUT`);
- drawn scenes, five folds by drive; the seed of a detector is the number of its fold.

In each, threshold, slope and epochs come from one validation fold (a quarter) of the training rows.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ablation_tables import tables
from ablation_variants import VARIANTS, Variant
from photographs import LEFT_OUT, Rows, Scores, group_folds, inner_folds, logistic
from record import write_record

from workzone import progress
from workzone.backbones.registry import load_backbone
from workzone.config import from_mapping
from workzone.data.importing import import_source
from workzone.data.manifest import Manifest, read_manifest
from workzone.decide.calibration import apply_where_known
from workzone.features.extract import Extraction, make_spec
from workzone.features.masks import mask_targets
from workzone.features.store import FeatureStore
from workzone.model.masks.config import MaskHeadConfig
from workzone.report.bootstrap import resample_figures
from workzone.scenes.write import write_scenes
from workzone.train.feed.examples import Examples
from workzone.train.fit import fit
from workzone.train.judging import predict_probabilities
from workzone.train.settings import TrainConfig
from workzone.types import Sample

SCENES = 600
SEEDS = 5
RESAMPLES = 1000
LEAK_RELIABILITY = 0.95
"""How often the made column that leaks tells the label."""


@dataclass(frozen=True)
class Task:
    """One detector to train and what it is tested on."""

    variant: str
    protocol: str  # "five folds", "left out" or "scenes"
    seed: int
    part: int | str  # number of the fold, or the family left out

    @property
    def key(self) -> str:
        """Changes with the variant's settings, so that old results are not taken for new ones."""
        settings = json.dumps(dataclasses.asdict(VARIANTS[self.variant]), sort_keys=True)
        digest = hashlib.blake2b(settings.encode(), digest_size=6).hexdigest()
        return f"{self.variant}/{self.protocol}/{self.seed}/{self.part}/{digest}"


def tasks() -> Iterator[Task]:
    """All of them, those that the others are compared with first."""
    for name, variant in VARIANTS.items():
        if variant.on_photographs:
            for seed in range(variant.seeds):
                for fold in range(5):
                    yield Task(name, "five folds", seed, fold)
            for seed in range(min(variant.seeds, variant.left_out_seeds)):
                for family in LEFT_OUT:
                    yield Task(name, "left out", seed, family)
        if variant.on_scenes:
            for fold in range(5):
                yield Task(name, "scenes", fold, fold)


# ---- data ------------------------------------------------------------------------------------


def prepare(photos: Path, work: Path) -> None:
    """Manifests, drawn scenes and features, once."""
    backbone = load_backbone("lite0")
    spec = make_spec(backbone, grid_views=(0,))
    photographs = read_manifest(
        import_source(str(photos / "labels.csv"), work / "photographs.parquet").manifest
    )
    scenes = work / "scenes" / "manifest.parquet"
    if not scenes.exists():
        write_scenes(work / "scenes", count=SCENES, seed=0)
    for manifest in (photographs, read_manifest(scenes)):
        Extraction(manifest, backbone, spec, work / "features").run()


@cache
def load(work: Path, name: str) -> tuple[Manifest, Examples]:
    """A data set, in memory once per process."""
    path = work / ("photographs.parquet" if name == "photographs" else "scenes/manifest.parquet")
    manifest = read_manifest(path)
    (folder,) = (work / "features").iterdir()
    store = FeatureStore(folder)
    rows = [store.row(s.content_hash or "") for s in manifest]
    stride = store.spec.layout.size // store.spec.grid_size[0]
    shape = MaskHeadConfig(width=1, stride=stride).mask_size(store.spec.grid_size)
    examples = Examples(
        labels=torch.tensor([s.label for s in manifest]),
        rows=torch.tensor(rows)[:, None],
        features=store.mapped("pooled"),
        boxes=store.mapped("boxes"),
        grid=store.grid((0,)),
        grid_size=store.spec.grid_size,
        view_size=store.spec.layout.size,
        masks=mask_targets(list(manifest), manifest.root, shape) if name == "scenes" else None,
        samples=list(manifest),
    )
    return manifest, examples


def with_leak(samples: list[Sample]) -> list[Sample]:
    """``scene`` replaced by a column that tells the label most of the time."""
    random = np.random.default_rng(0)
    values = {1: "closed lane", 0: "open road"}
    told = [s.label if random.random() < LEAK_RELIABILITY else 1 - (s.label or 0) for s in samples]
    return [
        dataclasses.replace(s, scene=values[int(t or 0)])
        for s, t in zip(samples, told, strict=True)
    ]


def subset(examples: Examples, rows: Rows, variant: Variant) -> Examples:
    """Some rows, with what the variant is to see of them."""
    masks = examples.masks
    samples = with_leak(list(examples.samples)) if variant.leak else examples.samples
    return dataclasses.replace(
        examples,
        labels=examples.labels[rows],
        rows=examples.rows[rows],
        grid=examples.grid if variant.needs_grid else None,
        masks=masks
        and dataclasses.replace(
            masks, covered=masks.covered[rows], annotated=masks.annotated[rows]
        ),
        samples=[samples[row] for row in rows],
    )


# ---- one task --------------------------------------------------------------------------------


def run_task(task: Task, work: Path) -> dict[str, Any]:
    """Train, test, and say everything that the tables need."""
    torch.set_num_threads(1)
    progress.enabled = False
    variant = VARIANTS[task.variant]
    manifest, examples = load(work, "scenes" if task.protocol == "scenes" else "photographs")
    labels = examples.labels.numpy()
    groups = [s.group or s.id for s in manifest]
    if task.protocol == "left out":
        prefixes = LEFT_OUT[str(task.part)]
        test = np.array([i for i, group in enumerate(groups) if group.startswith(prefixes)])
    else:
        shuffle = 0 if task.protocol == "scenes" else task.seed
        test = group_folds(labels, groups, 5, shuffle)[int(task.part)]
    train = np.setdiff1d(np.arange(len(labels)), test)
    validation = inner_folds(labels, groups, train, task.seed)
    start = time.perf_counter()
    if variant.training is None:
        scores, facts = floor(examples, labels, train, test)
    else:
        scores, facts = detector(variant, examples, train, test, validation[:1], task.seed)
    facts |= {"seconds": time.perf_counter() - start}
    return {"key": task.key, **dataclasses.asdict(task), "test": test.tolist()} | scores | facts


def floor(
    examples: Examples, labels: Rows, train: Rows, test: Rows
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Logistic regression on the global view beside the maximum over the views."""
    pooled = examples.features[examples.rows[:, 0]].float().numpy()
    mean = pooled[..., : pooled.shape[-1] // 2]  # the other half is the maximum over the grid
    vectors = np.concatenate([mean[:, 0], mean.max(1)], axis=1)
    method = logistic(vectors, labels, choose_cut=False)
    return (
        {"probabilities": method(train, test, [], 0).tolist()},
        {"parameters": vectors.shape[1] + 1},
    )


def detector(
    variant: Variant,
    examples: Examples,
    train: Rows,
    test: Rows,
    validation: list[Rows],
    seed: int,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fit on some rows, score others: the image alone, and with metadata where there are any."""
    assert variant.training is not None
    settings = from_mapping(TrainConfig, variant.training, where=variant.part)
    config = dataclasses.replace(settings, detector=variant.detector, seed=seed)
    fitted = fit(subset(examples, train, variant), validation, config)
    unseen = subset(examples, test, variant)
    metadata = unseen.metadata(fitted.detector.config)
    given = unseen.batch(torch.arange(len(test)), metadata=metadata)
    raw = predict_probabilities(fitted.detector, given.image_only())
    scores: dict[str, Any] = {"probabilities": fitted.calibration.apply(raw).tolist()}
    if fitted.metadata_calibration is not None:
        assert metadata is not None
        scores["with_metadata"] = apply_where_known(
            fitted.metadata_calibration,
            predict_probabilities(fitted.detector, given),
            known=metadata.known().numpy(),
            otherwise=fitted.calibration.apply(raw),
        ).tolist()
    facts: dict[str, Any] = {
        "parameters": sum(p.numel() for p in fitted.detector.parameters()),
        "epochs": fitted.epochs,
    }
    if unseen.masks is not None and fitted.detector.config.masks is not None:
        facts["mask_overlap"] = _mask_counts(fitted.detector, unseen)
    return scores, facts


@torch.no_grad()
def _mask_counts(model: torch.nn.Module, unseen: Examples) -> dict[str, list[int]]:
    from workzone.model.detector import Detector
    from workzone.model.masks.loss import mask_overlap

    assert isinstance(model, Detector) and unseen.masks is not None
    masks = model.run(unseen.batch(torch.arange(len(unseen)))).masks
    assert masks is not None
    targets, annotated = unseen.masks.batch(np.arange(len(unseen)))
    overlap = mask_overlap(masks, targets, row_mask=annotated)
    return {name: getattr(overlap, name).tolist() for name in ("both", "predicted", "true")}


# ---- figures ---------------------------------------------------------------------------------


def summarise(work: Path, results: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures of each variant under each protocol, and differences from its base."""
    summary: dict[str, Any] = {}
    for name, variant in VARIANTS.items():
        mine = [r for r in results if r["variant"] == name]
        if not mine:
            continue
        row: dict[str, Any] = {
            "part": variant.part,
            "base": variant.base,
            "parameters": mine[0]["parameters"],
        }
        for protocol, data in (("five folds", "photographs"), ("scenes", "scenes")):
            runs = [r for r in mine if r["protocol"] == protocol]
            if not runs:
                continue
            base = [r for r in results if r["variant"] == variant.base]
            base = [r for r in base if r["protocol"] == protocol]
            row[protocol] = _figures(work, data, runs, base, "probabilities")
            if "with_metadata" in runs[0]:
                row[f"{protocol}, with metadata"] = _figures(
                    work, data, runs, base, "with_metadata"
                )
            row[protocol]["seconds"] = float(np.mean([r["seconds"] for r in runs]))
            if "mask_overlap" in runs[0]:
                row[protocol]["mask_iou"] = _mask_iou(runs)
        row["left out"] = {
            family: _left_out(work, [r for r in mine if r["part"] == family])
            for family in LEFT_OUT
            if any(r["part"] == family for r in mine)
        }
        summary[name] = row
    return summary


def _figures(
    work: Path, data: str, runs: list[dict[str, Any]], base: list[dict[str, Any]], which: str
) -> dict[str, Any]:
    """Means over seeds; intervals from resampled groups, the same draws for all variants."""
    own, other = _draws(work, data, runs, which), _draws(work, data, base, "probabilities")
    seeds = sorted(own)
    result: dict[str, Any] = {"seeds": len(seeds)}
    for figure in ("auc", "mcc"):
        values = [own[seed][figure] for seed in seeds]
        shared = [seed for seed in seeds if seed in other]
        result[figure] = {
            "value": float(np.mean([v[0] for v in values])),
            "spread": float(np.std([v[0] for v in values])),
            **_interval(np.mean([v[1:] for v in values], axis=0)),
        }
        if shared:
            drawn = np.mean([own[s][figure] - other[s][figure] for s in shared], axis=0)
            result[f"{figure} minus base"] = {"value": float(drawn[0]), **_interval(drawn[1:])}
    return result


def _interval(values: Scores) -> dict[str, float]:
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return {"low": float(low), "high": float(high)}


def _draws(
    work: Path, data: str, runs: list[dict[str, Any]], which: str
) -> dict[int, dict[str, Scores]]:
    """By seed and figure: the value on all rows, then on each draw of groups."""
    manifest, examples = load(work, data)
    labels = examples.labels.numpy()
    names = [s.group or s.id for s in manifest]
    _, group_of_row = np.unique(names, return_inverse=True)
    pooled: dict[int, Scores] = {}
    for run in runs:
        seed = 0 if run["protocol"] == "scenes" else run["seed"]
        scores = pooled.setdefault(seed, np.full(len(labels), np.nan))
        scores[run["test"]] = run[which]
    result = {}
    for seed, scores in pooled.items():
        if np.isnan(scores).any():
            continue  # not all folds are there yet
        count = int(group_of_row.max()) + 1
        whole = resample_figures(
            labels, scores, np.zeros_like(group_of_row), 1, resamples=1, seed=0
        )
        drawn = resample_figures(labels, scores, group_of_row, count, resamples=RESAMPLES, seed=0)
        result[seed] = {name: np.concatenate([whole[name], drawn[name]]) for name in ("auc", "mcc")}
    return result


def _left_out(work: Path, runs: list[dict[str, Any]]) -> dict[str, float]:
    _, examples = load(work, "photographs")
    labels = examples.labels.numpy()
    per_run = []
    for run in runs:
        truth, scores = labels[run["test"]], np.array(run["probabilities"])
        zeros = np.zeros(len(truth), dtype=np.int64)
        figures = resample_figures(truth, scores, zeros, 1, resamples=1, seed=0)
        per_run.append((float(figures["auc"][0]), float(figures["mcc"][0])))
    auc, mcc = np.mean(per_run, axis=0)
    return {"auc": float(auc), "mcc": float(mcc), "seeds": len(per_run)}


def _mask_iou(runs: list[dict[str, Any]]) -> list[float | None]:
    """Per class, over all rows."""
    both, predicted, true = (
        np.sum([r["mask_overlap"][name] for r in runs], axis=0)
        for name in ("both", "predicted", "true")
    )
    union = predicted + true - both
    return [float(b / u) if u else None for b, u in zip(both, union, strict=True)]


# ---- the whole -------------------------------------------------------------------------------


def done(path: Path) -> dict[str, dict[str, Any]]:
    """Results of earlier runs, by key; a line torn by a stop is left out."""
    results = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                result = json.loads(line)
            except ValueError:
                continue
            results[result["key"]] = result
    return results


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder with labels.csv")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--work", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    options = parser.parse_args()
    prepare(options.photos, options.work)
    progress.enabled = False
    journal = options.work / "ablation.jsonl"
    results = done(journal)
    wanted = {task.key: task for task in tasks()}
    todo = [task for key, task in wanted.items() if key not in results]
    print(f"{len(todo)} of {len(wanted)} detectors to train", flush=True)
    start = time.perf_counter()
    with ProcessPoolExecutor(options.workers) as pool, journal.open("a") as lines:
        futures = {pool.submit(run_task, task, options.work): task for task in todo}
        for number, future in enumerate(as_completed(futures), start=1):
            result = future.result()
            lines.write(json.dumps(result) + "\n")
            lines.flush()
            results[result["key"]] = result
            if number % 25 == 0 or number == len(todo):
                print(f"{number}/{len(todo)}, {time.perf_counter() - start:.0f} s", flush=True)
    finished = [results[key] for key in wanted]
    record = {
        "detectors trained": len(finished),
        "seconds of training, summed": float(sum(r["seconds"] for r in finished)),
        "variants": summarise(options.work, finished),
    }
    write_record(options.output, record)
    print(tables(record))


if __name__ == "__main__":
    main()
