"""The default model on views resized by Pillow, as the package does it, and by torch, as before.

    python benchmarks/resizing.py PHOTOS -o benchmarks/results/resizing.json

PHOTOS holds ``labels.csv`` (file, label, redistributable_weights). The model learned from views
that torch resized (antialiased bilinear, in bytes). AUC and MCC are of those it did not
learn from: whose licence does not let weights be passed on.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from record import write_record
from sklearn.metrics import matthews_corrcoef, roc_auc_score

import workzone.views
from workzone.engine.program import Program, Seen
from workzone.progress import track
from workzone.run.programs import open_program
from workzone.views import preprocess


def resized_by_torch(image: Image.Image, width: int, height: int) -> npt.NDArray[np.uint8]:
    """As `workzone.views` resized a crop before version 3 of its preprocessing."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    small = F.interpolate(pixels, (height, width), mode="bilinear", antialias=True)
    return small[0].permute(1, 2, 0).numpy()


def judged(program: Program, data: bytes) -> tuple[float, npt.NDArray[np.uint8]]:
    """Probability of road work, and the pixels it was told from."""
    views = preprocess(data, program.description.spec.layout)
    return program.run([Seen(views.pixels, views.boxes)])[0].probability, views.pixels


def compare(folder: Path) -> dict[str, Any]:
    """Both ways on every photograph."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    program = open_program(None)
    by_pillow = workzone.views._resized
    probabilities: dict[str, list[float]] = {"pillow": [], "torch": []}
    unlike, furthest = [], 0
    for row in track(rows, "judging"):
        data = (folder / row["file"]).read_bytes()
        pixels = {}
        for name, way in (("pillow", by_pillow), ("torch", resized_by_torch)):
            workzone.views._resized = way
            probability, pixels[name] = judged(program, data)
            probabilities[name].append(probability)
        levels = np.abs(pixels["pillow"].astype(int) - pixels["torch"])
        unlike.append(float((levels > 0).mean()))
        furthest = max(furthest, int(levels.max()))
    workzone.views._resized = by_pillow
    pillow, by_torch = (np.array(probabilities[name]) for name in ("pillow", "torch"))
    labels = np.array([int(row["label"]) for row in rows])
    others = np.array([row["redistributable_weights"] != "yes" for row in rows])
    difference = np.abs(pillow - by_torch)
    return {
        "photographs": len(rows),
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
