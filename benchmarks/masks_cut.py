"""From which probability on a cell is marked: chosen on drawn scenes that are for this alone.

    python benchmarks/masks_cut.py --work runs/masks -o benchmarks/results/masks_cut.json

The pyramid that masks.py has trained; the threshold whose figures are furthest above what is wanted
of them, by the worst of the three (`WANTED`).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import safetensors.torch
from masks_data import gather
from masks_score import mask_logits, objects_in, scene_scores
from record import write_record

from workzone import progress
from workzone.backbones.registry import load_backbone
from workzone.model.make import make_detector
from workzone.model.presets import preset

SEEDS = range(800, 805)
"""Of drawn scenes."""
SIZE = (360, 640)
"""Of a scene."""
THRESHOLDS = [number / 100 for number in range(15, 31)]
WANTED = {"mean iou": 0.55, "recall, 8 to 16 px": 0.5, "recall above 16 px": 0.8}


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--work", type=Path, default=Path("runs/masks"))
    options = parser.parse_args()
    progress.enabled = False
    recipe = preset("masks")
    backbone = load_backbone(recipe.backbone)
    data = gather(recipe, backbone, options.work, train=(), validation=(), test=SEEDS)
    detector = make_detector(recipe.detector, backbone=recipe.backbone).eval()
    weights = safetensors.torch.load_file(options.work / "pyramid.safetensors")
    detector.load_state_dict(weights)
    logits = [mask_logits(detector, data.examples, row) for row in data.scenes]
    found: dict[str, Any] = {}
    for threshold in THRESHOLDS:
        judged = (objects_in(part, SIZE, threshold) for part in logits)
        scores = scene_scores(judged, data.examples, data.scenes)
        figures = {
            "mean iou": scores["mean iou"],
            "recall, 8 to 16 px": scores["objects"]["8 px"]["recall"],
            "recall above 16 px": scores["recall above 16 px"],
        }
        least = min(figures[name] / wanted for name, wanted in WANTED.items())
        right = scores["precision of regions"]["all"]
        found[f"{threshold:.2f}"] = figures | {"regions right": right, "least": round(least, 4)}
        print(threshold, found[f"{threshold:.2f}"], flush=True)
    best = max(found, key=lambda name: found[name]["least"])
    write_record(options.output, {"scenes": len(data.scenes), "chosen": best, "thresholds": found})


if __name__ == "__main__":
    main()
