"""What is found of small things: by the height of the largest, in pixels of the picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from boxes import read_boxes
from PIL import Image
from sklearn.metrics import roc_auc_score

from workzone.data.manifest import Manifest
from workzone.types import OBJECT_CLASSES, Sample

HEIGHTS = ((8, 16), (16, 32), (32, 64), (64, 4096))
RESAMPLES = 500


def named(low: int, high: int) -> str:
    """A range of heights."""
    return f"{low} to {high} px" if high < 4096 else f"{low} px and more"


def tallest(made: Manifest, classes: Sequence[str] = OBJECT_CLASSES) -> npt.NDArray[np.float64]:
    """Of each composite, the height of the tallest thing of some classes, pixels; 0: there is none.

    Things that belong to no road work are of no class.
    """
    heights = []
    for sample in made:
        record = made.root / "objects" / f"{sample.id}.json"
        placed = json.loads(record.read_text())["objects"]
        own = [o["box"][3] - o["box"][1] for o in placed if o["class"] in classes]
        heights.append(max(own, default=0.0) * _height(made.root / sample.image.path))
    return np.array(heights)


def sign_heights(twins: Manifest) -> npt.NDArray[np.float64]:
    """Of each two rows of `workzone composites --signs`, the height of the road-work sign.

    The taller one where there are two; 0 where none is left to see.
    """
    return tallest(twins, ("sign",))[::2]


def sign_groups(twins: Manifest) -> list[str]:
    """Of each two rows, the group of the photograph that they stand in."""
    return [str(sample.group) for sample in list(twins)[::2]]


def sign_table(
    heights: npt.NDArray[np.float64], groups: Sequence[str], scores: npt.NDArray[np.float64]
) -> dict[str, dict[str, Any]]:
    """Road-work signs against other signs in their places.

    Args:
        heights: ``[n]``, see `sign_heights`.
        groups: n of them, see `sign_groups`.
        scores: logits of the rows ``[2 n]``.

    Returns:
        Of each range of heights: pairs, AUC with its 95 % interval over groups, and the shares that
        are called road work at 0.5, of either side.
    """
    pairs = scores.reshape(-1, 2)
    table = {}
    for low, high in HEIGHTS:
        rows = np.flatnonzero((heights >= low) & (heights < high))
        if not len(rows):
            table[named(low, high)] = {"pairs": 0}
            continue
        chosen, own = pairs[rows], np.array(groups)[rows]
        names, random = np.unique(own), np.random.default_rng(0)

        def auc(rows: npt.NDArray[np.int64], chosen: Any = chosen) -> float:
            return float(roc_auc_score(np.tile([1, 0], len(rows)), chosen[rows].ravel()))

        draws = [
            auc(
                np.concatenate(
                    [np.flatnonzero(own == name) for name in random.choice(names, len(names))]
                )
            )
            for _ in range(RESAMPLES)
        ]
        table[named(low, high)] = {
            "pairs": len(chosen),
            "auc": round(auc(np.arange(len(rows))), 4),
            "interval": np.quantile(draws, (0.025, 0.975)).round(4).tolist(),
            "found": round(float((chosen[:, 0] > 0).mean()), 4),
            "false alarms": round(float((chosen[:, 1] > 0).mean()), 4),
        }
    return table


def box_heights(samples: Sequence[Sample], photos: Sequence[Path]) -> dict[str, float]:
    """Of photographs with road work, by id: the height of the largest object that has a box."""
    heights = {}
    boxes = {folder.resolve(): read_boxes(folder) for folder in photos}
    for sample in samples:
        path = Path(sample.image.path)
        folder = next(folder for folder in boxes if folder in path.parents)
        found = boxes[folder].get(path.relative_to(folder).as_posix(), [])
        if sample.label == 1 and found:
            tallest = max(bottom - top for _, _, top, _, bottom in found)
            heights[sample.id] = tallest * _height(path)
    return heights


def recall_table(heights: dict[str, float], logits: dict[str, float]) -> dict[str, dict[str, Any]]:
    """Photographs with road work, and how many are called so at 0.5, by height."""
    table = {}
    for low, high in HEIGHTS:
        ids = [name for name, height in heights.items() if low <= height < high and name in logits]
        found = sum(bool(logits[name] > 0) for name in ids)
        table[named(low, high)] = {"photographs": len(ids), "found": found}
    return table


def _height(path: Path) -> int:
    with Image.open(path) as image:
        return image.height
