"""The model that comes with workzone, on photographs that it did not learn from."""

from __future__ import annotations

import csv
import os
import runpy
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

from workzone import Predictor

PER_CLASS = 20
BOXES = Path(__file__).parents[2] / "benchmarks" / "boxes.py"


def test_the_default_model_ranks_photographs_it_never_saw() -> None:
    """Those whose licence kept them out of its training."""
    folder = os.environ.get("WORKZONE_PHOTOS")
    if not folder:
        pytest.skip("WORKZONE_PHOTOS is not set: see test_photographs.py")
    with (Path(folder) / "labels.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["redistributable_weights"] != "yes"]
    chosen = []
    for label in ("0", "1"):
        known = sorted((r for r in rows if r["label"] == label), key=lambda r: r["file"])
        chosen += known[:: max(1, len(known) // PER_CLASS)]
    predictions = Predictor().predict([str(Path(folder) / r["file"]) for r in chosen])
    scores = [p.probability for p in predictions]
    assert roc_auc_score([int(r["label"]) for r in chosen], scores) > 0.85


def test_all_that_it_learns_road_work_from_has_boxes() -> None:
    folder = os.environ.get("WORKZONE_PHOTOS")
    if not folder:
        pytest.skip("WORKZONE_PHOTOS is not set: see test_photographs.py")
    with (Path(folder) / "labels.csv").open(newline="") as file:
        shown = {row["file"] for row in csv.DictReader(file) if row["label"] == "1"}
    assert shown <= set(runpy.run_path(str(BOXES))["read_boxes"](Path(folder)))
