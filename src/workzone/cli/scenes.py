"""The commands that draw street scenes, and put drawn objects into photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from workzone.cli.console import JsonFlag, command, examples, out, print_json
from workzone.cli.options import ManifestArgument

EXAMPLES_SCENES = examples(
    "workzone scenes -o scenes",
    "workzone scenes -o scenes --count 1000 --seed 7",
    "workzone scenes -o scenes --positive-share 0.2 --json",
)


EXAMPLES_COMPOSITES = examples(
    "workzone composites split.parquet -o composites",
    "workzone composites split.parquet -o composites --count 2000 --seed 7 --split train",
    "workzone composites manifest.parquet -o composites --skip-source thumbnails --json",
    "workzone composites split.parquet -o composites --rendered --cutouts cutouts",
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
    from workzone.scenes import write_scenes

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


@command
def composites(
    manifest: ManifestArgument,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for images, masks and the manifest.")
    ],
    count: Annotated[int, typer.Option(help="Composites to make.")] = 600,
    seed: Annotated[int, typer.Option(help="The same seed makes the same composites.")] = 0,
    positive_share: Annotated[
        float, typer.Option(help="Chance of a work zone, 0 to 1; else ordinary things alone.")
    ] = 0.5,
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="Use photographs of this split; repeat for more.", show_default="all but test"
        ),
    ] = None,
    skip_source: Annotated[
        list[str] | None,
        typer.Option(help="Use no photographs of this source; repeat for more."),
    ] = None,
    rendered: Annotated[
        bool,
        typer.Option(
            "--rendered",
            help="Path-traced objects instead of drawn ones; needs the extra 'render'. Each "
            "takes a second or two to render when it is first needed, later none.",
        ),
    ] = False,
    cutouts: Annotated[
        Path | None,
        typer.Option(
            help="Folder that keeps rendered objects; name the same one again, and other jobs "
            "find them there.",
            show_default="cutouts in the output folder",
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Put drawn or rendered work zones, or ordinary things, into photographs without road work.

    A stopped job goes on where it was. Photographs that cannot be used are listed in
    passed_over.csv.
    """
    from workzone.data.manifest import read_manifest
    from workzone.errors import UsageError
    from workzone.scenes.composites import write_composites
    from workzone.scenes.rendered.compose import RenderedObjects
    from workzone.scenes.rendered.library import CutoutLibrary

    if cutouts is not None and not rendered:
        raise UsageError("--cutouts names a folder for rendered objects; add --rendered")
    compositor = RenderedObjects(CutoutLibrary(cutouts or output / "cutouts")) if rendered else None

    done = write_composites(
        read_manifest(manifest),
        output,
        count=count,
        seed=seed,
        positive_share=positive_share,
        splits=split or (),
        skip_sources=skip_source or (),
        compositor=compositor,
    )
    summary = {
        "manifest": str(done.manifest),
        "composites": done.rows,
        "roadwork": done.positives,
        "photographs": done.photographs,
        "passed_over": len(done.passed_over),
        "seed": seed,
    }
    if json:
        print_json(summary)
        return
    out.print(
        f"{done.rows} composites of {done.photographs} photographs, {done.positives} of them with "
        f"road work; {len(done.passed_over)} photographs passed over: "
        f"[bold]{escape(str(done.manifest))}[/]",
        soft_wrap=True,
    )
