"""The tables of `docs/experiments/ablation.md`, from the record that `ablation.py` writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from workzone.types import OBJECT_CLASSES

VIEWS = 12
VIEWS_READ = (1, 2, 4, 6, 8, 12)


def tables(results: dict[str, Any]) -> str:
    """Markdown."""
    rows = results["variants"]
    return "\n".join(
        [
            "Photographs, five folds by group; means over seeds [95 % interval over groups], "
            "differences from the base in the same folds:",
            "",
            "| detector | AUC | MCC at 0.5 | AUC minus base | MCC minus base | seeds "
            "| parameters | s a fit |",
            "|---|---|---|---|---|---|---|---|",
            *(_line(name, row, "five folds") for name, row in rows.items() if "five folds" in row),
            "",
            "Accuracy for cost: views read before the small detector (photographs):",
            "",
            "| views read | share of the backbone's work | five folds, AUC / MCC | "
            "sources left out, mean AUC / MCC |",
            "|---|---|---|---|",
            *(_cost_line(keep, rows) for keep in VIEWS_READ),
            "",
            "Photographs, one family of sources left out, AUC / MCC at 0.5:",
            "",
            "| detector | us | web | br | mean | seeds |",
            "|---|---|---|---|---|---|",
            *(_left_out(name, row["left out"]) for name, row in rows.items() if row["left out"]),
            "",
            "Drawn scenes, five folds by drive:",
            "",
            "| detector | AUC | MCC at 0.5 | AUC minus base | MCC minus base | seeds "
            "| parameters | s a fit |",
            "|---|---|---|---|---|---|---|---|",
            *(
                line
                for name, row in rows.items()
                if "scenes" in row
                for line in _scene_lines(name, row)
            ),
            "",
            "Masks on drawn scenes, intersection over union by class:",
            "",
            f"| detector | {' | '.join(OBJECT_CLASSES)} |",
            f"|---|{'---|' * len(OBJECT_CLASSES)}",
            *(
                f"| {name} | {' | '.join('-' if v is None else f'{v:.2f}' for v in iou)} |"
                for name, row in rows.items()
                if (iou := row.get("scenes", {}).get("mask_iou"))
            ),
        ]
    )


def row_of(keep: int, rows: dict[str, Any]) -> dict[str, Any]:
    """The small detector that reads ``keep`` views."""
    row: dict[str, Any] = rows["small" if keep == VIEWS else f"small, {keep} of {VIEWS} views read"]
    return row


def _cost_line(keep: int, rows: dict[str, Any]) -> str:
    row = row_of(keep, rows)
    folds, left_out = row["five folds"], row["left out"].values()
    mean = {f: sum(part[f] for part in left_out) / len(left_out) for f in ("auc", "mcc")}
    return (
        f"| {keep} | {keep / VIEWS:.0%} | {folds['auc']['value']:.3f} / "
        f"{folds['mcc']['value']:.3f} | {mean['auc']:.3f} / {mean['mcc']:.3f} |"
    )


def _scene_lines(name: str, row: dict[str, Any]) -> list[str]:
    lines = [_line(name, row, "scenes")]
    if "scenes, with metadata" in row:
        lines[0] = _line(f"{name}: image alone", row, "scenes")
        lines.append(_line(f"{name}: with them", row, "scenes, with metadata"))
    return lines


def _line(name: str, row: dict[str, Any], protocol: str) -> str:
    block = row[protocol]
    seconds = row[protocol.removesuffix(", with metadata")]["seconds"]
    cells = [_figure(block[figure]) for figure in ("auc", "mcc")]
    for figure in ("auc", "mcc"):
        difference = block.get(f"{figure} minus base")
        own = difference is None or difference["low"] == difference["high"] == 0
        cells.append("" if own else _figure(difference, sign="+"))
    cells += [str(block["seeds"]), f"{row['parameters']:,}", f"{seconds:.0f}"]
    return f"| {name} | {' | '.join(cells)} |"


def _figure(figure: dict[str, float], sign: str = "") -> str:
    value, low, high = (format(figure[name], f"{sign}.3f") for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _left_out(name: str, families: dict[str, dict[str, float]]) -> str:
    cells = [f"{f['auc']:.2f} / {f['mcc']:.2f}" for f in families.values()]
    auc, mcc = (
        sum(f[figure] for f in families.values()) / len(families) for figure in ("auc", "mcc")
    )
    seeds = next(iter(families.values()))["seeds"]
    return f"| {name} | {' | '.join(cells)} | {auc:.3f} / {mcc:.3f} | {seeds} |"


if __name__ == "__main__":
    print(tables(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["results"]))
