"""Commands on features: backbones, extract."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from workzone.cli.console import FAILED, JsonFlag, command, err, examples, out, print_json
from workzone.cli.options import (
    AugmentChoice,
    AugmentOption,
    AugmentSeedOption,
    BackboneOption,
    CopiesOption,
    DeviceOption,
    LayoutOption,
    ManifestArgument,
    PoolingOption,
    PrecisionChoice,
    PrecisionOption,
    SizeOption,
    StoredChoice,
    StoredOption,
    StoreOption,
    WeightsOption,
    prepare,
    store_folder,
)

EXAMPLES_BACKBONES = examples(
    "workzone backbones",
    "workzone backbones --json",
)


@command
def backbones(as_json: JsonFlag = False) -> None:
    """List the backbones by name, with width, parameters and licence."""
    import dataclasses

    from workzone.backbones.registry import list_backbones

    known = list_backbones()
    if as_json:
        print_json([dataclasses.asdict(info) for info in known])
        return
    columns = [field.name for field in dataclasses.fields(known[0])]
    table = Table(*[column.replace("_", " ") for column in columns], title="Backbones")
    for info in known:
        values = [getattr(info, column) for column in columns]
        table.add_row(*[f"{v:,}" if isinstance(v, int) else str(v) for v in values])
    out.print(table)
    out.print("Anything in timm works too, as timm:NAME.", style="dim")
    out.print("So do DINOv3 weights of any size, as the path of their folder.", style="dim")


EXAMPLES_EXTRACT = examples(
    "workzone extract manifest.parquet",
    "workzone extract manifest.parquet --backbone dinov3-vitb16 --weights ./dinov3-vitb16",
    "workzone extract manifest.parquet --backbone ./my-dinov3",
    "workzone extract manifest.parquet --copies 4 --no-grid",
    "workzone extract manifest.parquet --copies 4 --augment challenge",
)


@command
def extract(
    manifest: ManifestArgument,
    backbone: BackboneOption = "lite0",
    weights: WeightsOption = None,
    size: SizeOption = None,
    layout: LayoutOption = None,
    pooling: PoolingOption = None,
    precision: PrecisionOption = PrecisionChoice.AUTO,
    stored: StoredOption = StoredChoice.FLOAT16,
    copies: CopiesOption = 0,
    augment: AugmentOption = AugmentChoice.MILD,
    augment_seed: AugmentSeedOption = 0,
    grid: Annotated[
        bool,
        typer.Option(help="Also store the patch grid of the whole frame, which training asks for."),
    ] = True,
    store: StoreOption = None,
    device: DeviceOption = "cpu",
    as_json: JsonFlag = False,
) -> None:
    """Extract features of every view of every image, once.

    The store's folder name covers all that changes a feature: backbone, weights, pooling,
    preprocessing, views, augmentation. A stopped extraction goes on where it was; an image that is
    already there is not read again. Training on features without grids uses a store with them too.
    """
    from workzone.data.manifest import read_manifest
    from workzone.features.extract import Extraction

    samples = read_manifest(manifest)
    network, spec = prepare(
        samples,
        backbone,
        weights,
        size,
        layout,
        pooling,
        precision,
        stored,
        augment,
        augment_seed,
        device,
        grid_views=lambda views: (0,) if grid and views.global_view else (),
    )
    extraction = Extraction(
        samples,
        network,
        spec,
        store_folder(store, manifest),
        copies=copies,
    )
    estimate = extraction.estimate()
    err.print(str(estimate))
    pending = {job.key for job in extraction.pending()}
    features = extraction.run()
    failed = extraction.failed(features)
    if as_json:
        print_json(
            {
                "store": str(extraction.path),
                "rows": len(features),
                "extracted": len(pending & features.rows.keys()),
                "failed": failed,
            }
        )
        raise typer.Exit(FAILED if len(failed) == len(samples) else 0)
    out.print(f"{len(features):,} rows in {extraction.path}", markup=False, soft_wrap=True)
    for name, reason in failed.items():
        err.print(f"not extracted: {name}: {reason}", style="yellow", markup=False, soft_wrap=True)
    if len(failed) == len(samples):
        raise typer.Exit(FAILED)
