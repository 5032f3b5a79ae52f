"""The command that shows the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from workzone.cli.console import command, examples, out

EXAMPLES_DEMO = examples(
    "workzone demo",
    "workzone demo -o /tmp/demo --count 200",
    "WORKZONE_PHOTOS=my-photos workzone demo",
)


@command
def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for everything the demo makes.")
    ] = Path("demo-output"),
    photos: Annotated[
        Path | None,
        typer.Option(
            envvar="WORKZONE_PHOTOS",
            help="Folder with labels.csv (file, label, group) and photographs; "
            "without it the demo draws its own street scenes.",
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=60, help="Scenes to draw.")] = 400,
    seed: Annotated[int, typer.Option(help="Seed of scenes, split and training.")] = 0,
) -> None:
    """Run the main job from images to a report: import, audit, split, extract, train, evaluate."""
    from workzone.run.demo import run_demo

    def say(line: Any) -> None:
        # Paths stay whole, to be copied; no markup: they and findings may hold [brackets].
        out.print(line, soft_wrap=isinstance(line, str | Text), markup=False)

    run_demo(output, photos=photos, count=count, seed=seed, say=say)
