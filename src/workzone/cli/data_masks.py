"""``workzone data masks``: masks of a manifest from files of annotations, and to them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from workzone.cli.console import FAILED, JsonFlag, command, examples, out, print_json
from workzone.cli.options import ManifestArgument
from workzone.errors import UsageError

if TYPE_CHECKING:
    from workzone.data.masks.adding import Added
    from workzone.data.masks.audit import MaskAudit

app = typer.Typer(
    help="Masks of objects: from annotations, to annotations, and a look at them.",
    rich_markup_mode="rich",
    no_args_is_help=True,
)

_SHOWN = 20  # findings, and images passed over, on the screen


@app.command(
    "import",
    epilog=examples(
        "workzone data masks import m.parquet instances.json -o masked.parquet",
        "workzone data masks import m.parquet yolo/ -o masked.parquet --map traffic_cone=cone",
        "workzone data masks import m.parquet annotations.xml -o masked.parquet --name ann",
        "workzone data masks import m.parquet project.json --format label-studio -o masked.parquet",
    ),
)
@command
def import_(
    manifest: ManifestArgument,
    annotations: Annotated[
        Path, typer.Argument(help="A .json or .xml file, or a folder of labels or .png masks.")
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The manifest to write.")],
    store: Annotated[
        Path | None,
        typer.Option(help="Folder of the masks.", show_default="the output's name with .masks"),
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="auto, coco, yolo, cvat, label-studio, cityscapes or bits; auto looks at what is "
            "there. ROADWork's are coco.",
        ),
    ] = "auto",
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="CATEGORY=CLASS",
            help="Which class a category is; none behind the = leaves it out. Repeat.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the source; masks of the same name are replaced.",
            show_default="the name of the annotations",
        ),
    ] = None,
    knowledge: Annotated[
        str,
        typer.Option(help="What outlines rest on: polygon (people), pseudo (a model) or drawn."),
    ] = "polygon",
    orientation: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=8,
            help="EXIF orientation of the pixels annotated, where sizes do not tell; 1: upright.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Add masks from annotations to the samples that they are of.

    Images are found by their file names. Annotations that cannot be read or do not fit are told,
    and none of them is used in part. What other sources say of a sample stays beside it: who is
    believed is decided when masks are read.
    """
    from workzone.data.joining import moved
    from workzone.data.manifest import read_manifest, write_manifest
    from workzone.data.masks.adding import add_masks, store_beside
    from workzone.data.masks.formats.detect import read_annotations
    from workzone.data.masks.objects import as_knowledge

    folder = store or store_beside(output)
    added = add_masks(
        moved(read_manifest(manifest), output.parent),
        read_annotations(annotations, form),
        folder,
        name=name or annotations.resolve().name,
        mapping=_mapping(mapping or []),
        knowledge=as_knowledge(knowledge),
        orientation=orientation,
    )
    write_manifest(added.manifest, output)
    if as_json:
        print_json(
            {
                "manifest": str(output),
                "store": str(folder),
                "images": added.images,
                "objects": dict(added.objects),
                "passed_over": dict(added.passed_over),
                "warnings": list(added.warnings),
            }
        )
    else:
        _show_added(added, output, folder)


