"""The tables of `docs/experiments/augmentation.md`, from the record of `copies.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

JUDGED_ON = ("photographs", "level 0", "level 1", "level 2", "level 3", "all levels")
RECIPES = ("none", "challenge", "mild", "trivial")
"""How the names of variants with copies begin."""


def tables(results: dict[str, Any]) -> str:
    """All of them, as Markdown."""
    return "\n\n".join(
        [challenge_tables(results), stored_features_table(results)],
    )


def challenge_tables(results: dict[str, Any]) -> str:
    """Copies, judged on photographs and challenges: MCC, then expected reward, then AUC."""
    rows = {n: row for n, row in results["variants"].items() if n.split()[0] in RECIPES}
    blocks = []
    for figure in ("mcc", "expected reward", "auc"):
        columns = [part for part in JUDGED_ON if figure in rows["none"][part]]
        lines = [
            f"| {figure.replace('mcc', 'MCC').replace('auc', 'AUC')} | {' | '.join(columns)} |"
        ]
        lines.append("|---" * (len(columns) + 1) + "|")
        for name, row in rows.items():
            cells = [_cell(row[part][figure]) for part in columns]
            lines.append(f"| {_shown(name)} | {' | '.join(cells)} |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def stored_features_table(results: dict[str, Any]) -> str:
    """Settings of `augment:`, judged on photographs and on challenges."""
    lines = ["| `augment` | AUC | MCC | MCC of all challenges |", "|---|---|---|---|"]
    for name, row in results["variants"].items():
        if name == "none" or name.split()[0] not in RECIPES:
            figures = [
                row["photographs"]["auc"],
                row["photographs"]["mcc"],
                row["all levels"]["mcc"],
            ]
            shown = "none" if name == "none" else f"`{name.replace(' ', ': ')}`"
            lines.append(f"| {shown} | {' | '.join(map(_cell, figures))} |")
    return "\n".join(lines)


def _shown(name: str) -> str:
    recipe, *copies = name.split(" x ")
    return f"`{recipe}`, {copies[0]} a photograph" if copies else "no copies"


def _cell(figure: dict[str, float]) -> str:
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


if __name__ == "__main__":
    print(tables(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["results"]))
