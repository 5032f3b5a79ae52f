"""The dense detector on sources it never saw, and the model that is shipped.

    python benchmarks/accuracy.py PHOTOS -o benchmarks/results/accuracy.json [--ship FOLDER]

PHOTOS holds ``labels.csv`` (file, label, group, redistributable_weights). Leave one source out:
trained on everything else, tested on one family of sources (`LEFT_OUT` in photographs.py); with all
rows, and with those alone whose licence lets weights trained on them be passed on. Composites
(drawn objects in photographs without road work, never in one of a source left out) and drawn scenes
are trained on too. Validation, which stops training and chooses the threshold, is on whole
collections. ``--ship`` trains on all rows that may be, and writes the bundle.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from photographs import LEFT_OUT, family
from record import write_record
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from workzone import progress
from workzone.backbones import Backbone, load_backbone
from workzone.config import from_mapping
from workzone.data.importing import import_source
from workzone.data.manifest import Manifest, read_manifest, write_manifest
from workzone.data.scenes import write_scenes
from workzone.data.scenes.composites import write_composites
from workzone.decide.bundle import write_bundle
from workzone.features.extract import Extraction, make_spec
from workzone.features.spec import FeatureSpec
from workzone.features.store import FeatureStore
from workzone.model.presets import preset
from workzone.report.metrics import summarise
from workzone.train.examples import Rows
from workzone.train.job import train
from workzone.train.judging import predict_probabilities
from workzone.train.settings import TrainConfig
from workzone.types import ImageRef, Sample

COMPOSITES, SCENES = 600, 200
CLOSE_UPS = ("kagan", "kroad", "sc-")
"""Thumbnails and pictures of single signs: no street to put anything into."""
VALIDATION_SHARE = 0.25
"""Of the photographs learned from, in whole collections."""
SETTINGS = ("permitted", "all")


def absolute(sample: Sample, root: Path, **changes: Any) -> Sample:
    """The same row, to be read from anywhere."""
    image = ImageRef(path=str((root / sample.image.path).resolve()))
    masks = sample.masks and str((root / sample.masks).resolve())
    return dataclasses.replace(sample, image=image, masks=masks, **changes)


def collection(sample: Sample) -> str:
    """Of a photograph: its group without numbers."""
    name = family(sample.group or sample.id)
    return "".join(c for c in name.split("-")[0] if not c.isdigit()) or name


def gather_photographs(photos: Path, work: Path) -> tuple[list[Sample], set[str]]:
    """The photographs, and the ids of those that shipped weights may learn from."""
    summary = import_source(str(photos / "labels.csv"), work / "photographs.parquet")
    imported = read_manifest(summary.manifest)
    real = [
        absolute(s, imported.root, source=collection(s), split=None, extra={}) for s in imported
    ]
    with (photos / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    permitted = {r["file"] for r in rows if r["redistributable_weights"] == "yes"}
    allowed = {
        s.id
        for s in real
        if Path(s.image.path).relative_to(photos.resolve()).as_posix() in permitted
    }
    return real, allowed


def rows_of(
    samples: Sequence[Sample], allowed: set[str], setting: str, left_out: str
) -> tuple[list[Sample], list[Sample]]:
    """The photographs to learn from, and those of the source left out."""
    starts = LEFT_OUT[left_out]
    test = [s for s in samples if (s.group or "").startswith(starts)]
    known = [s for s in samples if not (s.group or "").startswith(starts)]
    return [s for s in known if setting == "all" or s.id in allowed], test


def gather(photos: Path, work: Path) -> tuple[list[Sample], set[str]]:
    """Photographs, composites and scenes; and the groups that shipped weights may learn from."""
    real, allowed = gather_photographs(photos, work)
    bases = [s for s in real if s.label == 0 and not (s.group or "").startswith(CLOSE_UPS)]
    groups = {s.group for s in real if s.id in allowed}
    mixed = groups & {s.group for s in real if s.id not in allowed}
    if mixed:
        raise SystemExit(f"groups with rows of both kinds: {sorted(map(str, mixed))[:5]}")
    drawn = read_manifest(write_scenes(work / "scenes", count=SCENES, seed=0))
    made = [absolute(s, drawn.root, source="scenes", extra={}) for s in drawn]
    # Few bases are of the permitted ones: they get as many composites of their own.
    for seed, (name, rows) in enumerate(
        {"composites": bases, "composites-permitted": [s for s in bases if s.id in allowed]}.items()
    ):
        write_manifest(Manifest(rows, work), work / f"{name}.parquet")
        pasted = read_manifest(
            write_composites(
                read_manifest(work / f"{name}.parquet"), work / name, count=COMPOSITES, seed=seed
            ).manifest
        )
        made += [absolute(s, pasted.root, source="composite", extra={}) for s in pasted]
    return [*real, *made], {str(group) for group in groups}


def is_made(sample: Sample) -> bool:
    """Whether it is no photograph."""
    return sample.source in ("composite", "scenes")


def split(
    samples: Sequence[Sample], groups: set[str] | None, left_out: tuple[str, ...], seed: int
) -> list[Sample]:
    """Rows with splits: the source left out is ``test``, some whole collections ``val``."""
    test = [
        dataclasses.replace(s, split="test")
        for s in samples
        if left_out and (s.group or "").startswith(left_out) and not is_made(s)
    ]
    known = [
        s
        for s in samples
        if not (left_out and (s.group or "").startswith(left_out))
        and (groups is None or s.source == "scenes" or s.group in groups)
    ]
    real = [s for s in known if not is_made(s)]
    # Of the rows that may be shipped nearly all road work is of one collection, so the shipped
    # model is validated on groups of it.
    unit = family if left_out else str
    names = sorted({unit(s.group or s.id) for s in real})
    order = np.random.default_rng(seed).permutation(len(names))
    held: set[str] = set()
    for number in order:  # until both classes are there and the share is reached
        rows = [s for s in real if unit(s.group or s.id) in held]
        positives = sum(s.label == 1 for s in rows)
        if len(rows) >= VALIDATION_SHARE * len(real) and 0 < positives < len(rows):
            break
        held.add(names[number])
    chosen = list(test)
    for s in known:
        validates = s.source != "scenes" and unit(s.group or s.id) in held
        if not (validates and is_made(s)):
            chosen.append(dataclasses.replace(s, split="val" if validates else "train"))
    return chosen


def settings(seed: int) -> TrainConfig:
    """Those of ``--preset dense``."""
    chosen = preset("dense")
    tree = {**chosen.training, "seed": seed, "detector": dataclasses.asdict(chosen.detector)}
    return from_mapping(TrainConfig, tree, where="dense")


def learn(
    samples: Sequence[Sample], work: Path, backbone: Backbone, spec: FeatureSpec, seed: int
) -> Any:
    """Train as `workzone train --preset dense` does."""
    manifest = Manifest(list(samples), work)
    return train(manifest, backbone, spec, work / "features", settings(seed))


def judge(bundle: Any, store: FeatureStore, test: Sequence[Sample]) -> dict[str, Any]:
    """Figures of rows never seen, as calibrated and as they come."""
    rows = torch.tensor([store.row(s.content_hash or "") for s in test])
    raw = np.concatenate(
        [predict_probabilities(bundle.detector, given(store, part)) for part in rows.split(64)]
    )
    labels = np.array([s.label for s in test])
    calibrated = bundle.calibration.apply(raw)
    return {
        "auc": float(roc_auc_score(labels, raw)),
        "mcc": float(matthews_corrcoef(labels, calibrated > 0.5)),
        "mcc_uncalibrated": float(matthews_corrcoef(labels, raw > 0.5)),
        "metrics": summarise(labels, calibrated, [s.group for s in test]).to_json(),
    }


def given(store: FeatureStore, rows: torch.Tensor) -> Any:
    """What the detector is given of some rows of a store."""
    from workzone.model.inputs import DetectorInput

    return DetectorInput(
        features=store.mapped("pooled")[rows].float(),
        grid=store.grid((0,))[rows].float(),
        grid_size=store.spec.grid_size,
    )


def floor(store: FeatureStore, train_rows: Sequence[Sample], test: Sequence[Sample]) -> Any:
    """Logistic regression on the maximum over the same grid, of photographs alone."""

    def maxima(samples: Sequence[Sample]) -> np.ndarray:
        rows = torch.tensor([store.row(s.content_hash or "") for s in samples])
        parts = [store.grid((0,))[part].float().amax(dim=1) for part in rows.split(64)]
        return torch.cat(parts).numpy()

    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=1e-3, class_weight="balanced", max_iter=2000)
    )
    model.fit(maxima(train_rows), [s.label for s in train_rows])
    scores = model.predict_proba(maxima(test))[:, 1]
    labels: Rows = np.array([s.label for s in test])
    return {
        "auc": float(roc_auc_score(labels, scores)),
        "mcc": float(matthews_corrcoef(labels, scores > 0.5)),
    }


def main() -> None:
    """Run what the command line asks for; what was done before is not done again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/accuracy"))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--ship", type=Path, help="folder for the model that is shipped")
    options = parser.parse_args()
    progress.enabled = True
    options.work.mkdir(parents=True, exist_ok=True)
    samples, allowed = gather(options.photos, options.work)
    backbone = load_backbone("lite0")
    chosen = preset("dense")
    spec = make_spec(backbone, layout=chosen.layout, pooling=chosen.pooling, grid_views=(0,))
    everything = Manifest(samples, options.work)
    store = Extraction(everything, backbone, spec, options.work / "features").run()
    if options.ship:
        trained = learn(split(samples, allowed, (), 0), options.work, backbone, spec, 0)
        write_bundle(trained.bundle, options.ship)
        return
    journal = options.work / "accuracy.jsonl"
    done = [json.loads(x) for x in journal.read_text().splitlines()] if journal.exists() else []
    for seed in range(options.seeds):
        for setting in SETTINGS:
            for name, left_out in LEFT_OUT.items():
                key = {"seed": seed, "setting": setting, "left_out": name}
                if any(key.items() <= row.items() for row in done):
                    continue
                groups = allowed if setting == "permitted" else None
                rows = split(samples, groups, left_out, seed)
                test = [s for s in rows if s.split == "test"]
                trained = learn(rows, options.work, backbone, spec, seed)
                photographs = [s for s in rows if s.split != "test" and not is_made(s)]
                row = key | {
                    "dense": judge(trained.bundle, store, test),
                    "floor": floor(store, photographs, test),
                    "epochs": trained.fit.epochs,
                    "threshold": trained.fit.threshold.reason,
                }
                done.append(row)
                with journal.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                brief = {k: v for k, v in row["dense"].items() if k != "metrics"}
                print(key, brief, row["floor"], row["epochs"], flush=True)
    write_record(options.output, {"runs": done})


if __name__ == "__main__":
    main()