@app.command(
    epilog=examples(
        "workzone data masks export masked.parquet -o masks.json",
        "workzone data masks export masked.parquet -o masks.json --source facebook/sam3",
        "workzone data masks export masked.parquet -o bits/",
    )
)
@command
def export(
    manifest: ManifestArgument,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A .json file (COCO), or a folder (bit images).")
    ],
    source: Annotated[
        str | None,
        typer.Option(help="Teacher or key of the one source to write.", show_default="all, merged"),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write masks as COCO's JSON with run lengths, or as bit images; read, they are the same."""
    from workzone.data.manifest import read_manifest
    from workzone.data.masks.exporting import export_bits, export_coco

    listed = read_manifest(manifest)
    if output.suffix:
        count, what = export_coco(listed, output, source), "objects"
    elif source is not None:
        raise UsageError("bit images are of all sources, merged; leave --source out")
    else:
        count, what = export_bits(listed, output), "images"
    if as_json:
        print_json({"output": str(output), what: count})
    else:
        _say(f"{count} {what} written: {output}")


@app.command(
    epilog=examples(
        "workzone data masks audit masked.parquet",
        "workzone data masks audit masked.parquet --strict  # exit code 1 on findings",
    )
)
@command
def audit(
    manifest: ManifestArgument,
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on findings.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Look for odd masks: empty, giant, outside the frame, against the label, of low presence."""
    from workzone.data.manifest import read_manifest
    from workzone.data.masks.audit import audit_masks

    found = audit_masks(read_manifest(manifest))
    if as_json:
        findings = [
            {"id": f.id, "code": f.code, "source": f.source, "reason": f.reason}
            for f in found.findings
        ]
        print_json(
            {
                "samples": found.samples,
                "objects": dict(found.objects),
                "knowledge": dict(found.knowledge),
                "counts": found.counts,
                "findings": findings,
            }
        )
    else:
        _show_audit(found)
    if strict and found.findings:
        raise typer.Exit(FAILED)


@app.command(
    epilog=examples("workzone data masks sheet masked.parquet -o sheet.png --columns 3 --rows 4")
)
@command
def sheet(
    manifest: ManifestArgument,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .png file to write.")],
    columns: Annotated[int, typer.Option(min=1, help="Pictures side by side.")] = 4,
    rows: Annotated[int, typer.Option(min=1, help="Pictures below each other.")] = 6,
    seed: Annotated[int, typer.Option(help="Another seed, other pictures.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Draw a contact sheet of pictures with their masks over them, and what is in them."""
    from workzone.data.manifest import read_manifest
    from workzone.data.mask_sheet import draw_masks

    shown = draw_masks(read_manifest(manifest), output, columns=columns, rows=rows, seed=seed)
    if as_json:
        print_json({"sheet": str(output), "shown": shown})
    else:
        _say(f"{shown} images on {output}")


def _mapping(pairs: list[str]) -> dict[str, str]:
    mapping = {}
    for pair in pairs:
        category, mark, owner = pair.rpartition("=")
        if not (category and mark):
            raise UsageError(f"--map {pair!r} is not CATEGORY=CLASS; such as --map drum=cone")
        mapping[category] = owner
    return mapping


def _show_added(added: Added, output: Path, store: Path) -> None:
    table = Table("class", "objects", title=f"masks of {added.images} images")
    for name, count in sorted(added.objects.items()):
        table.add_row(escape(name), f"{count:,}")
    out.print(table)
    for warning in added.warnings:
        _say(f"warning: {warning}", style="yellow")
    if added.passed_over:
        _say(f"{len(added.passed_over)} annotated images passed over:", style="yellow")
    for where, why in list(added.passed_over.items())[:_SHOWN]:
        _say(f"  - {where}: {why}", style="yellow")
    if len(added.passed_over) > _SHOWN:
        _say("  - ... (all of them with --json)", style="yellow")
    _say(f"Written: {output}, masks in {store}")


def _show_audit(found: MaskAudit) -> None:
    from workzone.data.masks.audit import KINDS

    table = Table("class", "objects", title=f"masks of {found.samples} samples")
    for name, count in found.objects.items():
        table.add_row(name, f"{count:,}")
    out.print(table)
    for code, count in found.counts.items():
        if count:
            _say(f"{count} x {code}: {KINDS[code]}", style="bold yellow")
        for finding in [f for f in found.findings if f.code == code][:_SHOWN]:
            who = f" ({finding.source})" if finding.source else ""
            _say(f"  - {finding.id}{who}: {finding.reason}")
    if not found.findings:
        _say("nothing odd was found", style="bold green")


def _say(text: str, *, style: str | None = None) -> None:
    out.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
