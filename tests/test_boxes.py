"""Boxes of road work in photographs, which the shipped model learns from."""

from __future__ import annotations

import csv
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from workzone.data.masks.load import load_masks
from workzone.types import OBJECT_CLASSES, ImageRef, Sample

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(BENCHMARKS / "boxes.py"))


def test_every_box_is_of_a_class_and_has_an_area() -> None:
    with (BENCHMARKS / "boxes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["file"] for row in rows}) == 95
    for row in rows:
        assert row["class"] in OBJECT_CLASSES
        x0, y0, x1, y1 = (float(row[name]) for name in ("x0", "y0", "x1", "y1"))
        assert 0 <= x0 < x1 <= 1, row
        assert 0 <= y0 < y1 <= 1, row


def test_boxes_become_masks_of_photographs_with_road_work(
    script: dict[str, Any], tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    (photos / "photos").mkdir(parents=True)
    cones = ["0.5,0.5,0.2,0.5", "1,1,0.1,0.1"]
    lines = ["file,class,xc,yc,w,h,source"]
    lines += [f"photos/a.jpg,traffic_cone,{cone},x" for cone in cones]
    (photos / "boxes.csv").write_text("\n".join(lines))
    samples = []
    for name, label in (("a", 1), ("b", 0)):
        path = photos / "photos" / f"{name}.jpg"
        Image.new("RGB", (100, 40)).save(path)
        samples.append(Sample(id=name, image=ImageRef(str(path.resolve())), label=label))
    with_road_work, without = script["with_boxes"](samples, photos, tmp_path / "masks")
    assert without == samples[1]
    masks = load_masks(with_road_work.masks, tmp_path, 40, 100).covered
    wanted = np.zeros((len(OBJECT_CLASSES), 40, 100), bool)
    wanted[OBJECT_CLASSES.index("cone"), 10:30, 40:60] = True
    wanted[OBJECT_CLASSES.index("cone"), 38:, 95:] = True
    assert (masks == wanted).all()
