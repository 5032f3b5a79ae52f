"""The tables of docs/score/objects.md, from the records of masks.py and masks_boxes.py.

python benchmarks/masks_table.py benchmarks/results/masks.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HEIGHTS = {"8 px": "8 to 16 px", "16 px": "16 to 32 px", "32 px": "32 px and more"}


def table(results: dict[str, Any]) -> str:
    """Both heads on drawn scenes by class, then on photographs."""
    heads = results["heads"]
    names = list(next(iter(heads.values()))["scenes"]["iou"])
    lines = [
        "| | "
        + " | ".join(f"{head}: IoU | found, {', '.join(HEIGHTS.values())}" for head in heads)
        + " |",
        "|---|" + "---|---|" * len(heads),
    ]
    for name in names:
        cells = []
        for head in heads.values():
            found = head["scenes"]["objects"]
            counts = ", ".join(
                f"{found[low][name]['found']}/{found[low][name]['objects']}" for low in HEIGHTS
            )
            cells.append(f"{head['scenes']['iou'][name]:.2f} | {counts}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    cells = []
    for head in heads.values():
        found = head["scenes"]["objects"]
        shares = ", ".join(shown(found[low]["recall"]) for low in HEIGHTS)
        cells.append(f"**{head['scenes']['mean iou']:.2f}** | {shares}")
    lines.append(f"| **all** | {' | '.join(cells)} |")
    lines += ["", *whole(heads), ""]
    lines += [
        "| photographs | boxes | "
        + " | ".join(f"{head}: recall | precision of regions" for head in heads)
        + " |",
        "|---|---|" + "---|---|" * len(heads),
    ]
    for name in [*names, "all"]:
        cells = [
            f"{shown(head['photographs'][name]['recall'])} | "
            f"{shown(head['photographs'][name]['precision'])}"
            for head in heads.values()
        ]
        boxes = next(iter(heads.values()))["photographs"][name]["boxes"]
        lines.append(f"| {name} | {boxes} | {' | '.join(cells)} |")
    return "\n".join(lines)


def whole(heads: dict[str, Any]) -> list[str]:
    """All classes together, by the thresholds."""
    lines = [
        "| | mean IoU | found, 8 to 16 px | 16 px and more | regions that are right "
        "| photographs: boxes found | regions that are right |",
        "|---|---|---|---|---|---|---|",
    ]
    for head, scores in heads.items():
        for name, part in (("two thresholds", ""), ("one, of a half", ", one threshold")):
            scenes, boxes = scores[f"scenes{part}"], scores[f"photographs{part}"]["all"]
            figures = (
                scenes["mean iou"],
                scenes["objects"]["8 px"]["recall"],
                scenes["recall above 16 px"],
                scenes["precision of regions"]["all"],
                boxes["recall"],
                boxes["precision"],
            )
            lines.append(f"| {head}, {name} | {' | '.join(f'{part:.3f}' for part in figures)} |")
    return lines


def boxes_table(results: dict[str, Any]) -> str:
    """What boxes alone teach, from the record of masks_boxes.py."""
    lines = [
        f"| taught by | mean IoU | found, {', '.join(HEIGHTS.values())} | regions that are right |",
        "|---|---|---|---|",
    ]
    for name, scores in results["teaching"].items():
        found = ", ".join(shown(scores["objects"][low]["recall"]) for low in HEIGHTS)
        right = shown(scores["precision of regions"]["all"])
        lines.append(f"| {name} | {scores['mean iou']:.2f} | {found} | {right} |")
    return "\n".join(lines)


def shown(share: float | None) -> str:
    """Two digits; a dash where there is nothing."""
    return "-" if share is None else f"{share:.2f}"


if __name__ == "__main__":
    print(table(json.loads(Path(sys.argv[1]).read_text())["results"]))
