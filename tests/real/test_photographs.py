"""The whole chain on real photographs, which are not part of the repository."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

from predictors import bundle_predictor
from workzone.backbones.base import Backbone
from workzone.data.importing import import_source
from workzone.data.manifest import read_manifest
from workzone.data.splits import split_manifest
from workzone.decide.bundle import read_bundle, write_bundle
from workzone.features.extract import make_spec
from workzone.train.job import train
from workzone.train.settings import TrainConfig
from workzone.views import ViewLayout

PER_CLASS = 75
FAMILIES = {"tracon": "web", "succ": "web", "dnit": "dnit", "camvid": "camvid"}
"""Groups that show the same places, by how their names begin."""


def photographs() -> Path:
    folder = os.environ.get("WORKZONE_PHOTOS")
    if not folder:
        pytest.skip(
            "WORKZONE_PHOTOS is not set: to run the test on real photographs, let it name a folder "
            "with labels.csv (columns file, label, group) and the photographs"
        )
    return Path(folder)


def family(group: str) -> str:
    return next((name for start, name in FAMILIES.items() if group.startswith(start)), group)


def chosen(folder: Path) -> list[dict[str, str]]:
    """`PER_CLASS` rows of each label; the groups take turns, so that none prevails."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as handle:
        table = list(csv.DictReader(handle))
    rows = []
    for label in "01":
        turns: dict[str, int] = defaultdict(int)
        ranked = []
        for row in sorted((r for r in table if r["label"] == label), key=lambda r: r["file"]):
            turns[row["group"]] += 1
            ranked.append((turns[row["group"]], row["file"], row))
        rows += [row for _, _, row in sorted(ranked, key=lambda r: r[:2])[:PER_CLASS]]
    return rows


def test_road_work_is_found_in_photographs_of_groups_never_seen(
    lite0: Backbone, tmp_path: Path
) -> None:
    folder = photographs()
    with (tmp_path / "labels.csv").open("w", newline="", encoding="utf-8") as handle:
        table = csv.writer(handle)
        table.writerow(["file", "label", "group"])
        for row in chosen(folder):
            table.writerow([(folder / row["file"]).resolve(), row["label"], family(row["group"])])
    summary = import_source(str(tmp_path / "labels.csv"), tmp_path / "manifest.parquet")
    assert summary.rows_kept == 2 * PER_CLASS

    shares = {"train": 0.4, "val": 0.2, "test": 0.4}
    manifest, proof = split_manifest(
        read_manifest(summary.manifest), proportions=shares, folds=None, seed=4
    )
    assert not proof.problems
    spec = make_spec(lite0, layout=ViewLayout(tiles=2, squares=()), grid_views=(0,))
    trained = train(manifest, lite0, spec, tmp_path / "features", TrainConfig())
    write_bundle(trained.bundle, tmp_path / "model")

    test = manifest.in_split("test")
    predictor = bundle_predictor(read_bundle(tmp_path / "model"), lite0)
    predictions = predictor.predict([Path(sample.image.path) for sample in test])
    labels = [sample.label for sample in test]
    auc = roc_auc_score(labels, [prediction.probability for prediction in predictions])
    assert min(sum(label == 1 for label in labels), sum(label == 0 for label in labels)) >= 15
    assert auc > 0.85  # 0.94 when this was written
