"""Training from pixels: what a step costs, with and without checkpointing, and what it brings.

    python benchmarks/adapters.py -o benchmarks/results/adapters.json

A step is one of AdamW's on `IMAGES` images of 12 views of 224 px, of which 4 are read; each variant
is measured in a process of its own, after a first step that does not count. Seconds are processor
time, which other work on the machine disturbs least; memory is the process's largest resident set
(Linux tells). Both trainings of the comparison learn from the same drawn scenes and are judged
on the same others.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from record import write_record
from sklearn.metrics import roc_auc_score

from workzone.backbones.adapters import AdapterConfig
from workzone.backbones.registry import load_backbone
from workzone.data.manifest import read_manifest
from workzone.data.splits import split_manifest
from workzone.features.extract import make_spec
from workzone.model.config import DetectorConfig
from workzone.model.views.config import GlanceConfig
from workzone.scenes import write_scenes
from workzone.train.feed.pixels import PixelInput
from workzone.train.job import train
from workzone.train.pixels import PixelDetector
from workzone.train.settings import TrainConfig
from workzone.views import view_boxes

IMAGES = 2
STEPS = 2
VARIANTS = [
    ("lite0", 4, False),
    ("lite0", 4, True),
    ("lite0", 16, False),
    ("lite0", 16, True),
    ("dinov3-vits16", 4, False),
    ("dinov3-vits16", 4, True),
    ("dinov3-vits16", 12, False),
    ("dinov3-vits16", 12, True),
]
"""Backbone, adapted blocks, checkpointing. DINOv3's weights are random, which costs the same."""

TRAININGS: dict[str, dict[str, Any]] = {
    "stored features, defaults": {},
    "stored features, as from pixels": {"epochs": 4, "batch": 16},
    "from pixels": {"epochs": 4, "batch": 16, "adapters": AdapterConfig()},
}


def resident(field: str) -> int:
    """MB of this process: ``VmRSS`` now, ``VmHWM`` at most. Linux tells; getrusage's figure would
    start from that of the parent process."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    kilobytes = next(line for line in status.splitlines() if line.startswith(field)).split()[1]
    return round(int(kilobytes) * 1024 / 1e6)


def measure(name: str, blocks: int, checkpointing: bool) -> dict[str, Any]:
    """One variant, in this process."""
    torch.manual_seed(0)
    backbone = load_backbone(name, random=name != "lite0")
    spec = make_spec(backbone, grid_views=(0,))
    adapters = AdapterConfig(blocks=blocks, checkpointing=checkpointing)
    config = DetectorConfig(glance=GlanceConfig()).sized(
        width=spec.width, grid_width=spec.grid_width, grid_size=spec.grid_size
    )
    detector = PixelDetector(config, backbone, spec, adapters).train()
    learning = [p for p in detector.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-3)
    count, side = spec.layout.count, spec.layout.size
    pixels = torch.randint(0, 256, (IMAGES, count, 3, side, side), dtype=torch.uint8)
    boxes = torch.from_numpy(view_boxes(spec.layout, 640, 480)).expand(IMAGES, count, 4)
    given = PixelInput(pixels=pixels, boxes=boxes, features=torch.zeros(IMAGES, count, 0))
    before, seconds = resident("VmRSS"), []
    Path("/proc/self/clear_refs").write_text("5")  # what loading took does not count
    for _ in range(1 + STEPS):
        start = time.process_time()
        optimizer.zero_grad()
        F.cross_entropy(detector.run(given).logits, torch.arange(IMAGES) % 2).backward()
        optimizer.step()
        seconds.append(time.process_time() - start)
    return {
        "backbone": name,
        "blocks": blocks,
        "checkpointing": checkpointing,
        "adapter parameters": sum(
            p.numel() for p in detector.backbone.parameters() if p.grad is not None
        ),
        "processor seconds per step": round(min(seconds[1:]), 2),
        "MB before training": before,
        "MB at most": resident("VmHWM"),
    }


def compare(folder: Path, count: int) -> dict[str, Any]:
    """Validation AUC of stored features and of pixels on drawn scenes."""
    if not (folder / "manifest.parquet").exists():
        write_scenes(folder, count=count, seed=0)
    scenes, _ = split_manifest(
        read_manifest(folder / "manifest.parquet"), proportions={"train": 0.65, "val": 0.35}
    )
    backbone = load_backbone("lite0")
    spec = make_spec(backbone, grid_views=(0,))
    results: dict[str, Any] = {
        "scenes": len(scenes),
        "validation scenes": len(scenes.in_split("val")),
    }
    for name, settings in TRAININGS.items():
        start = time.process_time()
        config = TrainConfig(**settings)
        fit = train(scenes, backbone, spec, folder / "features", config).fit
        labels = [s.label for s in scenes if s.split == "val"]
        results[name] = {
            "validation AUC": round(float(roc_auc_score(labels, fit.validation_probabilities)), 3),
            "validation losses": [round(loss, 3) for loss in fit.validation_losses[0]],
            "processor seconds": round(time.process_time() - start, 1),
        }
        print(name, results[name], flush=True)
    return results


def main() -> None:
    """Measure every variant, compare, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--scenes", type=int, default=120)
    parser.add_argument("--work", type=Path, help="folder that keeps scenes and features")
    parser.add_argument("--measure", nargs=3, metavar=("BACKBONE", "BLOCKS", "CHECKPOINTING"))
    options = parser.parse_args()
    if options.measure:
        name, blocks, checkpointing = options.measure
        print(json.dumps(measure(name, int(blocks), checkpointing == "True")))
        return
    steps: list[dict[str, Any]] = []
    for variant in VARIANTS:
        command = [sys.executable, __file__, "--measure", *map(str, variant)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        steps.append(json.loads(done.stdout.splitlines()[-1]))
        print(steps[-1], flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        compared = compare(options.work or Path(scratch), options.scenes)
    write_record(options.output, {"images per step": IMAGES, "steps": steps, "scenes": compared})


if __name__ == "__main__":
    main()
