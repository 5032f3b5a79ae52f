"""``workzone data``: from a data set on disk to a manifest that can be trained on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from workzone.cli.console import FAILED, JsonFlag, command, examples, out, print_json
from workzone.cli.data_import import EXAMPLES_IMPORT, fill, import_, say

if TYPE_CHECKING:
    from workzone.data.audit_report import AuditReport
    from workzone.data.leaks import ColumnLeak
    from workzone.data.split_proof import SplitProof

app = typer.Typer(
    help="Import, audit, split and look at data.",
    rich_markup_mode="rich",
    no_args_is_help=True,
    epilog="The usual order: [bold]import[/], [bold]audit[/], [bold]split[/], "
    "[bold]audit[/] again, and [bold]preview[/] to see it with your own eyes.",
)

ManifestArgument = Annotated[
    Path, typer.Argument(help="A manifest, as made by [bold]workzone data import[/].")
]
PlaceOption = Annotated[
    float,
    typer.Option("--place-metres", help="Images at most this far apart show the same place."),
]

NearOption = Annotated[
    int,
    typer.Option(help="Bits of 64 in which the perceptual hashes of two copies may differ."),
]

_VERDICT_STYLES = {"leak": "bold red", "suspicious": "yellow", "fine": "green"}


app.command("import", epilog=EXAMPLES_IMPORT)(import_)


@app.command(
    epilog=examples(
        "workzone data audit data/manifest.parquet",
        "workzone data audit data/split.parquet --strict  # exit code 1 on problems, for scripts",
        "workzone data audit data/manifest.parquet --json > audit.json",
    )
)
@command
def audit(
    manifest: ManifestArgument,
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on problems.")] = False,
    near_distance: NearOption = 6,
    place_metres: PlaceOption = 100.0,
    as_json: JsonFlag = False,
) -> None:
    """Look for what makes a score worth less than it looks.

    Unreadable images, copies (re-encoded, resized, mirrored, cropped about the centre), images with
    two labels, sequences and places on both sides of a split, coordinates that do not fit those of
    their group, and columns (and image sizes) that give the label away.
    """
    from workzone.data.audit import audit as run_audit
    from workzone.data.manifest import read_manifest

    report = run_audit(
        read_manifest(manifest), near_distance=near_distance, place_metres=place_metres
    )
    if as_json:
        print_json(report.to_json())
    else:
        _show_audit(report)
    if strict and report.problems:
        raise typer.Exit(FAILED)


@app.command(
    epilog=examples(
        "workzone data split data/manifest.parquet -o data/split.parquet",
        "workzone data split data/manifest.parquet -o data/split.parquet --train 0.8 --test 0.2",
        "workzone data split data/manifest.parquet -o data/folds.parquet --folds 5 --seed 1",
        "workzone data split all.parquet -o split.parquet --train-only composite,drawn",
    )
)
@command
def split(
    manifest: ManifestArgument,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The manifest to write.")],
    folds: Annotated[
        int | None, typer.Option(help="This many folds instead of train, val and test.")
    ] = None,
    train: Annotated[float | None, typer.Option(help="Share of train.", show_default="0.7")] = None,
    val: Annotated[float | None, typer.Option(help="Share of val.", show_default="0.15")] = None,
    test: Annotated[float | None, typer.Option(help="Share of test.", show_default="0.15")] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another split.")] = 0,
    place_metres: PlaceOption = 100.0,
    train_only: Annotated[
        str | None,
        typer.Option(metavar="SOURCES", help="Sources that never validate or test, by commas."),
    ] = None,
    look: Annotated[
        bool,
        typer.Option(
            "--look/--no-look",
            help="Read the images, to keep together what looks alike; without, only files of the "
            "same bytes are.",
        ),
    ] = True,
    near_distance: NearOption = 6,
    as_json: JsonFlag = False,
) -> None:
    """Assign rows to splits so that no sequence, place or copy is on two sides.

    Rows that share a group, lie within 100 m, or show the same picture (re-encoded, resized,
    mirrored, cropped about the centre) stay together. An earlier split is replaced. The finished
    split is measured again before it is written, and says what it did not look for.
    """
    from workzone.data.joining import moved
    from workzone.data.manifest import read_manifest, write_manifest
    from workzone.data.prints import fingerprints
    from workzone.data.splits import split_manifest

    given = {"train": train, "val": val, "test": test}
    proportions = {name: share for name, share in given.items() if share is not None}
    listed = read_manifest(manifest)
    done, proof = split_manifest(
        listed,
        proportions=proportions or None,
        folds=folds,
        seed=seed,
        place_metres=place_metres,
        train_only=[name.strip() for name in train_only.split(",")] if train_only else (),
        seen=fingerprints(listed) if look else None,
        near_distance=near_distance,
    )
    write_manifest(moved(done, output.parent), output)
    if as_json:
        print_json({"manifest": str(output)} | proof.to_json())
    else:
        _show_split(output, proof)


@app.command(
    epilog=examples(
        "workzone data join photos.parquet composites/manifest.parquet -o all.parquet",
        "workzone data join a.parquet b.parquet scenes/manifest.parquet -o all.parquet --json",
    )
)
@command
def join(
    manifests: Annotated[list[Path], typer.Argument(help="Two manifests or more.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The manifest to write.")],
    as_json: JsonFlag = False,
) -> None:
    """Join manifests into one, with unique ids and paths that still lead to the images.

    Groups and splits stay as they are. Rows with the same image are told; with two labels they are
    refused, but for labels that are a model's (`workzone pseudo-label`): they give way.
    """
    from workzone.data.joining import join_manifests
    from workzone.data.manifest import read_manifest, write_manifest

    joined = join_manifests([read_manifest(path) for path in manifests], output.parent)
    write_manifest(joined.manifest, output)
    if as_json:
        told = {"manifest": str(output), "rows": len(joined.manifest), "renamed": joined.renamed}
        print_json(told | {"copies": joined.copies, "outdone": joined.outdone})
        return
    for ids in joined.copies:
        say(f"the same image: {', '.join(ids)}", style="yellow")
    if joined.outdone:
        say(f"{joined.outdone} rows with a model's label left out: another row has a true one")
    say(f"{len(joined.manifest)} rows, {joined.renamed} of them renamed. Written: {output}")


@app.command(
    epilog=examples(
        "workzone data preview data/manifest.parquet -o sheet.png",
        "workzone data preview data/manifest.parquet -o sheet.png --columns 10 --rows 10 --seed 3",
    )
)
@command
def preview(
    manifest: ManifestArgument,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .png file to write.")],
    columns: Annotated[int, typer.Option(help="Pictures side by side.")] = 6,
    rows: Annotated[int, typer.Option(help="Pictures below each other.")] = 6,
    seed: Annotated[int, typer.Option(help="Another seed, other pictures.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Draw a contact sheet: pictures with label, id and group.

    Labels and groups take turns, so that rare ones are seen too.
    """
    from workzone.data.manifest import read_manifest
    from workzone.data.preview import contact_sheet

    listed = read_manifest(manifest)
    contact_sheet(listed, output, columns=columns, rows=rows, seed=seed)
    shown = min(len(listed), columns * rows)
    if as_json:
        print_json({"sheet": str(output), "shown": shown, "rows": len(listed)})
    else:
        say(f"{shown} of {len(listed)} images on {output}")


