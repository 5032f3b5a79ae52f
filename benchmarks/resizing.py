"""The default model on views resized by Pillow, as the package does it, and by torch, as before.

    python benchmarks/resizing.py PHOTOS -o benchmarks/results/resizing.json

PHOTOS holds ``labels.csv`` (file, label, redistributable_weights). The model learned from views
that torch resized (antialiased bilinear, in bytes). Times are of one core, by turns. AUC
and MCC are of those it did not learn from: whose licence does not let weights be passed on.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from record import write_record
from sklearn.metrics import matthews_corrcoef, roc_auc_score

from workzone.data.images import decode_pixels
from workzone.engine.program import Program, Seen
from workzone.progress import track
from workzone.run.programs import open_program
from workzone.types import Views
from workzone.views import PADDING, ViewLayout, _place, enough_side, make_views, view_boxes


def views_by_torch(frame: npt.NDArray[np.uint8], layout: ViewLayout) -> Views:
    """As `workzone.views` cut and resized before version 3 of its preprocessing."""
    height, width, _ = frame.shape
    boxes, side = view_boxes(layout, width, height), layout.size
    image = torch.from_numpy(frame).permute(2, 0, 1)[None]  # channels last: the fastest path
    if layout.shorter:
        shape = layout.shape(width, height)
        return Views(F.interpolate(image, shape, mode="bilinear", antialias=True).numpy(), boxes)
    pixels = np.empty((layout.count, side, side, 3), dtype=np.uint8)
    first = int(layout.global_view and layout.keep_aspect)
    if first:
        top, left, rows, columns = _place(side, width, height)
        whole = F.interpolate(image, (rows, columns), mode="bilinear", antialias=True)[0]
        pixels[0] = PADDING
        pixels[0, top : top + rows, left : left + columns] = whole.permute(1, 2, 0).numpy()
    edges = np.rint(boxes[first:] * [width, height, width, height]).astype(int).tolist()
    for view, (x0, y0, x1, y1) in enumerate(edges, first):
        crop = image[:, :, y0:y1, x0:x1]
        small = F.interpolate(crop, (side, side), mode="bilinear", antialias=True)[0]
        pixels[view] = small.permute(1, 2, 0).numpy()
    return Views(pixels.transpose(0, 3, 1, 2), boxes)


def judged(program: Program, views: Views) -> float:
    """Probability of road work."""
    return program.run([Seen(views.pixels, views.boxes)])[0].probability


def compare(folder: Path) -> dict[str, Any]:
    """Both ways on every photograph."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    program = open_program(None)
    ways = {"pillow": make_views, "torch": views_by_torch}
    probabilities: dict[str, list[float]] = {"pillow": [], "torch": []}
    spent: dict[str, list[float]] = {"pillow": [], "torch": []}
    unlike, furthest = [], 0
    layout = program.description.spec.layout
    torch.set_num_threads(1)
    for row in track(rows, "judging"):
        data = (folder / row["file"]).read_bytes()
        frame = decode_pixels(data, enough_side=enough_side(layout), name=row["file"])
        pixels = {}
        for name, way in ways.items():
            started = time.process_time()
            views = way(frame, layout)
            spent[name].append(1000 * (time.process_time() - started))
            pixels[name] = views.pixels
            probabilities[name].append(judged(program, views))
        levels = np.abs(pixels["pillow"].astype(int) - pixels["torch"])
        unlike.append(float((levels > 0).mean()))
        furthest = max(furthest, int(levels.max()))
    pillow, by_torch = (np.array(probabilities[name]) for name in ("pillow", "torch"))
    labels = np.array([int(row["label"]) for row in rows])
    others = np.array([row["redistributable_weights"] != "yes" for row in rows])
    difference = np.abs(pillow - by_torch)
    return {
        "photographs": len(rows),
        "milliseconds of views, median": {
            name: round(float(np.median(times)), 2) for name, times in spent.items()
        },
        "share of pixel values that differ": round(float(np.mean(unlike)), 4),
        "furthest pixel value, levels": furthest,
        "mean difference of a probability": round(float(difference.mean()), 5),
        "95th percentile": round(float(np.quantile(difference, 0.95)), 5),
        "largest": round(float(difference.max()), 5),
        "decisions that differ": int(((pillow > 0.5) != (by_torch > 0.5)).sum()),
        "photographs it did not learn from": int(others.sum()),
        "with road work": int(labels[others].sum()),
        "AUC": {
            name: round(float(roc_auc_score(labels[others], np.array(values)[others])), 4)
            for name, values in probabilities.items()
        },
        "MCC": {
            name: round(float(matthews_corrcoef(labels[others], np.array(values)[others] > 0.5)), 4)
            for name, values in probabilities.items()
        },
    }


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    results = compare(arguments.photos)
    print(results)
    write_record(arguments.output, results)


if __name__ == "__main__":
    main()
