"""The command that takes a model's word for labels: pseudo-label."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workzone.cli.console import JsonFlag, command, examples, out, print_json
from workzone.cli.options import ManifestArgument

EXAMPLES_PSEUDO_LABEL = examples(
    "workzone predict dashcam.parquet -o scores.parquet",
    "workzone pseudo-label dashcam.parquet scores.parquet -o sure.parquet",
    "workzone pseudo-label dashcam.parquet scores.parquet -o sure.parquet --sure 0.95",
)


@command
def pseudo_label(
    manifest: ManifestArgument,
    scores: Annotated[
        Path, typer.Argument(help="What `workzone predict MANIFEST -o` wrote of its images.")
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The manifest to write.")],
    sure: Annotated[
        float,
        typer.Option(
            help="Probability from which on an image counts as road work; as none from one minus "
            "this down. Between the two it is left out."
        ),
    ] = 0.9,
    as_json: JsonFlag = False,
) -> None:
    """Give images without a label the one that a model is sure of, to train on them too.

    Join the result with what the model was trained on (`workzone data join`), keep it out of
    validation and test (`workzone data split --train-only pseudo`), and train again: for these very
    images the new model is better, and nobody labelled them. Rows that have a label are left out.
    """
    from workzone.data.joining import moved
    from workzone.data.manifest import read_manifest, write_manifest
    from workzone.data.pseudo_labels import pseudo_label as label_rows
    from workzone.data.pseudo_labels import read_scores
    from workzone.errors import UsageError

    for given in (manifest, scores):
        if output.resolve() == given.resolve():
            raise UsageError(f"-o {output} is what is read from: rows would be lost; name another")
    found = label_rows(read_manifest(manifest), read_scores(scores), sure=sure)
    write_manifest(moved(found.manifest, output.parent), output)
    if as_json:
        names = ("roadwork", "none", "unsure", "labelled", "unscored")
        print_json({"manifest": str(output)} | {name: getattr(found, name) for name in names})
        return
    out.print(
        f"{found.roadwork:,} images with road work, {found.none:,} without; left out: "
        f"{found.unsure:,} unsure, {found.labelled:,} with a label, {found.unscored:,} without a "
        f"score. Written: {output}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
