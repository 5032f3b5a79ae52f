"""workzone masks: object masks by a teacher."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from workzone.cli.console import FAILED, JsonFlag, command, err, examples, out, print_json
from workzone.cli.options import DeviceOption, ManifestArgument, PrecisionChoice
from workzone.errors import UsageError, needing_train

EXAMPLES_MASKS = examples(
    "workzone masks manifest.parquet -o masked.parquet --weights ./sam3",
    "workzone masks manifest.parquet -o masked.parquet --weights ./sam3 --device cuda --batch 8",
    "workzone masks manifest.parquet -o masked.parquet --prompts prompts.yaml --estimate",
    "workzone masks manifest.parquet -o masked.parquet --exemplars boxes.csv --tile 0",
    "workzone masks manifest.parquet -o boxed.parquet --teacher owlv2",
)


class TeacherChoice(StrEnum):
    """Who is asked."""

    SAM3 = "sam3"
    SAM3_LITE = "sam3-lite"
    OWLV2 = "owlv2"


@command
def masks(
    manifest: ManifestArgument,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The manifest with masks to write.")
    ],
    store: Annotated[
        Path | None,
        typer.Option(help="Folder of the masks.", show_default="the output's name with .masks"),
    ] = None,
    teacher: Annotated[
        TeacherChoice,
        typer.Option(help="sam3; the same with a lighter text tower; or OWLv2, boxes alone."),
    ] = TeacherChoice.SAM3,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the teacher's files (default: from the Hugging Face hub; SAM 3's are "
            "gated: accept the licence at https://huggingface.co/facebook/sam3 and log in with "
            "`hf auth login`)."
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(help="YAML file with phrases and thresholds by class (default: built in)."),
    ] = None,
    exemplars: Annotated[
        Path | None,
        typer.Option(
            help="CSV file with boxes to show beside the phrases: "
            "id,class,left,top,right,bottom,kind (positive or negative)."
        ),
    ] = None,
    semantic: Annotated[
        bool,
        typer.Option("--semantic", help="Also keep the mask of each class as a whole, as a crowd."),
    ] = False,
    tile: Annotated[
        int | None,
        typer.Option(
            help="Side of a tile in pixels; frames 1.5 times as long are also looked at in tiles. "
            "0: none (default: the teacher's own size)."
        ),
    ] = None,
    overlap: Annotated[
        float, typer.Option(help="Share of a tile that its neighbour covers too, 0 to 0.9.")
    ] = 0.25,
    batch: Annotated[int, typer.Option(min=1, help="Frames and tiles encoded together.")] = 4,
    precision: Annotated[
        PrecisionChoice,
        typer.Option(help="auto takes bfloat16 where the device computes it in hardware."),
    ] = PrecisionChoice.AUTO,
    device: DeviceOption = "cpu",
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Stop after the first image, which tells the cost.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Ask a teacher for masks of cones, barriers, signs, workers, vehicles and equipment.

    They go to the mask store, and a manifest with references to them is written. A stopped job goes
    on where it was. Another teacher, other phrases or other settings are another source in the
    store.
    """
    with needing_train("masks by a teacher", extra="sam3"):
        import torch

        from workzone.data.joining import moved
        from workzone.data.manifest import read_manifest, write_manifest
        from workzone.data.masks.adding import store_beside
        from workzone.features.extract import has_fast_bfloat16
        from workzone.teach.exemplars import read_exemplars
        from workzone.teach.job import Estimate, MaskJob
        from workzone.teach.prompts import read_prompts
        from workzone.teach.registry import load_teacher
        from workzone.teach.tiles import Tiling

    if output.resolve() == manifest.resolve():
        raise UsageError(f"-o {output} is what is read from; name another file")
    folder = store or store_beside(output)
    samples = moved(read_manifest(manifest), output.parent)
    asked = read_prompts(prompts)
    shown = None if exemplars is None else read_exemplars(exemplars, samples)
    fast = precision == PrecisionChoice.AUTO and has_fast_bfloat16(torch.device(device))
    model = load_teacher(
        teacher.value,
        asked,
        weights,
        device=device,
        precision="bfloat16" if fast or precision == PrecisionChoice.BFLOAT16 else "float32",
        semantic=semantic,
    )
    job = MaskJob(
        samples,
        model,
        folder,
        tiling=Tiling(model.about.side if tile is None else tile, overlap),
        exemplars=shown,
        batch=batch,
    )

    def told(cost: Estimate) -> bool:
        err.print(str(cost), markup=False, highlight=False, soft_wrap=True)
        return not estimate

    done = job.run(told)
    if not estimate:
        write_manifest(job.manifest(), output)
    if as_json:
        summary = {"manifest": None if estimate else str(output), "source": done.key}
        counts = {"images": done.images, "present": done.present, "objects": dict(done.objects)}
        print_json(summary | counts | {"failed": dict(done.failed)})
    else:
        found = ", ".join(f"{count:,} {name}" for name, count in done.objects.items())
        out.print(
            f"{done.images:,} images looked at, {done.present:,} were in the store already; "
            f"found: {found}." + ("" if estimate else f" Written: {output}"),
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        for name, reason in done.failed.items():
            err.print(
                f"not looked at: {name}: {reason}", style="yellow", markup=False, soft_wrap=True
            )
    if samples.samples and len(done.failed) == len(samples):
        raise typer.Exit(FAILED)
