"""The table of several predictions, made to fit the terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from workzone.cli.console import err, out
from workzone.data.passed_over import counted
from workzone.report.answer import NO_OBJECT, printable, shortened, shown_probability, where
from workzone.types import Prediction

if TYPE_CHECKING:
    from workzone.run.bulk_summary import BulkSummary

_NAME = 24
"""Columns that a name should have; other columns go first."""
_LEAST = 8


@dataclass(frozen=True)
class Shown:
    """A prediction, and the objects in the image in words; None: nobody looked."""

    prediction: Prediction
    objects: str | None = None


_SHOWN = {"roadwork": "yes", "none": "no", "unsure": "unsure"}


def table_of(
    results: Sequence[tuple[str, Shown]], *, width: int | None, takes_metadata: bool = False
) -> Table:
    """One line for each image, its name being cut in the middle where there is no room.

    Args:
        results: names and predictions; objects have a column where anybody looked for some.
        width: of the terminal, in columns; None: names stay whole.
        takes_metadata: add what the model looked at.
    """
    predictions = [one.prediction for _, one in results]
    columns = {
        "road work": [_SHOWN[p.decision] for p in predictions],
        "probability": [shown_probability(p.probability, digits=3) for p in predictions],
        "strongest": [where(p.box) for p in predictions],
    }
    if any(p.reason for p in predictions):
        columns["in doubt"] = [p.reason for p in predictions]
    if takes_metadata:
        columns["inputs"] = [p.inputs for p in predictions]
    if any(one.objects is not None for _, one in results):
        columns["objects"] = [one.objects or NO_OBJECT for _, one in results]
    names = [printable(name) for name, _ in results]
    room = max(map(cell_len, names))
    if width is not None:
        for column in ("strongest", "inputs", "in doubt", "objects"):
            if width - _taken(columns) < min(room, _NAME):
                columns.pop(column, None)
        room = max(_LEAST, width - _taken(columns))
    table = Table()
    for heading in (*columns, "image"):
        table.add_column(heading, no_wrap=True)
    styles = {"yes": "bold red", "unsure": "yellow"}
    for cells, name in zip(zip(*columns.values(), strict=True), names, strict=True):
        texts = [Text(cell, style=styles.get(cell, "")) for cell in cells]
        table.add_row(*texts, Text(shortened(name, room)))
    return table


def _taken(columns: dict[str, list[str]]) -> int:
    """Columns of the terminal that a table takes beside its names: cells, and lines and gaps."""
    cells = sum(max(map(cell_len, [name, *texts])) for name, texts in columns.items())
    return cells + 3 * len(columns) + 4


def say_summary(summary: BulkSummary, *, as_json: bool) -> None:
    """Print what a job over many images did."""
    if as_json:
        typer.echo(json.dumps({k: _plain(v) for k, v in asdict(summary).items()}))
    else:
        undecided = f", {summary.unsure:,} undecided" if summary.unsure else ""
        out.print(
            f"{counted(summary.scored, 'image')} scored ({summary.resumed:,} results were there), "
            f"{summary.roadwork:,} with road work{undecided}: {summary.output}",
            markup=False,
            soft_wrap=True,
        )
        for reason, count in summary.doubts.items():
            err.print(f"- in doubt, {count:,}: {reason}", markup=False, soft_wrap=True)
    if summary.quarantined:
        lines = [f"{summary.quarantined:,} could not be read: {summary.quarantine}"]
        lines += [f"- {count:,}: {printable(reason)}" for reason, count in summary.reasons.items()]
        for line in lines:
            err.print(line, style="yellow", markup=False, soft_wrap=True)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
