"""The commands that draw street scenes, and put objects into photographs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from workzone.cli.console import JsonFlag, command, examples, out, print_json
from workzone.cli.options import ManifestArgument
from workzone.errors import UsageError

if TYPE_CHECKING:
    from workzone.scenes.compositor import Compositor

EXAMPLES_SCENES = examples(
    "workzone scenes -o scenes",
    "workzone scenes -o scenes --count 1000 --seed 7",
    "workzone scenes -o scenes --positive-share 0.2 --json",
    "workzone scenes -o drives --drives 2 --count 480",
)


EXAMPLES_COMPOSITES = examples(
    "workzone composites split.parquet -o composites",
    "workzone composites split.parquet -o composites --count 2000 --seed 7 --split train",
    "workzone composites manifest.parquet -o composites --skip-source thumbnails --json",
    "workzone composites split.parquet -o composites --rendered --cutouts cutouts",
    "npm pack @rapideditor/mapillary_sprite_source@1.8.0",
    "workzone composites split.parquet -o signs --signs rapideditor-mapillary*.tgz",
)


class Drawings(StrEnum):
    """Which drawings of traffic signs are used."""

    ALL = "all"
    LEARNED = "learned"
    HELD_BACK = "held-back"


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
    drives: Annotated[
        int | None,
        typer.Option(
            help="Draw so many drives past work zones instead, a frame each second, --count in "
            "all; without masks.",
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Draw street scenes with and without road work: images, masks and a manifest."""
    from workzone.data.manifest import read_manifest
    from workzone.scenes import write_scenes
    from workzone.scenes.drive import write_drives

    if drives is None:
        path = write_scenes(output, count=count, seed=seed, positive_share=positive_share)
    elif positive_share != 0.5:
        raise UsageError("--positive-share is of single scenes: drives pass zones as they come")
    else:
        frames = count // max(1, drives)
        path = write_drives(output, count=drives, seed=seed, seconds=frames)
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
    signs: Annotated[
        Path | None,
        typer.Option(
            help="Put traffic signs in instead, from the drawings of the npm package "
            "@rapideditor/mapillary_sprite_source: its archive (.tgz) or the folder it unpacks "
            "to. Each photograph gives two composites, alike but for the signs' faces: with road "
            "works among them, and without. With --rendered, the faces of the signs in those."
        ),
    ] = None,
    drawings: Annotated[
        Drawings,
        typer.Option(
            help="With --signs, of the drawings: all, or one of two parts, to learn from one and "
            "be judged on the other."
        ),
    ] = Drawings.ALL,
    json: JsonFlag = False,
) -> None:
    """Put drawn or rendered work zones, or ordinary things, into photographs without road work.

    A stopped job goes on where it was. Photographs that cannot be used are listed in
    passed_over.csv.
    """
    from workzone.data.manifest import read_manifest
    from workzone.scenes.composites import write_composites
    from workzone.scenes.rendered.compose import RenderedObjects
    from workzone.scenes.rendered.faces import DrawnFaces, OutlinedFaces
    from workzone.scenes.rendered.library import CutoutLibrary
    from workzone.scenes.roadsigns.compositor import SignObjects
    from workzone.scenes.roadsigns.drawings import read_drawings

    if signs is None and drawings is not Drawings.ALL:
        raise UsageError(f"--drawings {drawings.value} is of --signs: name its archive or folder")
    if cutouts is not None and not rendered:
        raise UsageError("--cutouts names a folder for rendered objects; add --rendered")
    found = read_drawings(signs, part=drawings.value) if signs is not None else None
    compositor: Compositor | None = SignObjects(found) if found else None
    if rendered:
        faces = DrawnFaces(found) if found else OutlinedFaces()
        compositor = RenderedObjects(CutoutLibrary(cutouts or output / "cutouts", faces))

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
