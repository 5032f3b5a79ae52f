"""Masks of six classes: the package's head beside torchvision's LR-ASPP, and photographs.

    python benchmarks/masks.py data --work runs/masks -o benchmarks/results/masks.json

Both heads stand on the same maps of the embedded backbone, with the same tail that learns too, and
are trained alike: preset `masks`, the same scenes and photographs, order, loss and steps. Scenes of
seeds, and photographs of groups of which none is learned from, are judged. A head in the work
folder is not learned again.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.nn.functional as F
from boxes import read_boxes
from masks_data import Data, gather
from masks_score import box_scores, predicted, scene_scores
from recipe import keep
from record import write_record
from torch import nn
from torchvision.models.segmentation.lraspp import LRASPPHead

from workzone import progress
from workzone.backbones.registry import load_backbone
from workzone.config import from_mapping
from workzone.model.base import AnyDetector
from workzone.model.config import DetectorConfig
from workzone.model.make import make_detector
from workzone.model.masks.config import MaskHeadConfig
from workzone.model.masks.head import PRIOR_LOGIT
from workzone.model.presets import Preset, preset
from workzone.run.objects import MARKED, SURE
from workzone.train.loop import train_detector
from workzone.train.session import Session
from workzone.train.settings import TrainConfig
from workzone.types import OBJECT_CLASSES

TRAIN, VALIDATION, TEST = range(100, 120), (800,), range(906, 910)
"""Seeds of drawn scenes; those of 900 to 905 were looked at before thresholds were fixed."""
LOW = 8
"""The level that LR-ASPP takes beside the grid, as it does of MobileNetV3."""


class Peer(nn.Module):
    """Torchvision's LR-ASPP (Howard et al. 2019, arXiv 1905.02244) in place of a `MaskHead`."""

    def __init__(self, config: MaskHeadConfig) -> None:
        super().__init__()
        self.config = config
        low = dict(zip(config.levels, config.level_widths, strict=True))[LOW]
        self.head = LRASPPHead(low, config.width, len(OBJECT_CLASSES), config.hidden * 2)
        for layer in (self.head.low_classifier, self.head.high_classifier):
            nn.init.constant_(layer.bias, PRIOR_LOGIT / 2)

    def forward(
        self, grid: torch.Tensor, grid_size: tuple[int, int], levels: Mapping[int, torch.Tensor]
    ) -> torch.Tensor:
        """As `MaskHead.forward`."""
        high = grid.transpose(1, 2).unflatten(2, grid_size)
        coarse = self.head({"low": levels[LOW], "high": high})
        size = self.config.mask_size(grid_size)
        return F.interpolate(coarse, size, mode="bilinear", align_corners=False)


def peer_detector(config: DetectorConfig, *, backbone: str) -> AnyDetector:
    """The dense detector with the other head."""
    detector = make_detector(config, backbone=backbone)
    assert config.masks is not None
    detector.masks = Peer(config.masks)
    return detector


HEADS: dict[str, Callable[..., AnyDetector]] = {"pyramid": make_detector, "LR-ASPP": peer_detector}


def settings(recipe: Preset, *, epochs: int, seed: int = 0, **changes: Any) -> TrainConfig:
    """Those of the preset, so many epochs long."""
    tree = {**recipe.training, "seed": seed, "detector": dataclasses.asdict(recipe.detector)}
    return from_mapping(TrainConfig, tree | {"epochs": epochs} | changes, where=recipe.name)


def learn(data: Data, recipe: Preset, config: TrainConfig, make: Any, folder: Path) -> AnyDetector:
    """Train, keeping the run in a folder; the detector at its best on the validation scenes."""
    session = Session(make_detector=functools.partial(make, backbone=recipe.backbone))
    session.keep(folder, config, {"rows": len(data.train)}, restart=False, services=())
    with session.open(), progress.bar("training", config.epochs) as shown:
        stage = session.stage("masks", config.run)
        learned = train_detector(
            data.examples, data.train, config, shown, stage, validation=data.validation
        )
    return learned.detector


def learned(
    data: Data, recipe: Preset, config: TrainConfig, name: str, work: Path
) -> tuple[AnyDetector, int]:
    """A head of `HEADS`, learned or as the folder has it, and the seconds that learning took."""
    weights, time_taken = work / f"{name}.safetensors", work / f"{name}.seconds"
    if not weights.exists():
        start = time.perf_counter()
        detector = learn(data, recipe, config, HEADS[name], work / f"{name}.run")
        time_taken.write_text(str(round(time.perf_counter() - start)))
        keep(detector, weights)
    detector = HEADS[name](recipe.detector, backbone=recipe.backbone).eval()
    detector.load_state_dict(safetensors.torch.load_file(weights))
    return detector, int(time_taken.read_text())


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder with labels.csv and boxes.csv")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--work", type=Path, default=Path("runs/masks"))
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--scenes", type=int, default=len(TRAIN), help="seeds to learn from")
    parser.add_argument("--judged", type=int, default=len(TEST), help="seeds to judge on")
    parser.add_argument("--heads", nargs="+", choices=HEADS, default=list(HEADS))
    options = parser.parse_args()
    progress.enabled = False
    recipe = preset("masks")
    data = gather(
        recipe,
        load_backbone(recipe.backbone),
        options.work,
        train=TRAIN[: options.scenes],
        validation=VALIDATION,
        test=TEST[: options.judged],
        photos=options.photos,
    )
    config = settings(recipe, epochs=options.epochs)
    boxes = read_boxes(options.photos)
    results: dict[str, Any] = {
        "scenes learned from": len(data.train) - data.learned_photographs,
        "photographs learned from": data.learned_photographs,
        "scenes judged": len(data.scenes),
        "photographs judged": len(data.photographs),
        "epochs": config.epochs,
        "heads": {},
    }
    for name in options.heads:
        detector, seconds = learned(data, recipe, config, name, options.work)
        assert isinstance(detector.masks, nn.Module)
        results["heads"][name] = {
            "parameters": sum(weight.numel() for weight in detector.masks.parameters()),
            "seconds": seconds,
        }
        for part, marked in (("", MARKED), (", one threshold", SURE)):
            scenes, photographs = (
                predicted(detector, data.examples, rows, marked)
                for rows in (data.scenes, data.photographs)
            )
            results["heads"][name] |= {
                f"scenes{part}": scene_scores(scenes, data.examples, data.scenes),
                f"photographs{part}": box_scores(
                    photographs, data.examples, data.photographs, boxes
                ),
            }
        print(name, results["heads"][name], flush=True)
        write_record(options.output, results)


if __name__ == "__main__":
    main()
