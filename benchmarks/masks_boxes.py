"""What boxes alone teach of masks, beside exact masks: on few drawn scenes, briefly.

    python benchmarks/masks_boxes.py --work runs/masks -o benchmarks/results/masks_boxes.json

The box of each connected part of a scene's masks is taken in place of the part:

- filled: every cell of a box is object;
- core: the ellipse in its middle is, and the rest of the box is not known (`MIDDLE`);
- projection: beyond boxes nothing is object, and within one every row and every column has a cell
  that is, the surest one being taught (the projection loss of BoxInst, Tian et al. 2021, arXiv
  2012.02310, within boxes). Its pairwise loss, which looks at colours, is not here: stored features
  have none.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from masks import learn, settings
from masks_data import Box, Data, box_targets, gather
from masks_score import predicted, scene_scores
from record import write_record
from scipy import ndimage

from workzone import progress
from workzone.backbones.registry import load_backbone
from workzone.data.masks.load import load_masks
from workzone.features.masks import FULL, UNKNOWN, MaskTargets
from workzone.model.make import make_detector
from workzone.model.presets import preset
from workzone.train import losses

HEIGHT, WIDTH = 360, 640
"""Of the scenes, pixels."""


def boxes_of(reference: str) -> list[Box]:
    """The boxes of the connected parts of a scene's masks."""
    found = []
    for kind, mask in enumerate(load_masks(reference, Path(), HEIGHT, WIDTH).covered):
        labels, _ = ndimage.label(mask, np.ones((3, 3)))
        for rows, columns in ndimage.find_objects(labels):
            x0, y0, x1, y1 = columns.start, rows.start, columns.stop, rows.stop
            found.append((kind, x0 / WIDTH, y0 / HEIGHT, x1 / WIDTH, y1 / HEIGHT))
    return found


def taught_by_boxes(data: Data, *, filled: bool) -> Data:
    """The same rows, learned from by boxes."""
    assert data.examples.masks is not None
    covered = data.examples.masks.covered.copy()
    for row in data.train:
        reference = data.examples.samples[row].masks
        assert reference is not None
        covered[row, 0] = box_targets(boxes_of(reference), covered.shape[-2:])
    if filled:
        learned = covered[data.train]
        covered[data.train] = np.where(learned == UNKNOWN, FULL, learned)
    masks = MaskTargets(covered, data.examples.masks.annotated)
    return dataclasses.replace(data, examples=dataclasses.replace(data.examples, masks=masks))


def run_maximum(values: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Of each cell, the highest value of the run of cells inside, along the last axis, it is in."""
    best = values
    for backward in (False, True):
        own, walls = values * inside, ~inside
        if backward:
            own, walls = own.flip(-1), walls.flip(-1)
        step = 1
        while step < values.shape[-1]:  # a scan that stops at walls, doubling its reach
            before = F.pad(own[..., :-step], (step, 0))
            wall_before = F.pad(walls[..., :-step], (step, 0), value=True)
            own = torch.where(walls, own, torch.maximum(own, before))
            walls = walls | wall_before
            step *= 2
        best = torch.maximum(best, own.flip(-1) if backward else own)
    return best


def projection_loss(
    logits: torch.Tensor, targets: torch.Tensor, *, row_mask: torch.Tensor
) -> torch.Tensor:
    """See the module; ``targets`` are boxes, filled."""
    known = ~targets.isnan() & row_mask[:, None, None, None]
    inside = (targets.nan_to_num() >= 0.5) & known
    outside = (F.softplus(logits) * (known & ~inside)).sum()
    probabilities = logits.sigmoid()
    within = logits.new_zeros(())
    for turned in (False, True):
        p, box = (t.transpose(2, 3) if turned else t for t in (probabilities, inside))
        within = within - (run_maximum(p, box).clamp(min=1e-6).log() * box).sum() / 2
    size = inside.sum() + 0.01 * known.sum()
    return (outside + within) / size


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--work", type=Path, default=Path("runs/masks"))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=2, help="of scenes to learn from")
    options = parser.parse_args()
    progress.enabled = False
    recipe = preset("masks")
    exact = gather(
        recipe,
        load_backbone(recipe.backbone),
        options.work,
        train=range(100, 100 + options.seeds),
        validation=(800,),
        test=(906, 907),
    )
    filled, core = (taught_by_boxes(exact, filled=each) for each in (True, False))
    variants: dict[str, tuple[Data, Callable[..., torch.Tensor]]] = {
        "exact masks": (exact, losses.mask_loss),
        "boxes, filled": (filled, losses.mask_loss),
        "boxes, core": (core, losses.mask_loss),
        "boxes, projection": (filled, projection_loss),
    }
    results: dict[str, Any] = {
        "scenes": len(exact.train),
        "epochs": options.epochs,
        "teaching": {},
    }
    for name, (data, loss) in variants.items():
        losses.mask_loss = loss  # type: ignore[assignment]
        config = settings(recipe, epochs=options.epochs)
        folder = options.work / f"{name.replace(', ', '-').replace(' ', '-')}.run"
        detector = learn(data, recipe, config, make_detector, folder)
        judged = predicted(detector, data.examples, data.scenes)
        scores = scene_scores(judged, data.examples, data.scenes)
        results["teaching"][name] = scores
        print(name, scores["mean iou"], scores["recall above 16 px"], flush=True)
        write_record(options.output, results)


if __name__ == "__main__":
    main()
