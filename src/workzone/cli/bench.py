"""The command that times models on the user's machine: bench."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from workzone.cli.console import JsonFlag, command, examples, out, print_json

if TYPE_CHECKING:
    from workzone.run.bench import Bench

EXAMPLES_BENCH = examples(
    "workzone bench",
    "workzone bench --images frames/",
    "workzone bench model-onnx model-int8",
)


@command
def bench(
    models: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="Folders of bundles or exported models (default: the one within workzone).",
            show_default=False,
        ),
    ] = None,
    *,
    images: Annotated[
        Path | None,
        typer.Option(help="A folder or manifest (default: drawn photographs of 1280 x 720)."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=5, help="To spend on the rounds.")] = 60.0,
    as_json: JsonFlag = False,
) -> None:
    """Time models on this machine, engines side by side.

    Every model is run on each installed engine and in each precision that it can be run in without
    another export. `images per s` is a folder on all cores; `photo` is one photograph, from its
    bytes to the decision; `busy` the same while other processes keep all cores busy; `image` is
    what decoding and views take of one core; `share` is how much of the rate of matrix products,
    timed in the same precision, the backbone reaches.

    A machine that does something else gives no figures: where other programs take its cores, or
    rounds differ too much, the command says so and ends with code 1.
    """
    from workzone.run.bench import bench as measure

    result = measure(models or [None], images, seconds=seconds)
    if as_json:
        print_json(dataclasses.asdict(result))
        return
    out.print(_table(result))
    rates = ", ".join(f"{p} {r / 1e9:,.0f}" for p, r in sorted(result.matrix_rates.items()))
    out.print(
        f"{result.rounds} rounds on {result.cores} cores; medians. Matrix products, "
        f"GFLOP/s: {rates or 'not measured'}.",
        style="dim",
        markup=False,
        soft_wrap=True,
    )


def _table(result: Bench) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0))
    for column in ("model", "engine", "precision"):
        table.add_column(column, no_wrap=column != "model", overflow="fold", min_width=7)
    for column in (
        "images\nper s",
        "times",
        "photo\nms",
        "busy\nms",
        "image\nms",
        "share",
        "spread",
    ):
        table.add_column(column, justify="right", no_wrap=True)
    first = result.rows[0].images_per_second
    for row in result.rows:
        table.add_row(
            row.model,
            row.engine,
            row.precision,
            f"{row.images_per_second:.1f}",
            f"{row.images_per_second / first:.2f}",
            f"{row.photo:.0f}",
            f"{row.photo_beside:.0f}",
            f"{row.image_side:.1f}",
            "" if row.matrix_share is None else f"{row.matrix_share:.2f}",
            f"{row.spread:.0%}",
        )
    return table