def _show_audit(report: AuditReport) -> None:
    facts = report.facts
    table = Table("split", "road work", "none", "unlabelled", title=f"{facts.rows} rows")
    splits: Mapping[str, Mapping[str, int]] = {**facts.splits, "all": facts.labels}
    fill(table, [(name, *labels.values()) for name, labels in splits.items()])
    table = Table(title="How well each column alone tells the label (AUC)")
    table.add_column("column", overflow="fold")
    for heading in ("by value", "by missing", "missing", "verdict"):
        table.add_column(heading, no_wrap=True)
    for leak in report.leaks:
        _add_leak(table, leak)
    out.print(table)
    for leak in report.leaks:
        if leak.verdict == "identity":
            say(f"{leak.column}: {leak.note}")
    for style, title, sentences in (
        ("bold red", "Problems", report.problems),
        ("yellow", "Notes", report.notes),
    ):
        if sentences:
            say(title, style=style)
        for sentence in sentences:
            say(f"  - {sentence}")
    say(report.verdict, style="bold red" if report.problems else "bold green")


def _add_leak(table: Table, leak: ColumnLeak) -> None:
    value, missing = (
        "-" if auc is None else f"{auc:.3f}" for auc in (leak.value_auc, leak.missing_auc)
    )
    table.add_row(
        escape(leak.column),
        value,
        missing,
        f"{leak.missing:.0%}",
        leak.verdict,
        style=_VERDICT_STYLES.get(leak.verdict),
    )


def _show_split(output: Path, proof: SplitProof) -> None:
    table = Table("split", "rows", "road work", "none", "unlabelled", "groups")
    fill(
        table,
        [(s.name, s.rows, s.positives, s.negatives, s.unlabelled, s.groups) for s in proof.splits],
    )
    if not any(s.positives + s.negatives for s in proof.splits):
        say("warning: no row has a label: the splits are even in rows only.", style="yellow")
    for sentence in proof.sentences:
        say(sentence)
    for sentence in proof.warnings:
        say(sentence, style="yellow")
    say(f"Written: {output}")
