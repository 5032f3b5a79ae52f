"""The command that draws street scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from workzone.cli.console import JsonFlag, command, examples, out, print_json

EXAMPLES_SCENES = examples(
    "workzone scenes -o scenes",
    "workzone scenes -o scenes --count 1000 --seed 7",
    "workzone scenes -o scenes --positive-share 0.2 --json",
)


@command
def scenes(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for images, masks and the manifest.")
    ],
    count: Annotated[int, typer.Option(help="Scenes to draw.")] = 400,
    seed: Annotated[int, typer.Option(help="The same seed draws the same scenes.")] = 0,
    positive_share: Annotated[
        float, typer.Option(help="Part of the scenes with road work, 0 to 1.")
    ] = 0.5,
    json: JsonFlag = False,
) -> None:
    """Draw street scenes with and without road work: images, masks and a manifest."""
    from workzone.data.manifest import read_manifest
    from workzone.data.scenes import write_scenes

    path = write_scenes(output, count=count, seed=seed, positive_share=positive_share)
    samples = read_manifest(path).samples
    summary = {
        "manifest": str(path),
        "scenes": len(samples),
        "roadwork": sum(sample.label == 1 for sample in samples),
        "drives": len({sample.group for sample in samples}),
        "seed": seed,
    }
    if json:
        print_json(summary)
        return
    out.print(
        f"{summary['scenes']} scenes of {summary['drives']} drives, {summary['roadwork']} of them "
        f"with road work: [bold]{escape(str(path))}[/]",
        soft_wrap=True,
    )
